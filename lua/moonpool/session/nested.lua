-- Savepoints of a session: one in each database that it has touched, begun, kept and undone together.

local errors = require "moonpool.errors"
local holding = require "moonpool.database.holding"
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

-- Every frame from the latest on; all of them, whatever one of them raises.
local function each_back(self, fn)
  local attempts = errors.attempts()
  for place = #self.frames, 1, -1 do
    attempts:try(fn, self.frames[place])
  end
  return attempts:raise()
end

--- Begin one by hand.
---@return moonpool.session_savepoint
function nested.open(unit)
  local self = setmetatable({ frames = {} }, Nested)
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

--- Run fn in blocks of all databases that were touched.
---@param run fun(database: table, options: nil, fn: function, with_tx: boolean): any what runs a block on one
function nested.run(unit, fn, run)
  local frames = { (unpack or table.unpack)(unit.frames) }
  local function inside(place)
    if frames[place] == nil then
      return fn()
    end
    return run(frames[place].database, nil, inside, false, place + 1)
  end
  return inside(1)
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
  return each_back(self, transaction.rollback)
end

--- Undo it unless it has ended. May be called twice.
function Nested:close()
  return each_back(self, function(frame)
    if not frame.over then
      holding.owned(frame, "a savepoint")
      transaction.rollback(frame)
    end
  end)
end

Nested.__close = Nested.close

function Nested.__tostring()
  return "savepoint of a session"
end

return nested
