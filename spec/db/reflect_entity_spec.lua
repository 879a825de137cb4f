-- db:reflect_entity: entities out of the catalog, of tables that others made and of those that have an entity.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

-- What is written to standard error while fn runs.
local function heard(fn)
  local real, lines = io.stderr, {}
  io.stderr = { write = function(_, ...) lines[#lines + 1] = table.concat { ... } end }
  local ok, err = pcall(fn)
  io.stderr = real
  assert(ok, err)
  return table.concat(lines)
end

databases.each("a reflected entity", function(open, database)
  local db, key

  before_each(function()
    db = open()
    key = ({
      sqlite = "integer primary key", postgres = "serial primary key", mariadb = "integer auto_increment primary key",
    })[db.dialect]
  end)

  it("reads and writes a table that others made", function()
    db:execute("create table legacy_orders (id " .. key .. [[, customer varchar(40) not null, total decimal(10, 2) not null
      default 7.50, paid boolean not null, placed date, note text)]])
    db:execute("insert into legacy_orders (customer, paid) values ('ada', true)")
    local Order = db:reflect_entity "legacy_orders"
    local first = Order:get(1)
    assert.same({ "ada", mp.decimal "7.50", true }, { first.customer, first.total, first.paid })
    assert.is_nil(first.placed)
    local made = Order:create{ customer = "bob", paid = false, placed = "2026-11-21" }
    assert.equal(2, made.id)
    assert.is_true(made.total == mp.decimal "7.50")
    made.total = "9.25"
    made:save()
    assert.equal("9.25", tostring(Order:filter{ placed__lt = "2027-01-01" }:one().total))
    assert.same({ "bob" }, Order:filter{ paid = false }:pluck("customer"))
    raises("validation", function() Order:create{ paid = true } end)
    assert.equal(2, Order:filter{ total__gt = "1" }:update{ note = "seen" })
  end)

  it("is left alone by create_all and drop_all, and leaves the declared one alone", function()
    local Thing = mp.entity("Thing", { name = f.string{ max = 20 } }, { database = db })
    db:execute("create table other (id " .. key .. ", n integer)")
    db:create_all()
    local reflected, other = db:reflect_entity "thing", db:reflect_entity "other"
    assert.are_not.equal(Thing, reflected)
    Thing:create{ name = "one" }
    assert.equal("one", reflected:first().name)
    reflected:create{ name = "two" }
    assert.equal(2, Thing:count())
    local all = db:entities()
    assert.same({ Thing }, all)
    assert.is_nil(db:ddl():find("other", 1, true))
    db:drop_all()
    assert.equal(0, other:count())
    raises("undefined_table", function() return Thing:count() end)
    assert.equal(reflected, (function() db:create_all() return reflected end)())
    assert.equal(0, reflected:count())
  end)

  it("has its foreign keys as relations where the other table is known", function()
    db:execute("create table customers (id " .. key .. ", name varchar(20) not null)")
    db:execute("create table orders (id " .. key .. [[, customer_id integer not null, parent_id integer,
      foreign key (customer_id) references customers (id) on delete cascade, foreign key (parent_id) references orders (id))]])
    db:execute("insert into customers (name) values ('ada')")
    db:execute("insert into orders (customer_id) values (1)")
    db:execute("insert into orders (customer_id, parent_id) values (1, 1)")
    local alone = db:reflect_entity("orders", { name = "OrdersAlone" })
    assert.equal(1, alone:get(1).customer_id)
    assert.equal(1, alone:get(2).parent.id)
    local customers, orders = db:reflect_entity{ "customers", "orders" }
    assert.equal("ada", orders:get(2).customer.name)
    assert.equal(2, customers:get(1).orders:count())
    assert.equal(2, orders:filter{ customer__name = "ada" }:count())
    assert.equal(1, customers:filter{ orders__parent_id = 1 }:count())
    local late = db:reflect_entity("orders", { name = "OrdersLate" })
    assert.equal("ada", late:get(1).customer.name)
  end)

  it("has keys of several columns", function()
    db:execute("create table seat (line integer not null, place integer not null, taken_by varchar(9), primary key (line, place))")
    local Seat = db:reflect_entity "seat"
    Seat:create{ line = 1, place = 2, taken_by = "ada" }
    local seat = Seat:get{ line = 1, place = 2 }
    seat.taken_by = "bob"
    seat:save()
    assert.equal("bob", Seat:get{ line = 1, place = 2 }.taken_by)
  end)

  it("calls a column whose name is taken by a name with an underscore, and says so once", function()
    local q = db.dialect == "mariadb" and "`" or '"'
    db:execute("create table odd (id " .. key .. (", %ssave%s integer, pk integer, c integer, a__b integer, %skey \228\184\128%s integer, count integer)")
      :format(q, q, q, q))
    local Odd
    local text = heard(function() Odd = db:reflect_entity "odd" end)
    assert.truthy(text:find('odd: the column "save" is the field save_', 1, true), text)
    assert.truthy(text:find('"pk" is the field pk_', 1, true), text)
    local odd = Odd:create{ save_ = 1, pk_ = 2, c_ = 3, a_b_ = 4, key_ = 5, count = 6 }
    odd.save_ = 10
    odd:save()
    assert.same({ 10, 2, 3, 4, 5, 6 }, (function()
      local row = db:fetch_one "select * from odd"
      return { row.save, row.pk, row.c, row.a__b, row["key \228\184\128"], row.count }
    end)())
    assert.equal(1, Odd:filter(Odd.save_:gt(5)):count())
    assert.equal("", heard(function() db:reflect_entity "odd" end))
  end)

  it("leaves calculated columns to the server", function()
    db:execute("create table box (id " .. key .. ", w integer not null, area integer generated always as (w * w) stored)")
    local Box = db:reflect_entity "box"
    local box = Box:create{ w = 3 }
    assert.equal(9, box.area)
  end)

  it("needs a key, a table, and types that there are fields for", function()
    db:execute("create table keyless (a integer not null, b varchar(9))")
    db:execute("create table legacy_orders (id " .. key .. ")")
    assert.matches("has no primary key.*primary_key = { ... }", raises("bad_argument", db.reflect_entity, db, "keyless").message)
    local Keyless = db:reflect_entity("keyless", { primary_key = { "a" } })
    Keyless:create{ a = 5, b = "x" }
    assert.equal("x", Keyless:get(5).b)
    assert.matches("did you mean legacy_orders", raises("undefined_table", db.reflect_entity, db, "legacy_order").message)
    raises("bad_argument", db.reflect_entity, db)
    raises("bad_argument", db.reflect_entity, db, {})
    raises("bad_argument", db.reflect_entity, db, { 1 })
    assert.matches("did you mean exclude", raises("unknown_option", db.reflect_entity, db, "keyless", { exclud = {} }).message)
    raises("unknown_option", db.reflect_entity, db, { "keyless" }, { name = "x" })
    raises("unknown_field", db.reflect_entity, db, "keyless", { primary_key = { "a" }, exclude = { "z" } })
    mp.entity("Taken", {}, { database = db })
    raises("bad_argument", db.reflect_entity, db, "legacy_orders", { name = "Taken" })
    if database.dialect ~= "sqlite" then
      db:execute("create table shape (id " .. key .. ", p " .. (database.dialect == "postgres" and "box" or "geometry") .. ")")
      assert.matches('exclude = { "p" }', raises("unsupported", db.reflect_entity, db, "shape").message)
      local Shape = db:reflect_entity("shape", { exclude = { "p" } })
      assert.equal(1, Shape:create{}.id)
      assert.equal(1, db:reflect_entity("shape", { fields = { p = f.text{ null = true } } }):only("id"):one().id)
    end
  end)
end)

if not databases.postgres then
  return
end

describe("a reflected entity of PostgreSQL", function()
  local db, close

  before_each(function()
    db, close = databases.postgres.open()
  end)
  after_each(function() close() end)

  it("takes enums, arrays, unlimited numbers and serial keys", function()
    db:execute("create type mood as enum ('sad', 'ok')")
    db:execute("create table diary (id serial primary key, m mood default 'ok', tags text[], n numeric, j jsonb)")
    local Diary = db:reflect_entity "diary"
    local one = Diary:create{ tags = { "a", "b" }, n = "1.5", j = { x = 1 } }
    assert.equal("ok", one.m)
    one.m = "sad"
    one:save()
    one = Diary:filter{ m = "sad" }:one()
    assert.same({ "a", "b" }, one.tags)
    assert.is_true(one.n == mp.decimal "1.5")
    assert.same({ x = 1 }, one.j)
    raises("validation", function() Diary:create{ m = "glad" } end)
  end)
end)
