-- Which key is whose after bulk_create: by construction, not by luck, also while others insert, where a trigger skips rows,
-- and where the table became another one.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

local ROWS, TASKS, EACH = 10000, 8, 250

databases.each("the keys of bulk_create", function(open, database)
  local db, Thing

  before_each(function()
    db = open()
    Thing = mp.entity("Thing", { name = f.string{ max = 40 }, size = f.integer{ null = true } }, { database = db })
    db:create_all()
  end)

  local function rows_of(prefix, n, every)
    local rows = {}
    for i = 1, n do
      rows[i] = { name = prefix .. i, size = i % (every or 2) == 0 and i or nil }
    end
    return rows
  end

  local function check(objects, prefix)
    local names = {}
    for _, row in ipairs(Thing:filter{ name__startswith = prefix }:values("id", "name"):all()) do
      names[row.id] = row.name
    end
    for place, one in ipairs(objects) do
      assert.equal(prefix .. place, one.name)
      assert.equal(one.name, names[one.id])
    end
  end

  it("are those of their rows, for 10,000 rows while 8 tasks insert at once", function()
    local others, made = {}, nil
    for i = 1, TASKS do
      others[i] = function()
        for round = 1, 3 do
          local prefix = ("t%d-%d-"):format(i, round)
          check(Thing:bulk_create(rows_of(prefix, EACH)), prefix)
          Thing:create{ name = "single" }
        end
      end
    end
    mp.gather(function() made = Thing:bulk_create(rows_of("big", ROWS)) end, table.unpack(others))
    check(made, "big")
    assert.equal(ROWS + TASKS * 3 * (EACH + 1), Thing:count())
  end)

  it("are nobody else's where a trigger skips a row", function()
    if database.dialect == "mariadb" then
      return -- a trigger there can fail, not skip
    end
    if database.dialect == "sqlite" then
      db:execute([[CREATE TRIGGER skip BEFORE INSERT ON thing WHEN substr(NEW.name, -1) = '3' BEGIN SELECT RAISE(IGNORE); END]])
    else
      db:execute([[CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN IF NEW.name LIKE ''%3'' THEN RETURN NULL; END IF; RETURN NEW; END']])
      db:execute("CREATE TRIGGER skip BEFORE INSERT ON thing FOR EACH ROW EXECUTE FUNCTION skip()")
    end
    local err = raises("other_integrity", function() Thing:bulk_create(rows_of("a", 5)) end)
    assert.matches("4 of 5 rows were inserted: a trigger of the table thing skipped the others", err.message)
    raises("other_integrity", function() Thing:bulk_create(rows_of("a", 50)) end)
    assert.equal(0, Thing:count())
    assert.equal(45, Thing:bulk_create(rows_of("a", 50), { returning = false }))
  end)

  it("go on being found when the table's columns get other types", function()
    if database.dialect == "sqlite" then
      return -- columns there have no types that a value must fit
    end
    assert.equal(40, #Thing:bulk_create(rows_of("a", 40)))
    if database.dialect == "postgres" then
      db:execute("CREATE TYPE mood AS ENUM ('b1', 'b2', 'c')")
      db:execute("ALTER TABLE thing ALTER name TYPE text")
      db:execute("DELETE FROM thing")
      db:execute("ALTER TABLE thing ALTER name TYPE mood USING name::mood")
    else
      db:execute("DELETE FROM thing")
      db:execute("ALTER TABLE thing MODIFY name enum('b1', 'b2', 'c') NOT NULL")
    end
    local rows = {}
    for i = 1, 40 do
      rows[i] = { name = "c", size = i }
    end
    local made = Thing:bulk_create(rows)
    for place, one in ipairs(made) do
      assert.equal(place, Thing:get(one.id).size)
    end
  end)

  it("that the program gives tell what the database made for which row", function()
    local Code = mp.entity("Code", { code = f.string{ primary_key = true }, at = f.integer{ server_default = "7" } },
      { database = db })
    local Part = mp.entity("Part", { a = f.integer(), b = f.string{ max = 5 }, at = f.integer{ server_default = "8" } },
      { database = db, primary_key = { "a", "b" } })
    db:create_all()
    local codes, parts = {}, {}
    for i = 1, 60 do
      codes[i] = { code = ("c%d"):format((i * 37) % 61), at = i % 3 == 0 and i or nil }
      parts[i] = { a = i % 4, b = "b" .. (i * 37) % 61 }
    end
    for place, one in ipairs(Code:bulk_create(codes)) do
      assert.same({ codes[place].code, place % 3 == 0 and place or 7 }, { one.code, one.at })
      assert.equal(one.at, Code:get(one.code).at)
    end
    assert.equal(8, Part:bulk_create(parts)[60].at)
    assert.equal(60, Part:count())
  end)

  it("that only the database makes, in no order, are asked for one by one", function()
    local made = { postgres = "gen_random_uuid()", mariadb = "uuid()",
      sqlite = "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-8' || "
        .. "substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))" }
    local Token = mp.entity("Token", { id = f.uuid{ primary_key = true, server_default = made[database.dialect] }, n = f.integer() },
      { database = db })
    db:create_all()
    local rows = {}
    for i = 1, 50 do
      rows[i] = { n = i }
    end
    local made_of_rows = Token:bulk_create(rows)
    assert.equal(50, #made_of_rows)
    for place, one in ipairs(made_of_rows) do
      assert.equal(place, Token:get(one.id).n)
    end
  end)

  it("are counted on the way", function()
    local said = {}
    Thing:bulk_create(rows_of("a", 25), { batch = 10, on_progress = function(done, total) said[#said + 1] = done .. "/" .. total end })
    assert.same("25/25", said[#said])
    assert.is_true(#said >= 3)
    local last
    Thing:bulk_create(rows_of("b", 25), { batch = 10, returning = false, on_progress = function(done) last = done end })
    assert.equal(25, last)
    Thing:bulk_create({}, { on_progress = function() last = "called" end })
    assert.equal(25, last)
  end)
end)
