-- mp.testing: for the specs of programs. rollback(fn) undoes all that fn does in any database, and what runs inside sees
-- nothing of it: blocks commit, hooks run, a statement that fails by itself fails by itself. queries(fn) gives what was asked.

local database_of = require "moonpool.database.database"
local errors = require "moonpool.errors"
local event = require "moonpool.database.event"
local holding = require "moonpool.database.holding"
local runtime = require "moonpool.runtime"
local statement = require "moonpool.database.statement"
local transaction = require "moonpool.database.transaction"

local testing = {}

local function check_function(fn, name)
  if type(fn) ~= "function" then
    return errors.raise("bad_argument", "mp.testing." .. name .. " takes a function, not a " .. type(fn))
  end
end

local function pack(...)
  return { n = select("#", ...), ... }
end

local function remove_from(list, fn)
  for place, one in ipairs(list) do
    if one == fn then
      table.remove(list, place)
      break
    end
  end
end

-- ---- rollback ----

-- Stands where the task's session does (moonpool.session.unit), and answers as a task without one: all it does is to
-- see that each database has a transaction to be undone before it is used.
local Ground = {}
Ground.__index = Ground

function Ground:enter(database)
  if self.frame_of[database] == nil then
    self.frame_of[database] = false -- being begun
    local ok, made = pcall(function()
      if self.outer then
        self.outer:enter(database)
      end
      return transaction.begin(database, nil, true)
    end)
    if not ok then
      self.frame_of[database] = nil
      return error(made, 0)
    end
    made.testing = true
    self.frame_of[database] = made
    self.frames[#self.frames + 1] = made
  end
end

function Ground:arrive(database)
  if self.frame_of[database] ~= false then
    self:enter(database)
  end
end

Ground.before_frame = Ground.arrive

function Ground.begun() end
function Ground.schedule() end
function Ground.before_write() end
function Ground.write_scheduled() end
function Ground.noted() end
function Ground.find() end

function Ground.identify(_, _, _, objects)
  return objects
end

function Ground.keeps_hooks(_, frame)
  return frame == nil
end

function Ground.on_commit(_, fn)
  return fn()
end

function statement.apart(database, fn, ...)
  local frame = transaction.begin(database, nil, true)
  frame.block = true
  local found = pack(pcall(fn, ...))
  if found[1] then
    transaction.commit(frame)
    return (unpack or table.unpack)(found, 2, found.n)
  end
  transaction.rollback(frame)
  return error(found[2], 0)
end

-- Other tasks would write for good: each database knows whose test is running. It counts as held, so that they are asked.
local function claim(task)
  local claimed = {}
  local function take(database)
    if database.testing == nil then
      database.testing = task
      database.tally.held = database.tally.held + 1
      claimed[#claimed + 1] = database
    end
  end
  for _, database in ipairs(database_of.all()) do
    take(database)
  end
  table.insert(database_of.on_open, take)
  return function()
    remove_from(database_of.on_open, take)
    for _, database in ipairs(claimed) do
      database.testing = nil
      database.tally.held = database.tally.held - 1
    end
  end
end

local function undo(ground)
  local attempts = errors.attempts()
  for place = #ground.frames, 1, -1 do
    local frame = ground.frames[place]
    if not frame.over then
      attempts:try(transaction.rollback, frame)
    end
  end
  return attempts
end

-- Its task has ended, and the function has not: it ran inside a generator that nobody finished.
function Ground:abandon()
  self.task.session = self.outer
  self.release()
end

local function finish(ground, ok, ...)
  holding.unwatch(ground.task, ground)
  ground.task.session = ground.outer
  local undone = undo(ground)
  ground.release()
  if not ok then
    if undone.failed then
      errors.suppress((...), undone.err)
    end
    return error((...), 0)
  end
  undone:raise()
  return ...
end

--- Run fn, and undo all that it did in any database. Inside everything is as without it, but for an isolation or read_only, which
--- a transaction that runs already cannot take on.
---@param fn fun(...): any
---@return any ... what fn returns
--- Raises what fn raises; concurrency when another task uses a database meanwhile, whose work would stay; bad_argument inside
--- a session.
function testing.rollback(fn, ...)
  check_function(fn, "rollback")
  local task = runtime.current()
  if task.session and task.session.handle then
    return errors.raise("bad_argument", "mp.testing.rollback inside a session: begin the session inside of it")
  end
  for _, database in ipairs(database_of.all()) do
    if database.testing and database.testing ~= task then
      return errors.raise("concurrency", "another task is in mp.testing.rollback: only one can be at a time")
    end
  end
  local ground = setmetatable({ task = task, outer = task.session, frames = {}, frame_of = {} }, Ground)
  ground.release = claim(task)
  task.session = ground
  holding.watch(task, ground)
  return finish(ground, pcall(fn, ...))
end

-- ---- queries ----

-- Whether a statement of this task is fn's: its own, or that of a branch that it waits for.
local function belongs(task, owner)
  while task do
    if task == owner then
      return true
    end
    task = task.branch_of
  end
  return false
end

local function finish_queries(list, stop, ok, ...)
  stop()
  if not ok then
    return error((...), 0)
  end
  return list, ...
end

--- Run fn and give the records of the statements that it ran, in all databases, in order; with what fn returns behind them.
--- What other tasks run meanwhile is not in it, but for branches of gather and map that fn waits for.
---@param fn fun(...): any
---@return moonpool.event[] records, any ... each has sql, parameters (how many), rows, error, caller and times
--- Raises what fn raises.
function testing.queries(fn, ...)
  check_function(fn, "queries")
  local owner, list, removers = runtime.current(), {}, {}
  local function reader(record)
    if belongs(record.task, owner) then
      list[#list + 1] = record
    end
  end
  local function add(database)
    removers[#removers + 1] = event.add(database, reader)
  end
  for _, database in ipairs(database_of.all()) do
    add(database)
  end
  table.insert(database_of.on_open, add)
  return finish_queries(list, function()
    remove_from(database_of.on_open, add)
    for _, remove in ipairs(removers) do
      remove()
    end
  end, pcall(fn, ...))
end

return testing
