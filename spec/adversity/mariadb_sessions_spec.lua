-- What a pool on MariaDB says of its connections is so, beside ended_sessions_spec: what the server finds idle for too long
-- is replaced, a statement that nobody wants any more runs on nowhere, and a statement that is too large for the server is
-- refused before it costs the connection.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local servers = require "spec.support.servers"
local waiting = require "spec.support.waiting"
local raises = databases.raises
local until_equal = waiting.until_equal

if not databases.mariadb then
  return
end

local db, close, url, admin

local function open(options)
  db, close, url = databases.mariadb.open(options)
end

local OURS = "from information_schema.processlist where db = ?"

local function name()
  return url:match "/([%w_]+)$"
end

local function session_count(more)
  return admin:fetch_val("select count(*) " .. OURS .. (more or ""), name())
end

-- A variable of the server's, for those who connect from now on.
local function with_global(variable, value, fn)
  local before = admin:fetch_val("select @@global." .. variable)
  admin:execute(("set global %s = %d"):format(variable, value))
  local ok, err = pcall(fn)
  admin:execute(("set global %s = %d"):format(variable, before))
  return ok or error(err, 0)
end

describe("a pool on MariaDB", function()
  before_each(function()
    admin = mp.open(servers.mariadb_admin, { pool = { max = 1 } })
  end)

  after_each(function()
    if close then
      close()
    end
    close = nil
    admin:close{ drain = 0 }
  end)

  describe("whose sessions the server ends", function()
    it("replaces those that were idle for longer than the server likes", function()
      with_global("wait_timeout", 1, function()
        open{ pool = { min = 0, max = 2 }, retry = { attempts = 1 } }
        local first, second = db:connect(), db:connect()
        first:close()
        second:close()
        until_equal(0, function() return db:pool_stats().size end)
        assert.equal(1, db:fetch_val("select 1"))
      end)
    end)

    it("gives up prepared statements when the server has too many of them", function()
      -- of all sessions, those too that end at this moment and those that ask here
      local function prepared_count()
        return tonumber((admin:fetch_val("select variable_value from information_schema.global_status "
          .. "where variable_name = 'Prepared_stmt_count'")))
      end
      open{ pool = { max = 1 } }
      prepared_count()
      local limit = prepared_count() + 5
      with_global("max_prepared_stmt_count", limit, function()
        for i = 1, 20 do
          assert.equal(i + 1, db:fetch_val("select " .. i .. " + ?", 1))
        end
      end)
      local used = prepared_count()
      assert.is_true(used <= limit, ("%d of %d"):format(used, limit))
    end)

    it("sends as text what has no parameters when the server prepares nothing at all, and says so of the rest", function()
      open{ pool = { max = 1 } }
      with_global("max_prepared_stmt_count", 0, function()
        local row = db:fetch_one("select 18446744073709551615 as u, 1.50 as d, cast('2026-02-28' as date) as day, null as nothing, 'ä' as t")
        assert.same({ "18446744073709551615", "1.50", "2026-02-28", "ä" }, { tostring(row.u), tostring(row.d), tostring(row.day), row.t })
        assert.is_nil(row.nothing)
        local nothing, err = mp.try(db.fetch_val, db, "select ?", 1)
        assert.is_nil(nothing)
        assert.equal("server_limit", err.kind)
        assert.matches("max_prepared_stmt_count on the server%)$", tostring(err))
      end)
      assert.equal(1, db:fetch_val("select ?", 1))
    end)

    it("says so when only the statement was ended by somebody else, and goes on", function()
      open{ pool = { max = 1 } }
      local id = db:fetch_val("select connection_id()")
      local busy = mp.spawn(db.fetch_val, db, "select count(*) from seq_1_to_100000 a, seq_1_to_100000 b")
      until_equal(1, function() return session_count(" and info like 'select count%'") end)
      admin:execute(("kill query %d"):format(id))
      local ok, err = pcall(busy.wait, busy)
      assert.is_false(ok)
      assert.equal(1317, err.code)
      assert.truthy(mp.is(err, "operation"), tostring(err))
      assert.equal(id, db:fetch_val("select connection_id()"))
    end)
  end)

  it("keeps its sockets from the program's children: what the server ends would live on in them", function()
    local function inherited()
      local pipe <close> = assert(io.popen "for fd in /proc/self/fd/*; do readlink $fd; done | grep -c ^socket")
      return pipe:read "n"
    end
    local before = inherited()
    open{ pool = { max = 3 } }
    databases.fill(db, 3)
    assert.equal(before, inherited())
  end)

  describe("with a statement that nobody wants any more", function()
    local LONG = "select count(*) from seq_1_to_100000 a, seq_1_to_100000 b"
    local AT_WORK = " and info like 'select count(*) from seq%'"

    local function start(fn, ...)
      local task = mp.spawn(fn, ...)
      until_equal(1, function() return session_count(AT_WORK) end)
      return task
    end

    local function nowhere()
      until_equal(0, function() return session_count(AT_WORK) end)
    end

    it("stops it on the server when its task is cancelled, and keeps the connection", function()
      open{ pool = { max = 1 } }
      local id = db:fetch_val("select connection_id()")
      local task = start(db.fetch_val, db, LONG)
      task:cancel()
      raises("cancelled", task.wait, task)
      nowhere()
      assert.equal(id, db:fetch_val("select connection_id()"))
    end)

    it("stops it on the server at a deadline, in a block too", function()
      open{ pool = { max = 1 } }
      db:execute("create table t (x integer)")
      raises("timeout", mp.timeout, 0.05, db.fetch_val, db, LONG)
      nowhere()
      db:atomic(function()
        db:execute("insert into t values (1)")
        raises("timeout", mp.timeout, 0.05, db.atomic, db, function()
          db:execute("insert into t values (2)")
          return db:fetch_val(LONG)
        end)
        nowhere()
        db:execute("insert into t values (3)")
      end)
      assert.same({ { 1 }, { 3 } }, (db:fetch_arrays("select x from t order by x")))
    end)

    it("stops it on the server when the database is closed", function()
      open{ pool = { max = 2 } }
      local task = start(db.fetch_val, db, LONG)
      db:close{ drain = 0 }
      raises("cancelled", task.wait, task)
      nowhere()
      until_equal(0, session_count)
    end)

    it("stops it on the server when a stream is left", function()
      open{ pool = { max = 1 } }
      local rows = db:stream("select seq from seq_1_to_100000000 -- stream")
      assert.equal(1, rows().seq)
      rows:close()
      until_equal(0, function() return session_count(" and info like '%-- stream%'") end)
      assert.equal(1, db:fetch_val("select 1"))
    end)
  end)

  describe("with a statement larger than the server's packets", function()
    local LIMIT = 1024 * 1024

    local function large(bytes)
      return ("x"):rep(bytes)
    end

    before_each(function()
      with_global("max_allowed_packet", LIMIT, function()
        open{ pool = { max = 1 } }
        db:execute("create table t (x longtext)")
      end)
    end)

    it("refuses it before it is sent, and loses nothing", function()
      local id = db:fetch_val("select connection_id()")
      for _, ask in ipairs{
        function() return db:execute("insert into t values (?)", large(LIMIT)) end,
        function() return db:execute("insert into t values (?)", mp.blob(large(LIMIT))) end,
        function() return db:execute("insert into t values ('" .. large(LIMIT) .. "')") end,
        function() return db:execute("insert into t values (concat(?, ?))", large(LIMIT // 2), large(LIMIT // 2)) end,
        function()
          local rows <close> = db:stream("select length(?) as n", large(LIMIT))
          return rows()
        end,
      } do
        local err = raises("query_too_large", ask)
        assert.is_false(err.sent)
        assert.truthy(err.message:find(("%d"):format(LIMIT), 1, true), err.message)
        assert.truthy(#err.message < 1000, "the statement is in the message")
        assert.equal(id, db:fetch_val("select connection_id()"))
      end
      raises("query_too_large", db.execute_many, db, "insert into t values (?)", { { "small" }, { large(LIMIT) } })
      assert.equal(id, db:fetch_val("select connection_id()"))
      assert.equal(0, db:fetch_val("select count(*) from t"))
    end)

    it("takes what just fits", function()
      local id = db:fetch_val("select connection_id()")
      local n = LIMIT - 1024
      assert.equal(1, db:execute("insert into t values (?)", large(n)))
      assert.equal(n, #db:fetch_val("select x from t"))
      assert.equal(id, db:fetch_val("select connection_id()"))
    end)

    it("sends many rows in as many packets as they need", function()
      local rows = {}
      for i = 1, 40 do
        rows[i] = { large(LIMIT // 16) }
      end
      assert.equal(40, db:execute_many("insert into t values (?)", rows))
      assert.equal(40 * (LIMIT // 16), db:fetch_val("select cast(sum(length(x)) as signed) from t"))
    end)
  end)
end)
