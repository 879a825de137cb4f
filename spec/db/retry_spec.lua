-- Lost links, on a database that is played from a script: what is tried again, what never is, and what the program is told.

local mp = require "moonpool"
local core = require "moonpool.core"
local databases = require "spec.support.databases"
local raises = databases.raises
local until_true = require("spec.support.waiting").until_true

local ONE = "\nselect 1 -> columns one:int; row 1\ninsert -> affected 1"

local name

local function open(script, options)
  name = "retry_spec"
  core.fake(name, script .. ONE)
  options = options or {}
  options.dialect, options.database = options.dialect or "fake", name
  options.retry = options.retry or { backoff = 0 }
  local db = mp.open(options)
  finally(function()
    db:close()
    core.fake(name, nil)
  end)
  return db
end

-- How often the database was asked for something that begins so.
local function asked(text)
  local n = 0
  for _, sql in ipairs((core.fake_log(name))) do
    n = n + (sql:sub(1, #text) == text and 1 or 0)
  end
  return n
end

describe("the option retry", function()
  it("connects again, three times in all", function()
    local db = open 'connect *2 -> error connect_failed "refused"'
    assert.equal(1, db:fetch_val("select 1"))
    assert.equal(3, asked "(connect)")
  end)

  it("attempts says how often", function()
    local db = open('connect *2 -> error connect_failed "refused"', { retry = { attempts = 2, backoff = 0 } })
    raises("connect_failed", db.fetch_val, db, "select 1")
    assert.equal(2, asked "(connect)")
    assert.equal(1, db:fetch_val("select 1"))
  end)

  it("backoff is the pause before the second attempt", function()
    local db = open('connect *1 -> error connect_failed "refused"', { retry = { backoff = 10000 } })
    local task = mp.spawn(db.fetch_val, db, "select 1")
    until_true(function() return asked "(connect)" > 0 end)
    mp.sleep(0.3) -- with the default it would have come back
    assert.equal(1, asked "(connect)")
    task:cancel()
    raises("cancelled", task.wait, task)
  end)

  it("does not ask a second time where the answer will be the same", function()
    local db = open 'connect -> error auth_failed "no"'
    raises("auth_failed", db.fetch_val, db, "select 1")
    assert.equal(1, asked "(connect)")
  end)

  local function once(claim, run)
    it("sends a statement again of which no byte was sent: " .. claim, function()
      local db = open "select *1 -> lost unsent\nbegin *1 -> lost unsent\nping *1 -> lost unsent"
      assert.equal(1, run(db))
      assert.equal(2, (select(2, core.fake_log(name))).connects)
      databases.quiet(db)
    end)
  end

  once("of the pool", function(db) return db:fetch_val("select 1") end)
  once("a stream", function(db)
    local n = 0
    for row in db:stream("select 1") do
      n = n + row.one
    end
    return n
  end)
  once("a BEGIN", function(db) return db:atomic(function() return db:execute("insert") end) end)
  once("a ping", function(db) return db:ping() and 1 end)

  it("never sends again what may have arrived", function()
    local db = open "select *1 -> lost\ninsert *1 -> lost"
    local err = raises("connection_lost", db.fetch_val, db, "select 1")
    assert.is_true(err.sent)
    raises("connection_lost", db.execute, db, "insert")
    assert.equal(1, asked "select")
    assert.equal(1, asked "insert")
    assert.equal(1, db:fetch_val("select 1"))
  end)

  it("repeats nothing inside a transaction", function()
    local db = open "select *1 -> lost unsent"
    local err = raises("connection_lost", db.atomic, db, function()
      db:execute("insert")
      db:fetch_val("select 1")
    end)
    assert.is_false(err.sent)
    assert.equal(1, asked "select")
    assert.equal(1, asked "insert")
    assert.equal(0, asked "COMMIT")
    databases.quiet(db)
  end)

  it("repeats nothing on a pinned connection, which is over", function()
    local db = open "select *1 -> lost unsent"
    local conn = db:connect()
    raises("connection_lost", conn.fetch_val, conn, "select 1")
    raises("stale_handle", conn.fetch_val, conn, "select 1")
    conn:close()
    assert.equal(1, db:fetch_val("select 1"))
  end)
end)

describe("a lost link", function()
  it("at COMMIT raises commit_unknown, and the block is not run again", function()
    local db, runs = open "commit *1 -> lost", 0
    local err = raises("commit_unknown", db.atomic, db, { retry = 3 }, function()
      runs = runs + 1
      return db:execute("insert")
    end)
    assert.equal(1, runs)
    assert.equal("unknown", err:resolve())
    databases.quiet(db)
    assert.equal(1, db:atomic(function() return db:execute("insert") end))
  end)

  it("inside a block breaks the whole stack: nothing more is sent, however it is caught", function()
    local db = open "select *1 -> lost"
    raises("connection_lost", db.atomic, db, function()
      mp.try(db.atomic, db, function() return db:fetch_val("select 1") end)
      mp.try(db.execute, db, "insert")
    end)
    assert.equal(0, asked "insert")
    assert.equal(0, asked "COMMIT")
    databases.quiet(db)
  end)

  it("of a connection that was idle is not the next statement's", function()
    local db = open("select 2 -> columns two:int; row 2; dies 1", { pool = { min = 0 } })
    assert.equal(2, db:fetch_val("select 2"))
    until_true(function() return db:pool_stats().size == 0 end)
    assert.equal(1, db:fetch_val("select 1"))
  end)
end)

describe("a slow cancel", function()
  it("is finished before the connection is used again", function()
    local db = open("set settle 500\nselect hang -> hang", { pool = { max = 1 } })
    local task = mp.spawn(db.fetch_val, db, "select hang")
    until_true(function() return asked "select hang" == 1 end)
    task:cancel()
    raises("cancelled", task.wait, task)
    assert.equal(1, db:pool_stats().busy)
    assert.equal(1, db:fetch_val("select 1"))
    assert.same({ "(connect)", "select hang", "(cancel)", "select 1" }, (core.fake_log(name)))
    databases.quiet(db)
  end)
end)

describe("connect_timeout", function()
  it("ends an attempt that takes longer", function()
    local db = open("connect -> hang", { connect_timeout = 0.02, retry = { attempts = 1 } })
    local err = raises("connect_failed", db.fetch_val, db, "select 1")
    assert.truthy(err.message:find("0.02", 1, true), err.message)
  end)
end)
