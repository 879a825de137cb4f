-- mp.blob, mp.null, mp.array, the UUIDs, and what kind a Lua value is.

local core = require "moonpool.core"

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

describe("mp.blob", function()
  it("holds any bytes", function()
    local bytes = "\0\1\255" .. ("x"):rep(100000)
    assert.equal(bytes, tostring(core.blob(bytes)))
    assert.equal(100003, #core.blob(bytes))
    assert.equal("", tostring(core.blob ""))
    assert.is_true(core.blob "a" == core.blob "a")
    assert.is_false(core.blob "a" == core.blob "b")
    assert.is_true(core.blob "a" < core.blob "b")
    assert.equal("mp.blob takes a string, not a number", raised(core.blob, 1).message)
  end)
end)

describe("mp.null", function()
  it("is one value, and prints as null", function()
    assert.equal("null", tostring(core.null))
    assert.is_true(core.null == core.null)
    assert.equal("null", core.kind_of(core.null))
    assert.equal("userdata", type(core.null))
  end)
end)

describe("mp.array", function()
  it("marks the very table it is given", function()
    local t = { 1 }
    assert.is_true(rawequal(t, core.array(t)))
    assert.is_true(rawequal(t, core.array(t)))
    assert.equal("bad_argument", raised(core.array, setmetatable({}, {})).kind)
    assert.equal("mp.array takes a table, not a string", raised(core.array, "x").message)
  end)
end)

describe("a UUID", function()
  local form = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-(%x)%x%x%x%-([89ab])%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"

  it("has the form of its version, in small letters", function()
    for _ = 1, 100 do
      local four, seven = core.uuid4(), core.uuid7()
      assert.equal("4", four:match(form))
      assert.equal("7", seven:match(form))
      assert.equal(four:lower(), four)
      assert.equal(seven:lower(), seven)
    end
  end)

  it("of version 7 is in order and holds the time", function()
    local before, last = os.time(), core.uuid7()
    for _ = 1, 20000 do
      local uuid = core.uuid7()
      assert.is_true(last < uuid)
      last = uuid
    end
    local ms = tonumber((last:gsub("-", "")):sub(1, 12), 16)
    assert.is_true(ms >= before * 1000 and ms <= (os.time() + 60) * 1000)
  end)

  it("of version 4 is another each time", function()
    local seen = {}
    for _ = 1, 1000 do
      local uuid = core.uuid4()
      assert.is_nil(seen[uuid])
      seen[uuid] = true
    end
  end)
end)

describe("kind_of", function()
  it("names the kind of every value", function()
    local cases = {
      { true, "bool" }, { 1, "int" }, { 1.5, "float" }, { 3.0, "int" }, { 1 / 0, "float" }, { "x", "text" },
      { core.blob "x", "blob" }, { core.decimal "1", "decimal" }, { core.date "2026-01-01", "date" },
      { core.time "12:00", "time" }, { core.datetime(0), "datetime" }, { core.interval "P1D", "interval" },
      { {}, "json" }, { core.json_decode "9223372036854775807", "int" },
    }
    for _, case in ipairs(cases) do assert.equal(case[2], core.kind_of(case[1])) end
    assert.equal("null", core.kind_of(nil))
    assert.is_nil(core.kind_of(print))
    assert.is_nil(core.kind_of(io.stdout))
  end)
end)

describe("text_length", function()
  it("counts characters", function()
    assert.equal(0, core.text_length "")
    assert.equal(5, core.text_length "aä€😀z")
    assert.equal(1000000, core.text_length(("ä"):rep(1000000)))
  end)

  it("finds the first bad byte", function()
    for text, bad in pairs { ["ab\0c"] = 3, ["\255"] = 1, ["ä\192\128"] = 3, ["\237\160\128"] = 1, ["abcdefgh\195"] = 9 } do
      local length, at = core.text_length(text)
      assert.is_nil(length)
      assert.equal(bad, at)
    end
  end)
end)
