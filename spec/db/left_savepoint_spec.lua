-- Savepoints by hand that nobody ended when their transaction does: they go its way, and whatever becomes of them, the
-- transaction is over.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local transaction = require "moonpool.database.transaction"
local raises = databases.raises

databases.each("a savepoint that nobody ended", function(open)
  local db

  before_each(function()
    db = open{ pool = { max = 2 } }
    db:execute("create table t (x integer unique)")
  end)

  local function put(x)
    return db:execute("insert into t values (?)", x)
  end

  local function assert_over(n)
    assert.is_nil(transaction.innermost(db))
    databases.quiet(db)
    assert.equal(n, db:fetch_val("select count(*) from t"))
  end

  it("is kept by the block that commits", function()
    db:atomic(function(tx)
      put(1)
      tx:savepoint()
      put(2)
    end)
    assert_over(2)
  end)

  it("undoes its block when it has failed", function()
    local err = raises("in_failed_transaction", db.atomic, db, function(tx)
      put(1)
      tx:savepoint()
      put(2)
      pcall(put, 2)
    end)
    assert.equal("unique", err.cause.kind)
    assert_over(0)
  end)

  it("undoes an inner block, and the outer one goes on", function()
    db:atomic(function()
      put(1)
      raises("in_failed_transaction", db.atomic, db, function(tx)
        put(2)
        tx:savepoint()
        pcall(put, 2)
      end)
      put(3)
    end)
    assert_over(2)
  end)

  it("undoes a transaction by hand when it has failed", function()
    local tx = db:begin()
    put(1)
    tx:savepoint()
    pcall(put, 1)
    raises("in_failed_transaction", tx.commit, tx)
    assert_over(0)
  end)

  it("does not keep its block open when its on_rollback raises", function()
    local boom = {}
    local heard = 0
    local ok, err = pcall(db.atomic, db, function(tx)
      put(1)
      tx:on_rollback(function() heard = heard + 1 end)
      local point = tx:savepoint()
      point:on_rollback(function() error(boom, 0) end)
      put(2)
      mp.try(put, 2)
      error("of its own", 0)
    end)
    assert.same({ false, "of its own" }, { ok, err })
    assert.equal(1, heard)
    assert_over(0)
  end)

  it("keeps a transaction as it was that is ended by hand around a block", function()
    local tx = db:begin()
    db:atomic(function()
      put(1)
      raises("bad_argument", tx.commit, tx)
      put(2)
    end)
    tx:commit()
    assert_over(2)
  end)
end)
