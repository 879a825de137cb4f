-- Entities that extend others: one table, each row an object of the entity that it was made by.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("an entity that extends another", function(open)
  local db, User, Admin, Root, Note

  before_each(function()
    db = open()
    User = mp.entity("User", {
      name = f.string{ max = 50 }, mail = f.string{ unique = true, null = true },
    }, { database = db, table = "people", order_by = { "name" } })
    Admin = mp.entity("Admin", {
      level = f.integer{ min = 1 }, title = f.enum{ "chief", "clerk", default = "clerk" },
      boss = f.belongs_to("User", { inverse = "staff", null = true }),
    }, { extends = "User", discriminator = "kind" })
    Root = mp.entity("Root", { secret = f.text{ null = true } }, { extends = Admin })
    Note = mp.entity("Note", { text = f.text(), owner = f.belongs_to("User", { inverse = "notes" }),
      checker = f.belongs_to("Admin", { inverse = "checked", null = true }) }, { database = db })
    function User:who() return "user " .. self.name end
    function Admin:who() return "admin " .. self.name end
    db:create_all()
  end)

  local function fill()
    return User:create{ name = "ann" }, Admin:create{ name = "bob", level = 2 }, Root:create{ name = "cid", level = 9, secret = "x" }
  end

  it("gives objects of their own class from queries of any of them", function()
    local ann, bob, cid = fill()
    local said = {}
    for place, one in ipairs(User:all()) do
      said[place] = tostring(one) .. " " .. one:who()
    end
    assert.same({ "User(" .. ann.id .. ") user ann", "Admin(" .. bob.id .. ") admin bob", "Root(" .. cid.id .. ") admin cid" }, said)
    assert.equal("Root", User:get(cid.id):to_table().kind)
    assert.equal("x", User:get(cid.id).secret)
    assert.equal(2, User:get{ name = "bob" }.level)
    said = {}
    for one in User:iter() do
      said[#said + 1] = one:who()
    end
    assert.same({ "user ann", "admin bob", "admin cid" }, said)
    assert.equal("admin bob", User:raw("SELECT * FROM people WHERE name = ?", "bob")[1]:who())
  end)

  it("gives only its own rows, and those of what extends it", function()
    local ann, bob, cid = fill()
    assert.same({ 3, 2, 1 }, { User:count(), Admin:count(), Root:count() })
    assert.same({ "bob", "cid" }, Admin:pluck("name"))
    assert.is_nil(Admin:get(ann.id))
    assert.is_nil(Root:get(bob.id))
    assert.equal("admin cid", Admin:get(cid.id):who())
    assert.same({ "cid" }, Admin:filter{ level__gt = 2 }:pluck("name"))
    assert.equal(2, Admin:exclude{ level = 5 }:count())
    assert.equal(1, Admin:filter{ level = 2 }:update{ title = "chief" })
    assert.equal("chief", bob:refresh().title)
    assert.equal(2, (Admin:all_rows():delete()))
    assert.same({ "ann" }, User:pluck("name"))
  end)

  it("is refused while the other one is declared again and it is not", function()
    local _, bob = fill()
    mp.entity("User", { name = f.string{ max = 50 }, mail = f.string{ null = true } }, { database = db, table = "persons" })
    for name, fn in pairs{
      Admin = function() return Admin:count() end,
      Root = function() return Root:create{ name = "x", level = 1 } end,
    } do
      assert.truthy(raises("bad_argument", fn).message:find(name .. " extends ", 1, true))
    end
    for _, call in ipairs{ bob.refresh, bob.delete, bob.save } do
      raises("bad_argument", call, bob)
    end
    local Again = mp.entity("Admin", { level = f.integer{ min = 1 } }, { extends = "User", discriminator = "kind" })
    db:create_all()
    assert.equal("Again", Again:create{ name = "Again", level = 1 }.name)
    assert.equal(1, db:fetch_val("select count(*) from persons"))
    assert.truthy(raises("bad_argument", Root.count, Root).message:find("declare Root again", 1, true))
  end)

  it("does not take over a row of another kind", function()
    fill()
    local before = db:fetch_all("SELECT * FROM people ORDER BY id")
    local admin = Admin:create{ name = "dan", level = 1, mail = "m" }
    local root = Root:create{ name = "eve", level = 1, mail = "r" }
    local way = { conflict = { "mail" }, update = { "name", "level" } }
    raises("unique", Root.upsert, Root, { name = "x", level = 9, mail = "m" }, way)
    way.on_conflict = "update"
    raises("unique", Root.bulk_create, Root, { { name = "x", level = 9, mail = "m" } }, way)
    way.returning = false
    raises("unique", Root.bulk_create, Root, { { name = "n", level = 9, mail = "n" }, { name = "x", level = 9, mail = "m" } }, way)
    assert.same({ "dan", 1 }, { admin:refresh().name, admin.level })
    assert.equal(0, User:filter{ mail = "n" }:count())
    way.on_conflict, way.returning = nil, nil
    assert.equal(root.id, Admin:upsert({ name = "eva", level = 2, mail = "r" }, way).id) -- what extends it is one of it
    assert.same({ "eva", 2 }, { root:refresh().name, root.level })
    assert.equal("Root", root.kind)
    assert.equal(0, Root:bulk_create({ { name = "x", level = 9, mail = "m" } },
      { on_conflict = "ignore", conflict = { "mail" }, returning = false }))
    assert.equal(#before + 2, User:count())
  end)

  it("says itself in its rows, whatever writes them", function()
    fill()
    Admin:bulk_create{ { name = "dan", level = 1 }, { name = "eve", level = 1 } }
    Admin:upsert({ name = "fay", level = 3, mail = "m" }, { conflict = { "mail" } })
    Root:get_or_create({ name = "gus" }, { level = 4 })
    local kinds = {}
    for place, row in ipairs(db:fetch_all("SELECT kind FROM people ORDER BY name")) do
      kinds[place] = row.kind
    end
    assert.same({ "User", "Admin", "Root", "Admin", "Admin", "Admin", "Root" }, kinds)
    assert.matches("Admin%(new%) is no object of it",
      raises("bad_argument", function() User:bulk_create{ Admin:build{ name = "h", level = 1 } } end).message)
    assert.matches('always "Admin"', raises("validation", function() Admin:create{ name = "h", level = 1, kind = "Root" } end).errors.kind)
  end)

  it("checks its own fields, which other rows leave NULL", function()
    local ann = fill()
    assert.equal("must not be NULL", raises("validation", function() Admin:create{ name = "d" } end).errors.level)
    assert.matches("at least 1", raises("validation", function() Root:create{ name = "d", level = 0 } end).errors.level)
    assert.is_nil(db:fetch_one("SELECT level, title FROM people WHERE id = ?", ann.id).level)
    raises("unknown_field", function() User:create{ name = "d", level = 1 } end)
    raises("unknown_field", function() User:filter{ level = 1 } end)
    raises("unknown_field", function() ann.level = 1 end)
    assert.is_nil(ann.level)
    assert.equal("chief", Admin:create{ name = "d", level = 1, title = "chief" }.title)
  end)

  it("writes only what changed in an object that came from its parent's query", function()
    local _, bob = fill()
    local one = User:get(bob.id)
    assert.is_false(one:is_dirty())
    one.level, one.name = 7, "rob"
    assert.same({ "name", "level" }, one:dirty_fields())
    one:save()
    bob:refresh()
    assert.same({ "rob", 7, "clerk" }, { bob.name, bob.level, bob.title })
    databases.undone(mp.atomic, { database = db }, function()
      one.level = 8
      one:save()
      error "undone"
    end)
    assert.equal(7, one.level)
    assert.equal(1, one:delete())
    assert.equal(2, User:count())
  end)

  it("stands where its parent does in relations, and has its own", function()
    local ann, bob, cid = fill()
    bob.boss = cid
    bob:save()
    local note = Note:create{ text = "n", owner = bob, checker = cid }
    assert.equal("admin bob", Note:get(note.id).owner:who())
    assert.equal("admin cid", Note:get(note.id).checker:who())
    assert.equal("admin bob", Note:select_related("owner"):first().owner:who())
    assert.equal(1, bob.notes:count())
    assert.equal(1, Admin:get(bob.id).notes:count())
    assert.same({ "bob" }, cid.staff:pluck("name"))
    assert.equal(0, ann.staff:count())
    assert.same({ "n" }, Note:filter{ checker__level = 9 }:pluck("text"))
    assert.same({ "bob" }, User:filter{ notes__text = "n" }:pluck("name"))
    assert.same({ "bob" }, Admin:filter{ notes__text = "n" }:pluck("name"))
    assert.equal(1, cid.checked:count())
    assert.equal("admin cid", Admin:filter{ boss__name = "cid" }:one().boss:who())
    raises("bad_argument", function() note.checker = ann end)
    raises("bad_argument", function() Note:filter{ checker = ann } end)
  end)

  it("runs the hooks that it has or inherits", function()
    local said = {}
    local function note(what) return function(self) said[#said + 1] = what .. " " .. self.name end end
    function User:before_insert() note "user"(self) end
    User.after_load = note "loaded"
    function Root:before_insert() note "root"(self) end
    fill()
    User:all()
    Admin:get{ name = "bob" }
    assert.same({ "user ann", "user bob", "root cid", "loaded ann", "loaded bob", "loaded cid", "loaded bob" }, said)
  end)

  it("is known to sessions by its row, whichever query gave it", function()
    local _, bob = fill()
    db:session(function(s)
      local one = s:get(User, bob.id)
      assert.equal(one, Admin:get(bob.id))
      assert.equal("admin bob", one:who())
      one.level = 5
      Admin{ name = "new", level = 1 }
    end)
    assert.equal(5, Admin:get(bob.id).level)
    assert.equal(3, Admin:count())
  end)

  it("loads the columns that were asked for, and the others when they are touched", function()
    fill()
    local people = User:only("name"):all()
    assert.equal("admin bob", people[2]:who())
    assert.equal(2, people[2].level)
    assert.is_false(people[2]:is_dirty())
    local cid = Admin:defer("name"):get{ level = 9 }
    assert.same({ "x", "cid" }, { cid.secret, cid.name })
    assert.equal(3, User:union(User):count())
  end)
end)

describe("extending", function()
  local function refused(kind, name, fields, options)
    local err = raises(kind, mp.entity, name, fields, options)
    return err.message
  end

  it("is refused where it cannot be", function()
    mp.entity("Base", { name = f.string() })
    assert.matches("it extends Bsae, which is not declared before it %(did you mean Base", refused("bad_argument", "Kid", {}, { extends = "Bsae", discriminator = "kind" }))
    assert.matches("extends needs discriminator", refused("bad_argument", "Kid", {}, { extends = "Base" }))
    assert.matches("table is an option of Base", refused("bad_argument", "Kid", {}, { extends = "Base", discriminator = "kind", table = "x" }))
    assert.matches("name is a field of Base already", refused("bad_argument", "Kid", { name = f.string() }, { extends = "Base", discriminator = "kind" }))
    assert.matches("its key is that of Base", refused("bad_argument", "Kid", { no = f.id() }, { extends = "Base", discriminator = "kind" }))
    mp.entity("Kid", { size = f.integer() }, { extends = "Base", discriminator = "kind" })
    assert.matches("is the column of Kid.size", refused("bad_argument", "Other", { size = f.integer() }, { extends = "Base" }))
    assert.matches("the discriminator of Base is kind", refused("bad_argument", "Other", {}, { extends = "Base", discriminator = "sort" }))
    mp.entity("Other", { size = f.integer{ column = "other_size" } }, { extends = "Base" })
    assert.matches("discriminator: sort is of type integer", refused("bad_argument", "Third", { sort = f.integer() }, { discriminator = "sort" }))
  end)
end)
