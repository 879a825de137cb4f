-- mp.decimal: exact numbers, on Lua 5.4 and on LuaJIT.

local core = require "moonpool.core"

local D = core.decimal

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

describe("a decimal", function()
  it("keeps the scale that was written", function()
    for _, text in ipairs { "1.20", "0", "-0.05", "100", "0.000", "123456789012345678901234567890.120" } do
      assert.equal(text, tostring(D(text)))
    end
  end)

  it("is made canonical", function()
    assert.equal("1.5", tostring(D "+01.5"))
    assert.equal("0.00", tostring(D "-0.00"))
    assert.equal("12000", tostring(D "1.2e4"))
    assert.equal("0.5", tostring(D ".5"))
  end)

  it("is made of whole numbers, and of floats by their shortest text", function()
    assert.equal("7", tostring(D(7)))
    assert.equal("9007199254740993", tostring(D(core.json_decode "9007199254740993")))
    assert.equal("9223372036854775807", tostring(D(core.json_decode "9223372036854775807")))
    assert.equal("0.1", tostring(D(0.1)))
    assert.equal("-2.5", tostring(D(-2.5)))
  end)

  it("is the same object when it is one already", function()
    local d = D "1.20"
    assert.is_true(rawequal(d, D(d)))
  end)

  it("refuses what is no number, and says what", function()
    for _, text in ipairs { "", "abc", "1,5", "1.2.3", "0x10", "1 ", "NaN", "1e2000" } do
      local err = raised(D, text)
      assert.equal("bad_argument", err.kind)
      assert.truthy(err.message:find(text, 1, true))
    end
    assert.equal("mp.decimal takes a text or a number, not a table", raised(D, {}).message)
    assert.equal("mp.decimal takes a text or a number, not nil", raised(D).message)
    assert.equal("bad_argument", raised(D, 0 / 0).kind)
    assert.equal("bad_argument", raised(D, 1 / 0).kind)
  end)
end)

describe("decimal arithmetic", function()
  it("is exact where floats are not", function()
    assert.equal("0.3", tostring(D "0.1" + D "0.2"))
    assert.equal("0.1", tostring(D "0.3" - D "0.2"))
    assert.equal("99999999999999999999999999999.99",
      tostring(D "100000000000000000000000000000.00" - D "0.01"))
  end)

  it("keeps the greater scale in sums and both in products", function()
    assert.equal("4.20", tostring(D "1.20" + 3))
    assert.equal("1.80", tostring(3 - D "1.20"))
    assert.equal("0.600", tostring(D "1.20" * D "0.5"))
    assert.equal("2.40", tostring(2 * D "1.20"))
    assert.equal("-1.20", tostring(-D "1.20"))
    assert.equal("0.00", tostring(-D "0.00"))
  end)

  it("divides to six digits more, and cuts nothing that is exact", function()
    assert.equal("0.333333", tostring(D "1" / 3))
    assert.equal("3.5", tostring(D "7" / 2))
    assert.equal("2.00", tostring(D "6.00" / 3))
    assert.equal("0.25", tostring(1 / D "4"))
  end)

  it("gives remainders the sign of the dividend", function()
    assert.equal("-1", tostring(D "-7" % 2))
    assert.equal("1", tostring(D "7" % -2))
    assert.equal("0.5", tostring(D "2.5" % 1))
  end)

  it("refuses floats, and says how to convert", function()
    for _, fn in ipairs {
      function() return D "1" + 1.5 end,
      function() return 1.5 * D "1" end,
      function() return D "1" / 0.5 end,
    } do
      local err = raised(fn)
      assert.equal("bad_argument", err.kind)
      assert.truthy(err.message:find("mp.decimal(x)", 1, true))
    end
  end)

  it("refuses what is no number", function()
    assert.equal("cannot calculate a decimal + a table", raised(function() return D "1" + {} end).message)
    assert.equal("cannot calculate a decimal + a string", raised(function() return D "1" + "1" end).message)
    assert.equal("cannot calculate a date * a decimal",
      raised(function() return core.date "2026-01-01" * D "1" end).message)
  end)

  it("raises division_by_zero, out_of_range and unsupported", function()
    assert.equal("division_by_zero", raised(function() return D "1" / 0 end).kind)
    assert.equal("division_by_zero", raised(function() return D "1" % D "0.00" end).kind)
    assert.equal("unsupported", raised(function() return D "2" ^ 2 end).kind)
    local large = D(("9"):rep(600))
    assert.equal("out_of_range", raised(function() return large * large end).kind)
  end)
end)

describe("decimals compared", function()
  it("are equal by value, whatever the scale", function()
    assert.is_true(D "1.20" == D "1.2")
    assert.is_true(D "0.00" == D "0")
    assert.is_false(D "1.20" == D "1.21")
    assert.is_true(D "100000000000000000000" == D "100000000000000000000.00")
  end)

  it("are never equal to a number, except by eq", function()
    assert.is_false(D "1" == 1)
    assert.is_true(D "1.00":eq(1))
    assert.is_true(D "0.5":eq(0.5))
    assert.is_true(D "0.5":eq "0.50")
    assert.is_false(D "0.5":eq(1))
    assert.equal("bad_argument", raised(function() return D "1":eq {} end).kind)
  end)

  it("have the order of their values", function()
    local list = {}
    for _, text in ipairs { "10", "9.99", "-1", "0.5", "123456789012345678901234567890", "-0.01", "2" } do
      list[#list + 1] = D(text)
    end
    table.sort(list, function(a, b) return a < b end)
    for i, d in ipairs(list) do list[i] = tostring(d) end
    assert.same({ "-1", "-0.01", "0.5", "2", "9.99", "10", "123456789012345678901234567890" }, list)
    assert.is_true(D "1.0" <= D "1")
    assert.is_true(D "1.5" > D "1")
  end)

  -- LuaJIT does not ask a metamethod about a number and a userdata.
  if not core.jit then
    it("have an order with whole numbers", function()
      assert.is_true(D "1.5" < 2)
      assert.is_true(2 > D "1.5")
      assert.is_true(D "2.00" <= 2)
      assert.equal("cannot compare a decimal with a number", raised(function() return D "1" < 1.5 end).message)
    end)
  end

  it("have no order with anything else", function()
    assert.is_false(pcall(function() return D "1" < core.date "2026-01-01" end))
    assert.is_false(pcall(function() return D "1" < "2" end))
  end)
end)

describe("a decimal's methods", function()
  it("round half away from zero, as the databases do", function()
    assert.equal("1.3", tostring(D "1.25":round(1)))
    assert.equal("1.4", tostring(D "1.35":round(1)))
    assert.equal("3", tostring(D "2.5":round()))
    assert.equal("-3", tostring(D "-2.5":round()))
    assert.equal("1.2500", tostring(D "1.25":round(4)))
    assert.equal("-1", tostring(D "-0.6":round(0)))
    assert.equal("bad_argument", raised(function() return D "1":round(-1) end).kind)
    assert.equal("bad_argument", raised(function() return D "1":round(1.5) end).kind)
  end)

  it("give numbers", function()
    assert.equal(1.25, D "1.25":tonumber())
    assert.equal(0.1, D "0.1":tonumber())
    assert.equal(5, D "5.00":tointeger())
    assert.is_nil(D "5.01":tointeger())
    assert.equal("9223372036854775807", core.json_encode(D "9223372036854775807":tointeger()))
    assert.is_nil(D "9223372036854775808":tointeger())
  end)

  it("say so when they are called without a decimal", function()
    assert.equal("bad_argument", raised(D "1".round, 2).kind)
  end)

  it("join with texts", function()
    assert.equal("price: 1.20", "price: " .. D "1.20")
    assert.equal("1.20 EUR", D "1.20" .. " EUR")
    assert.equal("1.202", D "1.20" .. 2)
    assert.equal("bad_argument", raised(function() return D "1" .. {} end).kind)
  end)
end)

describe("quantize", function()
  it("refuses to lose digits when it has to be exact", function()
    assert.is_nil((core.quantize(D "1.234", 2, true)))
    assert.equal("1.20", tostring(core.quantize(D "1.200", 2, true)))
    assert.equal("1.23", tostring(core.quantize(D "1.234", 2, false)))
    assert.equal("5.00", tostring(core.quantize(D "5", 2, true)))
  end)
end)
