-- The statements of transactions on PostgreSQL are prepared as others are: whatever becomes of them there, nothing of a
-- transaction runs outside of it.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises

if not databases.postgres then
  return
end

describe("the statements of transactions on PostgreSQL", function()
  local db, close

  local function open(options)
    options = options or {}
    options.pool = { max = 1 }
    db, close = databases.postgres.open(options)
    db:execute("create table t (x integer unique)")
  end

  after_each(function()
    close()
  end)

  local function put(x)
    return db:execute("insert into t values (?)", x)
  end

  local function written()
    return db:fetch_all("select x from t order by x")
  end

  -- The texts that the server keeps and that begin so, each as often as it does.
  local function kept(beginning)
    local texts = {}
    for i, row in ipairs(db:fetch_all("select statement from pg_prepared_statements where statement like ? order by 1",
      beginning .. "%")) do
      texts[i] = row.statement
    end
    return texts
  end

  local function block(x)
    return mp.atomic(db, function()
      mp.atomic(db, function() put(x) end)
      put(-x)
      mp.try(mp.atomic, db, function() put(x) end)
    end)
  end

  it("are prepared once they have been used", function()
    open()
    for i = 1, 5 do
      block(i)
    end
    assert.same({ "BEGIN" }, kept "BEGIN")
    assert.same({ "SAVEPOINT mp_1", "SAVEPOINT mp_2" }, kept "SAVEPOINT")
    assert.same({ "RELEASE SAVEPOINT mp_1", "RELEASE SAVEPOINT mp_2" }, kept "RELEASE")
    assert.same({ "COMMIT" }, kept "COMMIT")
    assert.equal(10, #written())
  end)

  it("are not where savepoints have names that seldom come again", function()
    open()
    for _ = 1, 3 do
      mp.atomic(db, function()
        for i = 1, 30 do
          mp.atomic(db, function() put(i) end)
        end
        db:execute("delete from t")
      end)
    end
    assert.equal(9, #kept "SAVEPOINT")
    assert.equal(9, #kept "RELEASE")
  end)

  it("are not where the program wants few prepared statements", function()
    open{ statement_cache = 5 }
    for i = 1, 5 do
      block(i)
    end
    assert.same({}, kept "BEGIN")
    assert.same({}, kept "SAVEPOINT")
    assert.equal(10, #written())
  end)

  it("end a transaction that has failed", function()
    open()
    for i = 1, 5 do
      put(i)
      raises("unique", mp.atomic, db, function() put(i) end)
      mp.atomic(db, function()
        put(10 + i)
        raises("unique", mp.atomic, db, function() put(i) end)
        raises("in_failed_transaction", mp.atomic, db, function() mp.try(put, i) end)
        put(20 + i)
      end)
    end
    assert.same({ "ROLLBACK", "ROLLBACK TO SAVEPOINT mp_1", "ROLLBACK TO SAVEPOINT mp_2" }, kept "ROLLBACK")
    assert.equal(15, #written())
  end)

  it("undo a block directly before the commit", function()
    open()
    for i = 1, 3 do
      mp.atomic(db, function()
        put(i)
        mp.atomic(db, function(tx)
          put(10 + i)
          tx:rollback()
        end)
      end)
    end
    assert.same({ { x = 1 }, { x = 2 }, { x = 3 } }, written())
  end)

  it("keep all savepoints that were released before the commit", function()
    open()
    for i = 1, 3 do
      mp.atomic(db, function()
        mp.atomic(db, function()
          mp.atomic(db, function() put(i) end)
        end)
      end)
    end
    assert.equal(3, #written())
  end)

  it("run when the program has dropped all prepared statements", function()
    open()
    for i = 1, 3 do
      block(i)
    end
    mp.atomic(db, function()
      put(100)
      db:execute("deallocate all")
      mp.atomic(db, function() db:execute("insert into t values (101)") end)
    end)
    do
      local connection <close> = db:connect()
      for i = 102, 103 do
        connection:begin()
        connection:execute("insert into t values (" .. i .. ")")
        connection:execute("deallocate all -- " .. i)
        connection:commit()
      end
    end
    for i = 4, 6 do
      block(i)
    end
    assert.equal(16, #written())
  end)

  it("run nothing outside of a transaction where a function has dropped them unseen", function()
    open()
    db:execute("create function forget() returns void language plpgsql as $$ begin execute 'deallocate all'; end $$")
    for i = 1, 3 do
      block(i)
    end
    db:fetch_val("select forget()")
    raises("connection", mp.atomic, db, function()
      put(100)
      error("undone", 0)
    end)
    for i = 4, 6 do
      block(i)
    end
    assert.equal(12, #written())
    raises("plan_changed", mp.atomic, db, function()
      put(100)
      db:fetch_val("select forget()")
    end)
    assert.equal(12, #written())
  end)

  it("are prepared again in a session that was reset", function()
    open()
    for i = 1, 3 do
      block(i)
    end
    db:execute("set search_path = public")
    for i = 4, 6 do
      block(i)
    end
    assert.same({ "BEGIN" }, kept "BEGIN")
    assert.same({ "COMMIT" }, kept "COMMIT")
    assert.equal(12, #written())
  end)
end)
