-- The key that create brings back: the database's own, and an error where no row was written that could have one.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("the key of create", function(open, database)
  local db, Thing

  before_each(function()
    db = open()
    Thing = mp.entity("Thing", { name = f.string{ max = 40 }, size = f.integer{ null = true } }, { database = db })
    db:create_all()
  end)

  it("is that of its row, and nothing but the columns is in the object", function()
    for i = 1, 3 do
      local made = Thing:create{ name = "n" .. i }
      assert.equal("n" .. i, Thing:get(made.id).name)
      assert.same({ id = made.id, name = "n" .. i }, made:to_table())
      assert.is_false(made:is_dirty())
    end
  end)

  it("is nobody's where a trigger skips the row", function()
    if database.dialect == "mariadb" then
      return -- a trigger there can fail, not skip
    end
    if database.dialect == "sqlite" then
      db:execute("CREATE TRIGGER skip BEFORE INSERT ON thing WHEN NEW.size = 3 BEGIN SELECT RAISE(IGNORE); END")
    else
      db:execute([[CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN IF NEW.size = 3 THEN RETURN NULL; END IF; RETURN NEW; END']])
      db:execute("CREATE TRIGGER skip BEFORE INSERT ON thing FOR EACH ROW EXECUTE FUNCTION skip()")
    end
    local err = raises("other_integrity", function()
      Thing:create{ name = "a", size = 3 }
    end)
    assert.matches("Thing was not inserted: a trigger of the table thing skipped the row", err.message)
    assert.equal(0, Thing:count())
    assert.truthy(Thing:create{ name = "a", size = 4 }.id)
  end)
end)
