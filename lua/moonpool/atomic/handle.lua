-- What a program holds of a transaction: the tx of a block, of db:begin() and of tx:savepoint(). Ends it by hand, takes
-- hooks. What a frame is and how it ends is moonpool.database.transaction's.

local errors = require "moonpool.errors"
local holding = require "moonpool.database.holding"
local runtime = require "moonpool.runtime"
local transaction = require "moonpool.database.transaction"

local pack = table.pack or function(...)
  return { n = select("#", ...), ... }
end

local handle = {}

-- Runs a function as a nested block; set by block.lua, which stands on this file.
handle.nested = nil

---@class moonpool.transaction
local Transaction = { __name = "moonpool transaction", __json = "a transaction" }
Transaction.__index = Transaction

-- What tx:rollback() raises to get out of its block; the block takes it for its end.
local Quit = { __name = "moonpool rollback" }

function Quit:__tostring()
  return "tx:rollback() ends its block; let this pass"
end

local function check(self)
  if getmetatable(self) ~= Transaction then
    return errors.raise("bad_argument", "a method of a transaction is called with a colon: tx:commit()")
  end
  local frame = self.frame
  if frame.over then
    return errors.raise("stale_handle", "the " .. (frame.savepoint and "savepoint" or "transaction") .. " has ended")
  end
  holding.owned(frame, "a transaction")
  return frame
end

local function check_hook(fn, name)
  if type(fn) ~= "function" then
    errors.raise("bad_argument", name .. " takes a function, not a " .. type(fn))
  end
end

function handle.new(frame)
  return setmetatable({ frame = frame }, Transaction)
end

--- Run fn after the outermost commit; never if this block is undone.
---@param fn fun()
--- Raises stale_handle, concurrency.
function Transaction:on_commit(fn)
  check_hook(fn, "on_commit")
  local frame = check(self)
  frame.committed = frame.committed or {}
  frame.committed[#frame.committed + 1] = fn
end

--- Run fn after this block, or one around it, was rolled back.
---@param fn fun()
--- Raises stale_handle, concurrency.
function Transaction:on_rollback(fn)
  check_hook(fn, "on_rollback")
  local frame = check(self)
  frame.undone = frame.undone or {}
  frame.undone[#frame.undone + 1] = fn
end

--- Undo the work. In a block: ends it quietly, and mp.atomic returns the arguments.
---@param ... any
--- Raises stale_handle, concurrency.
function Transaction:rollback(...)
  local frame = check(self)
  if frame.block then
    local quit = setmetatable({ values = pack(...) }, Quit)
    frame.quit = quit
    return error(quit, 0)
  end
  local problem = transaction.rollback(frame)
  if problem then
    return holding.fail(problem)
  end
end

--- Commit a transaction that was begun by hand.
--- Raises what a commit can fail with, in_failed_transaction, stale_handle, concurrency.
function Transaction:commit()
  local frame = check(self)
  if frame.block then
    return errors.raise("bad_argument", "the block commits at its end; tx:rollback() ends it without")
  elseif frame.savepoint then
    return errors.raise("bad_argument", "a savepoint is not committed: sp:release() keeps its work")
  end
  return transaction.commit(frame)
end

--- A savepoint by hand: sp:release() keeps what follows, sp:rollback() undoes it.
---@return moonpool.transaction
--- Raises in_failed_transaction, stale_handle, concurrency.
function Transaction:savepoint()
  local outer = check(self)
  if transaction.current(outer.database) ~= outer then
    return errors.raise("bad_argument",
      "there is a newer savepoint or block inside this transaction: end it first, or take the savepoint there")
  end
  local frame = transaction.begin(outer.database)
  frame.savepoint = true
  return handle.new(frame)
end

--- Keep the savepoint's work, as part of what is around it.
--- Raises in_failed_transaction, stale_handle, concurrency.
function Transaction:release()
  local frame = check(self)
  if not frame.savepoint then
    return errors.raise("bad_argument", "only a savepoint is released; a transaction is committed")
  end
  return transaction.commit(frame)
end

--- Run the functions in this transaction, one after the other, each in a savepoint.
---@param ... fun(): any
---@return any ... the first value of each
--- Raises the first error; what that function did is undone.
function Transaction:gather(...)
  local frame = check(self)
  local list, values = pack(...), {}
  for place = 1, list.n do
    check_hook(list[place], "gather")
  end
  for place = 1, list.n do
    values[place] = handle.nested(frame.database, list[place])
  end
  return (unpack or table.unpack)(values, 1, list.n)
end

--- Roll back unless it has ended. May be called twice. In a coroutine that is being closed, which cannot wait, a transaction is
--- rolled back by the pool.
--- Raises concurrency; not_yieldable for a savepoint.
function Transaction:close()
  local frame = self.frame
  if frame.over or frame.block then
    return
  end
  check(self)
  if frame.parent == nil and not pcall(runtime.check_wait) then
    return transaction.drop(frame)
  end
  transaction.rollback(frame)
end

Transaction.__close = errors.closing(Transaction.close)

function Transaction:__tostring()
  return (self.frame.savepoint and "savepoint" or "transaction") .. " of " .. tostring(self.frame.database)
end

return handle
