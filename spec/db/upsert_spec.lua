-- Rows that may be there already: bulk_create with on_conflict, upsert. The same rows, counts and errors on every database.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("a row that may be there", function(open)
  local db, Person

  before_each(function()
    db = open()
    Person = mp.entity("Person", {
      name = f.string{ max = 20, unique = true },
      nick = f.string{ max = 20, unique = true, null = true },
      code = f.uuid{ null = true },
      seen = f.datetime{ null = true },
      age = f.integer{ null = true },
    }, { database = db })
    db:create_all()
    Person:bulk_create{ { name = "ada", age = 1 }, { name = "bob", age = 2, nick = "b" } }
  end)

  local function ages()
    local list = {}
    for place, one in ipairs(Person:order_by("name"):all()) do
      list[place] = one.name .. " " .. tostring(one.age)
    end
    return table.concat(list, ", ")
  end

  it("is left alone, and not counted", function()
    local rows = { { name = "ada", age = 5 }, { name = "eve", age = 3 }, { name = "eve", age = 4 } }
    assert.equal(1, Person:bulk_create(rows, { returning = false, on_conflict = "ignore" }))
    assert.equal(0, Person:bulk_create(rows, { returning = false, on_conflict = "ignore", conflict = { "name" } }))
    assert.equal("ada 1, bob 2, eve 3", ages())
  end)

  it("is left alone, and has no key", function()
    local rows = { { name = "ada", age = 5 }, { name = "eve", age = 3 }, { name = "eve", age = 4 }, { name = "fay" } }
    local objects = Person:bulk_create(rows, { on_conflict = "ignore" })
    assert.is_nil(objects[1].id)
    assert.equal("eve", Person:get(objects[2].id).name)
    assert.is_nil(objects[3].id)
    assert.equal("fay", Person:get(objects[4].id).name)
    assert.equal(4, Person:count())
  end)

  it("is changed, and counted once", function()
    local rows = { { name = "ada", age = 5 }, { name = "eve", age = 3 }, { name = "bob", age = 2 } }
    local options = { returning = false, on_conflict = "update", conflict = { "name" }, update = { "age" } }
    assert.equal(3, Person:bulk_create(rows, options))
    assert.equal("ada 5, bob 2, eve 3", ages())
    options.returning = true
    local objects = Person:bulk_create(rows, options)
    assert.equal(Person:get{ name = "ada" }.id, objects[1].id)
  end)

  it("keeps what the new one does not name, whose defaults are for rows that are not there", function()
    local Stock = mp.entity("Stock", { code = f.string{ max = 9, unique = true }, name = f.string{ null = true },
      count = f.integer{ default = 1 } }, { database = db })
    Stock:create_table()
    local way = { conflict = { "code" } }
    assert.equal(1, Stock:upsert({ code = "a", name = "x" }, way).count)
    Stock:all_rows():update{ count = 5 }
    local one = Stock:upsert({ code = "a", name = "y" }, way)
    assert.same({ "y", 5, false }, { one.name, one.count, one:is_dirty() })
    assert.same({ "y", 5 }, { Stock:upsert({ code = "a" }, way).name, Stock:one().count })
    assert.is_nil(Stock:upsert({ code = "a", name = mp.null }, way).name)
    way.on_conflict = "update"
    -- of many rows what one of them names
    assert.same({ 5, 1 }, (function()
      Stock:bulk_create({ { code = "a", name = "z" }, { code = "b" } }, way)
      return Stock:order_by("code"):pluck("count")
    end)())
    Stock:bulk_create({ { code = "a" }, { code = "b", count = 7 } }, way)
    assert.same({ "z", 1 }, { Stock:get{ code = "a" }.name, Stock:get{ code = "a" }.count })
    -- an object is a whole row
    Stock:bulk_create({ Stock:build{ code = "b" } }, way)
    assert.same({ 1, 1 }, Stock:order_by("code"):pluck("count"))
  end)

  it("takes values of every kind", function()
    local values = { name = "ada", code = "01890a5d-ac96-774b-bcce-b302099a8057", seen = "2026-11-20T12:30:00.123456Z", age = 7 }
    local one = Person:upsert(values, { conflict = { "name" }, update = { "code", "seen", "age" } })
    local found = Person:get(one.id)
    assert.equal(values.code, found.code)
    assert.equal(values.seen, tostring(found.seen))
    assert.equal(7, found.age)
    assert.equal(2, Person:count())
  end)

  it("is no other row that has the same value in another unique column", function()
    local way = { conflict = { "name" }, update = { "age" } }
    raises("unique", Person.upsert, Person, { name = "new", nick = "b", age = 9 }, way)
    way.on_conflict, way.returning = "update", false
    raises("unique", Person.bulk_create, Person, { { name = "new", nick = "b", age = 9 } }, way)
    raises("unique", Person.bulk_create, Person, { { name = "new", nick = "b", age = 9 } },
      { on_conflict = "ignore", conflict = { "name" } })
    assert.equal("ada 1, bob 2", ages())
  end)

  it("is told by columns that are unique together only, before anything is sent", function()
    local asked = mp.testing.queries(function()
      for _, conflict in ipairs{ { "age" }, { "name", "nick" }, { "name", "id" } } do
        local err = raises("bad_argument", Person.upsert, Person, { name = "x" }, { conflict = conflict, update = { "age" } })
        assert.truthy(err.message:find(conflict[1], 1, true))
        assert.truthy(err.message:find("id, name, nick", 1, true), err.message)
        for _, how in ipairs{ "update", "ignore" } do
          raises("bad_argument", Person.bulk_create, Person, { { name = "x" } }, { on_conflict = how, conflict = conflict })
        end
      end
    end)
    assert.equal(0, #asked)
    local Seat = mp.entity("Seat", { hall = f.integer(), number = f.integer(), taken = f.boolean{ default = false } },
      { database = db, indexes = { { "hall", "number", unique = true } } })
    Seat:create_table()
    local way = { conflict = { "number", "hall" }, update = { "taken" } }
    assert.equal(Seat:upsert({ hall = 1, number = 2 }, way).id, Seat:upsert({ hall = 1, number = 2, taken = true }, way).id)
    assert.is_true(Seat:one().taken)
  end)

  it("that may not be there is an error with the field", function()
    for field, fn in pairs{
      name = function() return Person:create{ name = "ada" } end,
      id = function() return Person:create{ id = 1, name = "new" } end,
      nick = function() return Person:filter{ name = "ada" }:update{ nick = "b" } end,
    } do
      local err = raises("unique", fn)
      assert.same({ field }, err.columns)
      assert.is_nil(tostring(err):find("ada", 1, true))
    end
  end)
end)
