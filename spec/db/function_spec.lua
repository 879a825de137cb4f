-- mp.fn: functions and aggregates have the same results, or the same errors, on every database.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f, fn, F = mp.field, mp.fn, mp.F

databases.each("a function", function(open)
  local db, Item

  before_each(function()
    db = open()
    Item = mp.entity("Item", {
      name = f.string{ max = 40 },
      n = f.integer{ null = true },
      d = f.decimal{ precision = 20, scale = 4, null = true },
      x = f.float{ null = true },
      ok = f.boolean{ null = true },
      day = f.date{ null = true },
      at = f.datetime{ null = true },
      wall = f.datetime{ timezone = false, null = true },
      clock = f.time{ null = true },
    }, { database = db })
    db:create_all()
    Item:create{
      name = "  Ärger über ÄÖ ", n = -7, d = "2.5", x = 2.5, ok = true, day = "2024-02-29", at = "2024-12-31T23:59:58.25Z",
      wall = "2026-01-01T00:00:00", clock = "13:14:15.5",
    }
    Item:create{ name = "abcabc", n = 4, d = "-2.5001", x = -0.5, ok = false, day = "2021-01-03", at = "2021-03-28T01:30:00Z" }
    Item:create{ name = "" }
  end)

  local function value(id, expression)
    return Item:filter{ id = id }:values("id"):annotate{ v = expression }:first().v
  end

  local function both(expression) return tostring(value(1, expression)) .. " " .. tostring(value(2, expression)) end

  it("of texts counts characters", function()
    assert.equal("Ärger über ÄÖ", value(1, fn.trim "name"))
    assert.equal("Ärger über ÄÖ ", value(1, fn.ltrim "name"))
    assert.equal("  Ärger über ÄÖ", value(1, fn.rtrim "name"))
    assert.equal("Ärger", value(1, fn.substr("name", mp.value(3), mp.value(5))))
    assert.equal("ÄÖ ", value(1, fn.substr("name", mp.value(14))))
    assert.equal("", value(2, fn.substr("name", mp.value(40))))
    assert.equal("", value(2, fn.substr("name", mp.value(2), mp.value(0))))
    assert.equal("abcabc", value(2, fn.substr("name", F.n - 4)))
    assert.equal("cabc", value(2, fn.substr("name", F.n - 1, F.n)))
    assert.equal("", value(2, fn.substr("name", mp.value(2), F.n - 9)))
    assert.is_nil(value(3, fn.substr("name", F.n)))
    assert.equal("xbcxbc", value(2, fn.replace("name", mp.value "a", mp.value "x")))
    assert.equal("abcabc", value(2, fn.replace("name", mp.value "A", mp.value "x")))
    assert.equal("abcabc", value(2, fn.replace("name", mp.value "", mp.value "x")))
    assert.equal("1 0", ("%d %d"):format(value(2, fn.strpos(fn.substr("name", mp.value(3)), mp.value "c")) , value(2, fn.strpos("name", mp.value "x"))))
    assert.equal(8, value(1, fn.strpos("name", mp.value " ü")))
    assert.equal(1, value(2, fn.strpos("name", mp.value "")))
    assert.equal("abcabc!abcabc", value(2, fn.concat("name", mp.value "!", "name")))
  end)

  it("of numbers rounds half away from zero", function()
    assert.equal("-7 4", both(fn.round "n"))
    assert.equal("3 -3", both(fn.round "d"):gsub("%.0+", ""))
    assert.equal("3.0 -1.0", both(fn.round "x"))
    assert.equal("2.5000 -2.5001", both(fn.round("d", 4)))
    assert.equal("2.500 -2.500", both(fn.round("d", 3)))
    assert.equal(2.68, value(1, fn.round(mp.value(2.675), 2)))
    assert.equal(0.0, value(1, fn.round(mp.value(0.49999999999999994))))
    assert.equal(1e20, value(1, fn.round(mp.value(1e20), 2)))
    assert.equal("2 -3", both(fn.floor "d"):gsub("%.0+", ""))
    assert.equal("3 -2", both(fn.ceil "d"):gsub("%.0+", ""))
    assert.equal("2.0 -1.0", both(fn.floor "x"))
    assert.equal(3.0, value(1, fn.ceil "x"))
    assert.equal(0.0, value(2, fn.ceil "x"))
    assert.equal("-7 4", both(fn.floor "n"))
    assert.equal("-1 1", both(fn.sign "n"))
    assert.equal("1 -1", both(fn.sign "d"))
    assert.equal("1 -1", both(fn.sign "x"))
    assert.equal("7 4", both(fn.abs "n"))
    assert.equal("2.5000 2.5001", both(fn.abs "d"))
    assert.is_nil(value(3, fn.round "d"))
  end)

  it("of floats has no answer outside its domain", function()
    assert.equal(2.0, value(2, fn.sqrt "n"))
    assert.equal(16.0, value(2, fn.power("n", mp.value(2))))
    assert.equal(0.5, value(2, F.n ^ -0.5))
    assert.near(math.exp(4), value(2, fn.exp "n"), 1e-12)
    assert.near(math.log(4), value(2, fn.ln "n"), 1e-12)
    assert.near(2, value(2, fn.log(mp.value(2), "n")), 1e-12)
    for _, wrong in ipairs{ fn.sqrt "n", fn.ln "n", F.n ^ 0.5, fn.ln(F.n - F.n), fn.exp(mp.value(1000)), mp.value(0) ^ -1, fn.power(mp.value(10), mp.value(400)) } do
      raises("out_of_range", value, 1, wrong)
    end
    assert.is_nil(value(3, fn.sqrt "n"))
    local r = value(1, fn.random())
    assert.is_true(r >= 0 and r < 1)
  end)

  it("of several values takes the first, the greatest or the least of one kind", function()
    assert.equal("2.5000 -2.5001", both(fn.coalesce("d", 0)))
    assert.equal("0", (tostring(value(3, fn.coalesce("d", 0))):gsub("%.0+", "")))
    assert.equal(0.5, value(3, fn.coalesce("n", mp.value(0.5))))
    assert.equal("2.5 4.0", both(fn.greatest("n", "x")))
    assert.equal("-7.0 -0.5", both(fn.least("n", "x")))
    assert.equal("2.5000 4", both(fn.greatest("n", "d")):gsub("4%.0+", "4"))
    assert.equal("10 10", both(fn.greatest("d", 10)):gsub("%.0+", ""))
    assert.is_nil(value(3, fn.greatest("n", 1)))
    assert.is_nil(value(3, fn.least("n", 1)))
    assert.equal("b", value(2, fn.greatest(mp.value "b", "name")))
    assert.is_nil(value(2, fn.nullif("n", 4)))
  end)

  it("of dates and times gives their parts in UTC", function()
    for name, expected in pairs{
      year = "2024 2021", quarter = "4 1", month = "12 3", week = "1 12", day = "31 28", week_day = "3 1", hour = "23 1",
      minute = "59 30", second = "58 0", date = "2024-12-31 2021-03-28",
    } do
      assert.equal(expected, both(fn[name] "at"), name)
    end
    for name, expected in pairs{ year = "2024 2021", quarter = "1 1", month = "2 1", week = "9 53", day = "29 3", week_day = "5 1" } do
      assert.equal(expected, both(fn[name] "day"), name)
    end
    assert.equal("2026 1 0", ("%d %d %d"):format(value(1, fn.year "wall"), value(1, fn.month "wall"), value(1, fn.hour "wall")))
    assert.equal("13 14 15", ("%d %d %d"):format(value(1, fn.hour "clock"), value(1, fn.minute "clock"), value(1, fn.second "clock")))
    assert.is_nil(value(3, fn.year "at"))
    assert.equal(2025, value(1, fn.year "at" + 1))
  end)

  it("of dates and times gives where a year, a month or an hour begins", function()
    local begins = {
      year = "2024-01-01T00:00:00Z 2021-01-01T00:00:00Z", quarter = "2024-10-01T00:00:00Z 2021-01-01T00:00:00Z",
      month = "2024-12-01T00:00:00Z 2021-03-01T00:00:00Z", week = "2024-12-30T00:00:00Z 2021-03-22T00:00:00Z",
      day = "2024-12-31T00:00:00Z 2021-03-28T00:00:00Z", hour = "2024-12-31T23:00:00Z 2021-03-28T01:00:00Z",
      minute = "2024-12-31T23:59:00Z 2021-03-28T01:30:00Z", second = "2024-12-31T23:59:58Z 2021-03-28T01:30:00Z",
    }
    for unit, expected in pairs(begins) do assert.equal(expected, both(fn.date_trunc(unit, "at")), unit) end
    assert.equal("2024-02-01 2021-01-01", both(fn.date_trunc("month", "day")))
    assert.equal("2024-02-26 2020-12-28", both(fn.date_trunc("week", "day")))
    assert.equal("2024-01-01 2021-01-01", both(fn.date_trunc("quarter", "day")))
    assert.equal("2026-01-01T00:00:00", tostring(value(1, fn.date_trunc("year", "wall"))))
    local months = Item:values():annotate{ m = fn.date_trunc("month", "at") }:values("m"):annotate{ count = fn.count() }:order_by("m"):all()
    assert.equal(3, #months)
    assert.equal(1, Item:filter(fn.date_trunc("year", "at"):eq("2024-01-01T00:00:00Z")):count())
  end)

  it("of now is the server's clock", function()
    local now = value(1, fn.now())
    assert.is_true(now > mp.now() - mp.interval "PT10M" and now < mp.now() + mp.interval "PT10M")
    assert.equal(3, Item:filter(fn.now():gt("2024-01-01T00:00:00Z")):count())
    assert.is_true(value(1, fn.current_date()) >= mp.date "2024-01-01")
    Item:filter{ id = 3 }:update{ at = fn.now(), day = fn.current_date() }
    local three = Item:get(3)
    assert.equal(tostring(three.day), tostring(three.at):sub(1, 10))
    assert.equal(1, Item:filter{ at__lte = fn.now(), id = 3 }:count())
  end)

  it("of times moves them and finds what is between, as mp.date and its like do", function()
    local one = Item:get(1)
    local span = mp.interval "P1M1DT1H0.5S"
    assert.equal(tostring(one.at + span), tostring(value(1, F.at + span)))
    assert.equal(tostring(one.at - span), tostring(value(1, F.at - span)))
    assert.equal(tostring(one.at + span), tostring(value(1, span + F.at)))
    assert.equal(tostring(one.wall - span), tostring(value(1, F.wall - span)))
    assert.equal(tostring(one.day + 1), tostring(value(1, F.day + 1)))
    assert.equal("2024-02-28", tostring(value(1, F.day - 1)))
    assert.equal("2025-02-28", tostring(value(1, F.day + mp.interval "P1Y")))
    assert.equal("2024-03-02", tostring(value(1, F.day + "P2D")))
    assert.equal("2024-03-04", tostring(value(2, F.day + F.n) + (mp.date "2024-03-04" - mp.date "2021-01-07")))
    assert.equal(one.at - Item:get(2).at, value(1, F.at - mp.datetime "2021-03-28T01:30:00Z"))
    assert.equal(mp.interval "PT-0.75S", value(1, F.at - mp.datetime "2024-12-31T23:59:59Z"))
    assert.equal(one.day - mp.date "2024-01-01", value(1, F.day - mp.date "2024-01-01"))
    assert.equal(mp.interval "P0D", value(1, F.day - F.day))
    assert.equal(mp.interval "PT1H0.5S", value(1, F.clock - mp.time "12:14:15"))
    assert.is_nil(value(3, F.at + span))
    assert.equal(1, Item:filter{ at__gt = F.at - mp.interval "PT1S", id = 1 }:count())
    assert.equal(2, Item:filter(mp.exists(Item:filter((mp.outer.at + "PT1H"):gt(mp.outer.at)))):count())
    assert.equal(1, Item:filter((F.at - mp.interval "P1D"):lt("2021-03-28T01:30:00Z")):count())
    assert.equal("5.0000", tostring(value(1, mp.decimal "2" * F.d)):sub(1, 6))
    raises("bad_argument", value, 1, mp.decimal "1.5" .. F.name)
    raises("bad_argument", value, 1, F.day + mp.interval "PT1H")
    raises("unsupported", value, 1, F.clock + mp.interval "PT1H")
    raises("unsupported", value, 1, mp.value(mp.interval "P1D") + mp.interval "PT1H" + F.at)
    raises("bad_argument", value, 1, F.at + 1)
    raises("bad_argument", value, 1, F.at - F.day)
    raises("data", value, 1, F.at + mp.interval "P9000Y")
    Item:filter{ id = 1 }:update{ at = F.at + mp.interval "P1D" }
    assert.equal("2025-01-01T23:59:58.25Z", tostring(Item:get(1).at))
  end)

  it("of many rows is the sum, the spread, all of them, or their texts in order", function()
    local all = Item:aggregate{
      pop = fn.stddev_pop "n", samp = fn.stddev_samp "n", vp = fn.var_pop "d", vs = fn.var_samp "x",
      every = fn.bool_and "ok", any = fn.bool_or "ok", texts = fn.string_agg("name", "; "), n = fn.count("n", { distinct = true }),
    }
    assert.near(5.5, all.pop, 1e-9)
    assert.near(7.7781745930520, all.samp, 1e-9)
    assert.near(6.250250, all.vp, 1e-5)
    assert.near(4.5, all.vs, 1e-9)
    assert.is_false(all.every)
    assert.is_true(all.any)
    assert.equal(";   Ärger über ÄÖ ; abcabc", all.texts)
    assert.equal(2, all.n)
    local none = Item:filter{ id = 99 }:aggregate{ t = fn.string_agg("name", ","), s = fn.stddev_pop "n", b = fn.bool_and "ok" }
    assert.is_nil(none.t)
    assert.is_nil(none.s)
    assert.is_nil(none.b)
    Item:create{ name = "abcabc" }
    assert.equal("abcabc, abcabc", Item:filter{ name = "abcabc" }:aggregate{ t = fn.string_agg("name", ", ") }.t)
    assert.equal("abcabc", Item:filter{ name = "abcabc" }:aggregate{ t = fn.string_agg("name", ", ", { distinct = true }) }.t)
    assert.equal("abcabc", Item:aggregate{ t = fn.string_agg("name", "%_'", { filter = mp.Q{ id = 2 } }) }.t)
    assert.equal(3, Item:aggregate{ n = fn.count("id", { filter = Item.name:ne "" }) }.n)
    assert.equal("2.5000", tostring(Item:aggregate{ m = fn.max("d", { filter = mp.Q{ ok = true } }) }.m))
    assert.equal(-3, Item:aggregate{ s = fn.sum("n", { distinct = true }) }.s)
  end)

  it("that a text would overflow is whole", function()
    local long = ("x"):rep(40)
    for _ = 1, 3 do
      local rows = {}
      for i = 1, 10000 do rows[i] = { name = long } end
      Item:bulk_create(rows, { returning = false })
    end
    assert.equal(30000 * 41 - 1, #Item:filter{ name = long }:aggregate{ t = fn.string_agg("name", ",") }.t)
  end)
end)
