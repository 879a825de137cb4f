-- Statements that are stopped at chance moments, on connections that others use at once: whoever was not stopped must
-- hear nothing of it, and everybody must get his own answer. What is asked differs by dialect, the rest does not.
-- MOONPOOL_SEED makes the same choices again.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local f = mp.field

local storm = { CONNECTIONS = 8 }

local TASKS = 64
local ROWS = 40
local OWN_US, POOL_US = 8000, 40000 -- after which one is stopped, at the latest; in the pool most of it is waiting
local STRIDE = 1000003 -- between the nonces of two rows

-- A row's nonce, and views that take their time over it: up to 2 ms, up to 8 ms, half a minute. raw, longer, endless and
-- stream ask for row `?` and have `?` added to what they find, block adds two numbers and takes half a millisecond.
local sql = {
  postgres = {
    schema = {
      "create table kept (id bigint primary key, nonce bigint not null, pause float8 not null)",
      ([[insert into kept select i, i * %d, (i %% 5) / 2000.0 from generate_series(1, %d) i]]):format(STRIDE, ROWS),
      "create view slowly as select id, nonce + length(pg_sleep(pause)::text) as nonce from kept",
      "create view slower as select id, nonce + length(pg_sleep(pause * 4)::text) as nonce from kept",
      "create view slowest as select id, nonce + length(pg_sleep(30)::text) as nonce from kept",
    },
    raw = "select nonce + ?::bigint from slowly where id = ?",
    longer = "select nonce + ?::bigint from slower where id = ?",
    endless = "select nonce + ?::bigint from slowest where id = ?",
    block = "select ?::bigint + ?::bigint + length(pg_sleep(0.0005)::text)",
    stream = "select nonce + ?::bigint as x from slowly where id in (?, ?)",
  },
  mariadb = {
    schema = {
      "create table kept (id bigint primary key, nonce bigint not null, pause double not null)",
      ([[insert into kept select seq, seq * %d, (seq %% 5) / 2000.0 from seq_1_to_%d]]):format(STRIDE, ROWS),
      "create view slowly as select id, nonce + sleep(pause) as nonce from kept",
      "create view slower as select id, nonce + sleep(pause * 4) as nonce from kept",
      "create view slowest as select id, nonce + sleep(30) as nonce from kept",
    },
    raw = "select nonce + ? from slowly where id = ?",
    longer = "select nonce + ? from slower where id = ?",
    endless = "select nonce + ? from slowest where id = ?",
    block = "select ? + ? + sleep(0.0005)",
    stream = "select nonce + ? as x from slowly where id in (?, ?)",
  },
}

local ways = {}

function ways.orm(world, id, n)
  return world.Slowly:filter{ id = id }:annotate{ echo = mp.F.nonce + n }:one().echo
end

function ways.raw(world, id, n)
  return world.db:fetch_val(world.sql.raw, n, id)
end

function ways.longer(world, id, n)
  return world.db:fetch_val(world.sql.longer, n, id)
end

function ways.endless(world, id, n)
  return world.db:fetch_val(world.sql.endless, n, id)
end

function ways.block(world, id, n)
  return world.db:atomic(function()
    local nonce = ways.raw(world, id, 0)
    return world.db:fetch_val(world.sql.block, nonce, n)
  end)
end

function ways.stream(world, id, n)
  local sum = 0
  for row in world.db:stream(world.sql.stream, n, id, id) do
    sum = sum + row.x
  end
  return sum
end

-- On PostgreSQL the ORM's statements share connections, so many are that.
local CHOICE = { "orm", "orm", "orm", "raw", "block", "stream" }

-- Ask, and stop it after so many microseconds; nil: leave it alone, it must not notice the others.
local function ask(world, way, stop_us, on)
  local id, n = math.random(ROWS), world.asked * 7
  world.asked = world.asked + 1
  local ok, answer
  if stop_us then
    world.stopped = world.stopped + 1
    ok, answer = pcall(mp.timeout, stop_us / 1e6, ways[way], on, id, n)
    if not ok and answer.kind == "timeout" then
      return
    end
  else
    ok, answer = pcall(ways[way], on, id, n)
  end
  if not ok then
    table.insert(world.foreign, way .. ": " .. tostring(answer))
  elseif answer ~= id * STRIDE + n then
    table.insert(world.wrong, ("%s: %s for %d"):format(way, tostring(answer), id * STRIDE + n))
  end
end

-- On a connection of its own, where nothing waits before the server: the one behind a stopped one is in danger. Every
-- other one that is stopped there would go on for half a minute: however late the cancel comes, it comes in time.
local function on_its_own(world)
  local conn <close> = world.db:connect()
  local on = { db = conn, sql = world.sql }
  for i = 1, 8 do
    ask(world, i % 2 == 0 and "endless" or "longer", math.random(0, OWN_US), on)
    ask(world, "raw", nil, on)
  end
end

local function one_of_many(world)
  if math.random(20) == 1 then
    on_its_own(world)
  else
    ask(world, CHOICE[math.random(#CHOICE)], math.random(3) > 1 and math.random(0, POOL_US) or nil, world)
  end
end

--- Stop so many statements on an empty database of that entry of spec.support.databases. Gives the world (db; foreign:
--- the errors of those that nobody stopped; wrong: the answers that were another's), how to end it, and its url.
function storm.run(database, cancels, round)
  local seed = (tonumber(os.getenv "MOONPOOL_SEED") or os.time()) + round
  print("# MOONPOOL_SEED=" .. seed - round)
  math.randomseed(seed)
  local db, close, url = database.open{ pool = { max = storm.CONNECTIONS, timeout = 300 } }
  local world = { db = db, asked = 0, stopped = 0, foreign = {}, wrong = {}, sql = sql[database.dialect] }
  for _, statement in ipairs(world.sql.schema) do
    db:execute(statement)
  end
  world.Slowly = mp.entity("Slowly", { nonce = f.bigint() }, { database = db, table = "slowly" })
  local tasks = {}
  for i = 1, TASKS do
    tasks[i] = mp.spawn(function()
      while world.stopped < cancels do
        one_of_many(world)
      end
    end)
  end
  for _, task in ipairs(tasks) do
    task:wait()
  end
  return world, close, url
end

--- The pool's stats when nothing runs in it any more: what the last ones left behind is cleaned in the background.
function storm.settled(db)
  databases.quiet(db)
  return db:pool_stats()
end

return storm
