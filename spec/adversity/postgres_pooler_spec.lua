-- Behind PgBouncer, which gives each transaction whatever session is free: nothing is kept in a session or taken for
-- granted there, and a connection on which something was stopped is of no more use, because nobody knows whom a late cancel
-- would hit.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local servers = require "spec.support.servers"
local waiting = require "spec.support.waiting"
local f = mp.field
local raises = databases.raises

if not databases.pgbouncer then
  return
end

describe("behind PgBouncer", function()
  local db, close, url, behind

  -- The server itself, not through the pooler.
  local function server_says(sql, ...)
    local admin <close> = mp.open(servers.on(servers.admin, behind), { pool = { max = 1 } })
    return admin:fetch_val(sql, ...)
  end

  -- What PgBouncer says of itself: its clients on this database.
  local function clients()
    local out = os.tmpname()
    local console = servers.on(url, "pgbouncer"):gsub("'", "'\\''")
    local command = ("/usr/lib/postgresql/15/bin/psql -XAtq '%s' -c 'show clients' >%s 2>&1"):format(console, out)
    assert(os.execute(command))
    local n = 0
    for line in io.lines(out) do
      n = n + (line:find("|" .. behind .. "|", 1, true) and 1 or 0)
    end
    os.remove(out)
    return n
  end

  local function open(options)
    options = options or {}
    options.pool = options.pool or { max = 1 }
    db, close, url = databases.pgbouncer.open(options)
    behind = url:match "/([%w_]+)$"
    db:execute("create table t (id bigint primary key, x integer)")
    db:execute("insert into t select i, i * 10 from generate_series(1, 20) i")
  end

  after_each(function()
    if close then
      close()
    end
    close = nil
  end)

  local function until_size(n)
    waiting.until_equal(n, function() return db:pool_stats().size end)
  end

  local function until_server_says(expected, sql)
    waiting.until_equal(expected, function() return server_says(sql) end)
  end

  it("a cancel reaches the server, and its connection is destroyed", function()
    local RUNNING = "select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'"
    open{ pool = { min = 0, max = 1 } }
    for _ = 1, 5 do
      assert.equal(10, db:fetch_val("select x from t where id = 1"))
      local task = mp.spawn(db.fetch_val, db, "select pg_sleep(100)")
      until_server_says(1, RUNNING)
      task:cancel()
      raises("cancelled", task.wait, task)
      until_size(0)
      until_server_says(0, RUNNING)
      assert.equal(0, db:pool_stats().control)
    end
  end)

  it("a statement's own timeout does the same", function()
    open{ pool = { min = 0, max = 1 }, command_timeout = 0.5 } -- long enough for the others, also where they are slow
    raises("timeout", db.fetch_val, db, "select pg_sleep(100)")
    until_size(0)
    assert.equal(20, db:fetch_val("select x from t where id = 2"))
  end)

  it("many tasks stop statements, and nobody else's are hit", function()
    local seed = tonumber(os.getenv "MOONPOOL_SEED") or os.time()
    print("# MOONPOOL_SEED=" .. seed)
    math.randomseed(seed)
    open{ pool = { max = 8 } }
    local wrong, stopped = {}, 0
    local tasks = {}
    for i = 1, 24 do
      tasks[i] = mp.spawn(function()
        for j = 1, 12 do
          local nonce = i * 1000 + j
          local ask = "select ?::int + length(pg_sleep(0.003)::text)"
          local answer
          if j % 3 == 0 then
            local ok
            ok, answer = pcall(mp.timeout, math.random(0, 20) / 1000, db.fetch_val, db, ask, nonce)
            if not ok and answer.kind == "timeout" then
              stopped = stopped + 1
              answer = nonce
            end
          else
            answer = select(2, pcall(db.fetch_val, db, ask, nonce))
          end
          if answer ~= nonce then
            wrong[#wrong + 1] = tostring(answer)
          end
        end
      end)
    end
    for _, task in ipairs(tasks) do
      task:wait()
    end
    assert.same({}, wrong)
    assert.truthy(stopped > 0)
  end)

  it("no statement is left prepared on the server's sessions", function()
    open{ pool = { max = 4 } }
    local T = mp.entity("T", { x = f.integer() }, { database = db, table = "t" })
    local tasks = {}
    for i = 1, 40 do
      tasks[i] = mp.spawn(function()
        assert(T:get(i % 20 + 1).x == (i % 20 + 1) * 10)
        assert(db:fetch_val("select x from t where id = ?", i % 20 + 1) == (i % 20 + 1) * 10)
        db:atomic(function() return T:filter{ id = i % 20 + 1 }:update{ x = mp.F.x } end)
      end)
    end
    for _, task in ipairs(tasks) do
      task:wait()
    end
    for _ = 1, 10 do -- whatever session it meets: the one that asks is all there is
      assert.truthy(db:fetch_val("select count(*) from pg_prepared_statements") <= 1)
      assert.equal(0, db:fetch_val("select count(*) from pg_prepared_statements where name <> ''"))
    end
  end)

  it("a transaction keeps its session from its begin to its end", function()
    open{ pool = { max = 4 } }
    local tasks = {}
    for i = 1, 16 do
      tasks[i] = mp.spawn(function()
        return db:atomic(function()
          local pid = db:fetch_val("select pg_backend_pid()")
          mp.sleep(0.001)
          db:execute("update t set x = x + 1 where id = ?", i)
          return pid == db:fetch_val("select pg_backend_pid()")
        end)
      end)
    end
    for _, task in ipairs(tasks) do
      assert.is_true(task:wait())
    end
    assert.equal(16, db:fetch_val("select count(*) from t where x % 10 = 1"))
  end)

  it("a transaction that is left by an error is rolled back", function()
    open()
    for _ = 1, 5 do
      raises("division_by_zero", db.atomic, db, function()
        db:execute("insert into t values (100, 1)")
        db:fetch_val("select 1 / 0")
      end)
      raises("timeout", mp.timeout, 0.05, db.atomic, db, function()
        db:execute("insert into t values (100, 1)")
        mp.sleep(10)
      end)
      assert.equal(20, db:fetch_val("select count(*) from t"))
    end
    until_server_says(0, "select count(*) from pg_stat_activity where state like 'idle in transaction%'")
  end)

  it("a stream gives all its rows, and may be left early", function()
    open()
    local sum = 0
    for row in db:stream("select x from generate_series(1, 3000) x") do
      sum = sum + row.x
    end
    assert.equal(3000 * 3001 / 2, sum)
    for row in db:stream("select x from generate_series(1, 1000000) x") do
      if row.x == 5 then
        break
      end
    end
    assert.equal(1, db:fetch_val("select 1"))
  end)

  it("outlives a PgBouncer that is restarted", function()
    if not servers.set then
      pending "MOONPOOL_TEST_PGBOUNCER names a pooler that is not ours: it is not restarted"
    end
    open{ pool = { max = 3 } }
    local over, kinds = false, {}
    local tasks = {}
    for i = 1, 30 do
      tasks[i] = mp.spawn(function()
        while not over do
          local ok, err = pcall(db.fetch_val, db, "select ?::int", i)
          assert(ok and err == i or not ok and mp.is(err, "connection"), err)
          kinds[ok and "ok" or err.kind] = true
        end
      end)
    end
    local function until_answered()
      kinds.ok = nil
      waiting.until_true(function() return kinds.ok end)
    end
    until_answered()
    servers.restart "pgbouncer"
    until_answered()
    over = true
    for _, task in ipairs(tasks) do
      task:wait()
    end
    assert.equal(7, db:fetch_val("select 7"))
    servers.mend()
  end)

  it("none of its connections is left after close", function()
    open{ pool = { max = 4 } }
    local asks = {}
    for i = 1, 8 do
      asks[i] = function() return db:fetch_val("select length(pg_sleep(0.01)::text)") end
    end
    mp.gather(table.unpack(asks))
    assert.equal(db:pool_stats().size, clients())
    db:close()
    waiting.until_equal(0, clients)
  end)
end)
