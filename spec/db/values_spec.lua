-- Values: what goes in comes back, exactly.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises

databases.each("a value", function(open, database)
  local is_sqlite = database.dialect == "sqlite"
  local db
  before_each(function()
    db = open()
  end)

  local TYPES = { integer = "bigint", float = "double precision", userdata = "bytea" }

  -- SQLite and MariaDB give each value as it is; on PostgreSQL one that stands alone is a text until a type is said.
  local function back(v)
    local type_name = TYPES[math.type(v) or type(v)] or "text"
    return db:fetch_val(database.dialect ~= "postgres" and "select ?" or ("select cast(? as %s)"):format(type_name), v)
  end

  it("comes back as it was: integers of 64 bits, floats, text, NULL", function()
    for _, v in ipairs{ 0, 1, -1, 2 ^ 53 // 1 | 1, math.maxinteger, math.mininteger, 0.1, -1.5, 1e300, 5e-324, "", "é", "a'b\"c\\" } do
      local got = back(v)
      assert.equal(v, got)
      assert.equal(math.type(v), math.type(got))
    end
    assert.is_nil(back(nil))
    assert.is_nil(back(mp.null))
  end)

  it("of binary kind keeps NUL and bytes that are no text", function()
    local bytes = "a\0b\xff\xfe" .. string.char(0):rep(100)
    assert.equal(bytes, back(mp.blob(bytes)))
    if is_sqlite then
      assert.equal("blob", db:fetch_val("select typeof(?)", mp.blob "abc"))
    end
  end)

  it("of 10 MB comes back unchanged", function()
    local text = ("0123456789"):rep(1024 * 1024)
    assert.is_true(text == back(text))
  end)

  it("that is text with NUL or invalid UTF-8 is refused with the place", function()
    for text, offset in pairs{ ["ab\0c"] = 2, ["\xff"] = 0, ["a\xc3("] = 1, ["\xed\xa0\x80"] = 0, ["\xc0\xaf"] = 0 } do
      local err = raises("encoding", back, text)
      assert.truthy(err.message:find("mp.blob", 1, true), err.message)
      assert.truthy(err.message:find("%d"), err.message)
      assert.truthy(err.message:find(tostring(offset), 1, true) or err.message:find(tostring(offset + 1), 1, true), err.message)
    end
  end)

  it("that no database takes is refused by its place", function()
    for _, v in ipairs{ print, coroutine.create(print) } do
      local err = raises("bad_parameters", db.fetch_all, db, "select ?, ?", 1, v)
      assert.truthy(err.message:find("2", 1, true), err.message)
    end
  end)
end)

databases.each("an entity's value", function(open)
  local f = mp.field
  local db, Sample

  before_each(function()
    db = open()
    Sample = mp.entity("Sample", {
      small = f.smallint{ null = true }, big = f.bigint{ null = true }, real = f.float{ null = true },
      amount = f.decimal{ precision = 40, scale = 10, null = true }, yes = f.boolean{ null = true },
      word = f.string{ max = 20, null = true }, long = f.text{ null = true }, bytes = f.binary{ null = true },
      day = f.date{ null = true }, clock = f.time{ null = true }, moment = f.datetime{ null = true },
      wall = f.datetime{ timezone = false, null = true }, span = f.interval{ null = true },
      uid = f.uuid{ null = true }, doc = f.json{ null = true }, state = f.enum{ "draft", "done", null = true },
    }, { database = db })
    db:create_all()
  end)

  local function back(name, v)
    local object = Sample:create{ [name] = v }
    local got = Sample:get(object.id)[name]
    assert.equal(mp.show(object[name]), mp.show(got))
    return got
  end

  it("keeps its kind", function()
    assert.equal(-32768, back("small", -32768))
    assert.equal(math.mininteger, back("big", math.mininteger))
    assert.equal(2.0, back("real", 2))
    assert.equal("float", math.type(back("real", 2)))
    assert.is_false(back("yes", false))
    assert.equal("a\0b", back("bytes", "a\0b"))
    assert.equal("2026-11-20", tostring(back("day", "2026-11-20")))
    assert.equal("23:59:59.999999", tostring(back("clock", "23:59:59.999999")))
    assert.equal("2026-11-20T12:00:00Z", tostring(back("moment", "2026-11-20 14:00:00+02:00")))
    assert.equal("2026-11-20T12:00:00.5", tostring(back("wall", "2026-11-20 12:00:00.5")))
    assert.equal("8a6e0804-2bd0-4672-b79d-d97027f9071a", back("uid", "8A6E0804-2BD0-4672-B79D-D97027F9071A"))
    assert.equal("done", back("state", "done"))
    assert.equal(3, back("doc", { a = { 1, 2, { b = 3 } } } or 3).a[3].b)
  end)

  it("of 30 digits stays exact and computes exactly in SQL", function()
    local long = mp.decimal "12345678901234567890.1234567891"
    assert.is_true(long == back("amount", long))
    Sample:create{ amount = "0.0000000001" }
    Sample:create{ amount = "-3" }
    assert.equal("12345678901234567887.1234567892", tostring(Sample:sum("amount")))
    assert.is_true(Sample:max("amount") == long)
    assert.is_true(Sample:min("amount") == mp.decimal "-3")
    assert.equal(1, Sample:filter{ amount__gt = "12345678901234567890.1234567890" }:count())
    local order = Sample:order_by("amount"):pluck("amount")
    assert.equal("-3.0000000000", tostring(order[1]))
    assert.is_true(order[3] == long)
    Sample:filter{ amount = long }:update{ amount = mp.F.amount + mp.decimal "0.0000000009" }
    assert.equal("12345678901234567890.1234567900", tostring(Sample:max("amount")))
  end)

  it("compares decimals by value, not by text", function()
    for _, text in ipairs{ "10", "9", "-10", "-9", "0.5" } do
      Sample:create{ amount = text }
    end
    local shown = {}
    for i, v in ipairs(Sample:order_by("-amount"):pluck("amount")) do
      shown[i] = v:tonumber()
    end
    assert.same({ 10, 9, 0.5, -9, -10 }, shown)
    assert.equal(1, Sample:filter{ amount = "9.0" }:count())
    assert.equal(2, Sample:filter{ amount__in = { "9", mp.decimal "0.50" } }:count())
  end)

  it("that is JSON keeps null, empty arrays and large integers", function()
    local doc = back("doc", { n = mp.null, list = mp.array{}, big = 9007199254740993 })
    assert.equal(mp.null, doc.n)
    assert.equal("[]", mp.json.encode(doc.list))
    assert.equal(9007199254740993, doc.big)
  end)

  it("that cannot be JSON is refused by its path", function()
    local loop = {}
    loop.inner = { loop }
    for path, doc in pairs{ ["$.a.f"] = { a = { f = print } }, ["$.inner[1]"] = loop } do
      local err = raises("validation", Sample.create, Sample, { doc = doc })
      assert.truthy(err.errors.doc:find(path, 1, true), err.errors.doc)
    end
    assert.equal(0, Sample:count())
  end)

  it("is NULL when it is nil, mp.null or not given", function()
    local a = Sample:create{ word = mp.null }
    assert.is_nil(a.word)
    assert.equal(1, Sample:filter{ word = mp.null }:count())
    a.word = "x"
    a:save()
    a.word = nil
    a:save()
    assert.equal(1, Sample:filter{ word__isnull = true }:count())
  end)
end)
