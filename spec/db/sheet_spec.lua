-- Objects of a large result share what the database holds of them until they are asked for it: each is as one that was
-- read alone.

local core = require "moonpool.core"
local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

local N = 150 -- objects on three sheets

databases.each("an object of many", function(open, database)
  local db, Item, Owner

  before_each(function()
    db = open()
    Owner = mp.entity("Owner", { name = f.string{ max = 20 } }, { database = db })
    Item = mp.entity("Item", {
      title = f.string{ max = 40 },
      note = f.text{ null = true },
      price = f.decimal{ precision = 12, scale = 2 },
      large = f.decimal{ precision = 30, scale = 4 },
      at = f.datetime{ null = true },
      prefs = f.json{ null = true },
      raw = f.binary{ null = true },
      done = f.boolean(),
      owner = f.belongs_to("Owner", { inverse = "items" }),
    }, { database = db, order_by = { "id" } })
    db:create_all()
    Owner:bulk_create{ { name = "ada" }, { name = "bob" } }
    local rows = {}
    for i = 1, N do
      rows[i] = {
        title = "item " .. i, note = i % 3 > 0 and ("note "):rep(i % 7) or nil, price = mp.decimal(i) / 4,
        large = mp.decimal("12345678901234567890.5") + i, at = i % 2 == 0 and mp.datetime "2026-11-20T12:00:00Z" or nil,
        prefs = i % 5 > 0 and { place = i } or nil, raw = i % 4 > 0 and ("\0\255"):rep(i % 4) or nil, done = i % 2 == 0,
        owner_id = i % 2 + 1,
      }
    end
    Item:bulk_create(rows)
  end)

  local function statements(fn) return databases.statements(db, fn) end

  it("has not changed, and says which fields have when they did", function()
    local all, alone = Item:all(), {}
    for i = 1, N do
      alone[i] = Item:get(all[i].id)
      assert.is_false(all[i]:is_dirty())
      assert.same(alone[i]:to_table(), all[i]:to_table())
    end
    for i = 1, N, 7 do
      all[i].title = all[i].title .. "!"
      all[i].large = nil
      local names = all[i]:dirty_fields()
      table.sort(names)
      assert.same({ "large", "title" }, names)
    end
    for i = 2, N, 7 do
      assert.is_false(all[i]:is_dirty())
    end
  end)

  it("is written alone, with what has changed in it", function()
    local all = Item:all()
    all[70].title, all[70].price = "seventy", mp.decimal "0.25"
    assert.equal(1, #statements(function() all[70]:save() end))
    assert.equal(0, #statements(function() all[70]:save() end))
    assert.equal("seventy", Item:get(all[70].id).title)
    assert.equal("item 71", Item:get(all[71].id).title)
    for i = 1, N do
      assert.is_false(all[i]:is_dirty())
    end
    all[3]:delete()
    assert.equal(N - 1, Item:count())
    raises("bad_argument", function() all[3]:refresh() end)
    all[3]:save()
    assert.equal(N, Item:count())
  end)

  it("is as the database has it again when it is read anew, or its block is undone", function()
    local all = Item:all()
    databases.undone(db.atomic, db, function()
      for i = 60, 70 do
        all[i].title, all[i].note = "lost", nil
        all[i]:save()
      end
      all[5]:delete()
      error "undone"
    end)
    for i = 1, N do
      assert.equal("item " .. i, all[i].title)
      assert.is_false(all[i]:is_dirty())
    end
    all[9].title = "unsaved"
    all[9]:refresh()
    assert.equal("item 9", all[9].title)
    assert.is_false(all[9]:is_dirty())
  end)

  it("has the metatable of all objects of its columns, and no other takes its place", function()
    local all = Item:all()
    local one = Item:get(all[1].id)
    for i = 1, N do
      assert.equal(getmetatable(one), getmetatable(all[i]))
    end
    local copy = setmetatable({ title = "copy" }, getmetatable(all[1]))
    assert.is_true(copy:is_dirty())
    raises("bad_argument", function() copy:refresh() end)
    assert.equal("Item(" .. all[100].id .. ")", tostring(all[100]))
    raises("unknown_field", function() all[100].titel = "x" end)
  end)

  it("keeps what it is on while others go", function()
    local kept
    do
      local all = Item:all()
      kept = { all[2], all[66], all[149] }
    end
    for _ = 1, 3 do
      collectgarbage()
    end
    local others = Item:all()
    assert.equal(N, #others)
    for _, one in ipairs(kept) do
      assert.is_false(one:is_dirty())
      local title = one.title
      one.title = "changed"
      assert.same({ "title" }, one:dirty_fields())
      one:refresh()
      assert.equal(title, one.title)
    end
  end)

  it("keeps little of long texts that others had", function()
    local LONG = 20000
    Item:all_rows():update{ note = ("x"):rep(LONG) }
    local kept = Item:all()[N // 2]
    collectgarbage()
    collectgarbage()
    local with = collectgarbage "count"
    assert.equal(LONG, #kept.note)
    kept = nil
    collectgarbage()
    collectgarbage()
    assert.is_nil(kept)
    assert.is_true((with - collectgarbage "count") * 1024 < 10 * LONG, "it kept more than ten texts")
  end)

  it("may come from a stream, and lead to others", function()
    local n = 0
    for one in Item:select_related("owner"):iter{ chunk = 50 } do
      n = n + 1
      assert.is_false(one:is_dirty())
      assert.is_false(one.owner:is_dirty())
      assert.equal(n % 2 == 0 and "ada" or "bob", one.owner.name)
      one.title = "other"
      assert.same({ "title" }, one:dirty_fields())
    end
    assert.equal(N, n)
  end)

  it("knows the others of its result", function()
    local all = Item:all()
    local seen = statements(function()
      for i = 1, N do
        assert.equal(i % 2 == 0 and "ada" or "bob", all[i].owner.name)
      end
    end)
    assert.equal(1, #seen)
    all = Item:defer("note"):all()
    seen = statements(function()
      for i = 1, N do
        assert.equal(i % 3 > 0 and ("note "):rep(i % 7) or nil, all[i].note)
        assert.is_false(all[i]:is_dirty())
      end
    end)
    assert.equal(1, #seen)
  end)

  it("may stand between rows whose values are more than bytes", function()
    local Span = mp.entity("Span", {
      name = f.string{ max = 20 }, span = f.interval{ null = true }, words = f.array{ of = f.text(), null = true },
    }, { database = db, order_by = { "id" } })
    db:create_all()
    for i = 1, 20 do
      Span:create{ name = "span " .. i, span = i % 3 == 0 and mp.interval "P1D" or nil, words = i % 4 == 0 and { "a", "b" .. i } or nil }
    end
    local all = Span:all()
    for i = 1, 20 do
      assert.is_false(all[i]:is_dirty())
      assert.equal("span " .. i, all[i].name)
      all[i].words = { "b" .. i }
      assert.same({ "words" }, all[i]:dirty_fields())
      all[i].words, all[i].name = nil, "other"
      assert.same(i % 4 == 0 and { "name", "words" } or { "name" }, all[i]:dirty_fields())
      all[i]:refresh()
      assert.same(i % 4 == 0 and { "a", "b" .. i } or nil, all[i].words)
    end
  end)

  it("is one of its own class where several share a table, also declared since", function()
    local Animal = mp.entity("Animal", { name = f.string{ max = 20 }, kind = f.string{ max = 20 } },
      { database = db, discriminator = "kind", order_by = { "id" } })
    db:create_all()
    for i = 1, 20 do
      Animal:create{ name = "animal " .. i }
    end
    db:execute "update animal set kind = 'Dog' where id % 2 = 0"
    assert.equal("Animal(2)", tostring(Animal:all()[2]))
    mp.entity("Dog", {}, { extends = "Animal" })
    for _ = 1, 2 do -- first from sheets
      local all = Animal:all()
      for i = 1, 20 do
        assert.equal((i % 2 == 0 and "Dog(" or "Animal(") .. i .. ")", tostring(all[i]))
        assert.is_false(all[i]:is_dirty())
        all[i].name = "renamed"
        assert.same({ "name" }, all[i]:dirty_fields())
      end
    end
  end)

  it("is known by a session, which takes over what comes anew", function()
    db:session(function(s)
      local all = Item:all()
      all[10].title = "mine"
      local again = Item:all()
      for i = 1, N do
        assert.equal(all[i], again[i])
      end
      assert.equal("mine", all[10].title)
      all[11].done = not all[11].done
      assert.is_true(#statements(function() s:flush() end) > 0)
      s:rollback()
      assert.equal("item 10", all[10].title)
    end)
    assert.equal("item 10", Item:get(10).title)
  end)
end)

describe("objects on sheets", function()
  it("are those of large results, until they are asked", function()
    local db = mp.open "sqlite::memory:"
    local Thing = mp.entity("Thing", { name = f.string{ max = 20 } }, { database = db })
    db:create_all()
    for i = 1, 7 do Thing:create{ name = "thing " .. i } end
    for _, one in ipairs(Thing:all()) do
      assert.is_false((core.on_sheet(one)))
    end
    Thing:create{ name = "thing 8" }
    local all = Thing:all()
    for i = 1, 8 do
      assert.equal(not core.jit, (core.on_sheet(all[i])))
    end
    assert.is_false(all[4]:is_dirty())
    all[4].name = "other"
    assert.same({ "name" }, all[4]:dirty_fields())
    assert.equal(not core.jit, (core.on_sheet(all[4])))
    all[4]:save()
    assert.is_false((core.on_sheet(all[4])))
    assert.has_error(function() core.changed_on_sheet(all[4], getmetatable(all[4]).plan) end)
    assert.equal(not core.jit, (core.on_sheet(all[5])))
    for _, other in ipairs { 1, "x", {}, setmetatable({}, {}), mp.null } do
      assert.is_false((core.on_sheet(other)))
      assert.is_nil(core.own_original(other, {}))
    end
    db:close()
  end)
end)
