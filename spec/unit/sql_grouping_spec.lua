-- Aggregates over relations to many: of each object, of groups, over several relations.

local f = require("moonpool.field").types
local sql = require "spec.support.sql"
local tree = require "moonpool.tree"

local F, fn, Q = tree.F, tree.fn, tree.Q

local Author = sql.entity("Author", { name = f.string { max = 100 }, country = f.string { null = true } })
sql.entity("Book", {
  title = f.string {}, price = f.float(), pages = f.integer(),
  author = f.belongs_to("Author", { inverse = "books" }),
})
sql.entity("Review", { stars = f.integer(), book = f.belongs_to("Book", { inverse = "reviews" }) })

describe("an aggregate over several relations to many", function()
  it("joins the further ones in its sub-select, which its filter speaks of too", function()
    sql.assert(Author:annotate { n = fn.count("books__reviews", { filter = Q { books__reviews__stars__gt = 3 } }) }:only("id"), {
      postgres = [[SELECT "author"."id", (SELECT count("reviews"."id") FILTER (WHERE "reviews"."stars" > $1) FROM "book" ]]
        .. [[LEFT JOIN "review" AS "reviews" ON "reviews"."book_id" = "book"."id" WHERE "book"."author_id" = "author"."id") AS "n" FROM "author"]],
      mariadb = [[SELECT `author`.`id`, (SELECT count(CASE WHEN `reviews`.`stars` > ? THEN `reviews`.`id` END) FROM `book` ]]
        .. [[LEFT JOIN `review` AS `reviews` ON `reviews`.`book_id` = `book`.`id` WHERE `book`.`author_id` = `author`.`id`) AS `n` FROM `author`]],
      sqlite = [[SELECT "author"."id", (SELECT count("reviews"."id") FILTER (WHERE "reviews"."stars" > ?1) FROM "book" ]]
        .. [[LEFT JOIN "review" AS "reviews" ON "reviews"."book_id" = "book"."id" WHERE "book"."author_id" = "author"."id") AS "n" FROM "author"]],
      params = { 3 },
    })
  end)

  it("calculates with columns of the related rows", function()
    sql.assert(Author:annotate { n = fn.sum(F.books__price * F.books__pages) }:only("id"), {
      postgres = [[SELECT "author"."id", (SELECT sum("book"."price" * "book"."pages") FROM "book" WHERE "book"."author_id" = "author"."id") AS "n" FROM "author"]],
    })
  end)
end)

describe("an aggregate of a group over a relation to many", function()
  it("takes together what each row has for itself", function()
    sql.assert(Author:values("country"):annotate { n = fn.count("books"), top = fn.max("books__price") }, {
      postgres = [[SELECT "author"."country", coalesce(CAST(sum((SELECT count("book"."id") FROM "book" WHERE "book"."author_id" = "author"."id")) AS bigint), 0::bigint) AS "n", ]]
        .. [[max((SELECT max("book_2"."price") FROM "book" AS "book_2" WHERE "book_2"."author_id" = "author"."id")) AS "top" FROM "author" GROUP BY "author"."country"]],
      mariadb = [[SELECT `author`.`country`, coalesce(sum((SELECT count(`book`.`id`) FROM `book` WHERE `book`.`author_id` = `author`.`id`)), 0) AS `n`, ]]
        .. [[max((SELECT max(`book_2`.`price`) FROM `book` AS `book_2` WHERE `book_2`.`author_id` = `author`.`id`)) AS `top` FROM `author` GROUP BY `author`.`country`]],
      sqlite = [[SELECT "author"."country", coalesce(mp_sum((SELECT count("book"."id") FROM "book" WHERE "book"."author_id" = "author"."id")), 0) AS "n", ]]
        .. [[max((SELECT max("book_2"."price") FROM "book" AS "book_2" WHERE "book_2"."author_id" = "author"."id")) AS "top" FROM "author" GROUP BY "author"."country"]],
    })
  end)

  it("is refused where those do not say it", function()
    for _, aggregate in ipairs { fn.avg("books__price"), fn.count("books__title", { distinct = true }), fn.sum("books__pages", { distinct = true }) } do
      assert.matches("start from the rows behind the relation", sql.error("unsupported", function()
        return Author:values("country"):annotate { n = aggregate }
      end))
    end
  end)
end)

describe("an annotation of objects", function()
  local counted = Author:annotate { n = fn.count("books") }

  it("is of each row where the rows are grouped, in the filter before", function()
    sql.assert(counted:filter { n__gt = 1 }:values("country"):annotate { c = fn.count() }, {
      postgres = [[SELECT "author"."country", count(*) AS "c" FROM "author" ]]
        .. [[WHERE (SELECT count("book"."id") FROM "book" WHERE "book"."author_id" = "author"."id") > $1 GROUP BY "author"."country"]],
      mariadb = [[SELECT `author`.`country`, count(*) AS `c` FROM `author` ]]
        .. [[WHERE (SELECT count(`book`.`id`) FROM `book` WHERE `book`.`author_id` = `author`.`id`) > ? GROUP BY `author`.`country`]],
      sqlite = [[SELECT "author"."country", count(*) AS "c" FROM "author" ]]
        .. [[WHERE (SELECT count("book"."id") FROM "book" WHERE "book"."author_id" = "author"."id") > ?1 GROUP BY "author"."country"]],
      params = { 1 },
    })
  end)

  it("is grouped by as it stands in the columns", function()
    sql.assert(counted:values("n"):annotate { c = fn.count() }, {
      postgres = [[SELECT (SELECT count("book"."id") FROM "book" WHERE "book"."author_id" = "author"."id") AS "n", count(*) AS "c" FROM "author" ]]
        .. [[GROUP BY (SELECT count("book"."id") FROM "book" WHERE "book"."author_id" = "author"."id")]],
    })
  end)
end)

describe("a value", function()
  it("is no order, and nothing that stands for the place of a column", function()
    local by = Author:annotate { v = tree.value(5) }
    sql.assert(by:values("v"):annotate { n = fn.count() }:order_by("v"), {
      postgres = [[SELECT $1::bigint AS "v", count(*) AS "n" FROM "author" GROUP BY $1::bigint]],
      mariadb = [[SELECT ? AS `v`, count(*) AS `n` FROM `author` GROUP BY (? IS NULL)]],
      sqlite = [[SELECT ?1 AS "v", count(*) AS "n" FROM "author" GROUP BY ?2]],
      params = { postgres = { 5 }, mariadb = { 5, 5 }, sqlite = { 5, 5 } },
    })
  end)
end)

describe("a window over groups", function()
  it("is no column that they are grouped by", function()
    local place = tree.over(fn.row_number(), { order_by = { "country" } })
    sql.assert(Author:values("country"):annotate { n = fn.count(), place = place }:order_by("place"), {
      postgres = [[SELECT "country", count(*) AS "n", row_number() OVER (ORDER BY "country" NULLS FIRST) AS "place" FROM "author" GROUP BY "country" ORDER BY "place"]],
      mariadb = [[SELECT `country`, count(*) AS `n`, row_number() OVER (ORDER BY `country`) AS `place` FROM `author` GROUP BY `country` ORDER BY `place`]],
      sqlite = [[SELECT "country", count(*) AS "n", row_number() OVER (ORDER BY "country") AS "place" FROM "author" GROUP BY "country" ORDER BY "place"]],
    })
  end)
end)

describe("values_list", function()
  it("takes expressions beside columns", function()
    sql.assert(Author:values_list("country", fn.upper("name"), fn.length("name") * 2), {
      postgres = [[SELECT "country", upper("name" COLLATE "und-x-icu") COLLATE "C" AS "value_2", char_length("name") * $1::bigint AS "value_3" FROM "author"]],
      mariadb = [[SELECT `country`, upper(`name`) AS `value_2`, char_length(`name`) * ? AS `value_3` FROM `author`]],
      sqlite = [[SELECT "country", mp_upper("name") AS "value_2", mp_mul(length("name"), ?1) AS "value_3" FROM "author"]],
      params = { 2 },
    })
    assert.matches("gives it a name", sql.error("bad_argument", function() return Author:values(fn.upper("name")) end))
  end)
end)
