-- Blocks: mp.atomic(fn). The function's end decides: a return commits, an error rolls back; nested blocks are
-- savepoints. Runs the outermost block again where that was asked for and may help.

local errors = require "moonpool.errors"
local handle = require "moonpool.atomic.handle"
local runtime = require "moonpool.runtime"
local transaction = require "moonpool.database.transaction"

local block = {}

local unpack = unpack or table.unpack
local pcall, error = pcall, error
local new_handle = handle.new

local FIRST_PAUSE, LONGEST_PAUSE = 0.01, 1 -- seconds

-- The function has ended: commit, or undo and pass on why.
local function finish(frame, ok, ...)
  local quit = frame.quit
  if ok and quit == nil then
    transaction.commit(frame)
    return ...
  end
  local undone, problem = pcall(transaction.rollback, frame)
  if quit and (ok or (...) == quit) then
    if not undone then
      return error(problem, 0)
    end
    return unpack(quit.values, 1, quit.values.n)
  end
  local err = ...
  if not undone then
    errors.suppress(err, problem)
  end
  return error(err, 0)
end

--- Run fn as a block on the database, once whatever the options say of retries. As run.
function block.once(database, options, fn, with_tx, ...)
  local frame = transaction.begin(database, options)
  frame.block = true
  if with_tx then
    return finish(frame, pcall(fn, new_handle(frame)))
  end
  return finish(frame, pcall(fn, ...))
end

local function try_once(progress, database, options, fn, with_tx, ...)
  local frame = transaction.begin(database, options)
  frame.block = true
  progress.frame = frame
  if with_tx then
    return finish(frame, pcall(fn, new_handle(frame)))
  end
  return finish(frame, pcall(fn, ...))
end

local again = { serialization = true, deadlock = true, busy = true }

local function may_help(err)
  while errors.is_error(err) do
    if again[err.kind] or err.retryable == "transaction" then
      return true
    end
    err = err.cause
  end
  return false
end

local function gather(ok, ...)
  return ok, { n = select("#", ...), ... }
end

--- Run fn(progress, ...), and again when it failed with what another try may help, up to `times` times more. Once
--- progress.frame is kept (committed) it is not run again.
---@param times integer
---@param fn fun(progress: table, ...): any
---@return any ... what fn returns
--- Raises what fn raised last.
function block.with_retry(times, fn, ...)
  for attempt = 1, times + 1 do
    local progress = {}
    local ok, values = gather(pcall(fn, progress, ...))
    if ok then
      return unpack(values, 1, values.n)
    end
    local err = values[1]
    if attempt > times or progress.frame and progress.frame.kept or not may_help(err) then
      return error(err, 0)
    end
    -- half of it is chance: those that met should not meet again
    local pause = math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ^ (attempt - 1))
    runtime.sleep(pause * (0.5 + math.random() / 2))
  end
end

--- Run fn as a block on the database.
---@param database table
---@param options table? checked: isolation read_only retry durable
---@param fn function
---@param with_tx boolean fn gets the transaction; otherwise what follows
---@return any ... what fn returns
--- Raises what fn raises and what beginning and committing can raise.
function block.run(database, options, fn, with_tx, ...)
  if options and options.retry and not transaction.current(database) then
    return block.with_retry(options.retry, try_once, database, options, fn, with_tx, ...)
  end
  return block.once(database, options, fn, with_tx, ...)
end

function handle.nested(database, fn)
  return (block.once(database, nil, fn, false))
end

return block
