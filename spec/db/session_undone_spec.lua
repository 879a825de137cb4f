-- What is left of a session, or of a savepoint in it, that is undone: objects and transactions as the database has them, whatever
-- was read, committed or touched before.

local authors = require "spec.support.authors"
local databases = require "spec.support.databases"
local raises = databases.raises

databases.each("what is undone in a session", function(open)
  local db, Author

  before_each(function()
    db = open()
    Author = authors(db)
    Author:create{ name = "ada", age = 1 }
  end)

  local function fail() error("boom", 0) end

  it("takes what was read of a known object with it", function()
    db:session(function(s)
      local ada = Author:get{ name = "ada" }
      pcall(s.begin_nested, s, function()
        Author:filter{ name = "ada" }:update{ age = 5 }
        assert.equal(ada, s:scalars(Author:filter{ name = "ada" })[1])
        assert.equal(5, ada.age)
        fail()
      end)
      assert.equal(1, ada.age)
      assert.equal(1, s:get(Author, ada.id).age)
      ada.age = 5
      assert.is_true(s:is_dirty(ada))
    end)
    assert.equal(5, Author:get{ name = "ada" }.age)
  end)

  it("takes columns with it that were read when they were touched", function()
    db:session({ expire_on_commit = true }, function(s)
      local ada = Author:get{ name = "ada" }
      s:commit()
      pcall(s.begin_nested, s, function()
        Author:filter{ name = "ada" }:update{ age = 5 }
        assert.equal(5, ada.age)
        fail()
      end)
      assert.equal(1, ada.age)
    end)
  end)

  it("is all that came after a commit on the way: no transaction stays open", function()
    db:session(function(s)
      Author{ name = "bob" }
      s:commit()
    end)
    raises("unique", db.session, db, function(s)
      Author{ name = "eve" }
      s:commit()
      Author{ name = "ada2" }
      Author{ name = "bob" }
      Author:exclude{ name = "x" }:update{ age = 7 }
    end)
    raises("stale", db.session, db, function(s)
      Author{ name = "kit" }
      s:commit()
      local ada = Author:get{ name = "ada" }
      Author:filter{ name = "ada" }:delete()
      ada.age = 9
    end)
    Author:create{ name = "zoe" }
    assert.equal(0, db:pool_stats().busy)
    assert.same({ "ada", "bob", "eve", "kit", "zoe" }, Author:order_by("name"):pluck "name")
  end)

  it("puts back what was assigned to an object that it had just written", function()
    local ada
    pcall(db.session, db, function()
      ada = Author:create{ name = "bob", age = 3 }
      ada.age = 4
      fail()
    end)
    assert.is_nil(ada.id)
    assert.equal(3, ada.age)
  end)
end)

databases.each("what a session is to delete", function(open)
  local db, Author, Book

  before_each(function()
    db = open()
    Author, Book = authors(db)
    Author:create{ name = "ada", age = 1 }
  end)

  it("is stale for a save, and gone for a delete, of its own", function()
    db:session(function(s)
      local ada = Author:get{ name = "ada" }
      s:delete(ada)
      ada.age = 2
      raises("stale", ada.save, ada)
      assert.is_nil(ada.id)
    end)
    assert.equal(0, Author:count())
    Author:create{ name = "bob" }
    db:session(function(s)
      local bob = Author:get{ name = "bob" }
      s:delete(bob)
      assert.equal(0, bob:delete())
    end)
    assert.equal(0, Author:count())
  end)

  it("gives its values and its rows to others although their columns were not read", function()
    local ada = Author:get{ name = "ada" }
    local book = Book:create{ title = "Notes", author = ada }
    for _, round in ipairs{ "expired", "left out" } do
      db:session({ expire_on_commit = round == "expired" }, function(s)
        if round == "expired" then
          s:add_all{ ada, book }
          s:commit()
        else
          ada, book = Author:only("id"):first(), Book:only("id"):first()
        end
        s:delete(ada)
        s:delete(book)
        local other = Author{ name = "ada" }
        Book{ title = "Notes", author = other }
      end)
      assert.equal(1, Author:count())
      ada, book = Author:first(), Book:first()
    end
  end)

  it("may be gone already", function()
    db:session({ expire_on_commit = true }, function(s)
      local ada = s:get(Author, Author:first().id)
      s:commit()
      Author:filter{ name = "ada" }:delete()
      s:delete(ada)
      Author{ name = "ada" }
    end)
    assert.equal(1, Author:count())
  end)
end)

databases.each("a session that goes on after a partial_commit", function(open)
  it("knows nothing any more of what was undone", function()
    local db = open()
    local far, give_back = databases.file.open()
    local Author, Other = authors(db), authors(far)
    far:execute "create table doomed (parent integer references author (id) deferrable initially deferred)"
    db:session(function(s)
      Author{ name = "ada" }
      s:flush()
      far:execute "insert into doomed (parent) values (99)"
      local other = s:add(Other:build{ name = "bob" })
      raises("partial_commit", s.commit, s)
      assert.is_nil(other.id)
      assert.is_false(s:is_dirty())
      s:add(other)
    end)
    assert.equal(1, Author:count())
    assert.equal(1, Other:count())
    give_back()
  end)
end)

databases.each("expire_on_commit", function(open)
  it("leaves alone what is part of a transaction that goes on", function()
    local db = open()
    local Author = authors(db)
    local ada
    pcall(db.atomic, db, function()
      db:session({ expire_on_commit = true }, function()
        ada = Author{ name = "ada", age = 1 }
      end)
      error "boom"
    end)
    assert.equal("ada", ada.name)
    assert.is_nil(ada.id)
    ada:save()
    assert.equal(1, Author:count())
  end)

  it("holds for what the end of the session has written too", function()
    local db = open()
    local Author = authors(db)
    local ada
    db:session({ expire_on_commit = true }, function()
      ada = Author{ name = "ada", age = 1 }
    end)
    Author:filter{ name = "ada" }:update{ age = 2 }
    assert.equal(2, ada.age)
  end)
end)
