-- Sessions, the unit of work: what is scheduled and changed is written at the end, or before a query that would see it.

local mp = require "moonpool"
local authors = require "spec.support.authors"
local databases = require "spec.support.databases"
local raises = databases.raises

databases.each("session", function(open, database)
  local db, Author, Book

  before_each(function()
    db = open()
    Author, Book = authors(db)
  end)

  local function words(fn) return databases.words(db, fn) end

  local function names()
    return table.concat(Author:order_by("name"):pluck("name"), " ")
  end

  it("inserts what is built inside, at its end, in one statement for each entity", function()
    local ada, bob, book
    assert.equal("INSERT INSERT", words(function()
      db:session(function()
        book = Book{ title = "Notes", author = Author{ name = "zoe" } }
        ada = Author{ name = "ada" }
        bob = Author{ name = "bob", age = 3 }
        assert.is_nil(ada.id)
      end)
    end))
    assert.equal("ada bob zoe", names())
    assert.equal("bob", Author:get(bob.id).name)
    assert.equal("ada", Author:get(ada.id).name)
    assert.equal("zoe", Book:get(book.id).author.name)
    assert.is_false(ada:is_dirty())
  end)

  it("never schedules what build makes", function()
    db:session(function()
      Author:build{ name = "ada" }
    end)
    assert.equal("", names())
  end)

  it("gives what its function gives, and knows itself only inside", function()
    assert.is_nil(mp.session.current())
    local a, b, c = db:session(function(s)
      assert.equal(s, mp.session.current())
      return 1, nil, 3
    end)
    assert.same({ 1, 3 }, { a, c })
    assert.is_nil(b)
    assert.is_nil(mp.session.current())
  end)

  it("writes nothing when its function fails, and passes the error on", function()
    local ada = Author:create{ name = "ada", age = 1 }
    local known, new
    local ok, err = pcall(db.session, db, function(s)
      known = s:get(Author, ada.id)
      known.age = 2
      new = Author{ name = "bob" }
      s:flush()
      known.name = "changed after the flush"
      error("stop", 0)
    end)
    assert.is_false(ok)
    assert.equal("stop", err)
    assert.is_nil(mp.session.current())
    assert.equal("ada", names())
    assert.same({ 1, "ada" }, { known.age, known.name })
    assert.is_false(known:is_dirty())
    assert.is_nil(new.id)
    databases.quiet(db)
  end)

  it("gives one object for each row, whatever asks for it", function()
    local ada = Author:create{ name = "ada" }
    Book:create{ title = "Notes", author = ada }
    db:session(function(s)
      local one = s:get(Author, ada.id)
      assert.equal(one, Author:get(ada.id))
      assert.equal(one, Author:all()[1])
      assert.equal(one, Author:filter{ name = "ada" }:one())
      assert.equal(one, Book:first().author)
      assert.equal(one, s:scalars(Author:filter{ age = 0 })[1])
      assert.equal(one, Author:raw("select * from author")[1])
      local met = 0
      for each in Author:iter() do
        met = met + 1
        assert.equal(one, each)
      end
      assert.equal(1, met)
      assert.equal(one, one:refresh())
      local made = Author{ name = "bob" }
      assert.equal(made, Author:filter{ name = "bob" }:one())
      local created = Author:create{ name = "cleo" }
      assert.equal(created, s:get(Author, created.id))
    end)
    assert.not_equal(Author:get(ada.id), Author:get(ada.id))
  end)

  it("asks no more for what it knows by its key", function()
    local id = Author:create{ name = "ada" }.id
    assert.equal("SELECT", words(function()
      db:session(function(s)
        local one = s:get(Author, id)
        assert.equal(one, s:get(Author, id))
      end)
    end))
    assert.is_nil(db:session(function(s) return s:get(Author, 12345) end))
  end)

  it("writes changed columns only, and nothing where nothing changed", function()
    local id = Author:create{ name = "ada", age = 1 }.id
    local sent, texts = words(function()
      db:session(function(s)
        local one = s:get(Author, id)
        one.name = "ada"
        one.age = 2
      end)
    end)
    assert.equal("SELECT UPDATE", sent)
    assert.truthy(texts[2]:find("age", 1, true))
    assert.is_nil(texts[2]:find("name", 1, true))
    assert.equal("SELECT", words(function()
      db:session(function(s)
        s:get(Author, id).age = 2
      end)
    end))
    assert.equal(2, Author:get(id).age)
  end)

  it("writes an object that the program has dropped", function()
    local id = Author:create{ name = "ada" }.id
    db:session(function(s)
      s:get(Author, id).age = 5
      collectgarbage()
      collectgarbage()
    end)
    assert.equal(5, Author:get(id).age)
  end)

  it("updates many objects of an entity by one statement for each set of columns", function()
    Author:bulk_create{ { name = "a" }, { name = "b" }, { name = "c" }, { name = "d" } }
    assert.equal("SELECT UPDATE UPDATE", words(function()
      db:session(function()
        for place, one in ipairs(Author:order_by("name"):all()) do
          one.age = place
          one.email = place > 2 and "x@y" or nil
        end
      end)
    end))
    assert.same({ 1, 2, 3, 4 }, Author:order_by("name"):pluck("age"))
    assert.equal(2, Author:filter{ email = "x@y" }:count())
  end)

  it("deletes in the opposite order, children first", function()
    local ada = Author:create{ name = "ada" }
    local one, two = Book:create{ title = "1", author = ada }, Book:create{ title = "2", author = ada }
    db:session(function(s)
      s:delete(ada)
      s:delete(one)
      s:delete(two)
      assert.is_true(s:is_dirty(ada))
    end)
    assert.same({ 0, 0 }, { Author:count(), Book:count() })
    assert.is_nil(ada.id)
    raises("bad_argument", db.session, db, function(s) s:delete(Author:build{ name = "x" }) end)
  end)

  it("forgets what was deleted", function()
    local id = Author:create{ name = "ada" }.id
    db:session(function(s)
      local one = s:get(Author, id)
      s:delete(one)
      assert.is_nil(s:get(Author, id))
      assert.is_nil(Author:get(id))
      assert.is_false(s:is_dirty(one))
    end)
    db:session(function()
      local one = Author:create{ name = "bob" }
      one:delete()
      assert.is_nil(Author:filter{ name = "bob" }:first())
    end)
  end)

  it("adds objects of elsewhere, with new ones that they lead to", function()
    local ada = Author:create{ name = "ada" }
    ada.age = 3
    local book = Book:build{ title = "Notes", author = Author:build{ name = "bob" } }
    db:session(function(s)
      s:add(ada)
      s:add_all{ book }
      assert.equal(ada, s:get(Author, ada.id))
    end)
    assert.equal("ada bob", names())
    assert.equal(3, Author:get(ada.id).age)
    assert.equal("bob", Book:first().author.name)
    db:session(function(s)
      Author:get(ada.id)
      local err = raises("bad_argument", s.add, s, ada)
      assert.truthy(err.message:find("another object", 1, true))
      raises("bad_argument", s.add, s, { name = "no object" })
      raises("bad_argument", s.add_all, s, ada)
      raises("bad_argument", s.get, s, "Author", 1)
      raises("bad_argument", s.get, s, Author)
      raises("bad_argument", s.scalars, s, Author:values("name"))
      raises("bad_argument", function() return s.ad end)
    end)
  end)

  it("adds new ones that a saved object leads to, and those whose keys the program gives, in order of the declaration", function()
    local f = mp.field
    local Team = mp.entity("Team", { id = f.uuid{ primary_key = true, default = mp.uuid7 }, name = f.string{ max = 9 } }, { database = db })
    local Club = mp.entity("Club", { name = f.string{ max = 9 } }, { database = db })
    local Match = mp.entity("Match", {
      home = f.belongs_to("Team", { inverse = "at_home" }), away = f.belongs_to("Team", { inverse = "away" }),
      host = f.belongs_to("Club", { inverse = "hosted" }), guest = f.belongs_to("Club", { inverse = "visited" }),
    }, { database = db })
    db:create_all()
    local match = Match:build{
      home = Team:build{ name = "a" }, away = Team:build{ name = "b" }, host = Club:build{ name = "c" }, guest = Club:build{ name = "d" },
    }
    db:session(function(s) s:add(match) end)
    assert.same({ "a b", "c d" }, {
      table.concat(Team:order_by("id"):pluck("name"), " "), table.concat(Club:order_by("id"):pluck("name"), " "),
    })
    match.host, match.guest = Club:build{ name = "e" }, Club:build{ name = "f" }
    db:session(function(s) s:add(match) end)
    local saved = Match:select_related("host", "guest"):one()
    assert.same({ "e", "f" }, { saved.host.name, saved.guest.name })
    assert.is_true(match.host.id < match.guest.id)
    -- what was assigned before the key was is led to no more
    local other = Match:build{ home = Team:build{ name = "gone" }, away = match.away, host = match.host, guest = match.guest }
    other.home_id = match.home_id
    db:session(function(s) s:add(other) end)
    assert.same({ 2, 2 }, { Team:count(), Match:count() })
  end)

  it("leaves alone what is expunged", function()
    local id = Author:create{ name = "ada" }.id
    db:session(function(s)
      local one = s:get(Author, id)
      one.age = 5
      s:expunge(one)
      s:expunge(Author{ name = "bob" })
      assert.not_equal(one, s:get(Author, id))
    end)
    assert.equal("ada", names())
    assert.equal(0, Author:get(id).age)
  end)

  it("refreshes an object, and raises not_found for a row that is gone", function()
    local id = Author:create{ name = "ada" }.id
    db:session(function(s)
      local one = s:get(Author, id)
      one.age = 5
      s:refresh(one)
      assert.equal(0, one.age)
      Author:filter{ id = id }:delete()
      raises("not_found", s.refresh, s, one)
    end)
  end)

  it("saves and deletes single objects at once, too", function()
    db:session(function(s)
      local ada = Author{ name = "ada" }
      ada:save()
      assert.equal(1, db:fetch_val("select count(*) from author"))
      local bob = Author{ name = "bob" }
      local rows = Author:bulk_create{ bob, { name = "cleo" } }
      assert.equal(bob, rows[1])
      assert.equal(bob, s:get(Author, bob.id))
      ada:delete()
    end)
    assert.equal("bob cleo", names())
  end)

  it("runs the hooks of its objects, which may schedule and change more", function()
    local order = {}
    function Author:before_insert()
      self.age = self.age + 1
      order[#order + 1] = "before " .. self.name
    end
    function Author:after_insert()
      order[#order + 1] = "after " .. self.name
      if self.name == "ada" then
        Author{ name = "bob" }
        self.email = "set behind"
      end
    end
    function Author:before_update()
      order[#order + 1] = "update " .. self.name
    end
    db:session(function() Author{ name = "ada" } end)
    assert.same({ "before ada", "after ada", "update ada", "before bob", "after bob" }, order)
    assert.same({ 1, 1 }, Author:order_by("name"):pluck("age"))
    assert.equal("set behind", Author:filter{ name = "ada" }:one().email)
  end)

  it("keeps what is wrong scheduled, and writes it when it was put right", function()
    db:session(function(s)
      local one = Author{ name = "ada", age = 1 }
      one.age = "many"
      local err = raises("validation", s.flush, s)
      assert.truthy(err.errors.age)
      assert.is_nil(err.message:find("row", 1, true))
      assert.is_true(s:is_dirty(one))
      one.age = 2
    end)
    assert.same({ 2 }, Author:pluck("age"))
    raises("validation", db.session, db, function()
      Author{ name = "bob" }.age = "many"
    end)
    assert.equal("ada", names())
  end)

  it("raises a failure of the flush, with everything undone", function()
    Author:create{ name = "ada" }
    local ada
    raises("unique", db.session, db, function()
      Author{ name = "bob" }
      ada = Author{ name = "ada" }
    end)
    assert.equal("ada", names())
    assert.is_nil(ada.id)
    local err = raises("in_failed_transaction", db.session, db, function(s)
      Author{ name = "ada" }
      pcall(s.flush, s)
      s:expunge(mp.session.current() and ada)
    end)
    assert.equal("unique", err.cause and err.cause.kind or err.kind)
    assert.equal("ada", names())
    databases.quiet(db)
  end)

  it("raises stale for an object whose row is gone", function()
    local id = Author:create{ name = "ada" }.id
    raises("stale", db.session, db, function(s)
      local one = s:get(Author, id)
      Author:filter{ id = id }:delete()
      one.age = 3
    end)
    assert.equal("ada", names())
  end)

  it("commits raw SQL and bulk writes, too", function()
    db:session(function(s)
      assert.equal(1, s:execute("insert into author (name, age) values (?, ?)", "raw", 1))
    end)
    db:session(function()
      Author:filter{ name = "raw" }:update{ age = 2 }
    end)
    db:session(function()
      Author:bulk_create({ { name = "bulk" } }, { returning = false })
    end)
    assert.equal("bulk raw", names())
    assert.same({ 0, 2 }, Author:order_by("name"):pluck("age"))
    databases.undone(db.session, db, function()
      db:execute("delete from author")
      error "undone"
    end)
    assert.equal("bulk raw", names())
  end)

  it("joins the session around it", function()
    db:session(function(s)
      Author{ name = "ada" }
      db:session(function(inner)
        assert.equal(s, inner)
        Author{ name = "bob" }
      end)
      mp.session.wrap({ database = db }, function(name)
        Author{ name = name }
      end)("cleo")
      assert.is_nil(mp.spawn(function() return mp.session.current() end):wait())
      raises("durable", db.session, db, { isolation = "serializable" }, function() end)
      raises("bad_argument", db.session, db, { optimistic = true }, function() end)
      raises("bad_argument", db.session, db)
      raises("durable", db.atomic, db, { durable = true }, function() end)
    end)
    assert.equal("ada bob cleo", names())
  end)

  it("is part of a transaction around it", function()
    databases.undone(mp.atomic, { database = db }, function()
      db:session(function() Author{ name = "ada" } end)
      assert.equal(1, Author:count())
      error "undone"
    end)
    assert.equal("", names())
    db:atomic(function()
      databases.undone(db.session, db, function()
        Author{ name = "ada" }
        error "undone"
      end)
      Author:create{ name = "bob" }
    end)
    assert.equal("bob", names())
  end)

  it("does not begin a transaction where the database is not touched", function()
    local seen = 0
    local remove = db:on("query", function() seen = seen + 1 end)
    db:session(function() Author:build{ name = "x" } end)
    remove()
    assert.equal(0, seen)
  end)

  it("wraps a function, with its arguments", function()
    local add = mp.session.wrap({ database = db }, function(name, age)
      return Author{ name = name, age = age }
    end)
    assert.equal(3, add("ada", 3).age)
    assert.equal("ada", names())
  end)

  it("wraps a function before its database is configured", function()
    local add = mp.session.wrap({ database = "ledger" }, function(name) Author{ name = name } end)
    raises("usage", add, "early")
    mp.configure{ ledger = db }
    finally(function() mp.close_all() end)
    add "ada"
    assert.equal("ada", names())
    raises("unknown_database", mp.session.wrap({ database = "nowhere" }, print))
  end)

  it("refuses bad arguments", function()
    raises("bad_argument", mp.session, nil)
    raises("bad_argument", mp.session, {}, "no function")
    raises("bad_argument", mp.session.wrap, 3)
    local err = raises("unknown_option", db.session, db, { autoflsh = true }, function() end)
    assert.truthy(err.message:find("autoflush", 1, true))
    raises("bad_argument", db.session, db, { autoflush = 1 }, function() end)
    raises("bad_argument", db.session, db, { retry = -1 }, function() end)
    raises("bad_argument", db.session, db, { isolation = "sometimes" }, function() end)
    assert.matches("by hand", raises("unknown_option", db.session, db, { retry = 2 }).message)
    assert.matches("db:session%(fn%)", raises("bad_argument", mp.session, db, function() end).message)
  end)

  it("belongs to its task, and raises stale_handle when it has ended", function()
    local s
    db:session(function(inner)
      s = inner
      local err = raises("concurrency", function()
        mp.spawn(function() s:flush() end):wait()
      end)
      assert.truthy(err.message:find("session", 1, true))
      raises("bad_argument", s.close, s)
    end)
    raises("stale_handle", s.flush, s)
    s:close()
  end)

  it("runs the whole function again where it may help, with new objects", function()
    local ada = Author:create{ name = "ada", age = 1 }
    local runs, seen = 0, {}
    local conflict = raises("pool_closed", function()
      local other = mp.open "sqlite::memory:"
      other:close()
      other:execute("select 1")
    end)
    conflict.kind, conflict.retryable = "serialization", "transaction"
    db:session({ retry = 2 }, function(s)
      runs = runs + 1
      local one = s:get(Author, ada.id)
      seen[runs] = one.age
      one.age = one.age + 1
      Author{ name = "bob" }
      s:flush()
      if runs < 3 then
        error(conflict)
      end
    end)
    assert.same({ 1, 1, 1 }, seen)
    assert.equal("ada bob", names())
    assert.equal(2, Author:get(ada.id).age)
    runs = 0
    raises("serialization", db.session, db, { retry = 1 }, function()
      runs = runs + 1
      error(conflict)
    end)
    assert.equal(2, runs)
  end)

  it("runs on_commit hooks after its commit, outside of it", function()
    local seen = {}
    db:session(function(s)
      mp.on_commit(function() seen[#seen + 1] = Author:count() end)
      Author{ name = "ada" }
      s:flush()
      mp.on_commit(function() seen[#seen + 1] = mp.session.current() == nil end)
    end)
    assert.same({ 1, true }, seen)
    databases.undone(db.session, db, function()
      mp.on_commit(function() seen[#seen + 1] = "never" end)
      error "undone"
    end)
    assert.equal(2, #seen)
    databases.quiet(db)
  end)

  it("drops hooks with what was undone, and hands the others to the transaction around it", function()
    local seen = {}
    local function add(text)
      mp.on_commit(function() seen[#seen + 1] = text end)
    end
    db:atomic(function()
      databases.undone(db.session, db, function()
        add "undone"
        Author{ name = "ada" }
        error "undone"
      end)
      db:session(function() add "untouched" end)
      db:session(function()
        add "before"
        Author{ name = "bob" }
        mp.session.current():flush()
        add "behind"
      end)
      assert.same({}, seen)
    end)
    assert.same({ "untouched", "before", "behind" }, seen)
    assert.equal("bob", names())
  end)

  it("rolls back when its task is cancelled", function()
    local inside = false
    local task = mp.spawn(function()
      db:session(function(s)
        Author{ name = "ada" }
        s:flush()
        inside = true
        mp.sleep(60)
      end)
    end)
    while not inside do
      mp.sleep(0.001)
    end
    task:cancel()
    raises("cancelled", task.wait, task)
    assert.equal("", names())
    databases.quiet(db)
  end)

  if not database.single then
    it("keeps the objects of two tasks apart", function()
      local id = Author:create{ name = "ada" }.id
      local known = {}
      for place = 1, 2 do
        mp.spawn(function()
          db:session(function(s)
            known[place] = s:get(Author, id)
            s:rollback()
          end)
        end):wait()
      end
      assert.not_equal(known[1], known[2])
    end)
  end
end)
