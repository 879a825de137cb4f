-- One pinned connection: db:connect(). It takes the calls of a database, its own begin, commit and rollback, and
-- prepared statements. What is not committed when it is closed is rolled back.

local begin_options = require "moonpool.database.begin_options"
local calls = require "moonpool.database.calls"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local holding = require "moonpool.database.holding"
local placeholder = require "moonpool.database.placeholder"
local runtime = require "moonpool.runtime"

local connection = {}

---@class moonpool.connection
local Connection = { __name = "moonpool connection", __json = "a connection" }
Connection.__index = Connection
for name, call in pairs(calls) do
  Connection[name] = call
end

---@class moonpool.prepared
local Prepared = { __name = "moonpool statement", __json = "a prepared statement" }
Prepared.__index = Prepared

-- Ends with its task. Known by the lease, which the handle keeps alive.
local Watch = {}
Watch.__index = Watch

function Watch:abandon()
  holding.release(self.database, self.lease)
end

local function check(self)
  if self.closed or self.lease:over() and not self.lease:loss_untold() then
    return errors.raise("stale_handle", "the connection was closed" .. (self.closed and "" or " or lost")
      .. ": open another one with db:connect()")
  end
  holding.owned(self, "a connection")
end

--- Where calls run (see calls.lua).
function Connection:place()
  check(self)
  return self.database, self.lease
end

--- A handle for a lease that somebody else gives back.
function connection.wrap(database, lease)
  return setmetatable({ database = database, lease = lease, task = runtime.current() }, Connection)
end

--- db:connect().
function connection.open(database)
  local task = runtime.current()
  if database.testing then
    return errors.raise("unsupported", "db:connect() in mp.testing.rollback: the connection would be one of its own, and what it"
      .. " writes would stay")
  end
  if task.branch_of then
    holding.guard(database, task)
  end
  local lease = holding.acquire(database, "read")
  holding.hold(database, lease, "read", "a connection")
  lease:taint()
  local self = connection.wrap(database, lease)
  self.watch = setmetatable({ database = database, lease = lease }, Watch)
  holding.watch(task, self.watch)
  self.guard = runtime.on_collected(function()
    holding.release(database, lease)
  end)
  return self
end

local function settle(self, op, cleanup)
  local problem = holding.settle(op, cleanup)
  if problem then
    return holding.fail(problem)
  end
  return self
end

local FOR_BEGIN = { isolation = true, read_only = true, deferrable = true }

--- Begin a transaction of this connection.
---@param options {read_only: boolean?, isolation: string?, deferrable: boolean?}?
--- Raises busy, stale_handle, concurrency, pool_deadlock, unsupported; bad_argument inside one.
function Connection:begin(options)
  local database, lease = self:place()
  options = options == nil and {} or begin_options.read(options, FOR_BEGIN)
  begin_options.check(database, options)
  if lease:state() ~= "none" then
    return errors.raise("bad_argument", "this connection has a transaction open: commit it or roll it back first")
  end
  runtime.check_wait()
  local waits = not options.read_only and holding.writer_taken(database, lease)
  local op = lease:begin(options.isolation, options.read_only, options.deferrable)
  holding.begun(database, lease, op, waits)
  if not options.read_only then
    holding.take_writer(database, lease)
  end
  return self
end

-- Whether the statement succeeds or not: has the transaction ended?
local function finish(self, database, lease, op)
  local ok, err = pcall(settle, self, op, true)
  if lease:over() or lease:state() == "none" then
    holding.leave_writer(database, lease)
  end
  if not ok then
    return error(err, 0)
  end
  return self
end

--- Raises what a commit can fail with.
function Connection:commit()
  local database, lease = self:place()
  runtime.check_wait()
  runtime.check_cancelled()
  return finish(self, database, lease, lease:commit())
end

function Connection:rollback()
  local database, lease = self:place()
  runtime.check_wait()
  return finish(self, database, lease, lease:rollback())
end

--- A statement to be run often: st:fetch_all(...) and the other calls, without the text.
---@param sql string
---@return moonpool.prepared
--- Raises syntax and the like: the server has read the text.
function Connection:prepare(sql)
  local database, lease = self:place()
  local found = placeholder.read(database.dialect, sql)
  local op = lease:prepare(found.sql)
  runtime.await(op)
  local count, names = core.take(op)
  if count == nil then
    names.sql = found.sql
    return holding.fail(names)
  end
  return setmetatable({ connection = self, sql = sql, names = names }, Prepared)
end

--- Give the connection back; what is not committed is rolled back. May be called twice.
function Connection:close()
  if not self.closed then
    self.closed = true
    if self.watch then
      holding.unwatch(self.task, self.watch)
      holding.release(self.database, self.lease)
    end
  end
end

Connection.__close = Connection.close

function Connection:__tostring()
  return "connection of " .. tostring(self.database)
end

for _, name in ipairs { "execute", "fetch_all", "fetch_one", "fetch_val", "fetch_arrays", "execute_many", "stream" } do
  Prepared[name] = function(self, ...)
    if self.closed then
      return errors.raise("stale_handle", "the prepared statement was closed")
    end
    local conn = self.connection
    return conn[name](conn, self.sql, ...)
  end
end

--- May be called twice. The connection goes on.
function Prepared:close()
  self.closed = true
end

Prepared.__close = Prepared.close

function Prepared:__tostring()
  return "statement of " .. tostring(self.connection.database)
end

return connection
