-- mp.date, mp.time, mp.datetime and mp.interval.

local core = require "moonpool.core"

local date, time, datetime, interval = core.date, core.time, core.datetime, core.interval

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

describe("a date", function()
  it("is made of a text, of numbers, of a table, of a datetime", function()
    assert.equal("2026-11-20", tostring(date "2026-11-20"))
    assert.equal("2026-11-20", tostring(date(2026, 11, 20)))
    assert.equal("2026-11-20", tostring(date(2026, 11, 40 / 2)))
    assert.equal("2026-11-20", tostring(date { year = 2026, month = 11, day = 20 }))
    assert.equal("2026-11-20", tostring(date(datetime "2026-11-20T23:59:59Z")))
    assert.equal("1969-12-31", tostring(date(datetime "1969-12-31T23:59:59.5Z")))
  end)

  it("has a year, a month and a day", function()
    local d = date "0001-02-28"
    assert.same({ 1, 2, 28 }, { d.year, d.month, d.day })
    assert.equal("unknown_field", raised(function() return d.hour end).kind)
    assert.equal('a date has no "yeer"', raised(function() return d.yeer end).message)
  end)

  it("that does not exist is refused", function()
    for _, text in ipairs { "2023-02-29", "2024-04-31", "0000-01-01", "10000-01-01", "2024-1-1", "today", "" } do
      assert.equal("invalid_datetime", raised(date, text).kind)
    end
    assert.equal("mp.date: month 2 of 2023 has no day 29", raised(date, 2023, 2, 29).message)
    assert.equal("mp.date: month is from 1 to 12, not 13", raised(date, 2023, 13, 1).message)
    assert.equal("mp.date: day is a whole number, not a number", raised(date, 2023, 1, 1.5).message)
    assert.equal("mp.date: day is missing", raised(date, { year = 2023, month = 1 }).message)
    assert.equal("unknown_option", raised(date, { year = 2023, month = 1, day = 1, hour = 1 }).kind)
    assert.equal("bad_argument", raised(date, 2023).kind)
    assert.equal("bad_argument", raised(date, 2023, 1, 1, 1).kind)
    assert.equal("mp.date cannot be made of nil", raised(date).message)
  end)

  it("moves by days, months and years, and stays in its month", function()
    assert.equal("2024-02-29", tostring(date "2024-02-28" + 1))
    assert.equal("2024-02-28", tostring(date "2024-02-29" - 1))
    assert.equal("2024-02-29", tostring(date "2024-01-31" + interval "P1M"))
    assert.equal("2025-02-28", tostring(date "2024-02-29" + interval "P1Y"))
    assert.equal("2024-01-30", tostring(interval "-P1M" + date "2024-02-29" + 1))
    assert.equal("2024-01-02", tostring(date "2024-01-01" + interval "PT24H"))
    assert.equal("bad_argument", raised(function() return date "2024-01-01" + interval "PT1H" end).kind)
  end)

  it("never leaves the years 1 to 9999", function()
    assert.equal("out_of_range", raised(function() return date "9999-12-31" + 1 end).kind)
    assert.equal("out_of_range", raised(function() return date "0001-01-01" - interval "P1M" end).kind)
    assert.equal("out_of_range", raised(function() return date "2024-01-01" + 4000000 end).kind)
  end)

  it("minus a date is an interval of days", function()
    assert.equal("P366D", tostring(date "2025-01-01" - date "2024-01-01"))
    assert.equal("P-1D", tostring(date "2024-02-29" - date "2024-03-01"))
  end)
end)

describe("a time", function()
  it("is made of a text, of numbers, of a table, of a datetime", function()
    assert.equal("12:30:00", tostring(time "12:30"))
    assert.equal("12:30:00", tostring(time(12, 30)))
    assert.equal("23:59:59.000001", tostring(time(23, 59, 59, 1)))
    assert.equal("05:00:00", tostring(time { hour = 5 }))
    assert.equal("23:59:59.5", tostring(time(datetime "1969-12-31T23:59:59.5Z")))
  end)

  it("has parts, to the microsecond", function()
    local t = time "12:34:56.789012"
    assert.same({ 12, 34, 56, 789012 }, { t.hour, t.minute, t.second, t.microsecond })
    assert.equal(24, time("24:00:00").hour)
  end)

  it("that does not exist is refused", function()
    for _, text in ipairs { "25:00", "12:60", "12:00:60", "24:00:01", "12", "12:00:00.0000001" } do
      assert.equal("invalid_datetime", raised(time, text).kind)
    end
    assert.equal("invalid_datetime", raised(time, 24, 0).kind)
  end)

  it("goes round the clock, and takes no days", function()
    assert.equal("01:00:00", tostring(time "23:00" + interval "PT2H"))
    assert.equal("23:00:00", tostring(time "01:00" - interval "PT2H"))
    assert.equal("PT1H30M", tostring(time "13:30" - time "12:00"))
    assert.equal("bad_argument", raised(function() return time "12:00" + interval "P1D" end).kind)
  end)
end)

describe("a datetime", function()
  it("is an instant, shown in UTC", function()
    assert.equal("2026-11-20T12:00:00Z", tostring(datetime "2026-11-20T12:00:00Z"))
    assert.equal("2026-11-20T12:00:00Z", tostring(datetime "2026-11-20 12:00:00"))
    assert.equal("2026-11-20T10:00:00Z", tostring(datetime "2026-11-20T12:00:00+02:00"))
    assert.equal("2026-11-20T00:00:00Z", tostring(datetime "2026-11-20"))
    assert.equal("2026-11-20T12:00:00.25Z", tostring(datetime(2026, 11, 20, 12, 0, 0, 250000)))
    assert.equal("2026-11-20T00:00:00Z", tostring(datetime(date "2026-11-20")))
  end)

  it("is made of seconds since 1970", function()
    assert.equal("1970-01-01T00:00:00Z", tostring(datetime(0)))
    assert.equal("2001-09-09T01:46:40Z", tostring(datetime(1000000000)))
    assert.equal("1969-12-31T23:59:59.5Z", tostring(datetime(-0.5)))
    assert.equal("out_of_range", raised(datetime, 1e12).kind)
    assert.equal("out_of_range", raised(datetime, 0 / 0).kind)
  end)

  it("gives its seconds, and its microseconds exactly", function()
    local seconds, micros = datetime("2001-09-09T01:46:40.123456Z"):timestamp()
    assert.equal(1000000000.123456, seconds)
    assert.equal(1000000000123456, micros)
    local _, before = datetime("1969-12-31T23:59:59.999999Z"):timestamp()
    assert.equal(-1, before)
  end)

  it("is a wall-clock time without a zone when told so", function()
    local wall = datetime { year = 2026, month = 11, day = 20, hour = 12, timezone = false }
    assert.equal("2026-11-20T12:00:00", tostring(wall))
    assert.equal("walltime", core.kind_of(wall))
    assert.is_false(wall == datetime "2026-11-20T12:00:00Z")
    assert.is_false(pcall(function() return wall - datetime "2026-11-20T12:00:00Z" end))
    assert.is_false(pcall(function() return wall < datetime "2026-11-20T12:00:00Z" end))
    assert.equal("bad_argument", raised(datetime, { year = 2026, month = 1, day = 1, timezone = "UTC" }).kind)
  end)

  it("has parts, before 1970 too", function()
    local d = datetime "1969-12-31T23:58:59.999999Z"
    assert.same({ 1969, 12, 31, 23, 58, 59, 999999 },
      { d.year, d.month, d.day, d.hour, d.minute, d.second, d.microsecond })
  end)

  it("minus a datetime is an interval, plus it is back", function()
    local a, b = datetime "2026-03-01T00:00:00Z", datetime "2026-02-27T12:00:00.5Z"
    assert.equal("PT35H59M59.5S", tostring(a - b))
    assert.is_true(b + (a - b) == a)
    assert.is_true(a - (a - b) == b)
    assert.is_true(b < a)
    assert.is_true(a >= b)
  end)

  it("adds months before days before time", function()
    assert.equal("2024-03-01T01:00:00Z", tostring(datetime "2024-01-31T00:00:00Z" + interval "P1M1DT1H"))
    assert.equal("bad_argument", raised(function() return datetime(0) + 1 end).kind)
    assert.equal("cannot calculate a datetime + a datetime", raised(function() return datetime(0) + datetime(0) end).message)
  end)

  it("is refused when malformed", function()
    for _, text in ipairs { "2026-02-30T12:00:00Z", "2026-11-20T12", "infinity", "2026-11-20T12:00:00 UTC",
      "0001-01-01T00:00:00+01:00" } do
      assert.equal("invalid_datetime", raised(datetime, text).kind)
    end
  end)

  it("now is now, to the microsecond", function()
    local before = os.time()
    local seconds = core.now_datetime():timestamp()
    assert.is_true(seconds >= before and seconds <= os.time() + 1)
    assert.equal("datetime", core.kind_of(core.now_datetime()))
  end)
end)

describe("an interval", function()
  it("keeps months, days and microseconds apart", function()
    local i = interval "P1Y2M3DT4H5M6.5S"
    assert.equal("P1Y2M3DT4H5M6.5S", tostring(i))
    assert.same({ 14, 3, 14706500000 }, { i.months, i.days, i.microseconds })
    assert.equal("unknown_field", raised(function() return i.hours end).kind)
  end)

  it("is made of a table, of seconds, of a time", function()
    assert.equal("P1Y1M8DT1H1M1.000001S", tostring(interval {
      years = 1, months = 1, weeks = 1, days = 1, hours = 1, minutes = 1, seconds = 1, microseconds = 1 }))
    assert.equal("PT1M30S", tostring(interval(90)))
    assert.equal("PT-0.25S", tostring(interval(-0.25)))
    assert.equal("PT12H", tostring(interval(time "12:00")))
    assert.equal("PT0S", tostring(interval {}))
    assert.equal("unknown_option", raised(interval, { day = 1 }).kind)
    assert.equal("bad_argument", raised(interval, { days = 1.5 }).kind)
    assert.equal("bad_argument", raised(interval).kind)
    assert.equal("out_of_range", raised(interval, { days = 2 ^ 33 }).kind)
    assert.equal("invalid_datetime", raised(interval, "1 day").kind)
  end)

  it("calculates", function()
    assert.equal("P1DT1H", tostring(interval "P1D" + interval "PT1H"))
    assert.equal("P1DT-1H", tostring(interval "P1D" - interval "PT1H"))
    assert.equal("P-1D", tostring(-interval "P1D"))
    assert.equal("P3M", tostring(interval "P1M" * 3))
    assert.equal("PT1M30S", tostring(3 * interval "PT30S"))
    assert.equal("out_of_range", raised(function() return interval { days = 2147483647 } * 2 end).kind)
    assert.equal("bad_argument", raised(function() return interval "P1D" * 1.5 end).kind)
    assert.equal("bad_argument", raised(function() return interval "P1D" + 1 end).kind)
  end)

  it("counts a month as 30 days when compared, as PostgreSQL does", function()
    assert.is_true(interval "P1D" == interval "PT24H")
    assert.is_true(interval "P1M" == interval "P30D")
    assert.is_true(interval "P1M" < interval "P31D")
    assert.is_true(interval "PT-1S" < interval "PT0S")
  end)

  it("gives its seconds unless it has months", function()
    local seconds, micros = interval("P1DT0.5S"):seconds()
    assert.equal(86400.5, seconds)
    assert.equal(86400500000, micros)
    assert.equal("bad_argument", raised(function() return interval("P1M"):seconds() end).kind)
  end)
end)
