-- Statements on PostgreSQL that are stopped at chance moments, on connections that others use at once: whoever was not
-- stopped hears nothing of it, everybody gets his own answer, and no connection is lost.
-- MOONPOOL_LONG=pg_cancel stops 20,000 of them; MOONPOOL_SEED makes the same choices again.

local mp = require "moonpool"
local core = require "moonpool.core"
local databases = require "spec.support.databases"
local servers = require "spec.support.servers"
local storm = require "spec.support.storm"

if not databases.postgres then
  return
end

local long, under = os.getenv "MOONPOOL_LONG" == "pg_cancel", os.getenv "MOONPOOL_UNDER"
local CANCELS = long and 20000 or under == "valgrind" and 200 or under and 600 or 2000
-- So many have to reach the server before their statement has ended. One in five is of an endless statement on a
-- connection of its own, and fails to reach it only where it was stopped before it was sent; how many of the others come in
-- time is a matter of the machine.
local ENOUGH = CANCELS / 10

-- The server's own word, with the database's name for its `?`.
local function server_says(sql, url)
  local admin <close> = mp.open(servers.admin, { pool = { max = 1 } })
  return admin:fetch_val(sql, url:match "/([%w_]+)$")
end

local SESSIONS = "select count(*) from pg_stat_activity where datname = ? and backend_type = 'client backend'"
local UNDONE = "select xact_rollback from pg_stat_database where datname = ?"

describe("statements stopped at random on PostgreSQL", function()
  after_each(function()
    core.test_switch("no_barrier", false)
  end)

  it("stop nothing else, mix up no answer and lose no connection", function()
    local world, close, url = storm.run(databases.postgres, CANCELS, 0)
    finally(close)
    local stats = storm.settled(world.db)
    assert.same({}, world.foreign)
    assert.same({}, world.wrong)
    assert.same({ busy = 0, waiting = 0 }, { busy = stats.busy, waiting = stats.waiting })
    assert.equal(stats.size, stats.idle)
    assert.truthy(stats.size <= storm.CONNECTIONS)
    assert.equal(1, stats.control)
    assert.equal(stats.size + 1, server_says(SESSIONS, url))
    local conns = {}
    for i = 1, storm.CONNECTIONS do
      conns[i] = world.db:connect()
      assert.equal(i, conns[i]:fetch_val("select ?::int", i))
    end
    for _, conn in ipairs(conns) do
      conn:close()
    end
    assert.equal(storm.CONNECTIONS, storm.settled(world.db).idle)
    world.db:close()
    for _ = 1, 2000 do -- a session tells what it has done when it ends
      if server_says(SESSIONS, url) == 0 then
        break
      end
      mp.sleep(0.001)
    end
    local hit = server_says(UNDONE, url)
    assert.truthy(hit >= ENOUGH, ("only %d of %d reached the server in time"):format(hit, CANCELS))
  end)

  it("stop others where the barrier is switched off: the spec above can fail", function()
    core.test_switch("no_barrier", true)
    local found
    for round = 1, 20 do -- in one round of 600 some ten are hit
      local world, close = storm.run(databases.postgres, 600, round)
      found = #world.foreign + #world.wrong
      close()
      if found > 0 then
        break
      end
    end
    assert.truthy(found > 0, "nobody was hit")
  end)
end)
