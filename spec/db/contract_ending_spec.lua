-- How a transaction ends, sentence by sentence of the contract: by hand and with its scope, its hooks, its attempts, and the
-- objects that it wrote.

local mp = require "moonpool"
local core = require "moonpool.core"
local databases = require "spec.support.databases"
local errors = require "moonpool.errors"
local raises = databases.raises
local until_true = require("spec.support.waiting").until_true
local f = mp.field

databases.each("the end of a transaction", function(open, database)
  local db, User

  before_each(function()
    db = open()
    User = mp.entity("User", { name = f.string{ max = 100, unique = true }, age = f.integer{ default = 0 } }, { database = db })
    db:create_all()
  end)

  local function names()
    return table.concat(User:order_by("name"):pluck("name"), " ")
  end

  local function conflict()
    local err = raises("bad_argument", mp.is, nil, "nothing")
    err.kind, err.retryable = "serialization", "transaction"
    return err
  end

  describe("by hand", function()
    it("keeps the work of savepoints that nobody ended, and ends those inside of another with it", function()
      local tx = db:begin()
      local one = tx:savepoint()
      local two = one:savepoint()
      User:create{ name = "ada" }
      one:release()
      raises("stale_handle", two.rollback, two)
      tx:savepoint()
      User:create{ name = "bob" }
      tx:commit()
      raises("stale_handle", tx.commit, tx)
      assert.equal("ada bob", names())
    end)

    it("commits nothing when a statement in it has failed, unless that was in a savepoint that is undone", function()
      local tx = db:begin()
      User:create{ name = "ada" }
      pcall(User.create, User, { name = "ada" })
      assert.equal("unique", raises("in_failed_transaction", tx.commit, tx).cause.kind)
      assert.equal("", names())
      tx = db:begin()
      User:create{ name = "ada" }
      local sp = tx:savepoint()
      pcall(User.create, User, { name = "ada" })
      raises("in_failed_transaction", sp.release, sp) -- undone with that
      User:create{ name = "bob" }
      tx:commit()
      assert.equal("ada bob", names())
    end)

    it("is not ended while a block inside of it runs", function()
      local tx = db:begin()
      db:atomic(function()
        raises("bad_argument", tx.commit, tx)
        raises("bad_argument", tx.rollback, tx)
        User:create{ name = "ada" }
      end)
      tx:commit()
      assert.equal("ada", names())
    end)

    it("is rolled back at the end of its scope, however that is left", function()
      for _, way in ipairs{ "break", "error", "cancelled" } do
        local ok = pcall(mp.timeout, way == "cancelled" and 0.2 or 60, function()
          for _ = 1, 2 do
            local _ <close> = db:begin()
            User:create{ name = way }
            if way == "break" then
              break
            elseif way == "error" then
              error "x"
            end
            mp.sleep(60)
          end
        end)
        assert.equal(way == "break", ok)
        assert.equal("", names())
      end
      databases.quiet(db)
    end)

    it("keeps the error that leaves its scope, with what its end raises beside it", function()
      for _, what in ipairs { "a transaction", "a session" } do
        local err = raises("unique", function()
          local outer <close> = what == "a session" and db:session() or db:begin()
          local inner <close> = what == "a session" and outer:begin_nested() or outer:savepoint()
          assert(inner)
          mp.atomic({ database = db }, function(tx)
            tx:on_rollback(function() error(errors.new("not_found", "a hook"), 0) end)
            User:create{ name = what }
          end)
          User:create{ name = what }
        end)
        assert.same({ "not_found" }, { err.suppressed[1].kind })
        assert.equal("a hook", raises("not_found", function()
          local tx <close> = db:begin()
          tx:on_rollback(function() error(errors.new("not_found", "a hook"), 0) end)
        end).message)
        assert.equal("", names())
      end
      assert.is_nil(mp.session.current())
    end)

    it("is rolled back with its generator, which cannot wait when it is closed", function()
      local user, log = User:create{ name = "ada", age = 1 }, {}
      local function generator(last)
        return coroutine.create(function()
          local tx <close> = db:begin()
          tx:on_rollback(function() log[#log + 1] = last end)
          user.age = 2
          user:save()
          tx:savepoint()
          User:create{ name = last }
          coroutine.yield()
          error(last, 0)
        end)
      end
      local one = generator "closed"
      assert.is_true(coroutine.resume(one))
      assert.is_true(coroutine.close(one))
      assert.equal("ada", names()) -- the task is out of it
      assert.equal(1, user.age)
      User:create{ name = "bob" }
      local two = generator "failed"
      local step = coroutine.wrap(function() return coroutine.resume(two), coroutine.resume(two) end)
      step()
      assert.is_false(coroutine.close(two))
      assert.same({ "closed", "failed" }, log)
      assert.equal("ada bob", names())
      until_true(function() return db:pool_stats().busy == 0 end) -- the pool rolls back behind its back
    end)
  end)

  describe("with hooks", function()
    it("runs all of them in order, whatever they raise, with everything committed", function()
      local log = {}
      local first = conflict()
      local err = raises("serialization", db.atomic, db, { retry = 3 }, function(tx)
        User:create{ name = "ada" }
        tx:on_commit(function() log[#log + 1] = 1 error(first) end)
        tx:on_commit(function() log[#log + 1] = 2 error("second", 0) end)
        tx:on_commit(function()
          log[#log + 1] = 3
          mp.on_commit(function() log[#log + 1] = 4 end) -- there is no transaction any more
          db:atomic(function() User:create{ name = "bob" } end)
        end)
      end)
      assert.equal(first, err)
      assert.same({ "second" }, err.suppressed)
      assert.same({ 1, 2, 3, 4 }, log)
      assert.equal("ada bob", names())
    end)

    it("drops those of an attempt that is run again, and tells each of its rollback", function()
      local log, run = {}, 0
      db:atomic({ retry = 2 }, function(tx)
        run = run + 1
        local this = run
        tx:on_commit(function() log[#log + 1] = "committed " .. this end)
        tx:on_rollback(function() log[#log + 1] = "undone " .. this end)
        if run < 3 then
          error(conflict())
        end
      end)
      assert.same({ "undone 1", "undone 2", "committed 3" }, log)
    end)

    it("runs on_rollback of what was kept inside when the whole is undone, and not after a commit", function()
      local log = {}
      local function note(what)
        return function() log[#log + 1] = what end
      end
      pcall(db.atomic, db, function(tx)
        tx:on_rollback(note "outer")
        db:atomic(function(inner) inner:on_rollback(note "inner") end)
        pcall(db.atomic, db, function(inner) inner:on_rollback(note "gone") error "x" end)
        assert.same({ "gone" }, log)
        error "x"
      end)
      assert.same({ "gone", "outer", "inner" }, log)
      db:atomic(function(tx) tx:on_rollback(note "never") end)
      db:atomic(function(tx) tx:on_rollback(note "quit") tx:rollback() end)
      assert.equal("quit", log[#log])
      assert.equal(4, #log)
    end)

    it("keeps what on_rollback raises beside the error that rolls back", function()
      local cause = conflict()
      local err = raises("serialization", db.atomic, db, function(tx)
        tx:on_rollback(function() error("hook", 0) end)
        error(cause)
      end)
      assert.equal(cause, err)
      assert.same({ "hook" }, err.suppressed)
      local ok, raised = pcall(db.atomic, db, function(tx)
        tx:on_rollback(function() error("hook", 0) end)
        tx:rollback()
      end)
      assert.same({ false, "hook" }, { ok, raised })
    end)

    it("keeps those of savepoints by hand with the savepoint", function()
      local log, tx = {}, db:begin()
      local function note(sp, what)
        sp:on_commit(function() log[#log + 1] = what end)
        sp:on_rollback(function() log[#log + 1] = "no " .. what .. " " .. names() end)
        User:create{ name = what }
        return sp
      end
      note(tx, "whole")
      note(tx:savepoint(), "first"):rollback()
      note(tx:savepoint(), "second"):release()
      tx:commit()
      assert.same({ "no first whole", "whole", "second" }, log)
    end)

    it("finds its own one by mp.on_commit: the innermost, over all databases, of this task", function()
      local other, log = open(), {}
      local function note(what)
        return function() log[#log + 1] = what end
      end
      db:atomic(function()
        other:atomic(function() mp.on_commit(note "other") end)
        mp.on_commit(note "db")
        mp.spawn(function() mp.on_commit(note "task") end):wait()
        log[#log + 1] = "end"
      end)
      assert.same({ "other", "task", "end", "db" }, log)
      mp.on_commit(note "outside")
      assert.equal("outside", log[5])
      raises("bad_argument", mp.on_commit, 3)
    end)
  end)

  it("is run again only where it is outermost, only for a conflict, and not once its task is cancelled", function()
    local function runs(around, options, fails)
      local n = 0
      local ok, err = pcall(around, function()
        db:atomic(options, function()
          n = n + 1
          fails(n)
        end)
      end)
      return n, ok or err.kind
    end
    local function fails() error(conflict()) end
    local function alone(fn) fn() end
    assert.same({ 4, "serialization" }, { runs(alone, { retry = 3 }, fails) })
    assert.same({ 1, "serialization" }, { runs(alone, { retry = 0 }, fails) })
    assert.same({ 1, "serialization" }, { runs(function(fn) db:atomic(fn) end, { retry = 3 }, fails) })
    assert.same({ 1, "serialization" }, { runs(function(fn) db:session(fn) end, { retry = 3 }, fails) })
    assert.same({ 1, "serialization" }, { runs(function(fn) local _ <close> = db:begin() fn() end, { retry = 3 }, fails) })
    User:create{ name = "ada" }
    assert.same({ 1, "unique" }, { runs(alone, { retry = 3 }, function() User:create{ name = "ada" } end) })
    assert.same({ 2, true }, { runs(alone, { retry = 3 }, function(n) if n < 2 then fails() end end) })
    local given = {}
    local wrapped = mp.atomic.wrap({ database = db, retry = 2 }, function(...)
      given[#given + 1] = table.pack(...)
      if #given < 3 then
        fails()
      end
      return ...
    end)
    assert.same({ n = 3, nil, "b", nil }, table.pack(wrapped(nil, "b", nil)))
    assert.same({ given[1], given[1], given[1] }, given)
    local n, kind = runs(function(fn) mp.timeout(0.05, fn) end, { retry = 1000 }, fails)
    assert.equal("timeout", kind)
    assert.truthy(n >= 1 and n < 20, n)
  end)

  describe("that is undone puts objects back", function()
    local function undone(fn)
      pcall(db.atomic, db, function()
        fn()
        error "x"
      end)
    end

    it("that were deleted, refreshed, written in bulk or found and changed", function()
      local user = User:create{ name = "ada", age = 1 }
      local id = user.id
      undone(function() user:delete() end)
      assert.equal(id, user.id)
      undone(function()
        User:filter{ id = id }:update{ age = 7 }
        user:refresh()
        assert.equal(7, user.age)
      end)
      assert.equal(1, user.age)
      undone(function()
        user.age = 5
        User:bulk_update({ user }, { "age" })
      end)
      assert.equal(1, user.age)
      local found
      undone(function()
        found = User:get(id)
        found.age = 3
        found:save()
      end)
      assert.equal(1, found.age)
      for _, one in ipairs{ user, found } do
        assert.is_false(one:is_dirty())
        one.age = one.age + 1
        one:save()
      end
      assert.equal(2, User:get(id).age)
    end)

    it("that are new, without their generated keys, and what was assigned before the block", function()
      local list, made = { User{ name = "a" }, User{ name = "b" } }, nil
      undone(function()
        User:bulk_create(list)
        made = User:get_or_create{ name = "c" }
        assert.truthy(list[1].id and made.id)
      end)
      assert.same({}, { list[1].id, list[2].id, made.id })
      for _, one in ipairs{ list[1], list[2], made } do
        one:save()
      end
      assert.equal("a b c", names())
      made.age = 9
      undone(function() made:save() end)
      assert.equal(0, made.age)
      assert.is_false(made:is_dirty())
    end)

    it("however it is undone", function()
      local user = User:create{ name = "ada", age = 1 }
      local function change()
        user.age = 2
        user:save()
      end
      for claim, way in pairs{
        quit = function() db:atomic(function(tx) change() tx:rollback() end) end,
        hand = function() local tx = db:begin() change() tx:rollback() end,
        closed = function() local _ <close> = db:begin() change() end,
        cancelled = function() mp.timeout(0.05, db.atomic, db, function() change() mp.sleep(60) end) end,
        swallowed = function() db:atomic(function() change() pcall(User.create, User, { name = "ada" }) end) end,
        kept_inside = function() db:atomic(function(tx) db:atomic(change) tx:rollback() end) end,
        by_branch = function() db:atomic(function(tx) tx:gather(function() change() error "x" end) end) end,
        ended = function() mp.spawn(function() db:begin() change() end):wait() end,
      } do
        pcall(way)
        assert.equal(1, user.age, claim)
        assert.is_false(user:is_dirty(), claim)
      end
      local tx = db:begin()
      change()
      local sp = tx:savepoint()
      user.age = 3
      user:save()
      sp:rollback()
      assert.equal(2, user.age)
      tx:commit()
      assert.equal(2, User:get(user.id).age)
    end)
  end)

  it("that fails at its COMMIT is undone, its objects and hooks with it, and the error is the constraint's", function()
    if database.dialect == "mariadb" then
      return -- checks nothing that late
    end
    db:execute "create table root (id integer primary key)"
    db:execute "create table leaf (id integer references root (id) deferrable initially deferred)"
    local user, log, runs = User:create{ name = "ada", age = 1 }, {}, 0
    local err = raises("foreign_key", db.atomic, db, { retry = 2 }, function(tx)
      runs = runs + 1
      user.age = 2
      user:save()
      tx:on_commit(function() log[#log + 1] = "committed" end)
      tx:on_rollback(function() log[#log + 1] = "undone" end)
      db:execute "insert into leaf (id) values (4711)"
    end)
    assert.same({ "undone" }, log)
    assert.equal(1, runs)
    assert.equal(1, user.age)
    assert.truthy(err.traceback:find("contract_ending_spec.lua", 1, true), err.traceback)
    assert.equal(1, User:get(user.id).age)
    databases.quiet(db)
  end)
end)

describe("a transaction whose COMMIT got no answer", function()
  it("runs hooks of neither kind, and not again, and what comes after it is not part of it", function()
    local name, log, runs = "contract_ending_spec", {}, 0
    core.fake(name, "commit *1 -> lost\ninsert -> affected 1")
    local db = mp.open{ dialect = "fake", database = name }
    finally(function()
      db:close()
      core.fake(name, nil)
    end)
    local function fn(tx)
      runs = runs + 1
      tx:on_commit(function() log[#log + 1] = "committed" end)
      tx:on_rollback(function() log[#log + 1] = "undone" end)
      return db:execute "insert"
    end
    local err = raises("commit_unknown", db.atomic, db, { retry = 3, durable = true }, fn)
    assert.is_false(err.retryable)
    assert.equal("unknown", err:resolve())
    assert.same({}, log)
    assert.equal(1, runs)
    assert.equal(1, db:atomic({ durable = true }, fn))
    assert.same({ "committed" }, log)
    databases.quiet(db)
  end)
end)
