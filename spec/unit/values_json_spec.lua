-- mp.json: Lua values as JSON text and back.

local core = require "moonpool.core"

local encode, decode = core.json_encode, core.json_decode

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

describe("JSON written", function()
  it("has sorted keys, so that equal values have equal texts", function()
    assert.equal('{"a":1,"b":{"c":true,"d":false},"z":"x"}', encode { z = "x", b = { d = false, c = true }, a = 1 })
  end)

  it("is an array for 1 to n, an object for names, and {} for nothing", function()
    assert.equal("[1,2,3]", encode { 1, 2, 3 })
    assert.equal("[[],{}]", encode { core.array {}, {} })
    assert.equal("[null,1]", encode { core.null, 1 })
  end)

  it("keeps whole numbers of 64 bits and floats exactly", function()
    for _, text in ipairs { "9223372036854775807", "-9223372036854775808", "9007199254740993", "0", "-1", "0.1",
      "1.5e300", "5e-324", "-0.5", "100000000000000000000.0" } do
      assert.equal(text, encode(decode(text)))
    end
    assert.equal(core.jit and "3" or "3.0", encode(3.0))
  end)

  it("escapes what must be escaped and nothing else", function()
    assert.equal([["\"\\/\b\f\n\r\t\u0001\u001f]] .. "\127ä€😀" .. [["]],
      encode "\"\\/\b\f\n\r\t\1\31\127ä€😀")
    assert.equal([["\u0000"]], encode "\0")
  end)

  it("writes values that JSON does not have as their text", function()
    assert.equal('["1.20","2026-11-20","12:30:00","1970-01-01T00:00:00Z","P1D"]', encode {
      core.decimal "1.20", core.date "2026-11-20", core.time "12:30", core.datetime(0), core.interval "P1D" })
  end)

  it("writes null for nil and mp.null", function()
    assert.equal("null", encode(nil))
    assert.equal("null", encode(core.null))
  end)

  it("reads tables raw: no metamethod runs", function()
    local t = setmetatable({ a = 1 }, { __index = function() error "asked" end, __pairs = function() error "asked" end,
      __len = function() error "asked" end })
    assert.equal('{"a":1}', encode(t))
  end)

  it("refuses what has no JSON form, with the path", function()
    local cases = {
      { { a = { b = { 1, print } } }, "a function has no JSON form at $.a.b[2]" },
      { { coroutine.create(print) }, "a coroutine has no JSON form at $[1]" },
      { { x = 0 / 0 }, "NaN has no JSON form at $.x" },
      { { x = -1 / 0 }, "infinity has no JSON form at $.x" },
      { { { 1, a = 2 } }, "a table with both names and places has no JSON form at $[1]" },
      { { a = { 1, nil, 3 } }, "an array with a hole (put mp.null there) has no JSON form at $.a" },
      { { [0] = 1 }, "a key that is neither a string nor a place in an array has no JSON form at $" },
      { { [true] = 1 }, "a key that is neither a string nor a place in an array has no JSON form at $" },
      { { a = "\255" }, "a string that is not UTF-8 has no JSON form at $.a" },
      { { ["\255"] = 1 }, "a string that is not UTF-8 has no JSON form at $" },
      { { ["a\0"] = 1 }, "a key with a NUL has no JSON form at $" },
      { { core.blob "x" }, "a blob has no JSON form: encode it as text at $[1]" },
      { { io.stdout }, "a userdata has no JSON form at $[1]" },
    }
    for _, case in ipairs(cases) do
      local err = raised(encode, case[1])
      assert.equal("bad_argument", err.kind)
      assert.equal("mp.json.encode: " .. case[2], err.message)
    end
    local named = core.array { 1 }
    named.a = 1
    assert.equal("bad_argument", raised(encode, named).kind)
  end)

  it("refuses cycles and depths beyond 512", function()
    local cycle = { a = { b = {} } }
    cycle.a.b.c = cycle.a
    assert.equal("mp.json.encode: a table inside itself has no JSON form at $.a.b.c", raised(encode, cycle).message)
    local twice = {}
    assert.equal('{"a":{},"b":{}}', encode { a = twice, b = twice })

    local deep = core.array {}
    for _ = 2, 512 do deep = { deep } end
    assert.equal(("["):rep(512) .. ("]"):rep(512), encode(deep))
    assert.truthy(raised(encode, { deep }).message:find("deeper than 512", 1, true))
  end)

  it("refuses a table that says it is no data", function()
    local query = setmetatable({}, { __json = "a query set: call :all() first" })
    assert.equal("mp.json.encode: a query set: call :all() first at $.q", raised(encode, { q = query }).message)
  end)
end)

describe("JSON read", function()
  it("gives Lua values, and mp.null for null", function()
    local v = decode ' {"a": [1, 2.5, "x", true, false, null], "b": {}} '
    assert.same({ 1, 2.5, "x", true, false }, { v.a[1], v.a[2], v.a[3], v.a[4], v.a[5] })
    assert.is_true(rawequal(core.null, v.a[6]))
    assert.is_nil(next(v.b))
    assert.equal("x", decode '"x"')
    assert.equal("\0ä€😀\n", decode [["\u0000\u00e4\u20ac\ud83d\ude00\n"]])
  end)

  it("remembers which empty tables were arrays", function()
    for _, text in ipairs { "[]", "{}", '{"a":[],"b":{}}', "[[],[{}]]" } do
      assert.equal(text, encode(decode(text)))
    end
    local v = decode "[1]"
    v[1] = nil
    assert.equal("[]", encode(v))
  end)

  it("takes the last of two equal keys", function()
    assert.equal('{"a":2}', encode(decode '{"a":1,"a":2}'))
  end)

  it("refuses what is no JSON, and says where", function()
    for _, text in ipairs { "", "{", "[1,]", "{a:1}", "01", "1 2", "nul", '"\255"', "9223372036854775808", "1e400",
      "'x'", '"\1"', "[1]x" } do
      local err = raised(decode, text)
      assert.equal("json", err.kind)
      assert.truthy(err.message:find("^mp%.json%.decode: no JSON in line %d+, column %d+: "))
    end
    assert.equal("mp.json.decode takes a text, not a table", raised(decode, {}).message)
  end)

  it("refuses depths beyond 512, a million too", function()
    assert.truthy(decode(("["):rep(512) .. ("]"):rep(512)))
    for _, n in ipairs { 513, 2000, 1000000 } do
      assert.equal("json", raised(decode, ("["):rep(n) .. ("]"):rep(n)).kind)
    end
  end)
end)

describe("JSON at random", function()
  local seed = tonumber(os.getenv "MOONPOOL_SEED") or os.time()
  math.randomseed(seed)

  local function random_value(depth)
    local choice = math.random(depth > 4 and 6 or 8)
    if choice == 1 then return math.random(-1000, 1000) end
    if choice == 2 then return (math.random() - 0.5) * 10 ^ math.random(-30, 30) end
    if choice == 3 then return math.random(2) == 1 end
    if choice == 4 then return core.null end
    if choice == 5 then return core.decimal(math.random(-99999, 99999)) / 100 end
    if choice == 6 then return (("ä€\n\"\\x😀"):rep(math.random(0, 3))) end
    local t = choice == 7 and core.array {} or {}
    for i = 1, math.random(0, 5) do
      if choice == 7 then t[i] = random_value(depth + 1) else t["k" .. math.random(20)] = random_value(depth + 1) end
    end
    return t
  end

  it("comes back with the same text", function()
    for _ = 1, 300 do
      local text = encode(random_value(1))
      assert.equal(text, encode(decode(text)), "seed " .. seed)
    end
  end)

  it("with one byte changed is read as a value or refused as no JSON", function()
    for _ = 1, 2000 do
      local text = encode(random_value(2))
      local at = math.random(#text)
      local broken = text:sub(1, at - 1) .. string.char(math.random(0, 255)) .. text:sub(at + 1)
      local ok, value = pcall(decode, broken)
      if ok then
        local again = encode(value)
        assert.equal(again, encode(decode(again)), "seed " .. seed)
      else
        assert.equal("json", value.kind, "seed " .. seed)
      end
    end
  end)
end)
