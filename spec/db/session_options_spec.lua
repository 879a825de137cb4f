-- Sessions and the options of entities that change what a write means: versions, timestamps, soft deletes, inheritance.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("a session's writes", function(open)
  local db

  before_each(function()
    db = open()
  end)

  it("count and check the version of each row", function()
    local Doc = mp.entity("Doc", { text = f.string{ max = 20 }, revision = f.integer{ version = true } }, { database = db })
    db:create_all()
    db:session(function()
      Doc{ text = "a" }
      Doc{ text = "b" }
    end)
    local first = Doc:first().revision
    db:session(function()
      for _, one in ipairs(Doc:order_by("id"):all()) do
        one.text = one.text .. "!"
      end
    end)
    assert.same({ first + 1, first + 1 }, Doc:pluck("revision"))
    raises("stale", db.session, db, function()
      local list = Doc:order_by("id"):all()
      Doc:filter{ id = list[1].id }:update{ text = "theirs" }
      db:execute("update doc set revision = revision + 1 where id = ?", list[2].id)
      list[1].text, list[2].text = "mine", "mine"
    end)
    assert.same({ "a!", "b!" }, Doc:order_by("id"):pluck("text"))
    local kept
    db:session(function(s)
      kept = s:get(Doc, Doc:first().id)
      kept.text = "once"
      s:flush()
      kept.text = "twice"
    end)
    assert.equal(first + 3, kept.revision)
    assert.is_false(kept:is_dirty())
    assert.equal(first + 3, Doc:get(kept.id).revision)
  end)

  it("set the times of rows", function()
    local Note = mp.entity("Note", { text = f.string{ max = 20 } }, { database = db, timestamps = true })
    db:create_all()
    local one
    db:session(function()
      one = Note{ text = "a" }
    end)
    local before = one.updated_at
    assert.is_truthy(before)
    db:session(function(s)
      s:add(one)
      one.text = "b"
    end)
    assert.is_true(one.updated_at >= before)
    assert.is_false(one:is_dirty())
    assert.equal(one.updated_at, Note:get(one.id).updated_at)
  end)

  it("mark rows as deleted, which are not found any more", function()
    local Page = mp.entity("Page", { title = f.string{ max = 20 } }, { database = db, soft_delete = true })
    db:create_all()
    local id = Page:create{ title = "a" }.id
    db:session(function(s)
      local one = s:get(Page, id)
      s:delete(one)
      assert.is_nil(s:get(Page, id))
      assert.equal(0, Page:count())
      local sp = s:begin_nested()
      Page{ title = "b" }
      sp:rollback()
      assert.is_nil(s:get(Page, id))
    end)
    assert.equal(0, Page:count())
    assert.equal(1, db:fetch_val("select count(*) from page"))
    databases.undone(db.session, db, function(s)
      local one = Page:create{ title = "c" }
      s:delete(one)
      s:flush()
      error "undone"
    end)
    assert.equal(1, db:fetch_val("select count(*) from page"))
  end)

  it("know one object for the row of an entity that extends another", function()
    local Pet = mp.entity("Pet", { name = f.string{ max = 20 } }, { database = db, discriminator = "kind" })
    local Dog = mp.entity("Dog", { breed = f.string{ max = 20, null = true } }, { extends = "Pet" })
    db:create_all()
    db:session(function(s)
      local rex, tom = Dog{ name = "rex", breed = "collie" }, Pet{ name = "tom" }
      s:flush()
      assert.equal(rex, Dog:get(rex.id))
      assert.equal(rex, Pet:get(rex.id))
      assert.equal(rex, s:get(Pet, rex.id))
      assert.equal(2, #Pet:all())
      rex.breed = "poodle"
      assert.equal(1, Dog:filter{ breed = "poodle" }:count())
      tom.name = "tim"
    end)
    assert.same({ "rex", "tim" }, Pet:order_by("name"):pluck("name"))
  end)
end)
