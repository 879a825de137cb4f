-- Where the program's Lua objects have their memory: lua/host/memory.c.

local program = require "spec.support.program"

-- With the program's own blocks of memory, or without them.
local function run(code, from)
  local result = program.run({ "-e", code }, "env MOONPOOL_MALLOC=" .. from .. " %s")
  assert.equal("", result.err)
  assert.equal(0, result.code)
  return result.out
end

-- Texts of all sizes in tables of all sizes come, grow, shrink and go in a random order, each table checked before it goes.
local churn = [[
  local size_of, seed, sum = 1500, 7, 0
  local function random(n)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return seed // 256 % n + 1
  end
  local function check(one)
    for i = 1, one.n do
      assert(one[i] == i .. one.text and one["key" .. i] == one.text, "a value is another one")
    end
    assert(one.text == (one.letter):rep(#one.text), "a text is another one")
    sum = sum + #one.text + one.n
  end
  local all = {}
  for round = 1, 6000 do
    local place = random(500)
    local old = all[place]
    if old then check(old) end
    local one = { letter = string.char(96 + random(26)), n = random(20) }
    one.text = one.letter:rep(random(size_of))
    for i = 1, one.n do one[i] = i .. one.text; one["key" .. i] = one.text end
    all[place] = one
    if old and random(2) == 1 then -- a table that becomes smaller
      for i = old.n, 2, -1 do old[i], old["key" .. i] = nil, nil end
      old.n, old.more = 1, true
      check(old)
    end
  end
  for _, one in pairs(all) do check(one) end
  print(sum)
]]

-- Megabytes that are resident: with 60 MB of texts, and after as much work with few as makes many blocks empty.
local rise_and_fall = [[
  local function resident_mb()
    for line in io.lines "/proc/self/status" do
      local kb = line:match "^VmRSS:%s*(%d+)"
      if kb then return kb // 1024 end
    end
  end
  local function make(n)
    local all = {}
    for i = 1, n do all[i] = ("%d"):format(i):rep(900 // #tostring(i)) end
    return all
  end
  local before = resident_mb()
  local all = make(60000)
  local most = resident_mb()
  all = nil
  for _ = 1, 900 do
    make(1000)
    collectgarbage()
  end
  print(most - before > 50, resident_mb() - before < 40)
]]

describe("the program's memory", function()
  it("holds what Lua makes, of any size and in any order", function()
    assert.equal(run(churn, "system"), run(churn, "blocks"))
  end)

  it("goes back to the system when nobody has needed it for long", function()
    if os.getenv "MOONPOOL_UNDER" then
      pending "under a tool that watches memory it is the system's"
    end
    assert.equal("true\ttrue\n", run(rise_and_fall, "blocks"))
  end)
end)
