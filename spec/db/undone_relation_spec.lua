-- Relations of objects whose writing is undone: the key of an object that is new again is nobody's, and an object that was
-- assigned and not written is not assigned any more.

local mp = require "moonpool"
local authors = require "spec.support.authors"
local databases = require "spec.support.databases"
local errors = require "moonpool.errors"

databases.each("a relation", function(open)
  local db, Author, Book

  before_each(function()
    db = open()
    Author, Book = authors(db)
    Author:create{ name = "first" }
  end)

  local function fail() error("boom", 0) end

  -- Rows of others, which take the keys that were given back where a database does that.
  local function others(...)
    for _, name in ipairs { ... } do
      Author:create{ name = name }
    end
  end

  describe("between two objects that are new again", function()
    local ada, book

    -- What is saved once more leads to the object, and not to whose key that once was.
    local function leads_to_ada(ok, err)
      assert.is_true(ok, tostring(err))
      assert.equal(ada.id, book.author_id)
      assert.equal("ada", book.author.name)
      assert.equal("ada", Book:get{ title = "t" }.author.name)
    end

    before_each(function()
      ada = Author:build{ name = "ada" }
      book = Book:build{ title = "t", author = ada }
    end)

    it("waits for the key again after a block", function()
      for _, undo in ipairs { db.atomic, db.session } do
        pcall(undo, db, function()
          ada:save()
          book:save()
          assert.equal(ada.id, book.author_id)
          fail()
        end)
        assert.same({}, { ada.id, book.id, book.author_id })
        assert.equal(ada, book.author)
      end
      others("a", "b")
      assert.matches("save it first", databases.raises("bad_argument", book.save, book).message)
      ada:save()
      leads_to_ada(pcall(book.save, book))
    end)

    it("is followed by each run of a block that is run again", function()
      local runs = 0
      leads_to_ada(pcall(db.atomic, db, { retry = 2 }, function()
        runs = runs + 1
        ada:save()
        book:save()
        if runs < 3 then
          error(errors.new("deadlock", "a victim"), 0)
        end
      end))
      assert.equal(3, runs)
    end)

    it("is followed by another session, and by the same one after its savepoint", function()
      pcall(db.session, db, function(s)
        s:add(book)
        s:flush()
        fail()
      end)
      others("a", "b")
      leads_to_ada(pcall(db.session, db, function(s)
        pcall(s.begin_nested, s, function()
          s:add(book)
          s:flush()
          fail()
        end)
        others("c")
        s:add(book)
      end))
    end)

    it("waits for the key also where it was not written", function()
      pcall(db.session, db, function(s)
        s:add(ada)
        s:flush()
        book = Book{ title = "t", author = ada }
        fail()
      end)
      others("a", "b")
      local later
      leads_to_ada(pcall(db.session, db, function(s)
        s:add(book)
        pcall(s.begin_nested, s, function()
          s:flush()
          later = Book{ title = "later", author = ada }
          fail()
        end)
        s:add_all{ book, later }
      end))
      assert.equal("ada", Book:get{ title = "later" }.author.name)
    end)
  end)

  describe("of a saved object that was given a new one", function()
    local first, book

    before_each(function()
      first = Author:get{ name = "first" }
      book = Book:create{ title = "t", author = first }
    end)

    local function is_as_it_was()
      assert.same({ false, first.id, "first" }, { book:is_dirty(), book.author_id, book.author.name })
      book.title = "u"
      book:save()
      assert.equal(first.id, Book:get(book.id).author_id)
    end

    it("is as it was after a block that wrote the object before", function()
      pcall(db.atomic, db, function()
        book.title = "lost"
        book:save()
        book.author = Author:build{ name = "new" }
        fail()
      end)
      is_as_it_was()
    end)

    it("is as it was after a savepoint of a session, its rollback, and its end by an error", function()
      db:session(function(s)
        s:add(book)
        pcall(s.begin_nested, s, function()
          book.author = Author{ name = "new" }
          fail()
        end)
        assert.is_false(s:is_dirty())
        book.author = Author{ name = "new" }
        s:rollback()
      end)
      is_as_it_was()
      pcall(db.session, db, function(s)
        s:add(book)
        book.author = Author{ name = "new" }
        fail()
      end)
      is_as_it_was()
      assert.equal(1, Author:count())
    end)

    it("is as it was after refresh", function()
      book.author = Author:build{ name = "new" }
      book:refresh()
      is_as_it_was()
      db:session(function(s)
        s:add(book)
        book.author = Author{ name = "new" }
        s:refresh(book)
        assert.is_false(s:is_dirty(book))
      end)
      is_as_it_was()
      assert.equal(2, Author:count())
    end)
  end)

  it("of an object that mp.testing.rollback undid waits for the key again", function()
    local ada = Author:build{ name = "ada" }
    local book = Book:build{ title = "t", author = ada }
    mp.testing.rollback(function()
      ada:save()
      book:save()
    end)
    others("a")
    ada:save()
    book:save()
    assert.equal("ada", Book:get(book.id).author.name)
  end)
end)
