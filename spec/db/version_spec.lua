-- What objects are written with beside what the program changed: a version, which tells a change from another's, and the
-- times of the first and of the last one.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("a version", function(open)
  local db, Page

  before_each(function()
    db = open()
    Page = mp.entity("Page", {
      title = f.string{ unique = true }, views = f.integer{ default = 0 }, count = f.integer{ version = true },
    }, { database = db })
    db:create_all()
  end)

  it("counts from 1, one for each update", function()
    local page = Page:create{ title = "a" }
    assert.equal(1, page:to_table().count)
    page.title = "b"
    page:save()
    page:save()
    assert.equal(2, page:to_table().count)
    assert.equal(2, Page:get(page.id):to_table().count)
    assert.is_false(page:is_dirty())
  end)

  it("raises stale where somebody else was faster, and changes nothing", function()
    local mine = Page:create{ title = "a" }
    local theirs = Page:get(mine.id)
    theirs.views = 5
    theirs:save()
    mine.title = "mine"
    local err = raises("stale", function() mine:save() end)
    assert.matches("changed or deleted since", err.message)
    assert.equal("a", Page:get(mine.id).title)
    raises("stale", function() mine:delete() end)
    assert.equal(1, Page:count())
    mine:refresh()
    mine.title = "mine"
    mine:save()
    assert.same({ "mine", 5, 3 }, { mine.title, mine.views, mine:to_table().count })
    mine:delete()
    raises("stale", function() theirs:delete() end)
  end)

  it("is counted by updates of query sets and by upserts", function()
    local page = Page:create{ title = "a" }
    assert.equal(1, Page:filter{ id = page.id }:update{ views = mp.F.views + 1 })
    page.views = 9
    raises("stale", function() page:save() end)
    Page:bulk_create({ { title = "a", views = 7 } }, { on_conflict = "update", conflict = { "title" }, update = { "views" } })
    Page:upsert({ title = "a", views = 8 }, { conflict = { "title" } })
    page:refresh()
    assert.same({ 8, 4 }, { page.views, page:to_table().count })
  end)

  it("is checked and counted for each object of bulk_update", function()
    local pages = Page:bulk_create{ { title = "a" }, { title = "b" } }
    Page:filter{ title = "b" }:update{ views = 1 }
    pages[1].views, pages[2].views = 3, 3
    raises("stale", function() Page:bulk_update(pages, { "views" }) end)
    assert.same({ 0, 1 }, Page:order_by("id"):pluck("views"))
    pages[2]:refresh().views = 3
    assert.equal(2, Page:bulk_update(pages, { "views" }))
    assert.same({ 2, 3 }, Page:order_by("id"):pluck("count"))
    pages[1].views = 4
    pages[1]:save()
  end)

  it("is put back by a rollback", function()
    local page = Page:create{ title = "a" }
    databases.undone(mp.atomic, { database = db }, function()
      page.title = "b"
      page:save()
      error "undone"
    end)
    assert.equal(1, page:to_table().count)
    page.title = "c"
    page:save()
    assert.equal(2, page:to_table().count)
  end)

  it("is not assigned", function()
    local page = Page:create{ title = "a" }
    rawset(page, "count", 7)
    assert.matches("counted by moonpool", raises("validation", function() page:save() end).errors.count)
    assert.matches("counted by moonpool", raises("bad_argument", function()
      Page:filter{ id = page.id }:update{ count = 3 }
    end).message)
  end)

  it("is read with every object, whatever columns were asked for", function()
    Page:create{ title = "a" }
    local page = Page:only("title"):first()
    page.title = "b"
    page:save()
    assert.equal(2, Page:first():to_table().count)
  end)
end)

databases.each("timestamps", function(open)
  local db, Note

  before_each(function()
    db = open()
    Note = mp.entity("Note", { text = f.text(), mark = f.integer{ unique = true, null = true } },
      { database = db, timestamps = true })
    db:create_all()
  end)

  local function tick() -- a time that differs
    local before = mp.now()
    repeat until mp.now() > before
  end

  it("say when a row was made and when it last changed", function()
    local before = mp.now()
    local note = Note:create{ text = "a" }
    assert.is_true(note.created_at >= before and note.created_at <= mp.now())
    assert.equal(note.created_at, note.updated_at)
    local made = note.created_at
    tick()
    note:save()
    assert.equal(made, note.updated_at)
    note.text = "b"
    note:save()
    assert.equal(made, note.created_at)
    assert.is_true(note.updated_at > made)
    assert.is_false(note:is_dirty())
    local again = Note:get(note.id)
    assert.same({ made, note.updated_at }, { again.created_at, again.updated_at })
  end)

  it("are kept by bulk calls and updates of query sets", function()
    local notes = Note:bulk_create{ { text = "a", mark = 1 }, { text = "b" } }
    assert.equal(notes[2].created_at, notes[2].updated_at)
    local made = notes[1].updated_at
    local function changed()
      local last = Note:get(notes[1].id).updated_at
      local is = last > made
      made = last
      tick()
      return is
    end
    tick()
    Note:filter{ id = notes[1].id }:update{ text = "c" }
    assert.is_true(changed())
    notes[1].text = "d"
    Note:bulk_update(notes, { "text" })
    assert.is_true(changed())
    assert.is_false(notes[1]:is_dirty())
    Note:upsert({ text = "e", mark = 1 }, { conflict = { "mark" }, update = { "text" } })
    assert.is_true(changed())
    notes[1]:refresh().text = "f"
    notes[1]:save{ fields = { "text" } }
    assert.is_true(changed())
    Note:only("text"):get(notes[1].id):save()
    assert.is_false(changed())
  end)

  it("may be given, and may have names of their own", function()
    local Old = mp.entity("Old", { text = f.text() }, { database = db, timestamps = { updated = "changed" } })
    db:create_all()
    local day = mp.datetime "2020-01-01T00:00:00Z"
    local note = Note:create{ text = "a", created_at = day }
    assert.same({ day, day }, { note.created_at, note.updated_at })
    note.updated_at = mp.datetime "2021-01-01T00:00:00Z"
    note:save()
    assert.equal("2021-01-01T00:00:00Z", tostring(Note:get(note.id).updated_at))
    local old = Old:create{ text = "a", changed = day }
    old.text = "b"
    old:save()
    assert.is_true(old.changed > day)
  end)
end)
