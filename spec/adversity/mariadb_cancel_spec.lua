-- Statements on MariaDB that are stopped at chance moments by KILL QUERY: none but they end early, everybody gets his
-- own answer, and no connection is lost.
-- MOONPOOL_LONG=maria_cancel stops 20,000 of them; MOONPOOL_SEED makes the same choices again.

local mp = require "moonpool"
local core = require "moonpool.core"
local databases = require "spec.support.databases"
local servers = require "spec.support.servers"
local storm = require "spec.support.storm"

if not databases.mariadb then
  return
end

local long, under = os.getenv "MOONPOOL_LONG" == "maria_cancel", os.getenv "MOONPOOL_UNDER"
local CANCELS = long and 20000 or under == "valgrind" and 200 or under and 600 or 2000
-- So many have to reach the server before their statement has ended: one in five is of an endless statement on a
-- connection of its own (spec.support.storm).
local ENOUGH = CANCELS / 10

local SESSIONS = "select count(*) from information_schema.processlist where db = ?"
local KILLS = "select variable_value + 0 from information_schema.global_status where variable_name = 'Com_kill'"

local function server_says(sql, ...)
  local admin <close> = mp.open(servers.mariadb_admin, { pool = { max = 1 } })
  return admin:fetch_val(sql, ...)
end

describe("statements stopped at random on MariaDB", function()
  after_each(function()
    core.test_switch("no_barrier", false)
  end)

  it("stop nothing else, mix up no answer and lose no connection", function()
    local kills = server_says(KILLS)
    local world, close, url = storm.run(databases.mariadb, CANCELS, 0)
    finally(close)
    local stats = storm.settled(world.db)
    assert.same({}, world.foreign)
    assert.same({}, world.wrong)
    assert.same({ busy = 0, waiting = 0 }, { busy = stats.busy, waiting = stats.waiting })
    assert.equal(stats.size, stats.idle)
    assert.truthy(stats.size <= storm.CONNECTIONS)
    assert.equal(1, stats.control)
    assert.equal(stats.size + 1, server_says(SESSIONS, url:match "/([%w_]+)$"))
    local conns = {}
    for i = 1, storm.CONNECTIONS do
      conns[i] = world.db:connect()
      assert.equal(i, conns[i]:fetch_val("select ?", i))
    end
    for _, conn in ipairs(conns) do
      conn:close()
    end
    assert.equal(storm.CONNECTIONS, storm.settled(world.db).idle)
    kills = server_says(KILLS) - kills
    assert.truthy(kills >= ENOUGH, ("only %d of %d reached the server in time"):format(kills, CANCELS))
  end)

  it("stop others where the barrier is switched off: the spec above can fail", function()
    core.test_switch("no_barrier", true)
    local found
    for round = 1, 20 do
      local world, close = storm.run(databases.mariadb, 600, round)
      found = #world.foreign + #world.wrong
      close()
      if found > 0 then
        break
      end
    end
    assert.truthy(found > 0, "nobody was hit")
  end)
end)
