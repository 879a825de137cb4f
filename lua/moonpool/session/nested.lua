-- Savepoints of a session: one in each database that it has touched, begun, kept and undone together. What it touches for
-- the first time later on is undone as a whole with them.

local errors = require "moonpool.errors"
local holding = require "moonpool.database.holding"
local runtime = require "moonpool.runtime"
local transaction = require "moonpool.database.transaction"

local nested = {}

---@class moonpool.session_savepoint
local Nested = { __name = "moonpool savepoint of a session", __json = "a savepoint" }
Nested.__index = Nested

local function check(self)
  for _, frame in ipairs(self.frames) do
    if frame.over then
      return errors.raise("stale_handle", "the savepoint has ended")
    end
    holding.owned(frame, "a savepoint")
  end
end

local function is_over(self)
  for _, frame in ipairs(self.frames) do
    if not frame.over then
      return false
    end
  end
  return true
end

-- Every frame from the latest on; all of them, whatever one of them raises.
local function each_back(self, fn)
  local attempts = errors.attempts()
  for place = #self.frames, 1, -1 do
    attempts:try(fn, self.frames[place])
  end
  return attempts:raise()
end

local function undo_frame(frame)
  if not frame.over then
    holding.owned(frame, "a savepoint")
    transaction.rollback(frame)
  end
end

-- Where a block runs in a database that is to be undone as a whole, that ends first.
local function check_blocks(self)
  local frames = self.unit.frames
  for place = #self.frames + 1, #frames do
    local above = transaction.innermost(frames[place].database)
    while above and above ~= frames[place] do
      if above.block then
        return errors.raise("bad_argument", "a savepoint cannot be undone while a block inside it runs in "
          .. tostring(above.database) .. ": end that first")
      end
      above = above.parent
    end
  end
end

local function undo(self)
  check_blocks(self)
  runtime.check_wait()
  local attempts = errors.attempts()
  attempts:try(self.unit.undo_since, self.unit, #self.frames, self.began_with)
  attempts:try(each_back, self, undo_frame)
  return attempts:raise()
end

--- Begin one by hand.
---@return moonpool.session_savepoint
function nested.open(unit)
  local self = setmetatable({ unit = unit, frames = {}, began_with = unit:known() }, Nested)
  local attempts = errors.attempts()
  attempts:try(function()
    for place, outer in ipairs(unit.frames) do
      local frame = transaction.begin(outer.database)
      frame.savepoint = true
      self.frames[place] = frame
    end
  end)
  if attempts.failed then
    attempts:try(each_back, self, transaction.rollback)
  end
  attempts:raise()
  return self
end

local function finish(unit, n, began_with, ok, ...)
  if ok then
    return ...
  end
  local err = ...
  local undone, problem = pcall(unit.undo_since, unit, n, began_with)
  if not undone then
    errors.suppress(err, problem)
  end
  return error(err, 0)
end

--- Run fn in blocks of all databases that were touched.
---@param run fun(database: table, options: nil, fn: function, with_tx: boolean): any what runs a block on one
function nested.run(unit, fn, run)
  local frames, began_with = { (unpack or table.unpack)(unit.frames) }, unit:known()
  local function inside(place)
    if frames[place] == nil then
      return fn()
    end
    return run(frames[place].database, nil, inside, false, place + 1)
  end
  return finish(unit, #frames, began_with, pcall(inside, 1))
end

--- Keep the work, as part of what is around it.
--- Raises in_failed_transaction, stale_handle, concurrency, and what flushing raises.
function Nested:release()
  check(self)
  return each_back(self, transaction.commit)
end

Nested.commit = Nested.release

--- Undo it.
--- Raises stale_handle, concurrency.
function Nested:rollback()
  check(self)
  return undo(self)
end

--- Undo it unless it has ended. May be called twice.
function Nested:close()
  if not is_over(self) then
    return undo(self)
  end
end

Nested.__close = errors.closing(Nested.close)

function Nested.__tostring()
  return "savepoint of a session"
end

return nested
