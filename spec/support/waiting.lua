-- For what becomes so by itself: a server ends its sessions, a pool cleans its connections. A specification asks until it is so;
-- the bound is for what never happens, far beyond what a slow machine needs, and decides nothing else.

local luassert = require "luassert"
local mp = require "moonpool"

local waiting = {}

local LONGEST_S = 60

--- Ask until the answer is the expected one; an error that shows the last answer if it never is.
function waiting.until_equal(expected, ask)
  local last = os.time() + LONGEST_S
  local found = ask()
  while found ~= expected and os.time() <= last do
    mp.sleep(0.001)
    found = ask()
  end
  luassert.equal(expected, found)
end

--- Ask until the answer is true.
function waiting.until_true(ask)
  waiting.until_equal(true, function() return ask() and true or false end)
end

return waiting
