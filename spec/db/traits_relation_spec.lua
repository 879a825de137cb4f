-- Entities with soft_delete, with lazy columns, and such that extend others, at the ends of relations of every kind.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local f = mp.field

databases.each("a relation", function(open)
  local db, Author, Poet, Book, Tag

  before_each(function()
    db = open()
    Tag = mp.entity("Tag", { label = f.string() }, { database = db, soft_delete = true, order_by = { "label" } })
    Author = mp.entity("Author", { name = f.string(), bio = f.text{ lazy = true, default = "" } },
      { database = db, soft_delete = true, order_by = { "name" }, discriminator = "kind" })
    Poet = mp.entity("Poet", { verse = f.text{ null = true } }, { extends = "Author" })
    Book = mp.entity("Book", {
      title = f.string(), author = f.belongs_to("Author", { inverse = "books" }),
      tags = f.many_to_many("Tag", { inverse = "books" }), body = f.text{ lazy = true, default = "long" },
      cover = f.one_to_one("Tag", { inverse = "covered", null = true }),
    }, { database = db, soft_delete = true, order_by = { "title" } })
    db:create_all()
  end)

  local function fill()
    local ann, bob = Author:create{ name = "ann", bio = "x" }, Poet:create{ name = "bob", verse = "v" }
    local red, blue = Tag:create{ label = "red" }, Tag:create{ label = "blue" }
    local a = Book:create{ title = "a", author = ann, cover = red }
    local b = Book:create{ title = "b", author = bob, cover = blue }
    local c = Book:create{ title = "c", author = bob }
    a.tags:add(red, blue)
    b.tags:add(red)
    c.tags:add(blue)
    return { ann = ann, bob = bob, red = red, blue = blue, a = a, b = b, c = c }
  end

  local function titles(set)
    local list = {}
    for place, one in ipairs(set:all()) do
      list[place] = one.title or one.label or one.name
    end
    return table.concat(list, " ")
  end

  it("leaves out rows that are marked as deleted, also when prefetched", function()
    local all = fill()
    all.red:delete()
    all.c:delete()
    assert.equal("blue", titles(all.a.tags))
    assert.equal("", titles(all.b.tags))
    assert.equal("b", titles(all.bob.books))
    assert.equal("a", titles(all.blue.books))
    assert.is_nil(Book:get(all.a.id).cover)
    assert.is_nil(Tag:with_deleted():get(all.red.id).covered and nil)
    local books = Book:prefetch("tags", "author"):all()
    assert.same({ "blue", "" }, { titles(books[1].tags), titles(books[2].tags) })
    local authors = Author:prefetch("books__tags"):all()
    assert.same({ "a", "b" }, { titles(authors[1].books), titles(authors[2].books) })
    assert.equal("blue", titles(authors[1].books:all()[1].tags))
    assert.equal(0, Book:filter{ tags__label = "red" }:count())
    assert.equal("a", titles(Book:filter{ tags__label = "blue" }))
    assert.equal(1, Author:filter{ books__tags__label = "blue" }:count())
    local counted = Book:annotate{ n = mp.fn.count("tags") }:all()
    assert.same({ 1, 0 }, { counted[1].n, counted[2].n })
    all.red:restore()
    assert.equal("blue red", titles(Book:get(all.a.id).tags))
  end)

  it("gives objects of their own class, whichever way they are loaded", function()
    local all = fill()
    local function kind(one) return tostring(one):match "^%a+" end
    assert.equal("Poet", kind(Book:get(all.b.id).author))
    assert.equal("v", Book:prefetch("author"):all()[2].author.verse)
    assert.equal("Poet", kind(Book:select_related("author"):filter{ title = "c" }:one().author))
    assert.equal("b c", titles(Poet:prefetch("books"):first().books))
    assert.equal("b c", titles(Author:prefetch("books"):all()[2].books))
    assert.equal("Poet", kind(Author:filter{ books__title = "b" }:one()))
    assert.equal(2, Book:filter{ author = Poet:first() }:count())
    assert.equal(2, Book:filter{ author__in = Poet:values("id") }:count())
  end)

  it("leaves lazy columns where they are until they are touched", function()
    fill()
    local books = Book:select_related("author"):prefetch("tags"):all()
    assert.equal(2, #databases.statements(db, function()
      assert.is_nil(rawget(books[1], "body"))
      assert.is_nil(rawget(books[1].author, "bio"))
      assert.same({ "long", "long" }, { books[1].body, books[2].body })
      assert.same({ "x", "" }, { books[1].author.bio, books[2].author.bio })
    end))
  end)
end)
