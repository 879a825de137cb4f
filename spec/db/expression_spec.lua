-- case, cast, conditions as values, sub-queries, windows and raw SQL: the same result on every database.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f, fn, F = mp.field, mp.fn, mp.F

databases.each("an expression", function(open, database)
  local db, Author, Book

  before_each(function()
    db = open()
    Author = mp.entity("Author", {
      name = f.string{ max = 50 },
      nick = f.string{ max = 50, null = true },
      age = f.integer{ null = true },
      balance = f.decimal{ precision = 12, scale = 2, default = "0" },
      active = f.boolean{ default = true },
    }, { database = db })
    Book = mp.entity("Book", {
      title = f.string{ max = 50 },
      author = f.belongs_to("Author", { inverse = "books" }),
      pages = f.integer(),
      price = f.decimal{ precision = 8, scale = 2 },
    }, { database = db })
    db:create_all()
    local ada = Author:create{ name = "Ada", nick = "da", age = 36, balance = "12.50" }
    local bob = Author:create{ name = "Bob", age = 17, balance = "-3.25", active = false }
    Author:create{ name = "Cid", nick = "100%" }
    Book:create{ title = "A", author = ada, pages = 10, price = "1.10" }
    Book:create{ title = "B", author = ada, pages = 30, price = "2.20" }
    Book:create{ title = "C", author = bob, pages = 20, price = "3.30" }
  end)

  local function column(expression)
    local list = Author:order_by("id"):values("id"):annotate{ v = expression }:all()
    for i, row in ipairs(list) do list[i] = row.v == nil and "NULL" or row.v end
    return list
  end

  local function texts(expression)
    local list = column(expression)
    for i, v in ipairs(list) do list[i] = tostring(v) end
    return table.concat(list, " ")
  end

  it("of a condition is true or false, of a row with NULL too", function()
    assert.same({ true, false, false }, column(Author.age:ge(18)))
    assert.same({ false, true, true }, column(mp.no(Author.age:ge(18))))
    assert.same({ true, false, false }, column(mp.Q{ age = 36, active = true }))
    assert.equal(2, Author:annotate{ minor = Author.age:lt(18) }:filter{ minor = false }:count())
    assert.is_true(Author:annotate{ adult = Author.age:ge(18) }:get{ name = "Ada" }.adult)
    assert.same({ true, true, true }, column(mp.all()))
    assert.same({ true, false, true }, column(mp.Q{ age = 36 } ~ mp.Q{ name = "Cid" }))
  end)

  it("by case has the value of the first condition that holds", function()
    local group = mp.case{ { Author.age:ge(18), "adult" }, { Author.age:ge(0), "minor" }, default = "unknown" }
    assert.same({ "adult", "minor", "unknown" }, column(group))
    assert.same({ "adult", "minor", "NULL" }, column(mp.case{ { { age__gte = 18 }, "adult" }, { { age__gte = 0 }, "minor" } }))
    assert.same({ 36, 17, -1 }, column(mp.case{ { Author.age:is_null(), -1 }, default = F.age }))
    assert.equal("12.50 17 0", texts(mp.case{ { { name = "Ada" }, F.balance }, default = fn.coalesce("age", 0) }):gsub("%.00", ""))
    assert.same({ 1, 0.5, 0.5 }, column(mp.case{ { { name = "Ada" }, 1 }, default = 0.5 }))
    assert.equal(1, Author:annotate{ g = group }:filter{ g = "minor" }:count())
    assert.same({ "Bob", "Cid", "Ada" }, Author:order_by(mp.case{ { { name = "Ada" }, 2 }, { { name = "Bob" }, 0 }, default = 1 }):pluck("name"))
    Author:all_rows():update{ nick = mp.case{ { { name = "Ada" }, "first" }, default = F.nick } }
    assert.same({ "first", "NULL", "100%" }, column(F.nick))
    assert.equal(1, Author:aggregate{ n = fn.sum(mp.case{ { Author.age:ge(18), 1 }, default = 0 }) }.n)
  end)

  it("by cast has the other kind", function()
    assert.equal("36 17 NULL", texts(mp.cast("age", "text")))
    assert.equal("12.50 -3.25 0.00", texts(mp.cast("balance", "text")))
    assert.same({ "true", "false", "true" }, column(mp.cast("active", "text")))
    assert.same({ 1, 0, 1 }, column(mp.cast("active", "integer")))
    assert.same({ 13, -3, 0 }, column(mp.cast("balance", "integer")))
    assert.same({ 12.5, -3.25, 0.0 }, column(mp.cast("balance", "float")))
    assert.same({ 3, 3, 3 }, column(mp.cast(mp.value(2.5), "integer")))
    assert.same({ -3, -3, -3 }, column(mp.cast(mp.value(-2.5), "integer")))
    assert.equal("36 17 NULL", (texts(mp.cast("age", "decimal")):gsub("%.0+", "")))
    assert.equal("0.10 0.10 0.10", texts(mp.cast(mp.value(0.1), "decimal", { scale = 2 })))
    assert.same({ 42, 42, 42 }, column(mp.cast(mp.value " 42 ", "integer")))
    assert.same({ 1.5, 1.5, 1.5 }, column(mp.cast(mp.value "1.5", "float")))
    assert.equal("1.50 1.50 1.50", texts(mp.cast(mp.value "1.5", "decimal", { scale = 2 })))
    assert.same({ true, true, "NULL" }, column(mp.cast("age", "boolean")))
    for _, wrong in ipairs{ "abc", "12x", "" } do
      raises("data", column, mp.cast(fn.concat(mp.value(wrong), fn.coalesce("nick", mp.value "")), "integer"))
    end
    raises("out_of_range", column, mp.cast(mp.value "9223372036854775808", "integer"))
    raises("out_of_range", column, mp.cast(mp.value(1e30), "integer"))
    assert.same({ math.mininteger, math.mininteger, math.mininteger }, column(mp.cast(mp.value "-9223372036854775808", "integer")))
  end)

  it("from another query is its first value", function()
    local dearest = mp.subquery(Book:filter{ author_id = mp.outer.id }:order_by("-price"):values("title"))
    assert.same({ "B", "C", "NULL" }, column(dearest))
    assert.same({ 40, 20, "NULL" }, column(mp.subquery(Book:filter{ author_id = mp.outer.id }:values("author_id"):annotate{ n = fn.sum "pages" }:values("n"))))
    assert.same({ "Ada" }, Author:filter{ age = mp.subquery(Author:order_by("-age"):values("age")) }:pluck("name"))
    assert.same({ "Ada", "Bob" }, Author:filter(F.id:eq(mp.subquery(Book:filter{ author_id = mp.outer.id }:values("author_id")))):order_by("name"):pluck("name"))
    Author:filter{ name = "Cid" }:update{ nick = mp.subquery(Book:order_by("-title"):values("title")) }
    assert.equal("C", Author:get{ name = "Cid" }.nick)
    assert.same({ 0, 0, 0 }, column(fn.coalesce(mp.subquery(Book:filter{ pages__gt = 99 }:values("pages")), 0)))
  end)

  it("that asks whether a query has a row stands in filters and in columns", function()
    local long = Book:filter{ author_id = mp.outer.id, pages__gte = 20 }
    assert.same({ "Ada", "Bob" }, Author:filter(mp.exists(long)):order_by("name"):pluck("name"))
    assert.same({ "Cid" }, Author:exclude(mp.exists(long)):pluck("name"))
    assert.same({ "Cid" }, Author:filter(mp.no(mp.exists(long))):pluck("name"))
    assert.same({ true, true, false }, column(mp.exists(long)))
    assert.same({ true, false, false }, column(mp.exists(Book:filter{ author_id = mp.outer.id }:offset(1))))
    assert.equal(3, Author:filter(mp.exists(Book)):count())
    assert.equal(0, Author:filter(mp.exists(Book:filter{ title__in = {} })):count())
    assert.equal(2, Author:filter(mp.exists(long)):update{ active = true })
  end)

  it("names columns of the queries around, however far", function()
    -- authors all of whose books are longer than the author is old
    local other = Book:filter{ author_id = mp.outer.author_id, pages__gt = mp.outer.pages }
    local last = Book:exclude(mp.exists(other)):filter{ author_id = mp.outer.id }
    assert.same({ "B", "C", "NULL" }, column(mp.subquery(last:values("title"))))
    local older = Book:filter(mp.exists(Author:filter{ id = mp.outer.author_id, age = mp.outer(mp.outer.age) })):filter{ author_id = mp.outer.id }
    assert.same({ "Ada", "Bob" }, Author:filter(mp.exists(older)):order_by("name"):pluck("name"))
    assert.same({ "A", "B" }, Book:filter(mp.exists(Author:filter{ name = mp.outer.author.name, age__gt = 20 })):order_by("title"):pluck("title"))
    -- a value beside a column that is not known yet is converted when it is
    local since = Author:filter(mp.outer.price:gt("2.00"))
    assert.same({ "B", "C" }, Book:filter(mp.exists(since)):order_by("title"):pluck("title"))
    assert.same({ "B", "C" }, Book:filter(mp.exists(Author:filter((mp.outer.price * 2):gt("4.00")))):order_by("title"):pluck("title"))
    raises("bad_argument", function() return Book:filter{ author_id = mp.outer.id }:all() end)
    raises("unknown_field", function() return Author:filter(mp.exists(Book:filter{ author_id = mp.outer.nothing })) end)
  end)

  it("over the rows around counts and compares them", function()
    local function titles(expression) return Book:order_by("title"):annotate{ v = expression }:pluck("v") end
    local by_author = { partition_by = { "author" }, order_by = { "-pages" } }
    assert.same({ 2, 1, 1 }, titles(mp.over(fn.row_number(), by_author)))
    assert.same({ 3, 1, 2 }, titles(mp.over(fn.rank(), { order_by = "-pages" })))
    assert.same({ 1, 1, 2 }, titles(mp.over(fn.dense_rank(), { order_by = { F.author_id } })))
    assert.same({ 0.0, 1.0, 0.5 }, titles(mp.over(fn.percent_rank(), { order_by = "pages" })))
    assert.same({ 1, 2, 1 }, titles(mp.over(fn.ntile(2), { order_by = "pages" })))
    assert.same({ 2 / 3, 2 / 3, 1.0 }, titles(mp.over(fn.cume_dist(), { order_by = "author" })))
    assert.same({ mp.null, 20, 10 }, titles(mp.over(fn.lag("pages"), { order_by = "pages" })))
    assert.same({ 30, 0, 0 }, titles(mp.over(fn.lead("pages", 2, 0), { order_by = "pages" })))
    assert.same({ -1, 20, 10 }, titles(mp.over(fn.lag("pages", 1, -1), { order_by = "pages" })))
    assert.same({ "A", "A", "C" }, titles(mp.over(fn.first_value("title"), { partition_by = "author", order_by = "pages" })))
    assert.same({ "B", "B", "B" }, titles(mp.over(fn.last_value("title"), { order_by = "pages", frame = { rows = { "unbounded", "unbounded" } } })))
    assert.same({ mp.null, "C", "C" }, titles(mp.over(fn.nth_value("title", 2), { order_by = "pages" })))
    assert.same({ 10, 60, 30 }, titles(mp.over(fn.sum("pages"), { order_by = "pages" })))
    assert.same({ 10, 50, 30 }, titles(mp.over(fn.sum("pages"), { order_by = "pages", frame = { rows = { -1, 0 } } })))
    assert.same({ 40, 40, 20 }, titles(mp.over(fn.sum("pages"), { partition_by = "author" })))
    assert.same({ 1, 1, 1 }, titles(mp.over(fn.count("id", { filter = Book.pages:gt(10) }), { partition_by = "author" })))
    local sums = titles(mp.over(fn.sum("price"), { order_by = "title" }))
    assert.equal("1.10 3.30 6.60", ("%s %s %s"):format(tostring(sums[1]), tostring(sums[2]), tostring(sums[3])))
    assert.same({ "A", "C", "B" }, Book:annotate{ v = mp.over(fn.row_number(), { order_by = "pages" }) }:order_by("v"):pluck("title"))
  end)

  it("over the rows around can be filtered by, where it is annotated", function()
    local ranked = Book:annotate{ place = mp.over(fn.row_number(), { partition_by = "author", order_by = "-pages" }) }
    local function found(q) return table.concat(q:pluck("title")) end
    assert.equal("BC", found(ranked:filter{ place = 1 }:order_by("title")))
    assert.equal("CB", found(ranked:order_by("-title"):filter{ place = 1 }))
    assert.equal("A", found(ranked:exclude{ place = 1 }))
    assert.equal("A", found(ranked:filter(F.place:gt(1))))
    assert.equal("AB", found(ranked:order_by("title"):filter(mp.any(mp.Q{ place = 2 }, mp.Q{ title = "B" }))))
    assert.equal("C", found(ranked:filter{ pages = 20 }:filter{ place = 1, author__name = "Bob" }))
    -- what is asked of the rows themselves narrows them before the window is taken
    assert.equal("A", found(ranked:filter{ pages__lt = 20, }:filter{ place = 1 }))
    assert.equal(2, ranked:filter{ place = 1 }:count())
    local book = ranked:filter{ place = 2 }:one()
    assert.equal(2, book.place)
    assert.equal("Ada", book.author.name)
    assert.same({ { title = "B", place = 1 }, { title = "C", place = 1 } },
      Book:values("title"):annotate{ place = mp.over(fn.row_number(), { partition_by = "author", order_by = "-pages" }) }
        :filter{ place__lte = 1 }:order_by("title"):all())
    raises("unsupported", function() return Book:filter(mp.over(fn.row_number(), { order_by = "pages" }):eq(1)) end)
    assert.equal(1, ranked:filter{ place = 2 }:update{ pages = 11 })
    assert.equal(11, Book:get{ title = "A" }.pages)
  end)

  it("over the rows around can be a page's order", function()
    local ranked = Book:annotate{ place = mp.over(fn.row_number(), { order_by = "-pages" }) }:order_by("place")
    local page = ranked:after(nil, 2)
    assert.equal("B C", page.items[1].title .. " " .. page.items[2].title)
    page = ranked:after(page.next, 2)
    assert.equal(1, #page.items)
    assert.equal(3, page.items[1].place)
    raises("bad_argument", function() return Book:order_by("?"):after(nil, 2) end)
  end)

  it("in an aggregate may ask for conditions", function()
    local sums = Book:values("author"):annotate{ n = fn.sum(mp.case{ { { pages__gt = 15 }, 10 }, default = 1 }) }:order_by("author"):pluck("n")
    assert.same({ 11, 10 }, sums)
    assert.equal(2, Author:aggregate{ n = fn.count(mp.case{ { { books__pages__gt = 15 }, "a" } }) }.n)
    assert.equal(1, Author:aggregate{ n = fn.count("id", { filter = mp.exists(Book:filter{ author_id = mp.outer.id, pages__gt = 25 }) }) }.n)
    assert.same({ 1, 1, 0 }, column(fn.count(mp.case{ { { books__pages__gt = 15 }, F.books.id } })))
  end)

  it("is assigned by update, a condition too", function()
    Author:all_rows():update{ active = Author.age:lt(18), nick = mp.case{ { Author.age:ge(18), "old" } } }
    assert.same({ false, true, false }, column(F.active))
    assert.same({ "old", "NULL", "NULL" }, column(F.nick))
    raises("bad_argument", function() return Author:all_rows():update{ age = Book:values("pages") } end)
  end)

  it("of chance gives any order", function()
    local seen = {}
    for _ = 1, 200 do seen[Author:order_by("?"):first().name] = true end
    assert.same({ Ada = true, Bob = true, Cid = true }, seen)
    assert.equal(3, #Author:order_by("?"):all())
  end)

  it("of the server's own SQL stands wherever one of ours does", function()
    assert.same({ "Ada" }, Author:filter(mp.raw("age > ?", 18)):pluck("name"))
    assert.same({ "Bob", "Cid" }, Author:exclude(mp.raw("age > ?", 18)):order_by("name"):pluck("name"))
    assert.same({ "ADA", "BOB", "CID" }, column(mp.raw("upper(?)", F.name)))
    assert.same({ "Ada" }, Author:filter(mp.raw("lower(?)", F.name):eq("ada")):pluck("name"))
    assert.same({ "Cid", "Bob", "Ada" }, Author:order_by(mp.raw("lower(?)", F.name):desc()):pluck("name"))
    Author:filter{ name = "Ada" }:update{ age = mp.raw("? + ?", F.age, 1) }
    assert.equal(37, Author:get{ name = "Ada" }.age)
    assert.same({ 38, 18, "NULL" }, column(mp.cast(mp.raw("? + 1", F.age), "integer")))
    assert.same({ "what?", "what?", "what?" }, column(mp.raw("'what?'")))
    assert.same({ "it's", "it's", "it's" }, column(mp.raw("?", "it's")))
    raises("programming", function() return Author:filter(mp.raw("no_such_function(?)", 1)):all() end)
  end)

  it("by ^ and mod calculates too", function()
    assert.same({ 1296.0, 289.0, "NULL" }, column(F.age ^ 2))
    assert.same({ 6, 2, "NULL" }, column(fn.mod("age", mp.value(15))))
  end)

  it("on the right of a text lookup is taken literally", function()
    local Pair = mp.entity("Pair", { a = f.string{ max = 20 }, b = f.string{ max = 20, null = true } }, { database = db })
    Pair:create_table()
    for _, pair in ipairs{ { "abc", "b" }, { "abc", "%" }, { "ABC", "ab" }, { "abc", "bc" }, { "x", "" }, { "abc", "zabc" } } do
      Pair:create{ a = pair[1], b = pair[2] }
    end
    Pair:create{ a = "null" }
    local function keys(filter) return table.concat(Pair:filter(filter):order_by("id"):pluck("id"), " ") end
    assert.equal("1 4 5", keys{ a__contains = F.b })
    assert.equal("1 3 4 5", keys{ a__icontains = F.b })
    assert.equal("5", keys{ a__startswith = F.b })
    assert.equal("3 5", keys{ a__istartswith = F.b })
    assert.equal("4 5", keys{ a__endswith = F.b })
    assert.equal("4 5", keys{ a__iendswith = F.b })
    assert.equal("1 4 5", keys{ a__regex = F.b })
    assert.equal("1 3 4 5", keys{ a__iregex = F.b })
    assert.equal("", keys{ a__iexact = F.b })
    assert.equal(4, Pair:exclude{ a__contains = F.b }:count())
  end)
end)
