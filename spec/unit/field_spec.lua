-- Fields: what they take, what they refuse and with which words.

local core = require "moonpool.core"
local field = require "moonpool.field"
local model = require "moonpool.resolve.model"
local sql = require "spec.support.sql"

local f = field.types

-- The field called `value` of an entity that has nothing else.
local function one(declaration)
  return model.declare("Thing", { value = declaration }):field "value"
end

local function refusal(declaration, value)
  local taken, why = one(declaration):check(value)
  assert.is_nil(taken)
  return why
end

describe("a whole number", function()
  it("is taken as it is or from its text", function()
    assert.equal(3, one(f.integer()):check(3))
    assert.equal(3, one(f.integer()):check "3")
    assert.equal(-3, one(f.bigint()):check(-3))
    assert.equal(3, one(f.integer()):check(3.0))
  end)

  it("is no boolean, no fraction, no word", function()
    assert.equal("cannot take true as integer", refusal(f.integer(), true))
    assert.matches("^cannot take 1.5 as integer", refusal(f.integer(), 1.5))
    assert.matches('^cannot take "abc" as integer', refusal(f.integer(), "abc"))
    assert.matches("^cannot take a table as integer", refusal(f.integer(), {}))
  end)

  it("fits its column on every database", function()
    assert.matches("it has 16 bits", refusal(f.smallint(), 40000))
    assert.matches("it has 32 bits", refusal(f.integer(), 2147483648))
    assert.matches("it has 32 bits", refusal(f.integer(), -2147483649))
    assert.equal(2147483647, one(f.integer()):check(2147483647))
    assert.equal("9223372036854775807", (tostring(one(f.bigint()):check "9223372036854775807"):gsub("LL", "")))
    assert.matches("bigint", refusal(f.bigint(), "9223372036854775808"))
  end)

  it("keeps between min and max", function()
    assert.equal("must be at least 0, not -1", refusal(f.integer { min = 0 }, -1))
    assert.equal("must be at most 9, not 10", refusal(f.integer { max = 9 }, 10))
    assert.equal(9, one(f.integer { min = 0, max = 9 }):check(9))
  end)
end)

describe("a decimal", function()
  it("is stored with its scale, and never rounded", function()
    local price = one(f.decimal { precision = 6, scale = 2 })
    assert.equal("12.50", tostring(price:check "12.5"))
    assert.equal("12.50", tostring(price:check(12.5)))
    assert.equal("3.00", tostring(price:check(3)))
    assert.matches("more than 2 digits behind the point", refusal(f.decimal { precision = 6, scale = 2 }, "1.005"))
    assert.matches("more than 4 digits before the point", refusal(f.decimal { precision = 6, scale = 2 }, "12345"))
    assert.equal("0.50", tostring(one(f.decimal { precision = 2, scale = 2 }):check "0.5"))
  end)

  it("says how many digits make sense", function()
    assert.matches("precision", sql.error("bad_argument", function() one(f.decimal { precision = 70 }) end))
    assert.matches("scale", sql.error("bad_argument", function() one(f.decimal { precision = 5, scale = 6 }) end))
  end)
end)

describe("a float", function()
  it("is finite", function()
    assert.equal(1.5, one(f.float()):check(1.5))
    assert.equal(1.5, one(f.float()):check "1.5")
    assert.matches("not finite", refusal(f.float(), 1 / 0))
    assert.matches("not finite", refusal(f.float(), 0 / 0))
    assert.matches("^cannot take false as float", refusal(f.float(), false))
  end)
end)

describe("a boolean", function()
  it("is no number", function()
    assert.is_true(one(f.boolean()):check(true))
    local taken, why = one(f.boolean()):check(false)
    assert.is_false(taken)
    assert.is_nil(why)
    assert.equal("cannot take 1 as boolean", refusal(f.boolean(), 1))
  end)
end)

describe("a text", function()
  it("is measured in characters", function()
    assert.equal("äöü", one(f.string { max = 3 }):check "äöü")
    assert.equal("must have at most 3 characters, not 4", refusal(f.string { max = 3 }, "äöüß"))
    assert.equal("must have at most 3 characters, not 4", refusal(f.string { max_length = 3 }, "äöüß"))
    assert.equal("must have at least 2 characters, not 1", refusal(f.text { min = 2 }, "ä"))
    assert.equal("must have at most 255 characters, not 256", refusal(f.string(), ("x"):rep(256)))
  end)

  it("is valid UTF-8 without NUL", function()
    assert.matches("byte 2 is NUL", refusal(f.text(), "a\0b"))
    assert.matches("byte 2 is not valid UTF%-8", refusal(f.text(), "a\255"))
    assert.equal("a\0\255", one(f.binary()):check "a\0\255")
  end)

  it("is no number", function()
    assert.equal("cannot take 5 as string", refusal(f.string(), 5))
  end)
end)

describe("an enum", function()
  it("is one of its values", function()
    local state = f.enum { "draft", "done", default = "draft" }
    assert.equal("done", one(state):check "done")
    assert.equal("draft", one(state):initial())
    assert.equal('cannot take "gone" as enum (its values are draft, done)', refusal(state, "gone"))
  end)

  it("needs values, each once", function()
    sql.error("bad_argument", function() one(f.enum {}) end)
    sql.error("bad_argument", function() one(f.enum { "a", "a" }) end)
    sql.error("bad_argument", function() one(f.enum { 1 }) end)
  end)
end)

describe("times and the rest", function()
  it("are taken from their texts", function()
    assert.equal("2026-11-20", tostring(one(f.date()):check "2026-11-20"))
    assert.equal("2026-11-20T12:00:00Z", tostring(one(f.datetime()):check "2026-11-20 12:00:00"))
    assert.equal("2026-11-20T12:00:00", tostring(one(f.datetime { timezone = false }):check "2026-11-20 12:00:00"))
    assert.equal("walltime", one(f.datetime { timezone = false }).kind_name)
    assert.equal("0192d3f0-0000-7000-8000-000000000000", one(f.uuid()):check "0192D3F0-0000-7000-8000-000000000000")
    assert.matches('^cannot take "yesterday" as date', refusal(f.date(), "yesterday"))
    assert.matches("^cannot take", refusal(f.uuid(), "no"))
  end)

  it("compare with min and max", function()
    assert.matches("at least 2026%-01%-01", refusal(f.date { min = "2026-01-01" }, "2025-12-31"))
  end)

  it("json takes tables and texts alike", function()
    assert.same({ a = 1 }, one(f.json()):check { a = 1 })
    assert.equal("x", one(f.json()):check "x")
    assert.matches("^cannot take a function", refusal(f.json(), print))
    assert.matches("NaN has no JSON form", refusal(f.json(), 0 / 0))
    assert.matches("not UTF%-8", refusal(f.json(), "\255"))
  end)
end)

describe("NULL", function()
  it("in the key of a row is refused with the way out", function()
    assert.equal("must not be NULL: the program gives this key, f.id() is one that the database makes",
      refusal(f.integer { primary_key = true }, nil))
    assert.equal("must not be NULL", refusal(f.string { primary_key = true }, nil))
  end)

  it("is allowed by null = true only, and skips the checks", function()
    assert.equal("must not be NULL", refusal(f.integer(), nil))
    assert.equal("must not be NULL", refusal(f.integer(), core.null))
    local taken, why = one(f.integer { null = true, min = 3, choices = { 4 } }):check(core.null)
    assert.is_nil(taken)
    assert.is_nil(why)
  end)

  it("is left to the database where that makes the value", function()
    local _, why = one(f.integer { server_default = "7" }):check(nil)
    assert.is_nil(why)
    assert.equal("must not be NULL", refusal(f.integer { server_default = "7" }, core.null))
  end)
end)

describe("choices and validate", function()
  it("are asked after the kind", function()
    assert.equal("must be one of its choices, not 3", refusal(f.integer { choices = { 1, 2 } }, 3))
    assert.equal(2, one(f.integer { choices = { 1, 2 } }):check "2")
    local even = f.integer { validate = function(v) return v % 2 == 0, "must be even" end }
    assert.equal("must be even", refusal(even, 3))
    assert.equal(4, one(even):check(4))
  end)

  it("refuse a choice that is no value of the field", function()
    assert.matches("choice 2", sql.error("bad_argument", function() one(f.integer { choices = { 1, "x" } }) end))
  end)
end)

describe("a default", function()
  it("is a value, a text of one, or a function", function()
    assert.equal("0.00", tostring(one(f.decimal { default = "0.00" }):initial()))
    local n = 0
    local counted = one(f.integer { default = function() n = n + 1 return n end })
    assert.equal(1, counted:initial())
    assert.equal(2, counted:initial())
    assert.is_nil(one(f.integer()):initial())
    assert.is_false(one(f.boolean { default = false }):initial())
  end)

  it("of json is each object's own table", function()
    local tags = one(f.json { default = { a = {} } })
    local first = tags:initial()
    first.a.b = 1
    assert.same({ a = {} }, tags:initial())
  end)

  it("is checked when the entity is declared", function()
    assert.matches("its default must be at least 1", sql.error("bad_argument", function()
      one(f.integer { min = 1, default = 0 })
    end))
  end)
end)

describe("options", function()
  it("that are not known are named with the nearest one", function()
    assert.matches("Thing.value: a field of type integer takes no option mim (did you mean min?)",
      sql.error("unknown_option", function() one(f.integer { mim = 3 }) end), nil, true)
  end)

  it("that contradict each other are refused", function()
    assert.matches("a version counts from 1 by itself: it takes no null",
      sql.error("bad_argument", function() one(f.integer { version = true, null = true }) end))
    assert.matches("takes no option version", sql.error("unknown_option", function() one(f.float { version = true }) end))
    assert.matches("a primary key is loaded always",
      sql.error("bad_argument", function() one(f.integer { primary_key = true, lazy = true }) end))
  end)

  it("have kinds of their own", function()
    assert.matches("null is a boolean", sql.error("bad_argument", function() one(f.integer { null = 1 }) end))
    assert.matches("min", sql.error("bad_argument", function() one(f.integer { min = "x" }) end))
  end)
end)

describe("a field type", function()
  it("that is not known is named with the nearest one", function()
    assert.matches("did you mean integer", sql.error("bad_argument", function() return f.interger() end))
  end)
end)

describe("a value in a filter", function()
  it("is refused with the field's name and the value", function()
    local User = sql.entity("User", { age = f.integer { null = true }, name = f.string() })
    assert.equal('User.age: cannot take "abc" as integer', sql.error("bad_argument", function() User:filter { age = "abc" } end):match "^[^%(]*integer")
    assert.matches("User.age: cannot take true as integer", sql.error("bad_argument", function() User:filter { age__in = { 1, true } } end))
    assert.matches("User.name", sql.error("bad_argument", function() User:filter { name = 5 } end))
    assert.matches("NUL", sql.error("bad_argument", function() User:filter { name = "a\0" } end))
  end)
end)
