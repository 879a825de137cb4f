-- Annotations, groups and aggregates: results from the real database.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f, fn, F = mp.field, mp.fn, mp.F

databases.each("annotations and groups", function(open)
  local db, Author, Book, Review, Tag

  before_each(function()
    db = open()
    Author = mp.entity("Author", { name = f.string{ max = 50 }, country = f.string{ max = 9, null = true } }, { database = db })
    Tag = mp.entity("Tag", { label = f.string{ max = 20 } }, { database = db })
    Book = mp.entity("Book", {
      title = f.string{ max = 50 }, pages = f.integer(), price = f.decimal{ precision = 8, scale = 2 },
      author = f.belongs_to("Author", { inverse = "books" }), tags = f.many_to_many("Tag", { inverse = "books" }),
    }, { database = db, order_by = { "title" } })
    Review = mp.entity("Review", { stars = f.integer(), book = f.belongs_to("Book", { inverse = "reviews" }) }, { database = db })
    db:create_all()
    for _, row in ipairs{ { "ada", "uk" }, { "bob", "us" }, { "cleo", "us" }, { "dan" } } do
      Author:create{ name = row[1], country = row[2] }
    end
    local tags = {}
    for i, label in ipairs{ "red", "blue" } do tags[i] = Tag:create{ label = label } end
    for _, row in ipairs{ { "a1", 10, 1, { 5, 3 } }, { "a2", 20, 1, { 4 } }, { "b1", 30, 2, {} }, { "c1", 40, 3, { 1, 2, 3 } } } do
      local book = Book:create{ title = row[1], pages = row[2], price = row[2] / 4, author = row[3] }
      for _, stars in ipairs(row[4]) do Review:create{ stars = stars, book = book } end
      book.tags:add(tags[1])
      if row[2] > 10 then book.tags:add(tags[2]) end
    end
  end)

  -- "name value ..." of rows, NULL as "-".
  local function list(rows, ...)
    local texts = {}
    for _, row in ipairs(rows) do
      for _, name in ipairs{ ... } do
        local value = row[name]
        texts[#texts + 1] = value == nil and "-" or tostring(value)
      end
    end
    return table.concat(texts, " ")
  end

  it("count per object, each relation by itself", function()
    local rows = Book:annotate{ r = fn.count("reviews"), t = fn.count("tags") }:order_by("id"):all()
    assert.equal("2 1 1 2 0 2 3 2", list(rows, "r", "t"))
    assert.equal("a1 c1", list(Book:annotate{ r = fn.count("reviews") }:filter{ r__gt = 1 }:order_by("-r", "title"):reverse():all(), "title"))
    rows = Author:annotate{ n = fn.count("books", { filter = mp.Q{ books__pages__gt = 10 } }), top = fn.max("books__price") }:order_by("id"):all()
    assert.equal("1 5.00 1 7.50 1 10.00 0 -", list(rows, "n", "top"))
  end)

  it("aggregate over several relations to many", function()
    local rows = Author:annotate{
      n = fn.count("books__reviews"), stars = fn.sum("books__reviews__stars"), best = fn.max("books__reviews__stars"),
      mean = fn.avg("books__reviews__stars"), good = fn.count("books__reviews", { filter = mp.Q{ books__reviews__stars__gte = 3 } }),
    }:order_by("id"):all()
    assert.equal("3 12 5 3 0 - - 0 3 6 3 1 0 - - 0", list(rows, "n", "stars", "best", "good"))
    assert.equal(4, rows[1].mean)
    assert.is_nil(rows[2].mean)
    rows = Author:annotate{ labels = fn.count("books__tags__label"), kinds = fn.count("books__tags__label", { distinct = true }) }
      :order_by("id"):all()
    assert.equal("3 2 2 2 2 2 0 0", list(rows, "labels", "kinds"))
  end)

  it("calculate with what is behind a relation to many", function()
    assert.equal("250 450 800 -", (list(Author:annotate{ n = fn.sum(F.books__price * F.books__pages * 2) }:order_by("id"):all(), "n")
      :gsub("%.0+%f[%s%z]", ""):gsub("%.0+ ", " ")))
  end)

  it("group by columns and paths, with HAVING beside WHERE", function()
    local rows = Book:values("author__country"):annotate{ n = fn.count(), pages_ = fn.sum("pages") }:order_by("author__country"):all()
    assert.equal("uk 2 30 us 2 70", list(rows, "author__country", "n", "pages_"))
    rows = Book:filter{ pages__gt = 10 }:values("author__country"):annotate{ n = fn.count() }:filter{ n__gt = 1, author__name__in = { "bob", "cleo" } }:all()
    assert.equal("us 2", list(rows, "author__country", "n"))
    rows = Book:values("author"):annotate{ n = fn.count() }:filter(mp.any(mp.Q{ n__gt = 1 }, mp.Q{ author = 3 })):order_by("author"):all()
    assert.equal("1 2 3 1", list(rows, "author", "n"))
    rows = Book:values("author"):annotate{ n = fn.count() }:exclude{ n = 1 }:all()
    assert.equal("1 2", list(rows, "author", "n"))
    assert.equal(3, Book:values("author"):annotate{ n = fn.count() }:count())
    assert.is_true(Book:values("author"):annotate{ n = fn.count() }:filter{ n = 2 }:exists())
    assert.is_false(Book:values("author"):annotate{ n = fn.count() }:filter{ n = 3 }:exists())
  end)

  it("group over a relation to many without counting a row twice", function()
    local rows = Author:values("country"):annotate{
      authors = fn.count(), books_ = fn.count("books"), stars = fn.sum("books__reviews__stars"), top = fn.max("books__price"),
    }:order_by("country"):all()
    assert.equal("- 1 0 - - uk 1 2 12 5.00 us 2 2 6 10.00", list(rows, "country", "authors", "books_", "stars", "top"))
    rows = Author:values("country"):annotate{ n = fn.count("books") }:filter{ n__gte = 1 }:order_by("-n", "country"):all()
    assert.equal("uk 2 us 2", list(rows, "country", "n"))
    assert.equal(4, Author:aggregate{ n = fn.count("books") }.n)
    assert.equal(0, Author:none():aggregate{ n = fn.count("books") }.n)
    assert.equal(18, Author:aggregate{ s = fn.sum("books__reviews__stars") }.s)
    raises("unsupported", function() return Author:values("country"):annotate{ n = fn.avg("books__price") } end)
    raises("unsupported", function() return Author:values("country"):annotate{ n = fn.count("books__title", { distinct = true }) } end)
  end)

  it("annotate groups again, and order by what they calculate", function()
    local rows = Book:values("author"):annotate{ n = fn.count() }:annotate{ most = fn.max("pages"), double = F.n * 2 }:order_by("-most"):all()
    assert.equal("3 1 40 2 2 1 30 2 1 2 20 4", list(rows, "author", "n", "most", "double"))
    rows = Book:values("author__name"):annotate{ n = fn.count() }:order_by("-n", "author__name"):limit(2):values("n"):all()
    assert.equal("2 1", list(rows, "n"))
    assert.same({ 2, 1, 1 }, Book:values("author"):annotate{ n = fn.count() }:order_by("-n", "author"):pluck("n"))
    assert.same({ { 1, 2 }, { 2, 1 } }, Book:values("author"):annotate{ n = fn.count() }:order_by("author"):limit(2):values_list("author", "n"):all())
  end)

  it("group by what is calculated", function()
    local rows = Book:annotate{ big = F.pages // 20 }:values("big"):annotate{ n = fn.count() }:order_by("big"):all()
    assert.equal("0 1 1 2 2 1", list(rows, "big", "n"))
    rows = Book:annotate{ upper = fn.upper("author__name") }:filter{ upper__startswith = "A" }:values("upper"):annotate{ n = fn.count() }:all()
    assert.equal("ADA 2", list(rows, "upper", "n"))
  end)

  it("are ordered by what is calculated of what they are grouped by", function()
    local by = Author:annotate{ land = fn.coalesce("country", mp.value "none") }:values("land"):annotate{ n = fn.count() }
    assert.equal("none 1 uk 1 us 2", list(by:order_by(fn.upper("land")):all(), "land", "n"))
    assert.equal("none 1 us 2 uk 1", list(by:order_by(fn.length("land"):desc(), "-land"):all(), "land", "n"))
    assert.equal("- 1 uk 1 us 2", list(Author:values("country"):annotate{ n = fn.count() }
      :order_by(fn.coalesce("country", mp.value "a")):all(), "country", "n"))
    raises("bad_argument", function() by:order_by(fn.upper("name")) end)
  end)

  it("have no order that was one of rows", function()
    assert.equal("- 1 uk 1 us 2", list(Author:values("country"):order_by("country"):annotate{ n = fn.count() }:all(), "country", "n"))
    raises("bad_argument", function() Author:values("country"):order_by("name"):annotate{ n = fn.count() } end)
    raises("bad_argument", function() Author:order_by("-name"):values("country"):annotate{ n = fn.count() } end)
  end)

  it("may be by a value, and rows in the order of one, which is none", function()
    for _, value in ipairs{ 1, 2, 9, "x", true } do
      local by = Author:annotate{ v = mp.value(value) }
      assert.same({ { v = value, n = 4 } }, by:values("v"):annotate{ n = fn.count() }:all())
      assert.same({}, by:filter{ name = "nobody" }:values("v"):annotate{ n = fn.count() }:all())
      assert.same({ "dan", "cleo", "bob", "ada" }, by:order_by("v", "-name"):pluck("name"))
      assert.equal(4, #by:order_by("v"):all())
    end
  end)

  it("have windows over them", function()
    local place = mp.over(fn.row_number(), { order_by = { "country" } })
    local groups = Author:values("country"):annotate{ n = fn.count() }
    assert.equal("- 1 uk 2 us 3", list(groups:annotate{ place = place }:order_by("place"):all(), "country", "place"))
    assert.equal("- 1 1 uk 1 2 us 2 3", list(Author:values("country"):annotate{ n = fn.count(), place = place }:order_by("place"):all(),
      "country", "n", "place"))
    local most = groups:annotate{ place = mp.over(fn.rank(), { order_by = { "-n" } }), before = mp.over(fn.lag("n"), { order_by = { "country" } }) }
    assert.equal("us 1 1 - 2 - uk 2 1", list(most:order_by("place", "country"):all(), "country", "place", "before"))
    assert.equal("us", list(most:filter{ place = 1 }:all(), "country"))
    assert.equal(3, most:count())
    raises("bad_argument", function() groups:annotate{ place = mp.over(fn.row_number(), { order_by = { "name" } }) } end)
    raises("unsupported", function() Author:values("country"):annotate{ place = place }:annotate{ n = fn.count() } end)
    raises("unsupported", function() Author:annotate{ place = place }:values("place"):annotate{ n = fn.count() } end)
    raises("unsupported", function() Author:annotate{ place = place }:annotate{ next = mp.over(fn.rank(), { order_by = { "place" } }) } end)
    raises("unsupported", function() Author:annotate{ place = place }:distinct("country"):order_by("place"):all() end)
  end)

  it("stand in other query sets", function()
    local busy = Book:values("author"):annotate{ n = fn.count() }:filter{ n__gt = 1 }
    assert.same({ "ada" }, Author:filter{ id__in = busy:values("author") }:pluck("name"))
    local many = Book:annotate{ n = fn.count("reviews") }:filter{ n__gte = 2 }
    assert.same({ "ada", "cleo" }, Author:filter{ books__in = many }:order_by("name"):pluck("name"))
    assert.same({ "bob", "dan" }, Author:exclude{ books__in = Book:annotate{ n = fn.count("reviews") }:filter{ n__gt = 0 } }
      :order_by("name"):pluck("name"))
  end)

  it("give aggregates of all rows, of the rows a limit leaves, and of none", function()
    local all = Book:aggregate{ n = fn.count(), pages = fn.sum("pages"), price = fn.sum("price"), mean = fn.avg("pages"), first = fn.min("title") }
    assert.equal("4 100 25.00 25.0 a1", ("%d %d %s %s %s"):format(all.n, all.pages, tostring(all.price), all.mean, all.first))
    assert.equal(70, Book:order_by("-pages"):limit(2):sum("pages"))
    assert.equal(50, Book:order_by("-pages"):offset(1):limit(2):aggregate{ n = fn.sum("pages") }.n)
    assert.equal(200, Book:sum(F.pages * 2))
    local none = Book:none():aggregate{ n = fn.count(), pages = fn.sum("pages"), top = fn.max("price") }
    assert.equal(0, none.n)
    assert.is_nil(none.pages)
    assert.is_nil(none.top)
    assert.is_nil(Book:filter{ title = "none" }:avg("pages"))
    assert.equal(5, Book:annotate{ n = fn.count("reviews") }:order_by("-n"):limit(2):sum("n"))
  end)

  it("refuse names that are taken and columns that a group has not", function()
    raises("bad_argument", function() return Book:annotate{ pages = fn.count("reviews") } end)
    raises("bad_argument", function() return Book:annotate{ reviews = fn.count("reviews") } end)
    raises("bad_argument", function() return Book:annotate{ n = fn.count("reviews") }:annotate{ n = fn.count("tags") } end)
    raises("bad_argument", function() return Book:annotate{ ["a b"] = fn.count("reviews"), [1] = 2 } end)
    raises("bad_argument", function() return Book:values("author"):annotate{ n = fn.count() }:order_by("title") end)
    raises("bad_argument", function() return Book:values("author"):annotate{ n = fn.count() }:values("title") end)
    raises("bad_argument", function() return Book:annotate{} end)
    raises("bad_argument", function() return Book:annotate{ n = fn.count() } end)
    raises("bad_argument", function() return Book:aggregate{ n = F.pages } end)
    raises("unknown_field", function() return Author:annotate{ n = fn.count("books__review") } end)
  end)
end)
