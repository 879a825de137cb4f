-- Options of a database whose work is not seen in a result. Every claim here fails when its option is ignored.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local until_true = require("spec.support.waiting").until_true

-- What fn(told) writes to standard error; told() gives what it has written so far.
local function capture_stderr(fn)
  local lines, kept = {}, io.stderr
  io.stderr = { write = function(_, ...) lines[#lines + 1] = table.concat { ... } end }
  local ok, err = pcall(fn, function() return table.concat(lines) end)
  io.stderr = kept
  assert(ok, err)
  return table.concat(lines)
end

databases.each("a database", function(open, database)
  -- The server lists the statements that a connection keeps.
  local LIST = {
    sqlite = "select count(*) from sqlite_stmt where sql like 'select _'",
    postgres = "select count(*) from pg_prepared_statements where statement like 'select _'",
    -- this very one is kept too
    mariadb = "select cast(sum(if(variable_name = 'com_stmt_prepare', 1, -1) * variable_value) as int) - 1 "
      .. "from information_schema.session_status where variable_name in ('com_stmt_prepare', 'com_stmt_close')",
  }

  local function kept(db)
    for i = 1, 5 do
      db:fetch_val(("select %d"):format(i))
    end
    return db:fetch_val(LIST[database.dialect])
  end

  it("keeps as many prepared statements as statement_cache says", function()
    if database.pooler then -- behind one there are none to keep
      assert.equal(0, kept(open { pool = { max = 1 } }))
      raises("configuration", open, { statement_cache = 3 })
      return
    end
    assert.equal(5, kept(open { pool = { max = 1 } }))
    assert.equal(0, kept(open { pool = { max = 1 }, statement_cache = 0 }))
    assert.truthy(kept(open { pool = { max = 1 }, statement_cache = 3 }) <= 3)
  end)

  it("tells of connections that are held longer than leak_after, and where they were taken", function()
    local function hold(options, leaks)
      return capture_stderr(function(told)
        local db = open(options)
        local conn = db:connect()
        if leaks then
          until_true(function() return told() ~= "" end)
        else
          mp.sleep(0.02)
        end
        conn:close()
      end)
    end
    assert.truthy(hold({ pool = { leak_after = 0.01 } }, true):find("options_more_spec.lua:%d+"))
    assert.equal("", hold({ pool = { leak_after = 1000 } }))
    assert.equal("", hold())
  end)
end)

describe("a pool", function()
  it("keeps min connections open", function()
    local db, close = databases.file.open { pool = { min = 3, max = 5, max_idle = 0.01 } }
    assert.equal(0, db:pool_stats().size) -- before the first use none
    db:fetch_val("select 1")
    until_true(function() return db:pool_stats().idle == 3 end)
    mp.sleep(0.05)
    assert.equal(3, db:pool_stats().idle)
    close()
  end)
end)

describe("close", function()
  -- A task with an open transaction; `go_on` lets it write once more and commit.
  local function holder(db)
    local state = {}
    state.task = mp.spawn(function()
      return db:atomic(function()
        db:execute("insert into t values (1)")
        state.ready = true
        until_true(function() return state.go_on end)
        return db:execute("insert into t values (2)")
      end)
    end)
    until_true(function() return state.ready end)
    return state
  end

  local function count(path)
    local db = mp.open("sqlite:" .. path)
    local n = db:fetch_val("select count(*) from t")
    db:close()
    return n
  end

  it("waits for a transaction that is open, however long", function()
    local db, remove, path = databases.file.open()
    db:execute("create table t (x)")
    local state = holder(db)
    local closing = mp.spawn(db.close, db)
    mp.sleep(0.02)
    assert.equal("waiting", closing.status)
    raises("pool_closed", db.execute, db, "insert into t values (3)")
    state.go_on = true
    assert.equal(1, state.task:wait())
    closing:wait()
    assert.equal(2, count(path))
    remove()
  end)

  it("undoes it when drain has passed", function()
    local db, remove, path = databases.file.open()
    db:execute("create table t (x)")
    local state = holder(db)
    db:close { drain = 0.01 }
    state.go_on = true
    raises("in_failed_transaction", state.task.wait, state.task)
    assert.equal(0, count(path))
    remove()
  end)

  it("raises pool_deadlock where it would wait for whoever waits for it", function()
    local db, remove = databases.file.open()
    local tx = db:begin()
    local closing = mp.spawn(db.close, db)
    raises("pool_deadlock", closing.wait, closing)
    tx:close()
    assert.equal(1, db:fetch_val("select 1")) -- it was not closed
    remove()
  end)
end)
