-- Objects and relations where several features meet: keys of every type, tables between that hold a pair twice, texts
-- that servers escape.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("an object stands for its key", function(open)
  local keys = {
    smallint = 5, bigint = 2 ^ 53, float = 0.5, decimal = "1.50", boolean = true, date = "2026-01-02", time = "01:02:03.5",
    datetime = "2026-01-02T03:04:05.5Z", interval = "PT1H", uuid = "01890a5d-ac96-774b-bcce-b302099a8057", string = "a",
  }

  it("of whatever type that is", function()
    local db = open()
    for type_name, key in pairs(keys) do
      local Thing = mp.entity("Thing", { k = f[type_name]{ primary_key = true }, n = f.integer() }, { database = db, table = "t_" .. type_name })
      Thing:create_table()
      local one = Thing:create{ k = key, n = 1 }
      assert.equal(1, Thing:get(one).n, type_name)
      assert.equal(1, Thing:filter{ pk__in = { one } }:count(), type_name)
      assert.equal(1, Thing:filter{ k = one }:update{ n = 2 }, type_name)
      assert.equal(2, Thing:get(key).n, type_name)
    end
  end)

  it("of its own entity only", function()
    local db = open()
    local Author = mp.entity("Author", { name = f.string() }, { database = db })
    local Tag = mp.entity("Tag", { label = f.string() }, { database = db })
    db:create_all()
    Author:create{ name = "ada" }
    local tag = Tag:create{ label = "lua" }
    local wanted = "Author.id: cannot take Tag(1) as id (takes Author, not Tag)"
    assert.equal(wanted, raises("bad_argument", Author.get, Author, tag).message)
    assert.equal(wanted, raises("bad_argument", function() return Author:filter{ pk__in = { tag } }:count() end).message)
  end)
end)

databases.each("a many_to_many whose table between holds a pair twice", function(open)
  it("has each row once, prefetched or not", function()
    local db = open()
    local Course = mp.entity("Course", { title = f.string() }, { database = db })
    local Enrol = mp.entity("Enrol", { student = f.belongs_to("Student"), course = f.belongs_to("Course") }, { database = db })
    local Student = mp.entity("Student", { name = f.string(), courses = f.many_to_many("Course", { through = "Enrol" }) }, { database = db })
    db:create_all()
    local ada, bob = Student:create{ name = "ada" }, Student:create{ name = "bob" }
    local a, b, c = Course:create{ title = "a" }, Course:create{ title = "b" }, Course:create{ title = "c" }
    for _, course in ipairs { a, a, b, b, c } do Enrol:create{ student = ada, course = course } end
    Enrol:create{ student = bob, course = a }
    local function titles(q)
      local list = {}
      for place, student in ipairs(q:order_by("name"):all()) do
        local own = {}
        for i, course in ipairs(student.courses:all()) do own[i] = course.title end
        list[place] = table.concat(own)
      end
      return list
    end
    assert.equal(3, ada.courses:count())
    assert.same({ "abc", "a" }, titles(Student:prefetch(mp.prefetch("courses", Course:order_by("title")))))
    assert.same({ "ab", "a" }, titles(Student:prefetch(mp.prefetch("courses", Course:order_by("title"):limit(2)))))
    assert.same({ "cb", "a" }, titles(Student:prefetch(mp.prefetch("courses", Course:order_by("-title"):limit(2)))))
    assert.same({ "c", "" }, titles(Student:prefetch(mp.prefetch("courses", Course:order_by("title"):offset(2)))))
    assert.equal(3, #Student:prefetch("courses"):get(ada.id).courses:all())
  end)
end)

databases.each("enums and choices", function(open)
  it("hold texts with quotes and backslashes", function()
    local db = open()
    local values = { "a\\", "it's", 'b"c\\', "%s\\'", "\\", "é\\\n" }
    local Item = mp.entity("Item", { state = f.enum(values), kind = f.string{ choices = { "\\'", "x" }, default = "\\'" } }, { database = db })
    db:create_all()
    for _, value in ipairs(values) do Item:create{ state = value } end
    assert.same(values, Item:order_by("id"):pluck("state"))
    assert.equal(6, Item:filter{ kind = "\\'", state__in = values }:count())
    db:execute("INSERT INTO item (state) VALUES (?)", "\\")
    assert.equal(7, Item:filter{ kind = "\\'" }:count())
    raises("check", db.execute, db, "INSERT INTO item (state) VALUES (?)", "a")
    assert.equal(0, #db:diff())
  end)
end)

databases.each("methods of objects", function(open)
  it("refuse arguments that they do not take", function()
    local db = open()
    local Author = mp.entity("Author", { name = f.string(), boss = f.belongs_to("Author", { null = true, inverse = "staff" }) }, { database = db })
    db:create_all()
    local ada = Author:create{ name = "ada" }
    assert.matches("refresh of an object takes no argument", raises("bad_argument", ada.refresh, ada, "name").message)
    for _, method in ipairs { "delete", "is_dirty", "dirty_fields", "purge" } do
      raises("bad_argument", ada[method], ada, {})
    end
    assert.equal(1, Author:count())
    assert.equal('Author has no relation "staf" (did you mean staff?)',
      raises("unknown_field", ada.to_table, ada, { with = { "staf" } }).message)
  end)
end)

databases.each("values for a new object", function(open)
  it("give a relation once: by its name, or by its column", function()
    local db = open()
    local Maker = mp.entity("Maker", { name = f.string() }, { database = db })
    local Item = mp.entity("Item", { maker = f.belongs_to("Maker") }, { database = db })
    db:create_all()
    local one, two = Maker:create{ name = "a" }, Maker:create{ name = "b" }
    local wanted = "Item: maker and maker_id are one value: give one of them"
    assert.equal(wanted, raises("bad_argument", Item.create, Item, { maker = one, maker_id = two.id }).message)
    raises("bad_argument", Item.bulk_create, Item, { { maker = one, maker_id = 2 } })
    assert.equal(one.id, Item:create{ maker = one }.maker_id)
    assert.equal(two.id, Item:create{ maker_id = two }.maker_id)
  end)
end)

databases.each("after_delete", function(open)
  it("still knows which row it was; then the object is new, also where the hook fails", function()
    local db = open()
    local seen, fails = {}, false
    local Author = mp.entity("Author", { name = f.string() }, { database = db })
    function Author:after_delete()
      seen[#seen + 1] = self.id
      seen[#seen + 1] = Author:filter{ id = self.id }:count()
      if fails then error("no", 0) end
    end
    db:create_all()
    local ada, bob = Author:create{ name = "ada" }, Author:create{ name = "bob" }
    local key = ada.id
    ada:delete()
    assert.same({ key, 0 }, seen)
    assert.is_nil(ada.id)
    fails = true
    assert.equal("no", select(2, pcall(bob.delete, bob)))
    assert.is_nil(bob.id)
    assert.same({ "name" }, bob:dirty_fields())
    fails = false
    local cid = Author:create{ name = "cid" }
    key = cid.id
    local _, err = pcall(db.atomic, db, function()
      cid:delete()
      error("undone", 0)
    end)
    assert.equal("undone", err)
    assert.equal(key, cid.id)
    assert.is_false(cid:is_dirty())
  end)
end)

databases.each("to_table", function(open)
  it("gives tables that the program may change", function()
    local db = open()
    local Author = mp.entity("Author", { prefs = f.json(), marks = f.array{ of = f.integer() } }, { database = db })
    db:create_all()
    Author:create{ prefs = { theme = "dark", list = mp.array{} }, marks = { 1, 2 } }
    local ada = Author:first()
    local plain = ada:to_table()
    assert.equal('{"list":[],"theme":"dark"}', mp.json.encode(plain.prefs))
    plain.prefs.theme, plain.marks[3] = nil, 3
    assert.is_false(ada:is_dirty())
    assert.equal("dark", ada.prefs.theme)
    assert.same({ 1, 2 }, { ada.marks[1], ada.marks[2], ada.marks[3] })
  end)
end)

databases.each("an order by pk", function(open)
  it("is one by each column of the key", function()
    local db = open()
    local Order = mp.entity("Order", { shop = f.string{ max = 5 }, number = f.integer(), x = f.integer{ default = 0 } },
      { database = db, primary_key = { "shop", "number" } })
    db:create_all()
    Order:bulk_create{ { shop = "b", number = 1 }, { shop = "a", number = 2 }, { shop = "a", number = 1 }, { shop = "c", number = 1, x = -1 } }
    local function keys(q)
      local list = {}
      for place, one in ipairs(q:all()) do list[place] = one.shop .. one.number end
      return table.concat(list, " ")
    end
    assert.equal("a1 a2 b1 c1", keys(Order:order_by("pk")))
    assert.equal("c1 b1 a2 a1", keys(Order:order_by("-pk")))
    assert.equal("c1 b1 a2 a1", keys(Order:order_by("pk"):reverse()))
    assert.equal("c1 a1 a2 b1", keys(Order:order_by("x", "pk")))
    assert.equal("a1 a2 b1 c1", keys(Order:order_by("pk")))
    local first = Order:order_by("pk"):after(nil, 3)
    assert.equal("c1", keys(Order:order_by("pk"):filter{ pk = Order:order_by("pk"):after(first.next, 3).items[1] }))
  end)
end)
