-- Sessions that the server ends: those that were idle are replaced and nobody notices, those at work are errors and free
-- their place, and whoever has a connection of his own hears of it once.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local servers = require "spec.support.servers"
local waiting = require "spec.support.waiting"
local raises = databases.raises
local until_equal = waiting.until_equal

local ROUNDS = os.getenv "MOONPOOL_UNDER" and 4 or 10 -- of new connections, which take long under a sanitizer

-- The servers' own words, with the database's name for `?`. many: rows from 1 on, as x.
local kinds = {
  postgres = {
    admin = servers.admin, ours = "from pg_stat_activity where datname = ? and backend_type = 'client backend'",
    id = "pid", running = " and query like 'select pg_sleep%' and state = 'active'", sleep = "select pg_sleep(100)",
    number = "?::int", many = "select x, repeat('x', 1000) as text from generate_series(1, 100000) x",
    ended = "57P01",
  },
  mariadb = {
    admin = servers.mariadb_admin, ours = "from information_schema.processlist where db = ?",
    id = "id", running = " and command in ('Execute', 'Query') and info like 'select sleep%'", sleep = "select sleep(100)",
    number = "?", many = "select seq as x, repeat('x', 1000) as text from seq_1_to_100000",
  },
}

databases.each("a pool whose sessions the server ends", function(open_database, database)
  local kind = not database.pooler and kinds[database.dialect]
  if not kind then
    return
  end
  local db, name, admin

  local function open(options)
    local url
    db, url = open_database(options)
    name = url:match "/([%w_]+)$"
  end

  before_each(function()
    admin = mp.open(kind.admin, { pool = { max = 1 } })
  end)

  after_each(function()
    admin:close{ drain = 0 }
  end)

  local function sessions(more)
    return admin:fetch_all("select " .. kind.id .. " as id " .. kind.ours .. (more or ""), name)
  end

  -- One statement for all on PostgreSQL: its answer comes when they are on their way out.
  local function send_end(list)
    if database.dialect == "postgres" then
      admin:fetch_val("select count(pg_terminate_backend(pid)) " .. kind.ours, name)
    else
      for _, session in ipairs(list) do
        admin:execute(("kill %d"):format(session.id))
      end
    end
  end

  -- End sessions of the pool; ended when the server has none of them any more.
  local function terminate()
    local list = sessions()
    send_end(list)
    until_equal(0, function()
      local left = 0
      local now = {}
      for _, session in ipairs(sessions()) do
        now[session.id] = true
      end
      for _, session in ipairs(list) do
        left = left + (now[session.id] and 1 or 0)
      end
      return left
    end)
    return #list
  end

  local function until_running()
    until_equal(1, function() return #sessions(kind.running) end)
  end

  it("replaces those that were idle, and nobody notices", function()
    open{ pool = { min = 0, max = 3 }, retry = { attempts = 1 } }
    for round = 1, ROUNDS do
      databases.fill(db, 3)
      assert.equal(3, terminate())
      until_equal(0, function() return db:pool_stats().size end)
      local asks = {}
      for i = 1, 5 do
        asks[i] = function() return db:fetch_val("select " .. kind.number, i * round) end
      end
      assert.same({ round, 2 * round, 3 * round, 4 * round, 5 * round }, { mp.gather(table.unpack(asks)) })
    end
  end)

  it("uses none of them again although the next statement comes at the same moment", function()
    open{ pool = { max = 3 } }
    for _ = 1, 2 * ROUNDS do
      databases.fill(db, 3)
      send_end(sessions())
      for try = 1, 10 do
        local ok, err = pcall(db.fetch_val, db, "select 1")
        -- what was sent before the end was known may have run: only then it is told
        assert.truthy(ok or err.kind == "connection_lost" and err.sent and try <= 3, tostring(err))
      end
    end
  end)

  it("gives connection_lost to the one at work and its place to the next", function()
    open{ pool = { max = 1 } }
    for _ = 1, 5 do
      local busy = mp.spawn(db.fetch_val, db, kind.sleep)
      until_running()
      local next_one = mp.spawn(db.fetch_val, db, "select 7")
      assert.equal(1, terminate())
      local err = raises("connection_lost", busy.wait, busy)
      assert.equal(kind.ended or err.sqlstate, err.sqlstate)
      assert.is_true(err.sent)
      assert.equal(7, next_one:wait())
      assert.same({ size = 1, idle = 1, busy = 0, waiting = 0, control = 0 }, databases.stats(db))
    end
  end)

  it("ends a transaction in the middle, and nothing of it is there", function()
    open{ pool = { max = 1 } }
    db:execute "create table t (x integer)"
    local ran = 0
    local ok, err = pcall(db.atomic, db, function()
      db:execute "insert into t values (1)"
      terminate()
      ran = ran + 1
      db:execute "insert into t values (2)"
      ran = ran + 1
    end)
    assert.is_false(ok)
    assert.truthy(tostring(err):find("connection_lost", 1, true), tostring(err)) -- or that the transaction is over by it
    assert.equal(1, ran)
    raises("connection_lost", db.atomic, db, function()
      local killer = mp.spawn(function()
        until_running()
        terminate()
      end)
      db:execute "insert into t values (1)"
      local _, lost = pcall(db.fetch_val, db, kind.sleep)
      killer:wait()
      error(lost, 0)
    end)
    assert.equal(0, db:fetch_val "select count(*) from t")
    assert.equal(0, db:pool_stats().busy)
  end)

  it("ends a block that swallowed it, too", function()
    open{ pool = { max = 1 } }
    db:execute "create table t (x integer)"
    raises("connection_lost", db.atomic, db, function()
      db:execute "insert into t values (1)"
      terminate()
      mp.try(db.execute, db, "insert into t values (2)")
      mp.try(db.execute, db, "insert into t values (3)")
    end)
    assert.equal(0, db:fetch_val "select count(*) from t")
  end)

  for _, at in ipairs{ 3, 1000 } do
    it("ends a stream with connection_lost, at its row " .. at, function()
      open{ pool = { max = 1 } }
      local n = 0
      raises("connection_lost", function()
        for row in db:stream(kind.many) do
          n = n + 1
          assert.equal(n, row.x)
          if n == at then
            terminate()
          end
        end
      end)
      assert.truthy(n >= at and n < 100000)
      assert.equal(1, db:fetch_val "select 1")
    end)
  end

  it("ends a stream in a transaction, where it stands and where it goes on", function()
    open{ pool = { max = 1 } }
    for _, at in ipairs{ 3, 1000 } do
      local n = 0
      local ok, err = pcall(db.atomic, db, function()
        for _ in db:stream(kind.many) do
          n = n + 1
          if n == at then
            terminate()
          end
        end
      end)
      assert.is_false(ok)
      assert.truthy(tostring(err):find("connection_lost", 1, true), tostring(err))
      assert.equal(1000, n) -- what was there already
      assert.equal(1, db:fetch_val "select 1")
    end
  end)

  it("tells a pinned connection, and the next one is another", function()
    open{ pool = { max = 1 } }
    local conn = db:connect()
    conn:fetch_val "select 1"
    terminate()
    until_equal(0, function() return db:pool_stats().busy end)
    local err = raises("connection_lost", conn.fetch_val, conn, "select 1")
    assert.is_false(err.sent)
    err = raises("stale_handle", conn.fetch_val, conn, "select 1")
    assert.truthy(err.message:find("lost", 1, true), err.message)
    conn:close()
    assert.equal(1, db:fetch_val "select 1")
  end)

  it("tells a pinned connection whatever it is asked next, once", function()
    open{ pool = { max = 1 } }
    local calls = {
      begin = function(conn) conn:begin() end,
      stream = function(conn)
        for _ in conn:stream "select 1" do
          error "a row"
        end
      end,
      statement = function(_, statement) statement:fetch_val(1) end,
      many = function(conn) conn:execute_many("select " .. kind.number, { { 1 }, { 2 } }) end,
      commit = function(conn) conn:commit() end,
    }
    for what, call in pairs(calls) do
      local conn = db:connect()
      local statement = conn:prepare("select " .. kind.number)
      if what == "commit" then
        conn:begin()
        conn:fetch_val "select 1"
      end
      terminate()
      until_equal(0, function() return db:pool_stats().busy end)
      local err = raises("connection_lost", call, conn, statement)
      assert.is_false(err.sent, what)
      raises("stale_handle", call, conn, statement)
      conn:close()
    end
    assert.equal(1, db:fetch_val "select 1")
  end)
end)
