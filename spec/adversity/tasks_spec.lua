-- Many tasks on one SQLite file, and a loop that nothing blocks.

local mp = require "moonpool"
local core = require "moonpool.core"
local databases = require "spec.support.databases"
local f = mp.field

local long = os.getenv("MOONPOOL_LONG") == "tasks"

describe("a thousand tasks on one SQLite file", function()
  it("all finish, and no result reaches the wrong task", function()
    local seed = tonumber(os.getenv("MOONPOOL_SEED")) or os.time()
    print("seed " .. seed)
    math.randomseed(seed)
    local db, close = databases.file.open{ pool = { max = 4, timeout = 300 } }
    local Account = mp.entity("Account", { nonce = f.bigint(), hits = f.integer{ default = 0 } }, { database = db })
    db:create_all()
    local rows = {}
    for i = 1, 100 do
      rows[i] = { nonce = i * 1000003 }
    end
    Account:bulk_create(rows)
    local kinds, writes, list = {}, 0, {}
    for i = 1, long and 20000 or 1000 do
      list[i], kinds[i] = i, math.random(5)
    end
    local results = mp.map(list, function(i)
      local id = (i * 7919) % 100 + 1
      if kinds[i] == 1 then
        Account:filter{ id = id }:update{ hits = mp.F.hits + 1 }
        writes = writes + 1
      elseif kinds[i] == 2 then
        db:atomic(function()
          Account:filter{ id = id }:update{ hits = mp.F.hits + 1 }
          assert(Account:get(id).nonce == id * 1000003)
        end)
        writes = writes + 1
      end
      local nonce = db:fetch_val("select nonce + ? from account where id = ?", i, id)
      return nonce - i - id * 1000003
    end)
    assert.equal(#list, results.n)
    for i = 1, #list do
      assert.equal(0, results[i])
    end
    assert.equal(writes, Account:sum("hits"))
    assert.equal(0, db:pool_stats().busy)
    assert.equal(0, db:pool_stats().waiting)
    assert.truthy(db:pool_stats().size <= 4)
    close()
  end)

  it("share the writer between all handles on the file, in the order in which they came", function()
    local db, close, path = databases.file.open()
    db:execute("create table t (id integer primary key, who text)")
    local other = mp.open("sqlite:" .. path)
    local order, tasks = {}, {}
    local first = db:begin()
    for i = 1, 20 do
      local handle = i % 2 == 0 and db or other
      tasks[i] = mp.spawn(function()
        handle:execute("insert into t (who) values (?)", tostring(i))
        order[#order + 1] = i
      end)
      mp.sleep(0)
    end
    assert.same({}, order)
    first:commit()
    for _, task in ipairs(tasks) do
      task:wait()
    end
    local written = {}
    for i, row in ipairs(db:fetch_all("select who from t order by id")) do
      written[i] = tonumber(row.who)
    end
    local expected = {}
    for i = 1, 20 do
      expected[i] = i
    end
    assert.same(expected, written)
    other:close()
    close()
  end)
end)

describe("the loop", function()
  local LONG = "with recursive c(x) as (select 1 union all select x + 1 from c where x < 2000000) select count(x) from c"

  it("goes on turning while one long statement runs", function()
    local db, close = databases.file.open()
    db:fetch_val("select 1")
    local ticks = 0
    local statement = mp.spawn(db.fetch_val, db, LONG)
    local before = core.turns()
    while statement.status ~= "done" and statement.status ~= "failed" do
      mp.sleep(0)
      ticks = ticks + 1
    end
    assert.equal(2000000, statement:wait())
    assert.truthy(ticks > 100, "only " .. ticks .. " ticks")
    assert.truthy(core.turns() - before >= ticks / 2)
    close()
  end)

  it("goes on while a statement is stopped, and the connection serves the next one", function()
    local db, close = databases.memory.open()
    for _ = 1, 20 do
      databases.raises("timeout", mp.timeout, 0.002, db.fetch_val, db, LONG)
      assert.equal(7, db:fetch_val("select 7"))
    end
    assert.equal(1, db:pool_stats().size)
    assert.equal(0, db:pool_stats().busy)
    close()
  end)

  it("streams with flat memory and stops when the loop is left", function()
    local db, close = databases.file.open()
    local sql = "with recursive c(x) as (select 1 union all select x + 1 from c where x < 200000) select x, 'some text of a row' as t from c"
    local n, most = 0, 0
    collectgarbage()
    local base = collectgarbage("count")
    for row in db:stream(sql) do
      n = n + 1
      assert(row.x == n)
      if n % 10000 == 0 then
        collectgarbage() -- what is alive counts, not what waits to be collected
        most = math.max(most, collectgarbage("count") - base)
      end
    end
    assert.equal(200000, n)
    assert.truthy(most < 8 * 1024, "grew by " .. most .. " KB")
    for row in db:stream(sql) do
      if row.x == 10 then
        break
      end
    end
    assert.equal(0, db:pool_stats().busy)
    close()
  end)
end)
