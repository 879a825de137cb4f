-- Terminals: what each gives of what is there, of what a limit leaves, and of nothing.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f, fn, F = mp.field, mp.fn, mp.F

databases.each("a terminal", function(open)
  local db, Person, Pet

  before_each(function()
    db = open()
    Person = mp.entity("Person", {
      name = f.string{ max = 50 }, age = f.integer{ null = true }, email = f.string{ max = 80, null = true, unique = true },
      code = f.decimal{ precision = 8, scale = 2, null = true, unique = true },
    }, { database = db })
    Pet = mp.entity("Pet", { name = f.string{ max = 50 }, owner = f.belongs_to("Person", { inverse = "pets" }) }, { database = db })
    db:create_all()
    for i, row in ipairs{ { "ada", 36, "ada@x.org" }, { "bob", 20, "bob@x.org" }, { "cleo" }, { "dan", 50 } } do
      local one = Person:create{ name = row[1], age = row[2], email = row[3], code = ("%d.50"):format(i) }
      for n = 1, i % 3 do Pet:create{ name = row[1] .. n, owner = one } end
    end
  end)

  it("plucks columns, paths and expressions", function()
    assert.same({ "ADA", "BOB", "CLEO", "DAN" }, Person:order_by("id"):pluck(fn.upper("name")))
    assert.same({ 72, 40, mp.null, 100 }, Person:order_by("id"):pluck(F.age * 2))
    assert.same({ "DAN" }, Person:order_by("-id"):limit(1):pluck(fn.upper("name")))
    assert.same({ "ada", "bob", "bob", "dan" }, Pet:order_by("name"):pluck("owner__name"))
    assert.same({ 1, 2, 0, 1 }, Person:order_by("id"):pluck(fn.count("pets")))
    assert.same({}, Person:none():pluck("name"))
    raises("bad_argument", function() return Person:pluck() end)
    raises("bad_argument", function() return Person:pluck("name", "age") end)
    raises("unknown_field", function() return Person:pluck("nam") end)
  end)

  it("lists values of columns and expressions, NULL leaving its place empty", function()
    local rows = Person:order_by("id"):values_list("name", F.age + 1, "email"):all()
    assert.same({ "ada", 37, "ada@x.org" }, rows[1])
    assert.same({ "cleo" }, rows[3])
    assert.same({ { "dan", 2 } }, Pet:filter{ owner__name = "dan" }:values_list("owner__name", fn.length("owner__name") - 1):all())
    raises("bad_argument", function() return Person:values(fn.upper("name")) end)
    raises("bad_argument", function() return Person:values("name", "name") end)
  end)

  it("finds objects in bulk by any unique field, however many are asked for", function()
    local keys = { 2, 99, 4 }
    for i = 1000, 1900 do keys[#keys + 1] = i end
    keys[#keys + 1] = 1
    local found = Person:in_bulk(keys)
    assert.equal("ada bob dan", found[1].name .. " " .. found[2].name .. " " .. found[4].name)
    assert.is_nil(found[3])
    found = Person:in_bulk({ "bob@x.org", "nobody" }, "email")
    assert.equal("bob", found["bob@x.org"].name)
    assert.is_nil(found.nobody)
    assert.equal("cleo", Person:in_bulk({ mp.decimal "3.5" }, "code")["3.50"].name)
    assert.same({}, Person:in_bulk{})
    assert.is_nil(Person:filter{ age = 36 }:in_bulk{ 2 }[2])
    raises("bad_argument", function() return Person:in_bulk({ 1 }, "age") end)
    raises("bad_argument", function() return Person:in_bulk(1) end)
    raises("bad_argument", function() return Person:values("name"):in_bulk{ 1 } end)
    raises("unknown_field", function() return Person:in_bulk({ 1 }, "mail") end)
  end)

  it("says whether there is a row, also behind limits and offsets", function()
    assert.is_true(Person:exists())
    assert.is_true(Person:offset(3):exists())
    assert.is_false(Person:offset(4):exists())
    assert.is_false(Person:limit(0):exists())
    assert.is_false(Person:none():exists())
    assert.is_true(Person:values("age"):distinct():exists())
    assert.equal(1, Person:offset(3):count())
    assert.equal(0, Person:offset(9):limit(2):count())
    assert.equal(2, Person:slice(2, 3):count())
    assert.equal(0, Person:slice(3, 2):count())
  end)

  it("gives the slice, the first and the last of an order and its reverse", function()
    local by_age = Person:order_by("age")
    assert.equal("cleo bob ada dan", table.concat(by_age:pluck("name"), " "))
    assert.equal("dan ada bob cleo", table.concat(by_age:reverse():pluck("name"), " "))
    assert.equal("cleo bob ada dan", table.concat(by_age:reverse():reverse():pluck("name"), " "))
    assert.equal("bob ada", table.concat(by_age:slice(2, 3):pluck("name"), " "))
    assert.equal("ada dan", table.concat(by_age:slice(3):pluck("name"), " "))
    assert.equal("cleo dan", by_age:first().name .. " " .. by_age:last().name)
    assert.equal("ada", by_age:limit(3):last().name)
    assert.is_nil(by_age:offset(4):first())
    assert.is_nil(by_age:none():last())
    raises("bad_argument", function() return Person:slice(0, 2) end)
    raises("bad_argument", function() return Person:limit(-1) end)
    raises("bad_argument", function() return Person:offset(1.5) end)
    raises("bad_argument", function() return Person:limit("3") end)
  end)

  it("goes through rows whose body queries and writes, in a transaction and out of it", function()
    local function count_pets()
      local texts = {}
      for person in Person:order_by("id"):iter{ chunk = 2 } do
        texts[#texts + 1] = person.name .. Pet:filter{ owner = person }:count()
        person.age = (person.age or 0) + 1
        person:save()
      end
      return table.concat(texts, " ")
    end
    assert.equal("ada1 bob2 cleo0 dan1", count_pets())
    assert.equal("ada1 bob2 cleo0 dan1", mp.atomic({ database = db }, count_pets))
    assert.same({ 38, 22, 2, 52 }, Person:order_by("id"):pluck("age"))
    local rows = {}
    for row in Person:order_by("id"):values("name"):iter{ chunk = 3 } do rows[#rows + 1] = row.name end
    for row in Person:order_by("-id"):values_list("name", "age"):iter() do rows[#rows + 1] = row[1] .. row[2] end
    assert.equal("ada bob cleo dan dan52 cleo2 bob22 ada38", table.concat(rows, " "))
    for _ in Person:none():iter() do error "a row of none" end
  end)

  it("takes objects from raw SQL with what else comes along", function()
    local list = Person:raw("select p.*, (select count(*) from pet where owner_id = p.id) as pets_n from person p where p.id < ? order by p.id", 3)
    assert.equal("ada 1 bob 2", ("%s %d %s %d"):format(list[1].name, list[1].pets_n, list[2].name, list[2].pets_n))
    list[1].age = 1
    assert.same({ "age" }, list[1]:dirty_fields())
    list[1]:save()
    assert.equal(1, Person:get(1).age)
    assert.equal("ada1", list[1].pets:one().name)
    raises("bad_parameters", function() return Person:raw("select * from person where id = ?") end)
    raises("bad_argument", function() return Person:raw("select name from person") end)
  end)

  it("takes no argument that it would not use", function()
    for _, name in ipairs{ "all", "one", "first", "last", "count", "exists" } do
      raises("bad_argument", function() return Person[name](Person, { age = 1 }) end)
    end
    raises("bad_argument", function() return Person:get() end)
    raises("bad_argument", function() return Person:get{} end)
    raises("unknown_option", function() return Person:iter{ chunks = 2 } end)
    raises("bad_argument", function() return Person:iter{ chunk = 0 } end)
    raises("bad_argument", function() return Person:sum() end)
  end)
end)
