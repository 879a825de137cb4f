-- Savepoints and transactions by hand that nobody ended when what is around them ends: all of it ends, whatever fails or
-- raises meanwhile, and the connection is free.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("the end of a transaction with a savepoint that nobody ended", function(open)
  local db, User

  before_each(function()
    db = open()
    User = mp.entity("User", { name = f.string{ max = 20, unique = true } }, { database = db, table = "people" })
    db:create_all()
  end)

  -- It is over, and the next statement is outside of it.
  local function ended(expected)
    databases.quiet(db)
    db:atomic({ durable = true }, function() assert.equal(expected, User:count()) end)
  end

  local function fails()
    error("the hook fails", 0)
  end

  it("keeps its work", function()
    db:atomic(function(tx)
      tx:savepoint()
      User:create{ name = "ada" }
    end)
    ended(1)
  end)

  it("is a rollback where a failure in the savepoint was swallowed", function()
    local err = raises("in_failed_transaction", db.atomic, db, function(tx)
      User:create{ name = "ada" }
      tx:savepoint()
      pcall(User.create, User, { name = "ada" })
    end)
    assert.equal("unique", err.cause.kind)
    ended(0)
    raises("in_failed_transaction", db.session, db, function(s)
      User{ name = "ada" }
      s:begin_nested()
      pcall(User.create, User, { name = "ada" })
    end)
    ended(0)
  end)

  it("is a rollback whose hooks may fail, each after the other", function()
    local function work(tx)
      local outer = tx:savepoint()
      outer:on_rollback(fails)
      outer:savepoint():on_rollback(function() raises("bad_argument", tx.on_rollback, tx, 3); error("and the inner one", 0) end)
      tx:on_rollback(function() tx = "all of them ran" end)
      User:create{ name = "ada" }
      return function() return tx end
    end
    local ran
    local ok, err = pcall(db.atomic, db, function(tx)
      ran = work(tx)
      error("x", 0)
    end)
    assert.same({ false, "x" }, { ok, err })
    assert.equal("all of them ran", ran())
    ended(0)
    ok, err = pcall(db.atomic, db, function(tx)
      work(tx)
      tx:rollback()
    end)
    assert.same({ false, "and the inner one" }, { ok, err })
    ended(0)
    local tx = db:begin()
    work(tx)
    assert.same({ false, "and the inner one" }, { pcall(tx.rollback, tx) })
    ended(0)
    tx:close()
  end)

  it("is a rollback where a reader of its statements fails", function()
    local remove = db:on("query", function(record)
      if record.sql:find("RELEASE", 1, true) then
        error("the reader fails", 0)
      end
    end)
    local ok, err = pcall(db.atomic, db, function(tx)
      tx:savepoint()
      User:create{ name = "ada" }
    end)
    remove()
    assert.same({ false, "the reader fails" }, { ok, err })
    ended(0)
  end)

  it("does not come while a block inside it runs", function()
    local tx = db:begin()
    db:atomic(function()
      local sp = db:begin()
      User:create{ name = "ada" }
      raises("bad_argument", tx.rollback, tx)
      raises("bad_argument", tx.commit, tx)
      sp:commit()
    end)
    tx:commit()
    ended(1)
  end)
end)
