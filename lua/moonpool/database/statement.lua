-- Running one statement: on the connection where it belongs, with its retry and its record.
-- This is the only way to a database. Which rows become what is the caller's: `take` is one of the core's functions.

local account = require "moonpool.database.account"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local event = require "moonpool.database.event"
local holding = require "moonpool.database.holding"
local runtime = require "moonpool.runtime"

local statement = {}

local await, current = runtime.await, runtime.current

-- Runs a function in a savepoint of its own: what stands by itself in a test that is rolled back fails by itself. Set by
-- mp.testing.
statement.apart = nil

-- Column names of a constraint become field names where entities are known (set by the entity floor).
statement.explain_error = nil

local NOT_OF_A_ROW = { "connection", "operation", "transaction", "resource" } -- whatever was written when they came

-- Say which of many rows an error is of.
local function name_row(err, row)
  for _, family in ipairs(NOT_OF_A_ROW) do
    if errors.is(err, family) then
      err.row = nil
      return
    end
  end
  err.row = row
  local rest = err.message:match("^row %d+(.*)")
  err.message = ("row %d%s"):format(row, rest or ": " .. err.message)
end

local function fail(database, sql, problem)
  local err = errors.from_core(problem)
  err.sql = sql
  if err.row then
    name_row(err, err.row)
  end
  if err.kind == "pool_timeout" then
    account.explain_timeout(database, err)
  end
  if err.table == nil and (err.constraint or err.columns) then -- MariaDB does not tell it of its keys and columns
    err.table = sql:match "^INSERT INTO `([^`]+)`" or sql:match "^UPDATE `([^`]+)`"
  end
  if statement.explain_error and (err.table or err.constraint) then
    statement.explain_error(database, err)
  end
  return err
end

-- The connection that a statement of this task belongs to; nil: any of the pool. reads: the tables whose rows it sees; nil
-- where nobody knows.
local function place_of(database, task, access, reads)
  local session = task.session
  if session then
    session:arrive(database, reads)
  end
  local held = task.locals[database]
  if held then
    local frame = held.frame
    if frame then
      return frame.lease, frame
    end
    -- the only connection is busy with a stream of this very task: its loop body runs there too
    if held.streams > 0 and database.pool:would_wait(access or "read") then
      for lease, hold in pairs(database.holds) do
        if hold.task == task and hold.what == "a stream" then
          return lease
        end
      end
    end
  end
  if task.branch_of then
    holding.guard(database, task)
  end
  return nil
end

-- One attempt on the pool where a connection has to be looked at before it is used.
local function on_own_lease(database, record, sql, access, params, n, options, take, a, b, c)
  local lease = holding.acquire(database, access or "read")
  local ok, value, extra = pcall(function()
    local op = lease:query(sql, access, params, n, options)
    await(op)
    if record then
      return event.take(record, op, take, a, b, c)
    end
    return take(op, a, b, c)
  end)
  lease:release()
  if not ok then
    return error(value, 0)
  end
  return value, extra
end

local function attempt_once(database, lease, record, sql, access, params, n, options, take, a, b, c)
  local op
  if lease then
    -- outside a transaction a write waits for the file's writer, which this very task may hold on another connection
    local waits = access == "write" and database.writer ~= database.readers and lease:state() == "none"
      and holding.writer_taken(database, lease)
    op = lease:query(sql, access, params, n, options)
    if waits then
      holding.await(database, op, "write", waits)
    else
      await(op)
    end
  elseif database.on_fresh then
    return on_own_lease(database, record, sql, access, params, n, options, take, a, b, c)
  elseif database.tally.held > 0 then
    holding.check_testing(database)
    local waits = database.pool:would_wait(access or "read")
    op = database.pool:query(sql, access, params, n, options)
    holding.await(database, op, access, waits)
  else
    op = database.pool:query(sql, access, params, n, options)
    await(op)
  end
  if record then
    return event.take(record, op, take, a, b, c)
  end
  return take(op, a, b, c)
end

--- A statement has failed inside the frame: the first one to do so is the cause of what fails because of it.
---@param frame moonpool.frame?  ---@param err moonpool.error
function statement.blame(frame, err)
  if frame and err.kind == "in_failed_transaction" then
    err.cause = err.cause or frame.failure
    err.retryable = err.cause and err.cause.retryable == "transaction" and "transaction" or err.retryable
  elseif frame then
    frame.failure = frame.failure or err
  end
end

-- After a failure: try again where that is honest, or raise.
local function recover(problem, frame, database, lease, record, sql, ...)
  local attempt = 1
  while true do
    local pause = not lease and holding.pause(database, problem, attempt)
    if not pause then
      local err = fail(database, sql, problem)
      statement.blame(frame, err)
      return error(err, 0)
    end
    attempt = attempt + 1
    runtime.sleep(pause)
    local value, extra = attempt_once(database, lease, record, sql, ...)
    if value ~= nil or type(extra) ~= "table" then
      return value, extra
    end
    problem = extra
  end
end

local function perform(frame, database, lease, record, ...)
  local value, extra = attempt_once(database, lease, record, ...)
  if value == nil and type(extra) == "table" then
    return recover(extra, frame, database, lease, record, ...)
  end
  return value, extra
end

local function observed(frame, database, lease, sql, access, params, n, ...)
  local record = event.start(database, sql, n)
  local ok, value, extra = pcall(perform, frame, database, lease, record, sql, access, params, n, ...)
  if not ok then
    record.error = value
    event.finish(database, record)
    return error(value, 0)
  end
  event.finish(database, record)
  return value, extra
end

--- Run a statement and take its answer.
---@param database table
---@param lease userdata? a connection to run it on; nil: where the calling task's statements go
---@param sql string with the server's own placeholders
---@param access "read"|"write"|nil
---@param params table
---@param n integer
---@param options table? of the core's query
---@param take function core.rows, core.objects ...: called with the operation and a, b, c
---@return any value, any extra what take gave
--- Raises the database's errors, concurrency, pool_deadlock, cancelled.
function statement.run(database, lease, sql, access, params, n, options, take, a, b, c)
  local frame
  if not lease then
    local task = current()
    local held = task.locals[database]
    frame = held and held.frame
    if frame and not task.session then -- nearly every statement of a transaction; place_of says the same
      lease = frame.lease
    elseif held or task.branch_of or task.session then
      lease, frame = place_of(database, task, access, options and options.reads)
    end
    if frame and frame.testing then
      return statement.apart(database, statement.run, database, nil, sql, access, params, n, options, take, a, b, c)
    end
  end
  if database.observers then
    return observed(frame, database, lease, sql, access, params, n, options, take, a, b, c)
  end
  local value, extra
  if not frame and (lease or database.on_fresh or database.tally.held > 0) then
    value, extra = attempt_once(database, lease, nil, sql, access, params, n, options, take, a, b, c)
  else -- nearly every statement: attempt_once says the same, at the price of one more call
    local op = (lease or database.pool):query(sql, access, params, n, options)
    await(op)
    value, extra = take(op, a, b, c)
  end
  if value == nil and type(extra) == "table" then
    return recover(extra, frame, database, lease, nil, sql, access, params, n, options, take, a, b, c)
  end
  return value, extra
end

--- Run one statement for many rows of parameters. It belongs into a transaction: the caller sees to that.
---@param values any[] n for each row, one row behind the other
---@param rows integer how many rows
---@param from integer how many rows of `values` are left out before them
---@param way "many"|"copy_in"|"copy_rows"|"by_column"|nil how: the statement is run for each, is a COPY and they are its data
--- (copy_rows: `values` is a list of rows), or takes them at once as arrays
---@param take function? as for run
---@return any value what take gave: the number of affected rows; copy_rows: nil where it takes none of the rows
---@return integer? sent copy_rows: how many it took
function statement.many(database, lease, sql, values, n, rows, from, options, way, take, a)
  local frame
  if not lease then
    lease, frame = place_of(database, current(), "write", options and options.reads)
    if frame and frame.testing then
      return statement.apart(database, statement.many, database, nil, sql, values, n, rows, from, options, way, take, a)
    end
  end
  local record = database.observers and event.start(database, sql, n)
  local op, sent = lease[way or "many"](lease, sql, values, n, rows, from, options)
  if op == nil then
    return nil
  end
  await(op)
  local value, problem
  take = take or core.take
  if record then
    value, problem = event.take(record, op, take, a)
  else
    value, problem = take(op, a)
  end
  local err = value == nil and fail(database, sql, problem) or nil
  if err then
    statement.blame(frame, err)
  end
  if record then
    record.error = err
    event.finish(database, record)
  end
  if err then
    return error(err, 0)
  end
  return value, sent
end

--- Where a statement of the calling task goes now: a lease, or nil for the pool.
---@param reads table<string, true>? the tables whose rows it sees; nil where nobody knows
---@return userdata? lease, table? frame
function statement.place(database, access, reads)
  return place_of(database, current(), access, reads)
end

statement.fail = fail
statement.name_row = name_row

return statement
