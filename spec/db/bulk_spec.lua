-- Many rows in one call: every type of field comes back as it was given, each object has the key of its own row, and what
-- is wrong with one row is told. On PostgreSQL the rows go as one array for each column, where its types allow that.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("bulk_create", function(open, database)
  local db, Thing

  before_each(function()
    db = open()
    Thing = mp.entity("Thing", {
      name = f.string{ max = 20, unique = true },
      note = f.text{ null = true },
      small = f.smallint{ null = true },
      age = f.integer{ null = true },
      big = f.bigint{ null = true },
      price = f.float{ null = true },
      balance = f.decimal{ precision = 12, scale = 2, null = true },
      fine = f.boolean{ null = true },
      bytes = f.binary{ null = true },
      day = f.date{ null = true },
      hour = f.time{ null = true },
      seen = f.datetime{ null = true },
      wall = f.datetime{ null = true, timezone = false },
      code = f.uuid{ null = true },
      tags = f.json{ null = true },
      mood = f.enum{ "low", "high", null = true },
    }, { database = db })
    db:create_all()
  end)

  local function full(i)
    return {
      name = "n" .. i, note = ('"%d", {NULL} \\ é'):format(i), small = i % 100 - 50, age = i - 1000, big = i * 1000000000000,
      price = i / 8, balance = mp.decimal(i .. ".25"), fine = i % 2 == 0, bytes = mp.blob("\0\255" .. i),
      day = mp.date("2026-11-21"), hour = mp.time("12:30:00.000001"), seen = mp.datetime("2026-11-21T10:00:00Z"),
      wall = mp.datetime("2026-11-21T10:00:00"), code = ("00000000-0000-4000-8000-%012d"):format(i),
      tags = { at = i, list = { "a,b", "{}" } }, mood = i % 2 == 0 and "low" or "high",
    }
  end

  local function check(one, i)
    local wanted = full(i)
    assert.same(wanted.tags.list, one.tags.list)
    assert.equal(i, one.tags.at)
    for name, value in pairs(wanted) do
      if name ~= "tags" then
        assert.equal((tostring(value):gsub("Z$", "")), (tostring(one[name]):gsub("Z$", "")), name)
      end
    end
  end

  local function some(n, make)
    local rows = {}
    for i = 1, n do
      rows[i] = make(i)
    end
    return rows
  end

  it("writes every type of field as it is, however many rows there are", function()
    for _, n in ipairs{ 3, 100 } do
      assert.equal(n, Thing:bulk_create(some(n, full), { returning = false }))
      for place, one in ipairs(Thing:order_by("age"):all()) do
        check(one, place)
      end
      Thing:all_rows():delete()
      Thing:bulk_create(some(n, full), { batch = 60 })
      assert.equal(n, Thing:count())
      for place, one in ipairs(Thing:order_by("age"):all()) do
        check(one, place)
      end
      Thing:all_rows():delete()
    end
  end)

  it("writes NULL in any place, also in a whole column", function()
    local rows = some(100, function(i)
      local row = { name = "n" .. i }
      for name, value in pairs(full(i)) do
        if i % 2 == 0 and name ~= "bytes" then
          row[name] = value
        end
      end
      return row
    end)
    Thing:bulk_create(rows)
    assert.equal(50, Thing:filter{ age = mp.null, tags__isnull = true, seen = mp.null, balance = mp.null }:count())
    assert.equal(100, Thing:filter{ bytes = mp.null }:count())
    assert.equal(50, Thing:filter{ note__startswith = '"', code__isnull = false }:count())
  end)

  it("gives each object the key of its own row while others insert", function()
    local n, tasks = database.dialect == "postgres" and 10000 or 400, {}
    for number = 1, 8 do
      tasks[number] = mp.spawn(function()
        return Thing:bulk_create(some(n / 8, function(i) return { name = number .. " " .. i, age = i } end), { batch = 500 })
      end)
    end
    local objects = {}
    for _, task in ipairs(tasks) do
      local before
      for _, one in ipairs(task:wait()) do
        objects[one.id] = one
        assert.is_true(before == nil or before < one.id)
        before = one.id
      end
    end
    local count = 0
    for _, row in ipairs(Thing:all()) do
      assert.equal(row.name, objects[row.id].name)
      assert.equal(row.age, objects[row.id].age)
      count = count + 1
    end
    assert.equal(n, count)
  end)

  it("writes nothing when one row is refused, and tells why", function()
    local rows = some(100, full)
    rows[70].name = "n1"
    for _, returning in ipairs{ true, false } do
      local err = raises("unique", Thing.bulk_create, Thing, rows, { returning = returning })
      assert.same({ "name" }, err.fields or err.columns)
      assert.equal(0, Thing:count())
    end
    rows[70].name = "n70\0"
    assert.equal(70, raises("validation", Thing.bulk_create, Thing, rows, { returning = false }).row)
    rows[70].name = "n70"
    assert.equal(100, Thing:bulk_create(rows, { returning = false }))
  end)

  it("reports its progress and may be in a transaction that is undone", function()
    local seen = {}
    db:atomic(function(tx)
      Thing:bulk_create(some(100, full), { returning = false, batch = 40, on_progress = function(done, total)
        seen[#seen + 1] = done .. "/" .. total
      end })
      tx:rollback()
    end)
    assert.equal("40/100 80/100 100/100", table.concat(seen, " "))
    assert.equal(0, Thing:count())
  end)

  it("tells of a table that is not there", function()
    db:drop_all()
    raises("undefined_table", Thing.bulk_create, Thing, some(100, full))
  end)

  if database.dialect == "postgres" then
    it("writes into a table of others, whose types are its own", function()
      db:execute("create type temper as enum ('low', 'high')")
      db:execute("create table other (id bigserial primary key, name text, mood temper, age numeric, at timestamptz, size smallint)")
      local Other = mp.entity("Other", {
        name = f.string{ max = 20 }, mood = f.enum{ "low", "high" }, age = f.integer(), at = f.datetime(), size = f.bigint(),
      }, { database = db, table = "other" })
      local rows = some(100, function(i)
        return { name = "n" .. i, mood = i % 2 == 0 and "low" or "high", age = i, at = "2026-11-21T10:00:00Z", size = i }
      end)
      local others = Other:bulk_create(rows)
      assert.same({ 100, 1, 100 }, { #others, others[1].id, others[100].id })
      for place, one in ipairs(others) do
        assert.equal(place, one.id)
      end
      assert.equal(100, Other:bulk_create(rows, { returning = false }))
      assert.equal(200, db:fetch_val("select count(*) from other where name = 'n' || age and size = age"
        .. " and mood = (case when size % 2 = 0 then 'low' else 'high' end)::temper"))
    end)
  end
end)
