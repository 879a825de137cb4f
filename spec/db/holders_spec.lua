-- Who holds what: told when a connection was waited for in vain, held for too long, or used by the wrong task.

local mp = require "moonpool"
local core = require "moonpool.core"
local databases = require "spec.support.databases"
local raises = databases.raises
local until_equal = require("spec.support.waiting").until_equal

databases.each("who holds a connection", function(open, database)
  it("is said by pool_timeout, with the line where the holder stands and since when", function()
    if database.dialect == "sqlite" then
      return -- its writers wait for the file, its readers seldom
    end
    local db = databases.warm(open{ pool = { max = 1, timeout = 0.05 } })
    local held = false
    local holder = mp.spawn(function()
      db:atomic(function()
        db:fetch_val("select 1")
        held = true
        mp.sleep(60)
      end)
    end)
    while not held do
      assert.is_true(holder.status == "waiting" or holder.status == "running")
      mp.sleep(0.001)
    end
    for _, ask in ipairs{ function() db:fetch_val("select 1") end, function() db:atomic(function() end) end } do
      local err = raises("pool_timeout", ask)
      assert.truthy(err.message:find("task " .. holder.number .. " %(at .-holders_spec.lua:%d+%) has a transaction for %d+%.%d s"),
        err.message)
      assert.equal(holder, err.holders[1].task)
      assert.equal("a transaction", err.holders[1].what)
      assert.truthy(err.holders[1].seconds >= 0)
    end
    holder:cancel()
    pcall(holder.wait, holder)
    databases.quiet(db)
  end)

  it("is reported once, with the traceback of where it was taken, also when nobody else asks", function()
    local db = open{ pool = { leak_after = 0.01 } }
    local text
    text = databases.told(function()
      db:atomic(function()
        db:fetch_val("select 1")
        mp.timeout(60, function()
          while not db.leak_seen do
            for _, hold in pairs(db.holds) do
              db.leak_seen = hold.reported
            end
            mp.sleep(0.005)
          end
        end)
        mp.sleep(0.03)
      end)
    end)
    db.leak_seen = nil
    local _, times = text:gsub("is held for", "")
    assert.equal(1, times)
    assert.truthy(text:find("a transaction is held for", 1, true))
    assert.truthy(text:find("stack", 1, true) or text:find("holders_spec.lua:%d+: in function"), text)
  end)

  it("is reported, also when another one that is held was reported before it was taken", function()
    if database.single then
      return -- has one connection
    end
    local db = open{ pool = { max = 3, leak_after = 0.01 } }
    local function reported()
      local n = 0
      for _, hold in pairs(db.holds) do
        n = n + (hold.reported and 1 or 0)
      end
      return n
    end
    local text = databases.told(function()
      local first = db:connect()
      until_equal(1, reported)
      local second = db:connect()
      until_equal(2, reported)
      second:close()
      first:close()
    end)
    local _, times = text:gsub("a connection is held for", "")
    assert.equal(2, times)
  end)

  it("is named with both lines where a task uses what belongs to another", function()
    local db = open()
    local line = "holders_spec.lua:%d+"
    db:atomic(function(tx)
      local other
      local err = raises("concurrency", function()
        other = mp.spawn(function() tx:savepoint() end)
        other:wait()
      end)
      assert.truthy(err.message:find("task " .. other.number .. " %(at [^)]*" .. line), err.message)
    end)
    local holder = mp.spawn(function()
      db:session(function(s)
        _G.session_of_another = s
        mp.sleep(60)
      end)
    end)
    while not _G.session_of_another do
      mp.sleep(0.001)
    end
    local err = raises("concurrency", function() _G.session_of_another:flush() end)
    assert.truthy(err.message:find("a session belongs to task " .. holder.number .. " %(at [^)]*" .. line), err.message)
    _G.session_of_another = nil
    holder:cancel()
    pcall(holder.wait, holder)
  end)
end)

-- Nobody holds anything: what the one who waited in vain is told.
describe("pool_timeout where nobody holds a connection", function()
  local name = "holders_spec"

  local function open(script, pool)
    core.fake(name, script)
    local db = mp.open{ dialect = "fake", database = name, pool = pool }
    finally(function()
      db:close{ drain = 0 }
      core.fake(name, nil)
    end)
    return db
  end

  local function told(db)
    local err = raises("pool_timeout", db.fetch_val, db, "select 1")
    assert.same({}, err.holders)
    return (err.message:gsub("%d[%d.e-]* s ", "S s "))
  end

  it("says that one is still being opened", function()
    local db = open("connect -> hang", { max = 4, timeout = 0.02 })
    repeat -- who waits does not begin with it himself
      told(db)
    until db:pool_stats().size == 1
    assert.equal("no connection was free for S s (size 1 of 4, 0 busy, 1 connecting, 1 waiting)", told(db))
  end)

  it("says that single statements have them", function()
    local db = databases.warm(open("select -> hang", { max = 1, timeout = 0.02 }))
    local busy = mp.spawn(db.fetch_val, db, "select 1")
    while db:pool_stats().busy == 0 do
      mp.sleep(0)
    end
    assert.equal("no connection was free for S s (size 1 of 1, 1 busy, 1 waiting): those that are busy run single statements or "
      .. "streams, or are being cleaned", told(db))
    busy:cancel()
    raises("cancelled", busy.wait, busy)
  end)

  it("says that the writer of the file is another handle's", function()
    local other, remove, path = databases.file.open()
    local db = mp.open("sqlite:" .. path, { pool = { timeout = 0.02 } })
    local writing, done = false, false
    local holder = mp.spawn(other.atomic, other, function()
      writing = true
      while not done do
        mp.sleep(0.001)
      end
    end)
    while not writing do
      mp.sleep(0.001)
    end
    local err = raises("pool_timeout", db.execute, db, "create table t (x)")
    assert.truthy(err.message:find("another writer was at work for [%d.e-]+ s %(size %d of 10, 0 busy, %d waiting%)$"), err.message)
    done = true
    holder:wait()
    db:close()
    remove()
  end)
end)
