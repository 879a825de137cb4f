-- Sessions at their corners: what one flush may contain at once, objects that outlive a session or come from another one,
-- sessions in blocks and blocks in sessions, and sessions that nobody closes.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("a session, at its corners,", function(open, database)
  local db, Author, Book

  before_each(function()
    db = open()
    Author = mp.entity("Author", {
      name = f.string{ max = 100, unique = true }, age = f.integer{ default = 0 },
      rank = f.integer{ server_default = "7" }, note = f.string{ lazy = true, null = true },
    }, { database = db })
    Book = mp.entity("Book", {
      title = f.string{ max = 100 }, author = f.belongs_to("Author", { inverse = "books" }),
    }, { database = db })
    db:create_all()
  end)

  local function names()
    return table.concat(Author:order_by("name"):pluck("name"), " ")
  end

  local function writes(fn)
    local list = {}
    for _, record in ipairs(mp.testing.queries(fn)) do
      local word, name = record.sql:match("^(%u+)[%a ]-[\"`]([%w_]+)")
      if word == "INSERT" or word == "UPDATE" or word == "DELETE" then
        list[#list + 1] = word:lower() .. " " .. name
      end
    end
    return list
  end

  describe("flushing", function()
    it("gives a unique value of a deleted object to a new one", function()
      local old = Author:create{ name = "ada", age = 1 }
      local new
      db:session(function(s)
        s:delete(s:get(Author, old.id))
        new = Author{ name = "ada", age = 2 }
      end)
      assert.same({ 2 }, Author:pluck("age"))
      assert.not_equal(old.id, new.id)
    end)

    it("gives a unique value of a deleted object to a changed one", function()
      Author:create{ name = "ada", age = 1 }
      Author:create{ name = "bob", age = 2 }
      db:session(function(s)
        local list = Author:order_by("name"):all()
        s:delete(list[1])
        list[2].name = "ada"
      end)
      assert.same({ 2 }, Author:pluck("age"))
      assert.equal("ada", names())
    end)

    it("gives the key of a deleted object to a new one", function()
      local Code = mp.entity("Code", { code = f.string{ max = 10, primary_key = true }, text = f.string{ max = 10 } },
        { database = db })
      Code:create_table()
      Code:create{ code = "a", text = "old" }
      local new
      db:session(function(s)
        s:delete(s:get(Code, "a"))
        new = Code{ code = "a", text = "new" }
        s:flush()
        assert.equal(new, s:get(Code, "a"))
      end)
      assert.equal("new", Code:get("a").text)
      assert.is_false(new:is_dirty())
    end)

    it("gives a unique value that a changed object gave up to a new one", function()
      local ada = Author:create{ name = "ada" }
      db:session(function(s)
        s:get(Author, ada.id).name = "lovelace"
        Author{ name = "ada" }
      end)
      assert.equal("ada lovelace", names())
    end)

    it("deletes the children of an object whose unique value is wanted before it", function()
      local old = Author:create{ name = "ada", age = 1 }
      Book:create{ title = "1", author = old }
      db:session(function(s)
        local one, book = s:get(Author, old.id), Book:first()
        s:delete(one)
        s:delete(book)
        Book{ title = "2", author = Author{ name = "ada", age = 2 } }
      end)
      assert.same({ 2 }, Author:pluck("age"))
      assert.same({ "2" }, Book:pluck("title"))
    end)

    it("moves a child to a new parent, and deletes the old one", function()
      local old = Author:create{ name = "ada" }
      local book = Book:create{ title = "1", author = old }
      db:session(function(s)
        local one = s:get(Book, book.id)
        s:delete(one.author)
        one.author = Author{ name = "bob" }
      end)
      assert.equal("bob", Book:first().author.name)
      assert.equal("bob", names())
    end)

    it("swaps no unique values, and says so with nothing written", function()
      Author:bulk_create{ { name = "ada" }, { name = "bob" } }
      raises("unique", db.session, db, function()
        local list = Author:order_by("name"):all()
        list[1].name, list[2].name = "bob", "ada"
      end)
      assert.equal("ada bob", names())
      databases.quiet(db)
    end)

    it("writes more rows than one statement can hold", function()
      local list = {}
      db:session(function()
        for i = 1, 3000 do
          list[i] = Author{ name = ("%05d"):format(i), age = i, rank = 1, note = "n" }
        end
      end)
      assert.equal(3000, Author:count())
      local seen = {}
      for i = 1, 3000, 499 do
        seen[#seen + 1] = Author:get(list[i].id).age == i and Author:get(list[i].id).name == list[i].name
      end
      assert.same({ true, true, true, true, true, true, true }, seen)
      db:session(function()
        for _, one in ipairs(Author:all()) do
          one.age = one.age + 1
        end
      end)
      assert.equal(3000 * 3001 / 2 + 3000, Author:sum("age"))
      db:session(function(s)
        for _, one in ipairs(Author:filter{ age__gt = 100 }:all()) do
          s:delete(one)
        end
      end)
      assert.equal(99, Author:count())
    end)

    it("brings what the database makes: keys and defaults", function()
      db:session(function(s)
        local one, two = Author{ name = "ada" }, Author{ name = "bob", rank = 3 }
        s:flush()
        assert.same({ 7, 3 }, { one.rank, two.rank })
        assert.is_false(s:is_dirty())
        one.rank = 8
      end)
      assert.same({ 8, 3 }, Author:order_by("name"):pluck("rank"))
    end)

    it("takes back a delete by add", function()
      Author:create{ name = "ada" }
      db:session(function(s)
        local one = Author:first()
        s:delete(one)
        s:add(one)
        one.age = 4
        assert.is_true(s:is_dirty(one))
      end)
      assert.same({ 4 }, Author:pluck("age"))
    end)

    it("deletes once what is deleted twice, and forgets a new object that is expunged", function()
      Author:create{ name = "ada" }
      assert.same({ "delete author" }, writes(function()
        db:session(function(s)
          local one = Author:first()
          s:delete(one)
          s:delete(one)
          s:expunge(Author{ name = "bob" })
        end)
      end))
      assert.equal("", names())
    end)

    it("leaves a row that an expunged object was to delete", function()
      Author:create{ name = "ada" }
      db:session(function(s)
        local one = Author:first()
        s:delete(one)
        s:expunge(one)
      end)
      assert.equal("ada", names())
    end)

    it("puts nothing in the way of what refers to a row that is not known", function()
      local ada = Author:create{ name = "ada" }
      Book:create{ title = "1", author = ada }
      raises("foreign_key", db.session, db, function(s)
        s:delete(s:get(Author, ada.id))
      end)
      assert.equal("ada", names())
    end)
  end)

  describe("an object", function()
    it("of a session that failed is new again, and can be added to another one", function()
      local one
      databases.undone(db.session, db, function(s)
        one = Author{ name = "ada" }
        s:flush()
        error "undone"
      end)
      db:session(function(s)
        s:add(one)
      end)
      assert.equal("ada", Author:get(one.id).name)
    end)

    it("of a session that ended is read, loaded further and saved by itself", function()
      local made = Author:create{ name = "ada", note = "n" }
      Book:create{ title = "1", author = made }
      local one, book
      db:session(function(s)
        one, book = s:get(Author, made.id), Book:first()
      end)
      assert.equal("n", one.note)
      assert.equal("ada", book.author.name)
      one.age = 3
      one:save()
      assert.same({ 3 }, Author:pluck("age"))
    end)

    it("is the same before and behind a lazy column", function()
      Author:bulk_create{ { name = "ada", note = "a" }, { name = "bob", note = "b" } }
      db:session(function(s)
        local list = Author:order_by("name"):all()
        list[1].age = 5
        assert.same({ "a", "b" }, { list[1].note, list[2].note })
        assert.equal(list[1], s:get(Author, list[1].id))
        list[2].note = "changed"
      end)
      assert.same({ 5, 0 }, Author:order_by("name"):pluck("age"))
      assert.equal("changed", Author:get{ name = "bob" }.note)
    end)

    it("of before the rollback of a session is its own again, and can be added", function()
      local id = Author:create{ name = "ada" }.id
      local s <close> = db:session()
      local one = s:get(Author, id)
      s:rollback()
      one.age = 3
      assert.is_true(s:is_dirty(one))
      s:commit()
      assert.same({ 0 }, Author:pluck("age"))
      s:add(one)
      s:commit()
      assert.same({ 3 }, Author:pluck("age"))
      assert.equal(one, s:get(Author, id))
    end)

    it("whose row is deleted by others in the meantime is stale", function()
      local one = Author:create{ name = "ada" }
      Author:filter{ id = one.id }:delete()
      one.age = 4
      raises("stale", db.session, db, function(s)
        s:add(one)
      end)
    end)

    it("is checked with optimistic by its JSON and its arrays, too", function()
      local Doc = mp.entity("Doc", {
        text = f.string{ max = 10, null = true }, prefs = f.json{ null = true }, list = f.array{ of = f.integer(), null = true },
      }, { database = db })
      Doc:create_table()
      local id = Doc:create{ prefs = { theme = "dark", n = { 1, 2.5, mp.null } }, list = { 1, 2 } }.id
      local function change(fn, between)
        db:session({ optimistic = true }, function(s)
          local one = s:get(Doc, id)
          fn(one)
          if between then
            mp.session.wrap({ autoflush = false, database = db }, function() Doc:filter{ id = id }:update(between) end)()
          end
        end)
      end
      local function mine(one) one.prefs.n[1] = 5 end
      change(function(one) one.prefs.theme = "light" end)
      change(function(one) one.text = "x" end)
      assert.same({ "light", "x" }, { Doc:get(id).prefs.theme, Doc:get(id).text })
      raises("stale", change, mine, { prefs = { theme = "theirs" } })
      raises("stale", change, mine, { prefs = mp.null })
      raises("stale", change, mine, { list = { 1, 3 } })
      raises("stale", change, mine, { list = mp.null })
      change(function(one) one.prefs, one.list = nil, nil end)
      change(function(one) one.text = "y" end)
      raises("stale", change, function(one) one.text = "z" end, { prefs = { 1 } })
      raises("stale", change, function(one) one.text = "z" end, { list = { 1 } })
      change(function(one) one.prefs, one.list = { a = 1 }, {} end)
      change(function(one) one.list = { 4 } end)
      assert.same({ "y", 1, 4 }, { Doc:get(id).text, Doc:get(id).prefs.a, Doc:get(id).list[1] })
    end)

    it("is not checked with optimistic where it was deleted", function()
      local id = Author:create{ name = "ada" }.id
      db:session({ optimistic = true }, function(s)
        local one = s:get(Author, id)
        Author:filter{ id = id }:delete()
        s:delete(one)
      end)
      assert.equal("", names())
    end)
  end)

  describe("raw calls", function()
    it("of every kind see what is pending, and are committed and undone with the session", function()
      local insert = "insert into author (name, age) values (?, ?)"
      local function work()
        Author{ name = "pending" }
        assert.equal(1, db:fetch_one("select count(*) as n from author").n)
        db:execute_many(insert, { { "a", 1 }, { "b", 2 } })
        db:copy_in("author", { "name", "age" }, { { "c", 3 } })
        Author{ name = "streamed" }
        local n = 0
        for _ in db:stream("select name from author") do
          n = n + 1
        end
        assert.equal(5, n)
        Author{ name = "copied" }
        n = 0
        for _ in db:copy_out("select name from author") do
          n = n + 1
        end
        assert.equal(6, n)
        assert.equal(6, #db:fetch_arrays("select name from author"))
      end
      databases.undone(db.session, db, function()
        work()
        error "undone"
      end)
      assert.equal("", names())
      db:session(work)
      assert.equal("a b c copied pending streamed", names())
    end)
  end)

  describe("blocks", function()
    it("around it with another isolation are refused, and its retry has no effect", function()
      local runs = 0
      local conflict = raises("bad_argument", mp.atomic, nil)
      conflict.kind, conflict.retryable = "serialization", "transaction"
      db:atomic(function()
        raises("durable", db.session, db, { isolation = "serializable" }, function()
          Author:count()
        end)
        raises("serialization", db.session, db, { retry = 3 }, function()
          runs = runs + 1
          error(conflict)
        end)
        assert.equal(1, runs)
        Author{ name = "no session" }:save()
      end)
      assert.equal("no session", names())
    end)

    it("around it that fail undo its objects as well", function()
      local made
      local known = Author:create{ name = "ada" }
      databases.undone(db.atomic, db, function()
        db:session(function(s)
          made = Author{ name = "bob" }
          s:add(known)
          known.age = 9
        end)
        assert.is_truthy(made.id)
        assert.equal(9, known.age)
        error "undone"
      end)
      assert.is_nil(made.id)
      assert.equal(0, known.age)
      assert.equal("ada", names())
    end)

    it("inside that roll back by themselves keep the rest", function()
      db:session(function(s)
        local one = Author{ name = "ada" }
        local value = db:atomic(function(tx)
          Author{ name = "bob" }
          s:flush()
          tx:rollback("undone")
        end)
        assert.equal("undone", value)
        assert.equal(one, Author:one())
        local tx = db:begin()
        Author{ name = "cleo" }
        tx:commit()
        Author{ name = "dan" }
      end)
      assert.equal("ada cleo dan", names())
    end)

    it("inside each other undo what is theirs, to any depth", function()
      db:session(function(s)
        local one = Author{ name = "ada" }
        databases.undone(s.begin_nested, s, function()
          one.age = 1
          databases.undone(s.begin_nested, s, function()
            one.age = 2
            Author{ name = "bob" }
            s:flush()
            error "undone"
          end)
          assert.equal(1, one.age)
          s:begin_nested(function()
            one.age = 3
            Author{ name = "cleo" }
          end)
          assert.equal(3, one.age)
          error "undone"
        end)
        assert.equal(0, one.age)
        assert.is_false(s:is_dirty())
      end)
      assert.same({ 0 }, Author:pluck("age"))
    end)
  end)

  describe("isolation", function()
    it("is that of its transactions", function()
      assert.equal(0, db:session({ isolation = "serializable" }, function() return Author:count() end))
      if database.dialect == "postgres" then
        local level = db:session({ isolation = "serializable" }, function() return db:fetch_val "show transaction_isolation" end)
        assert.equal("serializable", level)
        local s <close> = db:session{ isolation = "repeatable_read" }
        assert.equal("repeatable read", db:fetch_val "show transaction_isolation")
        s:commit()
        assert.equal("repeatable read", db:fetch_val "show transaction_isolation")
      end
      databases.quiet(db)
    end)
  end)

  describe("another task", function()
    it("has no part in it, whatever it calls, and is told which tasks they are", function()
      db:session(function(s)
        local one = Author{ name = "ada" }
        for _, call in ipairs{
          function() s:add(Author:build{ name = "x" }) end, function() s:get(Author, 1) end, function() s:flush() end,
          function() s:commit() end, function() s:rollback() end, function() s:delete(one) end,
          function() s:execute("select 1") end, function() s:scalars(Author) end, function() s:begin_nested() end,
          function() s:refresh(one) end, function() s:expunge(one) end, function() return s:is_dirty() end,
        } do
          local err = raises("concurrency", function() mp.spawn(call):wait() end)
          assert.truthy(err.message:find("contract_session_spec.lua:%d+"), err.message)
        end
        assert.is_true(s:is_dirty(one))
      end)
      assert.equal("ada", names())
    end)
  end)

  describe("by hand", function()
    it("is rolled back with the task that never closed it", function()
      mp.spawn(function()
        local s = db:session()
        Author{ name = "ada" }
        s:flush()
        assert.equal(1, Author:count())
      end):wait()
      databases.quiet(db)
      assert.equal("", names())
    end)

    it("is rolled back when its task is cancelled or fails, and its objects are new again", function()
      local one
      local task = mp.spawn(function()
        local s = db:session()
        one = Author{ name = "ada" }
        s:flush()
        error("stop", 0)
      end)
      assert.is_false((pcall(task.wait, task)))
      databases.quiet(db)
      assert.is_nil(one.id)
      assert.equal("", names())
    end)

    it("works on after a commit that failed", function()
      Author:create{ name = "ada" }
      local s <close> = db:session()
      local twice = Author{ name = "ada" }
      raises("unique", s.commit, s)
      s:rollback()
      twice.name = "bob"
      s:add(twice)
      s:commit()
      assert.equal("ada bob", names())
    end)
  end)

  describe("scalars", function()
    it("takes an entity, a query set and the set of a relation", function()
      local ada = Author:create{ name = "ada" }
      Book:create{ title = "1", author = ada }
      db:session(function(s)
        assert.equal("ada", s:scalars(Author)[1].name)
        assert.equal("1", s:scalars(s:get(Author, ada.id).books)[1].title)
        assert.same({}, s:scalars(Author:none()))
        raises("bad_argument", s.scalars, s, Author:first())
        raises("bad_argument", s.scalars, s, "select 1")
        raises("bad_argument", s.scalars, s, Author:values_list("name"))
      end)
    end)
  end)

  it("gives the same object for a key of its field's kind in any form", function()
    local id = Author:create{ name = "ada" }.id
    db:session(function(s)
      local one = s:get(Author, id)
      assert.equal(one, s:get(Author, tostring(id):match("%d+")))
      assert.equal(one, s:get(Author, { id = id }))
      assert.equal(one, s:get(Author, { name = "ada" }))
      assert.equal(one, s:get(Author, one))
      assert.equal(one, Author:in_bulk{ id }[id])
      assert.equal(one, Author:page(1, 10).items[1])
      assert.equal(one, Author:after(nil, 10).items[1])
      assert.equal(one, (Author:get_or_create{ name = "ada" }))
      assert.equal(one, (Author:update_or_create({ name = "ada" }, { age = 5 })))
      assert.equal(5, one.age)
      raises("bad_argument", s.get, s, Author, mp.null)
      raises("bad_argument", s.get, s, Author, {})
      raises("unknown_field", s.get, s, Author, { nam = "ada" })
    end)
  end)

  if database.file or database.server then
    it("keeps a session of each task by itself, at the same time", function()
      local seen = mp.map({ 1, 2, 3 }, function(i)
        return db:session(function(s)
          local one = Author{ name = "n" .. i }
          s:flush()
          mp.sleep(0.001)
          return s == mp.session.current() and one.name
        end)
      end)
      assert.same({ "n1", "n2", "n3", n = 3 }, seen)
      assert.equal(3, Author:count())
    end)
  end
end)
