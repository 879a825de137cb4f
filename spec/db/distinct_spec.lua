-- distinct, of rows and of columns: results from the real database.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local f = mp.field

databases.each("distinct", function(open)
  local db, Author, Book

  before_each(function()
    db = open()
    Author = mp.entity("Author", { name = f.string{ max = 50 } }, { database = db })
    Book = mp.entity("Book", {
      title = f.string{ max = 50 },
      price = f.decimal{ precision = 8, scale = 2 },
      shelf = f.integer{ null = true },
      author = f.belongs_to("Author", { inverse = "books" }),
    }, { database = db })
    db:create_all()
    for _, name in ipairs{ "ada", "bob" } do Author:create{ name = name } end
    for _, row in ipairs{ { "a1", "5", 1, 1 }, { "a2", "10", nil, 1 }, { "a3", "7.5", nil, 1 }, { "b1", "3", 1, 2 }, { "b2", "3", nil, 2 } } do
      Book:create{ title = row[1], price = row[2], shelf = row[3], author = row[4] }
    end
  end)

  it("of columns gives the first row of those that are equal, in any order", function()
    assert.same({ "a2", "b1" }, Book:distinct("author"):order_by("author", "-price", "title"):pluck("title"))
    assert.same({ "a1", "b1" }, Book:distinct("author"):order_by("author", "price"):pluck("title"))
    assert.same({ "a2", "b1" }, Book:distinct("author"):order_by("-price", "title"):pluck("title"))
    assert.same({ "b2", "a3" }, Book:distinct("author"):order_by("-title"):pluck("title"))
    assert.same({ "a1", "b1" }, Book:distinct("author__name"):pluck("title"))
    assert.same({ "a3", "b2" }, Book:distinct("author"):order_by("author", "title"):reverse():order_by("author", "-title"):pluck("title"))
  end)

  it("of columns has NULL as a value like any other", function()
    assert.same({ "a2", "a1" }, Book:distinct("shelf"):order_by("shelf", "title"):pluck("title"))
    assert.same({ "a2", "b2", "a1", "b1" }, Book:distinct("shelf", "author"):order_by("shelf", "title"):pluck("title"))
  end)

  it("of columns is counted, cut, filtered before, asked for in a lookup, and deleted", function()
    local dearest = Book:distinct("author"):order_by("-price", "title")
    assert.equal(2, dearest:count())
    assert.is_true(dearest:exists())
    assert.equal("a2", dearest:first().title)
    assert.equal("b1", dearest:last().title)
    assert.same({ "b1" }, dearest:offset(1):pluck("title"))
    assert.equal("13.00", tostring(dearest:sum("price")))
    assert.same({ "a3", "b2" }, Book:filter{ shelf = mp.null, price__lt = 8 }:distinct("author"):order_by("author"):pluck("title"))
    assert.same({ "ada", "bob" }, Author:filter{ books__in = dearest }:order_by("name"):pluck("name"))
    assert.same({ "a1", "a3", "b2" }, Book:exclude{ id__in = dearest }:order_by("title"):pluck("title"))
    assert.equal(2, dearest:update{ shelf = 9 })
    assert.same({ "a2", "b1" }, Book:filter{ shelf = 9 }:order_by("title"):pluck("title"))
    assert.equal(2, (dearest:delete()))
    assert.same({ "a1", "a3", "b2" }, Book:order_by("title"):pluck("title"))
  end)

  it("of rows gives each once, and counts them so", function()
    assert.same({ 3, 5, 7.5, 10 }, (function()
      local prices = {}
      for i, one in ipairs(Book:values("price"):distinct():order_by("price"):all()) do prices[i] = tonumber(tostring(one.price)) end
      return prices
    end)())
    assert.equal(4, Book:values("price"):distinct():count())
    assert.equal(2, Book:values("author__name"):distinct():count())
    assert.equal(3, #Book:values_list("shelf", "author"):distinct():limit(3):all())
    assert.equal(5, Book:distinct():count())
  end)
end)
