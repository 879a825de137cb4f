-- Statements of one transaction that do not need each other's answers. They are sent one behind the other without waiting,
-- where the database pipelines, and answered in order. Where one fails the server runs none of those behind it; elsewhere they
-- are not sent any more.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local event = require "moonpool.database.event"
local runtime = require "moonpool.runtime"
local statement = require "moonpool.database.statement"

local flight = {}

local pcall = pcall
local await = runtime.await

local MOST_STATEMENTS, MOST_ROWS = 16, 2000 -- under way: their parameters are in memory

---@class moonpool.flight
---@field under_way table[] in order
---@field rows integer
local Flight = {}
Flight.__index = Flight

-- Where a statement of the calling task goes; nil: it has to be run by itself, all others having been answered.
local function place(self, database, options, rows)
  local first = self.under_way[1]
  if first and (first.database ~= database or self.under_way[MOST_STATEMENTS] or self.rows + rows > MOST_ROWS) then
    self:finish()
  end
  local lease, frame = statement.place(database, "write", options and options.reads)
  if frame == nil or frame.testing then
    self:finish()
    return nil
  end
  return lease, frame
end

-- The operation, where readers are to hear of a statement that could not be sent as well.
local function sent(database, record, ok, op)
  if not ok then
    record.error = op
    event.finish(database, record)
    return error(op, 0)
  end
  return op
end

local function add(self, op, done, database, frame, record, sql, take, a, rows)
  self.under_way[#self.under_way + 1] = {
    op = op, done = done, database = database, frame = frame, record = record, sql = sql, take = take, a = a,
  }
  self.rows = self.rows + rows
end

--- Send a statement that writes, and have done called with what take gives: at once, or when the flight ends.
--- Raises what sending it raises, and what the flight's end does, which may have to come first.
---@param done fun(value: any)  ---@param rows integer how many it writes
function Flight:run(done, rows, database, sql, params, n, options, take, a)
  local lease, frame = place(self, database, options, rows)
  if lease == nil then
    return done((statement.run(database, nil, sql, "write", params, n, options, take, a)))
  end
  local record = database.observers and event.start(database, sql, n)
  local op = record and sent(database, record, pcall(lease.query, lease, sql, "write", params, n, options, true))
    or lease:query(sql, "write", params, n, options, true)
  add(self, op, done, database, frame, record, sql, take, a, rows)
end

--- The same for a statement with many rows of parameters (see statement.many).
---@param way "many"|"by_column"|nil
function Flight:many(done, database, sql, values, n, rows, from, options, way, take, a)
  take = take or core.take
  local lease, frame = place(self, database, options, rows)
  if lease == nil then
    return done((statement.many(database, nil, sql, values, n, rows, from, options, way, take, a)))
  end
  local record = database.observers and event.start(database, sql, n)
  local send = lease[way or "many"]
  local op = record and sent(database, record, pcall(send, lease, sql, values, n, rows, from, options, true))
    or send(lease, sql, values, n, rows, from, options, true)
  add(self, op, done, database, frame, record, sql, take, a, rows)
end

-- What the server has answered.
local function take(one)
  local value, problem
  if one.record then
    value, problem = event.take(one.record, one.op, one.take, one.a)
  else
    value, problem = one.take(one.op, one.a)
  end
  one.value = value
  if value == nil then
    one.err = statement.fail(one.database, one.sql, problem)
    statement.blame(one.frame, one.err)
  end
end

local function tell(one)
  if one.record then
    one.record.error = one.err
    event.finish(one.database, one.record)
  end
  if one.value == nil then
    return error(one.err, 0)
  end
  return one.done(one.value)
end

-- It only says that another one has failed.
local function follows(err)
  return errors.is_error(err) and err.kind == "in_failed_transaction"
end

-- Of two errors the one to be raised; the other is kept with it.
local function first_of(failure, err)
  if failure == nil then
    return err
  elseif follows(err) then
    return failure
  elseif follows(failure) then
    return err
  end
  errors.suppress(failure, err)
  return failure
end

-- All answers are taken before anybody hears of one: the program's own code, which may be left in the middle, runs then.
local function take_all(under_way)
  for number, one in ipairs(under_way) do
    local ok, err = pcall(await, one.op)
    if not ok then
      for behind = number + 1, #under_way do
        core.forget(under_way[behind].op)
      end
      return error(err, 0)
    end
    take(one)
  end
end

--- Wait for all that is under way. What was done is told, also of those before and behind one that failed.
--- Raises what the first one raised that failed; cancelled, and then nobody knows what was done: the block cannot be kept.
function Flight:finish()
  local failure
  while self.under_way[1] do
    local under_way = self.under_way
    self.under_way, self.rows = {}, 0
    take_all(under_way)
    for _, one in ipairs(under_way) do
      local ok, err = pcall(tell, one)
      if not ok then
        failure = first_of(failure, err)
      end
    end
  end
  if failure ~= nil then
    return error(failure, 0)
  end
end

--- Run fn(flight, ...) and end the flight.
--- Raises what fn raises, and what the flight's end does.
function flight.with(fn, ...)
  local self = setmetatable({ under_way = {}, rows = 0 }, Flight)
  local ok, err = pcall(fn, self, ...)
  local ended, failure = pcall(self.finish, self)
  if not ok and not ended then
    return error(first_of(failure, err), 0)
  elseif not ok or not ended then
    return error(ok and failure or err, 0)
  end
end

return flight
