-- Each scenario of spec/support/scenarios.lua, killed at each place where it waits: its task cancelled there, the task around
-- it, the deadline of a block inside a transaction passed there, or left (and collected) or closed there by a consumer that
-- lost interest. Whatever it was doing, every connection comes back, works, and has neither a transaction nor a savepoint open,
-- also for the server.
-- MOONPOOL_LONG=points kills at all places; otherwise a seeded part. MOONPOOL_SEED=n chooses it.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local scenarios = require "spec.support.scenarios"
local savepoints = require "spec.support.savepoints"
local servers = require "spec.support.servers"
local core = require "moonpool.core"
local holding = require "moonpool.database.holding"
local scheduler = require "moonpool.runtime.scheduler"
local scope = require "moonpool.runtime.scope"
local transaction = require "moonpool.database.transaction"
local task_module = require "moonpool.runtime.task"

scenarios.load()
local long, under = os.getenv "MOONPOOL_LONG" == "points", os.getenv "MOONPOOL_UNDER"
local ROOM = 3 -- connections
local PART = long and 1 or under and 25 or 12 -- one place of so many is tried
local PATIENCE = 5000 -- turns of at least a millisecond
local TURNS = long and { 1, 8, 40 } or { 1, 8 } -- of the loop, from the wait to the kill: the answer may be there by then

-- ---- the places ----

-- See each wait of the task: at(task), before it is suspended.
local function see_waits(task, at)
  local waits, Task = task.waits, getmetatable(task)
  task.waits = nil -- from here on it is kept aside, so that the metatable is asked
  local seen = {}
  for name, value in pairs(Task) do
    seen[name] = value
  end
  function seen.__index(self, key)
    if key == "waits" then
      return waits
    end
    return Task.__index(self, key)
  end
  function seen.__newindex(self, key, value)
    if key ~= "waits" then
      return rawset(self, key, value)
    end
    waits = value
    if value then
      at(self)
    end
  end
  setmetatable(task, seen)
end

-- Call fn after so many turns of the loop.
local function after_turns(turns, fn)
  scheduler.push{ co = coroutine.create(function()
    if turns <= 1 then
      return fn()
    end
    return after_turns(turns - 1, fn)
  end) }
end

-- ---- the ways to be killed ----
-- way(w, place, turns, one): a program that runs the scenario and is killed at that place, counted in w.places.

local ways = {}

local function cancelled(who)
  return function(w, place, turns, one)
    w.at = function(task)
      if w.places == place and (who ~= "the task around it" or task ~= w.task) then
        local killed = who == "itself" and task or w.task
        after_turns(turns, function() killed:cancel() end)
      end
    end
    one.run(w)
  end
end

ways["cancelled"] = cancelled "itself"
ways["cancelled from above"] = cancelled "the task around it"

-- Inside of a transaction that goes on with no savepoint more than it had, or says that it cannot.
ways["given up by a deadline"] = function(w, place, turns, one)
  local block
  w.at = function(task)
    if w.places == place and task == w.task and block then
      after_turns(turns, function()
        if not block.over then
          block.cancelled = true
          scope.cancel(task) -- a look at what is cancelled, which this task itself is not
          task.cancelled = nil
        end
      end)
    end
  end
  w.db:atomic(function(tx)
    tx:on_commit(function() w.outer = 1 end)
    w.savepoint = savepoints.left(tx, function()
      local ok, err = pcall(mp.timeout, 3600, function()
        block = scheduler.current.scope
        one.run(w)
      end)
      if block then
        block.over = true
      end
      if not ok and mp.is(err, "cancelled") then
        error(err, 0)
      end
      w.put "outer"
    end)
  end)
end

-- Places are the statements here, and here(): a generator can be left where the program's own code runs.
local function generator(w, place, one, leave)
  w.places = 0
  local inner
  local function left()
    if scheduler.current == w.task and coroutine.running() == inner then
      w.places = w.places + 1
      if w.places == place then
        coroutine.yield()
      end
    end
  end
  w.at = function() end
  local off = w.db:on("query", left)
  local here = w.here
  w.here = function() here() left() end
  inner = coroutine.create(one.run)
  local ok, err = coroutine.resume(inner, w)
  local co = inner
  inner, w.here = nil, here
  off()
  if not ok then
    error(err, 0)
  end
  leave(co)
end

ways["left by its consumer"] = function(w, place, _, one)
  return generator(w, place, one, function() end)
end

ways["closed by its consumer"] = function(w, place, _, one)
  return generator(w, place, one, function(inner)
    local ok, err = coroutine.close(inner)
    if not ok and err.kind ~= "not_yieldable" then
      error(err, 0)
    end
  end)
end

local names = { "cancelled", "cancelled from above", "given up by a deadline", "left by its consumer", "closed by its consumer" }
local by_consumer = { ["left by its consumer"] = true, ["closed by its consumer"] = true }

-- ---- what must be so afterwards ----

-- Transactions that are open on the server in this database, asked on another connection.
local open_transactions = {
  postgres = [[select count(*) from pg_stat_activity where datname = ? and backend_type = 'client backend'
    and state <> 'idle' and pid <> pg_backend_pid()]],
  mariadb = [[select count(*) from information_schema.innodb_trx t join information_schema.processlist p
    on p.id = t.trx_mysql_thread_id where p.db = ?]],
}

local function census()
  local counts = core.census()
  return { operations = counts.operations, leases = counts.leases, requests = counts.requests }
end

-- What is there of the core's that was not there before, as text; nil: nothing.
local function left_over(w)
  local now = census()
  for _, what in ipairs{ "operations", "leases", "requests" } do
    if now[what] > w.before[what] then
      return ("%d %s are left over"):format(now[what] - w.before[what], what)
    end
  end
end

local function is_quiet(db)
  local stats = db:pool_stats()
  return stats.busy == 0 and stats.waiting == 0 and db.tally.held == 0 and next(db.holds) == nil
end

-- What is wrong, as text; nil: nothing. Connections are taken on the writer's side too: it begins on each.
local function damage(w)
  local db = w.db
  for turn = 1, PATIENCE do
    if is_quiet(db) and not (w.before and left_over(w)) then
      break
    elseif turn == PATIENCE or w.impatient and turn == 20 then
      local stats = db:pool_stats()
      return ("%d connections busy, %d waiting, %d accounted for; %s"):format(stats.busy, stats.waiting, db.tally.held,
        w.before and left_over(w) or "nothing left over")
    end
    if turn % 4 == 1 then
      collectgarbage() -- what the program has lost it frees when it is collected
    end
    mp.sleep(turn > 8 and 0.001 or 0)
  end
  if w.admin then
    local n
    for _ = 1, w.impatient and 20 or PATIENCE do -- a server may take its time to say that it has ended one
      n = w.admin:fetch_val(open_transactions[db.dialect], w.name)
      if n == 0 then
        break
      end
      mp.sleep(0.001)
    end
    if n > 0 then
      return n .. " transactions are open on the server"
    end
  end
  local conns, problem = {}, nil
  local ok, err = pcall(function()
    for i = 1, w.room do
      conns[i] = db:connect()
    end
    for i, conn in ipairs(conns) do
      conn:begin() -- raises where one is open, or a savepoint on SQLite
      conn:execute("update item set n = -1 where name = 'nobody'")
      if savepoints.known(conn, "mp_1") then
        problem = "connection " .. i .. " has a savepoint that nobody has made"
      end
      conn:rollback()
      if conn:fetch_val("select 41 + 1") ~= 42 then
        problem = "connection " .. i .. " answers something else"
      end
    end
  end)
  for _, conn in ipairs(conns) do
    conn:close()
  end
  return not ok and "the pool is not whole: " .. tostring(err) or problem
end

local function wrong_rows(w, one, killed)
  local inside = w.outer and one.whole == "alone"
  local n = w.db:fetch_val("select count(*) from item where name <> 'outer'")
  local outer = w.db:fetch_val("select count(*) from item where name = 'outer'")
  if w.savepoint and w.outer then -- where the transaction around it has failed, it says that it could not go on
    return w.savepoint
  elseif outer ~= (w.outer or 0) then
    return ("the transaction around it has %s, and %d of its rows are there"):format(w.outer and "committed" or "failed", outer)
  elseif n > (one.most or one.rows) or one.whole and not inside and n ~= 0 and n ~= one.rows then
    return n .. " rows are there"
  elseif not killed and n ~= one.rows and not w.pooler then
    return n .. " rows are there although nobody killed it"
  end
end

local fine = { cancelled = true, timeout = true, in_failed_transaction = true, concurrency = true, pool_deadlock = true,
  unique = true, unsupported = true, durable = true, stale_handle = true }

-- Run it, killed at that place (0: nowhere). Gives how many places there were, and what was wrong.
local function run(w, way, one, place, turns)
  w.places, w.outer, w.savepoint = 0, nil, nil
  w.before = census()
  local born = task_module.born
  local watched, tasks = true, {}
  task_module.born = function(task)
    if born then
      born(task)
    end
    if not task_module.is_daemon(task) then
      tasks[#tasks + 1] = task
      see_waits(task, function(waiting)
        if watched and w.at then
          w.places = w.places + 1
          w.at(waiting)
        end
      end)
    end
  end
  w.at = nil
  w.task = mp.spawn(ways[way], w, place, turns, one)
  local ok, err = pcall(mp.timeout, 60, w.task.wait, w.task)
  local found
  if not w.task.status:find "^[dfc]" then
    found = "it hangs\n" .. w.task:stack()
    w.task:cancel()
  elseif not ok and not (err == "boom" or type(err) == "table" and (fine[err.kind] or w.pooler and err.kind == "connection_lost")) then
    found = "it ended with " .. (type(err) == "table" and err.traceback or "") .. tostring(err)
  end
  watched, task_module.born = false, born
  for i = #tasks, 1, -1 do -- those that it has spawned and left
    tasks[i]:cancel()
    pcall(tasks[i].wait, tasks[i])
    tasks[i] = nil
  end
  w.task, w.at = nil, nil
  err = nil -- luacheck: ignore
  local places = w.places
  found = found or damage(w)
    or wrong_rows(w, one, place > 0 or way ~= "cancelled")
  w.empty()
  return places, found
end

local function world(open, database, timeout)
  local db, url = open{ pool = { min = 0, max = ROOM, timeout = timeout or 20 } }
  local w = scenarios.world(db)
  w.pooler = database.pooler -- where a statement that was stopped takes its connection along
  w.room = db.readers_max < ROOM and db.readers_max or ROOM
  if database.server then
    w.name = url:match "/([%w_]+)$"
    w.admin = mp.open(database.dialect == "mariadb" and servers.mariadb_admin or servers.admin, { pool = { max = 1 } })
  end
  return w
end

local function chance(seed)
  local state = seed % 2147483646 + 1
  return function(n)
    state = state * 48271 % 2147483647
    return state // 7 % n + 1
  end
end

-- A run takes a server fifty times as long as SQLite: there the short form tries one way of each scenario.
local function chosen_ways(database, random)
  return (long or not database.server) and names or { names[random(#names)] }
end

databases.each("a scenario that is killed where it waits", function(open, database)
  local w
  after_each(function()
    if w and w.admin then
      w.admin:close()
    end
    w = nil
  end)

  it("gives back every connection, with no transaction open", function()
    w = world(open, database)
    local seed = tonumber(os.getenv "MOONPOOL_SEED") or os.time()
    local random = chance(seed)
    local all, tried, found = 0, 0, {}
    local until_next = random(PART)
    for _, one in ipairs(scenarios.list) do
      if not one.only or one.only == database.dialect and not database.pooler then
        for _, way in ipairs(chosen_ways(database, random)) do
          local places, wrong = run(w, way, one, 0, 1)
          if wrong then
            found[#found + 1] = ("%s, not killed (%s): %s"):format(one.name, way, wrong)
          end
          all = all + places
          for place = 1, places do
            for _, turns in ipairs(by_consumer[way] and { 1 } or TURNS) do
              until_next = until_next - 1
              if until_next == 0 then
                until_next, tried = PART, tried + 1
                wrong = select(2, run(w, way, one, place, turns))
                if wrong then
                  found[#found + 1] = ("%s, %s at place %d of %d, %d turns later: %s"):format(one.name, way, place, places,
                    turns, wrong)
                end
              end
            end
          end
        end
      end
      assert(#found < 20, table.concat(found, "\n"))
    end
    print(("# %d scenarios, %d places, killed %d times, MOONPOOL_SEED=%d"):format(#scenarios.list, all, tried, seed))
    assert.same({}, found)
    assert.truthy(all > 60 and tried > 20)
  end)

  if not database.pooler then
    it("is found out when connections are not given back", function()
      w = world(open, database, under and 3 or 0.1) -- its own first connection must fit in
      w.impatient = true
      local release = holding.release
      local one
      for _, each in ipairs(scenarios.list) do
        one = each.name == "a block" and each or one
      end
      local kept = {}
      holding.release = function(_, lease) kept[#kept + 1] = lease end
      local ok, wrong = pcall(function() return (select(2, run(w, "cancelled", one, 2, 1))) end)
      holding.release = release
      for _, lease in ipairs(kept) do
        release(w.db, lease)
      end
      assert.truthy(not ok or wrong)
    end)

    it("is found out when a transaction stays open", function()
      w = world(open, database)
      w.impatient = true
      local tx = w.db:begin()
      assert.truthy(damage(w))
      tx:rollback()
      w.impatient = false
      assert.is_nil(damage(w))
    end)

    it("is found out when a savepoint stays open", function()
      w = world(open, database)
      local found
      pcall(w.db.atomic, w.db, function(tx)
        found = savepoints.left(tx, function()
          w.db:atomic(function() w.put "a" end)
          transaction.begin(w.db)
          w.put "b"
          tx.frame.task.locals[w.db].frame = tx.frame -- forgotten, not released
        end)
      end)
      assert.equal("savepoint mp_2 is open on the server", found)
      assert.is_nil(damage(w))
    end)

    it("is found out when a block keeps what it did", function()
      w = world(open, database)
      local atomic, noticed = w.db.atomic, 0
      w.db.atomic = function(_, fn) return fn() end
      for _, one in ipairs(scenarios.list) do
        if one.name == "a block" then
          local places = run(w, "cancelled", one, 0, 1)
          for place = 1, places do
            noticed = noticed + (select(2, run(w, "cancelled", one, place, 1)) and 1 or 0)
          end
        end
      end
      w.db.atomic = atomic
      assert.truthy(noticed > 0)
    end)
  end
end)
