-- Columns that are no part of an object's row until they are touched, and those that a query left out: loaded for all
-- objects of the same result at once.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("a lazy column", function(open)
  local db, Page

  before_each(function()
    db = open()
    Page = mp.entity("Page", {
      title = f.string(), body = f.text{ lazy = true, null = true }, extra = f.json{ lazy = true, null = true },
      size = f.integer{ default = 0 },
    }, { database = db, order_by = { "title" } })
    db:create_all()
    Page:bulk_create{
      { title = "a", body = "body a", extra = { 1 } }, { title = "b", body = "body b" }, { title = "c", extra = { 3 } },
    }
  end)

  local function statements(fn) return #databases.statements(db, fn) end

  it("stays in the database until it is touched", function()
    local page = Page:first()
    assert.is_nil(rawget(page, "body"))
    assert.is_nil(page:to_table().body)
    assert.equal(1, statements(function() assert.equal("body a", page.body) end))
    assert.equal(0, statements(function() assert.equal("body a", page.body) end))
    assert.is_nil(rawget(page, "extra"))
    assert.is_nil(rawget(Page:get(page.id), "body"))
    assert.is_false(page:is_dirty())
  end)

  it("is loaded for all objects of a result at once", function()
    local pages = Page:all()
    assert.equal(1, statements(function()
      local bodies = {}
      for place, page in ipairs(pages) do
        bodies[place] = page.body or "none"
      end
      assert.same({ "body a", "body b", "none" }, bodies)
    end))
    assert.equal(3, pages[3].extra[1])
    local n = 0
    for page in Page:iter{ chunk = 2 } do
      n = n + 1
      assert.equal(page.title == "c" and "" or "body " .. page.title, page.body or "")
    end
    assert.equal(3, n)
  end)

  it("is written like any other, and only if it changed", function()
    local pages = Page:all()
    pages[1].size = 5
    assert.equal("body b", pages[2].body)
    assert.same({ "size" }, pages[1]:dirty_fields())
    pages[1].body = "new"
    pages[2].body = nil
    assert.same({ "body", "size" }, pages[1]:dirty_fields())
    pages[1]:save()
    pages[2]:save()
    assert.same({ "new", mp.null, mp.null }, Page:pluck("body"))
    assert.equal(5, Page:get(pages[1].id).size)
    pages[1].extra[2] = 7
    pages[1]:save()
    assert.equal(7, Page:get(pages[1].id).extra[2])
  end)

  it("is part of an object that was just made, and survives refresh where it is loaded", function()
    local page = Page:create{ title = "d", body = "mine" }
    assert.equal(0, statements(function() assert.equal("mine", page.body) end))
    page.body = "other"
    assert.same({ "body" }, page:dirty_fields())
    page:save()
    Page:filter{ id = page.id }:update{ body = "theirs" }
    assert.equal("theirs", page:refresh().body)
    page = Page:get(page.id)
    page:refresh()
    assert.is_nil(rawget(page, "body"))
    assert.equal("theirs", page.body)
  end)

  it("may be asked for in a query", function()
    assert.equal("body a", rawget(Page:only("body"):first(), "body"))
    assert.equal("body a", Page:values("body"):first().body)
    assert.equal(1, Page:filter{ body__contains = "y b" }:count())
  end)

  it("is not loaded any more after a rollback of what loaded it", function()
    local page = Page:first()
    databases.undone(mp.atomic, { database = db }, function()
      page.size = 9
      page:save()
      assert.equal("body a", page.body)
      page.body = "no"
      page:save()
      error "undone"
    end)
    assert.same({ 0, "body a" }, { page.size, page.body })
    assert.is_false(page:is_dirty())
  end)

  it("of a row that is gone raises not_found", function()
    local page = Page:first()
    Page:all_rows():delete()
    raises("not_found", function() return page.body end)
  end)
end)

databases.each("a column that a query left out", function(open)
  it("is loaded for all objects of the result at once, with the others", function()
    local db = open()
    local Row = mp.entity("Row", { a = f.integer(), b = f.integer(), d = f.text{ lazy = true } }, { database = db })
    db:create_all()
    for i = 1, 3 do
      Row:create{ a = i, b = i * 10, d = "c" .. i }
    end
    local rows = Row:only("id"):order_by("id"):all()
    assert.equal(2, #databases.statements(db, function()
      assert.same({ 1, 2, 30 }, { rows[1].a, rows[2].a, rows[3].b })
      assert.is_nil(rawget(rows[1], "d"))
      assert.equal("c2", rows[2].d)
    end))
  end)
end)
