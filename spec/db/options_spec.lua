-- Options of a database: each does what it says. Every claim here fails when its option is ignored.

local mp = require "moonpool"
local core = require "moonpool.core"
local databases = require "spec.support.databases"
local raises = databases.raises

-- A statement that takes a while: n rows made by the server.
local COUNT_TO = "with recursive c(x) as (select 1 union all select x + 1 from c where x < %d) select %s from c"

local function capture_stderr(fn)
  local path = os.tmpname()
  local kept = io.stderr
  local file = assert(io.open(path, "w"))
  io.stderr = file
  local ok, err = pcall(fn)
  io.stderr = kept
  file:close()
  local text = assert(io.open(path)):read("a")
  os.remove(path)
  assert(ok, err)
  return text
end

databases.each("a database", function(open, database)
  local TEMPORARY = database.dialect == "mariadb" and "temporary" or "temp"

  it("limits rows and bytes of a result", function()
    local db = open{ max_rows = 10, max_bytes = 2000 }
    assert.equal(10, #db:fetch_all(COUNT_TO:format(10, "x")))
    raises("result_too_large", db.fetch_all, db, COUNT_TO:format(11, "x"))
    raises("result_too_large", db.fetch_all, db, "select ?", ("x"):rep(5000))
    assert.equal(1, db:fetch_val("select 1"))
  end)

  it("ends a statement that runs longer than command_timeout, and goes on", function()
    local db = open{ command_timeout = 0.5 } -- long enough for what is short, also where that is slow
    raises("timeout", db.fetch_val, db, COUNT_TO:format(10 ^ 9, "count(x)"))
    assert.equal(1, db:fetch_val("select 1"))
    databases.quiet(db)
  end)

  it("gives the whole answer or timeout, never half of one", function()
    local db = open{ command_timeout = 0.001 }
    -- behind a pooler each that is stopped costs its connection, and under a sanitizer that takes long
    local step = (database.pooler or os.getenv "MOONPOOL_UNDER") and 6 or 1
    for i = 1, 120, step do
      local n = i * 40
      local ok, answer = pcall(db.fetch_val, db, COUNT_TO:format(n, "count(x)"))
      assert.equal(ok and n or "timeout", ok and answer or answer.kind)
    end
    databases.quiet(db)
  end)

  it("runs on_connect on each connection before anybody else, and closes one on which it fails", function()
    local seen, fail = 0, true
    local db = open{
      pool = { min = 0 }, -- none is opened in the background
      on_connect = function(conn)
        seen = seen + 1
        if fail then
          error("not today", 0)
        end
        conn:execute("create " .. TEMPORARY .. " table greeting as select 'hello' as word")
      end,
    }
    local ok, err = pcall(db.fetch_val, db, "select 1")
    assert.is_false(ok)
    assert.equal("not today", err)
    assert.equal(0, db:pool_stats().size)
    fail = false
    if database.pooler then -- the next statement may be in another session
      assert.equal(1, db:fetch_val("select 1"))
      assert.equal(2, seen)
      return
    end
    assert.equal("hello", db:fetch_val("select word from greeting"))
    assert.equal(2, seen)
    db:fetch_val("select 1")
    assert.equal(2, seen)
    -- a connection that a task has changed is put back to what on_connect made of it
    local conn = db:connect()
    conn:execute("create " .. TEMPORARY .. " table litter (x integer)")
    conn:execute("drop table greeting")
    conn:close()
    assert.equal("hello", db:fetch_val("select word from greeting"))
    raises("undefined_table", db.fetch_val, db, "select * from litter")
  end)

  it("tells of each statement of the program, until the listener is removed", function()
    local db = open{ on_connect = function(conn) conn:execute("select 'set up'") end }
    local events = {}
    local off = db:on("query", function(event)
      events[#events + 1] = event
    end)
    db:fetch_all("select 1 as one union all select 2")
    pcall(db.fetch_all, db, "select * from nowhere")
    off()
    db:fetch_all("select 3 as three")
    assert.equal(2, #events)
    assert.equal(2, events[1].rows)
    assert.truthy(events[1].caller:find("options_spec.lua", 1, true))
    for _, name in ipairs{ "wait", "execute", "decode" } do
      assert.equal("number", type(events[1][name]), name)
    end
    assert.equal("undefined_table", events[2].error.kind)
  end)

  it("echoes statements to standard error", function()
    local text = capture_stderr(function()
      local db = open{ echo = true }
      db:fetch_val("select 'echoed'")
    end)
    assert.truthy(text:find("select 'echoed'", 1, true))
    assert.equal("", capture_stderr(function() open():fetch_val("select 'echoed'") end))
  end)

  it("logs statements that take longer than slow_ms", function()
    local function logged(slow_ms)
      return capture_stderr(function()
        open{ slow_ms = slow_ms }:fetch_val("select 'watched'")
      end)
    end
    assert.truthy(logged(0):find("select 'watched'", 1, true)) -- each one takes longer than no time
    assert.equal("", logged(3600 * 1000))
  end)

  it("says how it is", function()
    local db = open()
    assert.is_true(db:ping())
    local health = db:health()
    assert.equal("ok", health.status)
    assert.equal("number", type(health.elapsed_ms))
    local stats = db:pool_stats()
    assert.equal(0, stats.busy)
    assert.equal(0, stats.waiting)
    assert.equal(0, stats.control)
    assert.equal(1, stats.size)
    assert.equal(1, stats.idle)
    db:close()
    raises("pool_closed", db.ping, db)
    assert.equal("error", db:health().status)
    assert.equal("pool_closed", db:health().error.kind)
  end)

  it("refuses work after close, and closes twice", function()
    local db = open()
    db:fetch_val("select 1")
    db:close()
    db:close()
    raises("pool_closed", db.fetch_val, db, "select 1")
    raises("pool_closed", db.atomic, db, function() end)
  end)

  it("waits for running work at close, and cancels it after drain", function()
    local db = open()
    local task = mp.spawn(db.fetch_val, db, COUNT_TO:format(200000, "count(x)"))
    while db:pool_stats().busy == 0 do
      mp.sleep(0)
    end
    db:close()
    assert.equal(200000, task:wait())
    local other = open()
    task = mp.spawn(other.fetch_val, other, COUNT_TO:format(10 ^ 9, "count(x)"))
    while other:pool_stats().busy == 0 do
      mp.sleep(0)
    end
    other:close{ drain = 0.01 }
    raises("cancelled", task.wait, task)
  end)
end)

-- Hold a connection of db in another task; the function that comes back lets it go and waits for that.
local function hold(db)
  local held, wanted = false, true
  local task = mp.spawn(function()
    local conn <close> = db:connect()
    held = conn ~= nil
    while wanted do
      mp.sleep(0.001)
    end
  end)
  while not held do
    mp.sleep(0.001)
  end
  return function()
    wanted = false
    task:wait()
  end
end

describe("a pool", function()
  it("never opens more than max connections", function()
    local db, close = databases.file.open{ pool = { max = 3 } }
    db:execute("create table t (x)")
    local most = 0
    local list = {}
    for i = 1, 40 do
      list[i] = i
    end
    mp.map(list, function(i)
      local got = db:fetch_val("select ?", i)
      assert(got == i)
      most = math.max(most, db:pool_stats().size)
    end)
    assert.truthy(most <= 3 and most >= 1)
    databases.quiet(db)
    close()
  end)

  it("says who waits and for how long when pool.timeout has passed", function()
    local db, close = databases.memory.open{ pool = { max = 1, timeout = 0.05 } }
    local let_go = hold(databases.warm(db))
    local err = raises("pool_timeout", db.fetch_val, db, "select 1")
    local seconds = tonumber(err.message:match "no connection was free for (%S+) s")
    assert.truthy(seconds and seconds >= 0.05, err.message)
    let_go()
    assert.equal(1, db:fetch_val("select 1"))
    close()
  end)

  it("serves waiters first come first served", function()
    local db, close = databases.memory.open()
    local let_go = hold(db)
    local order, tasks = {}, {}
    for i = 1, 20 do
      tasks[i] = mp.spawn(function()
        db:fetch_val("select 1")
        order[#order + 1] = i
      end)
      mp.sleep(0)
    end
    assert.equal(20, db:pool_stats().waiting)
    let_go()
    for _, task in ipairs(tasks) do
      task:wait()
    end
    for i = 1, 20 do
      assert.equal(i, order[i])
    end
    close()
  end)

  it("forgets a waiter that is cancelled, and loses no connection by it", function()
    local db, close = databases.memory.open()
    local let_go = hold(db)
    local task = mp.spawn(db.fetch_val, db, "select 1")
    mp.sleep(0)
    raises("timeout", mp.timeout, 0.01, db.fetch_val, db, "select 2")
    task:cancel()
    raises("cancelled", task.wait, task)
    let_go()
    assert.equal(3, db:fetch_val("select 3"))
    close()
  end)

  it("closes connections above min that were idle for max_idle", function()
    local db, close = databases.file.open{ pool = { min = 1, max = 4, max_idle = 0.05 } }
    local held = { db:connect(), db:connect(), db:connect() }
    assert.equal(3, db:pool_stats().size)
    for _, conn in ipairs(held) do
      conn:close()
    end
    mp.timeout(60, function()
      while db:pool_stats().size > 1 do
        mp.sleep(0.01)
      end
    end)
    assert.equal(1, db:pool_stats().idle)
    close()
  end)

  it("replaces a connection after max_uses", function()
    local connects = 0
    local db, close = databases.file.open{ pool = { max = 1, max_uses = 2 }, on_connect = function() connects = connects + 1 end }
    for _ = 1, 6 do
      db:fetch_val("select 1")
    end
    assert.equal(3, connects)
    close()
  end)

  it("replaces a connection after max_lifetime", function()
    local connects = 0
    local db, close = databases.file.open{
      pool = { max = 1, max_lifetime = 0.01 }, on_connect = function() connects = connects + 1 end,
    }
    for _ = 1, 5 do -- an old one serves once more, and is closed when it comes back
      db:fetch_val("select 1")
      mp.sleep(0.03)
    end
    assert.truthy(connects >= 3)
    close()
  end)
end)

describe("a configuration", function()
  it("is refused as a whole with the nearest name of an unknown option", function()
    local err = raises("unknown_option", mp.open, "sqlite::memory:", { pol = {} })
    assert.truthy(err.message:find("pool", 1, true), err.message)
    err = raises("unknown_option", mp.open, "sqlite::memory:", { pool = { maxx = 3 } })
    assert.truthy(err.message:find("max", 1, true), err.message)
    raises("unknown_option", mp.open, "sqlite::memory:?statement_cash=3")
  end)

  it("is refused with the range of a bad value", function()
    for _, options in ipairs{
      { pool = { max = 0 } }, { pool = { max = 2.5 } }, { pool = { max = "4" } }, { pool = { min = 5, max = 2 } }, { pool = { timeout = -1 } },
      { pool = { timeout = 0 / 0 } }, { statement_cache = -1 }, { command_timeout = "x" }, { connect_timeout = -2 }, { slow_ms = -1 },
      { echo = "yes" }, { on_connect = 3 }, { retry = { attempts = 0 } }, { max_rows = 0 }, { max_bytes = -1 }, { pool = 3 },
    } do
      raises("usage", mp.open, "sqlite::memory:", options)
    end
  end)

  it("names the schemes there are, and never repeats a URL", function()
    for _, url in ipairs{ "mysq://root:s3cret@h/db", "root:s3cret@h/db", "s3cret", "postgres//u:s3cret@h/db" } do
      local err = raises("configuration", mp.open, url)
      assert.is_nil((tostring(err) .. err.traceback):find("s3cret", 1, true), tostring(err))
      assert.truthy(err.message:find("sqlite", 1, true), err.message)
    end
  end)

  it("has a default database and others by name", function()
    mp.configure{ default = "sqlite::memory:", replica = { url = "sqlite::memory:", pool = { max = 1 } } }
    mp.db():execute("create table only_here (x)")
    raises("undefined_table", mp.db("replica").execute, mp.db "replica", "insert into only_here values (1)")
    local err = raises("unknown_database", mp.db, "replika")
    assert.truthy(err.message:find("replica", 1, true))
    local all = mp.health()
    assert.equal("ok", (all.default or all[1]).status)
    assert.truthy(raises("bad_argument", mp.health, "replica").message:find("mp.db(name):health()", 1, true))
    mp.close_all()
  end)

  it("asks all databases for their health at once", function()
    local begun = {}
    local function waiting_for(name, other)
      return { url = "sqlite::memory:", on_connect = function()
        begun[name] = true
        while not begun[other] do
          mp.sleep(0.001)
        end
      end }
    end
    mp.configure{
      one = waiting_for("one", "two"), two = waiting_for("two", "one"), gone = "postgres://nobody@127.0.0.1:1/nowhere?connect_timeout=5",
    }
    local all = mp.timeout(60, mp.health)
    assert.same({ "ok", "ok", "error" }, { all.one.status, all.two.status, all.gone.status })
    assert.equal("gone", all.gone.database)
    assert.is_truthy(mp.is(all.gone.error, "connection"))
    mp.close_all()
    assert.same({}, mp.health())
  end)

  it("reads every form of an SQLite URL", function()
    local path = databases.fresh_path()
    for _, url in ipairs{ "sqlite::memory:", "sqlite://", "sqlite:" .. path, "sqlite:///" .. path } do
      local db = mp.open(url)
      assert.equal(1, db:fetch_val("select 1"))
      db:close()
    end
    databases.remove(path)
    local db = mp.open("sqlite:" .. path .. "?statement_cache=0&pool.max=2")
    assert.equal(2, db:pool_stats().max)
    db:close()
    databases.remove(path)
  end)

  it("raises not_configured before there is one", function()
    mp.close_all()
    package.loaded["moonpool"] = nil
    local ok, err = pcall(mp.db)
    package.loaded["moonpool"] = mp
    if not ok then
      assert.equal("not_configured", err.kind)
    end
  end)
end)

describe("a database that asks for a password", function()
  it("calls the function for each connection; it may wait", function()
    core.fake("needs_password", [[
      set password "s3cret"
      select 1 -> columns one:int; row 1
    ]])
    local calls = 0
    local db = mp.open{ dialect = "fake", database = "needs_password", password = function()
      calls = calls + 1
      mp.sleep(0.001)
      return "s3cret"
    end }
    assert.equal(1, db:fetch_val("select 1"))
    assert.equal(1, calls)
    db:close()
    local wrong = mp.open{ dialect = "fake", database = "needs_password", password = "guess" }
    local err = raises("auth_failed", wrong.fetch_val, wrong, "select 1")
    assert.is_nil(tostring(err):find("guess", 1, true))
    assert.is_nil(tostring(wrong):find("guess", 1, true))
    wrong:close()
  end)
end)
