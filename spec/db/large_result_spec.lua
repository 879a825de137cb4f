-- Large results and Lua's collector: it works before one is made, not in between, and never against the program.

local mp = require "moonpool"

-- On one database: what makes the rows knows none.
describe("a large result", function()
  local db

  local function rows(n)
    return db:fetch_all("with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)"
      .. " select i, 'row ' || i as name, i / 4.0 as part from n", n)
  end

  before_each(function()
    db = mp.open "sqlite::memory:"
    rows(1)
    collectgarbage()
  end)

  after_each(function()
    db:close()
  end)

  it("is made without the collector going round, but for once before", function()
    local rounds = 0
    local function watch()
      setmetatable({}, { __gc = function()
        rounds = rounds + 1
        watch()
      end })
    end
    watch()
    local all = rows(40000)
    local seen = rounds
    rounds, watch = 0, function() end
    assert.equal("row 40000", all[40000].name)
    assert.is_true(seen <= 1, "rounds: " .. seen)
  end)

  it("is collected like anything else when nobody has it any more", function()
    local before = collectgarbage "count"
    local one = rows(20000)
    local size = collectgarbage "count" - before
    local most = 0
    assert.equal(20000, #one)
    one = nil -- luacheck: ignore
    for _ = 1, 40 do
      assert.equal(20000, #rows(20000))
      most = math.max(most, collectgarbage "count" - before)
    end
    -- The collector's pause is as long as what else there is.
    assert.is_true(most < before + 5 * size, ("%.0f KB for results of %.0f KB, beside %.0f KB"):format(most, size, before))
  end)

  it("leaves a stopped collector alone", function()
    local kept = setmetatable({ {} }, { __mode = "v" })
    collectgarbage "stop"
    local all = rows(40000)
    local running, there = collectgarbage "isrunning", kept[1]
    collectgarbage "restart"
    assert.equal(40000, #all)
    assert.is_false(running)
    assert.is_not_nil(there)
  end)

  it("comes whole with a generational collector", function()
    collectgarbage "generational"
    local last
    for _ = 1, 10 do
      last = rows(5000)
    end
    collectgarbage "incremental"
    for i = 1, 5000 do
      assert.equal("row " .. i, last[i].name)
    end
  end)
end)
