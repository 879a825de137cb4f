-- update and delete of query sets: what rows they change, and what they give.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("a query set that changes rows", function(open)
  local db, Author, Book

  before_each(function()
    db = open()
    Author = mp.entity("Author", {
      name = f.string{ max = 50 }, age = f.integer{ null = true }, rate = f.decimal{ precision = 8, scale = 2, default = "1" },
      mentor = f.belongs_to("Author", { null = true, inverse = "pupils", on_delete = "set_null" }),
    }, { database = db })
    Book = mp.entity("Book", {
      title = f.string{ max = 50 }, pages = f.integer(), price = f.decimal{ precision = 8, scale = 2, null = true },
      author = f.belongs_to("Author", { inverse = "books", on_delete = "cascade" }),
      editor = f.belongs_to("Author", { inverse = "edited", null = true, on_delete = "set_null" }),
    }, { database = db })
    db:create_all()
    Author:create{ name = "ada", age = 36, rate = "1.5" }
    Author:create{ name = "bob", age = 20, mentor = 1 }
    Author:create{ name = "cleo", mentor = 2 }
    for _, row in ipairs{ { "a1", 10, 1, 2 }, { "a2", 20, 1 }, { "b1", 30, 2, 1 }, { "c1", 40, 3 } } do
      Book:create{ title = row[1], pages = row[2], price = row[2], author = row[3], editor = row[4] }
    end
  end)

  local function list(query, name)
    local texts = {}
    for i, value in ipairs(query:order_by("id"):pluck(name)) do texts[i] = value == mp.null and "-" or tostring(value) end
    return table.concat(texts, " ")
  end

  it("takes values from rows that its rows lead to", function()
    assert.equal(4, Book:all_rows():update{ title = mp.F.author__name })
    assert.equal("ada ada bob cleo", list(Book, "title"))
    assert.equal(2, Book:filter{ author__name = "ada" }:update{ price = mp.F.price * mp.F.author__rate, pages = mp.F.pages + mp.F.author__age })
    assert.equal("15.00 30.00 30.00 40.00", list(Book, "price"))
    assert.equal("46 56 30 40", list(Book, "pages"))
    assert.equal(4, Book:all_rows():update{ price = mp.F.editor__rate })
    assert.equal("1.00 - 1.50 -", list(Book, "price"))
  end)

  it("takes values from rows of its own table", function()
    assert.equal(2, Author:filter{ mentor__isnull = false }:update{ name = mp.F.mentor__name .. "'s" })
    assert.equal("ada ada's bob's", list(Author, "name"))
    assert.equal(1, Author:filter{ mentor__mentor__age = 36 }:update{ age = mp.F.mentor__mentor__age })
    assert.equal("36 20 36", list(Author, "age"))
  end)

  it("takes values that are counted, and annotations", function()
    assert.equal(3, Author:all_rows():update{ age = mp.fn.count("books") })
    assert.equal("2 1 1", list(Author, "age"))
    assert.equal(3, Author:all_rows():annotate{ pages = mp.fn.sum("books__pages") }:update{ age = mp.F.pages * 2 })
    assert.equal("60 60 80", list(Author, "age"))
  end)

  it("assigns all at once: each expression sees the row as it was", function()
    assert.equal(1, Book:filter{ title = "a1" }:update{ pages = mp.F.pages + 1, price = mp.F.pages * 1 })
    assert.equal("11", list(Book:filter{ title = "a1" }, "pages"))
    assert.equal("10.00", list(Book:filter{ title = "a1" }, "price"))
  end)

  it("raises not_null where nothing is there to take", function()
    raises("not_null", function() return Book:filter{ title = "a2" }:update{ title = mp.F.editor__name } end)
    assert.equal("a1 a2 b1 c1", list(Book, "title"))
  end)

  it("changes the rows that an order and a limit leave", function()
    assert.equal(2, Book:order_by("-pages"):limit(2):update{ pages = 0 })
    assert.equal("10 20 0 0", list(Book, "pages"))
    assert.equal(1, Book:filter{ author__name = "ada" }:order_by("pages"):offset(1):limit(1):update{ pages = 1 })
    assert.equal("10 1 0 0", list(Book, "pages"))
    assert.equal(2, (Book:order_by("author__name", "-pages"):slice(2, 3):delete()))
    assert.equal("a1 c1", list(Book, "title"))
  end)

  it("tells its rows through relations in both directions, and of its own table", function()
    assert.equal(1, Book:filter{ editor__mentor__name = "ada" }:update{ title = "x" })
    assert.equal("x a2 b1 c1", list(Book, "title"))
    assert.equal(2, Author:filter{ books__pages__gte = 30 }:update{ age = 1 })
    assert.equal("36 1 1", list(Author, "age"))
    assert.equal(1, Author:exclude{ pupils__age__gt = 0 }:update{ age = 7 })
    assert.equal("36 1 7", list(Author, "age"))
    assert.equal(1, (Book:filter{ author__mentor__name = "bob" }:delete()))
    assert.equal("x a2 b1", list(Book, "title"))
    assert.equal(1, (Author:filter{ mentor__in = Author:filter{ name = "bob" } }:delete()))
  end)

  it("tells its rows by an annotation", function()
    assert.equal(1, Author:annotate{ n = mp.fn.count("books") }:filter{ n__gt = 1 }:update{ age = 99 })
    assert.equal("99 20 -", list(Author, "age"))
    assert.equal(2, (Author:annotate{ n = mp.fn.count("books") }:filter{ n = 1 }:order_by("-n", "name"):limit(5):delete()))
    assert.equal("ada", list(Author, "name"))
  end)

  it("gives the number of rows, which may be none, and refuses what cannot be meant", function()
    assert.equal(0, Book:filter{ title = "none" }:update{ pages = 1 })
    assert.equal(0, Book:none():update{ pages = 1 })
    assert.equal(0, Book:filter{ id__in = {} }:update{ pages = 1 })
    local rows, by_entity = Book:filter{ title = "none" }:delete()
    assert.equal(0, rows)
    assert.equal(0, by_entity.Book)
    assert.equal(1, select(2, Book:filter{ title = "a1" }:delete()).Book)
    raises("unfiltered", function() return Book:delete() end)
    raises("unfiltered", function() return Book:filter{}:update{ pages = 1 } end)
    raises("bad_argument", function() return Book:filter{ id = 1 }:update{} end)
    raises("unknown_field", function() return Book:filter{ id = 1 }:update{ page = 1 } end)
    raises("bad_argument", function() return Book:filter{ id = 1 }:update{ pages = mp.F.author__name } end)
    raises("bad_argument", function() return Book:values("author"):annotate{ n = mp.fn.count() }:filter{ n = 1 }:delete() end)
    raises("validation", function() return Book:filter{ id = 1 }:update{ pages = "many" } end)
  end)
end)
