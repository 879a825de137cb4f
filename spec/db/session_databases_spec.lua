-- A session over several databases: all are flushed first, then committed, the first one touched first.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("a session over several databases", function(open, database)
  local first, second, A, B, C

  before_each(function()
    first, second = open(), open()
    A = mp.entity("Anchor", { name = f.string{ max = 20, unique = true } }, { database = first })
    B = mp.entity("Buoy", { name = f.string{ max = 20, unique = true } }, { database = second })
    first:create_all()
    second:create_all()
    C = nil
  end)

  local function all(entity)
    return table.concat(entity:order_by("name"):pluck("name"), " ")
  end

  -- A reference that is checked at COMMIT only.
  local function defer(db)
    if db.dialect == "mariadb" then
      return false
    end
    db:execute("create table root (id integer primary key)")
    db:execute("create table leaf (id integer references root (id) deferrable initially deferred)")
    return true
  end

  it("commits them all", function()
    mp.session({ database = first }, function()
      B{ name = "b" }
      A{ name = "a" }
      assert.equal(1, A:count())
    end)
    assert.same({ "a", "b" }, { all(A), all(B) })
  end)

  it("rolls back all when the flush of one fails", function()
    B:create{ name = "taken" }
    raises("unique", mp.session, { database = first }, function(s)
      A{ name = "a" }
      s:flush()
      B{ name = "taken" }
    end)
    assert.same({ "", "taken" }, { all(A), all(B) })
    raises("validation", mp.session, { database = first }, function()
      A{ name = "a" }
      B{ name = "much longer than twenty letters" }
    end)
    assert.same({ "", "taken" }, { all(A), all(B) })
  end)

  it("rolls back all when its function fails", function()
    databases.undone(mp.session, { database = first }, function(s)
      A{ name = "a" }
      B{ name = "b" }
      s:flush()
      error "undone"
    end)
    assert.same({ "", "" }, { all(A), all(B) })
    databases.quiet(first)
    databases.quiet(second)
  end)

  it("commits nothing when a statement in one of them has failed, which is known before", function()
    B:create{ name = "taken" }
    for _, order in ipairs { { A, B }, { B, A } } do
      local err = raises("in_failed_transaction", mp.session, { database = first }, function(s)
        for _, entity in ipairs(order) do
          entity{ name = "new" }
          s:flush()
        end
        raises("unique", B.create, B, { name = "taken" })
      end)
      assert.equal("unique", err.cause.kind)
      assert.same({ "", "taken" }, { all(A), all(B) })
    end
  end)

  it("commits nothing when the first commit fails", function()
    if not defer(first) then
      return
    end
    local a, b
    raises("foreign_key", mp.session, { database = first }, function()
      first:execute("insert into leaf (id) values (1)")
      a, b = A{ name = "a" }, B{ name = "b" }
    end)
    assert.same({ "", "" }, { all(A), all(B) })
    assert.is_nil(a.id)
    assert.is_nil(b.id)
  end)

  it("notes in partial_commit what a hook of the part that was committed raised", function()
    if not defer(second) then
      return
    end
    local err = raises("partial_commit", mp.session, { database = first }, function()
      A:create{ name = "a" }
      mp.on_commit(function() error("of a hook", 0) end)
      second:execute("insert into leaf (id) values (1)")
    end)
    assert.same({ "of a hook" }, err.suppressed)
  end)

  it("raises partial_commit, with both lists, when a later commit fails", function()
    if not defer(second) then
      return
    end
    local a, b
    local hooks = 0
    local err = raises("partial_commit", mp.session, { database = first }, function()
      a = A:create{ name = "a" }
      mp.on_commit(function() hooks = hooks + 1 end)
      b = B{ name = "b" }
      second:execute("insert into leaf (id) values (1)")
    end)
    assert.same({ tostring(first) }, err.committed)
    assert.same({ tostring(second) }, err.failed)
    assert.equal("foreign_key", err.cause.kind)
    assert.is_nil(tostring(err):find("leaf (id)", 1, true))
    assert.same({ "a", "" }, { all(A), all(B) })
    assert.is_truthy(a.id)
    assert.is_nil(b.id)
    assert.equal(1, hooks)
  end)

  if database.server and not database.pooler then
    it("raises partial_commit where a connection is lost between the commits", function()
      local mine = second.dialect == "mariadb" and "select connection_id()" or "select pg_backend_pid()"
      local kill = second.dialect == "mariadb" and "kill %d" or "select pg_terminate_backend(%d)"
      local number, a, b
      local remove = first:on("query", function(record)
        if record.sql == "COMMIT" and number then
          mp.spawn(function() second:execute(kill:format(number)) end):wait()
        end
      end)
      local err = raises("partial_commit", mp.session, { database = first }, function()
        a = A:create{ name = "a" }
        b = B:create{ name = "b" }
        number = second:fetch_val(mine)
      end)
      remove()
      assert.same({ tostring(first) }, err.committed)
      assert.same({ tostring(second) }, err.failed)
      assert.is_true(mp.is(err.cause, "connection") or err.cause.kind == "commit_unknown", tostring(err.cause))
      assert.is_false(err.retryable)
      assert.same({ "a", "" }, { all(A), all(B) })
      assert.is_truthy(a.id and b)
      databases.quiet(first)
      databases.quiet(second)
    end)
  end

  it("is not run again once something is committed", function()
    local runs = 0
    raises("serialization", mp.session, { database = first, retry = 3 }, function(s)
      runs = runs + 1
      A{ name = "a" }
      s:commit()
      local err = raises("bad_argument", mp.session, nil)
      err.kind, err.retryable = "serialization", "transaction"
      error(err)
    end)
    assert.equal(1, runs)
    assert.equal("a", all(A))
  end)

  it("undoes a savepoint in each of them", function()
    mp.session({ database = first }, function(s)
      A{ name = "a" }
      B{ name = "b" }
      s:flush()
      local sp = s:begin_nested()
      A{ name = "a2" }
      B{ name = "b2" }
      s:flush()
      sp:rollback()
      databases.undone(s.begin_nested, s, function()
        A{ name = "a3" }
        B{ name = "b3" }
        error "undone"
      end)
    end)
    assert.same({ "a", "b" }, { all(A), all(B) })
  end)

  it("keeps objects of the same key apart by their database", function()
    C = mp.entity("Crate", { name = f.string{ max = 20 } }, { database = first })
    first:create_all()
    for _, db in ipairs{ first, second } do
      if db == second then
        C = mp.entity("Crate", { name = f.string{ max = 20 } }, { database = second })
        second:create_all()
      end
      db:execute("insert into crate (id, name) values (?, ?)", 7, db == first and "1" or "2")
    end
    mp.session({ database = first }, function(s)
      local one, two = C:using(first):get(7), C:get(7)
      assert.not_equal(one, two)
      assert.equal(two, s:get(C, 7))
      one.name, two.name = "one", "two"
    end)
    assert.same({ "one", "two" }, { C:using(first):get(7).name, C:get(7).name })
  end)

  if database.dialect == "mariadb" then
    it("refuses to make tables inside, which would commit", function()
      raises("implicit_commit", mp.session, { database = first }, function()
        A{ name = "a" }
        first:create_all()
      end)
      assert.equal("", all(A))
    end)
  end
end)
