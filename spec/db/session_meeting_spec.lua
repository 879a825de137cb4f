-- Sessions where two of their promises meet: a savepoint and a database that is touched later, a hook and a flush, a partial
-- commit and hooks, two sessions of which one joins the other.

local mp = require "moonpool"
local authors = require "spec.support.authors"
local databases = require "spec.support.databases"
local f = mp.field
local raises = databases.raises

databases.each("a session", function(open, database)
  local db, Author, Book

  before_each(function()
    db = open()
    Author, Book = authors(db)
  end)

  local function names(entity)
    return table.concat(entity:order_by("name"):pluck("name"), " ")
  end

  local function fail() error("boom", 0) end

  describe("over several databases", function()
    local other, Elsewhere

    before_each(function()
      other = open()
      Elsewhere = authors(other)
      Elsewhere:create{ name = "old", age = 1 }
    end)

    it("undoes with a savepoint what was done in a database that it touched first inside of it", function()
      db:session(function(s)
        local outer = s:begin_nested()
        mp.try(s.begin_nested, s, function()
          Elsewhere{ name = "lost" }
          s:flush()
          fail()
        end)
        mp.try(s.begin_nested, s, function()
          Elsewhere:get{ name = "old" }.age = 2
          Elsewhere{ name = "kept" }
        end)
        outer:release()
        local inner = s:begin_nested()
        Author{ name = "lost" }
        Elsewhere{ name = "lost" }
        s:flush()
        inner:rollback()
        inner:close()
        Author{ name = "kept" }
      end)
      assert.same({ "kept", "kept old" }, { names(Author), names(Elsewhere) })
      assert.equal(2, Elsewhere:get{ name = "old" }.age)
    end)

    it("has in each database what a savepoint by hand began with, however it ends", function()
      local known = Elsewhere:get{ name = "old" }
      local ran = {}
      db:session(function(s)
        s:add(known)
        local sp = s:begin_nested()
        local fresh = Elsewhere{ name = "lost" }
        known.age = 7
        other:atomic(function(tx)
          tx:on_commit(function() ran[#ran + 1] = "on_commit" end)
          tx:on_rollback(function() ran[#ran + 1] = "on_rollback" end)
        end)
        sp:close()
        assert.same({ "on_rollback" }, ran)
        assert.same({ nil, 1 }, { fresh.id, known.age })
        assert.equal(known, s:get(Elsewhere, known.id))
        known.age = 8
      end)
      assert.same({ "old" }, Elsewhere:pluck "name")
      assert.equal(8, Elsewhere:get{ name = "old" }.age)
    end)

    it("writes what is pending in a database before a savepoint begins", function()
      db:session(function(s)
        Elsewhere{ name = "pending" }
        mp.try(s.begin_nested, s, function()
          Elsewhere:all_rows():update{ age = 5 }
          fail()
        end)
      end)
      assert.equal("old pending", names(Elsewhere))
      assert.equal(0, Elsewhere:filter{ age = 5 }:count())
    end)

    it("ends no savepoint while a block inside of it runs in another database", function()
      db:session(function(s)
        local sp = s:begin_nested()
        other:atomic(function()
          Elsewhere:create{ name = "block" }
          raises("bad_argument", sp.rollback, sp)
        end)
        sp:rollback()
      end)
      assert.equal("old", names(Elsewhere))
    end)

    if database.dialect ~= "mariadb" then -- no commit that fails can be asked for
      it("runs the hooks of what was committed, and not of what was not", function()
        other:execute "create table root (id integer primary key)"
        other:execute "create table leaf (id integer references root (id) deferrable initially deferred)"
        local ran = {}
        local function say(what)
          return function() ran[#ran + 1] = what end
        end
        raises("partial_commit", db.session, db, function(s)
          mp.on_commit(say "session")
          Author{ name = "ada" }
          s:flush()
          mp.on_commit(say "first")
          other:atomic(function(tx)
            Elsewhere:create{ name = "lost" }
            tx:on_commit(say "second")
            tx:on_rollback(say "second undone")
          end)
          other:execute "insert into leaf values (7)"
        end)
        assert.same({ "second undone", "session", "first" }, ran)
      end)
    end

    it("sends raw statements where a session says that joins one of another database", function()
      db:execute "create table here (n integer)"
      other:execute "create table there (n integer)"
      db:session(function(s)
        other:session(function(inner)
          inner:execute "insert into there values (1)"
          s:execute "insert into here values (1)"
          assert.equal(inner, mp.session.current())
          db:session({ autoflush = false }, function(innermost)
            innermost:execute "insert into here values (2)"
          end)
        end)
        assert.equal(s, mp.session.current())
        raises("bad_argument", mp.session, { database = other }, function()
          s:get(Author)
        end)
        assert.equal(s, mp.session.current())
      end)
      assert.same({ 2, 1 }, { db:fetch_val "select count(*) from here", other:fetch_val "select count(*) from there" })
    end)
  end)

  describe("whose hooks run in the middle of a flush", function()
    local Log, ada

    before_each(function()
      Log = mp.entity("Log", { name = f.string{ max = 20, unique = true } }, { database = db })
      db:create_all()
      Log:create{ name = "taken" }
      ada = Author:create{ name = "ada", age = 1 }
    end)

    it("writes what is pending although a block in a hook was undone", function()
      function Book.before_insert()
        mp.try(db.atomic, db, function() Log:create{ name = "taken" } end)
      end
      db:session(function(s)
        local known, old = s:get(Author, ada.id), Log:get{ name = "taken" }
        known.age = 9
        s:delete(old)
        Author{ name = "bob" }
        Book{ title = "t", author = known }
        mp.session.current():flush()
        assert.same({ "ada bob", 9 }, { names(Author), Author:get(ada.id).age })
      end)
      assert.same({ "ada bob", 9, 1, 0 }, { names(Author), Author:get(ada.id).age, Book:count(), Log:count() })
    end)

    it("undoes with a block in a hook what that scheduled", function()
      function Book.before_insert()
        mp.try(db.atomic, db, function()
          Author{ name = "lost" }
          fail()
        end)
      end
      db:session(function()
        Author{ name = "bob" }
        Book{ title = "t", author = ada }
      end)
      assert.same({ "ada bob", 1 }, { names(Author), Book:count() })
    end)

    it("is not ended by one", function()
      for _, method in ipairs { "commit", "rollback", "close" } do
        function Book.before_insert()
          local s = mp.session.current()
          s[method](s)
        end
        raises("bad_argument", db.session, db, function()
          Author{ name = "lost" }
          Book{ title = "t", author = ada }
        end)
        local s = db:session()
        Author{ name = "lost" }
        local book = Book{ title = "t", author = ada }
        assert.matches("hook", raises("bad_argument", s.flush, s).message)
        s:expunge(book)
        s:rollback()
        s:close()
        assert.same({ "ada", 0 }, { names(Author), Book:count() })
      end
    end)
  end)

  it("gives the object for its key again where a savepoint that changed the key is undone", function()
    local Coin = mp.entity("Coin", {
      code = f.string{ max = 5, primary_key = true }, name = f.string{ max = 9 },
    }, { database = db })
    db:create_all()
    Coin:create{ code = "a", name = "A" }
    db:session(function(s)
      local a = s:get(Coin, "a")
      mp.try(s.begin_nested, s, function()
        a.code = "b"
        s:flush()
        Coin{ code = "a", name = "new" }
        s:flush()
        fail()
      end)
      assert.equal(a, s:get(Coin, "a"))
      assert.is_nil(s:get(Coin, "b"))
      a.name = "Z"
    end)
    assert.same({ "Z" }, Coin:pluck "name")
  end)

  it("by hand says, whatever is asked of it, that the block which it was left open in has ended, and can be closed", function()
    raises("in_failed_transaction", db.atomic, db, function()
      db:session()
      Author{ name = "lost" }
      mp.session.current():flush()
    end)
    local s = mp.session.current()
    for _, method in ipairs { "commit", "flush", "is_dirty", "begin_nested" } do
      assert.matches("close the session", raises("stale_handle", s[method], s).message)
    end
    raises("stale_handle", Author.count, Author)
    s:rollback()
    Author{ name = "kept" }
    s:commit()
    s:close()
    assert.equal("kept", names(Author))
  end)

  it("is missed by its task when it is left in a generator that nobody finishes", function()
    for _, leave in ipairs {
      function() Author{ name = "lost" } end,
      function() mp.on_commit(function() end) end,
      function() Author:create{ name = "lost" } end,
    } do
      local task = mp.spawn(function()
        coroutine.wrap(function()
          db:session(function()
            coroutine.yield()
          end)
        end)()
        leave()
      end)
      assert.matches("generator that nobody finished", raises("concurrency", task.wait, task).message)
    end
    mp.spawn(function()
      coroutine.wrap(function() db:session(coroutine.yield) end)()
    end):wait()
    assert.equal("", names(Author))
  end)

  it("writes and deletes once what was taken out of it and came again", function()
    local told = {}
    local Told = mp.entity("Told", { name = mp.field.string{ max = 10, unique = true } }, { database = db })
    Told:create_table()
    function Told:after_delete() told[#told + 1] = self.name end
    local old = Told:create{ name = "old" }
    db:session(function(s)
      local one = s:get(Told, old.id)
      local ada = Told{ name = "ada" }
      s:expunge(ada)
      s:add(ada)
      s:delete(one)
      s:add(one)
      s:delete(one)
    end)
    assert.equal("ada", names(Told))
    assert.same({ "old" }, told)
  end)

  it("puts back what was to be deleted, whether it came to that or not", function()
    local ada, bob = Author:create{ name = "ada", age = 1 }, Author:create{ name = "bob", age = 1 }
    for place, flush in ipairs{ false, true } do
      pcall(db.session, db, function(s)
        ada.age, bob.age = 7, 7
        s:delete(ada)
        if flush then
          s:flush()
        end
        fail()
      end)
      assert.same({ place, 1, 7 }, { place, ada.age, bob.age }) -- bob was none of the session's
      assert.equal("ada bob", names(Author))
    end
    db:session(function(s)
      mp.try(s.begin_nested, s, function()
        ada.age = 7
        s:delete(ada)
        fail()
      end)
    end)
    assert.equal(1, ada.age)
  end)

  it("raises stale_handle in a session that it joined, from a generator, when the other one has ended before", function()
    local function writer(name)
      return coroutine.wrap(function()
        db:session(function()
          Author{ name = name .. "1" }
          coroutine.yield()
          Author{ name = name .. "2" }
        end)
      end)
    end
    local first, second = writer "a", writer "b"
    first()
    second()
    first()
    raises("stale_handle", second)
    assert.equal("a1 a2 b1", names(Author))
    assert.is_nil(mp.session.current())
  end)
end)
