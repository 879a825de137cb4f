-- What a program's own SQL leaves in a session of PostgreSQL: another task never meets it. A connection on which something
-- may have been left is reset before it is handed on, one on which nothing was is not: its prepared statements show that.

local mp = require "moonpool"
local databases = require "spec.support.databases"

if not databases.postgres then
  return
end

describe("a connection that is handed on", function()
  local db, close, url

  before_each(function()
    db, close, url = databases.postgres.open{ pool = { max = 1 } }
    db:execute("create table t (x integer)")
  end)

  after_each(function()
    close()
  end)

  local PREPARED = "select count(*) from pg_prepared_statements"
  local PID = "select pg_backend_pid()"

  -- Statements that a reset would drop: the server has them, and so many.
  local function prepare_some()
    db:fetch_val("select count(*) from t")
    db:fetch_val("select max(x) from t")
    return db:fetch_val(PID), db:fetch_val(PREPARED)
  end

  -- Without the words that would mark it, too.
  local LOCKS = "select count(*) from pg_locks where locktype = 'advi' || 'sory'"

  -- What a statement may leave, and how another task would notice.
  local left = {
    { "SET", "set application_name = 'left'", "show application_name", "moonpool" },
    { "SET behind a comment", "/* set /* it */ */ -- so\n  SET search_path = nowhere", "show search_path", "\"$user\", public" },
    { "set_config", "select set_config('moonpool.who', 'me', false)", "select current_setting('moonpool.who', true)", "" },
    { "set_config in another case", "select pg_catalog.Set_Config('moonpool.who', 'me', false)",
      "select current_setting('moonpool.who', true)", "" },
    { "set_config inside a WITH", "with a as (select set_config('moonpool.who', 'me', false)) select 1 from a",
      "select coalesce(current_setting('moonpool.who', true), '')", "" },
    { "SET SESSION CHARACTERISTICS", "set session characteristics as transaction read only", "show transaction_read_only", "off" },
    { "an advisory lock", "select pg_advisory_lock(7)", LOCKS, 0 },
    { "an advisory lock that was tried for", "select pg_try_advisory_lock(7)",
      LOCKS, 0 },
    { "LISTEN", "listen somebody", [[select count(*) from U&"pg_\006cistening_channels"()]], 0 },
    { "a temporary table", "create temp table left_table (x integer)", "select to_regclass('pg_temp.left_table') is null", true },
    { "a temporary table of a SELECT", "select 1 as x into temp left_table", "select to_regclass('pg_temp.left_table') is null",
      true },
    { "PREPARE", "prepare mine as select 1", "select count(*) from pg_prepared_statements where name = 'mine'", 0 },
    { "a cursor", "declare mine cursor with hold for select 1", "select count(*) from pg_cursors where name = 'mine'", 0 },
    { "a DO block", "do $$ begin perform set_config('moonpool.who', 'me', false); end $$",
      "select coalesce(current_setting('moonpool.who', true), '')", "" },
  }
  for _, case in ipairs(left) do
    it("has nothing left of " .. case[1], function()
      local pid = prepare_some()
      mp.spawn(db.execute, db, case[2]):wait()
      assert.equal(case[4], db:fetch_val(case[3]))
      assert.equal(pid, db:fetch_val(PID))
      assert.equal(3, db:fetch_val(PREPARED)) -- what was asked since
    end)
  end

  it("was reset although the statement that marked it failed", function()
    prepare_some()
    databases.raises("division_by_zero", db.execute, db, "select set_config('moonpool.who', 'me', false), 1 / 0")
    assert.equal(1, db:fetch_val(PREPARED))
  end)

  it("was reset although the task that marked it was cancelled", function()
    local pid = prepare_some()
    databases.raises("timeout", mp.timeout, 0.05, db.execute, db, "select pg_advisory_lock(7), pg_sleep(10)")
    assert.equal(0, db:fetch_val(LOCKS))
    assert.equal(pid, db:fetch_val(PID))
  end)

  it("was reset when a task had it for itself", function()
    local pid = prepare_some()
    local conn = db:connect()
    conn:fetch_val("select 1")
    conn:close()
    assert.equal(1, db:fetch_val(PREPARED))
    assert.equal(pid, db:fetch_val(PID))
  end)

  it("was reset when a transaction marked it", function()
    prepare_some()
    db:atomic(function()
      db:execute("set application_name = 'left'")
      db:execute("insert into t values (1)")
    end)
    assert.equal("moonpool", db:fetch_val("show application_name"))
    assert.equal(1, db:fetch_val("select count(*) from t"))
  end)

  it("is not reset where nothing was left", function()
    local pid = prepare_some()
    local plain = {
      "insert into t values (1)", "update t set x = x + 1", "delete from t", "select 'set'",
      "with a as (select 1 as x) select x from a", "values (1)", "table t", "explain select 1", "show search_path",
      "(select 1)", "/* set */ select 1",
    }
    for _, sql in ipairs(plain) do
      db:execute(sql)
    end
    db:atomic(function() return db:execute("insert into t values (2)") end)
    mp.try(db.atomic, db, function() return db:execute("select 1 / 0") end)
    for row in db:stream("select x from t") do
      assert(row)
    end
    local rows = db:stream("select generate_series(1, 100000)")
    rows()
    rows:close()
    databases.raises("timeout", mp.timeout, 0.05, db.fetch_val, db, "select pg_sleep(10)")
    db:execute_many("insert into t values (?)", { { 1 }, { 2 } })
    assert.equal(pid, db:fetch_val(PID))
    assert.equal(1, db:fetch_val("select count(*) from pg_prepared_statements where statement = 'select max(x) from t'"))
  end)

  it("is as on_connect left it, also when it was reset", function()
    local seen = 0
    local other = mp.open(url, {
      pool = { max = 1 },
      on_connect = function(conn)
        seen = seen + 1
        conn:execute("set application_name = 'ours'")
      end,
    })
    assert.equal("ours", other:fetch_val("show application_name"))
    other:execute("set application_name = 'left'")
    assert.equal("ours", other:fetch_val("show application_name"))
    assert.equal("ours", other:fetch_val("show application_name"))
    assert.equal(2, seen)
    other:close()
  end)
end)
