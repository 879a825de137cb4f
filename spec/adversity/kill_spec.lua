-- Programs made by chance, killed at chance points: tasks that write in blocks, by hand, on pinned connections, through
-- generators and streams, with deadlines around everything, while others cancel them, wait for them and close the database.
-- Whatever is interrupted: a transaction is there as a whole exactly if its on_commit ran, and nothing is left behind.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local waiting = require "spec.support.waiting"

local long = os.getenv("MOONPOOL_LONG") == "kill"
local ROUNDS, TASKS = long and 400 or 12, long and 24 or 10
local DEEPEST = 4

-- Chance of one task: it does not depend on who runs when.
local function chance(seed)
  local state = seed % 2147483646 + 1
  return function(n)
    state = state * 48271 % 2147483647
    return state % n + 1
  end
end

-- Errors that an interrupted program may see; anything else is a bug.
local expected = {
  cancelled = true, timeout = true, pool_timeout = true, pool_deadlock = true, pool_closed = true, busy = true,
  in_failed_transaction = true, concurrency = true, stale_handle = true, bad_argument = true, connection_lost = true,
  commit_unknown = true, -- a database that is closed gives up a COMMIT that is on its way to the server
}

local CHANCE = setmetatable({}, { __tostring = function() return "chance" end })

local function new_world(db)
  local world = {
    db = db, tokens = 0, committed = {}, maybe = {}, unknown = {}, around = {}, unexpected = {}, tasks = {}, kinds = {},
  }

  -- around: the token of the block that this one's is in
  function world:token()
    self.tokens = self.tokens + 1
    self.around[self.tokens] = self.inside_of
    return self.tokens
  end

  -- fn commits a block of that token. What a COMMIT has done whose answer was given up (here: by closing the database while
  -- it was on its way) nobody can know, neither of the block nor of those inside: but each is there as a whole or not at all.
  function world.ends(token, fn, ...)
    local ok, err = pcall(fn, ...)
    if not ok then
      world.unknown[token] = type(err) == "table" and err.kind == "commit_unknown" or nil
      error(err, 0)
    end
  end

  -- The same world for what is done inside of a block.
  function world.inside(token)
    return setmetatable({ inside_of = token }, { __index = world, __newindex = world })
  end

  function world.may_be_there(token)
    while token and not world.unknown[token] do
      token = world.around[token]
    end
    return token ~= nil
  end

  function world.write(on, token, part)
    return on:execute("insert into work (token, part) values (?, ?)", token, part)
  end

  function world.keep(token)
    return function()
      world.committed[token] = true
    end
  end

  -- Look at an error before it is forgotten.
  function world.met(err)
    local kind = type(err) == "table" and err.kind
    world.kinds[kind or tostring(err)] = true
    if kind and not expected[kind] or not kind and err ~= CHANCE then
      world.unexpected[#world.unexpected + 1] = kind and err.traceback .. tostring(err) or tostring(err)
    end
  end

  return world
end

local act, some = {}, nil
local LONG = "with recursive c(x) as (select 1 union all select x + 1 from c where x < %d) select x from c"

-- One statement. When it is interrupted nobody knows.
function act.statement(world, random)
  local token = world:token()
  local sent, err = pcall(world.write, world.db, token, 1)
  if not sent then
    world.maybe[token] = true
    return error(err, 0)
  end
  world.maybe[token] = true -- until its other half is there, which is written in the same way
  world.write(world.db, token, random(2) == 1 and 2 or 3)
end

function act.block(world, random, depth)
  local token = world:token()
  world.ends(token, world.db.atomic, world.db, function(tx)
    tx:on_commit(world.keep(token))
    if random(12) == 1 then
      tx:on_commit(function() error(CHANCE, 0) end)
    end
    if random(12) == 1 then
      tx:on_rollback(function() mp.sleep(0) end)
    end
    world.write(world.db, token, 1)
    some(world.inside(token), random, depth + 1)
    if random(8) == 1 then
      error(CHANCE, 0)
    elseif random(8) == 1 then
      tx:rollback()
    end
    world.write(world.db, token, 2)
  end)
end

function act.by_hand(world, random, depth)
  local token = world:token()
  local tx = world.db:begin()
  tx:on_commit(world.keep(token))
  world.write(world.db, token, 1)
  some(world.inside(token), random, depth + 1)
  world.write(world.db, token, 2)
  local way = random(4)
  if way == 1 then
    tx:rollback()
  elseif way == 2 then
    tx:close()
  elseif way == 3 then
    world.ends(token, tx.commit, tx)
  end -- or nobody ends it
end

function act.savepoint(world, random, depth)
  local token, undone = world:token(), world:token()
  world.around[undone] = nil -- what is in there is undone, whatever becomes of the block
  world.ends(token, world.db.atomic, world.db, function(tx)
    tx:on_commit(world.keep(token))
    world.write(world.db, token, 1)
    local point = tx:savepoint()
    world.write(world.db, undone, 1)
    some(world.inside(undone), random, depth + 1)
    point:rollback()
    world.write(world.db, token, 2)
  end)
end

function act.pinned(world, random, depth)
  local token = world:token()
  local conn = world.db:connect()
  conn:begin()
  world.write(conn, token, 1)
  some(world, random, depth + 1)
  world.write(conn, token, 2)
  local way = random(4)
  if way <= 2 then
    world.maybe[token] = true -- a COMMIT is waited for, but its connection may be taken away by close
    conn:commit()
    world.maybe[token] = nil
    world.committed[token] = true
  elseif way == 3 then
    conn:rollback()
  end
  if random(3) > 1 then
    conn:close()
  end -- or nobody does
end

function act.stream(world, random, depth)
  local left = random(3000)
  for _ in world.db:stream(LONG:format(5000)) do
    left = left - 1
    if left == 0 then
      break
    elseif left % 500 == 0 then
      some(world, random, depth + 1)
    end
  end
end

function act.lost_stream(world, random)
  local rows = world.db:stream(LONG:format(5000))
  for _ = 1, random(2000) do
    rows()
  end
end

function act.long_statement(world, random)
  world.db:fetch_all(LONG:format(random(30000)))
end

-- A generator that is inside of something when its consumer loses interest.
function act.generator(world, random, depth)
  local rows = coroutine.create(function()
    mp.timeout(1, function()
      some(world, random, depth + 1)
      coroutine.yield()
      some(world, random, depth + 1)
    end)
    coroutine.yield()
    act.block(world, function(n) coroutine.yield() return random(n) end, DEEPEST)
  end)
  for _ = 1, random(8) do
    if coroutine.status(rows) == "suspended" then
      local ok, err = coroutine.resume(rows)
      if not ok then
        error(err, 0)
      end
    end
  end
end

function act.deadline(world, random, depth)
  mp.timeout((random(40) - 1) / 4000, some, world, random, depth + 1)
end

function act.shield(world, random, depth)
  mp.shield(some, world, random, depth + 1)
end

function act.gather(world, random, depth)
  mp.gather(
    function() some(world, chance(random(10 ^ 6)), depth + 1) end,
    function() some(world, chance(random(10 ^ 6)), depth + 1) end)
end

-- Wait for anybody, holding whatever is held: many of these would never end.
function act.wait(world, random)
  local task = world.tasks[random(#world.tasks)]
  if task then
    task:wait()
  end
end

function act.cancel(world, random)
  local task = world.tasks[random(#world.tasks)]
  if task then
    task:cancel()
  end
end

function act.pause(_, random)
  mp.sleep((random(5) - 1) / 1000)
end

function act.many(world, random)
  local token = world:token()
  world.ends(token, world.db.atomic, world.db, function(tx)
    tx:on_commit(world.keep(token))
    world.db:execute_many("insert into work (token, part) values (?, ?)", { { token, 1 }, { token, random(2) + 1 } })
  end)
end

-- One inside of another joins it, and is not a whole of its own.
function act.session(world, random, depth)
  if mp.session.current() then
    return act.block(world, random, depth)
  end
  local token = world:token()
  world.ends(token, world.db.session, world.db, function(s)
    mp.on_commit(world.keep(token))
    world.write(world.db, token, 1)
    some(world.inside(token), random, depth + 1)
    local way = random(8)
    if way == 1 then
      error(CHANCE, 0)
    elseif way == 2 then
      local undone = world:token()
      world.around[undone] = nil
      local _ <close> = s:begin_nested()
      world.write(s, undone, 1)
      some(world.inside(undone), random, depth + 1)
    end
    world.write(world.db, token, 2)
  end)
end

-- What belongs to another task.
function act.borrow(world, random)
  local mine = world.borrowed
  world.borrowed = nil
  if mine then
    local use = random(3)
    if use == 1 then
      mine.tx:commit()
    elseif use == 2 then
      mine.rows:close()
    else
      mine.rows()
    end
  else
    local tx <close> = world.db:begin()
    local rows <close> = world.db:stream(LONG:format(3000))
    rows()
    world.borrowed = { tx = tx, rows = rows }
    mp.sleep(0.002)
    rows()
  end
end

local names = {}
for name in pairs(act) do
  names[#names + 1] = name
end
table.sort(names)

function some(world, random, depth)
  if depth > DEEPEST then
    return
  end
  for _ = 1, random(3) do
    local action = act[names[random(#names)]]
    if random(3) == 1 then
      action(world, random, depth)
    else
      local ok, err = pcall(action, world, random, depth)
      if not ok then
        world.met(err)
      end
    end
  end
end

-- Part 1 and another one for what was committed, nothing for the rest; one or the other where the answer to a COMMIT was
-- given up.
local function broken(world, db)
  local parts, found = {}, {}
  for _, row in ipairs(db:fetch_all("select token, part from work")) do
    parts[row.token] = parts[row.token] or { n = 0 }
    parts[row.token].n = parts[row.token].n + 1
  end
  for token = 1, world.tokens do
    local n = parts[token] and parts[token].n or 0
    local wanted = world.committed[token] and 2 or 0
    if n ~= wanted and not world.maybe[token] and not (n == 2 and world.may_be_there(token)) then
      found[#found + 1] = ("token %d has %d rows, not %d"):format(token, n, wanted)
    end
  end
  return found
end

local function run(database, seed, spoil)
  local random = chance(seed)
  local listener = random(3) == 1 and chance(seed + 1)
  local set_up = chance(seed + 2)
  local db, remove, path = database.open{
    pool = { max = random(4), timeout = 0.25 },
    on_connect = random(3) == 1 and function(conn)
      conn:fetch_val("select 1")
      mp.sleep(0)
      if set_up(6) == 1 then
        error(CHANCE, 0)
      end
    end or nil,
  }
  for _ = 1, 50 do -- on_connect may fail
    if pcall(db.execute, db, "create table work (token integer, part integer)") then
      break
    end
  end
  local world = new_world(db)
  if spoil then
    spoil(db)
  end
  if listener then
    db:on("query", function()
      if listener(40) == 1 then
        error(CHANCE, 0)
      end
    end)
  end
  local closes = path and random(3) == 1
  mp.run(function()
    for place = 1, TASKS do
      local own = chance(seed * 1000 + place)
      world.tasks[place] = mp.spawn(some, world, own, 1)
    end
    for _ = 1, TASKS do
      mp.sleep(random(4) / 1000)
      world.tasks[random(TASKS)]:cancel()
    end
    if closes then
      db:close{ drain = random(3) / 1000 }
    end
    for _, task in ipairs(world.tasks) do
      local ok, err = pcall(mp.timeout, 60, task.wait, task)
      if not ok then
        world.met(err)
        assert(not task.status:find "ing", "a task hangs: " .. tostring(err) .. "\n" .. task:stack())
      end
    end
  end)
  world.borrowed = nil
  collectgarbage()
  collectgarbage()
  if not closes then
    waiting.until_true(function() return db:pool_stats().busy + db:pool_stats().waiting == 0 end)
  end
  assert(db.tally.held == 0, "the account of held connections says " .. db.tally.held)
  local again = closes and mp.open(database.server and path or "sqlite:" .. path, { pooler = database.pooler }) or db
  local found
  for _ = 1, 50 do
    local ok, list = pcall(broken, world, again)
    if ok then
      found = list
      break
    end
  end
  if closes then
    again:close()
  end
  remove()
  return world, found
end

-- Blocks that keep what they have written, whatever happens in them.
local function without_rollback(db)
  function db.atomic(_, fn)
    local tx, kept = { on_rollback = function() end }, {}
    function tx.on_commit(_, hook)
      kept[#kept + 1] = hook
    end
    function tx.rollback()
      error(CHANCE, 0)
    end
    function tx.savepoint()
      return { rollback = function() end }
    end
    fn(tx)
    for _, hook in ipairs(kept) do
      hook()
    end
  end
end

describe("a program that is killed at chance points", function()
  it("notices blocks that do not undo what they did", function()
    local noticed = 0
    for seed = 1, 5 do
      local _, found = run(databases.file, seed, without_rollback)
      noticed = noticed + #found
    end
    assert.truthy(noticed > 0)
  end)

  for _, database in ipairs(databases.list) do
    it("keeps whole what it committed, and leaves nothing behind (" .. database.name .. ")", function()
      local first = tonumber(os.getenv("MOONPOOL_SEED")) or os.time()
      local rounds = os.getenv("MOONPOOL_SEED") and 1 or ROUNDS
      for seed = first, first + rounds - 1 do
        print("seed " .. seed)
        local world, found = run(database, seed)
        assert.same({}, world.unexpected, "MOONPOOL_SEED=" .. seed)
        assert.same({}, found, "MOONPOOL_SEED=" .. seed)
      end
    end)
  end
end)
