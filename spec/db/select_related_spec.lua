-- select_related: objects and what they lead to in one statement, each with its own columns to be saved.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("select_related", function(open)
  local db, Publisher, Author, Book, Review, statements

  before_each(function()
    db = open()
    Publisher = mp.entity("Publisher", { name = f.string{ max = 50 } }, { database = db })
    Author = mp.entity("Author", {
      name = f.string{ max = 50 },
      born = f.date{ null = true },
      prefs = f.json{ null = true },
      publisher = f.belongs_to("Publisher", { null = true, inverse = "authors" }),
    }, { database = db })
    Book = mp.entity("Book", {
      title = f.string{ max = 50 },
      pages = f.integer{ default = 0 },
      author = f.belongs_to("Author", { inverse = "books" }),
      editor = f.belongs_to("Author", { inverse = "edited", null = true }),
    }, { database = db, order_by = { "id" } })
    Review = mp.entity("Review", { stars = f.integer(), book = f.belongs_to("Book", { inverse = "reviews" }) }, { database = db })
    db:create_all()
    local ace = Publisher:create{ name = "Ace" }
    local ada = Author:create{ name = "ada", born = "1815-12-10", prefs = { theme = "dark" }, publisher = ace }
    local bob = Author:create{ name = "bob" }
    Book:create{ title = "one", author = ada, editor = bob }
    Book:create{ title = "two", author = ada }
    local three = Book:create{ title = "three", author = bob, editor = ada }
    Review:create{ stars = 5, book = three }
    statements = {}
    db:on("query", function(event) statements[#statements + 1] = event.sql end)
  end)

  it("loads what objects lead to in the same statement", function()
    local books = Book:select_related("author", "editor"):all()
    assert.equal(1, #statements)
    assert.equal("ada", books[1].author.name)
    assert.equal("bob", books[1].editor.name)
    assert.equal("1815-12-10", tostring(books[2].author.born))
    assert.equal("dark", books[2].author.prefs.theme)
    assert.equal("bob", books[3].author.name)
    assert.equal(1, #statements)
  end)

  it("gives nil for a relation that is NULL, without a question", function()
    local book = Book:select_related("editor"):get{ title = "two" }
    assert.is_nil(book.editor)
    assert.is_nil(book.editor_id)
    assert.equal(1, #statements)
  end)

  it("follows relations of relations, where they are NULL too", function()
    local review = Review:select_related("book__author__publisher", "book__editor__publisher"):one()
    assert.equal("three", review.book.title)
    assert.equal("bob", review.book.author.name)
    assert.is_nil(review.book.author.publisher)
    assert.equal("Ace", review.book.editor.publisher.name)
    assert.equal(1, #statements)
  end)

  it("makes one object of one row of a relation", function()
    local books = Book:select_related("author", "editor"):all()
    assert.is_true(rawequal(books[1].author, books[2].author))
    books[1].author.name = "countess"
    assert.equal("countess", books[2].author.name)
  end)

  it("gives objects that are saved by their own changes", function()
    local books = Book:select_related("author"):all()
    assert.is_false(books[1].author:is_dirty())
    books[1].author.name = "countess"
    books[1].author.prefs.theme = "light"
    books[1].pages = 7
    assert.same({ "name", "prefs" }, books[1].author:dirty_fields())
    assert.same({ "pages" }, books[1]:dirty_fields())
    books[1].author:save()
    books[1]:save()
    assert.same({ 7 }, Book:filter{ author__name = "countess", pages__gt = 0 }:pluck("pages"))
    assert.equal("light", Author:get(1).prefs.theme)
  end)

  it("loads the relations of what it loaded for all of them at once", function()
    local books = Book:select_related("author"):all()
    assert.equal("Ace", books[1].author.publisher.name)
    assert.is_nil(books[3].author.publisher)
    assert.equal("bob", books[1].editor.name)
    assert.equal("ada", books[3].editor.name)
    assert.equal(3, #statements)
  end)

  it("goes with only and defer, whose columns are loaded when they are touched", function()
    local books = Book:select_related("author"):only("title", "author__name"):all()
    local keys = {}
    for name in pairs(books[1].author) do keys[#keys + 1] = name end
    table.sort(keys)
    assert.same({ "id", "name" }, keys)
    assert.equal("one ada", books[1].title .. " " .. books[1].author.name)
    assert.equal(1, #statements)
    assert.equal("1815-12-10", tostring(books[1].author.born))
    assert.equal(0, books[1].pages)
    assert.equal(3, #statements)
    local deferred = Book:select_related("author"):defer("author__prefs"):first()
    assert.is_nil(rawget(deferred.author, "prefs"))
    assert.equal("dark", deferred.author.prefs.theme)
  end)

  it("goes with annotations, filters behind it, limits, streams and unions", function()
    local counted = Book:select_related("author"):annotate{ n = mp.fn.count("reviews") }:filter{ author__name = "bob" }:one()
    assert.equal("bob 1", counted.author.name .. " " .. counted.n)
    local names = {}
    for book in Book:select_related("author"):iter{ chunk = 2 } do names[#names + 1] = book.author.name end
    assert.same({ "ada", "ada", "bob" }, names)
    assert.equal("ada", Book:select_related("author"):order_by("author__name", "id"):first().author.name)
    assert.equal(3, Book:select_related("author"):count())
    local before = #statements
    local both = Book:filter{ title = "one" }:select_related("author"):union(Book:filter{ title = "three" }):all()
    assert.equal("ada bob", both[1].author.name .. " " .. both[2].author.name)
    assert.equal(before + 1, #statements)
    mp.atomic({ database = db }, function()
      for book in Book:select_related("author"):iter{ chunk = 1 } do assert.is_string(book.author.name) end
    end)
  end)

  it("runs the hooks of all that it loads, and is empty where nothing is", function()
    local seen = {}
    function Author:after_load() seen[#seen + 1] = self.name end
    Book:select_related("author"):all()
    assert.equal("ada bob", table.concat(seen, " "))
    assert.same({}, Book:select_related("author"):filter{ pages = 99 }:all())
    assert.is_nil(Book:select_related("author"):filter{ pages = 99 }:first())
  end)

  it("reads the other side of a one_to_one, whether it is there or not", function()
    local Profile = mp.entity("Profile", { bio = f.string{ max = 9 }, author = f.one_to_one("Author", { inverse = "profile" }) }, { database = db })
    Profile:create_table()
    Profile:create{ bio = "x", author = 1 }
    local before = #statements
    local authors = Author:select_related("profile"):order_by("id"):all()
    assert.equal("x", authors[1].profile.bio)
    assert.is_true(rawequal(authors[1], authors[1].profile.author))
    assert.is_nil(authors[2].profile)
    assert.equal(before + 1, #statements)
    Profile:create{ bio = "y", author = authors[2] }
    authors[2]:refresh()
    assert.equal("y", authors[2].profile.bio)
  end)

  it("is kept by a union, with what is prefetched", function()
    local books = Book:filter{ id = 1 }:select_related("author"):prefetch("reviews"):union(Book:filter{ id = 3 }):order_by("id"):all()
    assert.equal(2, #statements)
    assert.equal("ada 0 bob 1", ("%s %d %s %d"):format(books[1].author.name, books[1].reviews:count(), books[2].author.name,
      books[2].reviews:count()))
    assert.equal(2, #statements)
  end)

  it("gives the objects that a session knows", function()
    mp.session({ database = db }, function()
      local ada = Author:get(1)
      ada.name = "countess"
      local books = Book:select_related("author__publisher"):all()
      assert.is_true(rawequal(ada, books[1].author))
      assert.is_true(rawequal(books[1], Book:get(1)))
      assert.equal("countess Ace", books[2].author.name .. " " .. books[2].author.publisher.name)
    end)
    assert.equal("countess", Author:get(1).name)
  end)

  it("refuses what leads to many rows, and what is no relation", function()
    assert.matches("prefetch", raises("bad_argument", function() return Book:select_related("reviews") end).message)
    assert.matches("no relation", raises("bad_argument", function() return Book:select_related("title") end).message)
    assert.matches("did you mean author", raises("unknown_field", function() return Book:select_related("autor") end).message)
    assert.matches("select_related%(\"author\"%)", raises("bad_argument", function() return Book:only("author__name") end).message)
    raises("bad_argument", function() return Book:select_related() end)
    raises("bad_argument", function() return Book:values("title"):select_related("author") end)
  end)
end)
