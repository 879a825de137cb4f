-- core.convert: a Lua value or its text as the Lua value of a kind, exactly or not at all.

local core = require "moonpool.core"

local function converted(kind, value)
  local result, why = core.convert(core.kind[kind], value)
  if result == nil then return nil, why end
  return tostring(result), core.kind_of(result)
end

describe("convert", function()
  it("takes a value of the kind as it is", function()
    local d = core.decimal "1.20"
    assert.is_true(rawequal(d, core.convert(core.kind.decimal, d)))
    assert.equal("ä", core.convert(core.kind.text, "ä"))
    assert.is_false(core.convert(core.kind.bool, false))
    assert.equal("\0\255", core.convert(core.kind.blob, "\0\255"))
    assert.equal("\0\255", core.convert(core.kind.blob, core.blob "\0\255"))
    local t = { a = 1 }
    assert.is_true(rawequal(t, core.convert(core.kind.json, t)))
    assert.equal("a JSON string", core.convert(core.kind.json, "a JSON string"))
  end)

  it("takes a table as an array of the server's, if it is one", function()
    local function refused(value) return select(2, core.convert(core.kind.array, value)) end
    for _, t in ipairs { {}, { 1, 2 }, core.array {}, { { 1, core.null }, { 3, 4 } }, { { a = 1 } } } do
      assert.is_true(rawequal(t, core.convert(core.kind.array, t)))
    end
    assert.equal("the tables inside an array must be of one depth and of one length", refused { 1, { 2 } })
    assert.equal("the tables inside an array must be of one depth and of one length", refused { { 1 }, { 2, 3 } })
    assert.equal("an array has neither names nor holes (put mp.null there)", refused { 1, a = 2 })
    assert.equal("an array inside an array cannot be empty", refused { core.array {} })
    assert.equal("an array is a table such as {1, 2, 3}", refused "{1,2}")
    local inside = {}
    inside[1] = inside
    assert.equal("an array has at most 6 dimensions", refused(inside))
  end)

  it("reads texts", function()
    local cases = {
      { "int", "12", "12" }, { "float", "1.5", "1.5" }, { "bool", "true", "true" },
      { "decimal", "012.50", "12.50" }, { "decimal", "1" .. ("0"):rep(200), "1" .. ("0"):rep(200) },
      { "date", "2026-11-20", "2026-11-20" }, { "time", "12:30", "12:30:00" },
      { "datetime", "2026-11-20T12:00:00+01:00", "2026-11-20T11:00:00Z" },
      { "walltime", "2026-11-20 12:00:00", "2026-11-20T12:00:00" }, { "interval", "P2W", "P14D" },
      { "uuid", "01890A5D-AC96-774B-BCCE-B302099A8057", "01890a5d-ac96-774b-bcce-b302099a8057" },
    }
    for _, case in ipairs(cases) do
      assert.equal(case[3], (converted(case[1], case[2])))
    end
    assert.equal("-9223372036854775808", core.json_encode(core.convert(core.kind.int, "-9223372036854775808")))
  end)

  it("converts numbers where that is exact", function()
    assert.equal("5", (converted("int", 5.0)))
    assert.equal("5", (converted("int", core.decimal "5.00")))
    assert.equal(core.jit and "5" or "5.0", (converted("float", 5)))
    assert.equal("0.1", (converted("float", core.decimal "0.1")))
    assert.is_nil((converted("float", core.decimal "0.1000000000000000055511151231257827")))
    assert.equal("0.1", (converted("decimal", 0.1)))
    assert.is_nil((converted("int", 1.5)))
    assert.is_nil((converted("int", 2 ^ 63)))
    assert.is_nil((converted("int", core.decimal "1.5")))
    assert.is_nil((converted("float", core.json_decode "9007199254740993")))
  end)

  it("moves between dates and datetimes at midnight only", function()
    assert.equal("2026-11-20T00:00:00Z", (converted("datetime", core.date "2026-11-20")))
    assert.equal("2026-11-20", (converted("date", core.datetime "2026-11-20T00:00:00Z")))
    assert.is_nil((converted("date", core.datetime "2026-11-20T00:00:01Z")))
    assert.equal("2026-11-20T12:00:00", (converted("walltime", core.datetime "2026-11-20T12:00:00Z")))
  end)

  it("takes no boolean for a number and nothing for a text", function()
    for _, case in ipairs { { "int", true }, { "decimal", false }, { "float", true }, { "bool", 1 }, { "bool", 0 },
      { "text", 12 }, { "text", core.decimal "1" }, { "text", core.date "2026-01-01" }, { "int", {} }, { "date", 1 },
      { "interval", 5 }, { "uuid", 5 }, { "text", core.blob "x" }, { "blob", 5 }, { "int", print }, { "json", print } } do
      local value, why = core.convert(core.kind[case[1]], case[2])
      assert.is_nil(value)
      assert.equal("string", type(why))
    end
  end)

  it("says why not, without the value", function()
    local _, why = core.convert(core.kind.date, "secret")
    assert.equal("a date is such as 2026-11-20", why)
    _, why = core.convert(core.kind.text, "ab\0c")
    assert.equal("the text has a NUL at byte 3: send bytes with mp.blob", why)
    _, why = core.convert(core.kind.text, "ab\255")
    assert.equal("the text is not UTF-8 at byte 3: send bytes with mp.blob", why)
    _, why = core.convert(core.kind.json, { a = { print } })
    assert.equal("a function has no JSON form at $.a[1]", why)
    _, why = core.convert(core.kind.json, { a = "x\0" })
    assert.equal("a string with a NUL, which no database takes, at $.a", why)
  end)

  it("gives nil without a reason for nil and mp.null", function()
    for kind = 1, core.kind.json do
      local value, why = core.convert(kind, core.null)
      assert.is_nil(value)
      assert.is_nil(why)
      value, why = core.convert(kind, nil)
      assert.is_nil(value)
      assert.is_nil(why)
    end
  end)
end)
