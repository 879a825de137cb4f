-- bulk_create without objects: rows that need no more than a look are read all at once, and mean what each would mean alone.

local mp = require "moonpool"
local core = require "moonpool.core"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("bulk_create of plain rows", function(open)
  local db, Thing
  before_each(function()
    db = open()
    Thing = mp.entity("Thing", {
      name = f.string{ min = 2, max = 4 }, n = f.smallint{ min = -5 }, big = f.bigint{ null = true }, price = f.decimal{ precision = 5, scale = 2 },
      ratio = f.float{ null = true, max = 10 }, flag = f.boolean{ default = false }, at = f.datetime{ null = true }, day = f.date{ null = true },
    }, { database = db })
    db:create_all()
  end)

  -- The row number i with something else in it.
  local function row(i, changes)
    local made = { name = "n" .. i % 100, n = i % 30000, big = i * 2 ^ 20 // 1, price = mp.decimal "1.50", ratio = 0.25, flag = i % 2 == 0,
      at = mp.datetime "2026-01-02T03:04:05Z", day = mp.date "2026-01-02" }
    for name, value in pairs(changes or {}) do
      made[name] = value
    end
    return made
  end

  local function rows(n, changes)
    local list = {}
    for i = 1, n do
      list[i] = row(i + 9, changes and changes[i])
    end
    return list
  end

  it("of which create makes one object each, as if it had looked twice", function()
    local hooked = mp.entity("Hooked", { name = f.string{ min = 2, max = 4 }, n = f.smallint{ min = -5 } }, { database = db, table = "thing2" })
    hooked:create_table()
    local one = Thing:create(row(10))
    local again = Thing:get(one.id)
    for name, value in pairs(row(10)) do
      assert.equal(value, one[name])
      assert.equal(value, again[name])
    end
    assert.is_false(one:is_dirty())
    local changed = { { n = 3.0 }, { flag = "true" }, { price = 2 }, { at = "2026-01-02 03:04:05" }, { big = mp.null }, { ratio = 2 } }
    for place, changes in ipairs(changed) do
      local made = Thing:create(row(20 + place, changes))
      assert.same(mp.json.encode(Thing:get(made.id)), mp.json.encode(made))
    end
    local less = row(30)
    less.big, less.flag = nil, nil
    local made = Thing:create(less)
    assert.is_nil(made.big)
    assert.is_false(made.flag)
    assert.is_nil(less.flag)
    for _, wrong in ipairs { { name = "x" }, { name = "abcde" }, { n = -6 }, { n = 32768 }, { price = mp.decimal "1000" }, { ratio = 11.0 }, { flag = 1 } } do
      raises("validation", function() Thing:create(row(40, wrong)) end)
    end
    raises("unknown_field", function() Thing:create(row(41, { nam = "x" })) end)
    assert.equal(800, Thing:create(row(42, { id = 800 })).id)
    assert.equal(1, hooked:create{ name = "ab", n = 1 }.id)
    local seen
    function hooked:before_insert() seen, self.n = self.name, 9 end
    assert.equal(9, hooked:create{ name = "cd", n = 2 }.n)
    assert.equal("cd", seen)
  end)

  it("writes each as it would be written alone", function()
    local changes = { [2] = { name = "ÄÖ€😀" }, [3] = { big = mp.null }, [4] = { n = 3.0 }, [5] = { price = "2.50" }, [6] = { price = 3 },
      [7] = { ratio = 2 }, [8] = { at = "2026-01-02 03:04:05" }, [9] = { id = 700 }, [10] = { price = mp.decimal "0.5" }, [12] = { flag = "true" },
      [13] = { n = -5, name = "ab" }, [14] = { n = 32767, ratio = 10.0 } }
    local list = rows(20, changes)
    list[15].big, list[15].ratio, list[15].at, list[15].day = nil, nil, nil, nil
    list[16].flag = nil -- has a default
    list[17] = setmetatable({}, { __index = list[17] })
    for name, value in pairs(row(26)) do
      list[17][name] = value
    end
    local alone = {}
    for i = 1, 20 do
      alone[i] = {}
      for name, value in pairs(list[i]) do
        alone[i][name] = value
      end
    end
    assert.equal(20, Thing:bulk_create(list, { returning = false }))
    local fields = { "name", "n", "big", "price", "ratio", "flag", "at", "day" }
    local at_once = {}
    for _, one in ipairs(Thing:order_by("name"):all()) do
      at_once[one.name] = one
    end
    Thing:all_rows():delete()
    for _, values in ipairs(alone) do
      local one = Thing:create(values)
      one:refresh()
      for _, name in ipairs(fields) do
        assert.equal(tostring(one[name]), tostring(at_once[one.name][name]), one.name .. "." .. name)
      end
    end
  end)

  it("refuses what is refused alone, and names its row", function()
    for place, bad in ipairs { { name = "a" }, { name = "abcde" }, { name = "\xff\xfe" }, { name = 12 }, { n = -6 }, { n = 32768 }, { n = 0.5 },
      { n = mp.null }, { price = mp.decimal "1000.00" }, { price = mp.decimal "1.234" }, { ratio = 1 / 0 }, { ratio = 0 / 0 }, { ratio = 10.5 },
      { flag = 1 }, { at = "never" }, { day = true } } do
      local err = raises("validation", Thing.bulk_create, Thing, rows(30, { [20] = bad }), { returning = false })
      assert.equal(20, err.row, "case " .. place)
      assert.truthy(err.message:find("row 20", 1, true), err.message)
      local alone = raises("validation", Thing.create, Thing, row(1, bad))
      assert.same(alone.errors, err.errors)
    end
    raises("unknown_field", Thing.bulk_create, Thing, rows(30, { [20] = { nmae = "x" } }), { returning = false })
    assert.equal(0, Thing:count())
  end)

  it("tells rows that leave other columns to the database apart", function()
    local list = rows(40)
    for place = 3, 40, 5 do
      list[place].id = 1000 + place
    end
    assert.equal(40, Thing:bulk_create(list, { returning = false }))
    assert.equal(40, Thing:count())
    assert.equal(8, Thing:filter{ id__gte = 1000 }:count())
    for place = 3, 40, 5 do
      assert.equal(list[place].n, Thing:get(1000 + place).n)
    end
  end)
end)

describe("core.plain_rows", function()
  it("stops in front of the first row that is not plain", function()
    local rules = core.plain_rules { { "a", "whole", false, -3, 3 }, { "b", "text", true, 0, 2 } }
    local values, object = {}, {}
    assert.equal(2, core.plain_rows(rules, { { a = 1, b = "x" }, { a = -3 }, { a = 4 } }, 1, values, 0))
    assert.same({ 1, "x", -3 }, { values[1], values[2], values[3] })
    assert.is_nil(values[4])
    for _, odd in ipairs { { b = "x" }, { a = 1, c = 1 }, { a = 1, b = "abc" }, { a = 1, b = "\xff" }, { a = "1" }, { a = 0.5 },
      setmetatable({ a = 1 }, {}), 5, { a = 1, [1] = 2 } } do
      assert.equal(0, core.plain_rows(rules, { odd }, 1, {}, 0))
      assert.is_false(core.plain_row(rules, odd, object, object))
      assert.is_nil(next(object))
    end
    assert.equal(1, core.plain_rows(rules, { 1, { a = 2 } }, 2, values, 10))
    assert.equal(2, values[11])
    values = {}
    assert.is_true(core.plain_row(rules, { b = "xy", a = 3 }, values, object))
    assert.same({ { 3, "xy" }, { a = 3, b = "xy" } }, { values, object })
    object = {}
    assert.is_true(core.plain_row(rules, { a = 1 }, values, object))
    assert.same({ { 1 }, { a = 1 } }, { values, object })
  end)

  it("takes objects of one kind that lack what is left out, whatever else they have", function()
    local rules, meta, values = core.plain_rules { { "a", "whole", false, -3, 3 } }, {}, {}
    local function object(row) return setmetatable(row, meta) end
    local rows = { object{ a = 1 }, object{ a = 2, _mine = "x" }, object{ a = 3, id = 7 } }
    assert.equal(2, core.plain_rows(rules, rows, 1, values, 0, meta, { "id" }))
    assert.same({ 1, 2 }, values)
    for _, odd in ipairs { { a = 1 }, setmetatable({ a = 1 }, {}), object{ a = 4 }, object{}, 5 } do
      assert.equal(0, core.plain_rows(rules, { odd }, 1, {}, 0, meta, { "id" }))
    end
    assert.has_error(function() core.plain_rows(rules, rows, 1, values, 0, meta) end)
  end)

  it("is asked with rules, of tables", function()
    local rules = core.plain_rules { { "a", "whole", false, -3, 3 } }
    for _, wrong in ipairs { { {}, {}, {}, {} }, { io.stdout, {}, {}, {} }, { rules, {}, 5, {} }, { rules, {}, {}, "x" } } do
      assert.has_error(function() core.plain_row(wrong[1], wrong[2], wrong[3], wrong[4]) end)
    end
    assert.has_error(function() core.plain_rules { { "a", "number", false } } end)
  end)
end)
