-- After each spec nothing may be left: no request, lease, operation, task, pool or handle that was not there before.
-- What ends in the background is given some turns of the loop, and what is garbage is collected, before it counts.

local busted = require "busted"
local core = require "moonpool.core"
local runtime = require "moonpool.runtime"

local TURNS = 5000 -- of at least a millisecond each: closing a connection takes some, and some time

local function census()
  local counts = core.census()
  counts.tasks = runtime.task_count()
  return counts
end

local function leaks(before)
  local found = {}
  local now = census()
  for _, what in ipairs { "requests", "leases", "operations", "tasks", "pools", "handles" } do
    -- a pool that several specs share may have opened another connection
    if now[what] > before[what] and (what ~= "handles" or now.pools == 0) then
      found[#found + 1] = ("%d %s"):format(now[what] - before[what], what)
    end
  end
  return #found > 0 and table.concat(found, ", ") or nil
end

local before, name

busted.subscribe({ "test", "start" }, function(spec)
  name = spec.name
end)

busted.before_each(function()
  collectgarbage()
  before = census()
end)

busted.after_each(function()
  local left = leaks(before)
  local turns = 0
  while left and turns < TURNS do
    if turns % 50 == 0 then
      collectgarbage()
      collectgarbage() -- what finalizers have let go of
    end
    turns = turns + 1
    runtime.sleep(0.001)
    left = leaks(before)
  end
  if left then
    error(("the spec %q left behind %s"):format(name, left), 0)
  end
end)
