-- Columns that the database calculates, in tables that were there before: read back after every write of an object, and
-- never written.

local databases = require "spec.support.databases"
local raises = databases.raises

databases.each("a column that the database calculates", function(open, database)
  local db, Pair

  before_each(function()
    db = open()
    local kind = database.dialect == "mariadb" and "int" or "integer"
    db:execute(([[CREATE TABLE pair (id %s PRIMARY KEY, a %s NOT NULL, b %s NOT NULL DEFAULT (3),
      s %s GENERATED ALWAYS AS (a + b) STORED)]]):format(kind, kind, kind, kind))
    Pair = db:reflect_entity "pair"
  end)

  it("is read back after an insert, an update and a bulk update", function()
    local one = Pair:create{ id = 1, a = 2 }
    assert.same({ 3, 5 }, { one.b, one.s })
    one.a = 10
    one:save()
    assert.equal(13, one.s)
    assert.is_false(one:is_dirty())
    local made = Pair:bulk_create{ { id = 2, a = 1 }, { id = 3, a = 2 } }
    assert.same({ 4, 5 }, { made[1].s, made[2].s })
    made[1].b = 7
    Pair:bulk_update(made, { "b" })
    assert.same({ 8, 5 }, { made[1].s, made[2].s })
    db:session(function(s)
      local again = s:get(Pair, 3)
      again.a = 6
      s:flush()
      assert.equal(9, again.s)
    end)
    one = Pair:only("a"):get(1)
    one.a = 0
    one:save()
    assert.equal(3, one.s)
    one = Pair:defer("b"):get(1)
    one.a = 4
    one:save()
    assert.equal(7, one.s)
    assert.equal(1, Pair:filter{ s = 7 }:count())
  end)

  it("is not assigned", function()
    assert.matches("calculated by the database", raises("validation", function() Pair:create{ id = 1, a = 1, s = 2 } end).errors.s)
    local one = Pair:create{ id = 1, a = 1 }
    one.s = 9
    assert.matches("calculated by the database", raises("validation", function() one:save() end).errors.s)
    raises("validation", function() Pair:filter{ id = 1 }:update{ s = 3 } end)
  end)
end)
