-- What an entity may not say of its fields, because no database could keep it, or not all of them alike.

local mp = require "moonpool"
local f = mp.field

local function refused(wanted, fields, options)
  local ok, err = pcall(mp.entity, "Item", fields, options)
  assert.is_false(ok)
  assert.matches(wanted, tostring(err), 1, true)
end

describe("a declaration", function()
  it("leaves values between min and max", function()
    refused("Item.a: min is 5 and max is 3: no value is in between", { a = f.integer{ min = 5, max = 3 } })
    refused("Item.a: min is 2.5 and max is 2: no value is in between", { a = f.decimal{ min = "2.5", max = 2 } })
    refused("Item.a: min is 5 and max is 3: no value is in between", { a = f.string{ min = 5, max = 3 } })
    refused("Item.a: min is 5 and max is 3: no value is in between", { a = f.array{ of = f.integer(), min = 5, max = 3 } })
    assert.is_table(mp.entity("Item", { a = f.integer{ min = 5, max = 5 }, b = f.text{ min = 0, max = 0 } }))
  end)

  it("gives a string a length that every database takes", function()
    refused("Item.a: max is a number of characters from 1 to 10485760, not 0", { a = f.string{ max = 0 } })
    refused("not 10485761: f.text{ max = ... } may be longer", { a = f.string{ max = 10485761 } })
    assert.is_table(mp.entity("Item", { a = f.text{ max = 10485761 } }))
  end)

  it("lists at least one choice", function()
    refused("Item.a: choices lists at least one value", { a = f.string{ choices = {} } })
  end)

  it("names each column of a key and of an index once", function()
    refused("Item: primary_key names a twice", { a = f.integer() }, { primary_key = { "a", "a" } })
    refused("Item: index 2 names a twice", { a = f.integer() }, { indexes = { { "a" }, { "a", "a" } } })
  end)

  it("makes no key of what has no order", function()
    refused("Item.a: a field of type json takes no option primary_key", { a = f.json{ primary_key = true } })
    refused("Item: a field of type json, as a is, can be no primary key", { a = f.json() }, { primary_key = { "a" } })
    refused("Item: a field of type array, as a is, can be no primary key", { a = f.array{ of = f.integer() } }, { primary_key = { "a" } })
  end)

  it("does not propose the option that it refuses", function()
    local _, err = pcall(mp.entity, "Item", { a = f.json{ primary_key = true } })
    assert.is_nil(tostring(err):find("did you mean primary_key", 1, true))
  end)
end)

describe("what queries and declarations are made of", function()
  local parts = {
    ["mp.F.age"] = mp.F.age, ["an expression"] = mp.fn.count(), ["a condition"] = mp.Q{ a = 1 },
    ["a field of type string"] = f.string{ max = 5 },
  }

  it("shows by its name", function()
    for wanted, part in pairs(parts) do
      assert.equal(wanted, mp.show(part))
    end
  end)

  it("is no JSON, and so no value of a json field", function()
    for wanted, part in pairs(parts) do
      local ok, err = pcall(mp.json.encode, { part })
      assert.is_false(ok, wanted)
      assert.equal("bad_argument", err.kind)
      assert.matches("at $[1]", err.message, 1, true)
    end
    local model = require("moonpool.resolve.model").declare("Item", { prefs = f.json() })
    local taken, why = model:field("prefs"):check({ theme = mp.F.age })
    assert.is_nil(taken)
    assert.equal("cannot take this as json: mp.json.encode: an expression at $.theme", why)
  end)
end)
