-- Connections that are held for longer than one statement: by a transaction, a stream, db:connect().
-- Acquires them, keeps the account of who holds what (for pool_deadlock and leak_after), and gives
-- them back. Knows nothing of what is done on them.

local account = require "moonpool.database.account"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local runtime = require "moonpool.runtime"

local holding = {}

local await, await_cleanup, check_cancelled = runtime.await, runtime.await_cleanup, runtime.check_cancelled
local take, now = core.take, core.now
local current, take_key, leave_key = runtime.current, runtime.hold, runtime.unhold

-- All handles on one file share its writer: the key for it, and how many hold, or ask for, a connection to that file.
local files = setmetatable({}, { __mode = "v" })

-- Something that only so many can hold at once, named for messages.
local Key = {}

function Key:__tostring()
  return self.name
end

local function key(name)
  return setmetatable({ name = name }, Key)
end

-- How many hold, or ask for, a connection, in all databases that share the tally. A connection that was lost, or taken away by
-- close, is held by nobody: whoever had it learns that when it uses it, and recount when somebody would wait for it.
local function new_tally()
  local tally = { held = 0, users = setmetatable({}, { __mode = "k" }) }
  function tally.recount()
    for database in pairs(tally.users) do
      for lease in pairs(database.holds) do
        if lease:over() then
          holding.unhold(database, lease)
        end
      end
    end
  end
  return tally
end

--- What a database's holders and waiters are counted by. A writer of a file holds the file's one writing place and the
--- connection that is kept for it; with a single connection everybody waits for that one.
function holding.prepare(database)
  local pool, path = database.options.pool, database.options.database
  database.tally = new_tally()
  database.readers = key((pool.max == 1 and "the connection to " or "a connection to ") .. tostring(database))
  database.readers_max = pool.max
  database.writer = database.readers
  database.writers_max = pool.max
  if database.dialect == "sqlite" and path == ":memory:" then
    database.readers.name = "the only connection of :memory:"
    database.readers_max, database.writers_max = 1, 1
  elseif database.dialect == "sqlite" and pool.max > 1 then
    path = path:gsub("^%./+", "")
    local file = files[path] or new_tally()
    files[path], database.tally = file, file
    file.writer = file.writer or key("the writer of " .. tostring(database))
    database.writer, database.writers_max = file.writer, 1
    database.readers_max = pool.max - 1
  end
  database.holds = setmetatable({}, { __mode = "k" })
  database.tally.users[database] = true
  database.readers.recount, database.writer.recount = database.tally.recount, database.tally.recount
end

-- Raise what the core answered, as an error object.
function holding.fail(problem, sql)
  local err = errors.from_core(problem)
  if sql and err.sql == nil then
    err.sql = sql
  end
  return error(err, 0)
end

--- Wait for an operation that needs a connection, or the writer, which others may hold.
---@param waits boolean what pool:would_wait said before the operation was started
function holding.await(database, op, access, waits)
  if not waits then
    return await(op)
  elseif access == "write" then
    return runtime.await_for(op, database.writer, database.writers_max)
  end
  return runtime.await_for(op, database.readers, database.readers_max)
end

--- Would a statement with this access have to wait for somebody who holds a connection? Asked of
--- the core only where somebody does, or may before it is this one's turn.
function holding.would_wait(database, access)
  return database.tally.held > 0 and database.pool:would_wait(access or "read")
end

--- Would a write on this lease, outside a transaction, have to wait for the file's writer? Which this very task
--- may have on another connection.
function holding.writer_taken(database, lease)
  local hold = database.holds[lease]
  return database.writer ~= database.readers and database.tally.held > 1 and not (hold and hold.access == "write")
    and database.pool:would_wait("write")
end

--- The pause before another attempt, or false when there is to be none: only connecting, and
--- statements of which no byte was sent, are tried again.
function holding.pause(database, problem, attempt)
  local retry = database.options.retry
  if problem.sent or attempt >= retry.attempts or problem.kind == "pool_timeout" then
    return false -- who has waited its time in the pool's queue has had its chance
  elseif problem.retryable ~= "connect" and problem.retryable ~= "statement" and problem.kind ~= "connection_lost" then
    return false
  end
  -- half of it is chance, so that those who failed together do not come back together
  return retry.backoff * 2 ^ (attempt - 1) * (0.5 + math.random() / 2)
end

-- A new connection, before anybody else has it. What on_connect does elsewhere in the database waits for this task.
local function set_up(database, lease, access)
  holding.hold(database, lease, access, "a new connection")
  local ok, err = pcall(database.on_fresh, lease)
  if not ok then
    lease:destroy()
    holding.release(database, lease)
    return error(err, 0)
  end
  holding.unhold(database, lease)
end

--- In mp.testing.rollback everything on the database belongs to the one task whose work will be undone.
--- Raises concurrency in another one.
function holding.check_testing(database)
  local tester = database.testing
  local task = runtime.current()
  if tester and tester ~= task then
    return errors.raise("concurrency", account.standing(task) .. " uses " .. tostring(database) .. " while " .. account.standing(tester)
      .. " is in mp.testing.rollback: what it writes would stay; call its function in the task itself, or test without rollback")
  end
end

--- A connection of one's own, ready for use: on_connect has run on a new one.
---@param database table
---@param access "read"|"write"
---@return userdata lease
--- Raises pool and connection errors, pool_deadlock, cancelled, and what on_connect raises.
function holding.acquire(database, access)
  local tally, attempt = database.tally, 1
  if database.testing then
    holding.check_testing(database)
  end
  while true do
    check_cancelled()
    local waits = tally.held > 0 and database.pool:would_wait(access)
    local lease, op, at_once = database.pool:acquire(access)
    if not at_once then
      tally.held = tally.held + 1 -- whoever queues up behind this one may come to wait for it
      local ok, err = pcall(holding.await, database, op, access, waits)
      tally.held = tally.held - 1
      if not ok then
        lease:release()
        return error(err, 0)
      end
    end
    local fresh, problem = take(op)
    if fresh == nil then
      local pause = holding.pause(database, problem, attempt)
      if not pause then
        if problem.kind == "pool_timeout" then
          account.explain_timeout(database, problem)
        end
        return holding.fail(problem)
      end
      attempt = attempt + 1
      runtime.sleep(pause)
    elseif fresh and database.on_fresh then
      set_up(database, lease, access)
      return lease
    else
      return lease
    end
  end
end

--- Note that the calling task keeps the lease for a while.
---@param what string for messages: "a transaction"
function holding.hold(database, lease, access, what)
  local hold = { access = access, what = what, task = current(), since = now() }
  local tally = database.tally
  if database.options.pool.leak_after then
    account.open(database, hold)
  end
  database.holds[lease] = hold
  tally.held = tally.held + 1
  take_key(access == "write" and database.writer or database.readers)
end

--- A held connection has begun a transaction that may write: where there is one writer, it has that until it ends.
function holding.take_writer(database, lease)
  local hold = database.holds[lease]
  if hold and not hold.writer and database.writer ~= database.readers then
    hold.writer = true
    runtime.hold(database.writer)
  end
end

--- Its transaction has ended.
function holding.leave_writer(database, lease)
  local hold = database.holds[lease]
  if hold and hold.writer then
    hold.writer = nil
    runtime.unhold(database.writer, hold.task)
  end
end

--- The lease is not kept any more. Twice is fine.
function holding.unhold(database, lease)
  local hold = database.holds[lease]
  if hold then
    local tally = database.tally
    if hold.writer then
      holding.leave_writer(database, lease)
    end
    if database.options.pool.leak_after then
      account.report_leaks(database)
    end
    database.holds[lease] = nil
    if next(database.holds) == nil then
      account.close(database)
    end
    tally.held = tally.held - 1
    leave_key(hold.access == "write" and database.writer or database.readers, hold.task)
    if database.closing then
      holding.users(database, database.closing)
    end
  end
end

--- The tasks that keep a connection, as a set.
---@param set table<table, true> emptied and filled
function holding.users(database, set)
  for task in pairs(set) do
    set[task] = nil
  end
  for _, hold in pairs(database.holds) do
    set[hold.task] = true
  end
  return set
end

--- Give a held lease back. Twice is fine.
function holding.release(database, lease)
  holding.unhold(database, lease)
  lease:release()
end

--- What the calling task has of a database: its transaction's frame, the streams it reads.
---@return table|nil
function holding.of(database, task)
  return task.locals[database]
end

--- The same, made if there is nothing yet.
function holding.open(database, task)
  local held = task.locals[database]
  if held == nil then
    held = { database = database, task = task, streams = 0 }
    task.locals[database] = held
  end
  return held
end

--- Forget it again when nothing is left in it.
function holding.tidy(held)
  if held.frame == nil and held.lease == nil and held.streams == 0 then
    held.task.locals[held.database] = nil
  end
end

local OPEN = {} -- key of task.locals: what the task has open

--- When the task ends with `thing` still open, thing:abandon() is called. Things are not kept alive by it.
function holding.watch(task, thing)
  local open = task.locals[OPEN]
  if open == nil then
    open = setmetatable({}, { __mode = "k" })
    task.locals[OPEN] = open
    runtime.on_end(task, function()
      local attempts = errors.attempts()
      local one = next(open)
      while one do
        open[one] = nil
        attempts:try(one.abandon, one)
        one = next(open)
      end
      return attempts:raise()
    end)
  end
  open[thing] = true
end

function holding.unwatch(task, thing)
  local open = task.locals[OPEN]
  if open then
    open[thing] = nil
  end
end

--- A branch of gather or map must not go round the transaction of a task that waits for it.
--- Raises concurrency.
function holding.guard(database, task)
  local parent = task.branch_of
  while parent do
    local held = parent.locals[database]
    if held and held.frame and held.frame.testing then
      return holding.check_testing(database)
    elseif held and held.frame then
      return errors.raise("concurrency", account.standing(task) .. " uses " .. tostring(database) .. " while " .. account.standing(parent)
        .. ", which waits for it, holds a transaction there, and would not be part of it: use tx:gather(...) (same transaction, one after "
        .. "the other), mp.spawn (meant to be apart), or gather outside of the transaction")
    end
    parent = parent.branch_of
  end
end

--- Handles belong to the task that made them.
--- Raises concurrency, naming both tasks.
function holding.owned(handle, what)
  local task = runtime.current()
  if handle.task ~= task then
    return errors.raise("concurrency", what .. " belongs to " .. account.standing(handle.task) .. " and was used by "
      .. account.standing(task) .. ": open one in each task")
  end
  return task
end

-- ---- the statements of transactions ----

--- Wait for BEGIN, COMMIT and so on. Clean-up and commits are waited for to their end, also by a cancelled task.
---@param op integer|true true: it goes with the next statement, and there is nothing to wait for
---@param finished (fun(op: integer))? called before the answer is taken
---@return table? problem
function holding.settle(op, cleanup, finished)
  if op == true then
    if not cleanup then
      runtime.check_cancelled()
    end
    return nil
  elseif cleanup then
    await_cleanup(op)
  else
    await(op)
  end
  if finished then
    finished(op)
  end
  local ok, problem = core.take(op)
  if not ok then
    return problem
  end
  return nil
end

--- Wait for the BEGIN of a pinned connection. Whatever it raises, no transaction is open then.
---@param waits boolean? what pool:would_wait said before the BEGIN was started
--- Raises busy, cancelled, pool_deadlock.
function holding.begun(database, lease, op, waits)
  local ok, err = pcall(function()
    if op == true then
      return runtime.check_cancelled()
    end
    holding.await(database, op, "write", waits)
    local begun, problem = core.take(op)
    if not begun then
      return holding.fail(problem)
    end
  end)
  if ok then
    return
  end
  if lease:state() == "open" then -- cancelled when it had begun, and before we heard of it
    holding.settle(lease:rollback(), true)
  end
  return error(err, 0)
end

return holding
