-- A deadline inside of a generator that its consumer has lost: it goes with the generator.

local core = require "moonpool.core"
local mp = require "moonpool"

local function collect()
  collectgarbage()
  collectgarbage()
end

describe("mp.timeout inside of a generator", function()
  it("leaves no timer behind when the generator is lost", function()
    local before = core.census().operations
    local rows = coroutine.wrap(function()
      mp.timeout(3600, mp.timeout, 1800, coroutine.yield, 1)
    end)
    assert.equal(1, rows())
    assert.equal(before + 2, core.census().operations)
    rows = nil -- luacheck: ignore
    collect()
    assert.equal(before, core.census().operations)
  end)

  it("leaves none behind when it ends after all, or passes meanwhile", function()
    local before = core.census().operations
    local rows = coroutine.create(function()
      mp.timeout(3600, coroutine.yield)
      mp.timeout(0.001, function()
        coroutine.yield()
        mp.sleep(0)
      end)
    end)
    coroutine.resume(rows)
    coroutine.resume(rows)
    mp.sleep(0.01)
    collect()
    local ok, err = coroutine.resume(rows)
    assert.is_false(ok)
    assert.equal("timeout", err.kind)
    rows = nil -- luacheck: ignore
    collect()
    assert.equal(before, core.census().operations)
  end)
end)
