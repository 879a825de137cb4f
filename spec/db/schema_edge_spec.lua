-- Reflection, diffs and reflected entities at their edges: names, collations, defaults, schemas, broken views.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local f = mp.field

databases.each("a schema with odd things in it", function(open, database)
  local db

  before_each(function()
    db = open()
  end)

  local function is_empty(found)
    assert.equal("", tostring(found))
  end

  it("may have any names", function()
    local odd = 'sel"ect `x` \'y\' 一; --'
    mp.entity("Target", { v = f.integer{ column = "order", unique = true } }, { database = db, table = odd })
    local function declare(more)
      return mp.entity("Odd", {
        a = f.integer{ column = 'a"b`c', index = true, default = 3, choices = { 3, 4 } },
        b = f.string{ column = "gröẞe (cm)", max = 9, null = not more }, t = f.belongs_to("Target", { column = "t'o", null = true }),
        more = more and f.enum({ "x'", default = "x'", column = '"`\'' }) or nil,
      }, { database = db, table = "o'd\"d`", indexes = { { "a", "b", unique = more } } })
    end
    declare()
    db:create_all()
    is_empty(db:diff())
    local Odd = declare(true)
    db:diff():run()
    is_empty(db:diff())
    assert.equal("x'", Odd:create{ a = 4, b = "é" }.more)
    local found = db:reflect()["o'd\"d`"]
    assert.equal(odd, found.foreign_keys[1].table)
    assert.equal("Target", (function()
      local first, second = db:reflect_entity{ odd, "o'd\"d`" }
      assert.truthy(first)
      assert.equal(1, second:count())
      return "Target"
    end)())
    db:drop_all()
    assert.is_nil(db:reflect()[odd])
  end)

  it("keeps the collation that a field asks for", function()
    local collation = ({ sqlite = "NOCASE", postgres = "POSIX", mariadb = "utf8mb4_general_ci" })[database.dialect]
    local other = ({ sqlite = "RTRIM", postgres = "C", mariadb = "utf8mb4_unicode_ci" })[database.dialect]
    local function declare(name) return mp.entity("Folded", { name = f.string{ max = 20, collation = name } }, { database = db }) end
    declare(collation)
    db:create_all()
    is_empty(db:diff())
    declare(other)
    assert.is_true(#db:diff() > 0)
    db:diff():run()
    is_empty(db:diff())
  end)

  it("knows its defaults again, however the server words them", function()
    local all = { "now()", "CURRENT_TIMESTAMP", "lower('It''s')", "1 + 1", "(2 * 3)", "'a' || 'b'", "-1", "null" }
    if database.dialect == "sqlite" then all[1] = "datetime('now')" end
    if database.dialect == "mariadb" then
      all[6], all[9] = "concat('a', 'b')", "uuid()"
    elseif database.dialect == "postgres" then
      all[9] = "gen_random_uuid()::text"
    end
    local fields = {}
    for i, sql in ipairs(all) do
      local field = (i <= 2 and f.datetime or sql:find "%d" and f.integer or f.string)
      fields["f" .. i] = field{ null = true, server_default = sql }
    end
    mp.entity("Defaulted", fields, { database = db })
    db:create_all()
    is_empty(db:diff())
    local changed = {}
    for i, sql in ipairs(all) do changed["f" .. i] = fields["f" .. i] end
    changed.f4 = f.integer{ null = true, server_default = "1 + 2" }
    mp.entity("Defaulted", changed, { database = db })
    assert.is_true(#db:diff() > 0)
    db:diff():run()
    is_empty(db:diff())
  end)

  it("may have views that are broken", function()
    db:execute "create table base (id integer primary key, n integer)"
    db:execute "create view fine as select n from base"
    db:execute "create view broken as select n from fine"
    if database.dialect ~= "postgres" then db:execute "drop view fine" end
    db:reflect()
    assert.truthy(db.tables.base.columns.n)
    assert.equal(db.dialect == "postgres" and "view" or nil, db.tables.fine and db.tables.fine.kind)
  end)

  if database.dialect == "postgres" then
    it("has entities of another schema", function()
      db:execute "create schema apart"
      db:execute "create table apart.things (id serial primary key, name text not null)"
      local Thing = db:reflect_entity("things", { schema = "apart" })
      Thing:create{ name = "x" }
      assert.equal("x", db:fetch_val "select name from apart.things")
      assert.matches("did you mean things", databases.raises("undefined_table", db.reflect_entity, db, "thing", { schema = "apart" }).message)
      db:execute "drop schema apart cascade"
    end)
  end

  it("keeps the columns of a foreign key of several columns", function()
    db:execute "create table seat (line integer not null, place integer not null, primary key (line, place))"
    db:execute([[create table guest (id integer primary key, line integer, place integer,
      foreign key (line, place) references seat (line, place))]])
    local Seat, Guest = db:reflect_entity{ "seat", "guest" }
    local seat = Seat:create{ line = 1, place = 2 }
    Guest:create{ id = 1, line = 1, place = 2 }
    assert.equal(1, Guest:filter{ line = seat.line, place = seat.place }:count())
  end)

  it("has a relation over several columns where they are called like one", function()
    db:execute "create table seat (line integer not null, place integer not null, primary key (line, place))"
    db:execute([[create table guest (id integer primary key, seat_line integer, seat_place integer, name varchar(9),
      foreign key (seat_line, seat_place) references seat (line, place) on delete set null)]])
    local Seat, Guest = db:reflect_entity{ "seat", "guest" }
    local seat = Seat:create{ line = 1, place = 2 }
    Guest:create{ id = 1, seat = seat, name = "ada" }
    local guest = Guest:get(1)
    assert.same({ 1, 2, "ada" }, { guest.seat_line, guest.seat_place, guest.name })
    assert.equal(2, guest.seat.place)
    assert.equal(1, Guest:filter{ seat__place = 2 }:count())
    local Plain = db:reflect_entity("guest", { name = "Plain", exclude = { "seat_line" } })
    assert.equal(2, Plain:get(1).seat_place)
  end)

  it("is dropped with rows that refer to each other", function()
    local Node = mp.entity("Node", { up = f.belongs_to("Node", { null = true }) }, { database = db })
    local Egg = mp.entity("Egg", { hen = f.belongs_to("Hen", { null = true }) }, { database = db })
    local Hen = mp.entity("Hen", { egg = f.belongs_to("Egg", { null = true }) }, { database = db })
    db:create_all()
    Node:create{ up = Node:create{} }
    Egg:create{ hen = Hen:create{ egg = Egg:create{} } }
    Node:drop_table()
    assert.is_nil(db:reflect().node)
    db:create_all()
    Node:create{ up = Node:create{} }
    db:drop_all()
    assert.is_nil(next(db:reflect()))
    -- and what holds still holds
    db:create_all()
    local first = Node:create{}
    Node:create{ up = first }
    databases.raises("foreign_key", function() db:execute("delete from node where id = ?", first.id) end)
  end)

  it("takes no arguments where it would not use them", function()
    local Thing = mp.entity("Thing", {}, { database = db })
    for _, name in ipairs{ "create_all", "drop_all", "ddl", "entities", "diff" } do
      assert.matches(name, databases.raises("bad_argument", db[name], db, { dry = true }).message)
    end
    databases.raises("bad_argument", Thing.create_table, Thing, true)
    databases.raises("bad_argument", Thing.drop_table, Thing, true)
  end)
end)
