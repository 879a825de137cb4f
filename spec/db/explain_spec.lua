-- qs:explain: how the server would run a query, and with analyze how it did.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises

databases.each("explain", function(open, database)
  local is_postgres = database.dialect == "postgres"
  local db, Person
  before_each(function()
    db = open()
    Person = mp.entity("Person", { name = mp.field.string{ max = 20, index = true } }, { database = db, table = "person" })
    db:create_all()
    Person:create{ name = "ada" }
  end)

  it("is a text that names what is read, and runs nothing", function()
    local statements = {}
    db:on("query", function(record) statements[#statements + 1] = record.sql end)
    local text = Person:filter{ name = "ada" }:explain()
    assert.equal("string", type(text))
    assert.truthy(text:lower():find("person", 1, true), text)
    assert.is_nil(text:find("actual", 1, true))
    assert.equal(1, #statements)
    assert.truthy(statements[1]:find "^EXPLAIN")
  end)

  it("refuses what is no option", function()
    raises("unknown_option", Person.explain, Person, { analyse = true })
    raises("bad_argument", Person.explain, Person, "analyze")
  end)

  if database.dialect == "mariadb" then
    it("analyze runs the query and tells how that went", function()
      local text = Person:filter{ name__in = { "ada", "bob" } }:explain{ analyze = true }
      assert.truthy(text:find("r_rows", 1, true), text)
    end)
  elseif not is_postgres then
    it("cannot analyze on SQLite, and says so", function()
      raises("unsupported", Person.explain, Person, { analyze = true })
    end)
  end
  if not is_postgres then
    return
  end

  local function writing()
    db:execute "create table trace (n int)"
    db:execute [[create function leave_trace(n bigint) returns bigint volatile language plpgsql as
      'begin insert into trace values (n); return n; end']]
    db:execute "create view tracing as select id, leave_trace(id) as n from person"
    return mp.entity("Tracing", { n = mp.field.bigint() }, { database = db, table = "tracing" })
  end

  it("analyze runs the query and tells how that went", function()
    local text = Person:filter{ name__in = { "ada", "bob" } }:explain{ analyze = true }
    assert.truthy(text:find("actual time", 1, true) and text:find("rows=1", 1, true), text)
  end)

  it("analyze undoes what the query's functions write", function()
    local query = writing()
    assert.truthy(query:explain{ analyze = true }:find("actual time", 1, true))
    assert.equal(0, db:fetch_val "select count(*) from trace")
    query:all()
    assert.equal(1, db:fetch_val "select count(*) from trace")
  end)

  it("analyze undoes only its own in a transaction, which goes on, also after an error", function()
    local query = writing()
    db:execute "create view broken as select id, 1 / (id - id) as n from person"
    local broken = mp.entity("Broken", { n = mp.field.bigint() }, { database = db, table = "broken" })
    db:atomic(function()
      db:execute "insert into trace values (7)"
      query:explain{ analyze = true }
      raises("division_by_zero", function()
        broken:explain{ analyze = true }
      end)
      db:execute "insert into trace values (8)"
    end)
    assert.same({ { n = 7 }, { n = 8 } }, db:fetch_all "select n from trace order by n")
  end)
end)
