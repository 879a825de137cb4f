-- Lookups on parts of dates and times, and on arrays: the same rows on every database.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f, fn, F, null = mp.field, mp.fn, mp.F, mp.null

databases.each("a lookup", function(open)
  local db, Event, Tag

  before_each(function()
    db = open()
    Event = mp.entity("Event", {
      name = f.string{ max = 20 },
      at = f.datetime{ null = true },
      day = f.date{ null = true },
      clock = f.time{ null = true },
    }, { database = db })
    Tag = mp.entity("Tag", {
      name = f.string{ max = 20 },
      words = f.array{ of = f.string{ max = 10 }, null = true },
      nums = f.array{ of = f.integer() , default = {} },
      prices = f.array{ of = f.decimal{ precision = 8, scale = 2 }, default = {} },
      event = f.belongs_to("Event", { null = true, inverse = "tags" }),
    }, { database = db })
    db:create_all()
    local a = Event:create{ name = "a", at = "2024-02-29T23:30:15.5Z", day = "2024-02-29", clock = "06:07:08" }
    Event:create{ name = "b", at = "2025-01-05T00:00:00Z", day = "2025-01-05", clock = "23:59:59.999999" }
    Event:create{ name = "c" }
    Tag:create{ name = "x", words = { "red", "blue", "it's" }, nums = { 1, 2, 3 }, prices = { "1.50" }, event = a }
    Tag:create{ name = "y", words = {}, nums = { 3 } }
    Tag:create{ name = "z", nums = { 10 }, prices = { "2.00", "1.50" } }
  end)

  local function events(...) return table.concat(Event:filter(...):order_by("name"):pluck("name")) end
  local function tags(...) return table.concat(Tag:filter(...):order_by("name"):pluck("name")) end

  it("on a part of a date compares the part", function()
    assert.equal("a", events{ at__year = 2024 })
    assert.equal("b", events{ at__year__gt = 2024 })
    assert.equal("ab", events{ at__year__in = { 2024, 2025 } })
    assert.equal("bc", events(mp.no(mp.Q{ at__year = 2024 })))
    assert.equal("bc", events{ at__year__ne = 2024 })
    assert.equal("c", events{ at__year = null })
    assert.equal("c", events{ at__year__isnull = true })
    assert.equal("a", events{ at__month = 2, at__day = 29 })
    assert.equal("a", events{ at__hour = 23, at__minute = 30, at__second = 15 })
    assert.equal("b", events{ at__week_day = 1 })
    assert.equal("a", events{ day__week_day = 5 })
    assert.equal("b", events{ day__week__lt = 9 })
    assert.equal("a", events{ at__quarter__range = { 1, 1 }, day__year = 2024 })
    assert.equal("a", events{ at__date = "2024-02-29" })
    assert.equal("a", events{ at__date = mp.date "2024-02-29" })
    assert.equal("ab", events{ at__date__gte = "2024-02-29" })
    assert.equal("a", events{ at__date__year = 2024 })
    assert.equal("a", events{ clock__hour = 6 })
    assert.equal("b", events{ clock__second = 59 })
    assert.equal("a", events{ at__date = F.day, at__year__lt = 2025 })
    assert.equal("a", events(F.at.year:eq(2024)))
    assert.equal("a", events(fn.year("at"):eq(2024)))
    assert.same({ 2025, 2024 }, Event:filter{ at__isnull = false }:order_by("-at__year"):pluck("at__year"))
    assert.same({ "x" }, Tag:filter{ event__at__year = 2024 }:pluck("name"))
    assert.same({ 1, 1, 1 }, Event:values("at__year"):annotate{ count = fn.count() }:pluck("count"))
    assert.equal(1, Event:annotate{ moved = F.at + mp.interval "P1D" }:filter{ moved__month = 3 }:count())
  end)

  it("on a part that the field has not is refused", function()
    raises("unknown_lookup", events, { name__year = 2024 })
    raises("unknown_lookup", events, { day__hour = 1 })
    raises("unknown_lookup", events, { clock__year = 1 })
    raises("unknown_lookup", events, { day__date = "2024-01-01" })
    raises("unknown_lookup", events, { at__year__month = 1 })
    raises("unknown_lookup", events, { at__year__contains = "2" })
    raises("unknown_lookup", events, { at__year__gt__lt = 1 })
    raises("bad_argument", events, { at__year = "soon" })
    raises("unknown_field", function() Event:order_by("at__yeer") end)
  end)

  it("on an array asks for its items", function()
    assert.equal("x", tags{ nums__contains = { 1, 3 } })
    assert.equal("xy", tags{ nums__contains = { 3 } })
    assert.equal("xyz", tags{ nums__contains = {} })
    assert.equal("", tags{ nums__contains = { 4 } })
    assert.equal("xyz", tags{ nums__overlap = { 3, 10 } })
    assert.equal("", tags{ nums__overlap = {} })
    assert.equal("x", tags{ words__contains = { "it's" } })
    assert.equal("", tags{ words__contains = { "RED" } })
    assert.equal("x", tags{ words__overlap = { "blue", "none" } })
    assert.equal("yz", tags(mp.no(mp.Q{ words__contains = { "red" } })))
    assert.equal("yz", tags(mp.no(mp.Q{ words__overlap = { "red" } })))
    assert.equal("xz", tags{ prices__contains = { "1.50" } })
    assert.equal("xz", tags{ prices__contains = { mp.decimal "1.5" } })
    assert.equal("z", tags{ prices__overlap = { "2" } })
    assert.equal("x", tags(F.nums:contains{ 2 }))
    assert.equal("x", tags{ nums = { 1, 2, 3 } })
    assert.equal("a", events{ tags__nums__contains = { 3 } })
  end)

  it("on an array counts its items", function()
    assert.equal("x", tags{ nums__len = 3 })
    assert.equal("yz", tags{ nums__len__lt = 2 })
    assert.equal("y", tags{ words__len = 0 })
    assert.equal("z", tags{ words__len = null })
    assert.equal("yz", tags{ words__len__ne = 3 })
    assert.same({ 1, 1, 3 }, Tag:order_by("nums__len", "name"):pluck("nums__len"))
    assert.equal(5, Tag:aggregate{ n = fn.sum "nums__len" }.n)
  end)

  it("on an array with something else is refused", function()
    raises("bad_argument", tags, { nums__contains = 1 })
    raises("bad_argument", tags, { nums__contains = { "x" } })
    raises("bad_argument", tags, { nums__overlap = { 1.5 } })
    raises("unknown_lookup", tags, { name__overlap = { "x" } })
    raises("unknown_lookup", tags, { name__len = 1 })
    raises("unknown_lookup", tags, { nums__icontains = { 1 } })
    raises("bad_argument", tags, { words__contains = { null } })
  end)
end)
