-- Which statements share a connection on PostgreSQL, and which never do. Another session holds a table's lock, so that
-- whoever reads the table stands still on the server as long as a spec likes; what stands behind it is seen in pool_stats.

local mp = require "moonpool"
local core = require "moonpool.core"
local databases = require "spec.support.databases"
local servers = require "spec.support.servers"
local until_equal = require("spec.support.waiting").until_equal
local f = mp.field
local raises = databases.raises

if not databases.postgres then
  return
end

local DEPTH = 16 -- statements on one connection
local SCHEMA = {
  "create table kept (id bigint primary key, nonce bigint not null, divisor bigint not null)",
  "insert into kept select i, i * 1000003, i % 7 from generate_series(1, 100) i",
  "create table free (id bigint primary key, nonce bigint not null)",
  "insert into free select id, nonce from kept",
  "create view slow as select id, nonce + length(pg_sleep(0.2)::text) as nonce from kept",
}

local db, url, Kept, Free, Slow, locker, close_all

local function open(pool, options)
  local entry = options and options.pooler and databases.pgbouncer or databases.postgres
  local all = { pool = pool }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  pool.timeout = 100
  local close
  db, close, url = entry.open(all)
  local direct = servers.on(servers.postgres, url:match "/([%w_]+)$")
  locker = mp.open(direct, { pool = { max = 1 } })
  for _, sql in ipairs(SCHEMA) do
    locker:execute(sql)
  end
  Kept = mp.entity("Kept", { nonce = f.bigint(), divisor = f.bigint() }, { database = db, table = "kept" })
  Free = mp.entity("Free", { nonce = f.bigint() }, { database = db, table = "free" })
  Slow = mp.entity("Slow", { nonce = f.bigint() }, { database = db, table = "slow" })
  close_all = function()
    locker:close{ drain = 0 } -- a spec that failed holds the lock
    close()
  end
end

local function kept(id)
  return Kept:filter{ id = id }:annotate{ echo = mp.F.nonce + id }:one().echo
end

local function divided(id)
  return Kept:filter{ id = id }:annotate{ echo = mp.F.nonce // mp.F.divisor }:one().echo
end

local function free(id)
  return Free:filter{ id = id }:one().nonce
end

-- Known to be fast from here on; a statement that happened to take long counts for less with each of these.
local function learn(...)
  for _, ask in ipairs{ ... } do
    for i = 1, 15 do
      ask(i % 6 + 1)
    end
  end
end

-- Whoever reads the table kept stands still until the function that this gives is called.
local function lock()
  local tx = locker:begin()
  locker:execute("lock table kept in access exclusive mode")
  return function()
    tx:rollback()
  end
end

local function start(n, ask, from)
  local tasks = {}
  for i = 1, n do
    tasks[i] = mp.spawn(ask, (from or 0) + i)
  end
  return tasks
end

-- How many sessions stand before the lock. (pg_stat_activity would be as it was when the transaction looked first.)
local BLOCKED = [[select count(distinct pid) from pg_locks join pg_database on pg_database.oid = pg_locks.database
  where datname = current_database() and not granted]]

local function until_blocked(n)
  until_equal(n, function() return locker:fetch_val(BLOCKED) end)
end

-- Enough for anything that is going to be sent.
local function some_turns()
  for _ = 1, 5 do
    locker:fetch_val("select 1")
    mp.sleep(0.001)
  end
end

local function stats()
  some_turns()
  local all = db:pool_stats()
  return { busy = all.busy, waiting = all.waiting }
end

local function answers(tasks)
  local found = {}
  for i, task in ipairs(tasks) do
    found[i] = task:wait()
  end
  return found
end

-- Lock the table and start tasks at once, so that so many wait for a connection. A statement that happened to take long
-- is not known to be fast, and more wait: then it is tried again.
local function locked_with(waiting, begin)
  core.test_switch("slow_machine", true)
  for try = 1, 20 do
    learn(kept, free, divided)
    local unlock = lock()
    local tasks = begin()
    until_blocked(1)
    local found = stats()
    if found.waiting <= waiting or try == 20 then
      assert.same({ busy = 1, waiting = waiting }, found)
      return unlock, tasks
    end
    unlock()
    for _, task in ipairs(tasks) do
      pcall(task.wait, task)
    end
  end
end

local function kept_answers(n)
  local expected = {}
  for i = 1, n do
    expected[i] = i * 1000004
  end
  return expected
end

describe("on PostgreSQL a connection", function()
  after_each(function()
    core.test_switch("slow_machine", false)
    if close_all then
      close_all()
    end
    close_all = nil
  end)

  it("is shared only when there is neither an idle one nor room for a new one", function()
    open{ max = 3 }
    learn(kept)
    local unlock = lock()
    local tasks = {}
    for n = 1, 3 do
      tasks[n] = mp.spawn(kept, n)
      until_blocked(n)
      assert.same({ busy = n, waiting = 0 }, stats())
    end
    mp.sleep(0.05) -- all three run for too long now
    tasks[4] = mp.spawn(kept, 4)
    assert.same({ busy = 3, waiting = 1 }, stats())
    unlock()
    assert.same(kept_answers(4), answers(tasks))
    assert.equal(3, db:pool_stats().size)
  end)

  it("takes sixteen statements and no more", function()
    open{ max = 1 }
    local unlock, tasks = locked_with(4, function() return start(DEPTH + 4, kept) end)
    unlock()
    assert.same(kept_answers(DEPTH + 4), answers(tasks))
  end)

  it("is shared evenly: the one with the fewest takes the next", function()
    core.test_switch("slow_machine", true)
    open{ max = 3 }
    local unlock = lock()
    answers(start(3, free))
    local tasks
    for _ = 1, 20 do
      unlock()
      learn(kept)
      unlock = lock()
      tasks = start(3 * DEPTH + 1, kept)
      until_blocked(3)
      if stats().waiting <= 1 then
        break
      end
      unlock()
      answers(tasks)
      unlock = lock()
    end
    assert.same({ busy = 3, waiting = 1 }, stats())
    unlock()
    assert.same(kept_answers(3 * DEPTH + 1), answers(tasks))
  end)

  it("takes nothing more behind a statement that runs too long, and others serve the rest", function()
    open{ max = 2 }
    learn(kept, free)
    answers(start(2, kept))
    local unlock = lock()
    local held = start(1, kept)
    until_blocked(1)
    mp.sleep(0.05) -- longer than anything fast
    for round = 1, 5 do
      local tasks = start(DEPTH, free)
      for i, nonce in ipairs(answers(tasks)) do
        assert.equal(i * 1000003, nonce, "round " .. round)
      end
    end
    until_blocked(1)
    assert.same({ busy = 1, waiting = 0 }, stats())
    unlock()
    assert.same(kept_answers(1), answers(held))
  end)

  it("fails only the task whose statement fails", function()
    open{ max = 1 }
    local unlock, tasks = locked_with(0, function() return start(6, divided) end)
    unlock()
    answers(tasks)
    unlock, tasks = locked_with(0, function() return start(10, divided) end) -- the divisor of 7 is 0
    unlock()
    for i, task in ipairs(tasks) do
      if i == 7 then
        raises("division_by_zero", task.wait, task)
      else
        assert.equal(i * 1000003 // (i % 7), task:wait())
      end
    end
    assert.equal(1, db:pool_stats().size)
    assert.equal(8, free(8) - 8 * 1000002)
  end)

  local new = "n"

  -- Each of these stands alone on its connection: nobody joins it, and it joins nobody.
  local alone = {
    ["a statement whose time is not known"] = function(id)
      new = new .. "x"
      return Kept:filter{ id = id }:annotate{ [new] = mp.F.nonce + 1 }:one().nonce
    end,
    ["a statement that is known to be slow"] = function(id)
      return Slow:filter{ id = id }:one().nonce
    end,
    ["a write"] = function(id)
      return Kept:filter{ id = id }:update{ nonce = mp.F.nonce + 0 }
    end,
    ["raw SQL"] = function(id)
      return db:fetch_val("select nonce from kept where id = ?", id)
    end,
    ["a stream"] = function(id)
      local sum = 0
      for row in db:stream("select nonce from kept where id = ?", id) do
        sum = sum + row.nonce
      end
      return sum
    end,
    ["a query set's iterator"] = function(id)
      local sum = 0
      for object in Kept:filter{ id = id }:iter() do
        sum = sum + object.nonce
      end
      return sum
    end,
    ["a transaction"] = function(id)
      return db:atomic(function() return kept(id) end)
    end,
    ["a connection of one's own"] = function(id)
      local conn <close> = db:connect()
      return conn:fetch_val("select nonce from kept where id = ?", id)
    end,
  }

  local function claims(what, pool, options, check)
    it(what .. " shares with nobody", function()
      pool.max = 1
      open(pool, options)
      check()
    end)
  end

  for what, ask in pairs(alone) do
    claims(what, {}, nil, function()
      for i = 1, 3 do
        ask(i)
      end
      local unlock, tasks = locked_with(1, function() return { mp.spawn(ask, 3), mp.spawn(free, 5) } end)
      unlock()
      tasks[1]:wait()
      assert.equal(5 * 1000003, tasks[2]:wait())
      unlock, tasks = locked_with(1, function()
        return { mp.spawn(kept, 1), mp.spawn(kept, 2), mp.spawn(ask, 4) }
      end)
      unlock()
      answers(tasks)
    end)
  end

  local function not_shared()
    local unlock, tasks = locked_with(1, function() return start(2, kept) end)
    unlock()
    assert.same(kept_answers(2), answers(tasks))
  end

  claims("with pool.pipeline = false any statement", { pipeline = false }, nil, not_shared)
  claims("with max_rows any statement", {}, { max_rows = 1000 }, not_shared)
  if databases.pgbouncer then
    claims("behind a pooler any statement", {}, { pooler = true }, not_shared)
  end

  it("goes on when one of those that share it is cancelled, who hears of it at once", function()
    open{ max = 1 }
    for _, place in ipairs{ 1, 3, 5 } do -- the one that runs, one behind it, the last one
      local unlock, tasks = locked_with(0, function() return start(5, kept) end)
      tasks[place]:cancel()
      raises("cancelled", tasks[place].wait, tasks[place])
      until_blocked(1)
      unlock()
      for i, task in ipairs(tasks) do
        if i ~= place then
          assert.equal(i * 1000004, task:wait())
        end
      end
      assert.equal(1, db:pool_stats().size)
    end
  end)

  it("goes on when all who share it are cancelled", function()
    open{ max = 1 }
    local unlock, tasks = locked_with(0, function() return start(DEPTH, kept) end)
    for _, task in ipairs(tasks) do
      task:cancel()
    end
    assert.equal(1000003, free(1)) -- the table is locked still
    unlock()
    for _, task in ipairs(tasks) do
      raises("cancelled", task.wait, task)
    end
    assert.equal(1, db:pool_stats().size)
  end)
end)
