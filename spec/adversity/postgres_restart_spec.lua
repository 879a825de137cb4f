-- A PostgreSQL server that is restarted, killed or away for a while, with a thousand tasks at work on three connections:
-- every task ends with a result or an error that has a kind, what was acknowledged is there, the pool is whole again soon
-- after the server is back, and nothing of it is left on the server after close.
-- MOONPOOL_LONG=pg_restart does it twenty times.

local mp = require "moonpool"
local core = require "moonpool.core"
local databases = require "spec.support.databases"
local servers = require "spec.support.servers"
local f = mp.field

if not databases.postgres then
  return
end

local long, under = os.getenv "MOONPOOL_LONG" == "pg_restart", os.getenv "MOONPOOL_UNDER"
local TASKS = (long or not under) and 1000 or 100
local ROUNDS = long and 20 or 1
local CONNECTIONS = 3

-- The server is asked for by one connection at a time, again within a second (spec/core/pool_connecting_test.c); then all
-- that are wanted are opened. At full size that is measured; beside other work it only must not be for ever, and who asks is
-- counted: while nobody answers the pauses grow, to half a second on average.
local WHOLE_S = long and 2 or 30
local DIALS, DIALS_PER_S = 100, 8 -- at most: for the sessions that were ended, and while nobody answers

-- What may become of a statement; anything else is a bug.
local expected = {
  connection_lost = true, connect_failed = true, commit_unknown = true, pool_timeout = true, server_limit = true,
  in_failed_transaction = true, -- between two statements of a block
}

local SESSIONS = "select count(*) from pg_stat_activity where datname = ? and backend_type = 'client backend'"

local function name_of(url)
  return url:match "/([%w_]+)$"
end

local function server_says(sql, ...)
  local admin <close> = mp.open(servers.admin, { pool = { max = 1 } })
  return admin:fetch_val(sql, ...)
end

local ways = {}

function ways.read(world, token)
  local id = token % 50 + 1
  assert(world.Item:filter{ id = id }:annotate{ echo = mp.F.nonce + token }:one().echo == id * 1000003 + token)
end

function ways.raw(world, token)
  assert(world.db:fetch_val("select ?::bigint", token) == token)
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
  for row in world.db:stream("select nonce + ?::bigint as x from item order by id", token) do
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
    if not ok and not expected[kind] then
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
  local stats
  for _ = 1, 2000 do
    stats = db:pool_stats()
    if stats.busy == 0 then
      break
    end
    mp.sleep(0.001)
  end
  return { size = stats.size, idle = stats.idle, busy = stats.busy, waiting = stats.waiting }
end

-- A thousand tasks at work, something done to the server meanwhile. acknowledged: what was answered is there afterwards.
local function ordeal(acknowledged, torment)
  local seed = tonumber(os.getenv "MOONPOOL_SEED") or os.time()
  print("# MOONPOOL_SEED=" .. seed)
  math.randomseed(seed)
  local dials, secret = 0, nil
  local db, close, url = databases.postgres.open{
    pool = { max = CONNECTIONS, timeout = 30 },
    password = function()
      dials = dials + 1
      return secret
    end,
  }
  finally(close)
  secret = url:match "^%w+://[^:/@]*:([^@]*)@"
  db:execute("create table item (id bigint primary key, nonce bigint not null)")
  db:execute("insert into item select i, i * 1000003 from generate_series(1, 50) i")
  db:execute("create table work (token bigint, part integer)")
  local world = { db = db, token = 0, done = {}, kinds = {}, unexpected = {} }
  world.Item = mp.entity("Item", { nonce = f.bigint() }, { database = db, table = "item" })

  local tasks = {}
  for i = 1, TASKS do
    tasks[i] = mp.spawn(one_task, world)
  end
  repeat
    mp.sleep(0.001)
  until (world.kinds.ok or 0) >= TASKS / 2
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
  assert.truthy(took < WHOLE_S, "the pool was whole " .. took .. " s after the server's return")
  assert.truthy(world.kinds.connection_lost, "nobody noticed anything")
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
  local left
  for _ = 1, 2000 do -- a session ends when the server sees the end of its socket
    left = server_says(SESSIONS, name_of(url))
    if left == 0 then
      break
    end
    mp.sleep(0.001)
  end
  assert.equal(0, left)
end

describe("a thousand tasks on three connections", function()
  local function claim(what, acknowledged, torment)
    it(what, function()
      if not servers.set then
        pending "MOONPOOL_TEST_POSTGRES names a server that is not ours: it is not restarted"
      end
      for _ = 1, ROUNDS do
        ordeal(acknowledged, torment)
      end
    end)
  end

  after_each(function()
    if servers.set then
      servers.mend()
    end
  end)

  claim("outlive a restart of the server", true, function()
    servers.restart "postgres"
  end)

  claim("outlive a crash of the server", false, function()
    servers.kill "postgres"
    servers.start "postgres"
  end)

  claim("outlive a server that is away for a while", true, function()
    servers.stop "postgres"
    mp.sleep(under and 1 or 5)
    servers.start "postgres"
  end)

  claim("outlive the end of every session, again and again", true, function()
    for _ = 1, 20 do
      server_says("select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'moonpool'"
        .. " and datname like 'moonpool_spec_%'")
      mp.sleep(0.02)
    end
  end)
end)
