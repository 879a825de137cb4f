-- A slow, a deaf and a cut line between the pool and MariaDB, with TLS and without: statements of ten connections are on
-- their way at once, and other tasks go on however long a server says nothing or takes nothing.
-- No clock judges: the line itself counts who waits, and what goes on meanwhile is counted in turns.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local line = require "spec.support.line"
local servers = require "spec.support.servers"
local raises = databases.raises
local until_true = require("spec.support.waiting").until_true

if not servers.verified.mariadb then
  return -- there is no server of ours
end

local CONNECTIONS = 10
local TURNS = 50

local urls = {
  ["with TLS"] = servers.verified.mariadb,
  ["without TLS"] = (servers.verified.mariadb:gsub("%?.*", "?tls.mode=off")),
}

-- Turns of the loop, as another task has them.
local function take_turns()
  mp.spawn(function()
    for _ = 1, TURNS do
      mp.sleep(0.001)
    end
  end):wait()
end

for how, url in pairs(urls) do
  describe("a line " .. how, function()
    local db, way

    local function open(delay, options)
      way = line.to(url, { delay = delay })
      options = options or {}
      options.pool = options.pool or { max = CONNECTIONS, timeout = 100 }
      options.retry = options.retry or { attempts = 1 }
      options.connect_timeout = 60
      db = mp.open(way.url, options)
    end

    after_each(function()
      if way then
        way:cut()
      end
      if db then
        db:close{ drain = 0 }
      end
      db, way = nil, nil
    end)

    local function start(n, ask)
      local tasks = {}
      for i = 1, n do
        tasks[i] = mp.spawn(ask, i)
      end
      return tasks
    end

    local function echo(i)
      return db:fetch_val("select ? * 3", i)
    end

    local function answers(tasks)
      for i, task in ipairs(tasks) do
        assert.equal(i * 3, task:wait())
      end
    end

    it("that takes 10 ms carries ten statements at a time", function()
      open(10)
      databases.fill(db, CONNECTIONS)
      assert.equal(how == "with TLS", db:fetch_val(
        "select variable_value from information_schema.session_status where variable_name = 'Ssl_cipher'") ~= "")
      way:hold()
      local tasks = start(CONNECTIONS, echo)
      until_true(function() return way:counts().waiting == CONNECTIONS end)
      take_turns() -- and all of them stand still
      assert.equal(CONNECTIONS, way:counts().waiting)
      way:flow()
      answers(tasks)
      local counts = way:counts()
      assert.equal(CONNECTIONS, counts.connections)
      assert.equal(CONNECTIONS, counts.most_waiting)
      answers(start(5 * CONNECTIONS, echo))
    end)

    it("that is deaf while a connection is made lets others go on", function()
      open(0)
      way:hold()
      local task = mp.spawn(echo, 1)
      until_true(function() return way:counts().connections == 1 end)
      take_turns()
      assert.equal("waiting", task.status)
      way:flow()
      assert.equal(3, task:wait())
    end)

    it("that takes nothing lets others go on while a large statement is sent", function()
      open(0, { pool = { max = 2 } })
      local bytes = ("x"):rep(1000):rep(8000)
      assert.equal(1, db:fetch_val("select 1"))
      way:freeze()
      local task = mp.spawn(db.fetch_val, db, "select length(?)", bytes)
      take_turns()
      assert.equal("waiting", task.status)
      way:thaw()
      assert.equal(#bytes, task:wait())
    end)

    it("that falls silent in the middle of a result lets others go on", function()
      open(0, { pool = { max = 2 } })
      local LARGE = "select seq, repeat('x', 1000) as x from seq_1_to_20000"
      assert.equal(20000, #db:fetch_all(LARGE))
      local sum, frozen = 0, false
      local task = mp.spawn(function()
        for row in db:stream(LARGE) do
          sum = sum + row.seq
          if row.seq == 10 then
            way:freeze()
            frozen = true
          end
        end
        return sum
      end)
      until_true(function() return frozen end)
      take_turns()
      assert.equal("waiting", task.status)
      way:thaw()
      assert.equal(20000 * 20001 // 2, task:wait())

      way:freeze()
      task = mp.spawn(db.fetch_all, db, LARGE)
      take_turns()
      assert.equal("waiting", task.status)
      way:thaw()
      assert.equal(20000, #task:wait())
    end)

    it("that falls silent lets a deadline end the wait", function()
      open(0, { pool = { max = 2 } })
      assert.equal(3, echo(1))
      way:hold()
      raises("timeout", mp.timeout, 0.05, echo, 1)
      take_turns()
      way:flow()
      assert.equal(6, echo(2))
      until_true(function() return db:pool_stats().busy == 0 end)
    end)

    it("that is cut is noticed by all who use it, and by those who come next", function()
      open(0)
      databases.fill(db, CONNECTIONS)
      local admin <close> = mp.open(servers.mariadb_admin)
      local tasks = start(CONNECTIONS, function() return db:fetch_val("select sleep(100) as cut") end)
      until_true(function()
        return admin:fetch_val("select count(*) from information_schema.processlist where command = 'Execute' and info = "
          .. "'select sleep(100) as cut'") == CONNECTIONS
      end)
      way:cut()
      for _, task in ipairs(tasks) do
        local err = raises("connection_lost", task.wait, task)
        assert.is_true(err.sent)
      end
      raises("connect_failed", echo, 1)
      until_true(function() return db:pool_stats().size == 0 end)
      way = nil
    end)

    it("that is cut behind a COMMIT gives commit_unknown, and the block is not run again", function()
      open(0)
      local direct = mp.open(servers.mariadb)
      finally(function()
        direct:execute("drop table if exists line_kept")
        direct:close()
      end)
      direct:execute("create or replace table line_kept (x integer)")
      local runs = 0
      local task = mp.spawn(db.atomic, db, { retry = 3 }, function()
        runs = runs + 1
        db:execute("insert into line_kept values (7)")
        way:hold()
      end)
      until_true(function()
        return task.status == "failed" or direct:fetch_val("select count(*) from line_kept") == 1
      end)
      way:cut()
      local err = raises("commit_unknown", task.wait, task)
      assert.equal("unknown", err:resolve())
      assert.equal(1, runs)
      assert.equal(1, direct:fetch_val("select count(*) from line_kept"))
      way = nil
    end)
  end)
end
