-- Relations to an entity whose key has several columns, and such a key itself: conditions, sets, writes.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

local function labels(set, name)
  local list = {}
  for place, one in ipairs(set:all()) do
    list[place] = one[name or "label"]
  end
  table.sort(list)
  return table.concat(list, " ")
end

databases.each("a key of several columns", function(open)
  local db, Shop, Item, Line, Label

  before_each(function()
    db = open()
    Shop = mp.entity("Shop", { name = f.string{ max = 50 } }, { database = db })
    Line = mp.entity("Line", { -- before the entity that it leads to
      count = f.integer(),
      item = f.belongs_to("Item", { inverse = "lines", null = true, on_delete = "cascade" }),
    }, { database = db })
    Item = mp.entity("Item", {
      shop = f.belongs_to("Shop", { inverse = "items" }),
      number = f.string{ max = 10 },
      name = f.string{ max = 50 },
      labels = f.many_to_many("Label", { inverse = "items" }),
    }, { database = db, primary_key = { "shop", "number" } })
    Label = mp.entity("Label", { label = f.string{ max = 20 } }, { database = db })
    db:create_all()
    Shop:create{ name = "corner" }
    Shop:create{ name = "market" }
    for _, row in ipairs{ { 1, "a", "apple" }, { 1, "b", "bread" }, { 2, "a", "axe" } } do
      Item:create{ shop = row[1], number = row[2], name = row[3] }
    end
    Label:create{ label = "red" }
    Label:create{ label = "hot" }
    Line:create{ count = 1, item = Item:get{ shop = 1, number = "a" } }
    Line:create{ count = 2, item = { shop = 1, number = "b" } }
    Line:create{ count = 3, item_shop_id = 2, item_number = "a" }
    Line:create{ count = 4 }
  end)

  it("is a column for each part", function()
    local line = Line:get(1)
    assert.equal(1, line.item_shop_id)
    assert.equal("a", line.item_number)
    assert.equal("apple", line.item.name)
    assert.equal("axe", Line:get(3).item.name)
    assert.is_nil(Line:get(4).item)
    raises("foreign_key", function() Line:create{ count = 9, item = { shop = 2, number = "b" } } end)
  end)

  it("follows what is set", function()
    local line = Line:get(1)
    line.item = Item:get{ shop = 2, number = "a" }
    assert.equal(2, line.item_shop_id)
    line.item_shop_id, line.item_number = 1, "b"
    assert.equal("bread", line.item.name)
    line:save()
    assert.equal("b", Line:get(1).item_number)
    line.item = { shop = 1, number = "a" }
    assert.equal("apple", line.item.name)
    line.item = nil
    assert.is_nil(line.item_shop_id)
    line:save()
    assert.is_nil(Line:get(1).item)
    local new = Line:build{ count = 5 }
    new.item = Item:build{ shop = 2, number = "z", name = "zip" }
    new.item:save()
    new:save()
    assert.equal("z", Line:get(new.id).item_number)
  end)

  local function counts(q) return q:order_by("id"):pluck "count" end

  it("stands in conditions as an object, a table of its parts, or a query set", function()
    local apple = Item:get{ shop = 1, number = "a" }
    assert.same({ 1 }, counts(Line:filter{ item = apple }))
    assert.same({ 2 }, counts(Line:filter{ item = { shop = 1, number = "b" } }))
    assert.same({ 1, 3 }, counts(Line:filter{ item__in = { apple, { shop_id = 2, number = "a" } } }))
    assert.same({ 1, 4 }, counts(Line:filter{ item__in = { apple, mp.null } }))
    assert.same({}, counts(Line:filter{ item__in = {} }))
    assert.same({ 2, 3, 4 }, counts(Line:exclude{ item = apple }))
    assert.same({ 2, 3, 4 }, counts(Line:filter{ item__ne = apple }))
    assert.same({ 2, 4 }, counts(Line:filter{ item__not_in = { apple, { shop = 2, number = "a" } } }))
    assert.same({ 4 }, counts(Line:filter{ item = mp.null }))
    assert.same({ 1, 2, 3 }, counts(Line:filter{ item__isnull = false }))
    assert.same({ 1, 2 }, counts(Line:filter{ item__in = Item:filter{ shop__name = "corner" } }))
    assert.same({ 1, 2 }, counts(Line:filter{ item__shop__name = "corner" }))
    assert.same({ 1, 3 }, counts(Line:filter{ item__number = "a" }))
    assert.same({ 3 }, counts(Line:filter{ item__name = "axe" }))
    assert.same({ 1 }, counts(Line:filter(Line.item:eq(apple))))
    assert.same({ 1 }, counts(Line:filter(Line.item:in_{ apple })))
  end)

  it("is pk", function()
    local apple = Item:get{ shop = 1, number = "a" }
    assert.equal("apple", Item:get(apple).name)
    assert.equal("apple", Item:get{ pk = apple }.name)
    assert.same({ "apple", "axe" }, Item:filter{ pk__in = { apple, { shop = 2, number = "a" } } }:order_by("name"):pluck "name")
    assert.same({ "axe" }, Item:exclude{ shop = 1 }:pluck "name")
    assert.same({ shop = 1, number = "a" }, apple.pk)
    assert.equal("axe", Item:get(Item:get{ name = "axe" }.pk).name)
    local found = Item:in_bulk{ apple, { shop = 2, number = "a" }, { shop = 7, number = "x" } }
    assert.equal("apple", found[1].a.name)
    assert.equal("axe", found[2].a.name)
    assert.is_nil(found[7])
    assert.matches("not unique", raises("bad_argument", function() Item:in_bulk({ "a" }, "number") end).message)
    assert.equal(1, (Item:filter{ pk = { shop = 2, number = "a" } }:update{ name = "AXE" }))
    assert.equal(1, (Item:order_by("-name"):limit(1):update{ name = "zzz" }))
    assert.equal("zzz", Item:get{ shop = 1, number = "b" }.name)
    assert.equal(1, Item:filter{ lines__count = 2 }:delete())
    assert.equal(2, Item:count())
  end)

  it("is given by the names of its parts or in their order", function()
    assert.equal("bread", Item:get{ 1, "b" }.name)
    assert.is_nil(Item:get{ 2, "b" })
    assert.equal("bread", Item:filter{ shop__name = "corner" }:get{ 1, "b" }.name)
    assert.equal("axe", Item:filter{ pk = { 2, "a" } }:one().name)
    assert.same({ "apple", "axe" }, Item:filter{ pk__in = { { 1, "a" }, { 2, "a" } } }:order_by("name"):pluck "name")
    assert.equal("axe", Item:in_bulk{ { 2, "a" } }[2].a.name)
    assert.same({ 3 }, counts(Line:filter{ item = { 2, "a" } }))
    assert.equal("axe", Line:create{ count = 5, item = { 2, "a" } }.item.name)
    local line = Line:get(1)
    line.item = { 1, "b" }
    assert.equal("bread", line.item.name)
    db:session(function(s)
      local bread = s:get(Item, { 1, "b" })
      assert.equal(bread, s:get(Item, { shop = 1, number = "b" }))
      assert.equal(0, #mp.testing.queries(function() assert.equal(bread, s:get(Item, { 1, "b" })) end))
      assert.is_nil(s:get(Item, { 7, "b" }))
    end)
    for _, wrong in ipairs{ { 1 }, { 1, "b", 3 }, { 1, number = "b" }, { 1, mp.null }, { 1, "b", name = "x" } } do
      local err = raises("bad_argument", Item.get, Item, wrong)
      assert.truthy(err.message:find("shop, number", 1, true), err.message)
      raises("bad_argument", db.session, db, function(s) s:get(Item, wrong) end)
    end
    raises("bad_argument", Item.get, Item, 1, "b")
    raises("bad_argument", Shop.get, Shop, { 1, 2 })
  end)

  it("is a set's owner", function()
    local apple = Item:get{ shop = 1, number = "a" }
    assert.same({ 1 }, apple.lines:pluck "count")
    apple.lines:add(2, Line:get(4))
    assert.same({ 1, 2, 4 }, counts(apple.lines))
    apple.lines:create{ count = 7 }
    apple.lines:remove(1)
    apple.lines:set{ 1 }
    assert.same({ 1 }, counts(apple.lines))
    assert.equal(1, apple.lines:clear())
    assert.equal(0, apple.lines:count())
  end)

  it("is in a table between", function()
    local apple, axe = Item:get{ shop = 1, number = "a" }, Item:get{ shop = 2, number = "a" }
    apple.labels:add(1, 2)
    axe.labels:add(2)
    assert.equal("hot red", labels(apple.labels))
    Label:get(1).items:add(axe, { shop = 1, number = "b" })
    assert.equal("apple axe bread", labels(Label:get(1).items, "name"))
    Label:get(1).items:remove({ shop = 1, number = "b" }, apple)
    assert.equal("axe", labels(Label:get(1).items, "name"))
    assert.same({ "axe" }, Item:filter{ labels__label = "red" }:pluck "name")
    Label:get(1).items:set{ apple }
    assert.same({ "red" }, Label:filter{ items = apple, label = "red" }:pluck "label")
    assert.same({ { n = 2, name = "apple" }, { n = 1, name = "axe" }, { n = 0, name = "bread" } },
      Item:annotate{ n = mp.fn.count("labels") }:order_by("name"):values("name", "n"):all())
  end)

  it("is written by every way to write", function()
    local bread = Item:get{ shop = 1, number = "b" }
    Line:bulk_create{ { item = bread, count = 10 }, { item = { shop = 1, number = "b" }, count = 11 }, { count = 12 } }
    assert.same({ 2, 10, 11 }, counts(bread.lines))
    assert.equal(1, Line:filter{ count = 12 }:update{ item = bread })
    assert.equal(2, Line:filter{ count__gt = 10 }:update{ item = mp.null })
    assert.same({ 2, 10 }, counts(bread.lines))
    local line = Line:get{ count = 12 }
    line.item = bread
    assert.equal(1, Line:bulk_update({ line }, { "item" }))
    assert.same({ 2, 10, 12 }, counts(bread.lines))
    line.item = nil
    line.count = 99
    line:save{ fields = { "item" } }
    assert.same({ 2, 10 }, counts(bread.lines))
    assert.equal(1, Line:filter{ count = 12 }:count())
    local _, made = Line:get_or_create({ item = bread, count = 55 })
    assert.is_true(made)
    _, made = Line:get_or_create({ item = bread, count = 55 })
    assert.is_false(made)
    assert.matches("an expression is assigned to one", raises("bad_argument", function()
      Line:filter{ id = 1 }:update{ item = mp.F.count }
    end).message)
  end)

  it("is loaded with others in one statement, and left out", function()
    assert.equal("corner", Line:select_related("item__shop"):get(1).item.shop.name)
    local line = Line:only("count"):get(1)
    assert.equal("apple", line.item.name)
    line = Line:defer("item"):get(1)
    assert.equal("apple", line.item.name)
    local lines, items = Line:order_by("id"):prefetch("item__labels", "item__shop"):all(), Item:prefetch("lines"):all()
    assert.same({ Line:count(), Item:count() }, { #lines, #items })
    for _, one in ipairs(lines) do
      assert.equal(one.id == 4, one.item == nil)
    end
    for _, one in ipairs(items) do assert.equal(1, one.lines:count()) end
  end)

  it("is a key itself, of a one_to_one too", function()
    local Info = mp.entity("Info", {
      item = f.one_to_one("Item", { inverse = "info", primary_key = true }), text = f.string{ max = 20 },
    }, { database = db })
    db:create_all()
    local apple = Item:get{ shop = 1, number = "a" }
    local info = Info:create{ item = apple, text = "first" }
    info.text = "second"
    info:save()
    assert.equal("second", Info:get(info).text)
    assert.equal("second", apple.info.text)
    Info:upsert{ item = apple, text = "third" }
    Info:upsert({ item = apple, text = "last" }, { conflict = { "item" } })
    assert.equal("last", Info:get{ item = apple }.text)
    raises("unique", function() Info:create{ item = apple, text = "x" } end)
    local texts = {}
    for _, one in ipairs(Item:order_by("name"):prefetch("info"):all()) do texts[#texts + 1] = one.info and one.info.text or "-" end
    assert.same({ "last", "-", "-" }, texts)
    assert.same({ "apple" }, Item:filter{ info__text = "last" }:pluck "name")
  end)

  it("is told by what makes it, and nothing else", function()
    assert.matches("the key has no number", raises("bad_argument", function() Line:filter{ item = { shop = 1 } } end).message)
    assert.matches("no part of the key", raises("unknown_field", function()
      Line:filter{ item = { shop = 1, number = "a", name = "x" } }
    end).message)
    assert.matches("object or a table", raises("bad_argument", function() Line:filter{ item = 3 } end).message)
    assert.matches("takes Item, not Line", raises("bad_argument", function() Line:filter{ item = Line:get(1) } end).message)
    raises("unknown_lookup", function() Line:filter{ item__gt = { shop = 1, number = "a" } } end)
    assert.matches("item_shop_id, item_number", raises("bad_argument", function() Line:order_by("item"):all() end).message)
    local line = Line:get(1)
    raises("bad_argument", function() line.item = { shop = 1 } end)
    raises("bad_argument", function() line.item = 3 end)
  end)
end)
