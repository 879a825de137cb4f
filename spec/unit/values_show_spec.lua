-- mp.show: any Lua value as a text to read.

local core = require "moonpool.core"

local show = core.show

describe("mp.show", function()
  it("puts what fits on one line, keys sorted", function()
    assert.equal('{ 1, 2, [10] = 1.5, a = true, b = "x", ["c d"] = null }',
      show { 1, 2, b = "x", a = true, ["c d"] = core.null, [10] = 1.5 })
    assert.equal("{}", show {})
    assert.equal("{ {}, { a = {} } }", show { {}, { a = {} } })
  end)

  it("puts each entry on its own line otherwise", function()
    local long = ("x"):rep(40)
    assert.equal(('{\n  a = "%s",\n  b = {\n    "%s",\n    "%s",\n  },\n  c = { 1 },\n}'):format(long, long, long),
      show { a = long, b = { long, long }, c = { 1 } })
  end)

  it("shows values as their text", function()
    assert.equal("{ 1.20, 2026-11-20, 12:30:00, 1970-01-01T00:00:00Z, P1D, null }", show {
      core.decimal "1.20", core.date "2026-11-20", core.time "12:30", core.datetime(0), core.interval "P1D", core.null })
    assert.equal('blob "\\x00\\xff"', show(core.blob "\0\255"))
    assert.equal("nil", show(nil))
    assert.equal("<function>", show(print))
    assert.equal("9223372036854775807", show(core.json_decode "9223372036854775807"))
    assert.equal("Infinity", show(1 / 0))
  end)

  it("escapes what would move a cursor, and bytes that are no text", function()
    assert.equal([["\x1b[31m\n\t\"\\ äö€😀 \xff\xc2\x85\x7f"]], show "\27[31m\n\t\"\\ äö€😀 \255\194\133\127")
    assert.equal([["\xe2\x82"]], show "\226\130")
  end)

  it("shows cycles and cuts great depths", function()
    local t = {}
    t.me = t
    assert.equal("{ me = <cycle> }", show(t))
    local deep = {}
    for _ = 1, 20 do deep = { deep } end
    assert.equal("{ { { { { { { { {...} } } } } } } } }", show(deep))
  end)

  it("runs no metamethod of data, and lets handles print themselves", function()
    local data = setmetatable({ a = 1 }, { __index = error, __pairs = error, __tostring = error, __name = "Author" })
    assert.equal("Author { a = 1 }", show(data))
    local handle = setmetatable({ secret = 1 }, { __json = "a handle", __tostring = function() return "<handle>" end })
    assert.equal("{ h = <handle> }", show { h = handle })
  end)
end)
