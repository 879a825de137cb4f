-- What every error of a statement says, the same on every database: kind, family, table, the entity's fields, the
-- statement, and one line of text without what a row holds.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("an error", function(open, database)
  local db, Team, Person

  before_each(function()
    db = open()
    Team = mp.entity("Team", { title = f.string{ max = 10, column = "caption" } }, { database = db, table = "teams" })
    Person = mp.entity("Person", {
      name = f.string{ max = 20, unique = true, column = "full_name" }, age = f.integer{ min = 0, default = 1, column = "years" },
      nick = f.string{ null = true, max = 5, column = "short" }, code = f.string{ max = 5, null = true },
      balance = f.decimal{ precision = 5, scale = 2, max = "10.00", default = 0, column = "sum" },
      team = f.belongs_to("Team", { null = true, column = "team_key" }),
    }, { database = db, table = "people", indexes = { { "nick", "code", unique = true } } })
    db:create_all()
    Team:create{ title = "t" }
    Person:create{ name = "s3cret", nick = "n1ck", code = "c0de", team = 1 }
  end)

  -- A server error: what all of them say.
  local function check(kind, family, fn, columns, word)
    local err = raises(kind, fn)
    assert.equal(kind, err.kind)
    assert.is_true(mp.is(err, family))
    assert.equal("people", err.table)
    assert.same(columns, err.columns)
    assert.is_false(err.retryable)
    assert.is_true(err.sent)
    assert.equal(word, err.sql:match("^%u+"))
    assert.is_truthy(err.sqlstate or err.code)
    local text = tostring(err)
    assert.is_nil(text:find("\n", 1, true))
    for _, value in ipairs{ "s3cret", "n1ck", "c0de" } do
      assert.is_nil(text:find(value, 1, true), text)
      assert.is_nil(err.sql:find(value, 1, true), err.sql)
    end
    assert.truthy(err.traceback:match("^[^\n]*[^\n]*\n?[^\n]*contract_error_spec.lua:%d+"), err.traceback)
    return err
  end

  it("of a constraint names the fields of the entity, not the columns", function()
    check("unique", "integrity", function() Person:create{ name = "s3cret" } end, { "name" }, "INSERT")
    check("unique", "integrity", function() Person:bulk_create({ { name = "s3cret" } }, { returning = false }) end, { "name" }, "INSERT")
    check("unique", "integrity", function() Person:create{ name = "x", nick = "n1ck", code = "c0de" } end, { "nick", "code" }, "INSERT")
    check("not_null", "integrity", function() Person:all_rows():update{ name = mp.raw "NULL" } end, { "name" }, "UPDATE")
    check("check", "integrity", function() Person:all_rows():update{ age = mp.F.age - 5 } end, { "age" }, "UPDATE")
    check("check", "integrity", function() Person:all_rows():update{ balance = mp.F.balance + 11 } end, { "balance" }, "UPDATE")
  end)

  it("of a foreign key is one whichever side was touched", function()
    local child = raises("foreign_key", function() Person:create{ name = "x", team = 99 } end)
    local parent = raises("foreign_key", function() Team:all_rows():delete() end)
    for _, err in ipairs{ child, parent } do
      assert.is_true(mp.is(err, "integrity"))
      assert.is_false(err.retryable)
      if database.dialect ~= "sqlite" then -- which does not tell
        assert.equal("people", err.table)
        assert.same({ "team" }, err.columns)
        assert.is_truthy(err.constraint)
      end
    end
  end)

  it("of a statement has the same kind everywhere", function()
    for kind, sql in pairs{
      undefined_table = "select * from nowhere", undefined_column = "select nocolumn from teams", syntax = "selec 1",
    } do
      local err = raises(kind, db.execute, db, sql)
      assert.is_true(mp.is(err, "programming"))
      assert.equal(sql, err.sql)
      assert.is_false(err.retryable)
    end
    local data = { division_by_zero = mp.F.age / (mp.F.age - 1), out_of_range = mp.F.age + 9223372036854775807 }
    for kind, expression in pairs(data) do
      local err = raises(kind, function() Person:annotate{ x = expression }:all() end)
      assert.is_true(mp.is(err, "data"))
    end
    local err = raises("read_only", db.atomic, db, { read_only = true }, function() Team:create{ title = "x" } end)
    assert.is_true(mp.is(err, "transaction"))
  end)

  it("that is found before anything is sent says so", function()
    local list = mp.testing.queries(function()
      for kind, fn in pairs{
        validation = function() Team:create{ title = "longer than ten" } end,
        unknown_field = function() Team:filter{ titel = 1 }:all() end,
        unknown_lookup = function() Team:filter{ title__containz = 1 }:all() end,
        unknown_option = function() Team:bulk_create({}, { bach = 1 }) end,
        unfiltered = function() Team:delete() end,
        bad_parameters = function() db:execute("select ?", 1, 2) end,
        bad_argument = function() Team:get(nil) end,
      } do
        local err = raises(kind, fn)
        assert.is_false(err.sent)
        assert.is_false(err.retryable)
        assert.is_nil(err.sqlstate or err.code)
        assert.is_nil(tostring(err):find("\n", 1, true))
      end
    end)
    assert.equal(0, #list)
  end)

  it("names the nearest there is", function()
    for near, fn in pairs{
      ["title"] = function() Team:filter{ titel = 1 } end,
      ["contains"] = function() Team:filter{ title__containz = "x" } end,
      ["batch"] = function() Team:bulk_create({}, { bach = 1 }) end,
      ["team"] = function() Person:select_related("taem"):all() end,
      ["expire_on_commit"] = function() db:session{ expire_oncommit = true } end,
      ["isolation"] = function() db:atomic({ isolaton = "serializable" }, function() end) end,
    } do
      local err = raises("usage", fn)
      assert.truthy(err.message:find("did you mean " .. near, 1, true), err.message)
    end
  end)

  it("of a user's function passes through as it is, whatever it is", function()
    local thing = setmetatable({}, { __tostring = function() return "thing" end })
    for _, value in ipairs{ "text", 42, false, thing } do
      for _, run in ipairs{
        function(fn) db:atomic(fn) end, function(fn) db:session(fn) end, function(fn) mp.timeout(60, fn) end,
        function(fn) mp.testing.rollback(fn) end,
      } do
        local ok, err = pcall(run, function() error(value, 0) end)
        assert.is_false(ok)
        assert.equal(value, err)
      end
    end
    assert.is_false((pcall(db.session, db, function() error() end)))
    databases.quiet(db)
  end)

  it("inside a session is told with the session's own undoing behind it", function()
    local seen
    local err = raises("unique", db.session, db, function()
      mp.session.current():begin_nested() -- ended by nobody
      db:begin():on_rollback(function()
        seen = true
        error("a hook fails, too", 0)
      end)
      Person{ name = "s3cret" }
      mp.session.current():flush()
    end)
    assert.is_true(seen)
    assert.same({ "name" }, err.columns)
    assert.same({ "a hook fails, too" }, err.suppressed)
    assert.equal(1, Person:count())
  end)
end)
