-- Relations of objects: one_to_one, many_to_many, sets that belong to an object. How rows are loaded for all objects of
-- a result is in relation_loading_spec.lua, keys of several columns are in relation_key_spec.lua.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

local function labels(set, name)
  local list = {}
  for place, one in ipairs(set:all()) do
    list[place] = one[name or "label"]
  end
  table.sort(list)
  return table.concat(list, " ")
end

databases.each("a one_to_one", function(open)
  local db, Person, Passport

  before_each(function()
    db = open()
    Person = mp.entity("Person", { name = f.string{ max = 50 } }, { database = db })
    Passport = mp.entity("Passport", {
      number = f.string{ max = 20 },
      holder = f.one_to_one("Person", { inverse = "passport", on_delete = "cascade" }),
    }, { database = db })
    db:create_all()
    Person:create{ name = "ada" }
    Person:create{ name = "bob" }
    Passport:create{ number = "X1", holder = 1 }
  end)

  it("is one object from both sides, or nil", function()
    assert.equal("X1", Person:get(1).passport.number)
    assert.is_nil(Person:get(2).passport)
    assert.equal("ada", Passport:get(1).holder.name)
  end)

  it("has no second row", function()
    local err = raises("unique", function() Passport:create{ number = "X2", holder = 1 } end)
    assert.same({ "holder" }, err.columns)
  end)

  it("stands in conditions, orders and values of the other side", function()
    assert.same({ "ada" }, Person:filter{ passport__number = "X1" }:pluck "name")
    assert.same({ "bob" }, Person:filter{ passport__isnull = true }:pluck "name")
    assert.same({ "bob" }, Person:filter{ passport = mp.null }:pluck "name")
    assert.same({ "ada" }, Person:filter{ passport__isnull = false }:pluck "name")
    assert.same({ "bob" }, Person:exclude{ passport__number = "X1" }:pluck "name")
    assert.same({ "bob", "ada" }, Person:order_by("passport__number"):pluck "name")
    assert.same({ { name = "ada", passport__number = "X1" }, { name = "bob" } },
      Person:order_by("id"):values("name", "passport__number"):all())
    assert.same({ "ada" }, Person:filter{ passport = Passport:get(1) }:pluck "name")
  end)

  it("is set from its own side only", function()
    local bob = Person:get(2)
    local err = raises("bad_argument", function() bob.passport = Passport:get(1) end)
    assert.matches("the other side of Passport.holder: set that", err.message, nil, true)
    local passport = Passport:get(1)
    passport.holder = bob
    passport:save()
    assert.equal("X1", Person:get(2).passport.number)
    assert.is_nil(Person:get(1).passport)
  end)

  it("is asked again when it turns out to lead elsewhere", function()
    local ada = Person:get(1)
    local passport = ada.passport
    passport.holder_id = 2
    passport:save()
    assert.is_nil(ada.passport)
  end)
end)

databases.each("a many_to_many", function(open)
  local db, Book, Tag

  before_each(function()
    db = open()
    Tag = mp.entity("Tag", { label = f.string{ max = 20, unique = true } }, { database = db })
    Book = mp.entity("Book", {
      title = f.string{ max = 50 },
      tags = f.many_to_many("Tag", { inverse = "books" }),
      similar = f.many_to_many("Book", { inverse = "similar_to" }),
    }, { database = db })
    db:create_all()
    for _, label in ipairs{ "lua", "sql", "c" } do Tag:create{ label = label } end
    for _, title in ipairs{ "one", "two", "three" } do Book:create{ title = title } end
  end)

  it("takes objects and keys, and does not mind what is there", function()
    local book, lua = Book:get(1), Tag:get(1)
    assert.equal("", labels(book.tags))
    book.tags:add(lua, 2)
    book.tags:add(1, 1, lua)
    assert.equal("lua sql", labels(book.tags))
    assert.equal(2, book.tags:count())
    assert.equal("one", labels(lua.books, "title"))
    lua.books:add(Book:get(3))
    assert.equal("lua", labels(Book:get(3).tags))
    assert.equal(0, Book:get(2).tags:count())
  end)

  it("takes out objects and keys, whether they are there or not", function()
    local book = Book:get(1)
    book.tags:add(1, 2, 3)
    book.tags:remove(2, Tag:get(3), 77)
    assert.equal("lua", labels(book.tags))
    book.tags:remove(2)
    assert.equal(1, book.tags:clear())
    assert.equal(0, book.tags:clear())
    assert.equal("", labels(book.tags))
    assert.equal(3, Tag:count())
  end)

  it("is set to exactly what is given", function()
    local book = Book:get(1)
    book.tags:add(1, 2)
    Book:get(2).tags:add(1)
    book.tags:set{ 2, Tag:get(3) }
    assert.equal("c sql", labels(book.tags))
    book.tags:set{}
    assert.equal("", labels(book.tags))
    assert.equal("lua", labels(Book:get(2).tags))
  end)

  it("makes rows that belong to it, and saves new ones", function()
    local book = Book:get(1)
    local made = book.tags:create{ label = "new" }
    assert.equal("new", Tag:get(made.id).label)
    local fresh = Tag:build{ label = "fresh" }
    book.tags:add(fresh)
    assert.is_truthy(fresh.id)
    assert.equal("fresh new", labels(book.tags))
    local found, created = book.tags:get_or_create({ label = "new" })
    assert.is_false(created)
    assert.equal(made.id, found.id)
    found, created = book.tags:get_or_create({ label = "third" })
    assert.is_true(created)
    assert.equal("fresh new third", labels(book.tags))
    assert.equal("third", found.label)
  end)

  it("is a query set", function()
    local book = Book:get(1)
    book.tags:add(1, 2, 3)
    assert.same({ "c", "lua" }, book.tags:exclude{ label = "sql" }:order_by("label"):pluck "label")
    assert.equal("sql", book.tags:get{ label = "sql" }.label)
    assert.equal(1, book.tags:filter{ label__startswith = "s" }:update{ label = "SQL" })
    assert.equal("SQL", Tag:get(2).label)
    assert.equal(1, (book.tags:filter{ label = "c" }:delete()))
    assert.equal("SQL lua", labels(book.tags))
  end)

  it("leads to the same entity in both directions", function()
    Book:get(1).similar:add(2, 3)
    assert.equal("three two", labels(Book:get(1).similar, "title"))
    assert.equal("one", labels(Book:get(2).similar_to, "title"))
    assert.equal("", labels(Book:get(2).similar, "title"))
    Book:get(2).similar_to:clear()
    assert.equal("three", labels(Book:get(1).similar, "title"))
  end)

  it("stands in conditions: has one that, the same one for the keys of one table", function()
    Book:get(1).tags:add(1, 2)
    Book:get(2).tags:add(2)
    assert.same({ "one" }, Book:filter{ tags__label = "lua" }:pluck "title")
    assert.same({ "one", "two" }, Book:filter{ tags__label__in = { "lua", "sql" } }:order_by("id"):pluck "title")
    assert.same({}, Book:filter{ tags__label = "lua", tags__id = 2 }:pluck "title")
    assert.same({ "one" }, Book:filter({ tags__label = "lua" }, { tags__id = 2 }):pluck "title")
    assert.same({ "two", "three" }, Book:exclude{ tags__label = "lua" }:order_by("id"):pluck "title")
    assert.same({ "three" }, Book:filter{ tags__isnull = true }:pluck "title")
    assert.same({ "three" }, Book:filter{ tags = mp.null }:pluck "title")
    assert.same({ "one", "two" }, Book:filter{ tags__isnull = false }:order_by("id"):pluck "title")
    assert.same({ "one" }, Book:filter{ tags = Tag:get(1) }:pluck "title")
    assert.same({ "sql" }, Tag:filter{ books__title = "two" }:pluck "label")
  end)

  it("is counted for each object by itself", function()
    Book:get(1).tags:add(1, 2)
    Book:get(1).similar:add(2, 3)
    Book:get(2).tags:add(2)
    local rows = Book:annotate{ tags_n = mp.fn.count("tags"), like_n = mp.fn.count("similar"),
      last = mp.fn.max("tags__label") }:order_by("id"):values("title", "tags_n", "like_n", "last"):all()
    assert.same({
      { title = "one", tags_n = 2, like_n = 2, last = "sql" }, { title = "two", tags_n = 1, like_n = 0, last = "sql" },
      { title = "three", tags_n = 0, like_n = 0 },
    }, rows)
  end)

  it("stands in values: a row for each of its rows, and one for none", function()
    Book:get(1).tags:add(1, 2)
    Book:get(2).tags:add(2)
    local q = Book:values("title", "tags__label"):order_by("id", "tags__label")
    assert.same({
      { title = "one", tags__label = "lua" }, { title = "one", tags__label = "sql" }, { title = "two", tags__label = "sql" },
      { title = "three" },
    }, q:all())
    assert.equal(4, q:count())
    assert.is_true(q:exists())
    assert.same({ { title = "one", tags__label = "lua" }, { title = "one", tags__label = "sql" } }, q:limit(2):all())
    -- a condition says "has one that" all the same
    assert.equal(2, Book:filter{ tags__label = "lua" }:values("title", "tags__label"):count())
    assert.same({ "sql" }, Book:filter{ id = 2 }:pluck "tags__label")
    assert.same({ mp.null }, Book:filter{ id = 3 }:pluck "tags__label")
    assert.same({ 1, 2 }, Tag:filter{ id__in = Book:values("tags") }:order_by("id"):pluck "id")
  end)

  it("is grouped by", function()
    Book:get(1).tags:add(1, 2)
    Book:get(2).tags:add(2)
    local groups = Book:values("tags__label"):annotate{ n = mp.fn.count(), m = mp.fn.count("tags") }
    assert.same({ { n = 1, m = 0 }, { tags__label = "lua", n = 1, m = 1 }, { tags__label = "sql", n = 2, m = 2 } },
      groups:order_by("tags__label"):all())
    assert.same({ { tags__label = "sql", n = 2, m = 2 } }, groups:filter{ m__gt = 1 }:all())
    assert.equal(3, groups:count())
  end)

  it("is a column of the entity", function()
    Book:get(1).tags:add(1, 2)
    assert.same({ "one" }, Book:filter(Book.tags.label:eq("lua")):pluck "title")
    assert.same({ "one" }, Book:filter(Book.tags:in_{ 1, 2 }):pluck "title")
    assert.equal(2, Book:annotate{ n = mp.fn.count(Book.tags) }:order_by("id"):first().n)
  end)

  it("loses the pairs of a row that is deleted", function()
    Book:get(1).tags:add(1, 2)
    Tag:get(1):delete()
    assert.equal("sql", labels(Book:get(1).tags))
    Book:get(1):delete()
    assert.equal(0, db:fetch_val "select count(*) from book_tags")
  end)

  it("is as before when its block is undone", function()
    local book = Book:get(1)
    book.tags:add(1)
    databases.undone(mp.atomic, { database = db }, function()
      book.tags:set{ 2, 3 }
      assert.equal("c sql", labels(book.tags))
      error "undone"
    end)
    assert.equal("lua", labels(book.tags))
  end)

  it("refuses what it cannot take", function()
    local book = Book:get(1)
    assert.matches("takes Tag, not Book", raises("bad_argument", function() book.tags:add(Book:get(2)) end).message)
    assert.matches("one by one", raises("bad_argument", function() book.tags:add{ 1, 2 } end).message)
    assert.matches("it takes objects or keys", raises("bad_argument", function() book.tags:add(nil) end).message)
    assert.matches("array", raises("bad_argument", function() book.tags:set(1) end).message)
    raises("bad_argument", function() book.tags:clear(1) end)
    raises("bad_argument", function() Tag:filter{ id = 1 }:add(1) end)
    raises("bad_argument", function() book.tags = {} end)
    raises("bad_argument", function() return Book:build{ title = "x" }.tags end)
    raises("foreign_key", function() book.tags:add(99) end)
    assert.matches("did you mean tags", raises("unknown_field", function() book.tag = 1 end).message)
    assert.matches("no field", raises("unknown_field", function() book.tags:add(1, { place = 3 }) end).message)
  end)

  it("goes with create_all and drop_all", function()
    Book:get(1).tags:add(1)
    db:create_all()
    assert.equal(1, Book:get(1).tags:count())
    local names = {}
    for place, entity in ipairs(db:entities()) do names[place] = tostring(entity) end
    table.sort(names)
    assert.same({ "entity Book", "entity Tag" }, names)
    db:drop_all()
    raises("undefined_table", function() db:fetch_all "select * from book_tags" end)
    db:create_all()
    assert.equal(0, Book:count())
  end)
end)

databases.each("a many_to_many of rows that may be left out", function(open)
  it("leaves them out everywhere", function()
    local db = open()
    local Tag = mp.entity("Tag", { label = f.string{ max = 20 } }, { database = db, soft_delete = true })
    local User = mp.entity("User", {
      name = f.string{ max = 20 }, kind = f.string{ max = 20, null = true }, tags = f.many_to_many("Tag", { inverse = "users" }),
    }, { database = db, table = "users", discriminator = "kind" })
    local Admin = mp.entity("Admin", { rights = f.many_to_many("Tag", { inverse = "admins" }) }, { extends = "User" })
    db:create_all()
    for _, label in ipairs{ "x", "y", "z" } do Tag:create{ label = label } end
    local user, admin = User:create{ name = "user" }, Admin:create{ name = "admin" }
    user.tags:add(1, 2)
    admin.tags:add(2)
    admin.rights:add(3)
    assert.equal(1, Admin:filter{ tags = 2 }:count())
    assert.equal("x y", labels(User:prefetch("tags"):get(1).tags))
    assert.equal("z", Admin:prefetch("rights", "tags"):one().rights:first().label)
    local counts = {}
    for _, tag in ipairs(Tag:order_by("id"):prefetch("users", "admins"):all()) do
      counts[#counts + 1] = tag.users:count() .. tag.admins:count()
    end
    assert.same({ "10", "20", "01" }, counts)
    Tag:get(2):delete()
    assert.equal("x", labels(user.tags))
    assert.equal("x", labels(User:prefetch("tags"):get(1).tags))
    assert.equal(0, User:filter{ tags = 2 }:count())
    assert.same({ "admin" }, User:filter{ tags__isnull = true }:pluck "name")
    assert.same({ "user" }, User:filter{ tags__isnull = false }:pluck "name")
    assert.equal(1, User:annotate{ n = mp.fn.count("tags") }:get(1).n)
  end)
end)

databases.each("a table between with columns of its own", function(open)
  local db, Band, Person, Member

  before_each(function()
    db = open()
    Band = mp.entity("Band", {
      name = f.string{ max = 50 }, people = f.many_to_many("Person", { through = "Member", inverse = "bands" }),
    }, { database = db })
    Person = mp.entity("Person", { name = f.string{ max = 50 } }, { database = db })
    Member = mp.entity("Member", {
      band = f.belongs_to("Band", { inverse = "members", on_delete = "cascade" }),
      person = f.belongs_to("Person", { inverse = "memberships", on_delete = "cascade" }),
      plays = f.string{ max = 20, default = "drums" },
    }, { database = db })
    db:create_all()
    Band:create{ name = "trio" }
    for _, name in ipairs{ "ada", "bob", "cleo" } do Person:create{ name = name } end
  end)

  it("is an entity, and a set through it", function()
    local trio = Band:get(1)
    trio.people:add(1, { plays = "bass" })
    trio.people:add(2, Person:get(3))
    trio.people:add(1, 2, { plays = "voice" }) -- are there already
    assert.equal("ada bob cleo", labels(trio.people, "name"))
    assert.same({ "bass", "drums", "drums" }, Member:order_by("person_id"):pluck "plays")
    assert.equal("trio", labels(Person:get(2).bands, "name"))
    assert.same({ "ada" }, Person:filter{ memberships__plays = "bass" }:pluck "name")
    trio.people:set{ 1 }
    assert.same({ "bass" }, Member:all_rows():pluck "plays")
    trio.people:remove(1)
    assert.equal(0, Member:count())
  end)

  it("says which of its columns are the set's own", function()
    local trio = Band:get(1)
    assert.matches("what the set itself writes", raises("bad_argument", function()
      trio.people:add(1, { band = 2 })
    end).message)
    assert.matches("did you mean plays", raises("unknown_field", function() trio.people:add(1, { play = "x" }) end).message)
    raises("bad_argument", function() trio.people:remove(1, { plays = "bass" }) end)
  end)
end)

databases.each("a set of rows that lead to their owner", function(open)
  local db, Person, Pet

  before_each(function()
    db = open()
    Person = mp.entity("Person", { name = f.string{ max = 50 } }, { database = db })
    Pet = mp.entity("Pet", {
      label = f.string{ max = 50 },
      owner = f.belongs_to("Person", { inverse = "pets", null = true, on_delete = "set_null" }),
      vet = f.belongs_to("Person", { inverse = "patients", null = true, on_delete = "protect" }),
    }, { database = db })
    db:create_all()
    Person:create{ name = "ada" }
    Person:create{ name = "bob" }
    for _, label in ipairs{ "rex", "tom", "kit" } do Pet:create{ label = label, owner = 1 } end
  end)

  it("is there or not: its relation asks", function()
    assert.same({ "bob" }, Person:filter{ pets__isnull = true }:pluck "name")
    assert.same({ "ada" }, Person:filter{ pets__isnull = false }:pluck "name")
    assert.same({ "ada" }, Person:exclude{ pets = mp.null }:pluck "name")
  end)

  it("is written at once, and the objects follow", function()
    local bob, rex = Person:get(2), Pet:get(1)
    bob.pets:add(rex, 2)
    assert.equal(2, rex.owner_id)
    assert.is_false(rex:is_dirty())
    assert.equal("bob", rex.owner.name)
    assert.equal("rex tom", labels(bob.pets))
    bob.pets:set{ rex, Pet:build{ label = "new" } }
    assert.equal("new rex", labels(bob.pets))
    bob.pets:remove(rex)
    assert.is_nil(rex.owner_id)
    assert.is_nil(rex.owner)
    assert.equal(1, bob.pets:clear())
  end)

  it("is as before when its block is undone, the objects too", function()
    local bob, rex = Person:get(2), Pet:get(1)
    databases.undone(mp.atomic, { database = db }, function()
      bob.pets:add(rex)
      assert.equal(2, rex.owner_id)
      error "undone"
    end)
    assert.equal(1, rex.owner_id)
    assert.equal("ada", rex.owner.name)
    assert.is_false(rex:is_dirty())
  end)
end)
