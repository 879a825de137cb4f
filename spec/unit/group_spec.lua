-- core.group: the rows of a prefetch in the lists of their owners.

local core = require "moonpool.core"

local function row(key, n) return { key = key, n = n } end

local function numbers(list)
  local found = { ordered = list.ordered }
  for i, one in ipairs(list) do
    found[i] = one.n
  end
  return found
end

describe("core.group", function()
  it("puts each row into the list of its owner, in the order of the rows", function()
    local lists = {}
    core.group({ row(7, 1), row("a", 2), row(7.0, 3), row(8, 4), row("a", 5), row(7, 6) }, "key",
      { [7] = 1, a = 2, [9] = 3 }, lists, 3, false)
    assert.same({ 1, 3, 6 }, numbers(lists[1]))
    assert.same({ 2, 5 }, numbers(lists[2]))
    assert.is_nil(lists[3])
  end)

  it("goes on with the lists that are there, and says of new ones that they are ordered", function()
    local first = row(1, 0)
    local lists = { { first } }
    core.group({ row(1, 1), row(2, 2), row(1, 3) }, "key", { 1, 2 }, lists, 2, true)
    assert.same({ 0, 1, 3 }, numbers(lists[1]))
    assert.equal(first, lists[1][1])
    assert.same({ 2, ordered = true }, numbers(lists[2]))
  end)

  it("leaves out rows without a key or an owner", function()
    local lists = {}
    core.group({ { n = 1 }, row(3, 2), row(0 / 0, 3) }, "key", { 1, 2 }, lists, 2, false)
    assert.same({}, lists)
    core.group({}, "key", {}, lists, 0, false)
    assert.same({}, lists)
  end)

  it("refuses a place beyond the last, and rows that are none", function()
    assert.has_error(function() core.group({ row(1, 1) }, "key", { 2 }, {}, 1, false) end)
    assert.has_error(function() core.group({ 5 }, "key", { 1 }, {}, 1, false) end)
  end)
end)
