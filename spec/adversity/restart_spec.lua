-- A server that is restarted, killed or away for a while, with a thousand tasks at work on three connections:
-- every task ends with a result or an error that has a kind, what was acknowledged is there, the pool is whole again soon
-- after the server is back, and nothing of it is left on the server after close.
-- MOONPOOL_LONG=pg_restart does it twenty times to PostgreSQL, maria_restart to MariaDB.

local mp = require "moonpool"
local core = require "moonpool.core"
local databases = require "spec.support.databases"
local servers = require "spec.support.servers"
local waiting = require "spec.support.waiting"
local f = mp.field

-- What the servers have in other words. A number that is added to is told its type where the server asks for it.
local kinds = {
  postgres = {
    long = "pg_restart", number = "?::bigint", numbers = "select i, i * 1000003 from generate_series(1, 50) i",
    sessions = "select count(*) from pg_stat_activity where datname = ? and backend_type = 'client backend'",
    admin = servers.admin, whole_s = 2, -- at full size; a dial of MariaDB is one call on a worker, as fast as that gets its turn
  },
  mariadb = {
    long = "maria_restart", number = "?", numbers = "select seq, seq * 1000003 from seq_1_to_50",
    sessions = "select count(*) from information_schema.processlist where db = ?", admin = servers.mariadb_admin,
  },
}

local under = os.getenv "MOONPOOL_UNDER"
local CONNECTIONS = 3

for _, kind in pairs(kinds) do
  kind.is_long = os.getenv "MOONPOOL_LONG" == kind.long
  kind.tasks = (kind.is_long or not under) and 1000 or 100
end

-- The server is asked for by one connection at a time, again within a second (spec/core/pool_connecting_test.c); then all
-- that are wanted are opened. At full size that is measured; beside other work it only must not be for ever, and who asks is
-- counted: while nobody answers the pauses grow, to half a second on average.
local WHOLE_S = 30
local DIALS, DIALS_PER_S = 100, 8 -- at most: for the sessions that were ended, and while nobody answers

-- What may become of a statement; anything else is a bug.
local expected = {
  connection_lost = true, connect_failed = true, commit_unknown = true, pool_timeout = true, server_limit = true,
}

local function is_expected(err)
  return type(err) == "table" and (expected[err.kind]
    or err.kind == "in_failed_transaction" and err.message:find("connection_lost", 1, true) ~= nil) -- between two statements
end

local function name_of(url)
  return url:match "/([%w_]+)$"
end

local function ask(kind, fn)
  local admin <close> = mp.open(kind.admin, { pool = { max = 1 } })
  return fn(admin)
end

-- Whatever they do, and their connections with them.
function kinds.postgres.end_sessions()
  ask(kinds.postgres, function(admin)
    admin:fetch_val("select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'moonpool'"
      .. " and datname like 'moonpool_spec_%'")
  end)
end

function kinds.mariadb.end_sessions()
  ask(kinds.mariadb, function(admin)
    for _, session in ipairs(admin:fetch_all "select id from information_schema.processlist where db like 'moonpool_spec_%'") do
      mp.try(admin.execute, admin, ("kill %d"):format(session.id)) -- it may have gone by itself
    end
  end)
end

local ways = {}

function ways.read(world, token)
  local id = token % 50 + 1
  assert(world.Item:filter{ id = id }:annotate{ echo = mp.F.nonce + token }:one().echo == id * 1000003 + token)
end

function ways.raw(world, token)
  assert(world.db:fetch_val("select " .. world.kind.number, token) == token)
end

function ways.write(world, token)
  world.db:execute("insert into work (token, part) values (?, 1), (?, 2)", token, token)
  world.done[token] = true
end

function ways.block(world, token)
  world.db:atomic(function()
    world.db:execute("insert into work (token, part) values (?, 1)", token)
    world.db:execute("insert into work (token, part) values (?, 2)", token)
  end)
  world.done[token] = true
end

function ways.stream(world, token)
  local n = 0
  for row in world.db:stream("select nonce + " .. world.kind.number .. " as x from item order by id", token) do
    n = n + 1
    assert(row.x == n * 1000003 + token)
  end
  assert(n == 50)
end

local CHOICE = { "read", "read", "read", "read", "raw", "write", "block", "stream" }

local function one_task(world)
  repeat
    world.token = world.token + 1
    local ok, err = pcall(ways[CHOICE[math.random(#CHOICE)]], world, world.token)
    local kind = ok and "ok" or type(err) == "table" and err.kind or tostring(err)
    world.kinds[kind] = (world.kinds[kind] or 0) + 1
    if not ok and not is_expected(err) then
      table.insert(world.unexpected, tostring(err))
    end
  until world.over
end

-- Until as many connections as there may be are held at once.
local function seconds_until_whole(db)
  local began, holding, took = core.now(), 0, nil
  local function hold_one()
    local conn
    repeat
      conn = mp.try(db.connect, db)
    until conn
    holding = holding + 1
    while holding < CONNECTIONS do
      mp.sleep(0.001)
    end
    took = took or core.now() - began
    conn:close()
  end
  mp.gather(hold_one, hold_one, hold_one)
  return took
end

local function settled(db)
  databases.quiet(db)
  local stats = db:pool_stats()
  return { size = stats.size, idle = stats.idle, busy = stats.busy, waiting = stats.waiting }
end

-- A thousand tasks at work, something done to the server meanwhile. acknowledged: what was answered is there afterwards.
local function ordeal(kind, database, acknowledged, torment)
  local seed = tonumber(os.getenv "MOONPOOL_SEED") or os.time()
  print("# MOONPOOL_SEED=" .. seed)
  math.randomseed(seed)
  local dials, secret = 0, nil
  local db, close, url = database.open{
    pool = { max = CONNECTIONS, timeout = 30 },
    password = function()
      dials = dials + 1
      return secret
    end,
  }
  finally(close)
  secret = url:match "^%w+://[^:/@]*:([^@]*)@"
  db:execute("create table item (id bigint primary key, nonce bigint not null)")
  db:execute("insert into item " .. kind.numbers)
  db:execute("create table work (token bigint, part integer)")
  if db.dialect == "postgres" then -- one that crashes has lost what it had not written by then: the tables are to be there
    db:atomic(function()
      db:execute "set local synchronous_commit = on"
      db:execute "insert into work values (-1, 0)"
      db:execute "delete from work"
    end)
  end
  local world = { kind = kind, db = db, token = 0, done = {}, kinds = {}, unexpected = {} }
  world.Item = mp.entity("Item", { nonce = f.bigint() }, { database = db, table = "item" })

  local tasks = {}
  for i = 1, kind.tasks do
    tasks[i] = mp.spawn(one_task, world)
  end
  repeat
    mp.sleep(0.001)
  until (world.kinds.ok or 0) >= kind.tasks / 2
  local before, began = dials, core.now()
  torment()
  local most = DIALS + DIALS_PER_S * (core.now() - began)
  world.over = true
  local took = seconds_until_whole(db)
  print(("# %d dials"):format(dials - before))
  for _, task in ipairs(tasks) do
    task:wait()
  end
  assert.same({}, world.unexpected)
  print(("# whole again after %.2f s"):format(took))
  assert.truthy(took < (kind.is_long and kind.whole_s or WHOLE_S), "the pool was whole " .. took .. " s after the server's return")
  -- Whether a task hears of it is chance: a connection that was between two statements is replaced without a word.
  assert.truthy(dials - before >= CONNECTIONS, "not every connection was lost")
  assert.truthy(dials - before <= most, dials - before .. " dials, and not at most " .. most)
  assert.same({ size = CONNECTIONS, idle = CONNECTIONS, busy = 0, waiting = 0 }, settled(db))

  local parts = {}
  for _, row in ipairs(db:fetch_all("select token, count(*) as n from work group by token")) do
    parts[row.token] = row.n
    assert.equal(2, row.n, "of token " .. row.token)
  end
  if acknowledged then
    for token in pairs(world.done) do
      assert.equal(2, parts[token], "of token " .. token)
    end
  end
  db:close()
  waiting.until_equal(0, function() -- a session ends when the server sees the end of its socket
    return ask(kind, function(admin) return admin:fetch_val(kind.sessions, name_of(url)) end)
  end)
end

databases.each("a thousand tasks on three connections", function(_, database)
  local name = database.dialect
  local kind = not database.pooler and kinds[name]
  if not kind then
    return
  end

  local function claim(what, acknowledged, torment)
    it(what, function()
      if not servers.verified[name] then
        pending("MOONPOOL_TEST_" .. name:upper() .. " names a server that is not ours: it is not restarted")
      end
      for _ = 1, kind.is_long and 20 or 1 do
        ordeal(kind, database, acknowledged, torment)
      end
    end)
  end

  after_each(function()
    if servers.verified[name] then
      servers.mend()
    end
  end)

  claim("outlive a restart of the server", true, function()
    servers.restart(name)
  end)

  claim("outlive a crash of the server", false, function()
    servers.kill(name)
    servers.start(name)
  end)

  claim("outlive a server that is away for a while", true, function()
    servers.stop(name)
    mp.sleep(under and 1 or 5)
    servers.start(name)
  end)

  claim("outlive the end of every session, again and again", true, function()
    for _ = 1, 20 do
      kind.end_sessions()
      mp.sleep(0.02)
    end
  end)
end)
