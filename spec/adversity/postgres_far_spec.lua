-- A PostgreSQL server that is far away, by a line that takes a millisecond each way: what is under way on one shared
-- connection, counted by the line itself.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local line = require "spec.support.line"
local servers = require "spec.support.servers"
local f = mp.field

if not servers.verified.postgres then
  return -- there is no server of ours
end

local TASKS, SYNCS, ROWS = 64, 16, 100
local MOST = 20000 -- selects, until all tasks are under way at once

describe("one connection to a server that is far away", function()
  local world

  before_each(function()
    local near, close, url = databases.postgres.open()
    near:execute "create table item (id bigint primary key, nonce bigint not null)"
    near:execute("insert into item select i, i * 1000003 from generate_series(1, ?) i", ROWS)
    local plain = servers.verified.postgres:gsub("%?.*", "?tls.mode=off")
    local far = line.to(servers.on(plain, url:match "/([%w_]+)$"), { delay = 1 })
    local db = mp.open(far.url, { pool = { max = 1 } })
    local Item = mp.entity("Item", { nonce = f.bigint() }, { database = db, table = "item" })
    world = { db = db, far = far, Item = Item, close = close, selects = 0, under_way = 0 }
  end)

  after_each(function()
    world.db:close()
    world.far:close()
    world.close()
  end)

  local function ask()
    local id = world.selects % ROWS + 1
    world.selects = world.selects + 1
    world.under_way = world.under_way + 1
    local nonce = world.Item:get(id).nonce
    world.under_way = world.under_way - 1
    assert(nonce == id * 1000003)
  end

  it("has room for more than sixteen once it is known to answer, in flights one behind the other", function()
    local all_at_once
    local tasks = {}
    for i = 1, TASKS do
      tasks[i] = mp.spawn(function()
        repeat
          ask()
        until all_at_once or world.selects >= MOST
      end)
    end
    while not all_at_once and world.selects < MOST do
      mp.sleep(0.001)
      all_at_once = world.under_way == TASKS and world.db:pool_stats().waiting == 0
    end
    for _, task in ipairs(tasks) do
      task:wait()
    end
    assert.truthy(all_at_once, "some always waited in the pool")
    local counts = world.far:counts()
    assert.truthy(counts.most_in_flight > 1, "each flight waited for the one before")
    assert.truthy(counts.most_in_flight <= SYNCS, counts.most_in_flight .. " Syncs under way at once")
    assert.truthy(counts.requests < world.selects / 2, counts.requests .. " Syncs for " .. world.selects .. " selects")
    assert.equal(1, world.db:pool_stats().size)
  end)
end)
