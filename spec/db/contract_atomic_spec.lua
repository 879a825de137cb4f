-- Transactions, sentence by sentence of the contract: what atomic_spec.lua says in general is said here of each option, each
-- way of ending, and of calls that come in the wrong order or at the wrong moment.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("a transaction", function(open, database)
  local db, User

  before_each(function()
    db = open()
    User = mp.entity("User", { name = f.string{ max = 100, unique = true }, age = f.integer{ default = 0 } }, { database = db })
    db:create_all()
  end)

  local function names(of)
    return table.concat((of or User):order_by("name"):pluck("name"), " ")
  end

  -- The statements that fn ran, and its error.
  local function statements(fn)
    local list = {}
    local remove = db:on("query", function(event) list[#list + 1] = event.sql end)
    local ok, err = pcall(fn)
    remove()
    return list, not ok and err or nil
  end

  describe("that is asked for in the wrong way", function()
    before_each(function()
      mp.configure{ default = db }
    end)
    after_each(function()
      mp.close_all()
    end)

    it("sends nothing, and says what is wrong with which option", function()
      for _, case in ipairs{
        { { isolation = "serialisable" }, "bad_argument", "not \"serialisable\"" },
        { { isolation = "read uncommitted" }, "bad_argument", "not \"read uncommitted\"" },
        { { isolation = true }, "bad_argument", "not true" },
        { { read_only = "yes" }, "bad_argument", "read_only is true or false, not \"yes\"" },
        { { durable = 1 }, "bad_argument", "durable is true or false, not 1" },
        { { deferrable = 0 }, "bad_argument", "deferrable is true or false, not 0" },
        { { retry = -1 }, "bad_argument", "not -1" },
        { { retry = 1.5 }, "bad_argument", "not 1.5" },
        { { retry = "2" }, "bad_argument", "not \"2\"" },
        { { readonly = true }, "unknown_option", "did you mean read_only?" },
        { { isolaton = "serializable" }, "unknown_option", "did you mean isolation?" },
        { { [1] = "serializable" }, "unknown_option", "no option 1" },
        { { timeout = 1 }, "unknown_option", "no option timeout" },
      } do
        local sent, err = statements(function()
          db:atomic(case[1], function() error "it ran" end)
        end)
        assert.same({}, sent)
        assert.truthy(err.kind == case[2] and err.message:find(case[3], 1, true), tostring(err))
        assert.equal(case[2], raises("usage", mp.atomic.wrap, case[1], print).kind)
      end
      raises("unknown_database", mp.atomic, { database = "ledgr" }, print)
      raises("unknown_option", db.begin, db, { retry = 1 })
    end)

    it("is told that the function comes last, instead of losing its options", function()
      local ran = false
      local function fn() ran = true end
      raises("bad_argument", mp.atomic, fn, { read_only = true })
      raises("bad_argument", mp.atomic, { database = db }, fn, 3)
      raises("bad_argument", db.atomic, db, fn, { read_only = true })
      raises("bad_argument", db.atomic, db, { read_only = true }, fn, 3)
      raises("bad_argument", mp.atomic.wrap, 3, fn)
      raises("bad_argument", mp.atomic.wrap)
      raises("bad_argument", mp.atomic, {})
      raises("bad_argument", mp.atomic)
      assert.is_false(ran)
    end)

    it("is refused by a pinned connection in the same words", function()
      local c <close> = db:connect()
      raises("bad_argument", c.begin, c, { isolation = "sometimes" })
      raises("bad_argument", c.begin, c, { read_only = "yes" })
      raises("bad_argument", c.begin, c, "serializable")
      local err = raises("unknown_option", c.begin, c, { isolaton = "serializable" })
      assert.truthy(err.message:find("did you mean isolation?", 1, true))
      c:begin{ isolation = "REPEATABLE_READ", read_only = true }
      raises("read_only", c.execute, c, "delete from " .. (database.dialect == "mariadb" and "`user`" or '"user"'))
      c:rollback()
      c:begin()
      raises("bad_argument", c.begin, c)
      c:rollback()
    end)
  end)

  it("that is deferrable is refused where the server has none, before a connection is opened", function()
    local other = open()
    local wish = { isolation = "serializable", read_only = true, deferrable = true }
    local ways = {
      function() return other:atomic(wish, function() return "ran" end) end,
      function() other:begin(wish):close() return "ran" end,
      function() return other:atomic(function() return other:atomic(wish, function() return "ran" end) end) end,
    }
    if database.dialect ~= "postgres" then
      for place, way in ipairs(ways) do
        raises("unsupported", way)
        assert.equal(place < 3 and 0 or 1, other:pool_stats().size)
      end
      local c <close> = other:connect()
      raises("unsupported", c.begin, c, wish)
      return
    end
    for _, part in ipairs {
      { deferrable = true }, { deferrable = true, read_only = true }, { deferrable = true, isolation = "serializable" },
    } do -- which it takes, though it does nothing with them
      assert.equal("on", other:atomic(part, function() return other:fetch_val "show transaction_deferrable" end))
    end
    assert.equal("ran", ways[1]())
    assert.equal("ran", ways[2]())
    raises("durable", ways[3]) -- the transaction around it has its snapshot already
    assert.equal("ran", other:atomic(wish, ways[1]))
    local c <close> = other:connect()
    c:begin(wish)
    assert.equal("on", c:fetch_val "show transaction_deferrable")
  end)

  if not database.single then
    it("sees what its isolation says of what others commit meanwhile, and the next one has its own", function()
      local function seen(options)
        local before, after
        db:atomic(options, function()
          before = User:count()
          mp.spawn(function() User:create{ name = ("n%03d"):format(before) } end):wait()
          after = User:count()
        end)
        return after - before
      end
      -- SQLite has one level, which keeps what all three ask for; its writer would wait
      local file = database.file
      for _, round in ipairs{ 1, 2 } do
        assert.equal(file and 0 or 1, seen{ isolation = "read committed", read_only = true }, round)
        assert.equal(0, seen{ isolation = "repeatable read", read_only = true }, round)
        assert.equal(database.dialect == "postgres" and 1 or 0, seen{ read_only = true }, round) -- the server's default
      end
      if not file then
        assert.equal(1, seen{ isolation = "READ_COMMITTED" })
        assert.equal(0, seen{ isolation = "repeatable read" })
      end
    end)
  end

  it("that reads only refuses every kind of write, and the next one writes", function()
    User:create{ name = "ada" }
    local ada = User:get{ name = "ada" }
    for claim, write in pairs{
      create = function() User:create{ name = "bob" } end,
      update = function() User:filter{ name = "ada" }:update{ age = 1 } end,
      delete = function() ada:delete() end,
      bulk = function() User:bulk_create{ { name = "b" }, { name = "c" } } end,
      ddl = function() db:execute "create table other (x integer)" end,
      nested = function() db:atomic(function() User:create{ name = "bob" } end) end,
      copy = function() db:copy_in("user", { "name", "age" }, { { "bob", 1 } }) end,
    } do
      raises("read_only", function()
        db:atomic({ read_only = true }, function()
          assert.equal(1, User:count())
          write()
        end)
      end)
      raises("read_only", function()
        local _ <close> = db:begin{ read_only = true }
        write()
      end)
      assert.equal("ada", names(), claim)
    end
    db:atomic(function() User:create{ name = "bob" } end)
    raises("durable", db.atomic, db, function()
      db:atomic({ read_only = true }, function() end)
    end)
    assert.equal(2, db:atomic({ read_only = true }, function()
      return db:atomic({ read_only = true }, function() return User:count() end)
    end))
  end)

  it("nests deeper than anybody needs, in blocks and by hand", function()
    local function nest(depth)
      return db:atomic(function()
        if depth == 1 then
          User:create{ name = "deep" }
          return User:count()
        end
        return nest(depth - 1)
      end)
    end
    assert.equal(1, nest(120))
    local tx = db:begin()
    local list = { tx }
    for depth = 1, 300 do
      list[depth + 1] = list[depth]:savepoint()
      if depth % 50 == 0 then
        User:create{ name = "by hand " .. depth }
      end
    end
    list[201]:rollback() -- and all inside of it
    for depth = 200, 2, -1 do
      list[depth]:release()
    end
    tx:commit()
    assert.equal("by hand 100 by hand 150 by hand 50 deep", names())
  end)

  it("has the connection to itself; another database and another task are elsewhere", function()
    if database.dialect == "sqlite" then
      return -- has no word for a connection
    end
    local id = database.dialect == "postgres" and "select pg_backend_pid()" or "select connection_id()"
    local other = open()
    db:atomic(function()
      local mine = db:fetch_val(id)
      db:atomic(function()
        assert.equal(mine, db:fetch_val(id))
        assert.equal(mine, mp.timeout(60, db.fetch_val, db, id))
        local _ <close> = db:begin()
        assert.equal(mine, db:fetch_val(id))
      end)
      if not database.pooler then
        assert.not_equal(mine, mp.spawn(db.fetch_val, db, id):wait())
      end
      assert.not_equal(mine, other:fetch_val(id))
    end)
  end)

  it("leaves other databases alone: they commit at once", function()
    local other = open()
    local Note = mp.entity("Note", { name = f.string{ max = 20 } }, { database = other })
    other:create_all()
    pcall(db.atomic, db, function()
      User:create{ name = "undone" }
      Note:create{ name = "kept" }
      pcall(other.atomic, other, function()
        Note:create{ name = "undone" }
        error "x"
      end)
      error "x"
    end)
    assert.same({ "", "kept" }, { names(), names(Note) })
  end)

  describe("that is left by tx:rollback", function()
    it("of an outer block leaves all blocks up to that one", function()
      local log = {}
      assert.equal("out", db:atomic(function(tx)
        User:create{ name = "ada" }
        log[#log + 1] = db:atomic(function()
          User:create{ name = "bob" }
          tx:rollback("out")
        end) or "not reached"
      end))
      assert.same({}, log)
      assert.equal("", names())
      local inner, n = db:atomic(function()
        User:create{ name = "ada" }
        return db:atomic(function(tx) User:create{ name = "bob" } tx:rollback(7, nil) end), User:count()
      end)
      assert.same({ 7, 1 }, { inner, n })
      assert.equal("ada", names())
    end)

    it("is left although the way out was caught, but not instead of an error", function()
      assert.equal("why", db:atomic(function(tx)
        User:create{ name = "ada" }
        pcall(tx.rollback, tx, "why")
        User:create{ name = "bob" }
        return "not that"
      end))
      local ok, err = pcall(db.atomic, db, function(tx)
        pcall(tx.rollback, tx)
        error("other", 0)
      end)
      assert.same({ false, "other" }, { ok, err })
      assert.equal("", names())
    end)
  end)

  it("takes its handle in its time only, and each method in its place", function()
    local kept
    db:atomic(function(tx)
      kept = tx
      raises("bad_argument", tx.commit, tx) -- the block does
      raises("bad_argument", tx.release, tx)
      tx:close() -- nor does it end here
      raises("bad_argument", tx.on_commit, tx, "x")
      raises("bad_argument", tx.gather, tx, 1)
      assert.matches("colon", raises("bad_argument", tx.savepoint).message)
      local inner = tx:savepoint()
      raises("bad_argument", tx.savepoint, tx) -- there is a newer one
      raises("bad_argument", inner.commit, inner)
      inner:close()
      inner:close()
      raises("stale_handle", inner.release, inner)
      User:create{ name = "ada" }
    end)
    for _, method in ipairs{ "commit", "rollback", "savepoint", "release", "gather", "on_commit", "on_rollback" } do
      local err = raises("stale_handle", kept[method], kept, print)
      assert.truthy(err.message:find("has ended", 1, true))
    end
    kept:close()
    assert.equal("ada", names())
  end)

  it("refuses its handle to another task, and names the lines of both, also behind tail calls", function()
    local function holder(fn)
      return mp.spawn(function()
        db:atomic(fn)
      end)
    end
    for _, method in ipairs{ "rollback", "commit", "savepoint", "release", "gather", "on_commit", "on_rollback" } do
      local other
      local task = holder(function(tx)
        other = mp.spawn(function() return tx[method](tx, print) end)
        return other:wait()
      end)
      local err = raises("concurrency", task.wait, task)
      local line = "%(at [^)]*contract_atomic_spec.lua:%d+%)"
      assert.truthy(err.message:find("belongs to task " .. task.number .. " " .. line), err.message)
      assert.truthy(err.message:find("used by task " .. other.number .. " " .. line), err.message)
    end
    local tx <close> = db:begin()
    raises("concurrency", function() mp.spawn(tx.commit, tx):wait() end)
    raises("concurrency", function() mp.spawn(tx.close, tx):wait() end)
    User:create{ name = "ada" }
    tx:commit()
    assert.equal("ada", names())
  end)

  it("is neither ended nor begun where its task cannot wait", databases.in_a_task(function()
    local function in_gsub(fn, ...)
      local given = table.pack(...)
      raises("not_yieldable", string.gsub, "a", "a", function() fn(table.unpack(given, 1, given.n)) end)
    end
    local tx = db:begin()
    User:create{ name = "ada" }
    in_gsub(tx.rollback, tx)
    in_gsub(tx.commit, tx)
    in_gsub(tx.savepoint, tx)
    in_gsub(db.atomic, db, function() end)
    in_gsub(User.create, User, { name = "no" })
    mp.sleep(0.01)
    User:create{ name = "bob" } -- still inside
    tx:rollback()
    assert.equal("", names())
    in_gsub(db.atomic, db, function() end)
    in_gsub(db.begin, db)
    local c = db:connect()
    in_gsub(c.begin, c)
    c:begin()
    in_gsub(c.commit, c)
    in_gsub(c.rollback, c)
    c:rollback()
    c:close()
    databases.quiet(db)
  end))

  it("says where an error of its end was met, and what failed before", function()
    local function line() -- of the caller
      return debug.getinfo(2, "l").currentline
    end
    local at
    local err = raises("in_failed_transaction", function()
      at = line() + 1
      db:atomic(function()
        User:create{ name = "ada" }
        pcall(User.create, User, { name = "ada" })
      end)
    end)
    assert.truthy(err.traceback:find("^%s*%S*contract_atomic_spec.lua:" .. at .. ":"), err.traceback)
    assert.equal("unique", err.cause.kind)
    assert.truthy(err.cause.traceback:find("contract_atomic_spec.lua:" .. at + 2, 1, true), err.cause.traceback)
    err = raises("in_failed_transaction", db.atomic, db, function()
      User:create{ name = "ada" }
      pcall(User.create, User, { name = "ada" })
      db:atomic(function() error "it ran" end)
    end)
    assert.equal("unique", err.cause.kind)
    if database.pooler then
      return -- its connection is lost with a statement that is stopped
    end
    local slow = ({ postgres = "select pg_sleep(60)", mariadb = "select sleep(60)" })[database.dialect]
      or "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
    err = raises("in_failed_transaction", db.atomic, db, function()
      raises("timeout", mp.timeout, 0.05, db.fetch_val, db, slow)
      raises("in_failed_transaction", User.count, User)
    end)
    assert.truthy(err.message:find("(cancelled)", 1, true), err.message)
    assert.is_nil(err.cause)
    databases.quiet(db)
  end)

  it("is wrapped once and called often, by many tasks, also before its database is there", function()
    local add = mp.atomic.wrap("ledger", function(...)
      User:create{ name = (...) }
      return select("#", ...), ...
    end)
    local quietly = mp.atomic.wrap({ database = "ledger", retry = 1 }, function(...) return ... end)
    raises("usage", add, "early")
    mp.configure{ ledger = db }
    finally(function() mp.close_all() end)
    assert.same({ n = 4, 3, "a", nil, nil }, table.pack(add("a", nil, nil)))
    assert.same({ n = 2, nil, 2 }, table.pack(quietly(nil, 2)))
    mp.map({ "b", "c", "d", "e" }, function(name) return add(name) end)
    assert.equal("a b c d e", names())
    raises("unique", add, "a")
  end)
end)
