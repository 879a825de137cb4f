-- What is interrupted between two statements: transactions, savepoints and connections whose task is cancelled at the
-- worst moment, generators that nobody finishes, listeners that raise. The next one finds everything in order.

local mp = require "moonpool"
local core = require "moonpool.core"
local databases = require "spec.support.databases"
local raises = databases.raises

local function ids(db)
  local found = {}
  for _, row in ipairs(db:fetch_all("select x from t order by x")) do
    found[#found + 1] = row.x
  end
  return found
end

databases.each("a transaction", function(open, database)
  local db

  before_each(function()
    db = open { pool = { max = 3, timeout = 60 } }
    db:execute("create table t (x integer)")
  end)

  after_each(function()
    databases.quiet(db)
  end)

  it("undoes the right savepoint although a later one was cancelled while it was made", function()
    if database.pooler then
      return -- behind a pooler what is stopped takes its connection, and the transaction, with it
    end
    for try = 0, 60 do
      db:atomic(function()
        mp.try(db.atomic, db, function()
          db:execute("insert into t values (1)")
          mp.try(mp.timeout, try / 100000, db.atomic, db, function()
            return db:fetch_val("select 1") -- an INSERT that is stopped takes SQLite's whole transaction with it
          end)
          error("undo", 0)
        end)
        db:execute("insert into t values (3)")
      end)
      assert.same({ 3 }, ids(db))
      db:execute("delete from t")
    end
  end)

  it("begun on a pinned connection is not open when its begin was cancelled", function()
    if database.pooler then
      return -- as above
    end
    local conn = db:connect()
    for try = 0, 120 do
      if pcall(mp.timeout, try % 7 / 100000, conn.begin, conn) then
        conn:execute("insert into t values (1)")
        conn:rollback()
      end
      assert.equal("none", (conn.lease:state()))
      conn:execute("insert into t values (2)") -- by itself, so it stays
      conn:execute("delete from t where x = 1")
    end
    conn:close()
    assert.equal(121, db:fetch_val("select count(*) from t"))
  end)

  it("on a pinned connection counts as one connection for those who wait", function()
    if not database.server then
      return
    end
    local two = open { pool = { max = 2, timeout = 60 } }
    local conn = two:connect()
    conn:begin()
    local slow = "with recursive c(x) as (select 1 union all select x + 1 from c where x < 300000) select max(x) from c"
    local count, answer = mp.gather(function()
      return two:fetch_val(slow)
    end, function()
      local other <close> = two:connect() -- waits for that statement, which ends
      return other:fetch_val("select 7")
    end)
    conn:rollback()
    conn:close()
    assert.same({ 300000, 7 }, { count, answer })
  end)

  it("is ended as asked although a listener raises", function()
    for _, word in ipairs { "BEGIN", "SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO SAVEPOINT", "COMMIT", "ROLLBACK" } do
      local heard = 0
      local off = db:on("query", function(record)
        if record.sql == word then
          heard = heard + 1
          error("listener", 0)
        end
      end)
      mp.try(db.atomic, db, function()
        db:execute("insert into t values (1)")
        mp.try(db.atomic, db, function() return db:execute("insert into t values (2)") end)
        mp.try(db.atomic, db, function()
          db:execute("insert into t values (3)")
          error("undo", 0)
        end)
        if word == "ROLLBACK" then
          error("undo", 0)
        end
      end)
      off()
      assert.truthy(heard > 0, word)
      local expected = { { 1, 2 }, BEGIN = {}, SAVEPOINT = { 1 }, ROLLBACK = {} }
      assert.same(expected[word] or expected[1], ids(db), word)
      databases.quiet(db)
      db:execute("delete from t")
    end
  end)

  it("of a block inside a generator is rolled back when its task ends, and the task hears of it", function()
    collectgarbage("stop") -- not the collector's work
    local task = mp.spawn(function()
      local rows = coroutine.wrap(function()
        db:atomic(function()
          db:execute("insert into t values (1)")
          coroutine.yield()
        end)
      end)
      rows()
      db:atomic(function() return db:execute("insert into t values (2)") end) -- is part of that block
    end)
    local err = raises("concurrency", task.wait, task)
    assert.truthy(err.message:find("generator", 1, true), err.message)
    db:execute("insert into t values (3)")
    collectgarbage("restart")
    assert.same({ 3 }, ids(db))
  end)

  it("does not commit a block around something that was never ended", function()
    local err = raises("in_failed_transaction", db.atomic, db, function()
      db:begin()
      db:execute("insert into t values (1)") -- inside what nobody ends
    end)
    assert.truthy(err.message:find("by hand", 1, true), err.message)
    assert.same({}, ids(db))
    raises("in_failed_transaction", db.atomic, db, function()
      coroutine.wrap(function() db:atomic(coroutine.yield) end)()
      db:execute("insert into t values (1)")
    end)
    assert.same({}, ids(db))
  end)
end)

describe("a stream", function()
  it("is not closed by another task, which may be too early for its own", function()
    local db, remove = databases.file.open()
    local rows = db:stream("select 1 as x union all select 2")
    local task = mp.spawn(rows.close, rows)
    raises("concurrency", task.wait, task)
    assert.equal(1, rows().x)
    rows:close()
    rows:close()
    remove()
  end)
end)

describe("mp.timeout inside a generator", function()
  it("is not its consumer's", function()
    local rows = coroutine.wrap(function()
      mp.timeout(0.01, function()
        coroutine.yield(1)
        mp.sleep(100)
      end)
    end)
    assert.equal(1, rows())
    mp.sleep(0.02)
    raises("timeout", rows)
    mp.sleep(0)
  end)

  it("ends its generator in whatever task resumes it", function()
    local rows = coroutine.wrap(function()
      mp.timeout(0.01, function()
        coroutine.yield(1)
        mp.sleep(100)
      end)
    end)
    assert.equal(1, mp.spawn(rows):wait())
    local task = mp.spawn(rows)
    raises("timeout", task.wait, task)
  end)
end)

databases.each("a generator that its consumer closes", function(open, database)
  local db

  before_each(function()
    db = open { pool = { max = 3, timeout = 5 } }
  end)

  -- The generator stands inside the loop over what open_it gives, and is closed there.
  local function closed_in(open_it)
    local co = coroutine.create(function()
      for _ in open_it() do
        coroutine.yield()
      end
    end)
    assert(coroutine.resume(co))
    assert.truthy(db:pool_stats().busy >= 1)
    assert.is_true(coroutine.close(co))
    mp.timeout(20, function()
      while db:pool_stats().busy > 0 do
        mp.sleep(0.001)
      end
    end)
    assert.equal(0, db.tally.held)
  end

  it("gives the connection of its stream back", function()
    closed_in(function()
      return db:stream "with recursive c(x) as (select 1 union all select x + 1 from c where x < 900) select x from c"
    end)
  end)

  if database.dialect == "postgres" and not database.pooler then
    it("gives the connection of its listener back", function()
      local teller = mp.spawn(function()
        while true do
          db:notify("jobs", "one")
          mp.sleep(0.002)
        end
      end)
      local task = mp.spawn(closed_in, function() return db:listen("jobs", { timeout = 20 }) end)
      mp.sleep(0)
      pcall(task.wait, task)
      teller:cancel()
      pcall(teller.wait, teller)
      task:wait()
    end)
  end
end)

-- Each of these would wait for its pool.timeout, and that is longer than the test.
describe("a wait that would never end", function()
  local function in_time(fn)
    return function()
      mp.timeout(60, fn)
    end
  end

  local LONG = { timeout = 100, max = 3 }

  it("is found when a task holds every connection for reading", in_time(function()
    local db, remove = databases.file.open { pool = LONG }
    local first, second = db:connect(), db:connect()
    raises("pool_deadlock", db.connect, db)
    first:close()
    second:close()
    db:connect():close()
    remove()
  end))

  it("is found on another handle on the same file", in_time(function()
    local db, remove, path = databases.file.open { pool = LONG }
    local other = mp.open("sqlite:" .. path, { pool = LONG })
    db:execute("create table t (x)")
    local tx = db:begin()
    raises("pool_deadlock", other.execute, other, "insert into t values (1)")
    raises("pool_deadlock", other.begin, other)
    tx:close()
    other:execute("insert into t values (1)")
    other:close()
    remove()
  end))

  it("is found when it began before anybody held anything", in_time(function()
    local db, remove = databases.memory.open { pool = LONG }
    local busy = mp.spawn(db.fetch_val, db,
      "with recursive c(x) as (select 1 union all select x + 1 from c where x < 300000) select count(x) from c")
    mp.sleep(0)
    local behind
    local holder = mp.spawn(function()
      local tx <close> = db:begin()
      return tx and behind:wait()
    end)
    mp.sleep(0)
    behind = mp.spawn(db.fetch_val, db, "select 1")
    raises("pool_deadlock", holder.wait, holder)
    assert.equal(1, behind:wait())
    busy:wait()
    remove()
  end))

  it("is found in a shield, behind a task that was cancelled and waits for the shield", in_time(function()
    local db, remove = databases.memory.open { pool = LONG }
    local found
    local holder
    holder = mp.spawn(function()
      local conn <close> = db:connect()
      mp.gather(function()
        mp.shield(function()
          holder:cancel()
          found = select(2, pcall(db.fetch_val, db, "select 1"))
        end)
      end)
      return conn
    end)
    raises("cancelled", holder.wait, holder)
    assert.equal("pool_deadlock", found.kind)
    remove()
  end))

  it("is found in an on_connect that uses the database instead of its connection", in_time(function()
    local db
    db = mp.open("sqlite::memory:", { pool = LONG, on_connect = function() db:fetch_val("select 1") end })
    raises("pool_deadlock", db.fetch_val, db, "select 1")
    db:close()
  end))

  it("is not seen where the connection that a task still has was lost", in_time(function()
    core.fake("lost_held", "insert -> lost\nselect 1 -> columns one:int; row 1")
    local db = mp.open { dialect = "fake", database = "lost_held", pool = { max = 1, timeout = 100 } }
    raises("connection_lost", db.atomic, db, function()
      mp.try(db.execute, db, "insert")
      local first, second = mp.spawn(db.fetch_val, db, "select 1"), mp.spawn(db.fetch_val, db, "select 1")
      assert.equal(1, second:wait())
      assert.equal(1, first:wait())
    end)
    db:close()
    core.fake("lost_held", nil)
  end))

  it("is not seen where a connection that nobody closed was collected", in_time(function()
    local db, remove = databases.memory.open { pool = LONG }
    db:connect()
    collectgarbage()
    collectgarbage()
    local tasks = {}
    for i = 1, 5 do
      tasks[i] = mp.spawn(function() return db:atomic(function() return db:fetch_val("select ?", i) end) end)
    end
    for i = 1, 5 do
      assert.equal(i, tasks[i]:wait())
    end
    databases.quiet(db)
    remove()
  end))
end)
