-- The unit of work behind a session: which objects it knows and has to write, and the transactions it has on the
-- databases that were touched. The floors below tell it, through the field `session` of the task, what happens: a statement
-- arrives, objects are loaded or written, a savepoint begins or is undone. What a program calls is in handle.lua.

local errors = require "moonpool.errors"
local finishing = require "moonpool.session.finishing"
local flush = require "moonpool.session.flush"
local holding = require "moonpool.database.holding"
local identity = require "moonpool.session.identity"
local loading = require "moonpool.entity.loading"
local merging = require "moonpool.session.merging"
local state = require "moonpool.entity.state"
local transaction = require "moonpool.database.transaction"
local undoing = require "moonpool.session.undoing"

local unit = {}

local ipairs, getmetatable = ipairs, getmetatable
local running = coroutine.running

---@class moonpool.unit
---@field task table
---@field home table the database that the session is of
---@field options table retry isolation optimistic autoflush expire_on_commit
---@field block boolean a function runs inside; it ends the session
---@field frames moonpool.frame[] the transactions, in the order in which the databases were touched
---@field frame_of table<table, moonpool.frame>
---@field map moonpool.identity
---@field scheduled table[] new objects, in order
---@field deleting table[] objects that are to be deleted
---@field taken_out boolean something was taken out of one of the two: it may come again, and stand in its list twice
---@field touched table[] objects that were written or deleted; sync enters or forgets them in the map
---@field hooks function[]? for after the commit, from before the first database was touched
---@field flushing boolean
---@field ending boolean? its function has ended: the next commit is the last
---@field kept boolean? something is committed
---@field over boolean
local Unit = {}
unit.methods = Unit
Unit.__index = Unit

---@param task table
---@param home table
---@param options table checked
---@param block boolean
function unit.new(task, home, options, block)
  local self = setmetatable({
    task = task, home = home, options = options, block = block, autoflush = options.autoflush ~= false,
    flushing = false, over = false,
  }, Unit)
  self:forget()
  self.frames, self.frame_of = {}, {}
  return self
end

--- Know no object and have nothing to write.
function Unit:forget()
  self.map = identity.new()
  self.scheduled, self.is_scheduled = {}, {}
  self.deleting, self.is_deleting = {}, {}
  self.taken_out = false
  self.touched, self.removed, self.expired = {}, {}, {}
end

--- The task is in the session from now on.
function Unit:start()
  self.outer = self.task.session -- of mp.testing, or false
  self.task.session = self
  local co, main = running()
  if self.block and co and co ~= self.task.co and not main then -- in a generator, which may never be finished
    self.watched = true
    holding.watch(self.task, self)
  end
end

--- Its task has ended, and its function has not. Where it has begun a transaction, that tells.
--- Raises concurrency where something was to be written.
function Unit:abandon()
  self:finish()
  if self.frames[1] == nil and (self.hooks or self:pending()) then
    return errors.raise("concurrency", "the task has ended inside a session's function, in a generator that nobody finished: what was"
      .. " to be written is not; finish the generator, or load the rows first")
  end
end

--- It is not any more; nothing can be asked of the session.
function Unit:finish()
  self.over = true
  if self.watched then
    holding.unwatch(self.task, self)
  end
  if self.task.session == self then
    self.task.session = self.outer
  end
end

-- ---- transactions ----

local function check_frame(frame)
  if frame.over then
    return errors.raise("stale_handle", "the transaction around the session has ended: what the session did in "
      .. tostring(frame.database) .. " was part of that; close the session (mp.session.current():close())")
  end
end

--- What it did is there still.
--- Raises stale_handle.
function Unit:check()
  for _, frame in ipairs(self.frames) do
    check_frame(frame)
  end
end

--- The session's transaction on the database; begun when there is none yet.
--- Raises what beginning one raises.
function Unit:enter(database)
  local frame = self.frame_of[database]
  if frame ~= nil then
    return frame and check_frame(frame)
  end
  self.frame_of[database] = false -- being begun
  local ok, made = pcall(function()
    if self.outer then
      self.outer:enter(database)
    end
    return transaction.begin(database, self.options.isolation and { isolation = self.options.isolation })
  end)
  if not ok then
    self.frame_of[database] = nil
    return error(made, 0)
  end
  made.block = self.block
  made.committed, self.hooks = self.hooks, nil
  self.frame_of[database] = made
  self.frames[#self.frames + 1] = made
end

--- A statement of the task is about to run.
---@param reads table<string, true>? the tables whose rows it sees; nil: nobody knows
function Unit:arrive(database, reads)
  if self.frame_of[database] == false then
    return -- it begins the transaction
  end
  self:enter(database)
  if self.autoflush then
    flush.run(self, reads)
  end
end

--- A transaction or savepoint is about to begin on the database: what is pending belongs to what is around it.
function Unit:before_frame(database)
  if self.frame_of[database] ~= false then
    self:enter(database)
    flush.run(self)
  end
end

Unit.known, Unit.begun, Unit.undone, Unit.undo_since = undoing.known, undoing.begun, undoing.undone, undoing.since

--- It is about to be kept: what is pending belongs to it.
function Unit:before_release()
  flush.run(self)
end

-- ---- objects ----

--- A new object is to be inserted.
function Unit:schedule(object)
  if not self.is_scheduled[object] then
    self.is_scheduled[object] = true
    self.scheduled[#self.scheduled + 1] = object
  end
end

--- Objects are about to be written by themselves.
---@param objects table[] may hold other values too
function Unit:before_write(objects)
  if self.flushing then
    return
  end
  for place = 1, #objects do
    if self.is_scheduled[objects[place]] then
      self.is_scheduled[objects[place]], self.taken_out = nil, true
    end
  end
  if self.autoflush then
    flush.run(self, {})
  end
end

--- The key of an object is wanted that the session may be about to insert.
function Unit:write_scheduled(object)
  if self.is_scheduled[object] and not self.flushing then
    flush.run(self, {})
  end
end

--- An object was written or deleted.
function Unit:noted(object)
  local touched = self.touched
  touched[#touched + 1] = object
end

--- Where an object that is in the database lives.
function Unit:database_of(object)
  local rows = self.map:rows_of(object)
  if rows then
    return rows.database
  end
  local batch = state.batch_of(object)
  return batch and batch.database or loading.database_of(getmetatable(object).class)
end

--- Enter an object that is in the database, unless another one is known for the row.
---@return boolean
function Unit:add_known(object, database)
  local class = getmetatable(object).class
  local rows, key = self.map:rows(class, database), identity.key(class, object)
  if key == nil then
    return false
  elseif rows.place[object] and rows.key_of[object] ~= key then
    rows:remove(object) -- its key was changed
  end
  local known = rows.by_key[key]
  if known == nil then
    rows:add(object, key)
  end
  return known == nil or known == object
end

--- Enter what was written since, and forget what was deleted.
function Unit:sync()
  local touched = self.touched
  if touched[1] == nil then
    return
  end
  self.touched = {}
  for place = 1, #touched do
    local object = touched[place]
    local rows = self.map:rows_of(object)
    if not undoing.is_gone(object) then
      self.removed[object] = nil
      self:add_known(object, rows and rows.database or self:database_of(object))
    elseif rows then
      rows:remove(object)
      self.removed[object] = rows.database
    end
  end
end

--- Objects were made of rows. Those whose row is known give way to the object that is there.
---@param objects table[] changed in place
---@return table[] fresh those that were not known
function Unit:identify(class, database, objects)
  self:sync()
  local rows, fresh = self.map:rows(class, database), {}
  local by_key, expired = rows.by_key, self.expired
  for place = 1, #objects do
    local object = objects[place]
    local key = identity.key(class, object)
    local known = key ~= nil and by_key[key]
    if known and known ~= object then
      expired[known] = nil
      state.note(known, database) -- what is read may be undone
      merging.merge(known, object)
      objects[place] = known
    else
      if key ~= nil and not known then
        rows:add(object, key)
      end
      fresh[#fresh + 1] = object
    end
  end
  return fresh
end

--- The object of a row, if it is known and need not be asked for.
---@param key any as identity.key gives it
function Unit:find(class, database, key)
  self:sync()
  local object = self.map:rows(class, database).by_key[key]
  if object and not self.expired[object] and not self.is_deleting[object] then
    return object
  end
  return nil
end

--- An object was deleted by the flush, or marked as deleted.
function Unit:deleted(object)
  self.is_deleting[object], self.taken_out = nil, true
  local rows = self.map:rows_of(object)
  if rows then
    rows:remove(object)
    self.removed[object] = rows.database
  end
end

--- Whether a flush would write something.
---@return boolean
function Unit:pending()
  for _, list in ipairs { self.scheduled, self.deleting } do
    for _, object in ipairs(list) do
      if self.is_scheduled[object] or self.is_deleting[object] then
        return true
      end
    end
  end
  return flush.changed(self)[1] ~= nil
end

--- Forget an object: it is neither known nor written by this session any more.
function Unit:expunge(object)
  self:sync()
  self.is_scheduled[object], self.is_deleting[object], self.removed[object] = nil, nil, nil
  self.taken_out = true
  local rows = self.map:rows_of(object)
  if rows then
    rows:remove(object)
  end
end

--- What was done in the database is undone: know none of its objects any more.
function Unit:forget_those_of(database)
  self:sync()
  for _, rows in ipairs(self.map.tables) do
    for object in rows:each() do
      if rows.database == database then
        rows:remove(object)
      end
    end
  end
end

-- ---- the end ----

--- Whether a hook is the session's: while no transaction of its own has begun.
function Unit:keeps_hooks()
  return self.frames[1] == nil
end

--- Run fn after the commit.
function Unit:on_commit(fn)
  self.hooks = self.hooks or {}
  self.hooks[#self.hooks + 1] = fn
end

--- Write and commit everything. The session can go on.
--- Raises what flushing and committing can raise; partial_commit.
function Unit:commit()
  return finishing.commit(self)
end

Unit.rollback = undoing.all

return unit
