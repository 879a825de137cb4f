-- What a program holds of a session: s:add, s:get, s:commit and the others. Checks what it is given, and that the
-- session belongs to the task that uses it; the work is that of unit.lua.

local block = require "moonpool.atomic.block"
local errors = require "moonpool.errors"
local finishing = require "moonpool.session.finishing"
local flush = require "moonpool.session.flush"
local holding = require "moonpool.database.holding"
local identity = require "moonpool.session.identity"
local loading = require "moonpool.entity.loading"
local nested = require "moonpool.session.nested"
local object = require "moonpool.entity.object"
local relation = require "moonpool.entity.relation"
local runtime = require "moonpool.runtime"
local state = require "moonpool.entity.state"
local updating = require "moonpool.entity.updating"
local vocabulary = require "moonpool.vocabulary"

local handle = {}

local getmetatable, ipairs, pairs, pcall, rawget, select, type = getmetatable, ipairs, pairs, pcall, rawget, select, type

---@class moonpool.session
local Session = { __name = "moonpool session", __json = "a session" }
handle.methods = Session

-- The unit behind a handle, which carries nothing else.
local units = setmetatable({}, { __mode = "k" })

-- The database of a handle that joined a session of another one.
local homes = setmetatable({}, { __mode = "k" })

local function bad(message)
  return errors.raise("bad_argument", message)
end

-- It is open, and the calling task's.
local function find(self)
  local unit = units[self]
  if unit == nil then
    return bad("a method of a session is called with a colon: s:add(author)")
  elseif unit.over then
    return errors.raise("stale_handle", "the session has ended")
  end
  holding.owned(unit, "a session")
  return unit
end

local function check(self)
  local unit = find(self)
  unit:check()
  return unit
end

local function check_object(one, name)
  if not object.is(one) then
    return bad("s:" .. name .. " takes an object, not " .. vocabulary.quoted(one))
  end
  return getmetatable(one).class
end

-- A method of the session, or one that the database's option session_methods gives it.
function Session:__index(name)
  local method = Session[name]
  if method ~= nil then
    return method
  end
  local unit = units[self]
  local own = unit and (homes[self] or unit.home).options.session_methods
  if own and own[name] ~= nil then
    return own[name]
  elseif type(name) == "string" and name:byte() == 95 then
    return nil
  end
  return bad("a session has no method " .. vocabulary.quoted(name) .. vocabulary.suggest(tostring(name), Session))
end

function handle.new(unit)
  local self = setmetatable({}, Session)
  units[self] = unit
  unit.handle = self
  return self
end

--- The handle for a function whose session, of that database, joins another one: raw statements go where it says.
function handle.joined(unit, database)
  if database == (homes[unit.handle] or unit.home) then
    return unit.handle
  end
  local self = setmetatable({}, Session)
  units[self], homes[self] = unit, database
  return self
end

-- The new object that a relation leads to. A new one may lead to what has its key from the program.
local function new_behind(one, field)
  local other = state.pending(one, field.name)
  if other == nil and state.is_new(one) then
    other = state.related(one, field.name)
    if other and (getmetatable(other) == nil or relation.key_of(one, field:locals()) ~= relation.key_of(other, field:keys())) then
      return nil -- the key of another one was set since
    end
  end
  return other and state.is_new(other) and other or nil
end

-- New objects that it leads to are written with it.
local function schedule_behind(unit, one, class)
  for _, field in ipairs(class.model.references) do
    local other = new_behind(one, field)
    if other and not unit.is_scheduled[other] then
      unit:schedule(other)
      schedule_behind(unit, other, getmetatable(other).class)
    end
  end
end

--- A new object is inserted with the session; one that is in the database is known from now on, and what is changed in it is
--- written. New ones that its relations lead to are inserted with it.
---@param one table
---@return table one
--- Raises bad_argument: no object, or another object of the same row is known.
function Session:add(one, ...)
  local unit = check(self)
  local class = check_object(one, "add")
  if select("#", ...) > 0 then
    return bad("s:add takes one object; s:add_all{ ... } takes several")
  elseif state.is_new(one) then
    unit:schedule(one)
  else
    unit:sync()
    unit.is_deleting[one], unit.taken_out = nil, true
    if not unit:add_known(one, unit:database_of(one)) then
      return bad("the session knows another object for the row of " .. tostring(one) .. ": change that one (s:get gives it)")
    end
  end
  schedule_behind(unit, one, class)
  return one
end

--- The same for each object of an array.
---@param list table[]
function Session:add_all(list)
  check(self)
  if type(list) ~= "table" or object.is(list) then
    return bad("s:add_all takes an array of objects")
  end
  for place = 1, #list do
    check_object(list[place], "add_all")
  end
  for place = 1, #list do
    self:add(list[place])
  end
end

--- The row of an object is deleted with the session.
--- Raises bad_argument for one that is not in the database.
function Session:delete(one)
  local unit = check(self)
  check_object(one, "delete")
  if state.is_new(one) then
    return bad(tostring(one) .. " is not in the database: there is nothing to delete"
      .. (unit.is_scheduled[one] and "; s:expunge(...) takes it out of the session" or ""))
  end
  unit:sync()
  if not unit.is_deleting[one] then
    unit.is_deleting[one] = true
    unit.deleting[#unit.deleting + 1] = one
  end
end

-- A table that holds the values of a key of several columns and nothing else, by their names or in their order.
local function is_key(model, given)
  if model.key[2] == nil then
    return true
  end
  local n = 0
  for name in pairs(given) do
    local field = type(name) == "string" and model.by_name[name]
    if not (field and field.primary_key or given[1] ~= nil and model.key[name]) then
      return false
    end
    n = n + 1
  end
  return n == #model.key
end

--- The object with that key, or that matches; nil if there is none. What the session knows is not asked for again.
---@param entity table
---@param key any a key, or a table of conditions
---@return table?
--- Raises multiple, bad_argument, unknown_field.
function Session:get(entity, key, ...)
  local unit = check(self)
  local meta = getmetatable(entity)
  local class = type(meta) == "table" and rawget(meta, "class")
  if not class or object.is(entity) then
    return bad("s:get takes an entity and a key: s:get(Author, 1)")
  elseif key == nil or select("#", ...) > 0 then
    return bad("s:get takes an entity and one key, or a table of conditions: s:get(" .. class.name .. ", 1)")
  end
  local model = class.model
  local plain = type(key) ~= "table" or getmetatable(key) ~= nil
  if plain == (model.key[2] == nil) and not object.is(key) then
    local text = is_key(model, key) and identity.key_given(model, key)
    local known = text and unit:find(class, loading.database_of(class), text)
    if known then
      return known
    end
  end
  return class.root:get(key)
end

--- Write what is pending now, inside the session's transaction.
--- Raises validation, stale, integrity and the other errors of statements.
function Session:flush()
  return flush.run(check(self))
end

--- Write and commit what was done; the session goes on with a new transaction.
--- Raises what flushing and committing can raise, partial_commit; bad_argument inside a block.
function Session:commit()
  local unit = check(self)
  finishing.check(unit)
  return unit:commit()
end

--- Undo what was done since the last commit, and forget all objects.
--- Raises bad_argument inside a block.
function Session:rollback()
  local unit = find(self)
  finishing.check(unit)
  return unit:rollback()
end

--- Read the row of an object again; what was changed in it and not written is gone.
---@return table one
--- Raises not_found, bad_argument.
function Session:refresh(one)
  check(self)
  check_object(one, "refresh")
  return one:refresh()
end

--- Take an object out of the session: it is neither written by it nor known to it any more.
function Session:expunge(one)
  local unit = find(self)
  check_object(one, "expunge")
  unit:expunge(one)
end

--- A savepoint. With a function: a block, undone if it fails. Without: by hand, with release, rollback and close.
---@param fn (fun(): any)?
---@return any ... what fn returns, or the savepoint
--- Raises what fn raises, and the errors of a savepoint.
function Session:begin_nested(fn)
  local unit = check(self)
  if fn ~= nil and type(fn) ~= "function" then
    return bad("s:begin_nested takes a function or nothing, not " .. vocabulary.quoted(fn))
  end
  unit:before_frame(homes[self] or unit.home)
  if fn == nil then
    return nested.open(unit)
  end
  return nested.run(unit, fn, block.run)
end

--- Whether a flush would write the object; without one, whether it would write anything.
---@param one table?
---@return boolean
function Session:is_dirty(one)
  local unit = check(self)
  unit:sync()
  if one == nil then
    return unit:pending()
  end
  local class = check_object(one, "is_dirty")
  if state.is_new(one) then
    return unit.is_scheduled[one] == true
  end
  return unit.is_deleting[one] == true or updating.changed_fields(one) ~= nil or updating.has_pending(one, class)
end

--- Run a statement on the session's database, as db:execute does.
---@param sql string
---@return integer affected rows
--- Raises the database's errors.
function Session:execute(sql, ...)
  local unit = check(self)
  return (homes[self] or unit.home):execute(sql, ...)
end

--- The objects of a query set.
---@param query_set table
---@return table[]
--- Raises bad_argument, and what the query raises.
function Session:scalars(query_set)
  check(self)
  local meta = getmetatable(query_set)
  local class = type(meta) == "table" and rawget(meta, "class")
  local q = class and not object.is(query_set) and class.root or query_set
  if type(q) ~= "table" or rawget(q, "shape") == nil then
    return bad("s:scalars takes a query set, not " .. vocabulary.quoted(query_set))
  elseif q.shape.output ~= "objects" then
    return bad("s:scalars gives objects; " .. tostring(query_set) .. " gives values: call :all() or :pluck(...) on it")
  end
  return q:all()
end

local function close(unit)
  holding.owned(unit, "a session")
  if unit.block then
    return bad("the session ends with its function; s:rollback() undoes what was done")
  end
  local drop = unit.frames[1] and not pcall(runtime.check_wait)
  for _, frame in ipairs(drop and unit.frames or {}) do
    if frame.parent then
      return runtime.check_wait()
    end
  end
  unit:finish()
  return unit:rollback(drop)
end

--- End it: what is not committed is rolled back. May be called twice. In a coroutine that is being closed, which cannot wait,
--- the pool does that; where the session is part of a transaction that raises not_yieldable.
--- Raises bad_argument in a session that a function runs in, which its end closes, and in a hook of what it writes.
function Session:close()
  local unit = units[self]
  if not unit.over then
    finishing.check_flushing(unit)
    return close(unit)
  end
end

-- Its scope may be left in the middle of a flush, by a coroutine that is closed.
Session.__close = errors.closing(function(self)
  local unit = units[self]
  if not unit.over then
    return close(unit)
  end
end)

function Session:__tostring()
  return "session of " .. tostring(homes[self] or units[self].home)
end

return handle
