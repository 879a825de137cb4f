-- Union, intersection and difference, and aggregates of what is grouped, distinct or cut: results from the real database.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("query sets that are combined", function(open)
  local db, Author, Book

  before_each(function()
    db = open()
    Author = mp.entity("Author", {
      name = f.string{ max = 50 },
      age = f.integer{ null = true },
      balance = f.decimal{ precision = 12, scale = 2, default = "0" },
    }, { database = db })
    Book = mp.entity("Book", {
      title = f.string{ max = 50 },
      author = f.belongs_to("Author", { inverse = "books", on_delete = "cascade" }),
      pages = f.integer(),
    }, { database = db, order_by = { "title" } })
    db:create_all()
    for _, row in ipairs{ { "ada", 36, "1.50" }, { "bob", 20, "1.5" }, { "cleo", nil, "3" }, { "dan", 50, "0.25" } } do
      Author:create{ name = row[1], age = row[2], balance = row[3] }
    end
    for _, row in ipairs{ { "a1", 1, 10 }, { "a2", 1, 20 }, { "a3", 1, 30 }, { "b1", 2, 40 }, { "ada", 4, 5 } } do
      Book:create{ title = row[1], author = row[2], pages = row[3] }
    end
  end)

  local function names(query)
    return table.concat(query:order_by("name"):pluck("name"), " ")
  end

  it("have the rows of both, each once, or those in both, or those not in the other", function()
    local young, rich = Author:filter{ age__lt = 40 }, Author:filter{ balance__gte = "1.5" }
    assert.equal("ada bob cleo", names(young:union(rich)))
    assert.equal("ada ada bob bob cleo", names(young:union(rich, { all = true })))
    assert.equal("ada bob", names(young:intersection(rich)))
    assert.equal("cleo", names(rich:difference(young)))
    assert.equal("dan", names(Author:difference(young:union(rich))))
    assert.equal("ada bob cleo dan", names(young:union(Author)))
  end)

  it("are filtered, ordered, cut, counted and joined like a table", function()
    local both = Author:filter{ age__gt = 30 }:union(Author:filter{ name = "cleo" })
    assert.equal(3, both:count())
    assert.is_true(both:exists())
    assert.equal("dan", both:order_by("-age"):first().name)
    assert.equal("cleo", both:order_by("-age"):last().name)
    assert.same({ "cleo", "ada" }, both:order_by("age"):limit(2):pluck("name"))
    assert.same({ "ada" }, both:order_by("age"):slice(2, 2):pluck("name"))
    assert.equal("ada", names(both:filter{ books__pages__gt = 25 }))
    assert.equal("cleo", names(both:exclude{ books__pages__gt = 0 }))
    assert.same({ "dan" }, both:annotate{ n = mp.fn.count("books") }:filter{ n = 1 }:pluck("name"))
    assert.equal(86, both:sum("age"))
    assert.equal("cleo", both:get{ age = mp.null }.name)
    assert.equal("ada dan", names(Author:filter{ id__in = both, age__gt = 0 }))
    local seen = {}
    for one in both:iter{ chunk = 2 } do
      seen[#seen + 1] = one.name
    end
    assert.equal("ada cleo dan", table.concat(seen, " "))
  end)

  it("keep the order and the limits of their parts", function()
    local oldest = Author:order_by("-age"):limit(1)
    assert.equal("cleo dan", names(oldest:union(Author:filter{ name = "cleo" })))
    assert.equal("cleo dan", names(Author:filter{ name = "cleo" }:union(oldest)))
    assert.equal("bob dan", names(oldest:union(Author:order_by("age"):offset(1):limit(1))))
  end)

  it("give objects that are saved like any other", function()
    local dan = Author:filter{ age = 50 }:union(Author:filter{ age = 49 }):one()
    dan.age = 51
    dan:save()
    assert.equal(51, Author:get(4).age)
    assert.equal("ada", dan.books:one().title)
  end)

  it("are changed and deleted by their keys", function()
    local some = Author:filter{ age = 20 }:union(Author:filter{ name = "cleo" })
    assert.equal(2, some:update{ age = 21 })
    assert.equal(2, Author:filter{ age = 21 }:count())
    assert.equal(1, (some:difference(Author:filter{ name = "bob" }):delete()))
    assert.equal("ada bob dan", names(Author))
    raises("unfiltered", function() return some:union(Author):delete() end)
  end)

  it("of values are rows of whatever entity", function()
    local all = Author:values("name"):union(Book:values("title"))
    assert.same({ "a1", "a2", "a3", "ada", "b1", "bob", "cleo", "dan" }, all:order_by("name"):pluck("name"))
    assert.equal(9, Author:values("name"):union(Book:values("title"), { all = true }):count())
    assert.same({ { name = "ada" } }, Author:values("name"):intersection(Book:values("title")):all())
    assert.same({ { "bob" }, { "cleo" }, { "dan" } },
      Author:values_list("name"):difference(Book:values_list("title")):order_by("name"):all())
    assert.same({ { name = "a2" }, { name = "a3" } }, all:filter{ name__range = { "a2", "a9" } }:order_by("name"):all())
    assert.same({ { name = "ada", n = 2 } }, Author:values("name"):union(Book:values("title"), { all = true })
      :values("name"):annotate{ n = mp.fn.count() }:filter{ n__gt = 1 }:all())
    raises("unknown_field", function() return all:filter{ age = 1 } end)
  end)

  it("compare decimals by their value", function()
    local found = Author:filter{ name = "ada" }:values("balance"):union(Author:values("balance")):order_by("-balance"):pluck("balance")
    assert.equal(3, #found)
    assert.equal("3.00 1.50 0.25", ("%s %s %s"):format(found[1], found[2], found[3]))
  end)

  it("work in a known shape with other values", function()
    for age = 20, 50, 10 do
      local found = Author:filter{ age__gte = age }:union(Author:filter{ name = "cleo" }):limit(age):count()
      assert.equal(age == 20 and 4 or age <= 30 and 3 or age <= 36 and 3 or 2, found)
    end
  end)

  it("of groups, of distinct values and of limits give aggregates", function()
    local groups = Book:values("author"):annotate{ n = mp.fn.count(), sheets = mp.fn.sum("pages") }
    local row = groups:aggregate{ groups = mp.fn.count(), most = mp.fn.max("n"), mean = mp.fn.avg("n"), pages = mp.fn.sum("sheets") }
    assert.equal(3, row.groups)
    assert.equal(3, row.most)
    assert.is_true(math.abs(row.mean - 5 / 3) < 1e-9)
    assert.equal(105, row.pages)
    assert.equal(60, groups:max("sheets"))
    assert.equal(1, groups:filter{ n__gt = 1 }:aggregate{ n = mp.fn.count() }.n)
    assert.equal("4.75", tostring(Author:values("balance"):distinct():sum("balance")))
    assert.equal(56, Author:order_by("age"):limit(3):sum("age"))
    assert.equal(20, Author:order_by("age"):values("age"):limit(2):sum("age"))
    assert.equal(1, Author:annotate{ n = mp.fn.count("books") }:order_by("n", "id"):limit(2):sum("n"))
    assert.is_nil(Author:none():values("age"):distinct():sum("age"))
  end)
end)
