-- db:copy_in on PostgreSQL: rows go in binary form where that is certain to say the same, and as text where it is not.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local servers = require "spec.support.servers"
local raises = databases.raises

local decimal, date, time, datetime, interval, blob = mp.decimal, mp.date, mp.time, mp.datetime, mp.interval, mp.blob

local function wall(year, microsecond)
  return datetime { year = year, month = 2, day = 3, hour = 4, microsecond = microsecond, timezone = false }
end

local BYTES = {}
for i = 0, 255 do
  BYTES[i + 1] = string.char(i)
end

local TEXTS = { "", "a\tb", "a\nb", "a\r\nb", "back\\slash", "\\N", "\\.", "NULL", "'quoted' \"too\"", "ÄÖ€😀", "\\x41", "end\\",
  "x ", ("long"):rep(5000), "\1\127" }
local HUNDRED_DIGITS = ("1234567890"):rep(10)
local UUID = "0f0e0d0c-0b0a-0908-0706-0504030201ff"

-- type, values, and whether the rows go in binary form; false: the server has to read them
local TYPES = {
  { "boolean", { true, false, mp.null }, true },
  { "smallint", { 0, 32767, -32768, decimal "12", 3.0 }, true },
  { "integer", { 0, 2147483647, -2147483648, decimal "-7.00" }, true },
  { "bigint", { 0, math.maxinteger, math.mininteger, 9007199254740993 }, true },
  { "oid", { 0, 4294967295 }, true },
  { "real", { 0.1, -0.0, 1 / 0, -1 / 0, 16777216, 1e-45, 3.4028234e38, decimal "0.1" }, true },
  { "double precision", { 0.1, -0.0, 1 / 0, -1 / 0, 0 / 0, 5e-324, 1.7976931348623157e308, 1 / 3, -9007199254740992,
    decimal "123.456" }, true },
  { "numeric", { decimal "0", decimal "0.00", decimal "-1", decimal "10000", decimal "9999", decimal "0.0001", decimal "-0.00010000",
    decimal "123456789012345678", decimal "-99999999.99990000", decimal "1.000000000000000001", decimal "100000000.5",
    decimal(HUNDRED_DIGITS), decimal("-0." .. ("0"):rep(90) .. "7"), decimal(HUNDRED_DIGITS .. "." .. HUNDRED_DIGITS),
    math.maxinteger, math.mininteger, 0.1, 1e300, -1e-300, 0 / 0, 1 / 0, -1 / 0 }, true },
  { "numeric(10,2)", { decimal "12345678.905", decimal "-0.005", 1.125, 7 }, true },
  { "text", TEXTS, true },
  { "text", { 1, 0.5, true, decimal "1.50", date "2026-01-02", time "03:04:05", datetime "2026-01-02T03:04:05Z", { a = 1 } }, true },
  { "varchar(7)", { "ab ", "1234567", "ÄÖÜ€😀ßø" }, true },
  { "char(5)", { "ab ", "", "ÄÖÜ€😀" }, true },
  { "bytea", { blob(table.concat(BYTES)), blob "", "\\x41", "plain" }, true },
  { "date", { date "0001-01-01", date "1999-12-31", date "2000-01-01", date "9999-12-31" }, true },
  { "time", { time "00:00:00", time "23:59:59.999999" }, true },
  { "time(0)", { time "12:00:00.500000", time "23:59:59.499999" }, true },
  { "timestamp", { wall(1), wall(1999, 999999), wall(2000), wall(9999, 1), datetime "1970-01-01T00:00:00Z" }, true },
  { "timestamp(2)", { wall(1999, 994999), wall(2026, 5000) }, true },
  { "timestamptz", { datetime "0001-01-01T00:00:00Z", datetime "1999-12-31T23:59:59.999999Z", datetime "2000-01-01T00:00:00Z",
    datetime "9999-12-31T23:59:59.999999Z" }, true },
  { "interval", { interval "P1Y2M3DT4H5M6.789012S", interval "-P1M", interval "P1MT-1S", interval "PT0S", time "01:02:03" }, true },
  { "uuid", { UUID, "00000000-0000-0000-0000-000000000000" }, true },
  { "uuid", { UUID:upper(), "{" .. UUID .. "}" }, false },
  { "json", { { a = { 1, mp.null, "\\\t\"" } }, mp.array {}, "{\"raw\" : [1,  2]}", true, 12, decimal "1.500" }, true },
  { "jsonb", { { a = { 1, mp.null, "\\\t\"" } }, mp.array {}, "{\"raw\" : [1,  2]}", true, 12, decimal "1.500" }, true },
  { "integer[]", { { 1, mp.null, -3 }, mp.array {}, { { 1, 2 }, { 3, 4 } } }, true },
  { "text[]", { { "a,b", "\\", "\"", "", "NULL", mp.null } }, true },
  { "numeric[]", { { decimal "1.50", 2, 0.1 } }, true },
  { "boolean[]", { { true, false } }, true },
  { "timestamptz[]", { { datetime "1999-01-01T00:00:00Z" } }, true },
  { "uuid[]", { { UUID } }, false },
  { "positive", { 1, 2147483647 }, true }, -- a domain travels as what it is made of
  { "short", { "abc", "" }, true },
  { "mood", { "sad", "so so" }, false },
  { "positive[]", { "{1,2}" }, false },
  { "inet", { "10.0.0.1/8", "::1" }, false },
  { "money", { 5, decimal "-12.34" }, false },
  { "name", { "abc" }, false },
  { "\"char\"", { "x" }, false },
  { "point", { "(1,2)" }, false },
  { "int4range", { "[1,5)" }, false },
  { "bit(4)", { "1010" }, false },
  { "xml", { "<a/>" }, false },
  { "time with time zone", { "12:00:00+02" }, false },
}

databases.each("copy_in's form", function(open, database)
  if database.dialect ~= "postgres" then
    return
  end
  local db
  before_each(function()
    db = open()
    db:execute "create domain positive as integer check (value > 0)"
    db:execute "create domain short as varchar(3)"
    db:execute "create type mood as enum ('sad', 'so so')"
    db:execute "create table item (id integer, name text, flag boolean)"
    -- what the server was told when the last row came
    db:execute [[create function told() returns trigger language plpgsql as
      'begin perform set_config(''test.told'', current_query(), false); return new; end']]
    db:execute "create trigger told before insert on item for each row execute function told()"
  end)

  local function was_binary()
    return db:fetch_val("select current_setting('test.told')"):find("(FORMAT binary)", 1, true) ~= nil
  end

  -- In a block, so that the setting is that of one session.
  local function copied_binary(columns, rows)
    local binary
    db:atomic(function()
      db:copy_in("item", columns, rows)
      binary = was_binary()
    end)
    return binary
  end

  -- behind a pooler an INSERT does not know its types, and sends texts
  local it_inserts = database.pooler and function() end or it

  it_inserts("gives the rows that INSERT gives, for every type", function()
    for place, case in ipairs(TYPES) do
      local type_name, values, binary = case[1], case[2], case[3]
      local copied, inserted = "copied_" .. place, "inserted_" .. place
      local function rows_of(table_name)
        return db:fetch_val("select string_agg(t::text, E'\\n' order by n) from " .. table_name .. " as t")
      end
      db:execute("create table " .. copied .. " (n integer primary key, v " .. type_name .. ")")
      db:execute("create table " .. inserted .. " (n integer primary key, v " .. type_name .. ")")
      db:execute("create trigger told before insert on " .. copied .. " for each row execute function told()")
      local rows = {}
      for n, value in ipairs(values) do
        rows[n] = { n, value }
        local sent = type_name == "bytea" and type(value) == "string" and blob(value) or value
        db:execute("insert into " .. inserted .. " values (?, ?)", n, sent)
      end
      db:atomic(function()
        assert.equal(#values, db:copy_in(copied, { "n", "v" }, rows))
        assert.equal(binary, was_binary(), ("form of %s, case %d"):format(type_name, place))
      end)
      assert.equal(rows_of(inserted), rows_of(copied), type_name)
    end
  end)

  it("is text where a single value is one that the server has to read", function()
    assert.is_true(copied_binary({ "id", "name", "flag" }, { { 1, "a", true }, { 2 } }))
    assert.is_false(copied_binary({ "id", "name", "flag" }, { { 3, "a", true }, { 4, "b", "yes" } }))
    assert.is_false(copied_binary({ "id" }, { { 5 }, { " 6 " } }))
    assert.same({ { id = 1, flag = true }, { id = 2 }, { id = 3, flag = true }, { id = 4, flag = true }, { id = 5 }, { id = 6 } },
      db:fetch_all "select id, flag from item order by id")
  end)

  it("is decided for each part of many rows", function()
    local i = 0
    db:copy_in("item", { "id", "name" }, function()
      i = i + 1
      return i <= 12000 and { i == 7000 and "7000" or i, "row " .. i } or nil
    end)
    assert.equal(12000 * 12001 // 2, db:fetch_val "select sum(id) from item")
  end)

  it("names the row and the column of a value that the type does not hold", function()
    local rows = {}
    for i = 1, 6000 do
      rows[i] = { i, "x" }
    end
    rows[5999][1] = 2147483648
    local err = raises("out_of_range", db.copy_in, db, "item", { "id", "name" }, rows)
    assert.truthy(err.message:find('row 5999, column "id"', 1, true), err.message)
    assert.equal(5999, err.row)
    rows[5999][1] = 0.5
    err = raises("out_of_range", db.copy_in, db, "item", { "id", "name" }, rows)
    assert.truthy(err.message:find('row 5999, column "id"', 1, true), err.message)
    db:execute "create table narrow (v varchar(3), p positive)"
    err = raises("data", db.copy_in, db, "narrow", { "v", "p" }, { { "abc", 1 }, { "abcd", 1 } })
    assert.truthy(err.message:find('row 2, column "v"', 1, true), err.message)
    err = raises("check", db.copy_in, db, "narrow", { "v", "p" }, { { "abc", 1 }, { "abc", -1 } })
    assert.equal(2, err.row)
    assert.equal(0, db:fetch_val "select (select count(*) from item) + (select count(*) from narrow)")
  end)

  it("reads rows that have a metatable, and a list that has one", function()
    local function calculated(id)
      return setmetatable({}, { __index = function(_, place) return place == 1 and id or place == 2 and "calculated" or nil end })
    end
    local rows = { { 1, "plain" }, calculated(2), { 3 }, { 4, "plain" }, calculated(5) }
    assert.equal(5, db:copy_in("item", { "id", "name" }, rows))
    assert.equal(5, db:copy_in("item", { "id", "name" }, setmetatable({}, { __index = rows })))
    assert.equal("1 plain, 1 plain, 2 calculated, 2 calculated, 3 -, 3 -, 4 plain, 4 plain, 5 calculated, 5 calculated",
      db:fetch_val "select string_agg(id || ' ' || coalesce(name, '-'), ', ' order by id) from item")
    local err = raises("bad_parameters", db.copy_in, db, "item", { "id" }, { { 1 }, { 2 }, calculated(3) })
    assert.truthy(err.message:find("row 3 of copy_in has more values", 1, true), err.message)
  end)

  it("writes a list in parts: of many rows, and of long texts", function()
    local rows, long = {}, ("x"):rep(100000)
    for i = 1, 10123 do
      rows[i] = { i, i % 100 == 0 and long or "short" }
    end
    assert.equal(10123, db:copy_in("item", { "id", "name" }, rows))
    assert.equal("10123, 10123, 10100000", db:fetch_val "select count(*) || ', ' || count(distinct id) || ', ' || sum(length(name)) - 50110 from item")
    rows[7000][1] = print
    local err = raises("bad_parameters", db.copy_in, db, "item", { "id", "name" }, rows)
    assert.truthy(err.message:find("row 7000", 1, true), err.message)
    assert.equal(7000, err.row)
  end)

  it("takes views and tables of other schemas", function()
    db:execute "create view names as select id, name from item"
    db:execute [[create function named() returns trigger language plpgsql as
      'begin insert into item (id, name) values (new.id, new.name); return new; end']]
    db:execute "create trigger named instead of insert on names for each row execute function named()"
    db:execute "create schema other"
    db:execute "create table other.item (id bigint)"
    assert.equal(2, db:copy_in("names", { "id", "name" }, { { 1, "a" }, { 2, "b" } }))
    assert.equal(1, db:copy_in("other.item", { "id" }, { { 2 ^ 40 // 1 } }))
    assert.equal(2, db:fetch_val "select count(*) from item")
    assert.equal(1099511627776, db:fetch_val "select id from other.item")
  end)

  it("knows the types again where the program changes them between two calls, and between the parts of one", function()
    db:atomic(function()
      db:copy_in("item", { "id" }, { { 1 } })
      db:execute "alter table item alter id type real"
      db:copy_in("item", { "id" }, { { 2 } })
      assert.is_true(was_binary())
    end)
    assert.equal("12", db:fetch_val "select string_agg(id::text, '' order by id) from item")
    local i = 0
    db:execute "create table part (id integer)"
    db:copy_in("part", { "id" }, function()
      i = i + 1
      if i == 5001 then
        db:execute "alter table part alter id type real" -- as long as an integer
      end
      return i <= 5003 and { i } or nil
    end)
    assert.equal("5003, 12517506", db:fetch_val "select count(*) || ', ' || sum(id::bigint) from part")
  end)

  it("fails where its table's name becomes that of another table, instead of writing what it cannot know", function()
    db:execute "create schema before_it"
    local c, other = db:connect(), db:connect()
    c:execute "set search_path = before_it, public"
    c:begin()
    local i = 0
    raises("plan_changed", c.copy_in, c, "item", { "id" }, function()
      i = i + 1
      if i == 1 then
        other:execute "create table before_it.item (id real)"
      end
      return i <= 2 and { i } or nil
    end)
    raises("in_failed_transaction", c.execute, c, "select 1")
    c:rollback()
    assert.equal(1, c:copy_in("item", { "id" }, { { 5 } }))
    assert.equal(5.0, c:fetch_val "select id from before_it.item")
    other:close()
    c:close()
  end)

  it("makes whoever alters the table wait for its end", function()
    local altered, i, task = false, 0, nil
    db:copy_in("item", { "id" }, function()
      i = i + 1
      if i == 1 then
        task = mp.spawn(function()
          local c = db:connect()
          c:execute "alter table item alter id type real"
          altered = true
          c:close()
        end)
        repeat
          mp.sleep(0.001)
        until db:fetch_val "select exists (select from pg_locks where not granted and relation = 'item'::regclass)"
      end
      assert.is_false(altered)
      return i <= 5010 and { i } or nil
    end)
    task:wait()
    assert.equal(5010 * 5011 // 2, db:fetch_val "select sum(id)::bigint from item")
  end)

  it("needs no right but INSERT", function()
    local admin = mp.open(servers.admin)
    local role = "writer_of_" .. db:fetch_val "select current_database()"
    admin:execute("create role " .. role)
    admin:execute("grant " .. role .. " to moonpool")
    db:execute("grant insert on item to " .. role)
    db:atomic(function(tx)
      db:execute("set local role " .. role)
      assert.equal(1, db:copy_in("item", { "id" }, { { 1 } }))
      assert.is_true(was_binary())
      raises("permission", db.fetch_val, db, "select count(*) from item")
      tx:rollback()
    end)
    db:execute("revoke all on item from " .. role)
    admin:execute("drop role " .. role)
    admin:close()
  end)
end)
