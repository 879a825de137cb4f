-- Query sets made of others: union, intersection, difference, and aggregates of what is grouped, distinct or cut.

local f = require("moonpool.field").types
local sql = require "spec.support.sql"
local tree = require "moonpool.tree"

local fn = tree.fn

local Author = sql.entity("Author", {
  name = f.string { max = 100 },
  age = f.integer { null = true },
})

local Book = sql.entity("Book", {
  title = f.string {},
  author = f.belongs_to("Author", { inverse = "books" }),
  pages = f.integer(),
}, { order_by = { "title" } })

local old, ada = Author:filter { age__gt = 60 }, Author:filter { name = "Ada" }

describe("a union of objects", function()
  it("stands in FROM, so that order, limits and filters follow it", function()
    sql.assert(old:union(ada):filter { name__contains = "a" }:order_by("name"):limit(4), {
      postgres = [[SELECT "id", "name", "age" FROM (SELECT "id", "name", "age" FROM "author" WHERE "age" > $1 ]]
        .. [[UNION SELECT "id", "name", "age" FROM "author" WHERE "name" = $2) AS "author" ]]
        .. [[WHERE "name" LIKE $3 ESCAPE '!' ORDER BY "name" LIMIT $4]],
      mariadb = [[SELECT `id`, `name`, `age` FROM (SELECT `id`, `name`, `age` FROM `author` WHERE `age` > ? ]]
        .. [[UNION SELECT `id`, `name`, `age` FROM `author` WHERE `name` = ?) AS `author` ]]
        .. [[WHERE `name` LIKE ? ESCAPE '!' ORDER BY `name` LIMIT ?]],
      sqlite = [[SELECT "id", "name", "age" FROM (SELECT "id", "name", "age" FROM "author" WHERE "age" > ?1 ]]
        .. [[UNION SELECT "id", "name", "age" FROM "author" WHERE "name" = ?2) AS "author" ]]
        .. [[WHERE instr("name", ?3) > 0 ORDER BY "name" LIMIT ?4]],
      params = { postgres = { 60, "Ada", "%a%", 4 }, mariadb = { 60, "Ada", "%a%", 4 }, sqlite = { 60, "Ada", "a", 4 } },
    })
  end)

  it("keeps the order and the limit of its parts, enclosed as each server takes it", function()
    sql.assert(old:order_by("-age"):limit(2):union(ada, { all = true }):values("id"), {
      postgres = [[SELECT "id" FROM ((SELECT "id", "name", "age" FROM "author" WHERE "age" > $1 ORDER BY "age" DESC NULLS LAST LIMIT $2) ]]
        .. [[UNION ALL SELECT "id", "name", "age" FROM "author" WHERE "name" = $3) AS "author"]],
      mariadb = [[SELECT `id` FROM ((SELECT `id`, `name`, `age` FROM `author` WHERE `age` > ? ORDER BY `age` DESC LIMIT ?) ]]
        .. [[UNION ALL SELECT `id`, `name`, `age` FROM `author` WHERE `name` = ?) AS `author`]],
      sqlite = [[SELECT "id" FROM (SELECT * FROM (SELECT "id", "name", "age" FROM "author" WHERE "age" > ?1 ORDER BY "age" DESC LIMIT ?2) ]]
        .. [[UNION ALL SELECT "id", "name", "age" FROM "author" WHERE "name" = ?3) AS "author"]],
      params = { 60, 2, "Ada" },
    })
  end)

  it("is counted, and joins what its rows lead to", function()
    sql.assert(old:union(ada), {
      sqlite = [[SELECT count(*) FROM (SELECT "id", "name", "age" FROM "author" WHERE "age" > ?1 ]]
        .. [[UNION SELECT "id", "name", "age" FROM "author" WHERE "name" = ?2) AS "author"]],
      params = { 60, "Ada" },
    }, "count")
    sql.assert(Book:filter { pages = 1 }:union(Book:filter { pages = 2 }):filter { author__name = "Ada" }:values("title"), {
      postgres = [[SELECT "book"."title" FROM (SELECT "book"."id", "book"."title", "book"."author_id", "book"."pages" ]]
        .. [[FROM "book" WHERE "book"."pages" = $1 UNION SELECT "book"."id", "book"."title", "book"."author_id", "book"."pages" ]]
        .. [[FROM "book" WHERE "book"."pages" = $2) AS "book" JOIN "author" ON "author"."id" = "book"."author_id" ]]
        .. [[WHERE "author"."name" = $3 ORDER BY "book"."title"]],
      params = { 1, 2, "Ada" },
    })
  end)

  it("takes further parts, and stands in a lookup", function()
    sql.assert(old:union(ada):difference(Author:filter { id = 7 }):values("name"), {
      sqlite = [[SELECT "name" FROM (SELECT "id", "name", "age" FROM (SELECT "id", "name", "age" FROM "author" WHERE "age" > ?1 ]]
        .. [[UNION SELECT "id", "name", "age" FROM "author" WHERE "name" = ?2) AS "author" ]]
        .. [[EXCEPT SELECT "id", "name", "age" FROM "author" WHERE "id" = ?3) AS "author"]],
      params = { 60, "Ada", 7 },
    })
    sql.assert(Book:filter { author__in = old:intersection(ada) }:order_by():values("title"), {
      postgres = [[SELECT "book"."title" FROM "book" WHERE "book"."author_id" IN (SELECT "author"."id" FROM (]]
        .. [[SELECT "author"."id", "author"."name", "author"."age" FROM "author" WHERE "author"."age" > $1 INTERSECT ]]
        .. [[SELECT "author"."id", "author"."name", "author"."age" FROM "author" WHERE "author"."name" = $2) AS "author")]],
      params = { 60, "Ada" },
    })
  end)

  it("carries annotations, which filters and orders name", function()
    local counted = Author:annotate { n = fn.count("books") }
    sql.assert(counted:filter { age = 1 }:union(counted:filter { age = 2 }):filter { n__gt = 3 }:order_by("-n"):values("name", "n"), {
      sqlite = [[SELECT "author"."name", "author"."n" FROM (SELECT "author"."id", "author"."name", "author"."age", ]]
        .. [[(SELECT count("book"."id") FROM "book" WHERE "book"."author_id" = "author"."id") AS "n" FROM "author" WHERE "author"."age" = ?1 ]]
        .. [[UNION SELECT "author"."id", "author"."name", "author"."age", ]]
        .. [[(SELECT count("book"."id") FROM "book" WHERE "book"."author_id" = "author"."id") AS "n" FROM "author" WHERE "author"."age" = ?2) AS "author" ]]
        .. [[WHERE "author"."n" > ?3 ORDER BY "n" DESC]],
      params = { 1, 2, 3 },
    })
  end)

  it("is deleted and updated by its keys", function()
    sql.assert_delete(old:difference(ada), {
      postgres = [[DELETE FROM "author" WHERE "author"."id" IN (SELECT "author_2"."id" FROM (]]
        .. [[SELECT "author"."id", "author"."name", "author"."age" FROM "author" WHERE "author"."age" > $1 EXCEPT ]]
        .. [[SELECT "author"."id", "author"."name", "author"."age" FROM "author" WHERE "author"."name" = $2) AS "author_2")]],
      params = { 60, "Ada" },
    })
    sql.error("unfiltered", function() sql.assert_delete(old:union(Author), {}) end)
  end)
end)

describe("a union of values", function()
  local names = Author:values("name"):union(Book:values("title"))

  it("has the names of the first, of whatever entity the others are", function()
    sql.assert(names:order_by("-name"):filter { name__contains = "x" }, {
      postgres = [[SELECT "name" FROM (SELECT "name" FROM "author" UNION SELECT "title" AS "name" FROM "book") AS "author" ]]
        .. [[WHERE "name" LIKE $1 ESCAPE '!' ORDER BY "name" DESC]],
      mariadb = [[SELECT `name` FROM (SELECT `name` FROM `author` UNION SELECT `title` AS `name` FROM `book`) AS `author` ]]
        .. [[WHERE `name` LIKE ? ESCAPE '!' ORDER BY `name` DESC]],
      sqlite = [[SELECT "name" FROM (SELECT "name" FROM "author" UNION SELECT "title" AS "name" FROM "book") AS "author" ]]
        .. [[WHERE instr("name", ?1) > 0 ORDER BY "name" DESC]],
    })
  end)

  it("knows columns with paths as names, and no others than its own", function()
    sql.assert(Book:values("author__name"):union(Author:values("name")):filter { author__name__startswith = "A" }, {
      sqlite = [[SELECT "book"."author__name" FROM (SELECT "author"."name" AS "author__name" FROM "book" ]]
        .. [[JOIN "author" ON "author"."id" = "book"."author_id" UNION SELECT "author"."name" AS "author__name" FROM "author") AS "book" ]]
        .. [[WHERE "book"."author__name" GLOB ?1]],
    })
    assert.matches("no column \"nam\".*did you mean name", sql.error("unknown_field", function() return names:order_by("nam") end))
    assert.matches("no column \"age\"", sql.error("unknown_field", function() return names:filter { age = 3 } end))
    assert.matches("no column \"age\"", sql.error("unknown_field", function() return names:values("age") end))
    assert.matches("no column \"age\"", sql.error("unknown_field", function() return names:filter(Author.age:eq(3)) end))
  end)

  it("is grouped like a table", function()
    sql.assert(Author:values("name"):union(Book:values("title"), { all = true }):values("name"):annotate { n = fn.count() }, {
      sqlite = [[SELECT "name", count(*) AS "n" FROM (SELECT "name" FROM "author" UNION ALL SELECT "title" AS "name" FROM "book") ]]
        .. [[AS "author" GROUP BY "name"]],
    })
  end)
end)

describe("what is combined", function()
  it("has to be alike", function()
    local function message(kind, fn_) return sql.error(kind, fn_) end
    assert.matches("one entity, not Book", message("bad_argument", function() return old:union(Book) end))
    assert.matches("here are 1 and 2", message("bad_argument", function()
      return Author:values("name"):union(Book:values("title", "pages"))
    end))
    assert.matches("name is of kind text, pages of kind int", message("bad_argument", function()
      return Author:values("name"):union(Book:values("pages"))
    end))
    assert.matches("objects with objects", message("bad_argument", function() return old:union(ada:values("name")) end))
    assert.matches("same annotations: here are n and m", message("bad_argument", function()
      return Author:annotate { n = fn.count("books") }:union(Author:annotate { m = fn.count("books") })
    end))
    assert.matches("takes a query set, not 5", message("bad_argument", function() return old:union(5) end))
    assert.matches("did you mean all", message("unknown_option", function() return old:union(ada, { al = true }) end))
    assert.matches("one query set and a table", message("bad_argument", function() return old:union(ada, ada) end))
    assert.matches("no option \"all\"", message("unknown_option", function() return old:difference(ada, { all = true }) end))
    assert.matches("true or false", message("bad_argument", function() return old:union(ada, { all = 1 }) end))
  end)

  it("is compiled once for its shape", function()
    local function made(age) return Author:filter { age = age }:union(Author:filter { name = "x" }):limit(age) end
    assert.equal(made(1).shape, made(2).shape)
    assert.same({ 2, "x" }, made(2).slots)
    assert.not_equal(made(1).shape, Author:filter { age = 1 }:limit(1):union(Author:filter { name = "x" }).shape)
  end)
end)

describe("aggregates", function()
  it("are taken of groups as of the rows of a table", function()
    sql.assert_aggregate(Book:filter { pages__gt = 9 }:values("author"):annotate { n = fn.count() }, { most = fn.max("n") }, {
      postgres = [[SELECT max("n") AS "most" FROM (SELECT "author_id" AS "author", count(*) AS "n" FROM "book" WHERE "pages" > $1 ]]
        .. [[GROUP BY "author_id") AS "book"]],
      mariadb = [[SELECT max(`n`) AS `most` FROM (SELECT `author_id` AS `author`, count(*) AS `n` FROM `book` WHERE `pages` > ? ]]
        .. [[GROUP BY `author_id`) AS `book`]],
      sqlite = [[SELECT max("n") AS "most" FROM (SELECT "author_id" AS "author", count(*) AS "n" FROM "book" WHERE "pages" > ?1 ]]
        .. [[GROUP BY "author_id") AS "book"]],
      params = { 9 },
    })
  end)

  it("are taken of distinct values, and of the values that a limit leaves", function()
    sql.assert_aggregate(Author:values("age"):distinct(), { total = fn.sum("age") }, {
      sqlite = [[SELECT mp_sum("age") AS "total" FROM (SELECT DISTINCT "age" FROM "author") AS "author"]],
    })
    sql.assert_aggregate(Author:order_by("age"):values("age"):limit(3), { total = fn.sum("age") }, {
      sqlite = [[SELECT mp_sum("age") AS "total" FROM (SELECT "age" FROM "author" ORDER BY "age" LIMIT ?1) AS "author"]],
      params = { 3 },
    })
  end)

  it("see the annotations of what a limit leaves", function()
    sql.assert_aggregate(Author:annotate { n = fn.count("books") }:order_by("-n"):limit(3), { total = fn.sum("n") }, {
      sqlite = [[SELECT mp_sum("author"."n") AS "total" FROM (SELECT "author"."id", "author"."name", "author"."age", ]]
        .. [[(SELECT count("book"."id") FROM "book" WHERE "book"."author_id" = "author"."id") AS "n" FROM "author" ]]
        .. [[ORDER BY "n" DESC LIMIT ?1) AS "author"]],
      params = { 3 },
    })
  end)
end)
