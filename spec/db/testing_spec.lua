-- mp.testing: what the specs of programs need. Everything inside rollback is undone, and nothing inside can tell.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("mp.testing", function(open, database)
  local db, User

  before_each(function()
    db = open()
    User = mp.entity("User", { name = f.string{ max = 100, unique = true }, age = f.integer{ default = 0 } }, { database = db })
    db:create_all()
    User:create{ name = "old" }
  end)

  local function names()
    return table.concat(User:order_by("name"):pluck("name"), " ")
  end

  describe("rollback", function()
    it("undoes what its function did, and gives its values", function()
      local made
      local a, b, c = mp.testing.rollback(function(x)
        made = User:create{ name = "new" }
        User:filter{ name = "old" }:update{ age = 5 }
        local quoted = database.dialect == "mariadb" and "`user`" or "\"user\""
        db:execute("insert into " .. quoted .. " (name, age) values (?, ?)", "raw", 1)
        assert.equal("new old raw", names())
        return x, nil, 3
      end, 1)
      assert.same({ 1, 3 }, { a, c })
      assert.is_nil(b)
      assert.equal("old", names())
      assert.is_nil(made.id)
      assert.equal(0, User:first().age)
    end)

    it("undoes it when its function fails, and passes the error on", function()
      local ok, err = pcall(mp.testing.rollback, function()
        User:create{ name = "new" }
        error("stop", 0)
      end)
      assert.same({ false, "stop" }, { ok, err })
      assert.equal("old", names())
      databases.quiet(db)
    end)

    it("lets blocks commit and roll back, and their hooks run, as in production", function()
      local log = {}
      mp.testing.rollback(function()
        mp.on_commit(function() log[#log + 1] = "at once" end)
        db:atomic({ durable = true }, function(tx)
          tx:on_commit(function() log[#log + 1] = "committed " .. names() end)
          User:create{ name = "new" }
          mp.try(mp.atomic, { database = db }, function(inner)
            inner:on_commit(function() log[#log + 1] = "never" end)
            inner:on_rollback(function() log[#log + 1] = "undone" end)
            User:create{ name = "inner" }
            error("x")
          end)
          raises("durable", db.atomic, db, { durable = true }, function() end)
        end)
        assert.equal("new old", names())
        databases.undone(mp.atomic, { database = db }, function(tx)
          tx:on_commit(function() log[#log + 1] = "never" end)
          error "undone"
        end)
        local tx = db:begin()
        User:create{ name = "by hand" }
        tx:rollback()
        assert.equal("new old", names())
      end)
      assert.same({ "at once", "undone", "committed new old" }, log)
      assert.equal("old", names())
    end)

    it("keeps a statement that fails by itself by itself", function()
      mp.testing.rollback(function()
        raises("unique", User.create, User, { name = "old" })
        raises("programming", db.fetch_all, db, "select nothing from nowhere")
        User:create{ name = "new" }
        assert.equal("new old", names())
        raises("unique", User.bulk_create, User, { { name = "a" }, { name = "old" } })
        assert.equal("new old", names())
        raises("bad_argument", function() return User:for_update():all() end)
      end)
      assert.equal("old", names())
    end)

    it("runs sessions and retries inside", function()
      local runs = 0
      mp.testing.rollback(function()
        db:session(function(s)
          User{ name = "scheduled" }
          s:get(User, User:filter{ name = "old" }:one().id).age = 4
          mp.on_commit(function() runs = runs + 1 end)
        end)
        assert.equal("old scheduled", names())
        assert.equal(4, User:filter{ name = "old" }:one().age)
        assert.equal(1, runs)
        local conflict = raises("bad_argument", mp.atomic, nil)
        conflict.kind, conflict.retryable = "serialization", "transaction"
        db:atomic({ retry = 2 }, function()
          runs = runs + 1
          User:create{ name = "run " .. runs }
          if runs == 2 then
            error(conflict)
          end
        end)
        assert.equal("old run 3 scheduled", names())
      end)
      assert.equal("old", names())
      raises("bad_argument", db.session, db, function()
        mp.testing.rollback(function() end)
      end)
    end)

    it("ends with its task where it is left in a generator that nobody finishes, and says so", function()
      local task = mp.spawn(function()
        coroutine.wrap(function()
          mp.testing.rollback(function()
            User:create{ name = "eve" }
            coroutine.yield()
          end)
        end)()
        User:create{ name = "lost" }
      end)
      assert.matches("generator", raises("concurrency", task.wait, task).message)
      User:create{ name = "zoe" }
      assert.equal(0, mp.testing.rollback(function() return User:filter{ name__in = { "eve", "lost" } }:count() end))
    end)

    it("is nested as it is", function()
      mp.testing.rollback(function()
        User:create{ name = "outer" }
        mp.testing.rollback(function()
          User:create{ name = "inner" }
          assert.equal("inner old outer", names())
        end)
        assert.equal("old outer", names())
      end)
      assert.equal("old", names())
    end)

    it("refuses other tasks, whose work would stay, and connections of one's own", function()
      for _, touch in ipairs{ false, true } do
        mp.testing.rollback(function()
          if touch then
            User:count()
          end
          local err = raises("concurrency", function()
            mp.spawn(function() User:create{ name = "other" } end):wait()
          end)
          assert.truthy(err.message:find("mp.testing.rollback", 1, true))
          raises("concurrency", mp.gather, function() return User:count() end)
          raises("concurrency", mp.gather, function() return db:atomic(function() end) end)
          raises("unsupported", db.connect, db)
        end)
      end
      assert.equal("old", names())
      mp.spawn(function() User:create{ name = "other" } end):wait()
      assert.equal("old other", names())
    end)

    it("goes through rows in streams", function()
      User:create{ name = "two" }
      mp.testing.rollback(function()
        local seen = {}
        for user in User:order_by("name"):iter{ chunk = 1 } do
          seen[#seen + 1] = user.name
          User:filter{ id = user.id }:update{ age = 9 }
        end
        assert.same({ "old", "two" }, seen)
        assert.same({ 9, 9 }, User:pluck("age"))
      end)
      assert.same({ 0, 0 }, User:pluck("age"))
    end)

    it("takes a function", function()
      raises("bad_argument", mp.testing.rollback, 3)
      raises("bad_argument", mp.testing.queries, nil)
    end)
  end)

  describe("queries", function()
    it("gives the statements of its function, and what it returns", function()
      local list, value = mp.testing.queries(function(x)
        User:count()
        db:atomic(function() User:filter{ name = "old" }:update{ age = 1 } end)
        return x
      end, 7)
      assert.equal(7, value)
      local words = {}
      for place, record in ipairs(list) do
        words[place] = record.sql:match("^%a+")
      end
      assert.same({ "SELECT", "BEGIN", "UPDATE", "COMMIT" }, words)
      assert.equal(1, list[3].rows)
      assert.truthy(list[1].caller:find("testing_spec", 1, true))
      assert.same({}, mp.testing.queries(function() end))
    end)

    it("says inside of rollback what it says outside", function()
      local function program()
        User:count()
        db:atomic(function() User:filter{ name = "old" }:update{ age = 1 } end)
        databases.undone(mp.atomic, { database = db }, function()
          User:count()
          error "undone"
        end)
      end
      local function words(list)
        local all = {}
        for place, record in ipairs(list) do
          all[place] = record.sql
        end
        return all
      end
      local outside, inside = mp.testing.queries(program), nil
      mp.testing.rollback(function() inside = mp.testing.queries(program) end)
      assert.same(words(outside), words(inside))
    end)

    if not database.single then
      it("leaves out what other tasks run, but for the branches that it waits for", function()
        local list = mp.testing.queries(function()
          local other = mp.spawn(function() User:count() end)
          other:wait()
          mp.gather(function() User:exists() end)
        end)
        assert.equal(1, #list)
      end)
    end

    it("stops at the end of its function, also when that fails", function()
      local seen
      pcall(mp.testing.queries, function() seen = db.observers; error("x") end)
      assert.is_truthy(seen)
      assert.is_nil(db.observers)
    end)
  end)
end)
