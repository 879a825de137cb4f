-- The end of a session's transactions, one for each database it touched: all are flushed first, then committed, the first
-- one touched first. What cannot be all or nothing over several databases is told as partial_commit.

local errors = require "moonpool.errors"
local flush = require "moonpool.session.flush"
local loading = require "moonpool.entity.loading"
local runtime = require "moonpool.runtime"
local state = require "moonpool.entity.state"
local transaction = require "moonpool.database.transaction"

local finishing = {}

local function name_of(database)
  return database.name or tostring(database)
end

--- A hook that runs in the middle of a flush must not end what is being written.
--- Raises bad_argument there.
function finishing.check_flushing(unit)
  if unit.flushing then
    return errors.raise("bad_argument", "the session cannot be committed, rolled back or closed by a hook of the objects that it"
      .. " writes: do that when they are written, or in mp.on_commit(fn)")
  end
end

--- Whether the program may end the session's transactions here.
--- Raises bad_argument inside a block or savepoint, and in a hook.
function finishing.check(unit)
  finishing.check_flushing(unit)
  for _, frame in ipairs(unit.frames) do
    if not frame.over and transaction.innermost(frame.database) ~= frame then
      return errors.raise("bad_argument", "the session cannot be committed or rolled back inside a block or savepoint of "
        .. tostring(frame.database) .. ": end that first")
    end
  end
end

-- The hooks of all databases wait until all are committed. Gives those of the session itself, and sets aside those of each
-- transaction.
local function take_hooks(unit, frames)
  local list, outer = {}, frames[1] == nil and transaction.current()
  for _, hook in ipairs(unit.hooks or {}) do
    if outer then -- no database was touched: they wait for what is around the session
      outer.committed = outer.committed or {}
      table.insert(outer.committed, hook)
    else
      list[#list + 1] = hook
    end
  end
  for _, frame in ipairs(frames) do
    if transaction.is_outermost(frame) then
      frame.waiting, frame.committed = frame.committed, nil
    end
  end
  unit.hooks = nil
  return list
end

local function undo(frames, first, err)
  for place = first, #frames do
    if not frames[place].over then
      local ok, problem = pcall(transaction.rollback, frames[place])
      if not ok then
        errors.suppress(err, problem)
      end
    end
  end
end

-- The columns that are not the key are asked for again at their next use.
local function expire(object)
  local meta = getmetatable(object)
  local class, plan, values = meta.class, { names = {}, kinds = {} }, {}
  for place, field in ipairs(class.model.key) do
    plan.names[place], plan.kinds[place] = field.attribute, field.kind
    values[field.attribute] = rawget(object, field.attribute)
  end
  for _, name in ipairs(meta.plan.names) do
    if values[name] == nil then
      rawset(object, name, nil)
    end
  end
  state.adopt(object, values, plan)
  setmetatable(object, loading.plan(class, plan).meta)
  state.unrelate(object)
end

-- What is still part of a transaction around the session may be undone: its objects keep their values.
local function after_commit(unit)
  local frame_of = unit.frame_of
  unit.removed, unit.frames, unit.frame_of = {}, {}, {}
  for _, rows in ipairs(unit.options.expire_on_commit and unit.map.tables or {}) do
    local frame = frame_of[rows.database]
    if not frame or transaction.is_outermost(frame) then
      for object in rows:each() do
        unit.expired[object] = true
        expire(object)
      end
    end
  end
end

local function raise_partial(committed, failed, problems)
  local names = {}
  for place, one in ipairs(problems) do
    names[place] = failed[place] .. " (" .. tostring(errors.is_error(one) and one.kind or one) .. ")"
  end
  local err = errors.new("partial_commit", "the session was committed in " .. table.concat(committed, ", ") .. " but not in "
    .. table.concat(names, ", "), { committed = committed, failed = failed, cause = problems[1] })
  for place = 2, #problems do
    errors.suppress(err, problems[place])
  end
  return error(err, 0)
end

-- Whoever cancels the task after the first commit comes too late: the others are to be all or nothing with it.
local function commit_shielded(frame)
  return runtime.shield(transaction.commit, frame)
end

-- The first one to be committed: one that is known to fail goes before the others, which are undone with it then.
local function first_of(frames)
  for place = 2, #frames do
    if transaction.is_failed(frames[place]) then
      return place
    end
  end
  return 1
end

-- The first commit decides whether anything is kept.
local function commit_all(unit, frames)
  local committed, failed, problems = {}, {}, {}
  if frames[2] then
    table.insert(frames, 1, table.remove(frames, first_of(frames)))
  end
  for place, frame in ipairs(frames) do
    local ok, err = pcall(place == 1 and transaction.commit or commit_shielded, frame)
    if ok then
      committed[#committed + 1] = name_of(frame.database)
      unit.kept = unit.kept or transaction.is_outermost(frame)
    elseif frame.kept then -- a reader of its record raised, with everything committed
      committed[#committed + 1] = name_of(frame.database)
      unit.kept, unit.reader_failed = true, err
    elseif place == 1 then
      undo(frames, 2, err)
      unit:forget()
      unit.frames, unit.frame_of = {}, {}
      return error(err, 0)
    else
      failed[#failed + 1], problems[#problems + 1] = name_of(frame.database), err
      unit:forget_those_of(frame.database)
    end
  end
  return committed, failed, problems
end

--- Flush, then commit every database that was touched.
--- Raises what flushing raises (nothing is committed then), what the first commit raises, partial_commit, and what an on_commit
--- hook raised, with everything committed.
function finishing.commit(unit)
  flush.run(unit)
  local frames = unit.frames
  local hooks = take_hooks(unit, frames)
  local committed, failed, problems = commit_all(unit, frames)
  after_commit(unit)
  if unit.ending then
    unit:finish() -- what hooks do is outside of it
  end
  local attempts = errors.attempts()
  if failed[1] then
    attempts:try(raise_partial, committed, failed, problems)
  end
  for _, hook in ipairs(hooks) do
    attempts:try(hook)
  end
  for _, frame in ipairs(frames) do
    for _, hook in ipairs(frame.kept and frame.waiting or {}) do
      attempts:try(hook)
    end
  end
  if unit.reader_failed ~= nil then
    attempts:try(error, unit.reader_failed, 0)
    unit.reader_failed = nil
  end
  return attempts:raise()
end

--- Roll back every database that was touched.
---@param how fun(frame: moonpool.frame) transaction.rollback, or drop where nothing can wait
--- Raises what an on_rollback hook raised.
function finishing.rollback(unit, how)
  local frames, attempts = unit.frames, errors.attempts()
  unit.frames, unit.frame_of, unit.hooks = {}, {}, nil
  for place = #frames, 1, -1 do
    if not frames[place].over then
      attempts:try(how, frames[place])
    end
  end
  return attempts:raise()
end

return finishing
