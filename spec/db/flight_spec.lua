-- What a session writes of several entities goes at once, in one flight: what becomes of each when another one fails.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises, undone = databases.raises, databases.undone
local f = mp.field

databases.each("the statements of a flush", function(open)
  local db, Author, Book, Tag, Note

  before_each(function()
    db = open()
    Author = mp.entity("Author", { name = f.string{ max = 20, unique = true }, age = f.integer{ null = true } }, { database = db })
    Book = mp.entity("Book", { title = f.string{ max = 20 }, author = f.belongs_to("Author", { null = true }) }, { database = db })
    Tag = mp.entity("Tag", { label = f.string{ max = 20, unique = true } }, { database = db })
    Note = mp.entity("Note", { text = f.string{ max = 20 }, version = f.integer{ version = true } }, { database = db })
    db:create_all()
    Author:bulk_create{ { name = "ada", age = 1 }, { name = "bob", age = 2 } }
    Tag:bulk_create{ { label = "lua" }, { label = "sql" } }
    Note:create{ text = "first" }
  end)

  it("write new rows, changes and what is deleted, and each object knows of its own", function()
    local cid, tag, book, ada, lua
    local gone = Tag:get{ label = "sql" }
    db:session(function(s)
      ada, lua = Author:get{ name = "ada" }, Tag:get{ label = "lua" }
      cid, tag = Author{ name = "cid" }, Tag{ label = "c" }
      book = Book{ title = "one", author = cid }
      ada.age, lua.label = 30, "LUA"
      s:delete(Tag:get(gone.id))
    end)
    assert.equal(cid.id, book.author_id)
    assert.equal("cid", Author:get(cid.id).name)
    assert.equal("c", Tag:get(tag.id).label)
    assert.equal(30, Author:get(ada.id).age)
    assert.equal("LUA", Tag:get(lua.id).label)
    assert.is_nil(Tag:filter{ id = gone.id }:first())
    for _, one in ipairs{ cid, tag, book, ada, lua } do
      assert.is_false(one:is_dirty(), tostring(one))
    end
  end)

  it("raise what the one that failed has to say, wherever it stands, and keep nothing", function()
    for place = 1, 4 do
      local before = Author:count() + Tag:count()
      local new = {}
      local err = raises("unique", db.session, db, function()
        local bob, sql = Author:get{ name = "bob" }, Tag:get{ label = "sql" }
        new[1] = Author{ name = place == 1 and "ada" or "new" }
        new[2] = Tag{ label = place == 2 and "lua" or "new" }
        bob.name = place == 3 and "ada" or "rob"
        sql.label = place == 4 and "lua" or "plsql"
      end)
      assert.equal("unique", err.kind)
      assert.is_nil(err.cause)
      assert.is_nil(err.suppressed)
      assert.truthy(err.message:find(place % 2 == 1 and "name" or "label", 1, true), err.message)
      assert.equal(before, Author:count() + Tag:count())
      assert.is_nil(new[1].id)
      assert.is_nil(new[2].id)
      assert.equal(1, Author:filter{ name = "bob" }:count())
    end
  end)

  it("put back all their objects when one of them finds its row gone", function()
    local ada, lua, note, new
    local err = raises("stale", db.session, db, function()
      ada, note, lua = Author:get{ name = "ada" }, Note:first(), Tag:get{ label = "lua" }
      db:execute "update note set version = 7"
      new = Author{ name = "new" }
      ada.age, note.text, lua.label = 9, "second", "LUA"
    end)
    assert.truthy(err.message:find("Note", 1, true), err.message)
    assert.is_nil(new.id)
    assert.same({ 1, "first", "lua" }, { ada.age, note.text, lua.label })
    assert.equal(1, Author:get{ name = "ada" }.age)
    assert.same({ "first", 1 }, { Note:first().text, Note:first().version })
    assert.is_nil(Author:filter{ name = "new" }:first())
  end)

  it("leave the rest of the session in a failed block, which a savepoint around them does not", function()
    raises("in_failed_transaction", db.session, db, function(s)
      Author{ name = "new" }
      Tag{ label = "lua" }
      raises("unique", s.flush, s)
    end)
    db:session(function(s)
      Author{ name = "kept" }
      local point = s:begin_nested()
      Author{ name = "lost" }
      Tag{ label = "lua" }
      raises("unique", s.flush, s)
      point:rollback()
      Tag{ label = "kept" }
    end)
    assert.same({ "ada", "bob", "kept" }, Author:order_by("name"):pluck("name"))
    assert.same({ "kept", "lua", "sql" }, Tag:order_by("label"):pluck("label"))
  end)

  it("are told to readers in the order of the program, each with its own error", function()
    local told = {}
    local off = db:on("query", function(event)
      assert(event.error == nil or event.error.kind)
      if event.sql:find("INSERT", 1, true) then
        told[#told + 1] = event.sql:match "INTO .(%w+)." .. (event.error and " " .. event.error.kind or "")
      end
    end)
    raises("unique", db.session, db, function()
      Author{ name = "x" }
      Tag{ label = "lua" }
      Note{ text = "y" }
    end)
    off()
    assert.same({ "author", "tag unique" }, { told[1], told[2] })
    assert.truthy(told[3] == nil or told[3] == "note in_failed_transaction", told[3])
    assert.is_nil(told[4])
  end)

  it("find hooks that ask with everything answered that went before them", function()
    local seen = {}
    local Hooked = mp.entity("Hooked", { n = f.integer() }, { database = db })
    Hooked:create_table()
    function Hooked:before_update()
      seen[#seen + 1] = "before " .. Author:filter{ name = "new" }:count() .. " " .. Tag:filter{ label = "new" }:count()
    end
    function Hooked:after_update()
      seen[#seen + 1] = "after " .. Hooked:get(self.id).n
    end
    function Hooked:after_delete()
      seen[#seen + 1] = "gone " .. Hooked:count()
    end
    local one, two = Hooked:create{ n = 1 }, Hooked:create{ n = 2 }
    db:session(function(s)
      one, two = Hooked:get(one.id), Hooked:get(two.id)
      Author{ name = "new" }
      Tag{ label = "new" }
      one.n = 5
      s:delete(two)
    end)
    assert.same({ "before 1 1", "after 5", "gone 1" }, seen)
  end)

  it("may be of many entities, with more rows than go at once", function()
    local classes = {}
    for place = 1, 40 do
      classes[place] = mp.entity("Many" .. place, { n = f.integer() }, { database = db })
      classes[place]:create_table()
    end
    local all = {}
    db:session(function()
      for n = 1, 60 do
        for place = 1, 40 do
          all[#all + 1] = classes[place]{ n = n }
        end
      end
    end)
    for place = 1, 40 do
      assert.equal(1830, classes[place]:aggregate{ sum = mp.fn.sum "n" }.sum)
    end
    for _, one in ipairs(all) do
      assert.truthy(one.id)
    end
    db:session(function(s)
      for place = 1, 40 do
        for _, one in ipairs(classes[place]:filter{ n__lte = 3 }:all()) do
          if one.n == 3 then
            s:delete(one)
          else
            one.n = -one.n
          end
        end
      end
    end)
    for place = 1, 40 do
      assert.equal(1830 - 3 - 2 * 3, classes[place]:aggregate{ sum = mp.fn.sum "n" }.sum)
    end
  end)

  it("are undone with the block around them, whose other statements go on behind them", function()
    local new
    undone(db.atomic, db, function()
      db:session(function(s)
        new = Author{ name = "new" }
        Tag{ label = "new" }
        s:flush()
        assert.equal(3, Author:count())
      end)
      assert.equal(3, Tag:count())
      error "undone"
    end)
    assert.is_nil(new.id)
    assert.equal(2, Author:count())
    assert.equal(2, Tag:count())
  end)
end)
