-- Order, limits, columns, groups and aggregates of query sets; update and delete.

local core = require "moonpool.core"
local f = require("moonpool.field").types
local sql = require "spec.support.sql"
local tree = require "moonpool.tree"

local fn = tree.fn

local Author = sql.entity("Author", {
  name = f.string { max = 100 },
  age = f.integer { null = true, min = 0 },
  balance = f.decimal { precision = 12, scale = 2 },
})

local Book = sql.entity("Book", {
  title = f.string {},
  author = f.belongs_to("Author", { inverse = "books" }),
  pages = f.integer(),
  price = f.float(),
}, { order_by = { "title" } })

describe("an order", function()
  it("has NULL first, and last with a minus, on every database", function()
    sql.assert(Author:order_by("age", "-name"):values("id"), {
      postgres = [[SELECT "id" FROM "author" ORDER BY "age" NULLS FIRST, "name" DESC]],
      mariadb = [[SELECT `id` FROM `author` ORDER BY `age`, `name` DESC]],
      sqlite = [[SELECT "id" FROM "author" ORDER BY "age", "name" DESC]],
    })
    sql.assert(Author:order_by("-age"):values("id"), {
      postgres = [[SELECT "id" FROM "author" ORDER BY "age" DESC NULLS LAST]],
      mariadb = [[SELECT `id` FROM `author` ORDER BY `age` DESC]],
      sqlite = [[SELECT "id" FROM "author" ORDER BY "age" DESC]],
    })
  end)

  it("has NULL where it is asked to be", function()
    sql.assert(Author:order_by(Author.age:asc { nulls = "last" }):values("id"), {
      postgres = [[SELECT "id" FROM "author" ORDER BY "age" NULLS LAST]],
      mariadb = [[SELECT `id` FROM `author` ORDER BY `age` IS NULL, `age`]],
      sqlite = [[SELECT "id" FROM "author" ORDER BY "age" NULLS LAST]],
    })
    sql.assert(Author:order_by(Author.age:desc { nulls = "first" }):values("id"), {
      postgres = [[SELECT "id" FROM "author" ORDER BY "age" DESC NULLS FIRST]],
      mariadb = [[SELECT `id` FROM `author` ORDER BY `age` IS NULL DESC, `age` DESC]],
      sqlite = [[SELECT "id" FROM "author" ORDER BY "age" DESC NULLS FIRST]],
    })
  end)

  it("is turned round by reverse, NULLs too", function()
    sql.assert(Author:order_by("age", Author.name:desc { nulls = "first" }):reverse():values("id"), {
      postgres = [[SELECT "id" FROM "author" ORDER BY "age" DESC NULLS LAST, "name" NULLS LAST]],
      mariadb = [[SELECT `id` FROM `author` ORDER BY `age` DESC, `name` IS NULL, `name`]],
      sqlite = [[SELECT "id" FROM "author" ORDER BY "age" DESC, "name" NULLS LAST]],
    })
  end)

  it("is the entity's own if there is no other, and none after order_by()", function()
    sql.assert(Book:only("id"), { sqlite = [[SELECT "id" FROM "book" ORDER BY "title"]] })
    sql.assert(Book:only("id"):reverse(), { sqlite = [[SELECT "id" FROM "book" ORDER BY "title" DESC]] })
    sql.assert(Book:only("id"):order_by("pages"), { sqlite = [[SELECT "id" FROM "book" ORDER BY "pages"]] })
    sql.assert(Book:only("id"):order_by(), { sqlite = [[SELECT "id" FROM "book"]] })
  end)

  it("goes through relations and takes expressions", function()
    sql.assert(Book:only("id"):order_by("-author__name", tree.F.pages % 10), {
      sqlite = [[SELECT "book"."id" FROM "book" JOIN "author" ON "author"."id" = "book"."author_id" ]]
        .. [[ORDER BY "author"."name" DESC, (mp_mod("book"."pages", ?1))]],
      params = { 10 },
    })
  end)

  it("of two names is not taken for that of the first", function()
    Author:order_by("name")
    Author:order_by("name", "age")
    sql.assert(Author:order_by("name"):values("id"), { sqlite = [[SELECT "id" FROM "author" ORDER BY "name"]] })
    sql.assert(Author:order_by("name", "id"):values("id"), { sqlite = [[SELECT "id" FROM "author" ORDER BY "name", "id"]] })
  end)
end)

describe("limits", function()
  it("are parameters, so that pages share a statement", function()
    sql.assert(Author:values("id"):limit(10):offset(20), {
      postgres = [[SELECT "id" FROM "author" LIMIT $1 OFFSET $2]],
      mariadb = [[SELECT `id` FROM `author` LIMIT ? OFFSET ?]],
      sqlite = [[SELECT "id" FROM "author" LIMIT ?1 OFFSET ?2]],
      params = { 10, 20 },
    })
    assert.equal(Author:limit(1).shape, Author:limit(2).shape)
  end)

  it("may be an offset alone", function()
    sql.assert(Author:values("id"):offset(20), {
      postgres = [[SELECT "id" FROM "author" OFFSET $1]],
      mariadb = [[SELECT `id` FROM `author` LIMIT 18446744073709551615 OFFSET ?]],
      sqlite = [[SELECT "id" FROM "author" LIMIT -1 OFFSET ?1]],
      params = { 20 },
    })
  end)

  it("count rows from 1 in slice", function()
    local slice = Author:slice(11, 20)
    assert.equal(10, slice.top)
    assert.equal(10, slice.skip)
    assert.equal(0, Author:slice(3, 2).top)
  end)

  it("are numbers of rows", function()
    assert.matches("limit takes a number of rows, not -1", sql.error("bad_argument", function() Author:limit(-1) end), nil, true)
    sql.error("bad_argument", function() Author:limit(1.5) end)
    sql.error("bad_argument", function() Author:limit "5" end)
    sql.error("bad_argument", function() Author:slice(0, 3) end)
  end)

  it("come last", function()
    assert.matches("narrow first", sql.error("bad_argument", function() Author:limit(3):filter { age = 1 } end))
  end)
end)

describe("columns", function()
  it("are those of only, and the key", function()
    sql.assert(Author:only("name"), { sqlite = [[SELECT "id", "name" FROM "author"]] })
    sql.assert(Author:defer("name", "balance"), { sqlite = [[SELECT "id", "age" FROM "author"]] })
  end)

  it("of values are named as they are written", function()
    local compile = require "moonpool.sql.compile"
    local found = compile.select(Book:values("author__name", "pk"), require("moonpool.dialect").get "sqlite")
    assert.same({ "author__name", "pk" }, found.plan.names)
    assert.same({ core.kind.text, core.kind.int }, found.plan.kinds)
    assert.equal("rows", found.output)
  end)

  it("are refused twice", function()
    sql.error("bad_argument", function() Book:values("title", "title") end)
  end)

  it("of distinct rows stand once, and are all that their order may ask", function()
    sql.assert(Book:values("author_id"):distinct():order_by("-author_id"), {
      sqlite = [[SELECT DISTINCT "author_id" FROM "book" ORDER BY "author_id" DESC]],
    })
    assert.matches("name Book.pages in values", sql.error("bad_argument", function()
      sql.assert(Book:values("title"):distinct():order_by("pages"), { sqlite = "" })
    end), nil, true)
    sql.assert(Book:only("title"):distinct():order_by("pages"), { sqlite = [[SELECT "id", "title" FROM "book" ORDER BY "pages"]] })
  end)
end)

describe("a group", function()
  it("is ordered by two columns of one field behind two relations", function()
    local Loan = sql.entity("Loan", { giver = f.belongs_to("Author"), taker = f.belongs_to("Author") })
    sql.assert(Loan:values("giver__name", "taker__name"):annotate { n = fn.count() }:order_by("giver__name", "taker__name"), {
      sqlite = [[SELECT "giver"."name", "taker"."name", count(*) AS "n" FROM "loan" ]]
        .. [[JOIN "author" AS "giver" ON "giver"."id" = "loan"."giver_id" ]]
        .. [[JOIN "author" AS "taker" ON "taker"."id" = "loan"."taker_id" ]]
        .. [[GROUP BY "giver"."name", "taker"."name" ORDER BY "giver"."name", "taker"."name"]],
    })
  end)

  it("is made of the columns of values by an aggregate", function()
    sql.assert(Book:values("author__name"):annotate { n = fn.count(), total = fn.sum("pages") }
        :filter { n__gt = 3, pages__gt = 10 }:order_by("-n", "author__name"):limit(5), {
      postgres = [[SELECT "author"."name", count(*) AS "n", CAST(sum("book"."pages") AS bigint) AS "total" FROM "book" ]]
        .. [[JOIN "author" ON "author"."id" = "book"."author_id" WHERE "book"."pages" > $1 ]]
        .. [[GROUP BY "author"."name" HAVING count(*) > $2 ORDER BY "n" DESC, "author"."name" LIMIT $3]],
      mariadb = [[SELECT `author`.`name`, count(*) AS `n`, sum(`book`.`pages`) AS `total` FROM `book` ]]
        .. [[JOIN `author` ON `author`.`id` = `book`.`author_id` WHERE `book`.`pages` > ? ]]
        .. [[GROUP BY `author`.`name` HAVING count(*) > ? ORDER BY `n` DESC, `author`.`name` LIMIT ?]],
      sqlite = [[SELECT "author"."name", count(*) AS "n", mp_sum("book"."pages") AS "total" FROM "book" ]]
        .. [[JOIN "author" ON "author"."id" = "book"."author_id" WHERE "book"."pages" > ?1 ]]
        .. [[GROUP BY "author"."name" HAVING count(*) > ?2 ORDER BY "n" DESC, "author"."name" LIMIT ?3]],
      params = { 10, 3, 5 },
    })
  end)

  it("is not ordered by the entity's own order", function()
    sql.assert(Book:values("author_id"):annotate { n = fn.count() }, {
      sqlite = [[SELECT "author_id", count(*) AS "n" FROM "book" GROUP BY "author_id"]],
    })
  end)

  it("filters what an aggregate takes", function()
    sql.assert(Book:values("author_id"):annotate { n = fn.count("id", { filter = tree.Q { pages__gt = 9 }, distinct = true }) }, {
      postgres = [[SELECT "author_id", count(DISTINCT "id") FILTER (WHERE "pages" > $1) AS "n" FROM "book" GROUP BY "author_id"]],
      mariadb = [[SELECT `author_id`, count(DISTINCT CASE WHEN `pages` > ? THEN `id` END) AS `n` FROM `book` GROUP BY `author_id`]],
      sqlite = [[SELECT "author_id", count(DISTINCT "id") FILTER (WHERE "pages" > ?1) AS "n" FROM "book" GROUP BY "author_id"]],
      params = { 9 },
    })
  end)

  it("refuses to be asked for what differs in its rows", function()
    local groups = Book:values("author_id"):annotate { n = fn.count() }
    assert.matches("Book.pages", sql.error("bad_argument", function() groups:order_by("pages") end))
    assert.matches("Book.pages", sql.error("bad_argument", function()
      groups:filter(tree.any(tree.Q { n = 1 }, tree.Q { pages = 1 }))
    end))
  end)

  it("is counted as groups", function()
    sql.assert(Book:values("author_id"):annotate { n = fn.count() }:filter { n__gt = 1 }, {
      sqlite = [[SELECT count(*) FROM (SELECT "author_id" AS "c1", count(*) AS "c2" FROM "book" ]]
        .. [[GROUP BY "author_id" HAVING count(*) > ?1) AS "found"]],
      params = { 1 },
    }, "count")
  end)
end)

describe("an annotation of objects", function()
  it("takes each relation to many by itself", function()
    sql.assert(Author:only("id"):annotate { n = fn.count("books"), longest = fn.max("books__pages") }:order_by("-n"), {
      postgres = [[SELECT "author"."id", (SELECT max("book"."pages") FROM "book" WHERE "book"."author_id" = "author"."id") AS "longest", ]]
        .. [[(SELECT count("book_2"."id") FROM "book" AS "book_2" WHERE "book_2"."author_id" = "author"."id") AS "n" ]]
        .. [[FROM "author" ORDER BY "n" DESC]],
    })
  end)

  it("filters the same related rows that it takes", function()
    sql.assert(Author:only("id"):annotate { n = fn.count("books", { filter = tree.Q { books__pages__gt = 9, name = "x" } }) }, {
      sqlite = [[SELECT "author"."id", (SELECT count("book"."id") FILTER (WHERE "author"."name" = ?1 AND "book"."pages" > ?2) ]]
        .. [[FROM "book" WHERE "book"."author_id" = "author"."id") AS "n" FROM "author"]],
      params = { "x", 9 },
    })
  end)

  it("can be calculated, filtered and ordered by", function()
    sql.assert(Book:only("id"):annotate { each = tree.F.price / tree.F.pages }:filter { each__lt = 2 }:order_by("each"), {
      postgres = [[SELECT "id", CAST("price" AS double precision) / "pages" AS "each" FROM "book" ]]
        .. [[WHERE (CAST("price" AS double precision) / "pages") < $1 ORDER BY "each"]],
      sqlite = [[SELECT "id", mp_div("price", "pages") AS "each" FROM "book" WHERE (mp_div("price", "pages")) < ?1 ORDER BY "each"]],
      params = { 2.0 },
    })
  end)

  it("cannot have the name of a field, nor be an aggregate of the object's own row", function()
    assert.matches("another name", sql.error("bad_argument", function() Author:annotate { name = fn.count("books") } end))
    assert.matches("values", sql.error("bad_argument", function() Author:annotate { n = fn.count() } end))
  end)
end)

describe("aggregates of all rows", function()
  it("are one row", function()
    sql.assert_aggregate(Book:filter { pages__gt = 1 }, { n = fn.count(), mean = fn.avg("pages"), most = fn.max("author__balance") }, {
      postgres = [[SELECT CAST(avg("book"."pages") AS double precision) AS "mean", max("author"."balance") AS "most", count(*) AS "n" ]]
        .. [[FROM "book" JOIN "author" ON "author"."id" = "book"."author_id" WHERE "book"."pages" > $1]],
      mariadb = [[SELECT avg(CAST(`book`.`pages` AS DOUBLE)) AS `mean`, max(`author`.`balance`) AS `most`, count(*) AS `n` ]]
        .. [[FROM `book` JOIN `author` ON `author`.`id` = `book`.`author_id` WHERE `book`.`pages` > ?]],
      sqlite = [[SELECT avg("book"."pages") AS "mean", max("author"."balance" COLLATE mp_decimal) AS "most", count(*) AS "n" ]]
        .. [[FROM "book" JOIN "author" ON "author"."id" = "book"."author_id" WHERE "book"."pages" > ?1]],
      params = { 1 },
    })
  end)

  it("have the kind of what they take", function()
    local compile = require "moonpool.sql.compile"
    local found = compile.aggregate(Author, require("moonpool.dialect").get "sqlite",
      { a = fn.sum("balance"), b = fn.avg("balance"), c = fn.avg("age"), d = fn.sum("age"), e = fn.min("name"), g = fn.count("age") })
    local kind = core.kind
    assert.same({ kind.decimal, kind.decimal, kind.float, kind.int, kind.text, kind.int }, found.plan.kinds)
    assert.equal([[SELECT mp_decimal_sum("balance") AS "a", mp_decimal_avg("balance") AS "b", avg("age") AS "c", ]]
      .. [[mp_sum("age") AS "d", min("name") AS "e", count("age") AS "g" FROM "author"]], found.sql)
  end)

  it("of a cut query set see the rows that are left", function()
    sql.assert_aggregate(Author:order_by("name"):limit(3), { n = fn.sum("age") }, {
      postgres = [[SELECT CAST(sum("author"."age") AS bigint) AS "n" FROM "author" WHERE "author"."id" IN ]]
        .. [[(SELECT "author_2"."id" FROM "author" AS "author_2" ORDER BY "author_2"."name" LIMIT $1)]],
      params = { 3 },
    })
  end)

  it("refuse what cannot be summed", function()
    assert.matches("string field Author.name", sql.error("bad_argument", function()
      require("moonpool.sql.query").aggregated(Author, { n = fn.sum("name") })
    end))
  end)
end)

describe("count and exists", function()
  it("ask no more than they need", function()
    sql.assert(Book:filter { pages = 3 }:order_by("title"), {
      sqlite = [[SELECT count(*) FROM "book" WHERE "pages" = ?1]],
      params = { 3 },
    }, "count")
    sql.assert(Book:filter { pages = 3 }, { sqlite = [[SELECT 1 FROM "book" WHERE "pages" = ?1 LIMIT 1]] }, "exists")
  end)

  it("count what limits and distinct leave", function()
    sql.assert(Book:limit(3), { sqlite = [[SELECT count(*) FROM (SELECT 1 FROM "book" LIMIT ?1) AS "found"]], params = { 3 } }, "count")
    sql.assert(Book:values("author_id"):distinct(), {
      postgres = [[SELECT count(*) FROM (SELECT DISTINCT "author_id" AS "c1" FROM "book") AS "found"]],
    }, "count")
  end)
end)

describe("update", function()
  it("sets values and expressions, in order of declaration", function()
    sql.assert_update(Author:filter { id = 7 }, { balance = tree.F.balance - "5.00", name = "new", age = core.null }, {
      postgres = [[UPDATE "author" SET "name" = $1, "age" = NULL, "balance" = "balance" - $2 WHERE "id" = $3]],
      mariadb = [[UPDATE `author` SET `name` = ?, `age` = NULL, `balance` = `balance` - ? WHERE `id` = ?]],
      sqlite = [[UPDATE "author" SET "name" = ?1, "age" = NULL, "balance" = mp_decimal_cast(mp_decimal_sub("balance", ?2), 2, 12) WHERE "id" = ?3]],
      params = { "new", "5.00", 7 },
    })
  end)

  it("tells rows by their keys where a condition needs other tables or a limit", function()
    sql.assert_update(Book:filter { author__name = "q" }:order_by():limit(4), { pages = tree.F.pages * 2 }, {
      postgres = [[UPDATE "book" SET "pages" = "book"."pages" * $1::bigint WHERE "book"."id" IN (SELECT "book_2"."id" FROM "book" AS "book_2" ]]
        .. [[JOIN "author" ON "author"."id" = "book_2"."author_id" WHERE "author"."name" = $2 LIMIT $3)]],
      mariadb = [[UPDATE `book` SET `pages` = `book`.`pages` * ? WHERE `book`.`id` IN (SELECT * FROM (SELECT `book_2`.`id` AS `c1` FROM `book` AS `book_2` ]]
        .. [[JOIN `author` ON `author`.`id` = `book_2`.`author_id` WHERE `author`.`name` = ? LIMIT ?) AS `found`)]],
      params = { 2, "q", 4 },
    })
  end)

  it("raises one validation with every bad field", function()
    local ok, err = pcall(sql.assert_update, Author:all_rows(), { age = -1, name = 5 }, {})
    assert.is_false(ok)
    assert.equal("validation", err.kind)
    assert.equal("must be at least 0, not -1", err.errors.age)
    assert.equal("cannot take 5 as string", err.errors.name)
    assert.matches("^Author: name cannot take 5 as string; age must", err.message)
  end)

  it("refuses all rows unless it is told, nothing to do, and unknown names", function()
    assert.matches("all_rows()", sql.error("unfiltered", function() sql.assert_update(Author, { age = 1 }, {}) end), nil, true)
    sql.assert_update(Author:all_rows(), { age = 1 }, { sqlite = [[UPDATE "author" SET "age" = ?1]] })
    sql.error("bad_argument", function() sql.assert_update(Author:all_rows(), {}, {}) end)
    assert.matches("did you mean age", sql.error("unknown_field", function()
      sql.assert_update(Author:all_rows(), { agee = 1 }, {})
    end))
    assert.matches("// cuts", sql.error("bad_argument", function()
      sql.assert_update(Author:all_rows(), { age = tree.F.age / 2 }, {})
    end), nil, true)
  end)

  it("of a known shape binds values only", function()
    local compile, sqlite = require "moonpool.sql.compile", require("moonpool.dialect").get "sqlite"
    local first = compile.update(Author:filter { id = 1 }, sqlite, { age = tree.F.age + 1 })
    local second, params = compile.update(Author:filter { id = 2 }, sqlite, { age = tree.F.age + 5 })
    assert.equal(first, second)
    assert.same({ 5, 2 }, params)
  end)
end)

describe("delete", function()
  it("names its rows by a condition", function()
    sql.assert_delete(Book:filter { pages = 3 }, { sqlite = [[DELETE FROM "book" WHERE "pages" = ?1]], params = { 3 } })
    sql.assert_delete(Book:all_rows(), { sqlite = [[DELETE FROM "book"]] })
    sql.error("unfiltered", function() sql.assert_delete(Book, {}) end)
  end)

  it("takes a limit as a condition", function()
    sql.assert_delete(Author:order_by("age"):limit(3), {
      sqlite = [[DELETE FROM "author" WHERE "author"."id" IN (SELECT "author_2"."id" FROM "author" AS "author_2" ORDER BY "author_2"."age" LIMIT ?1)]],
      params = { 3 },
    })
  end)

  it("asks for related rows in a sub-select", function()
    sql.assert_delete(Author:exclude { books__pages__gt = 3 }, {
      postgres = [[DELETE FROM "author" WHERE NOT EXISTS (SELECT 1 FROM "book" WHERE "book"."author_id" = "author"."id" AND "book"."pages" > $1)]],
      mariadb = [[DELETE FROM `author` WHERE `author`.`id` IN (SELECT * FROM (SELECT `author_2`.`id` AS `c1` FROM `author` AS `author_2` ]]
        .. [[WHERE NOT EXISTS (SELECT 1 FROM `book` WHERE `book`.`author_id` = `author_2`.`id` AND `book`.`pages` > ?)) AS `found`)]],
      params = { 3 },
    })
  end)
end)

describe("what is not built", function()
  it("says so by its name", function()
    assert.matches("mp.fn.soundex", sql.error("unsupported", function() Author:annotate { x = fn.soundex("name") } end), nil, true)
  end)
end)
