-- What is undone in a session: a savepoint, the databases that were first touched inside of it, or everything. Objects that
-- were written are put right by their frames; here the session's own account of them follows.

local errors = require "moonpool.errors"
local finishing = require "moonpool.session.finishing"
local identity = require "moonpool.session.identity"
local runtime = require "moonpool.runtime"
local state = require "moonpool.entity.state"
local transaction = require "moonpool.database.transaction"

local undoing = {}

local ipairs, pairs, getmetatable, rawget = ipairs, pairs, getmetatable, rawget

--- Deleted, or marked as deleted: no query finds its row.
function undoing.is_gone(object)
  local mark = getmetatable(object).class.model.deleted_field
  return state.is_new(object) or mark ~= nil and rawget(object, mark.attribute) ~= nil
end

--- How many objects of each table came so far.
---@return table<table, integer>
function undoing.known(unit)
  local known = {}
  for _, rows in ipairs(unit.map.tables) do
    known[rows] = rows.n
  end
  return known
end

local function copy(set)
  local all = {}
  for object, value in pairs(set) do
    all[object] = value
  end
  return all
end

--- A savepoint inside of the session has begun.
function undoing.begun(unit, frame)
  if unit.frame_of[frame.database] ~= false then
    frame.session, frame.session_knew = unit, undoing.known(unit)
    if unit.flushing then -- a hook's: what is being written is not part of it
      frame.session_pending = { scheduled = copy(unit.is_scheduled), deleting = copy(unit.is_deleting) }
    end
  end
end

-- What is changed in an object and was not written is undone.
local function put_back(object)
  local original = state.original(object)
  if original then
    original:restore(object, getmetatable(object).plan)
    state.forget_pending(object)
  end
end

-- An object that is to be deleted is the session's, whether its statement was sent or not and whether it is known or not.
local function put_back_deleting(unit)
  for object in pairs(unit.is_deleting) do
    put_back(object)
  end
end

-- Those of a list that were in its set before and still are, as a list and a set of its own.
local function kept(list, set, before)
  local left, is_left = {}, {}
  for _, object in ipairs(before and list or {}) do
    if before[object] and set[object] then
      left[#left + 1], is_left[object] = object, true
    end
  end
  return left, is_left
end

-- Others that these refer to may be new again.
local function await_keys(scheduled)
  for _, object in ipairs(scheduled) do
    if state.is_new(object) then
      state.await_keys(object)
    end
  end
end

--- A savepoint was undone; the objects that it wrote are as they were.
function undoing.undone(unit, frame)
  local pending = frame.session_pending
  if not pending then
    put_back_deleting(unit)
  end
  await_keys(unit.scheduled)
  unit.scheduled, unit.is_scheduled = kept(unit.scheduled, unit.is_scheduled, pending and pending.scheduled)
  unit.deleting, unit.is_deleting = kept(unit.deleting, unit.is_deleting, pending and pending.deleting)
  unit:sync()
  for object, database in pairs(unit.removed) do
    if not undoing.is_gone(object) then -- its deletion is undone
      unit.removed[object] = nil
      unit:add_known(object, database)
    end
  end
  for _, rows in ipairs(unit.map.tables) do
    local knew, moved = frame.session_knew[rows] or 0, {}
    for object in rows:each() do
      if not state.is_new(object) and not pending then
        put_back(object)
      end
      if not state.is_new(object) and rows.place[object] > knew then
        unit.expired[object] = true -- it may be of a row that is gone now
      end
      if state.is_new(object) or not rows:is_at(object, identity.key(getmetatable(object).class, object)) then
        rows:remove(object)
        moved[#moved + 1] = object
      end
    end
    for _, object in ipairs(moved) do
      if not state.is_new(object) then -- the change of its key is undone
        unit:add_known(object, rows.database)
      end
    end
  end
end

--- A savepoint of the session is undone: the databases that were first touched inside of it have none, and are undone as a whole.
---@param n integer how many databases there were when it began
---@param known table<table, integer> what Unit:known said then
--- Raises what a hook raised.
function undoing.since(unit, n, known)
  local frames, attempts = unit.frames, errors.attempts()
  for place = #frames, n + 1, -1 do
    local frame = frames[place]
    frames[place], unit.frame_of[frame.database] = nil, nil
    frame.session, frame.session_knew = unit, known
    attempts:try(transaction.rollback, frame)
  end
  return attempts:raise()
end

--- Undo everything and forget all objects. The session can go on.
--- Raises what a hook raised; not_yieldable, with nothing undone.
---@param drop boolean? where nothing can wait: the pool rolls back
function undoing.all(unit, drop)
  if unit.frames[1] and not drop then
    runtime.check_wait()
  end
  unit:sync()
  for _, rows in ipairs(unit.map.tables) do
    for object in rows:each() do
      put_back(object)
    end
  end
  put_back_deleting(unit)
  local scheduled, attempts = unit.scheduled, errors.attempts()
  unit:forget()
  attempts:try(finishing.rollback, unit, drop and transaction.drop or transaction.rollback)
  await_keys(scheduled)
  return attempts:raise()
end

return undoing
