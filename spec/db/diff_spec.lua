-- db:diff: the statements that turn a database into what its entities say.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local f = mp.field

local function run(db, found)
  for _, sql in ipairs(found) do db:execute(sql) end
end

local function is_empty(found)
  assert.equal("", tostring(found))
  assert.same({ 0, 0, 0 }, { #found, #found.destructive, #found.needs })
end

databases.each("a diff", function(open, database)
  local db

  before_each(function()
    db = open()
  end)

  local function declare(fields, options)
    options = options or {}
    options.database = db
    return mp.entity("Thing", fields, options)
  end

  it("is empty where the database is what the entities say, and creates what is missing", function()
    mp.entity("Owner", { name = f.string{ max = 20, unique = true } }, { database = db })
    declare({
      name = f.string{ max = 30, default = "it's \\ \"x\"" }, price = f.decimal{ precision = 9, scale = 3, default = "-1.5" },
      on = f.boolean{ default = true }, rate = f.float{ default = 0.1 }, n = f.integer{ default = -5, choices = { -5, 7 } },
      state = f.enum{ "draft", "it's" }, j = f.json{ null = true }, at = f.datetime{ server_default = "CURRENT_TIMESTAMP" },
      small = f.smallint{ index = true }, big = f.bigint{ null = true }, t = f.text{ null = true }, u = f.uuid{ null = true },
      d = f.date{ null = true }, clock = f.time{ null = true }, w = f.datetime{ timezone = false, null = true }, i = f.interval{ null = true },
      b = f.binary{ null = true }, one = f.enum{ "only" }, owner = f.belongs_to("Owner", { on_delete = "cascade" }),
      parent = f.belongs_to("Thing", { null = true, on_delete = "set_null", on_update = "cascade" }),
    }, { indexes = { { "name", "n", unique = true }, { "state", name = "by_state" } } })
    local found = db:diff()
    assert.equal(db:ddl(), tostring(found) .. "\n")
    assert.equal(0, #db:diff().destructive)
    run(db, found)
    is_empty(db:diff())
    db:drop_all()
    db:create_all()
    is_empty(db:diff())
  end)

  it("adds columns, indexes and constraints, and changes defaults and what may be NULL, keeping the rows", function()
    local Thing = declare{ name = f.string{ max = 10 }, n = f.smallint{ null = true }, gone = f.text{ null = true } }
    db:create_all()
    Thing:create{ name = "one", n = 3, gone = "x" }
    mp.entity("Owner", { name = f.text() }, { database = db })
    Thing = declare{
      name = f.string{ max = 50, default = "new", unique = true }, n = f.bigint{ index = true },
      added = f.integer{ default = 7 }, free = f.text{ null = true }, owner = f.belongs_to("Owner", { null = true }),
      state = f.enum({ "a", "b", default = "a" }),
    }
    local found = db:diff()
    assert.same({}, found.needs)
    assert.same({ "ALTER TABLE " .. (db.dialect == "mariadb" and "`thing` DROP COLUMN `gone`" or '"thing" DROP COLUMN "gone"') },
      found.destructive)
    assert.matches("would destroy", tostring(found))
    found:run()
    local again = db:diff()
    assert.same({}, { (table.unpack(again)) })
    assert.equal("x", db:fetch_val "select gone from thing")
    local one = Thing:one()
    assert.same({ "one", 3, 7, "a" }, { one.name, one.n, one.added, one.state })
    assert.equal("new", Thing:create{ n = 2 ^ 40 // 1 | 0 }.name)
    databases.raises("unique", function() Thing:create{ name = "one", n = 1 } end)
    databases.raises("check", function() db:execute "update thing set state = 'c'" end)
    databases.raises("foreign_key", function() db:execute "update thing set owner_id = 99" end)
    databases.raises("not_null", function() db:execute "update thing set n = null" end)
    run(db, again.destructive)
    is_empty(db:diff())
  end)

  it("is these statements", function()
    declare{ name = f.string{ max = 10 }, n = f.integer{ null = true }, flag = f.boolean{ default = true, index = true } }
    db:create_all()
    declare{ name = f.string{ max = 20 }, n = f.integer{ null = true, default = 3, unique = true }, flag = f.boolean(),
      state = f.enum({ "a", "b", null = true }) }
    assert.same(({
      postgres = {
        [[ALTER TABLE "thing" ADD COLUMN "state" text COLLATE "C"]],
        [[ALTER TABLE "thing" ALTER COLUMN "name" TYPE varchar(20) COLLATE "C"]],
        [[ALTER TABLE "thing" ALTER COLUMN "n" SET DEFAULT 3]],
        [[ALTER TABLE "thing" ALTER COLUMN "flag" DROP DEFAULT]],
        [[ALTER TABLE "thing" ADD CONSTRAINT "thing_state_check" CHECK ("state" IN ('a', 'b'))]],
        [[ALTER TABLE "thing" ADD CONSTRAINT "thing_n_key" UNIQUE ("n")]],
        [[DROP INDEX "thing_flag_idx"]],
      },
      mariadb = {
        "ALTER TABLE `thing` ADD COLUMN `state` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
        "ALTER TABLE `thing` MODIFY COLUMN `name` varchar(20) COLLATE `utf8mb4_nopad_bin` NOT NULL",
        "ALTER TABLE `thing` MODIFY COLUMN `n` int(11) DEFAULT 3",
        "ALTER TABLE `thing` MODIFY COLUMN `flag` tinyint(1) NOT NULL",
        "ALTER TABLE `thing` ADD CONSTRAINT `thing_state_check` CHECK (`state` IN ('a', 'b'))",
        "ALTER TABLE `thing` ADD CONSTRAINT `thing_n_key` UNIQUE (`n`)",
        "ALTER TABLE `thing` DROP INDEX `thing_flag_idx`",
      },
      sqlite = {
        [[ALTER TABLE "thing" RENAME TO "moonpool_old_thing"]],
        'CREATE TABLE IF NOT EXISTS "thing" (\n  "id" INTEGER PRIMARY KEY AUTOINCREMENT,\n  "name" VARCHAR(20) NOT NULL,\n'
          .. '  "n" INTEGER DEFAULT 3 UNIQUE,\n  "flag" BOOLEAN NOT NULL,\n  "state" TEXT CHECK ("state" IN (\'a\', \'b\'))\n)',
        [[INSERT INTO "thing" ("id", "name", "n", "flag") SELECT "id", "name", "n", "flag" FROM "moonpool_old_thing"]],
        [[DELETE FROM sqlite_sequence WHERE name = 'thing']],
        [[INSERT INTO sqlite_sequence (name, seq) SELECT 'thing', seq FROM sqlite_sequence WHERE name = 'moonpool_old_thing']],
        [[DROP TABLE "moonpool_old_thing"]],
      },
    })[db.dialect], { table.unpack(db:diff()) })
  end)

  it("takes away what an entity no longer asks for", function()
    mp.entity("Owner", { name = f.text() }, { database = db })
    declare({ a = f.integer{ unique = true, index = true }, b = f.integer{ choices = { 1, 2 } }, note = f.text{ default = "x" },
      owner = f.belongs_to "Owner" }, { indexes = { { "a", "b", unique = true }, { "b" } } })
    db:create_all()
    local Thing = declare{ a = f.integer(), b = f.integer{ null = true }, note = f.text(), owner_id = f.bigint() }
    db:diff():run()
    is_empty(db:diff())
    Thing:create{ a = 1, b = 5, note = "", owner_id = 8 }
    Thing:create{ a = 1, b = 5, note = "", owner_id = 8 }
    databases.raises("not_null", function() db:execute "insert into thing (a, owner_id) values (1, 1)" end)
  end)

  it("says what is needed where rows are in the way", function()
    local Thing = declare{ n = f.integer{ null = true } }
    db:create_all()
    declare{ n = f.integer(), more = f.text() }
    assert.same({}, db:diff().needs) -- nobody is in the way of an empty table
    Thing:create{}
    local found = db:diff()
    assert.equal(0, #found)
    assert.equal(2, #found.needs)
    assert.matches("thing.more: a column that is NOT NULL needs a value", found.needs[1], nil, true)
    assert.matches("thing.n: it is to be NOT NULL, and rows hold NULL", found.needs[2], nil, true)
    assert.matches("-- needs: thing.more", tostring(found), nil, true)
    db:execute "update thing set n = 1"
    declare{ n = f.integer(), more = f.text{ default = "" } }
    found = db:diff()
    assert.same({}, found.needs)
    found:run()
    is_empty(db:diff())
  end)

  it("never runs what would destroy", function()
    declare{ name = f.string{ max = 50 }, n = f.bigint(), gone = f.text{ null = true } }
    db:create_all()
    db:execute "create table other (x integer)"
    declare{ name = f.string{ max = 5 }, n = f.text() }
    local found = db:diff()
    found:run()
    assert.equal(0, #found)
    local text = table.concat(found.destructive, "\n")
    assert.matches("DROP TABLE .other.", text)
    if db.dialect ~= "sqlite" then assert.matches("DROP COLUMN .gone.", text) end
    assert.is_true(#db:diff().destructive > 0)
    run(db, found.destructive)
    is_empty(db:diff())
    assert.equal(5, tonumber(db:reflect().thing.columns.name.type:match "%((%d+)%)"))
  end)

  it("leaves alone what others added, and says so", function()
    declare{ name = f.string{ max = 50 }, n = f.integer() }
    db:create_all()
    db:execute "create index dba on thing (n)"
    if db.dialect ~= "sqlite" then db:execute "alter table thing add constraint sane check (n < 1000)" end
    local found = db:diff()
    assert.equal(0, #found)
    assert.matches("dba", table.concat(found.destructive, "\n"))
    assert.equal(db.dialect == "sqlite" and 1 or 2, #found.destructive)
    db:execute "create view seen as select n from thing"
    db:reflect_entity("thing")
    assert.equal(#found.destructive, #db:diff().destructive)
  end)

  it("knows what entities share, what lies between them, and what stands in a schema", function()
    mp.entity("Animal", { name = f.string{ max = 20 }, kind = f.string{ max = 20 } }, { database = db, discriminator = "kind" })
    mp.entity("Dog", { breed = f.string{ max = 20 } }, { extends = "Animal" })
    mp.entity("Owner", {
      name = f.string{ max = 9 }, animals = f.many_to_many("Animal", { inverse = "owners" }), tags = f.array{ of = f.integer(), null = true },
    }, { database = db, timestamps = true, soft_delete = true })
    db:diff():run()
    is_empty(db:diff())
    mp.entity("Animal", { name = f.string{ max = 20 }, kind = f.string{ max = 20 } }, { database = db, discriminator = "kind" })
    mp.entity("Dog", { breed = f.string{ max = 30 }, age = f.integer{ default = 1 } }, { extends = "Animal" })
    db:diff():run()
    is_empty(db:diff())
    if db.dialect == "postgres" then
      mp.entity("Apart", { n = f.integer{ index = true } }, { database = db, schema = "apart" })
      db:diff():run()
      is_empty(db:diff())
      mp.entity("Apart", { n = f.bigint(), m = f.text{ null = true } }, { database = db, schema = "apart" })
      assert.same({
        [[ALTER TABLE "apart"."apart" ADD COLUMN "m" text COLLATE "C"]], [[ALTER TABLE "apart"."apart" ALTER COLUMN "n" TYPE bigint]],
        [[DROP INDEX "apart"."apart_n_idx"]],
      }, { table.unpack(db:diff()) })
      db:diff():run()
      is_empty(db:diff())
      mp.entity("Apart", {}, { database = "elsewhere" })
      db:execute "drop schema apart cascade"
    end
  end)

  it("knows a key that is another", function()
    db:execute "create table thing (a integer not null, b integer not null, primary key (a))"
    declare({ a = f.integer(), b = f.integer() }, { primary_key = { "a", "b" } })
    local found = db:diff()
    assert.equal(0, #found)
    assert.matches("its primary key is (a), not (a, b)", found.needs[1], nil, true)
  end)

  if database.dialect == "sqlite" then
    it("makes a table anew without losing what refers to it, its keys, views and triggers", function()
      local Thing = declare{ name = f.string{ max = 10 }, parent = f.belongs_to("Thing", { null = true }) }
      local Part = mp.entity("Part", { thing = f.belongs_to("Thing", { on_delete = "cascade" }), n = f.integer() }, { database = db })
      db:create_all()
      local one = Thing:create{ name = "one" }
      Thing:create{ name = "two", parent = one }
      Thing:create{ name = "gone" }:delete()
      Part:create{ thing = one, n = 5 }
      db:execute "create view seen as select name from thing"
      db:execute "create table log (name text)"
      db:execute "create trigger noted after insert on part begin insert into log select name from thing where id = new.thing_id; end"
      Thing = declare{ name = f.string{ max = 20, null = true }, parent = f.belongs_to("Thing", { null = true }) }
      for _, sql in ipairs(db:diff()) do db:execute(sql) end
      assert.equal(0, #db:diff())
      assert.same({ "one", "two" }, Thing:order_by("id"):pluck("name"))
      assert.equal(one.id, Thing:get(2).parent_id)
      assert.equal(1, Part:count())
      assert.equal(4, Thing:create{}.id)
      assert.equal(3, db:fetch_val "select count(*) from seen")
      Part:create{ thing = one.id, n = 6 }
      assert.equal("one", db:fetch_val "select name from log")
      databases.raises("foreign_key", function() db:execute "insert into part (thing_id, n) values (77, 1)" end)
      databases.raises("foreign_key", function() db:execute "delete from thing where id = 1" end)
    end)
  end

  -- ---- generated ----

  local function generator(seed)
    local state = seed
    return function(n)
      state = (state * 1103515245 + 12345) % 2147483648
      return state // 65536 % n + 1
    end
  end

  local function random_field(random, filled)
    local null = random(2) == 1
    local has_default = filled or random(2) == 1
    local kinds = {
      function() return f.integer{ null = null, default = has_default and random(9) - 5 or nil, index = random(3) == 1,
        choices = random(3) == 1 and { -4, -3, -2, -1, 0, 1, 2, 3, 4, random(90) + 10 } or nil } end,
      function() return f.bigint{ null = null, default = has_default and 2 ^ 40 // 1 | 0 or nil, unique = not filled and random(3) == 1 } end,
      function() return f.smallint{ null = null, default = has_default and 3 or nil } end,
      function() return f.string{ null = null, max = random(3) * 20, default = has_default and (filled and "a" or "v'" .. random(3)) or nil, index = random(3) == 1 } end,
      function() return f.text{ null = null, default = has_default and "a" or nil } end,
      function() return f.decimal{ null = null, precision = 10 + random(4), scale = random(3), default = has_default and "2.5" or nil } end,
      function()
        local value
        if has_default then value = random(2) == 1 end
        return f.boolean{ null = null, default = value }
      end,
      function() return f.float{ null = null, default = has_default and random(5) / 3 or nil } end,
      function() return f.datetime{ null = null, server_default = has_default and "CURRENT_TIMESTAMP" or nil } end,
      function() return f.enum({ "a", "b", random(2) == 1 and "c" or nil, null = null, default = has_default and "a" or nil }) end,
      function() return f.json{ null = true } end,
      function() return f.integer{ null = null, min = -random(2) * 10, max = random(3) == 1 and 900 or nil, default = has_default and -1 or nil } end,
      function() return f.decimal{ null = null, precision = 12, scale = 2, min = random(2) == 1 and "-0.5" or 0, default = has_default and 1 or nil } end,
      function() return f.belongs_to("G" .. random(3), { null = true, on_delete = ({ "cascade", "restrict", "set_null" })[random(3)] }) end,
    }
    return kinds[random(#kinds)]()
  end

  local function random_schema(random, filled, renamed)
    for e = 1, 3 do
      local fields, names = {}, {}
      for i = 1, 6 do
        if random(4) > 1 then
          local name = "f" .. i
          local field = random_field(random, filled)
          if field.definition.name ~= "belongs_to" then names[#names + 1] = name end
          -- two tables do not hold each other: SQLite could make neither anew
          if not (field.target and tonumber(field.target:sub(2)) > e) then fields[name] = field end
        end
      end
      local indexes = {}
      if names[2] and fields[names[2]].definition.name ~= "json" and fields[names[1]].definition.name ~= "json"
        and fields[names[1]].definition.name ~= "text" and fields[names[2]].definition.name ~= "text" then
        indexes[1] = { names[1], names[2], unique = not filled and random(2) == 1 or nil }
      end
      mp.entity("G" .. e, fields, { database = db, indexes = indexes, table = e == 3 and renamed and "g3_renamed" or nil })
    end
  end

  it("of any two schemas leads from one to the other", function()
    local first = tonumber(os.getenv "MOONPOOL_SEED") or os.time() % 100000
    local count = database.dialect == "sqlite" and 25 or 10
    for seed = first, first + count - 1 do
      local random = generator(seed * 7919)
      local filled = seed % 2 == 0
      local ok, err = xpcall(function()
        random_schema(random, filled, false)
        db:create_all()
        if filled then
          for e = 1, 3 do db:execute(("insert into g%d (id) values (1)"):format(e)) end
        end
        random_schema(random, filled, true)
        local found = db:diff()
        if seed % 3 == 0 then found:run() else run(db, found) end
        local again = db:diff()
        assert.equal("", table.concat(again, ";\n"))
        if not filled then
          assert.same({}, again.needs)
          run(db, again.destructive)
          is_empty(db:diff())
          -- the control: what was taken away is noticed
          local q = db.dialect == "mariadb" and "`" or '"'
          db:execute("alter table g3_renamed add column surplus integer")
          assert.equal(1, #db:diff().destructive)
          db:execute(("drop table %sg3_renamed%s"):format(q, q))
          assert.is_true(#db:diff() > 0)
        else
          assert.equal(1, db:fetch_val "select count(*) from g1")
        end
      end, function(e) return debug.traceback(tostring(e) .. tostring(e.sql), 2) end)
      if not ok then error(("seed %d: %s"):format(seed, err), 0) end
      db:execute "drop table if exists g3"
      random_schema(generator(1), true, true)
      db:drop_all()
    end
    print(("# diffs of generated schemas: seeds %d to %d"):format(first, first + count - 1))
  end)
end)
