-- Writing one object: which statement save makes, keys that the program gives, what the server makes of a row, and all
-- that validation says.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("save", function(open, database)
  local db, Item

  before_each(function()
    db = open()
    Item = mp.entity("Item", {
      name = f.string{ max = 10 }, size = f.integer{ default = 1 }, note = f.text{ null = true },
      made = f.integer{ server_default = "40 + 2" },
    }, { database = db })
    db:create_all()
  end)

  local function texts(fn)
    local list = {}
    for place, text in ipairs(databases.statements(db, fn)) do
      list[place] = text:match "^%u+"
    end
    return list
  end

  it("of a new object inserts, of another updates what changed, or nothing", function()
    local one = Item{ name = "a" }
    assert.same({ "INSERT" }, texts(function() one:save() end))
    assert.equal(42, one.made)
    assert.same({}, texts(function() one:save() end))
    one.size = 2
    assert.same({ "UPDATE" }, texts(function() one:save() end))
    one.size = "3" -- a text becomes the value
    one:save()
    assert.equal(3, one.size)
    one.size = "3"
    assert.is_false(one:is_dirty())
  end)

  it("of some fields leaves the others changed", function()
    local one = Item:create{ name = "a" }
    one.name, one.size = "b", 5
    one:save{ fields = { "size" } }
    assert.same({ "name" }, one:dirty_fields())
    assert.same({ "a", 5 }, { Item:get(one.id).name, Item:get(one.id).size })
    assert.same({}, texts(function() one:save{ fields = { "note" } } end))
    raises("unknown_field", function() one:save{ fields = { "nmae" } } end)
    raises("unknown_option", function() one:save{ field = { "name" } } end)
    raises("bad_argument", function() Item{ name = "x" }:save{ fields = { "name" } } end)
  end)

  it("inserts a copy where that is said", function()
    local one = Item:create{ name = "a" }
    one.id = nil
    one:save{ insert = true }
    assert.equal(2, Item:count())
    raises("unique", function() one:save{ insert = true } end)
  end)

  it("after delete inserts again", function()
    local one = Item:create{ name = "a", note = "n" }
    local before = one.id
    assert.equal(1, one:delete())
    assert.is_true(one:is_dirty())
    one:save()
    assert.is_true(one.id > before)
    assert.same({ "a", "n" }, { Item:get(one.id).name, Item:get(one.id).note })
    one:delete()
    raises("bad_argument", function() one:delete() end)
    raises("bad_argument", function() one:refresh() end)
  end)

  it("of an object whose row is gone is stale, and its delete counts nothing", function()
    local one = Item:create{ name = "a" }
    Item:all_rows():delete()
    one.name = "b"
    raises("stale", function() one:save() end)
    assert.equal(0, one:delete())
  end)

  it("writes the row that was read, also when the key is assigned", function()
    local Code = mp.entity("Code", { code = f.string{ primary_key = true }, n = f.integer() }, { database = db })
    local Pair = mp.entity("Pair", { a = f.integer(), b = f.string{ max = 5 }, n = f.integer{ default = 0 } },
      { database = db, primary_key = { "a", "b" } })
    db:create_all()
    local one = Code:create{ code = "x", n = 1 }
    one.code = "y"
    one:save()
    assert.same({ "y" }, Code:pluck("code"))
    raises("unique", function() Code:create{ code = "y", n = 2 } end)
    assert.matches("must not be NULL", raises("validation", function() Code:create{ n = 2 } end).errors.code)
    local pair = Pair:create{ a = 1, b = "b" }
    pair.n, pair.b = 5, "c"
    pair:save()
    assert.equal(5, Pair:get{ a = 1, b = "c" }.n)
    assert.same({ a = 1, b = "c" }, pair.pk)
    assert.equal(1, pair:delete())
    assert.same({ 1, "c" }, { pair.a, pair.b })
  end)

  it("takes keys that the program makes", function()
    local Four = mp.entity("Four", { id = f.uuid{ primary_key = true, default = mp.uuid4 }, n = f.integer() }, { database = db })
    local Seven = mp.entity("Seven", { id = f.uuid{ primary_key = true, default = mp.uuid7 }, n = f.integer() }, { database = db })
    db:create_all()
    local one = Four{ n = 1 }
    assert.equal("4", one.id:sub(15, 15))
    one:save()
    assert.equal(1, Four:get(one.id:upper()).n)
    local made = Seven:bulk_create{ { n = 1 }, { n = 2 }, { n = 3 } }
    assert.is_true(made[1].id < made[2].id and made[2].id < made[3].id)
    assert.same({ 1, 2, 3 }, Seven:order_by("id"):pluck("n"))
    assert.is_not_nil(database)
  end)

  it("lets several rows have NULL in a unique column", function()
    local Mail = mp.entity("Mail", { mail = f.string{ unique = true, null = true } }, { database = db })
    db:create_all()
    Mail:create{}
    Mail:create{ mail = mp.null }
    Mail:create{ mail = "a" }
    assert.same({ "mail" }, raises("unique", function() Mail:create{ mail = "a" } end).columns)
    assert.equal(3, Mail:count())
  end)
end)

databases.each("validation", function(open)
  it("says every field that is wrong, before anything is sent", function()
    local db, sent = open(), 0
    local Thing = mp.entity("Thing", {
      name = f.string{ min = 2, max = 3 }, age = f.integer{ min = 0, max = 9 }, part = f.float{ max = 1 },
      price = f.decimal{ precision = 4, scale = 2, min = "0.50" }, day = f.date{ min = "2020-01-01", null = true },
      at = f.time{ max = "12:00:00", null = true }, seen = f.datetime{ min = "2020-01-01T00:00:00Z", null = true },
      level = f.integer{ choices = { 1, 3 }, default = 1 }, state = f.enum{ "new", "old", null = true },
      bytes = f.binary{ max_length = 2, null = true }, yes = f.boolean{ null = true }, code = f.uuid{ null = true },
      even = f.integer{ null = true, validate = function(v) return v % 2 == 0, v .. " is odd" end },
      twin = f.integer{ null = true, validate = function(v, object) return v == #object.state, nil end },
      big = f.bigint{ null = true }, list = f.json{ null = true }, long = f.interval{ null = true },
    }, { database = db })
    db:create_all()
    local good = { name = "ab", age = 1, part = 0.5, price = "1.50", even = 2, twin = 3, state = "old" }
    Thing:create(good)
    db:on("query", function() sent = sent + 1 end)
    local function wrong(field, value, pattern)
      local values = {}
      for name, each in pairs(good) do
        values[name] = each
      end
      values[field] = value
      local err = raises("validation", function() Thing:create(values) end)
      assert.matches(pattern, err.errors[field])
      local count = 0
      for _ in pairs(err.errors) do
        count = count + 1
      end
      assert.equal(1, count)
    end
    wrong("name", "é", "at least 2 characters")
    wrong("name", "äöüß", "at most 3 characters")
    wrong("name", 12, "cannot take 12 as string")
    wrong("name", mp.null, "must not be NULL")
    wrong("age", true, "cannot take true as integer")
    wrong("age", 1.5, "cannot take 1.5 as integer")
    wrong("age", -1, "at least 0")
    wrong("part", 2, "at most 1")
    wrong("part", 0 / 0, "not finite")
    wrong("price", "0.49", "at least 0.50")
    wrong("price", "1.234", "more than 2 digits")
    wrong("price", 123, "more than 2 digits before")
    wrong("day", "2019-12-31", "at least 2020%-01%-01")
    wrong("day", "2021-02-30", "cannot take")
    wrong("at", "12:00:01", "at most 12:00:00")
    wrong("seen", "2019-01-01T00:00:00Z", "at least 2020")
    wrong("level", 2, "one of its choices")
    wrong("state", "odd", "its values are new, old")
    wrong("bytes", "abc", "at most 2 bytes")
    wrong("yes", 1, "cannot take 1 as boolean")
    wrong("code", "xyz", "cannot take")
    wrong("even", 3, "3 is odd")
    wrong("twin", 4, "is refused by its validate")
    wrong("big", "12a", "cannot take")
    wrong("long", "P1Z", "cannot take")
    wrong("list", { f = print }, "cannot take this as json")
    local err = raises("validation", function() Thing:create{ age = "x", part = true } end)
    assert.same({ "age", "name", "part", "price" }, (function()
      local names = {}
      for name in pairs(err.errors) do
        names[#names + 1] = name
      end
      table.sort(names)
      return names
    end)())
    assert.matches('^Thing: name must not be NULL; age cannot take "x" as integer', err.message)
    local one = Thing:first()
    sent = 0
    one.age, one.name = 10, "a"
    err = raises("validation", function() one:save() end)
    assert.is_not_nil(err.errors.age and err.errors.name)
    raises("validation", function() Thing:filter{ id = one.id }:update{ age = 10 } end)
    err = raises("validation", function() Thing:bulk_create{ good, { name = "a" } } end)
    assert.equal(2, err.row)
    assert.equal(0, sent)
  end)
end)
