-- Sessions and queries: what a query would see is written before it, and what it brings goes into the objects that are known.

local mp = require "moonpool"
local authors = require "spec.support.authors"
local databases = require "spec.support.databases"

databases.each("a query inside a session", function(open, database)
  local db, Author, Book

  before_each(function()
    db = open()
    Author, Book = authors(db)
  end)

  local function words(fn) return databases.words(db, fn) end

  local function names()
    return table.concat(Author:order_by("name"):pluck("name"), " ")
  end

  it("writes new objects, and the changed ones of the entities that it reads", function()
    local ada = Author:create{ name = "ada", age = 1 }
    local book = Book:create{ title = "Notes", author = ada }
    db:session(function(s)
      local one, other = s:get(Author, ada.id), s:get(Book, book.id)
      one.age, other.title = 2, "More"
      assert.equal("UPDATE SELECT", words(function() assert.equal(1, Author:filter{ age = 2 }:count()) end))
      assert.equal("UPDATE SELECT", words(function() assert.equal(1, Book:filter{ author__age = 2, title = "More" }:count()) end))
      one.age = 3
      assert.equal("UPDATE SELECT", words(function() assert.equal(1, Book:filter{ author__age = 3 }:count()) end))
      one.age = 4
      assert.equal("UPDATE SELECT", words(function()
        assert.equal(1, Book:filter{ author_id__in = Author:filter{ age = 4 }:values("id") }:count())
      end))
      other.title = "Still more"
      assert.equal("SELECT", words(function() Author:count() end))
      assert.equal("UPDATE UPDATE", words(function() Book:filter{ title = "Still more" }:update{ title = "Last" } end))
      Author{ name = "bob" }
      assert.equal("INSERT SELECT", words(function() Book:count() end))
      s:delete(other)
      assert.equal("DELETE SELECT", words(function() assert.equal(2, Author:count()) end))
      one.age = 7
      assert.equal("UPDATE SELECT", words(function()
        assert.equal(7, db:fetch_val("select age from author where id = ?", ada.id))
      end))
    end)
  end)

  it("writes nothing with autoflush = false", function()
    db:session({ autoflush = false }, function(s)
      Author{ name = "ada" }
      assert.equal(0, Author:count())
      s:flush()
      assert.equal(1, Author:count())
      Author{ name = "bob" }
    end)
    assert.equal("ada bob", names())
  end)

  it("writes nothing inside of an inner session that says so", function()
    db:session(function()
      db:session({ autoflush = false }, function()
        Author{ name = "ada" }
        assert.equal(0, Author:count())
      end)
      assert.equal(1, Author:count())
    end)
  end)

  it("has the key of an object that it writes for that", function()
    db:session(function()
      local ada = Author{ name = "ada" }
      assert.equal(0, Book:filter{ author = ada }:count())
      assert.is_truthy(ada.id)
      local bob = Author{ name = "bob" }
      assert.equal(0, bob.books:count())
      local cleo = Author{ name = "cleo" }
      local book = Book:create{ title = "Notes", author = cleo }
      assert.equal(cleo.id, book.author_id)
    end)
  end)

  it("takes over what the database has of known objects, but for what was changed in them", function()
    local id = Author:create{ name = "ada", age = 1 }.id
    db:session({ autoflush = false }, function(s)
      local one = s:get(Author, id)
      one.name = "mine"
      Author:filter{ id = id }:update{ age = 9, name = "theirs" }
      Author:get(id)
      assert.same({ "mine", 9 }, { one.name, one.age })
      assert.same({ "name" }, one:dirty_fields())
      Author:only("name"):get(id)
      assert.same({ "mine", 9 }, { one.name, one.age })
      one = Author:defer("name"):annotate{ twice = mp.F.age * 2 }:all()[1]
      assert.same({ "mine", 9, 18 }, { one.name, one.age, one.twice })
    end)
    assert.equal("mine", names())
  end)

  it("completes an object that was loaded in part", function()
    local id = Author:create{ name = "ada", age = 4 }.id
    db:session(function(s)
      local one = Author:only("name"):get(id)
      assert.equal(one, Author:get(id))
      assert.equal("", words(function() assert.equal(4, one.age) end))
      one.age = 5
      assert.is_true(s:is_dirty(one))
    end)
    assert.equal(5, Author:get(id).age)
  end)

  it("does not ask again for related objects that are known", function()
    local ada = Author:create{ name = "ada" }
    Book:create{ title = "1", author = ada }
    Book:create{ title = "2", author = Author:create{ name = "bob" } }
    db:session(function(s)
      local known = s:get(Author, ada.id)
      local books = Book:order_by("title"):all()
      assert.equal("SELECT", words(function() -- of the one that is not known
        assert.equal(known, books[1].author)
        assert.equal("bob", books[2].author.name)
      end))
      assert.equal("", words(function() assert.equal(known, Book:build{ title = "3", author_id = ada.id }.author) end))
      local related = Book:select_related("author"):order_by("title"):all()
      assert.equal(books[1], related[1])
      assert.equal(known, related[1].author)
    end)
  end)

  it("gives the object that is known from upsert, which takes the row over", function()
    local Page = mp.entity("Page", { title = mp.field.string{ unique = true }, views = mp.field.integer{ default = 0 },
      count = mp.field.integer{ version = true } }, { database = db })
    Page:create_table()
    Page:create{ title = "a" }
    db:session(function(s)
      local known = Page:get{ title = "a" }
      assert.equal(known, Page:upsert({ title = "a", views = 5 }, { conflict = { "title" } }))
      assert.same({ 5, false }, { known.views, s:is_dirty(known) })
      known.views = 6
      s:flush()
      known.views = 7 -- is written before, and again: its version is known both times
      assert.equal(1, Page:bulk_update({ known }, { "views" }))
      assert.is_false(s:is_dirty(known))
      local new = Page:upsert({ title = "b" }, { conflict = { "title" } })
      assert.equal(new, s:get(Page, new.id))
    end)
    assert.same({ 7, 0 }, Page:order_by("title"):pluck("views"))
  end)
end)
