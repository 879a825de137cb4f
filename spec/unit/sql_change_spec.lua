-- update with values of other rows.

local f = require("moonpool.field").types
local sql = require "spec.support.sql"
local tree = require "moonpool.tree"

local F, fn = tree.F, tree.fn

local Author = sql.entity("Author", { name = f.string { max = 100 }, age = f.integer { null = true } })

local Book = sql.entity("Book", {
  title = f.string {},
  pages = f.integer(),
  author = f.belongs_to("Author", { inverse = "books" }),
})

describe("an update with values of other rows", function()
  it("asks for them in a sub-select by the key", function()
    sql.assert_update(Book:filter { pages = 1 }, { title = F.author__name, pages = F.pages + F.author__age }, {
      postgres = [[UPDATE "book" SET "title" = (SELECT "author"."name" FROM "book" AS "book_2" JOIN "author" ON "author"."id" = "book_2"."author_id" ]]
        .. [[WHERE "book_2"."id" = "book"."id"), "pages" = (SELECT CAST("book_3"."pages" AS bigint) + "author_2"."age" FROM "book" AS "book_3" ]]
        .. [[JOIN "author" AS "author_2" ON "author_2"."id" = "book_3"."author_id" WHERE "book_3"."id" = "book"."id") WHERE "book"."pages" = $1]],
      mariadb = [[UPDATE `book` SET `title` = (SELECT `author`.`name` FROM `book` AS `book_2` JOIN `author` ON `author`.`id` = `book_2`.`author_id` ]]
        .. [[WHERE `book_2`.`id` = `book`.`id`), `pages` = (SELECT `book_3`.`pages` + `author_2`.`age` FROM `book` AS `book_3` ]]
        .. [[JOIN `author` AS `author_2` ON `author_2`.`id` = `book_3`.`author_id` WHERE `book_3`.`id` = `book`.`id`) WHERE `book`.`pages` = ?]],
      sqlite = [[UPDATE "book" SET "title" = (SELECT "author"."name" FROM "book" AS "book_2" JOIN "author" ON "author"."id" = "book_2"."author_id" ]]
        .. [[WHERE "book_2"."id" = "book"."id"), "pages" = mp_fit((SELECT mp_add("book_3"."pages", "author_2"."age") FROM "book" AS "book_3" ]]
        .. [[JOIN "author" AS "author_2" ON "author_2"."id" = "book_3"."author_id" WHERE "book_3"."id" = "book"."id"), 32) FROM (SELECT 1) ]]
        .. [[WHERE "book"."pages" = ?1]],
      params = { 1 },
    })
  end)

  it("counts, and takes annotations for what they say", function()
    sql.assert_update(Author:filter { name = "x" }:annotate { n = fn.count("books") }, { age = F.n * 2 }, {
      sqlite = [[UPDATE "author" SET "age" = mp_fit(mp_mul((SELECT count("book"."id") FROM "book" WHERE "book"."author_id" = "author"."id"), ?1), 32) ]]
        .. [[FROM (SELECT 1) WHERE "author"."name" = ?2]],
      params = { 2, "x" },
    })
  end)

  it("leaves a plain one as it is", function()
    sql.assert_update(Author:filter { name = "x" }, { age = F.age + 1 }, {
      sqlite = [[UPDATE "author" SET "age" = mp_fit(mp_add("age", ?1), 32) WHERE "name" = ?2]],
    })
  end)
end)
