-- Tasks and the databases they use, sentence by sentence of the contract: cancelling and deadlines around transactions, branches
-- that would go round one, and waits that could never end.

local mp = require "moonpool"
local core = require "moonpool.core"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

local function wait_until(check)
  mp.timeout(30, function()
    while not check() do
      mp.sleep(0.001)
    end
  end)
end

databases.each("a task", function(open, database)
  local db, User

  before_each(function()
    db = open()
    User = mp.entity("User", { name = f.string{ max = 100, unique = true }, age = f.integer{ default = 0 } }, { database = db })
    db:create_all()
  end)

  local function names(of)
    return table.concat((of or User):order_by("name"):pluck("name"), " ")
  end

  local slow = ({ postgres = "select pg_sleep(60)", mariadb = "select sleep(60)" })[database.dialect]
    or "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"

  describe("that is cancelled", function()
    it("commits nothing any more, although a pcall caught it, in any kind of transaction", function()
      for claim, run in pairs{
        block = function(fn) db:atomic(fn) end,
        nested = function(fn) db:atomic(function() db:atomic(fn) end) end,
        hand = function(fn) local tx <close> = db:begin() fn() tx:commit() end,
        savepoint = function(fn) local tx <close> = db:begin() local sp <close> = tx:savepoint() fn() sp:release() tx:commit() end,
        session = function(fn) db:session(fn) end,
        session_by_hand = function(fn) local s <close> = db:session() fn() s:commit() end,
        connection = function()
          local c <close> = db:connect()
          c:begin()
          c:copy_in("user", { "name", "age" }, { { "ada", 1 } })
          pcall(mp.sleep, 60)
          c:commit()
        end,
      } do
        local undone, inside, of_block = 0, false, claim == "block" or claim == "nested"
        local function fn(tx)
          User:create{ name = "ada" }
          if of_block then
            tx:on_rollback(function() undone = undone + 1 end)
          end
          inside = true
          pcall(mp.sleep, 60)
          return "swallowed"
        end
        raises("timeout", mp.timeout, 0.1, run, fn)
        inside, undone = claim == "connection", 0
        local task = mp.spawn(run, fn)
        wait_until(function() return inside and task.status == "waiting" end)
        task:cancel()
        raises("cancelled", task.wait, task)
        assert.equal("cancelled", task.status)
        assert.equal("", names(), claim)
        assert.equal(of_block and 1 or 0, undone, claim)
      end
      databases.quiet(db)
    end)

    it("by a deadline has committed if and only if it hears nothing of that", function()
      local kept = {}
      for i = 1, 60 do
        local name = ("%02d"):format(i)
        local ok, err = pcall(mp.timeout, i / 12000, db.atomic, db, function()
          User:create{ name = name }
          mp.sleep(i % 3 / 1000)
        end)
        assert.truthy(ok or err.kind == "timeout", tostring(err))
        kept[#kept + 1] = ok and name or nil
      end
      assert.equal(table.concat(kept, " "), names())
      databases.quiet(db)
    end)

    it("inside a shield still runs that to its end, but does not commit around it", function()
      raises("timeout", mp.timeout, 0.05, db.atomic, db, function()
        mp.shield(function()
          mp.sleep(0.1)
          User:create{ name = "inside" }
        end)
      end)
      assert.equal("", names())
      local inner
      mp.timeout(0.05, mp.shield, function() -- it is over when it is over: nothing of it waits outside
        inner = raises("timeout", mp.timeout, 0.1, mp.sleep, 60)
        db:atomic(function() User:create{ name = "whole" } end)
      end)
      assert.equal("timeout", inner.kind)
      assert.equal("whole", names())
    end)

    it("leaves the block around mp.timeout as it is, if that was not in the middle of a statement", function()
      db:atomic(function()
        User:create{ name = "ada" }
        raises("timeout", mp.timeout, 0.02, mp.sleep, 60)
        User:create{ name = "bob" }
        if not database.pooler then -- whose connection is lost with a statement that is stopped
          raises("timeout", mp.timeout, 0.05, db.atomic, db, function()
            User:create{ name = "undone" }
            db:fetch_val(slow)
          end)
        end
        User:create{ name = "cleo" }
      end)
      assert.equal("ada bob cleo", names())
      raises("in_failed_transaction", db.atomic, db, function()
        User:create{ name = "dan" }
        raises("timeout", mp.timeout, 0.05, db.fetch_val, db, slow)
      end)
      assert.equal("ada bob cleo", names())
      databases.quiet(db)
    end)

    it("before it began runs nothing", function()
      raises("timeout", mp.timeout, 0, db.atomic, db, function() error "it ran" end)
      raises("timeout", mp.timeout, 0, User.create, User, { name = "ada" })
      db:atomic(function()
        raises("timeout", mp.timeout, 0, User.create, User, { name = "ada" })
        raises("timeout", mp.timeout, 0, db.atomic, db, function() error "it ran" end)
        User:create{ name = "bob" } -- nothing was sent that could have failed it
      end)
      assert.equal("bob", names())
    end)

    it("between the commits of a session's databases makes no half of it", function()
      local other = open()
      local Note = mp.entity("Note", { name = f.string{ max = 20 } }, { database = other })
      other:create_all()
      local task
      db:on("query", function(event)
        if event.sql == "COMMIT" then
          task:cancel()
        end
      end)
      task = mp.spawn(function()
        db:session(function()
          User{ name = "ada" }
          User:count()
          Note{ name = "a note" }
        end)
      end)
      pcall(task.wait, task)
      assert.same({ "ada", "a note" }, { names(), names(Note) })
    end)
  end)

  describe("that another one waits for in gather or map", function()
    it("is refused whatever it asks that one's database for, and nothing is sent", databases.in_a_task(function()
      local ways = {
        atomic = function() db:atomic(function() end) end,
        begin = function() db:begin():close() end,
        session = function() db:session(function() User:count() end) end,
        connect = function() db:connect():close() end,
        fetch_val = function() db:fetch_val "select 1" end,
        fetch_arrays = function() db:fetch_arrays "select 1" end,
        execute = function() db:execute "select 1" end,
        execute_many = function() db:execute_many("insert into x values (?)", { { 1 }, { 2 } }) end,
        copy_in = function() db:copy_in("user", { "name", "age" }, { { "bob", 1 } }) end,
        copy_out = function() db:copy_out("user")() end,
        stream = function() db:stream("select 1")() end,
        iter = function() User:iter()() end,
        create = function() User:create{ name = "bob" } end,
        bulk = function() User:bulk_create{ { name = "bob" } } end,
        get_or_create = function() User:get_or_create{ name = "bob" } end,
        create_all = function() db:create_all() end,
      }
      if database.dialect == "postgres" then
        ways.notify = function() db:notify("jobs", "1") end
      end
      db:atomic(function()
        User:create{ name = "ada" }
        local sent = {}
        local remove = db:on("query", function(event) sent[#sent + 1] = event.sql end)
        for claim, way in pairs(ways) do
          local err = raises("concurrency", mp.gather, way)
          assert.truthy(err.message:find("tx:gather", 1, true) and err.message:find("mp.spawn", 1, true), claim .. ": " .. err.message)
          assert.truthy(err.message:find("task %d+ %(at [^)]*:%d+%) uses .* while task %d+ %(at [^)]*:%d+%)"), claim .. ": " .. err.message)
          raises("concurrency", mp.map, { 1 }, way, { limit = 1 })
        end
        remove()
        assert.same({}, sent)
      end)
      assert.equal("ada", names())
    end))

    it("may use what its own waiters do not hold: other databases, and any in a task that is apart", function()
      local other = open()
      assert.same({ 1, 2 }, { db:atomic(function()
        return mp.gather(function() return other:fetch_val "select 1" end, function()
          return other:atomic(function() return other:fetch_val "select 2" end)
        end)
      end) })
      local err = raises("concurrency", db.atomic, db, function()
        mp.gather(function()
          other:atomic(function()
            mp.gather(function() return db:fetch_val "select 1" end) -- a branch of a branch
          end)
        end)
      end)
      assert.truthy(err.message:find(tostring(db), 1, true))
      raises("concurrency", mp.gather, function()
        db:atomic(function()
          mp.gather(function() return User:count() end)
        end)
      end, function() return 1 end)
      if not database.single then
        db:atomic(function()
          User:create{ name = "ada" }
          assert.equal(0, mp.run(function() return User:count() end))
          assert.equal(0, (mp.gather(function() return mp.spawn(User.count, User):wait() end)))
        end)
      end
    end)

    it("has the same transaction by tx:gather, one after the other, and an error undoes the one that raised it", function()
      db:atomic(function(tx)
        assert.equal(0, select("#", tx:gather()))
        assert.same({ n = 3, nil, 2, nil }, table.pack(tx:gather(function() end, function() return 2, 3 end, function() return nil end)))
        local ok, err = pcall(tx.gather, tx, function()
          User:create{ name = "ada" }
        end, function()
          User:create{ name = "bob" }
          error("x", 0)
        end, function()
          User:create{ name = "never" }
        end)
        assert.same({ false, "x" }, { ok, err })
        raises("concurrency", tx.gather, tx, function()
          mp.map({ 1 }, function() User:create{ name = "round it" } end)
        end)
      end)
      assert.equal("ada", names())
    end)
  end)

  describe("that waits for what will never be free", function()
    -- Both get as far as they can alone, then each asks for what the other holds.
    local function crosswise(hold, ask)
      local arrived = 0
      local function run(mine, its)
        return hold(mine, function()
          arrived = arrived + 1
          while arrived < 2 do
            mp.sleep(0.001)
          end
          return ask(its)
        end)
      end
      return run
    end

    local function one_is_refused(a, b)
      local failures, values = {}, {}
      for _, task in ipairs{ a, b } do
        local ok, value = pcall(task.wait, task)
        table.insert(ok and values or failures, value)
      end
      assert.equal(1, #failures)
      assert.same({ 1 }, values)
      local err = failures[1]
      assert.equal("pool_deadlock", err.kind)
      assert.truthy(err.message:find("task " .. a.number, 1, true) and err.message:find("task " .. b.number, 1, true), err.message)
      assert.equal(2, #err.tasks)
      for _, each in ipairs(err.tasks) do
        assert.truthy(each.traceback:find("contract_tasks_spec.lua:%d+"), each.name .. each.traceback)
      end
    end

    local function select_one(from)
      return from:fetch_val "select 1"
    end

    it("is told at once in a circle over two databases", function()
      local one, two = open{ pool = { max = 1, timeout = 60 } }, open{ pool = { max = 1, timeout = 60 } }
      local run = crosswise(function(of, fn) return of:atomic(fn) end, function(its)
        local value = its:atomic(function() return its:fetch_val "select 1" end)
        return value
      end)
      one_is_refused(mp.spawn(run, one, two), mp.spawn(run, two, one))
    end)

    it("is told at once in a circle over one pool: as many tasks as connections, each asking for another", function()
      if database.dialect == "sqlite" then
        return -- its readers are not the writer: see below
      end
      local small = open{ pool = { max = 2, timeout = 60 } }
      for _, hold in ipairs{
        function(of, fn) return of:atomic(fn) end,
        function(of, fn) local _ <close> = of:connect() return fn() end,
        function(of, fn) local _ <close> = of:connect():begin() return fn() end,
      } do
        local run = crosswise(hold, function(of)
          local c <close> = of:connect()
          local value = select_one(c)
          return value
        end)
        one_is_refused(mp.spawn(run, small, small), mp.spawn(run, small, small))
      end
      databases.quiet(small)
    end)

    it("is told at once when it holds that itself, or waits for who waits for it, whichever way", function()
      local small = open{ pool = { max = 1, timeout = 60 } }
      local function hold(fn)
        return function() small:atomic(fn) end
      end
      raises("pool_deadlock", hold(function() local ok = mp.spawn(select_one, small):wait() return ok end))
      raises("pool_deadlock", hold(function() mp.run(select_one, small) end))
      raises("pool_deadlock", hold(function() mp.gather(function() mp.spawn(select_one, small):wait() end) end))
      raises("pool_deadlock", hold(function() mp.timeout(60, function() mp.spawn(select_one, small):wait() end) end))
      raises("pool_deadlock", hold(function() mp.shield(function() mp.spawn(select_one, small):wait() end) end))
      raises("pool_deadlock", hold(coroutine.wrap(function() mp.spawn(select_one, small):wait() end)))
      raises("pool_deadlock", hold(function() small:connect() end))
      raises("concurrency", hold(function() small:close() end))
      assert.equal(1, small:fetch_val "select 1")
    end)

    it("is told at once about the writer of a file", function()
      if not database.file then
        return
      end
      local function write() User:create{ name = "ada" } end
      for _, ask in ipairs{ write, function() db:atomic(write) end, function() local _ <close> = db:connect():begin() end } do
        local err = raises("pool_deadlock", db.atomic, db, function()
          mp.spawn(ask):wait()
        end)
        assert.truthy(err.message:find("the writer of", 1, true), err.message)
      end
      raises("pool_deadlock", function()
        local _ <close> = db:connect():begin()
        write()
      end)
      assert.equal("", names())
    end)

    it("is not told of a deadlock when it only waits long", function()
      local small = open{ pool = { max = 1, timeout = 60 } }
      local holds = false
      local holder = mp.spawn(function()
        small:atomic(function()
          holds = true
          mp.sleep(0.1)
        end)
      end)
      wait_until(function() return holds end)
      assert.same({ 1, 1 }, { mp.gather(function() return select_one(small) end, function() return select_one(small) end) })
      holder:wait()
      raises("pool_deadlock", function()
        local task
        task = mp.spawn(function() task:wait() end)
        task:wait()
      end)
    end)
  end)

  it("that cannot wait is told so, and its transaction goes on", databases.in_a_task(function()
    db:atomic(function()
      User:create{ name = "ada" }
      for _, ask in ipairs{
        function() return db:fetch_val "select 1" end,
        function() User:create{ name = "no" } end,
        function() db:atomic(function() User:create{ name = "no" } end) end,
      } do
        local err = raises("not_yieldable", table.sort, { 1, 2, 3 }, function(a, b) ask() return a < b end)
        assert.truthy(err.message:find("table.sort comparator: load the rows before sorting", 1, true))
        assert.truthy(err.traceback:find("contract_tasks_spec.lua", 1, true))
      end
      for name in coroutine.wrap(function()
        db:atomic(function()
          User:create{ name = "bob" }
          coroutine.yield(User:count())
        end)
      end) do
        assert.equal(2, name)
      end
    end)
    assert.equal("ada bob", names())
  end))

  it("hears of every error of a hook: what its own error cannot keep is written to standard error", function()
    local text = databases.told(function()
      assert.same({ false, "body" }, { pcall(db.atomic, db, function(tx)
        tx:on_rollback(function() error("from the hook", 0) end)
        error("body", 0)
      end) })
      assert.same({ false, "first" }, { pcall(db.atomic, db, function(tx)
        tx:on_commit(function() error("first", 0) end)
        tx:on_commit(function() error("second", 0) end)
      end) })
    end)
    assert.truthy(text:find("from the hook", 1, true) and text:find("second", 1, true), text)
    assert.is_nil(text:find("first", 1, true))
  end)

  it("hands mp.map an array: what is none says how its rows are had", function()
    for _, list in ipairs{ User, User:filter{ age = 1 } } do
      local err = raises("bad_argument", mp.map, list, print)
      assert.truthy(err.message:find(":all()", 1, true), err.message)
    end
    raises("bad_argument", mp.map, { n = "x" }, print)
    raises("bad_argument", mp.map, { n = -1 }, print)
    raises("bad_argument", mp.map, { n = 1.5 }, print)
    local result = mp.map({ 1, nil, 3, n = 3 }, function(x, place) return x and x * place end)
    assert.same({ 1, nil, 9, n = 3 }, result)
  end)
end)

-- On a database that is played from a script, a statement can be caught on its way.
describe("a task that is cancelled while", function()
  local name, db = "contract_tasks_spec", nil

  after_each(function()
    db:close()
    core.fake(name, nil)
  end)

  local function play(script)
    core.fake(name, script .. "\ninsert -> affected 1")
    db = mp.open{ dialect = "fake", database = name }
  end

  local function asked(text)
    for _, sql in ipairs((core.fake_log(name))) do
      if sql:sub(1, #text) == text then
        return true
      end
    end
    return false
  end

  -- Cancels the task that runs fn as soon as the statement was sent.
  local function cancelled_at(text, fn)
    local task = mp.spawn(fn)
    wait_until(function() return asked(text) end)
    task:cancel()
    return task
  end

  it("its COMMIT is on its way has committed", function()
    play "commit -> delay 50; affected 0"
    local hooks = 0
    local task = cancelled_at("COMMIT", function()
      return db:atomic(function(tx)
        tx:on_commit(function() hooks = hooks + 1 end)
        db:execute "insert"
        return "value"
      end)
    end)
    assert.equal("value", task:wait())
    assert.equal("done", task.status)
    assert.equal(1, hooks)
    assert.is_false(asked "ROLLBACK")
    databases.quiet(db)
  end)

  it("its BEGIN is on its way never runs its block", function()
    play "begin -> delay 50; affected 0"
    local task = cancelled_at("BEGIN", function()
      db:atomic(function() error "it ran" end)
    end)
    raises("cancelled", task.wait, task)
    databases.quiet(db)
  end)

  for _, text in ipairs{ "SAVEPOINT", "RELEASE" } do
    it("its " .. text .. " is on its way undoes all", function()
      play(text:lower() .. " -> delay 50; affected 0")
      local task = cancelled_at(text, function()
        db:atomic(function()
          pcall(db.atomic, db, function() db:execute "insert" end)
        end)
      end)
      raises("cancelled", task.wait, task)
      assert.is_true(asked "ROLLBACK")
      assert.is_false(asked "COMMIT")
      databases.quiet(db)
    end)
  end

  it("its ROLLBACK is on its way has rolled back, and raises what it rolled back for", function()
    play "rollback -> delay 50; affected 0"
    local task = cancelled_at("ROLLBACK", function()
      db:atomic(function()
        db:execute "insert"
        error("why", 0)
      end)
    end)
    local ok, err = pcall(task.wait, task)
    assert.same({ false, "why" }, { ok, err })
    assert.equal("failed", task.status)
    databases.quiet(db)
  end)
end)
