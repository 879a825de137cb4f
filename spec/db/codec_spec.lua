-- db:codec: what values of a type of the program's own are in Lua.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises

databases.each("db:codec", function(open, database)
  local db
  before_each(function()
    db = open()
  end)

  if database.dialect ~= "postgres" then
    it("is PostgreSQL's: elsewhere unsupported says so", function()
      local err = raises("unsupported", db.codec, db, "point", { decode = tostring })
      assert.truthy(err.message:find("db:codec", 1, true))
    end)
    return
  end

  local point = {
    encode = function(p) return ("(%s,%s)"):format(p.x, p.y) end,
    decode = function(text)
      local x, y = text:match "^%((.-),(.-)%)$"
      return { x = tonumber(x), y = tonumber(y) }
    end,
  }

  it("decodes the cells of its type, in every call, and leaves NULL absent", function()
    db:codec("point", point)
    local sql = "select 1 as n, point '(1.5,2)' as p, null::point as q union all select 2, null, point '(3,4)' order by n"
    local first, second = { n = 1, p = { x = 1.5, y = 2 } }, { n = 2, q = { x = 3, y = 4 } }
    assert.same({ first, second }, db:fetch_all(sql))
    assert.same(first, db:fetch_one(sql))
    assert.same({ x = 1.5, y = 2 }, db:fetch_val "select point '(1.5,2)'")
    assert.is_nil(db:fetch_val "select null::point")
    local rows, names = db:fetch_arrays(sql)
    assert.same({ { x = 1.5, y = 2 }, { x = 3, y = 4 } }, { rows[1][2], rows[2][3] })
    assert.same({ "n", "p", "q" }, names)
    for _, call in ipairs { "stream", "copy_out" } do
      local streamed = {}
      for row in db[call](db, sql) do
        streamed[#streamed + 1] = row
      end
      assert.same({ first, second }, streamed)
    end
    local c = db:connect()
    assert.same(first, c:fetch_one(sql))
    c:close()
  end)

  it("encodes the parameters that the server wants in its type, and no others", function()
    db:codec("point", point)
    db:execute "create table place (id int primary key, at point, data jsonb)"
    assert.equal(1, db:execute("insert into place values (?, ?, ?)", 1, { x = 1, y = 2 }, { x = 1, y = 2 }))
    assert.equal(2, db:execute_many("insert into place values (?, ?, ?)", { { 2, { x = 3, y = 4 } }, { 3, nil, {} } }))
    assert.equal(2, db:copy_in("place", { "id", "at", "data" }, { { 4, { x = 5, y = 6 }, { a = 1 } }, { 5, mp.null } }))
    assert.equal("(1,2) (3,4) (5,6)", db:fetch_val "select string_agg(at::text, ' ' order by id) from place")
    assert.equal(2, db:fetch_val("select id from place where at ~= :at", { at = { x = 3, y = 4 } }))
    assert.equal(1, db:fetch_val("select (data->>'x')::int from place where id = ?", 1))
    assert.equal(2, db:fetch_val "select count(*) from place where data is null" )
    local params = { id = 6, at = { x = 7, y = 8 } }
    db:execute("insert into place values (:id, :at)", params)
    assert.same({ id = 6, at = { x = 7, y = 8 } }, params)
  end)

  it("takes enums, composites, domains' own types and arrays by their names", function()
    db:execute "create type mood as enum ('sad', 'ok')"
    db:execute "create type pair as (a int, b text)"
    db:execute 'create schema other'
    db:execute [[create type other."Mood" as enum ('x')]]
    db:codec("mood", { decode = string.upper, encode = string.lower })
    db:codec("pair", { decode = function(text) return { text } end })
    db:codec("mood[]", { decode = function(text) return "list " .. text end })
    db:codec('other."Mood"', { decode = function(text) return "other " .. text end })
    assert.same({ m = "SAD", p = { "(1,x)" }, l = "list {sad,ok}", o = "other x" }, db:fetch_one [[select 'sad'::mood as m,
      row(1, 'x')::pair as p, array['sad', 'ok']::mood[] as l, 'x'::other."Mood" as o]])
    assert.is_true(db:fetch_val("select ?::mood = 'ok'", "OK"))
  end)

  it("stands over the decoder of a type that is built in", function()
    db:codec("int4", { decode = function(n) return n * 2 end, encode = function(n) return tostring(n + 1) end })
    assert.equal(10, db:fetch_val "select 5")
    assert.equal(12, db:fetch_val("select ?::int4", 5))
    assert.equal(5, db:fetch_val("select ?::int8", 5))
  end)

  it("finds a type that is made later, and one that is made anew", function()
    db:codec("mood", { decode = string.upper })
    assert.equal(1, db:fetch_val "select 1")
    for _ = 1, 2 do
      db:execute "create type mood as enum ('sad')"
      assert.equal("SAD", db:fetch_val "select 'sad'::mood")
      db:execute "drop type mood"
    end
  end)

  it("finds a type inside the transaction that makes it", function()
    db:codec("mood", { decode = string.upper, encode = string.lower })
    raises("division_by_zero", db.atomic, db, function()
      db:execute "create type mood as enum ('sad')"
      db:execute "create table day (m mood)"
      assert.equal(1, db:execute("insert into day values (?)", "SAD"))
      assert.same({ { m = "SAD" } }, db:fetch_all "select m from day")
      local met = {}
      for row in db:stream "select m from day" do
        met[#met + 1] = row.m
      end
      assert.same({ "SAD" }, met)
      db:execute "select 1 / 0"
    end)
    assert.is_nil(db:fetch_val "select to_regtype('mood')::text")
  end)

  it("asks once for each type that was not met before, and describes a statement once", function()
    local asked = {}
    db:codec("point", point)
    db:on("query", function(record) asked[#asked + 1] = record.sql end)
    for _ = 1, 3 do
      db:fetch_val("select ?::point is null", { x = 1, y = 1 })
      db:fetch_val "select true"
    end
    local lookups = 0
    for _, sql in ipairs(asked) do
      lookups = lookups + (sql:find("to_regtype", 1, true) and 1 or 0)
    end
    assert.equal(2, lookups) -- point, and bool
    assert.equal(8, #asked)
  end)

  it("lets what its functions raise pass, and the connection is free", function()
    local thrown = {}
    db:codec("point", { decode = function() error(thrown, 0) end, encode = function() error(thrown, 0) end })
    local ok, err = pcall(db.fetch_all, db, "select point '(1,2)' as p")
    assert.same({ false, thrown }, { ok, err })
    ok, err = pcall(db.execute, db, "select ?::point", { x = 1 })
    assert.same({ false, thrown }, { ok, err })
    ok, err = pcall(function()
      for _ in db:stream "select point '(1,2)' as p" do -- luacheck: ignore
      end
    end)
    assert.same({ false, thrown }, { ok, err })
    assert.equal(1, db:fetch_val "select 1")
    db:codec("point", { encode = function() return 5 end })
    raises("bad_parameters", db.execute, db, "select ?::point", { x = 1 })
  end)

  it("is of its handle alone, and the latest registration counts", function()
    db:codec("point", point)
    db:codec("point", { decode = function() return "second" end })
    assert.equal("second", db:fetch_val "select point '(1,2)'")
    local other = open()
    assert.equal("(1,2)", other:fetch_val "select point '(1,2)'")
  end)

  it("works with a single connection, also beside a transaction", function()
    local one = open { pool = { max = 1 } }
    one:codec("point", point)
    one:atomic(function()
      assert.same({ x = 1, y = 2 }, one:fetch_val("select ?::point", { x = 1, y = 2 }))
    end)
    local rows = {}
    for row in one:stream "select point '(1,2)' as p from generate_series(1, 500)" do
      rows[#rows + 1] = row
    end
    assert.equal(500, #rows)
    assert.same({ x = 1, y = 2 }, rows[500].p)
  end)

  it("raises the error of a statement that is wrong, as without codecs", function()
    db:codec("point", point)
    local err = raises("undefined_table", db.fetch_all, db, "select * from nowhere where id = ?", 1)
    assert.equal("select * from nowhere where id = $1", err.sql)
    raises("undefined_table", db.stream, db, "select * from nowhere")
  end)

  it("refuses what is no codec", function()
    raises("bad_argument", db.codec, db, "point", nil)
    raises("bad_argument", db.codec, db, "point", {})
    raises("bad_argument", db.codec, db, "point", { decode = "tostring" })
    raises("unknown_option", db.codec, db, "point", { decodes = tostring })
    raises("bad_argument", db.codec, db, "", { decode = tostring })
    raises("bad_argument", db.codec, db, 5, { decode = tostring })
  end)
end)
