-- What waits for nothing takes no turn of the loop: an idle connection, and on PostgreSQL the statements of a transaction
-- that go with the next one.

local core = require "moonpool.core"
local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("a transaction", function(open, database)
  local db, User

  before_each(function()
    db = open()
    User = mp.entity("User", { name = f.string{ max = 100, unique = true } }, { database = db })
    db:create_all()
  end)

  -- How often the loop turned while fn ran.
  local function turns_of(fn)
    local before = core.turns()
    fn()
    return core.turns() - before
  end

  if database.dialect == "postgres" then
    it("in which nothing runs is never sent, and waits for nothing", function()
      assert.equal(0, User:count()) -- there is an idle connection
      assert.equal(0, turns_of(function()
        db:atomic(function()
          db:atomic(function() end)
        end)
      end))
      assert.equal(0, turns_of(function()
        local tx = db:begin()
        tx:savepoint():release()
        tx:rollback()
      end))
    end)

    it("waits for its statements and its end only", function()
      local inner
      db:atomic(function()
        inner = turns_of(function()
          local sp = db:begin()
          sp:commit()
        end)
        User:create{ name = "ada" }
      end)
      assert.equal(0, inner)
      assert.equal(1, User:count())
    end)
  end

  it("that begins on a connection at hand can be undone before and after its first statement", function()
    local ok, err = pcall(db.atomic, db, function()
      error("early", 0)
    end)
    assert.same({ false, "early" }, { ok, err })
    databases.undone(db.atomic, db, function()
      User:create{ name = "ada" }
      raises("unique", db.atomic, db, function()
        User:create{ name = "ada" }
      end)
      assert.equal(1, User:count())
      error "undone"
    end)
    assert.equal(0, User:count())
    assert.equal(0, db:pool_stats().busy)
  end)

  it("is not begun by a task that is cancelled", function()
    local entered, kind = false, nil
    local task
    task = mp.spawn(function()
      task:cancel()
      local _, err = pcall(db.atomic, db, function()
        entered = true
      end)
      kind = err.kind
    end)
    pcall(task.wait, task)
    assert.is_false(entered)
    assert.equal("cancelled", kind)
    assert.equal(0, User:count())
  end)
end)
