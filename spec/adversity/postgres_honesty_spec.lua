-- What a pool on PostgreSQL says of its connections is so, beside ended_sessions_spec: a server that takes no connections is
-- asked by one at a time and ever more seldom, and what the pool counts is what the server has.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local servers = require "spec.support.servers"
local waiting = require "spec.support.waiting"
local f = mp.field
local raises = databases.raises
local until_equal = waiting.until_equal

if not databases.postgres then
  return
end

local db, close, url, admin

local function open(options)
  db, close, url = databases.postgres.open(options)
end

-- Of the pool's sessions, and what carries its cancels.
local OURS = "from pg_stat_activity where datname = ? and backend_type = 'client backend'"

local function name()
  return url:match "/([%w_]+)$"
end

local function session_count()
  return admin:fetch_val("select count(*) " .. OURS, name())
end

-- End sessions of the pool; ended when the server has none of them any more.
local function terminate(more)
  local pids = admin:fetch_all("select pid " .. OURS .. (more or ""), name())
  for _, row in ipairs(pids) do
    admin:fetch_val("select pg_terminate_backend(?, 10000)", row.pid)
  end
  return #pids
end

local function until_running(sql)
  until_equal(1, function()
    return admin:fetch_val("select count(*) " .. OURS .. " and query = ? and state = 'active'", name(), sql)
  end)
end

describe("a pool on PostgreSQL", function()
  before_each(function()
    admin = mp.open(servers.admin, { pool = { max = 1 } })
  end)

  after_each(function()
    admin:close{ drain = 0 }
    if close then
      close()
    end
    close = nil
  end)

  describe("whose sessions the server ends", function()
    it("tells all who share one, and nobody else", function()
      open{ pool = { max = 1 } }
      db:execute("create table kept (id bigint primary key)")
      db:execute("insert into kept values (1)")
      local Kept = mp.entity("Kept", {}, { database = db, table = "kept" })
      for _ = 1, 50 do
        Kept:get(1)
      end
      local owner = mp.open(url, { pool = { max = 1 } })
      local tx = owner:begin()
      owner:execute("lock table kept in access exclusive mode")
      local tasks = {}
      for i = 1, 5 do
        tasks[i] = mp.spawn(Kept.get, Kept, 1)
      end
      until_equal(1, function()
        return admin:fetch_val("select count(*) " .. OURS .. " and wait_event_type = 'Lock'", name())
      end)
      terminate(" and wait_event_type = 'Lock'")
      tx:rollback() -- for those that had not been sent
      local lost = 0
      for _, task in ipairs(tasks) do
        local ok, err = pcall(task.wait, task)
        assert.truthy(ok or err.kind == "connection_lost", tostring(err))
        lost = lost + (ok and 0 or 1)
      end
      assert.truthy(lost >= 1)
      owner:close()
      assert.equal(1, Kept:get(1).id)
    end)
  end)

  describe("on a server that takes no connections", function()
    local role, limited, marks

    before_each(function()
      open()
      role = "limited_" .. name():sub(-20)
      admin:execute(("create role %s login password 'secret-word' connection limit 0"):format(role))
      admin:execute(("grant all on schema public to %s"):format(role))
      url = url:gsub("//[^@]*@", "//" .. role .. ":secret-word@")
    end)

    after_each(function()
      limited:close{ drain = 0 }
      until_equal(0, function() return admin:fetch_val("select count(*) from pg_stat_activity where usename = ?", role) end)
      admin:execute(("drop owned by %s"):format(role))
      admin:execute(("drop role %s"):format(role))
    end)

    local function limit(n)
      admin:execute(("alter role %s connection limit %d"):format(role, n))
    end

    -- How often it was refused, as the server's log has it.
    local function refused()
      local log <close> = assert(io.open(("build/databases/%s/postgres.log"):format(servers.set)))
      local n = 0
      for line in log:lines() do
        if line:find(role, 1, true) and line:find("too many connections", 1, true) then
          n = n + 1
        end
      end
      return n
    end

    it("says so, and heals by itself", function()
      limited = mp.open(url, { pool = { max = 3 }, retry = { attempts = 1 } })
      local err = raises("server_limit", limited.fetch_val, limited, "select 1")
      assert.equal("53300", err.sqlstate)
      assert.equal("connect", err.retryable)
      assert.equal(0, limited:pool_stats().size)
      limit(-1)
      until_equal(1, function() return mp.try(limited.fetch_val, limited, "select 1") end)
    end)

    it("serves all with the connections that it has", function()
      limit(1)
      limited = mp.open(url, { pool = { max = 5 }, retry = { attempts = 1 } })
      assert.equal(1, limited:fetch_val("select 1"))
      local tasks = {}
      for i = 1, 50 do
        tasks[i] = mp.spawn(limited.fetch_val, limited, "select ?::int + length(pg_sleep(0.002)::text)", i)
      end
      for i, task in ipairs(tasks) do
        assert.equal(i, task:wait())
      end
      assert.equal(1, limited:pool_stats().idle)
      limit(-1)
      until_equal(5, function()
        local asks = {}
        for i = 1, 10 do
          asks[i] = function() return limited:fetch_val("select length(pg_sleep(0.005)::text)") end
        end
        mp.gather(table.unpack(asks))
        return limited:pool_stats().size
      end)
    end)

    it("is asked by one at a time, ever more seldom, however many wait", function()
      if not servers.set then
        pending "the log of MOONPOOL_TEST_POSTGRES is not ours to read"
      end
      limited = mp.open(url, { pool = { max = 10 }, retry = { attempts = 1 } })
      marks = refused()
      local over, failed = false, 0
      local tasks = {}
      for i = 1, 100 do
        tasks[i] = mp.spawn(function()
          while not over do
            raises("server_limit", limited.fetch_val, limited, "select 1")
            failed = failed + 1
          end
        end)
      end
      mp.sleep(2)
      until_equal(true, function() return refused() - marks >= 2 end)
      over = true
      for _, task in ipairs(tasks) do
        task:wait()
      end
      local asked = refused() - marks
      -- each pause is chance up to twice what the one before was, from 50 ms on
      assert.truthy(asked >= 2 and asked <= 30, asked .. " attempts in 2 s")
      assert.truthy(failed >= 100)
    end)
  end)

  describe("that stops a statement", function()
    local function stop_one(sql)
      sql = sql or "select pg_sleep(100)"
      local task = mp.spawn(db.fetch_val, db, sql)
      until_running(sql)
      task:cancel()
      raises("cancelled", task.wait, task)
      until_equal(0, function() return db:pool_stats().busy end)
    end

    it("opens one connection for that, which counts apart", function()
      open{ pool = { max = 2 } }
      databases.fill(db, 2)
      assert.same({ size = 2, idle = 2, busy = 0, waiting = 0, control = 0 }, databases.stats(db))
      assert.equal(2, session_count())
      stop_one()
      assert.same({ size = 2, idle = 2, busy = 0, waiting = 0, control = 1 }, databases.stats(db))
      assert.equal(3, session_count())
      mp.gather(function() stop_one "select pg_sleep(101)" end, function() stop_one "select pg_sleep(102)" end)
      assert.same({ size = 2, idle = 2, busy = 0, waiting = 0, control = 1 }, databases.stats(db))
      assert.equal(3, session_count())
      db:close()
      until_equal(0, session_count)
    end)

    it("opens another one when that is lost", function()
      open{ pool = { max = 1 } }
      stop_one()
      for _ = 1, 3 do
        terminate(" and query like '%pg_cancel_backend%'")
        until_equal(0, function() return db:pool_stats().control end)
        stop_one()
        assert.same({ size = 1, idle = 1, busy = 0, waiting = 0, control = 1 }, databases.stats(db))
      end
    end)

    it("does without where the server takes no more connections", function()
      open()
      local role = "alone_" .. name():sub(-20)
      admin:execute(("create role %s login password 'secret-word' connection limit 1"):format(role))
      local alone = mp.open((url:gsub("//[^@]*@", "//" .. role .. ":secret-word@")), { pool = { max = 1 } })
      local pid = alone:fetch_val("select pg_backend_pid()")
      for _ = 1, 3 do
        raises("timeout", mp.timeout, 0.05, alone.fetch_val, alone, "select pg_sleep(100)")
        assert.equal(pid, alone:fetch_val("select pg_backend_pid()"))
        assert.equal(0, alone:pool_stats().control)
      end
      alone:close()
      until_equal(0, function() return admin:fetch_val("select count(*) from pg_stat_activity where usename = ?", role) end)
      admin:execute("drop role " .. role)
    end)

    it("is closed at once although it was just opened", function()
      open{ pool = { max = 2 } }
      databases.fill(db, 1)
      local busy = mp.spawn(db.fetch_val, db, "select pg_sleep(100)")
      until_running("select pg_sleep(100)")
      busy:cancel()
      db:close{ drain = 0 }
      raises("cancelled", busy.wait, busy)
      until_equal(0, session_count)
    end)
  end)

  describe("that prepares statements", function()
    it("prepares again what another session's change of the schema has made stale", function()
      open{ pool = { max = 1 } }
      db:execute("create table t (x integer)")
      db:execute("insert into t values (1)")
      local T = mp.entity("T", { x = f.integer() }, { database = db, table = "t", primary_key = { "x" } })
      local other = mp.open(url, { pool = { max = 1 } })
      for i = 1, 5 do
        assert.equal(1, db:fetch_all("select * from t")[1].x)
        assert.equal(1, T:all()[1].x)
        other:execute(("alter table t add column y%d integer default %d"):format(i, i))
        assert.equal(i, db:fetch_all("select * from t")[1]["y" .. i])
        other:execute(i % 2 == 1 and "alter table t alter column x type bigint" or "alter table t alter column x type integer")
        assert.equal(1, T:filter{ x = 1 }:all()[1].x)
        assert.equal(1, T:all()[1].x)
      end
      other:close()
    end)

    it("prepares again what was prepared for columns of another type", function()
      open{ pool = { max = 1 } }
      local other = mp.open(url, { pool = { max = 1 } })
      for _, case in ipairs{ { "integer", 7 }, { "text", "seven" }, { "date", mp.date "2026-11-21" }, { "boolean", true } } do
        local kind, value = case[1], case[2]
        other:execute("drop table if exists t")
        other:execute("create table t (x " .. kind .. ")")
        for _ = 1, 2 do
          assert.equal(1, db:execute("insert into t values (?)", value))
        end
        assert.equal(2, db:fetch_val("select count(*) from t where x = ?", value))
        assert.equal(2, db:execute("update t set x = ? where x = ?", value, value))
      end
      other:close()
    end)

    it("says so inside a transaction, which can be run again", function()
      open{ pool = { max = 1 } }
      db:execute("create table t (x integer)")
      db:execute("insert into t values (1)")
      local other = mp.open(url, { pool = { max = 1 } })
      local tries = 0
      local function block()
        tries = tries + 1
        db:fetch_val("select 1")
        if tries == 1 then
          other:execute("alter table t add column y integer default 5")
        end
        return db:fetch_all("select * from t")[1]
      end
      db:fetch_all("select * from t")
      local err = raises("plan_changed", db.atomic, db, block)
      assert.truthy(err.message:find("changed", 1, true) or err.message:find("result type", 1, true), tostring(err))
      assert.equal(5, db:atomic(block).y)
      other:close()
    end)

    it("does not miss statements that another one dropped", function()
      open{ pool = { max = 1 } }
      db:fetch_val("select 1 + 1")
      db:execute("deallocate all")
      assert.equal(2, db:fetch_val("select 1 + 1"))
    end)

    it("keeps no more of them than statement_cache says", function()
      open{ pool = { max = 1 }, statement_cache = 5 }
      for i = 1, 30 do
        assert.equal(i, db:fetch_val("select " .. i))
      end
      local n = db:fetch_val("select count(*) from pg_prepared_statements")
      assert.truthy(n <= 6, n)
    end)
  end)
end)
