-- db:reflect: what the catalog says of tables, made by entities and by others.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("a reflected database", function(open, database)
  local db

  before_each(function()
    db = open()
  end)

  local function has(text, part)
    assert.truthy(text:find(part, 1, true), ("%q is not in\n%s"):format(part, text))
  end

  it("has the columns, keys, constraints and indexes of the tables that entities made", function()
    mp.entity("Writer", { name = f.string{ max = 80, unique = true }, born = f.date{ null = true } }, { database = db })
    mp.entity("Novel", {
      title = f.string{ max = 200, default = "it's" },
      price = f.decimal{ precision = 10, scale = 2, default = "1.50" },
      sold = f.boolean{ default = false },
      state = f.enum{ "draft", "done" },
      notes = f.json{ null = true },
      seen = f.datetime{ null = true, index = true },
      writer = f.belongs_to("Writer", { inverse = "novels", on_delete = "cascade" }),
    }, { database = db, indexes = { { "writer", "title", unique = true } } })
    db:create_all()
    local tables = db:reflect()
    assert.equal(tables, db.tables)
    local novel = db.tables.novel
    assert.equal("table", novel.kind)
    assert.same({ "id", "title", "price", "sold", "state", "notes", "seen", "writer_id" }, novel.column_names)
    local columns = novel.columns
    assert.equal(({ sqlite = "VARCHAR(200)", postgres = "character varying(200)", mariadb = "varchar(200)" })[db.dialect],
      columns.title.type)
    assert.equal("string", columns.title.field)
    assert.equal("id", novel.primary_key.columns[1])
    assert.is_true(columns.id.primary_key)
    assert.is_true(columns.id.generated)
    assert.is_false(columns.id.null)
    assert.is_false(columns.title.null)
    assert.is_true(columns.notes.null)
    assert.is_nil(columns.notes.default)
    assert.equal("json", columns.notes.field)
    assert.equal("decimal", columns.price.field)
    assert.equal("boolean", columns.sold.field)
    assert.equal("datetime", columns.seen.field)
    has(columns.title.default, "'it''s'")
    has(columns.price.default, "1.50")
    assert.equal(1, #novel.foreign_keys)
    local key = novel.foreign_keys[1]
    assert.same({ { "writer_id" }, "writer", { "id" }, "cascade", "restrict" },
      { key.columns, key.table, key.references, key.on_delete, key.on_update })
    assert.equal(key, columns.writer_id.foreign_key)
    assert.equal(1, #novel.unique)
    assert.same({ "writer_id", "title" }, novel.unique[1].columns)
    assert.is_true(db.tables.writer.columns.name.unique)
    local indexes = {}
    for _, index in ipairs(novel.indexes) do
      indexes[table.concat(index.columns, " ")] = index.unique
    end
    assert.is_false(indexes.seen)
    assert.is_true(indexes["writer_id title"])
    assert.equal(1, #novel.checks)
    has(novel.checks[1].expression, "'done'")
    local text = tostring(db.tables)
    has(text, "table novel")
    has(text, "foreign key (writer_id) references writer (id) on delete cascade on update restrict")
    has(text, "unique (writer_id, title)")
    has(text, "title")
  end)

  it("has tables that others made, whatever their names", function()
    local q = db.dialect == "mariadb" and "`" or '"'
    local function name(text) return q .. text:gsub(q, q .. q) .. q end
    local odd = 'sélect "x" `y` -- \'z'
    db:execute(("create table %s (%s integer not null, %s varchar(10) default 'a,b)', primary key (%s))"):format(
      name(odd), name "order by", name "gröẞe (cm)", name "order by"))
    db:execute(("create table part (a integer, b integer, t integer, primary key (b, a), %s)"):format(
      ("foreign key (t) references %s (%s) on delete set null on update cascade"):format(name(odd), name "order by")))
    db:execute("create view seen as select a, b + 1 as next from part")
    db:reflect()
    local found = db.tables[odd]
    assert.same({ "order by", "gröẞe (cm)" }, found.column_names)
    has(found.columns["gröẞe (cm)"].default, "'a,b)'")
    assert.same({ "b", "a" }, db.tables.part.primary_key.columns)
    local key = db.tables.part.foreign_keys[1]
    assert.same({ odd, { "order by" }, "set_null", "cascade" }, { key.table, key.references, key.on_delete, key.on_update })
    assert.equal("view", db.tables.seen.kind)
    assert.same({ "a", "next" }, db.tables.seen.column_names)
    assert.is_nil(db.tables.nothing)
    assert.is_true(#tostring(db.tables) > 0)
  end)

  it("knows calculated columns, named checks, and keys of several columns", function()
    db:execute([[create table pair (a integer not null, b integer not null,
      s integer generated always as (a + b) stored, constraint ordered check (a < b), primary key (a, b))]])
    db:execute([[create table under (x integer, y integer, n integer unique,
      foreign key (x, y) references pair (a, b) on delete cascade)]])
    db:reflect()
    local pair, under = db.tables.pair, db.tables.under
    assert.truthy(pair.columns.s.computed:gsub("[`()]", ""):find("a %+ b"))
    assert.is_nil(pair.columns.s.default)
    assert.equal("ordered", pair.checks[1].name)
    assert.same({ "x", "y" }, under.foreign_keys[1].columns)
    assert.same({ "a", "b" }, under.foreign_keys[1].references)
    assert.is_true(under.columns.n.unique)
    assert.same({ "n" }, under.unique[1].columns)
  end)

  it("is read in a few statements, however many tables there are", function()
    for i = 1, 12 do
      db:execute(("create table t%d (id integer primary key, n integer references t1 (id))"):format(i))
    end
    local count = 0
    local remove = db:on("query", function()
      count = count + 1
    end)
    db:reflect()
    remove()
    assert.equal("integer", (db.tables.t12.columns.n.type:lower():gsub("^int%(11%)$", "integer")))
    assert.is_true(count <= 4, count .. " statements")
  end)

  it("is read before it is looked at", function()
    assert.matches("db:reflect", raises("bad_argument", function() return db.tables.novel end).message)
    assert.matches("db:reflect", raises("bad_argument", function() return tostring(db.tables) end).message)
    assert.matches("did you mean schema", raises("unknown_option", db.reflect, db, { shema = "x" }).message)
    raises("bad_argument", db.reflect, db, { schema = 1 })
    raises("bad_argument", db.reflect, db, "x")
    if database.dialect == "sqlite" then
      raises("unsupported", db.reflect, db, { schema = "other" })
    end
  end)
end)

if not databases.postgres then
  return
end

describe("a reflected PostgreSQL", function()
  local db, close

  before_each(function()
    db, close = databases.postgres.open()
  end)
  after_each(function() close() end)

  it("has enums, arrays, domains and what another schema holds", function()
    db:execute("create type mood as enum ('sad', 'it''s ok')")
    db:execute("create domain positive as integer check (value > 0)")
    db:execute("create table t (id serial primary key, m mood default 'sad', tags text[], n positive, u uuid default gen_random_uuid())")
    db:execute("create index partial on t (n) where n > 3")
    db:execute("create unique index folded on t (lower(u::text))")
    db:execute("create schema apart")
    db:execute("create table apart.t (x integer, parent integer references public.t (id))")
    local tables = db:reflect()
    local t = tables.t
    assert.same({ "sad", "it's ok" }, t.columns.m.values)
    assert.same({ "enum", "array", "integer", "uuid" }, { t.columns.m.field, t.columns.tags.field, t.columns.n.field, t.columns.u.field })
    assert.is_true(t.columns.id.generated)
    assert.same({}, t.unique)
    assert.matches("> 3", t.indexes[2].where)
    assert.equal("public", t.schema)
    local apart = db:reflect{ schema = "apart" }
    assert.same({ "x", "parent" }, apart.t.column_names)
    assert.equal("t", apart.t.foreign_keys[1].table)
  end)
end)
