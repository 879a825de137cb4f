-- distinct of columns: of rows that are equal in these, the first.

local f = require("moonpool.field").types
local sql = require "spec.support.sql"
local tree = require "moonpool.tree"

local Author = sql.entity("Author", { name = f.string { max = 100 } })

local Book = sql.entity("Book", {
  title = f.string {},
  price = f.float(),
  author = f.belongs_to("Author", { inverse = "books" }),
})

local NUMBERED = [[(SELECT "book_2"."id" AS "c1", row_number() OVER (PARTITION BY "book_2"."author_id" ]]

describe("distinct of columns", function()
  it("is DISTINCT ON where there is one and the order begins with them", function()
    sql.assert(Book:filter { price__gt = 1 }:distinct("author"):order_by("author", "-price"):values("title"), {
      postgres = [[SELECT DISTINCT ON ("author_id") "title" FROM "book" WHERE "price" > $1 ORDER BY "author_id", "price" DESC, "id"]],
      mariadb = [[SELECT `book`.`title` FROM `book` WHERE `book`.`id` IN (SELECT `c1` FROM (SELECT `book_2`.`id` AS `c1`, ]]
        .. [[row_number() OVER (PARTITION BY `book_2`.`author_id` ORDER BY `book_2`.`author_id`, `book_2`.`price` DESC, `book_2`.`id`) AS `c2` ]]
        .. [[FROM `book` AS `book_2` WHERE `book_2`.`price` > ?) AS `found` WHERE `c2` = 1) ORDER BY `book`.`author_id`, `book`.`price` DESC, `book`.`id`]],
      sqlite = [[SELECT "book"."title" FROM "book" WHERE "book"."id" IN (SELECT "c1" FROM ]] .. NUMBERED
        .. [[ORDER BY "book_2"."author_id", "book_2"."price" DESC, "book_2"."id") AS "c2" FROM "book" AS "book_2" WHERE "book_2"."price" > ?1) ]]
        .. [[AS "found" WHERE "c2" = 1) ORDER BY "book"."author_id", "book"."price" DESC, "book"."id"]],
      params = { 1 },
    })
  end)

  it("is the same with another order", function()
    local text = [[SELECT "book"."title" FROM "book" WHERE "book"."id" IN (SELECT "c1" FROM ]] .. NUMBERED
      .. [[ORDER BY "book_2"."price" DESC, "book_2"."id") AS "c2" FROM "book" AS "book_2") AS "found" WHERE "c2" = 1) ]]
      .. [[ORDER BY "book"."price" DESC, "book"."id"]]
    sql.assert(Book:distinct("author"):order_by("-price"):values("title"), { postgres = text, sqlite = text })
  end)

  it("has the order of the columns and the key if there is no other", function()
    sql.assert(Book:distinct("author"):values("title"), {
      postgres = [[SELECT DISTINCT ON ("author_id") "title" FROM "book" ORDER BY "author_id", "id"]],
    })
  end)

  it("takes paths, and is counted, deleted and aggregated as the rows that are left", function()
    sql.assert(Book:distinct("author__name"), {
      sqlite = [[SELECT count(*) FROM "book" WHERE "book"."id" IN (SELECT "c1" FROM (SELECT "book_2"."id" AS "c1", ]]
        .. [[row_number() OVER (PARTITION BY "author"."name" ORDER BY "author"."name", "book_2"."id") AS "c2" FROM "book" AS "book_2" ]]
        .. [[JOIN "author" ON "author"."id" = "book_2"."author_id") AS "found" WHERE "c2" = 1)]],
    }, "count")
    sql.assert_delete(Book:distinct("author"), {
      postgres = [[DELETE FROM "book" WHERE "book"."id" IN (SELECT "c1" FROM ]] .. NUMBERED
        .. [[ORDER BY "book_2"."author_id", "book_2"."id") AS "c2" FROM "book" AS "book_2") AS "found" WHERE "c2" = 1)]],
    })
    sql.assert_aggregate(Book:distinct("author"), { total = tree.fn.sum("price") }, {
      sqlite = [[SELECT sum("book"."price") AS "total" FROM "book" WHERE "book"."id" IN (SELECT "book_2"."id" FROM "book" AS "book_2" ]]
        .. [[WHERE "book_2"."id" IN (SELECT "c1" FROM (SELECT "book_3"."id" AS "c1", row_number() OVER (PARTITION BY "book_3"."author_id" ]]
        .. [[ORDER BY "book_3"."author_id", "book_3"."id") AS "c2" FROM "book" AS "book_3") AS "found" WHERE "c2" = 1))]],
    })
  end)

  it("refuses what would change which rows are one", function()
    local first = Book:distinct("author")
    assert.matches("narrow first", sql.error("bad_argument", function() return first:filter { price = 1 } end))
    assert.matches("narrow first", sql.error("bad_argument", function() return first:exclude { price = 1 } end))
    assert.matches("narrow first", sql.error("bad_argument", function() return first:annotate { n = tree.fn.count("author__books") } end))
    assert.matches("did you mean author", sql.error("unknown_field", function() return Book:distinct("autor") end))
    assert.matches("different already", sql.error("bad_argument", function()
      return Book:values("author"):annotate { n = tree.fn.count() }:distinct("author")
    end))
    assert.matches("union of values", sql.error("unsupported", function()
      return Book:values("title"):union(Author:values("name")):distinct("title")
    end))
    assert.matches("distinct", sql.error("bad_argument", function() return first:for_update() end))
    assert.matches("limit", sql.error("bad_argument", function() return Book:limit(1):distinct("author") end))
  end)
end)
