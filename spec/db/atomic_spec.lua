-- Transactions: all or nothing, nested to any depth, owned by one task.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("atomic", function(open, database)
  local db, User

  before_each(function()
    db = open()
    User = mp.entity("User", { name = f.string{ max = 100, unique = true }, age = f.integer{ default = 0 } }, { database = db })
    db:create_all()
  end)

  local function names()
    return table.concat(User:order_by("name"):pluck("name"), " ")
  end

  it("commits at the end and gives what the function gives", function()
    local a, b, c = db:atomic(function()
      User:create{ name = "ada" }
      return 1, nil, 3
    end)
    assert.same({ 1, 3 }, { a, c })
    assert.is_nil(b)
    assert.equal("ada", names())
  end)

  it("rolls back on an error, which passes through unchanged", function()
    for _, value in ipairs{ "text", { a = 1 }, 42 } do
      local ok, err = pcall(mp.atomic, { database = db }, function()
        User:create{ name = "ada" }
        error(value, 0)
      end)
      assert.is_false(ok)
      assert.equal(value, err)
    end
    assert.equal("", names())
  end)

  it("keeps the outer work when the inner block fails", function()
    db:atomic(function()
      User:create{ name = "ada" }
      local ok, err = pcall(mp.atomic, { database = db }, function()
        User:create{ name = "bob" }
        User:create{ name = "ada" } -- name is unique
      end)
      assert.is_false(ok)
      assert.equal("unique", err.kind)
      User:create{ name = "cleo" }
    end)
    assert.equal("ada cleo", names())
  end)

  it("nests to any depth", function()
    local function nest(depth)
      return db:atomic(function()
        User:create{ name = ("%02d"):format(depth) }
        if depth < 20 then
          mp.try(nest, depth + 1)
        end
        if depth % 5 == 0 then
          error("undone from here on", 0)
        end
      end)
    end
    nest(1)
    assert.equal("01 02 03 04", names())
  end)

  it("raises in_failed_transaction when a database error was swallowed, and undoes the block", function()
    User:create{ name = "ada" }
    local err = raises("in_failed_transaction", function()
      db:atomic(function()
        User:create{ name = "bob" }
        pcall(User.create, User, { name = "ada" })
      end)
    end)
    assert.equal("unique", err.cause.kind)
    raises("in_failed_transaction", function()
      db:atomic(function()
        pcall(User.create, User, { name = "ada" })
        User:count()
      end)
    end)
    assert.equal("ada", names())
  end)

  it("does not mind a validation error, which the database never saw", function()
    db:atomic(function()
      raises("validation", User.create, User, { name = true })
      User:create{ name = "ada" }
    end)
    assert.equal("ada", names())
  end)

  it("is left quietly by tx:rollback, with its arguments", function()
    assert.equal("why", db:atomic(function(tx)
      User:create{ name = "ada" }
      tx:rollback("why")
    end))
    assert.equal("", names())
  end)

  it("runs on_commit after the outermost commit, and not what was undone", function()
    local log = {}
    db:atomic(function(tx)
      tx:on_commit(function() log[#log + 1] = "first" .. User:count() end)
      mp.try(mp.atomic, { database = db }, function(inner)
        inner:on_commit(function() log[#log + 1] = "undone" end)
        error("x")
      end)
      db:atomic(function(inner)
        inner:on_commit(function() log[#log + 1] = "second" end)
      end)
      User:create{ name = "ada" }
      assert.same({}, log)
    end)
    assert.same({ "first1", "second" }, log)
    databases.undone(mp.atomic, { database = db }, function(tx)
      tx:on_commit(function() log[#log + 1] = "never" end)
      tx:on_rollback(function() log[#log + 1] = "rolled back" end)
      error "undone"
    end)
    assert.same({ "first1", "second", "rolled back" }, log)
  end)

  it("puts the objects that it wrote back as the database has them", function()
    local old = User:create{ name = "ada", age = 1 }
    local new, inner
    databases.undone(mp.atomic, { database = db }, function()
      old.age = 2
      old:save()
      new = User:create{ name = "bob" }
      error "undone"
    end)
    assert.equal(1, old.age)
    assert.is_false(old:is_dirty())
    assert.is_nil(new.id)
    new:save()
    assert.equal("ada bob", names())
    db:atomic(function()
      old.age = 3
      old:save()
      mp.try(mp.atomic, { database = db }, function()
        old.age = 4
        old:save()
        inner = User:create{ name = "cleo" }
        error("x")
      end)
      assert.equal(3, old.age)
      assert.is_nil(inner.id)
    end)
    assert.equal(3, User:get(old.id).age)
  end)

  it("is durable or refuses to be", function()
    raises("durable", function()
      db:atomic(function()
        db:atomic({ durable = true }, function() end)
      end)
    end)
    assert.equal(1, db:atomic({ durable = true }, function() return 1 end))
  end)

  it("refuses another isolation inside, and options that the database cannot keep", function()
    assert.equal(1, db:atomic({ isolation = "serializable" }, function() return 1 end))
    raises("durable", db.atomic, db, function()
      db:atomic({ isolation = "read committed" }, function() end)
    end)
    local deferrable = { isolation = "serializable", read_only = true, deferrable = true }
    if database.dialect ~= "postgres" then
      raises("unsupported", db.atomic, db, deferrable, function() end)
    else
      assert.equal("on", db:atomic(deferrable, function() return db:fetch_val("show transaction_deferrable") end))
    end
    raises("usage", db.atomic, db, { isolation = "sometimes" }, function() end)
    raises("unknown_option", db.atomic, db, { retri = 1 }, function() end)
  end)

  it("reads only, when it says so", function()
    User:create{ name = "ada" }
    assert.equal(1, db:atomic({ read_only = true }, function() return User:count() end))
    raises("read_only", db.atomic, db, { read_only = true }, function()
      User:create{ name = "bob" }
    end)
    User:create{ name = "bob" }
    assert.equal("ada bob", names())
  end)

  it("runs again on a failure that asks for it, with objects as they were", function()
    local user, runs = User:create{ name = "ada", age = 1 }, 0
    local conflict = raises("pool_closed", function()
      local other = mp.open "sqlite::memory:"
      other:close()
      other:execute("select 1")
    end)
    conflict.kind, conflict.retryable = "serialization", "transaction"
    db:atomic({ retry = 3 }, function()
      runs = runs + 1
      user.age = user.age + 1
      user:save()
      if runs < 3 then
        error(conflict)
      end
    end)
    assert.equal(3, runs)
    assert.equal(2, user.age)
    assert.equal(2, User:get(user.id).age)
    runs = 0
    assert.equal(conflict, select(2, pcall(mp.atomic, { database = db, retry = 2 }, function()
      runs = runs + 1
      error(conflict)
    end)))
    assert.equal(3, runs)
    runs = 0
    databases.undone(mp.atomic, { database = db, retry = 2 }, function()
      runs = runs + 1
      error "undone" -- not a conflict
    end)
    assert.equal(1, runs)
  end)

  if database.server then -- SQLite's writers wait for each other
    it("runs again after a conflict of two transactions on the server, so that both are as if alone", function()
      local a, b = User:create{ name = "ada", age = 1 }, User:create{ name = "bob", age = 1 }
      local runs, arrived = 0, 0
      local function meet() -- the first time both are half way before one goes on
        runs, arrived = runs + 1, arrived + 1
        while arrived < 2 do
          mp.sleep(0.001)
        end
      end

      local function copy(from, to)
        db:atomic({ isolation = "serializable", retry = 5 }, function()
          local age = User:get(from.id).age
          meet()
          User:filter{ id = to.id }:update{ age = age + 1 }
        end)
      end
      mp.gather(function() copy(a, b) end, function() copy(b, a) end)
      assert.truthy(runs > 2)
      assert.same({ 2, 3 }, User:order_by("age"):pluck("age"))

      local function add(first, second)
        db:atomic({ retry = 5 }, function()
          User:filter{ id = first.id }:update{ age = mp.F.age + 10 }
          meet()
          User:filter{ id = second.id }:update{ age = mp.F.age + 10 }
        end)
      end
      runs, arrived = 0, 0
      mp.gather(function() add(a, b) end, function() add(b, a) end)
      assert.equal(3, runs)
      assert.same({ 22, 23 }, User:order_by("age"):pluck("age"))
    end)

    it("names a deadlock, which the block may be run again for", function()
      local a, b = User:create{ name = "ada" }, User:create{ name = "bob" }
      local arrived = 0
      local function add(first, second)
        db:atomic(function()
          User:filter{ id = first.id }:update{ age = 1 }
          arrived = arrived + 1
          while arrived < 2 do
            mp.sleep(0.001)
          end
          User:filter{ id = second.id }:update{ age = 1 }
        end)
      end
      local tasks = { mp.spawn(add, a, b), mp.spawn(add, b, a) }
      local failures = {}
      for _, task in ipairs(tasks) do
        local ok, err = pcall(task.wait, task)
        failures[#failures + 1] = not ok and err or nil
      end
      assert.equal(1, #failures)
      assert.equal("deadlock", failures[1].kind)
      assert.equal("transaction", failures[1].retryable)
      assert.same({ 1, 1 }, User:pluck("age"))
      databases.quiet(db)
    end)
  end

  it("wraps a function", function()
    local add = mp.atomic.wrap({ database = db }, function(a, b)
      User:create{ name = a .. b }
      return a .. b
    end)
    assert.equal("xy", add("x", "y"))
    assert.equal("xy", names())
  end)

  it("is held by hand, with savepoints", function()
    local tx = db:begin()
    User:create{ name = "ada" }
    local sp = tx:savepoint()
    User:create{ name = "bob" }
    sp:rollback()
    sp = tx:savepoint()
    User:create{ name = "cleo" }
    sp:release()
    tx:commit()
    tx:close()
    assert.equal("ada cleo", names())
    do
      local _ <close> = db:begin()
      User:create{ name = "dan" }
    end
    assert.equal("ada cleo", names())
    raises("stale_handle", tx.savepoint, tx)
  end)

  it("belongs to its task: another one sees committed data only", function()
    if database.single then
      local err = raises("pool_deadlock", function()
        db:atomic(function()
          mp.spawn(function() return User:count() end):wait()
        end)
      end)
      assert.truthy(err.message)
      return
    end
    db:atomic(function()
      User:create{ name = "ada" }
      assert.equal(0, mp.spawn(function() return User:count() end):wait())
    end)
  end)

  it("refuses a branch of gather or map that touches its database, and names the ways out", function()
    local err = raises("concurrency", function()
      db:atomic(function()
        mp.gather(function() return User:count() end)
      end)
    end)
    assert.truthy(err.message:find("tx:gather", 1, true), err.message)
    raises("concurrency", function()
      db:atomic(function()
        mp.map({ 1 }, function() return User:count() end)
      end)
    end)
  end)

  it("runs branches one after the other in savepoints by tx:gather", function()
    local a, b = db:atomic(function(tx)
      return tx:gather(function()
        User:create{ name = "ada" }
        return User:count()
      end, function()
        User:create{ name = "bob" }
        return User:count()
      end)
    end)
    assert.same({ 1, 2 }, { a, b })
    raises("unique", function()
      db:atomic(function(tx)
        tx:gather(function() User:create{ name = "cleo" } end, function() User:create{ name = "ada" } end)
      end)
    end)
    assert.equal("ada bob", names())
  end)

  it("refuses its handle to another task and names both", function()
    raises("concurrency", function()
      db:atomic(function(tx)
        mp.spawn(function() tx:savepoint() end):wait()
      end)
    end)
  end)

  it("is rolled back when its task is cancelled", function()
    local inside = false
    local task = mp.spawn(function()
      db:atomic(function()
        User:create{ name = "ada" }
        inside = true
        mp.sleep(60)
      end)
    end)
    while not inside do
      mp.sleep(0.001)
    end
    task:cancel()
    raises("cancelled", task.wait, task)
    assert.equal("", names())
    databases.quiet(db)
  end)

  it("adds up concurrent increments", function()
    local user = User:create{ name = "ada" }
    local list = {}
    for i = 1, 25 do
      list[i] = i
    end
    mp.map(list, function()
      db:atomic(function()
        User:filter{ id = user.id }:update{ age = mp.F.age + 1 }
      end)
    end)
    assert.equal(25, User:get(user.id).age)
  end)
end)
