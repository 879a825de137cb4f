-- Notifications: db:listen and db:notify.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local servers = require "spec.support.servers"
local raises = databases.raises

local function await(fn) -- until fn gives something; no claim depends on how long that takes
  repeat
    local found = fn()
    if not found then
      mp.sleep(0.005)
    end
  until found
end

databases.each("db:notify and db:listen", function(open, database)
  local db, url
  local others = {}
  before_each(function()
    db, url = open()
  end)
  after_each(function()
    for i, other in ipairs(others) do
      others[i] = nil
      other:close()
    end
  end)

  -- Another handle on the same database.
  local function another(options)
    others[#others + 1] = mp.open(url, options)
    return others[#others]
  end

  if database.dialect ~= "postgres" then
    it("are PostgreSQL's: elsewhere unsupported says so", function()
      for _, name in ipairs { "listen", "notify" } do
        local err = raises("unsupported", db[name], db, "jobs")
        assert.truthy(err.message:find(name, 1, true))
      end
    end)
    return
  end

  it("refuse a payload and a channel that the server would not take, before anything is sent", function()
    local statements = 0
    db:on("query", function() statements = statements + 1 end)
    local err = raises("bad_argument", db.notify, db, "jobs", ("x"):rep(8000))
    assert.truthy(err.message:find("8000", 1, true) and err.message:find("7999", 1, true), err.message)
    raises("bad_argument", db.notify, db, "jobs", { id = 1 })
    raises("bad_argument", db.notify, db, "jobs", "a\0b")
    for _, channel in ipairs { "", "a\0b", ("x"):rep(64), 5, {} } do
      raises("bad_argument", db.notify, db, channel, "x")
    end
    assert.equal(0, statements)
    db:notify("jobs", ("x"):rep(7999))
    db:notify "jobs"
    assert.equal(2, statements)
  end)

  if database.pooler then
    it("cannot listen behind a pooler, and the error says what can be done", function()
      local err = raises("unsupported", db.listen, db, "jobs")
      assert.truthy(err.message:find("without pooler", 1, true), err.message)
    end)
    return
  end

  -- Ends the session that listens, as a crash of the server would.
  local function kill_listener(admin)
    assert.is_true(admin:fetch_val [[select pg_terminate_backend(pid, 5000) from pg_stat_activity
      where datname = current_database() and query like 'LISTEN%']])
  end

  it("deliver what is sent from the moment that listen returns, in order", function()
    local notes = db:listen "jobs"
    db:notify("jobs", "first")
    db:notify("other", "not ours")
    db:notify("jobs", "second")
    db:notify "jobs"
    local pid = db:fetch_val "select pg_backend_pid()"
    local first, second, third = notes(), notes(), notes()
    assert.same({ "jobs", "first" }, { first.channel, first.payload })
    assert.same({ "second", "" }, { second.payload, third.payload })
    assert.equal(pid, first.pid)
    notes:close()
    notes:close()
    raises("stale_handle", notes)
  end)

  it("know any channel name exactly as it is written", function()
    for _, channel in ipairs { "Jobs", 'a "b"; drop', "ÄÖ", ("x"):rep(63) } do
      local notes = db:listen(channel)
      db:notify(channel:lower() .. "", "lower")
      db:notify(channel, "exact")
      local note = notes()
      if channel:lower() == channel then
        note = notes()
      end
      assert.same({ channel, "exact" }, { note.channel, note.payload })
      notes:close()
    end
  end)

  it("wait without a task of their own: others go on meanwhile", function()
    local got = {}
    local task = mp.spawn(function()
      for note in db:listen "jobs" do
        got[#got + 1] = note.payload
        if note.payload == "stop" then
          break
        end
      end
    end)
    await(function() return db:pool_stats().busy == 1 end)
    await(function()
      return db:fetch_val "select count(*) from pg_stat_activity where datname = current_database() and query like 'LISTEN%' and state = 'idle'" == 1
    end)
    for i = 1, 1000 do
      db:notify("jobs", tostring(i))
    end
    db:notify("jobs", "stop")
    task:wait()
    assert.equal(1001, #got)
    for i = 1, 1000 do
      assert.equal(tostring(i), got[i])
    end
  end)

  it("deliver a notification of a transaction when that is committed, and never if it is undone", function()
    local notes = db:listen "jobs"
    db:atomic(function(tx)
      db:notify("jobs", "undone")
      tx:rollback()
    end)
    db:atomic(function()
      db:notify("jobs", "in")
      db:notify("out", "x")
      local other = mp.spawn(function() db:notify("jobs", "before") end)
      other:wait()
    end)
    assert.equal("before", notes().payload)
    assert.equal("in", notes().payload)
    notes:close()
  end)

  it("end the loop when nothing came for the timeout; each note starts it anew", function()
    local sender = another()
    sender:ping()
    local got = {}
    local notes = db:listen("jobs", { timeout = 1 })
    sender:notify("jobs", "one")
    for note in notes, nil, nil, notes do
      got[#got + 1] = note.payload
      if #got == 1 then
        mp.sleep(1.1) -- the loop's own work is no silence
      end
      if #got < 3 then
        sender:notify("jobs", "more")
      end
    end
    assert.same({ "one", "more", "more" }, got)
    await(function() return db:pool_stats().busy == 0 end) -- it is reset first
  end)

  it("are not ended by command_timeout", function()
    local brief = another { command_timeout = 0.5 } -- long enough for LISTEN itself, also where that is slow
    local notes = brief:listen "jobs"
    local task = mp.spawn(function()
      mp.sleep(0.6)
      db:notify("jobs", "late")
    end)
    assert.equal("late", notes().payload)
    task:wait()
    notes:close()
  end)

  it("hold a connection, which nobody else gets before it listens no more", function()
    local one = another { pool = { max = 1 } }
    local notes = one:listen "jobs"
    assert.equal(1, one:pool_stats().busy)
    raises("pool_deadlock", one.fetch_val, one, "select 1")
    notes:close()
    assert.equal(1, one:fetch_val "select 1")
  end)

  it("leave a connection that listens no more", function()
    local one = another { pool = { max = 1 } }
    local pid
    local sender = another()
    local task = mp.spawn(function()
      repeat
        sender:execute "select pg_notify('jobs', '')"
        mp.sleep(0.01)
      until pid
    end)
    for note in one:listen "jobs" do -- luacheck: ignore (left early)
      pid = note.pid
      break
    end
    task:wait()
    assert.truthy(pid)
    assert.equal(0, one:fetch_val "select count(*) from pg_listening_channels()")
  end)

  it("stop when the task is cancelled, or its mp.timeout ends, and leave the connection clean", function()
    local one = another { pool = { max = 1 } }
    local task = mp.spawn(function()
      for _ in one:listen "jobs" do
        error "nothing was sent"
      end
    end)
    await(function() return one:pool_stats().busy == 1 end)
    task:cancel()
    raises("cancelled", task.wait, task)
    assert.equal(0, one:fetch_val "select count(*) from pg_listening_channels()")
    raises("timeout", mp.timeout, 0.05, function()
      for _ in one:listen "jobs" do
        error "nothing was sent"
      end
    end)
    assert.equal(0, one:fetch_val "select count(*) from pg_listening_channels()")
  end)

  it("give the connection back when the task ends with the listener open", function()
    local one = another { pool = { max = 1 } }
    local kept
    mp.spawn(function()
      kept = one:listen "jobs"
    end):wait()
    assert.equal(1, one:fetch_val "select 1")
    raises("stale_handle", kept)
  end)

  it("belong to the task that made them", function()
    local notes = db:listen "jobs"
    raises("concurrency", function()
      mp.spawn(function() return notes() end):wait()
    end)
    notes:close()
  end)

  it("come back when the connection is lost, and report the gap before anything that follows", function()
    local admin = another()
    local notes = db:listen "jobs"
    db:notify("jobs", "before")
    assert.equal("before", notes().payload)
    local task = mp.spawn(function()
      db:notify("jobs", "unheard")
    end)
    task:wait()
    kill_listener(admin)
    db:notify("jobs", "missed")
    local seen = {}
    repeat -- what had arrived before the end is still told
      local note = notes()
      seen[#seen + 1] = note.gap and "gap" or note.payload
      if note.gap then
        assert.same({ channel = "jobs", gap = true }, note)
      end
    until note.gap
    assert.truthy(#seen <= 2 and (seen[1] == "unheard" or seen[1] == "gap"))
    db:notify("jobs", "after")
    assert.equal("after", notes().payload)
    notes:close()
  end)

  it("come back also when the connection is lost while the loop's body runs", function()
    local admin = another()
    local seen = {}
    local notes = db:listen "jobs"
    db:notify("jobs", "one")
    for note in notes, nil, nil, notes do
      seen[#seen + 1] = note.gap and "gap" or note.payload
      if #seen == 1 then
        kill_listener(admin)
      elseif note.gap then
        db:notify("jobs", "two")
      else
        break
      end
    end
    assert.same({ "one", "gap", "two" }, seen)
  end)

  it("end with pool_closed when the database is closed", function()
    local other = another()
    local inside = mp.spawn(function()
      for _ in other:listen "jobs" do
        error "nothing was sent"
      end
    end)
    local busy = mp.spawn(function()
      for _ in other:listen "work" do
        mp.sleep(0.1)
      end
    end)
    await(function() return other:pool_stats().busy == 2 end)
    mp.sleep(0.05)
    db:fetch_val "select 1"
    other:notify("work", "x")
    mp.sleep(0.02)
    other:close()
    raises("pool_closed", inside.wait, inside)
    raises("pool_closed", busy.wait, busy)
  end)

  it("cannot be closed by the task whose listener stands, but for close{ drain = 0 }", function()
    local other = another()
    local notes = other:listen "jobs"
    raises("concurrency", other.close, other)
    other:close { drain = 0 }
    raises("pool_closed", notes)
  end)

  it("refuse unknown options and wrong ones", function()
    raises("unknown_option", db.listen, db, "jobs", { timout = 1 })
    raises("bad_argument", db.listen, db, "jobs", { timeout = 0 })
    raises("bad_argument", db.listen, db, "jobs", { timeout = "1" })
    raises("bad_argument", db.listen, db, "jobs", 1)
    raises("bad_argument", db.listen, db, "")
    await(function() return db:pool_stats().busy == 0 end)
  end)

  it("hold the server back while the loop's body is busy, and lose nothing", function()
    local n = os.getenv "MOONPOOL_UNDER" and 5000 or 20000
    local notes = db:listen "jobs"
    db:execute("select count(pg_notify('jobs', i::text)) from generate_series(1, ?) as i", n)
    for i = 1, n do
      assert.equal(tostring(i), notes().payload)
    end
    notes:close()
  end)
end)

if databases.postgres and servers.set then
  describe("db:listen on a server that restarts", function()
    local db, close

    before_each(function()
      db, close = databases.postgres.open()
    end)

    after_each(function()
      servers.mend()
      close()
    end)

    it("comes back by itself, reports the gap, and hears what is sent then", function()
      local seen, attempts = {}, 0
      local task = mp.spawn(function()
        for note in db:listen "jobs" do
          seen[#seen + 1] = note.gap and "gap" or note.payload
          if note.payload == "stop" then
            break
          end
        end
      end)
      await(function() return db:pool_stats().busy == 1 end)
      repeat
        mp.sleep(0.01)
        db:notify("jobs", "before")
      until #seen > 0
      servers.stop "postgres"
      repeat -- nobody is there: the listener waits
        mp.sleep(0.05)
        attempts = attempts + 1
      until attempts == 10
      assert.equal("waiting", task.status)
      assert.equal("before", seen[#seen])
      servers.start "postgres"
      await(function() return seen[#seen] == "gap" end)
      local n = #seen
      db:notify("jobs", "stop")
      task:wait()
      assert.equal("stop", seen[n + 1])
    end)

    it("raises why it cannot come back when its timeout is over", function()
      local notes = db:listen("jobs", { timeout = 0.4 })
      servers.stop "postgres"
      raises("connection", notes)
    end)
  end)
end
