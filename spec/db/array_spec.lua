-- Fields of type array: each kind of item comes back as it was given, on servers with arrays and on those where they are
-- JSON, and what is changed inside counts as a change.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("an array", function(open)
  local db, Thing

  before_each(function()
    db = open()
    Thing = mp.entity("Thing", {
      small = f.array{ of = f.smallint(), null = true },
      whole = f.array{ of = f.integer{ null = true, min = 0 }, null = true },
      big = f.array{ of = f.bigint(), null = true },
      real = f.array{ of = f.float(), null = true },
      money = f.array{ of = f.decimal{ precision = 30, scale = 2 }, null = true },
      yes = f.array{ of = f.boolean(), null = true },
      short = f.array{ of = f.string{ max = 5 }, max_length = 3, null = true },
      long = f.array{ of = f.text{ null = true }, default = {} },
      day = f.array{ of = f.date(), null = true },
      clock = f.array{ of = f.time(), null = true },
      instant = f.array{ of = f.datetime{ null = true }, null = true },
      wall = f.array{ of = f.datetime{ timezone = false }, null = true },
      span = f.array{ of = f.interval(), null = true },
      code = f.array{ of = f.uuid(), null = true },
      state = f.array{ of = f.enum{ "draft", "done" }, null = true },
    }, { database = db })
    db:create_all()
  end)

  local full = {
    small = { 1, -2 }, whole = { 1, mp.null, 3 }, big = { 9223372036854775807, -9223372036854775807 }, real = { 1.5, 2.0 },
    money = { mp.decimal "1.50", mp.decimal "1234567890123456789012345678.90" }, yes = { true, false },
    short = { "a", "é,{}\"", "" }, long = { "NULL", mp.null, "\\" }, day = { mp.date "2026-11-21" },
    clock = { mp.time "12:30:00.000001" }, instant = { mp.datetime "2026-11-21T10:00:00Z", mp.null },
    wall = { mp.datetime "2026-11-21T10:00:00.5" }, span = { mp.interval "P1DT2H" },
    code = { "00000000-0000-4000-8000-000000000001" }, state = { "done", "draft", "done" },
  }

  local function check(one)
    for name, wanted in pairs(full) do
      assert.equal(#wanted, #one[name], name)
      for place, item in ipairs(wanted) do
        assert.equal(type(item), type(one[name][place]), name)
        assert.equal(tostring(item):gsub("Z$", ""), tostring(one[name][place]):gsub("Z$", ""), name)
      end
    end
  end

  it("of each kind comes back as it was given", function()
    local id = Thing:create(full).id
    check(Thing:get(id))
    check(Thing:values("small", "whole", "big", "real", "money", "yes", "short", "long", "day", "clock", "instant", "wall",
      "span", "code", "state"):one())
    check(Thing:get(id):refresh())
    assert.equal("1.50", tostring(Thing:pluck("money")[1][1]))
    assert.equal("integer", math.type(Thing:get(id).big[1]))
  end)

  it("comes back from a bulk insert, also of many rows", function()
    local rows = {}
    for i = 1, 40 do
      rows[i] = full
    end
    local made = Thing:bulk_create(rows)
    check(made[40])
    check(Thing:get(made[40].id))
    assert.equal(40, Thing:count())
  end)

  it("may be empty or NULL, which differ", function()
    local one = Thing:create{ small = {} }
    assert.same({}, one.long)
    one = Thing:get(one.id)
    assert.equal(0, #one.small)
    assert.equal(0, #one.long)
    assert.is_nil(one.whole)
    assert.equal(1, Thing:filter{ whole = mp.null }:count())
    assert.equal(0, Thing:filter{ small = mp.null }:count())
  end)

  it("counts as changed when an item is, and only then", function()
    local one = Thing:get(Thing:create(full).id)
    assert.is_false(one:is_dirty())
    one.money[1] = "2.5"
    one.long[#one.long + 1] = "more"
    assert.same({ "money", "long" }, one:dirty_fields())
    one:save()
    assert.is_false(one:is_dirty())
    one = Thing:get(one.id)
    assert.equal("2.50", tostring(one.money[1]))
    assert.equal("more", one.long[4])
    one.money = { "2.50", "1234567890123456789012345678.90" }
    one.short = {}
    one:save()
    assert.equal(0, #Thing:get(one.id).short)
  end)

  it("is put back by a rollback", function()
    local one = Thing:create{ small = { 1 } }
    databases.undone(mp.atomic, { database = db }, function()
      one.small = { 2, 3 }
      one:save()
      error "undone"
    end)
    assert.equal(1, #one.small)
    assert.equal(1, one.small[1])
    assert.is_false(one:is_dirty())
  end)

  it("has a default of its own in every object", function()
    local a, b = Thing{}, Thing{}
    a.long[1] = "a"
    assert.equal(0, #b.long)
  end)

  it("is refused with the item that is wrong", function()
    local err = raises("validation", function()
      Thing:create{ small = { 1, 40000 }, whole = { -1 }, short = { "a", "b", "c", "d" }, yes = { 1 }, real = 3, day = { 1, nil, 3 } }
    end)
    assert.matches("^item 2 cannot take 40000 as smallint", err.errors.small)
    assert.matches("^item 1 must be at least 0", err.errors.whole)
    assert.matches("at most 3 items, not 4", err.errors.short)
    assert.matches("^item 1 cannot take 1 as boolean", err.errors.yes)
    assert.matches("an array is a table", err.errors.real)
    assert.matches("^cannot take", err.errors.day)
    err = raises("validation", function()
      Thing:create{ small = { 1, mp.null }, big = { x = 1 } }
    end)
    assert.matches("^item 2 must not be NULL, unless", err.errors.small)
    assert.matches("no names", err.errors.big)
    assert.equal(0, Thing:count())
  end)

  it("is written by an update of a query set", function()
    local one = Thing:create{ small = { 1 } }
    Thing:filter{ id = one.id }:update{ small = { 4, 5 }, long = mp.array{} }
    one:refresh()
    assert.equal(5, one.small[2])
    assert.equal(0, #one.long)
  end)
end)
