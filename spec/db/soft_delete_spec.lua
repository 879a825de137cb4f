-- Rows that are only marked as deleted: no query gives them, also behind relations, unless it asks for them.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("soft_delete", function(open)
  local db, Author, Book

  before_each(function()
    db = open()
    Author = mp.entity("Author", { name = f.string() }, { database = db, soft_delete = true })
    Book = mp.entity("Book", {
      title = f.string(), author = f.belongs_to("Author", { inverse = "books", null = true }), pages = f.integer{ default = 1 },
    }, { database = db, soft_delete = "gone", order_by = { "title" } })
    db:create_all()
  end)

  local function fill()
    local ada, bob = Author:create{ name = "ada" }, Author:create{ name = "bob" }
    local a, b = Book:create{ title = "a", author = ada }, Book:create{ title = "b", author = ada }
    local c = Book:create{ title = "c", author = bob }
    return ada, bob, a, b, c
  end

  it("of an object marks its row, which stays", function()
    local ada = fill()
    assert.equal(1, ada:delete())
    assert.is_true(ada.deleted_at <= mp.now())
    assert.is_false(ada:is_dirty())
    assert.equal(1, Author:count())
    assert.is_nil(Author:get(ada.id))
    assert.is_nil(Author:filter{ name = "ada" }:first())
    assert.same({ "bob" }, Author:pluck("name"))
    assert.equal(2, db:fetch_val("SELECT count(*) FROM author"))
    assert.equal(0, ada:delete())
  end)

  it("leaves rows out wherever the table is asked", function()
    local ada, _, a = fill()
    a:delete()
    assert.same({ "b", "c" }, Book:pluck("title"))
    assert.equal(1, ada.books:count())
    assert.equal(2, Book:aggregate{ n = mp.fn.sum("pages") }.n)
    assert.equal(0, Author:filter{ books__title = "a" }:count())
    assert.equal(2, Author:exclude{ books__title = "a" }:count())
    local counted = Author:annotate{ n = mp.fn.count("books") }:order_by("name"):all()
    assert.same({ 1, 1 }, { counted[1].n, counted[2].n })
    assert.equal(0, Book:filter{ pk__in = Book:filter{ title = "a" }:values("id") }:count())
    assert.is_false(Book:filter{ title = "a" }:exists())
    ada:delete()
    assert.equal(0, Book:filter{ author__name = "ada" }:count())
    assert.equal(1, Book:filter{ author__name = "bob" }:count())
    local titles, authors = {}, {}
    for place, row in ipairs(Book:values("title", "author__name"):all()) do
      titles[place], authors[place] = row.title, row.author__name or "none"
    end
    assert.same({ { "b", "c" }, { "none", "bob" } }, { titles, authors })
    assert.is_nil(Book:get{ title = "b" }.author)
    assert.is_nil(Book:select_related("author"):get{ title = "b" }.author)
    assert.equal(ada.id, Book:get{ title = "b" }.author_id)
  end)

  it("shows them where they are asked for", function()
    local _, _, a = fill()
    a:delete()
    assert.equal(3, Book:with_deleted():count())
    assert.same({ "a" }, Book:only_deleted():pluck("title"))
    assert.equal("a", Book:with_deleted():get(a.id).title)
    assert.equal("a", Book:with_deleted():filter{ author__name = "ada" }:first().title)
    assert.equal(2, Book:with_deleted():exclude{ title = "a" }:limit(5):count())
    assert.equal("a", a:refresh().title)
  end)

  it("is taken back by restore, and done for good by purge", function()
    local _, _, a, b = fill()
    a:delete()
    b:delete()
    assert.equal(a, a:restore())
    assert.is_nil(a.gone)
    assert.same({ "a", "c" }, Book:pluck("title"))
    assert.equal(1, Book:filter{ title = "b" }:restore())
    assert.same({ "a", "b", "c" }, Book:pluck("title"))
    assert.equal(1, b:purge())
    assert.is_nil(b.id)
    assert.equal(2, db:fetch_val("SELECT count(*) FROM book"))
    a:delete()
    assert.equal(1, (Book:only_deleted():purge()))
    assert.equal(1, db:fetch_val("SELECT count(*) FROM book"))
  end)

  it("of a query set marks the rows that are not marked yet", function()
    local ada, _, a = fill()
    a:delete()
    local at = a.gone
    local rows, by = Book:filter{ author = ada }:delete()
    assert.same({ 1, { Book = 1 } }, { rows, by })
    assert.same({ "c" }, Book:pluck("title"))
    assert.equal(at, a:refresh().gone)
    assert.equal(1, (Book:with_deleted():order_by("title"):limit(3):purge() > 0) and Book:all_rows():with_deleted():count() + 1)
    raises("unfiltered", function() Book:delete() end)
    raises("unfiltered", function() Book:restore() end)
    raises("bad_argument", function() Book:only_deleted():delete() end)
  end)

  it("runs the hooks of deleting, and is undone by a rollback", function()
    local said = {}
    function Author:before_delete() said[#said + 1] = "before " .. self.name end
    function Author:after_delete() said[#said + 1] = "after " .. tostring(self.deleted_at ~= nil) end
    local ada = fill()
    databases.undone(mp.atomic, { database = db }, function()
      ada:delete()
      error "undone"
    end)
    assert.same({ "before ada", "after true" }, said)
    assert.is_nil(ada.deleted_at)
    assert.equal(2, Author:count())
  end)

  it("lets rows that are marked be changed where they are asked for", function()
    local _, _, a = fill()
    a:delete()
    assert.equal(0, Book:filter{ title = "a" }:update{ pages = 9 })
    assert.equal(1, Book:with_deleted():filter{ title = "a" }:update{ title = mp.F.author.name })
    assert.same({ "ada" }, Book:only_deleted():pluck("title"))
    a:refresh().pages = 7
    a:save()
    assert.same({ 7 }, Book:only_deleted():pluck("pages"))
    assert.equal(2, Book:filter{ author__name__in = Author:values("name") }:count())
    mp.atomic({ database = db }, function()
      assert.equal(1, #Book:only_deleted():for_update():all())
    end)
  end)

  it("is refused where a row that is not marked leads there with protect, and leaves what says restrict alone", function()
    local Note = mp.entity("Note", {
      text = f.string(), author = f.belongs_to("Author", { inverse = "notes", on_delete = "protect" }),
    }, { database = db, soft_delete = true })
    Note:create_table()
    local ada, bob = fill()
    local note = Note:create{ text = "x", author = ada }
    local err = raises("protected", ada.delete, ada)
    assert.truthy(err.message:find("Note.author", 1, true))
    raises("protected", function() Author:all_rows():delete() end)
    raises("protected", db.session, db, function(s) s:delete(s:get(Author, ada.id)) end)
    assert.equal(2, Author:count())
    assert.equal(1, Author:filter{ name = "bob" }:delete())
    assert.equal(2, Book:filter{ author_id = ada.id }:count())
    note:delete()
    assert.equal(1, ada:delete())
    assert.equal(0, Author:count())
    assert.equal(3, Book:count()) -- their rows stay, and so do the keys in these
    raises("protected", ada.purge, ada)
    assert.is_nil(Author:get(bob.id))
  end)

  it("leaves unique values in use, which is said where they are in the way", function()
    local Page = mp.entity("Page", { slug = f.string{ max = 20, unique = true }, title = f.string{ null = true } },
      { database = db, soft_delete = true })
    Page:create_table()
    local old = Page:create{ slug = "home" }
    old:delete()
    for _, around in ipairs{ function(fn) return fn() end, function(fn) return db:atomic(fn) end } do
      for name, fn in pairs{
        get_or_create = function() return Page:get_or_create({ slug = "home" }, { title = "x" }) end,
        update_or_create = function() return Page:update_or_create({ title = "x" }, { slug = "home" }) end,
      } do
        local err = raises("unique", around, fn)
        assert.same({ "slug" }, err.columns, name)
        assert.truthy(err.message:find("marked as deleted", 1, true), err.message)
        assert.truthy(err.message:find("only_deleted", 1, true), err.message)
        assert.is_nil(err.message:find("home", 1, true))
      end
    end
    old:restore()
    assert.is_false((select(2, Page:get_or_create{ slug = "home" })))
    assert.is_true((select(2, Page:get_or_create{ slug = "other" })))
    assert.equal(2, Page:count())
  end)

  it("is refused where the entity has none", function()
    local Plain = mp.entity("Plain", { n = f.integer{ default = 1 } }, { database = db })
    db:create_all()
    local one = Plain:create{}
    raises("bad_argument", function() one:restore() end)
    raises("bad_argument", function() Plain:with_deleted() end)
    raises("bad_argument", function() Plain:all_rows():restore() end)
    assert.equal(1, one:purge())
  end)
end)
