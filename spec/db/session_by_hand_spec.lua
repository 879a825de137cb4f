-- Sessions by hand, their savepoints, and the options that change what a flush or a commit does.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("a session by hand", function(open, database)
  local db, Author

  local function declare()
    Author = mp.entity("Author", {
      name = f.string{ max = 100, unique = true }, age = f.integer{ default = 0 }, email = f.string{ null = true },
    }, { database = db })
    db:create_all()
  end

  before_each(function()
    db = open()
    declare()
  end)

  local function names()
    return table.concat(Author:order_by("name"):pluck("name"), " ")
  end

  local function selects(fn)
    local n = 0
    for _, text in ipairs(databases.statements(db, fn)) do
      n = n + (text:match("^SELECT") and 1 or 0)
    end
    return n
  end

  it("commits as it goes, and rolls back at its close what is not committed", function()
    do
      local s <close> = db:session()
      assert.equal(s, mp.session.current())
      local ada = s:add(Author:build{ name = "ada" })
      s:commit()
      assert.is_truthy(ada.id)
      ada.age = 2
      Author{ name = "bob" }
      s:commit()
      Author{ name = "cleo" }
      s:flush()
      ada.age = 3
    end
    assert.is_nil(mp.session.current())
    assert.equal("ada bob", names())
    assert.same({ 2, 0 }, Author:order_by("name"):pluck("age"))
    databases.quiet(db)
  end)

  it("writes nothing without a commit", function()
    local s = db:session()
    Author{ name = "ada" }
    s:close()
    s:close()
    raises("stale_handle", s.add, s, Author:build{ name = "x" })
    assert.equal("", names())
  end)

  it("empties its identity map by rollback, and goes on", function()
    local id = Author:create{ name = "ada" }.id
    local s <close> = db:session()
    local before = s:get(Author, id)
    before.age = 9
    Author{ name = "never" }
    s:rollback()
    assert.equal(0, before.age)
    assert.is_false(s:is_dirty())
    local after = s:get(Author, id)
    assert.not_equal(before, after)
    after.age = 4
    s:commit()
    assert.equal("ada", names())
    assert.equal(4, Author:get(id).age)
  end)

  it("can be used again after a failed flush and a rollback", function()
    Author:create{ name = "ada" }
    local s <close> = db:session()
    local twice = Author{ name = "ada" }
    raises("unique", s.commit, s)
    raises("in_failed_transaction", Author.count, Author)
    s:rollback()
    assert.is_nil(twice.id)
    assert.is_false(s:is_dirty(twice))
    Author{ name = "bob" }
    s:commit()
    assert.equal("ada bob", names())
  end)

  it("keeps what its objects have after a commit, without asking", function()
    local s <close> = db:session()
    local ada = Author{ name = "ada", age = 3 }
    s:commit()
    assert.equal(0, selects(function()
      assert.equal("ada", ada.name)
      assert.equal(3, ada.age)
    end))
  end)

  it("asks once more for an object with expire_on_commit", function()
    local s <close> = db:session{ expire_on_commit = true }
    local ada = Author{ name = "ada", age = 3 }
    s:commit()
    db:execute("update author set age = 8")
    assert.equal(1, selects(function()
      assert.equal(8, ada.age)
      assert.equal("ada", ada.name)
    end))
    s:commit()
    ada.age = 9
    s:commit()
    assert.equal(9, db:fetch_val("select age from author"))
    s:commit()
    assert.equal(1, selects(function() assert.equal(ada, s:get(Author, ada.id)) end))
    assert.equal(9, ada.age)
  end)

  it("undoes a savepoint and the objects that were written in it", function()
    local id = Author:create{ name = "ada", age = 1 }.id
    local s <close> = db:session()
    local ada = s:get(Author, id)
    ada.age = 2
    local bob = Author{ name = "bob" }
    local cleo, dan
    local sp = s:begin_nested()
    ada.age = 3
    cleo = Author{ name = "cleo" }
    s:delete(bob)
    s:flush()
    dan = Author{ name = "dan" }
    ada.age = 4
    sp:rollback()
    raises("stale_handle", sp.rollback, sp)
    sp:close()
    assert.equal(2, ada.age)
    assert.is_nil(cleo.id)
    assert.is_false(s:is_dirty(dan))
    assert.is_truthy(bob.id)
    assert.equal(bob, Author:filter{ name = "bob" }:one())
    assert.equal(bob, s:get(Author, bob.id))
    local kept = s:begin_nested()
    Author{ name = "eve" }
    kept:release()
    s:commit()
    assert.equal("ada bob eve", names())
    assert.equal(2, Author:get(id).age)
  end)

  it("runs a function in a savepoint", function()
    db:session(function(s)
      Author{ name = "ada" }
      databases.undone(s.begin_nested, s, function()
        Author{ name = "bob" }
        error "undone"
      end)
      assert.equal(3, s:begin_nested(function()
        Author{ name = "cleo" }
        return 3
      end))
      raises("unique", mp.atomic, { database = db }, function()
        Author{ name = "ada" }
      end)
      raises("bad_argument", s.begin_nested, s, "no function")
      db:atomic(function()
        raises("bad_argument", s.commit, s)
        raises("bad_argument", s.rollback, s)
      end)
    end)
    assert.equal("ada cleo", names())
  end)

  it("commits in the middle of a function, too", function()
    databases.undone(db.session, db, function(s)
      Author{ name = "ada" }
      s:commit()
      Author{ name = "bob" }
      error "undone"
    end)
    assert.equal("ada", names())
  end)

  it("checks with optimistic = true that what it loaded is still there", function()
    local id = Author:create{ name = "ada", age = 1 }.id
    local function change(between)
      db:session({ optimistic = true }, function(s)
        local one = s:get(Author, id)
        between(one)
        one.age = one.age + 1
      end)
    end
    local update
    for _, sql in ipairs(databases.statements(db, function() change(function() end) end)) do
      update = sql:match("^UPDATE.*") or update
    end
    assert.truthy(update:find("email", 1, true)) -- NULL is compared as well
    assert.equal(2, Author:get(id).age)
    local err = raises("stale", change, function()
      db:execute("update author set email = ? where id = ?", "x@y", id)
    end)
    assert.truthy(err.message:find("Author(" .. tostring(id):match("^%d+"), 1, true))
    raises("stale", db.session, db, { optimistic = true }, function(s)
      local one = s:get(Author, id)
      db:execute("update author set email = ? where id = ?", "y@y", id)
      one.age = 7
      one:save() -- by itself, not by the flush
    end)
    Author:filter{ id = id }:update{ age = 1 }
    db:session(function(s)
      local one = s:get(Author, id)
      db:execute("update author set email = ? where id = ?", "z@y", id)
      one.age = 8
    end)
    assert.equal(8, Author:get(id).age)
    assert.equal("z@y", Author:get(id).email)
  end)

  if database.server then
    it("sees by optimistic what another connection has changed and committed", function()
      local id = Author:create{ name = "ada", age = 1 }.id
      raises("stale", db.session, db, { optimistic = true, isolation = "read committed" }, function(s)
        local one = s:get(Author, id)
        mp.spawn(function() Author:filter{ id = id }:update{ email = "theirs" } end):wait()
        one.age = 5
      end)
      db:session({ isolation = "read committed" }, function(s)
        local one = s:get(Author, id)
        mp.spawn(function() Author:filter{ id = id }:update{ email = "theirs again" } end):wait()
        one.age = 5
      end)
      assert.same({ 5, "theirs again" }, { Author:get(id).age, Author:get(id).email }) -- only what was changed is written
    end)
  end

  it("has methods of the program's own by session_methods", function()
    db = open{ session_methods = {
      author = function(s, name)
        return s:add(Author:build{ name = name })
      end,
    } }
    declare()
    db:session(function(s)
      assert.equal("ada", s:author("ada").name)
    end)
    assert.equal("ada", names())
    local err = raises("configuration", mp.open, "sqlite::memory:", { session_methods = { add = print } })
    assert.truthy(err.message:find("add", 1, true))
    raises("configuration", mp.open, "sqlite::memory:", { session_methods = { own = 3 } })
  end)

  it("is rolled back with its generator, which cannot wait when it is closed", databases.in_a_task(function()
    local ada = Author:create{ name = "ada", age = 1 }
    local undone
    local co = coroutine.create(function()
      local s <close> = db:session()
      s:add(ada).age = 2
      Author{ name = "lost" }
      db:atomic(function(tx) tx:on_rollback(function() undone = true end) end)
      coroutine.yield()
    end)
    assert.is_true(coroutine.resume(co))
    assert.is_true(coroutine.close(co))
    assert.same({ nil, true, 1 }, { mp.session.current(), undone, ada.age })
    Author:create{ name = "bob" }
    assert.equal("ada bob", names())
    databases.quiet(db)
  end))

  it("is neither ended nor undone where its task cannot wait, and goes on", databases.in_a_task(function()
    local function cannot(fn, ...)
      local given = { ... }
      raises("not_yieldable", string.gsub, "x", "x", function() fn(given[1]) end)
    end
    local s = db:session()
    Author{ name = "ada" }
    cannot(s.commit, s)
    local sp = s:begin_nested()
    Author{ name = "bob" }
    s:flush()
    cannot(sp.rollback, sp)
    sp:rollback()
    Author{ name = "eve" }
    s:flush()
    cannot(s.rollback, s)
    assert.equal("ada eve", names())
    s:commit()
    s:close()
    db:atomic(function()
      s = db:session()
      Author{ name = "lost" }
      s:flush()
      cannot(s.close, s)
      assert.equal(s, mp.session.current())
      s:close()
      Author:create{ name = "kept" }
    end)
    assert.equal("ada eve kept", names())
  end))

  it("is open once in a task", function()
    local s <close> = db:session()
    local err = raises("bad_argument", db.session, db)
    assert.truthy(err.message:find("mp.session.current", 1, true))
    db:session(function(inner)
      assert.equal(s, inner)
      Author{ name = "ada" }
    end)
    assert.equal(1, Author:count())
    s:rollback()
    assert.equal("", names())
  end)
end)
