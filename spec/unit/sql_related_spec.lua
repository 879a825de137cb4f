-- Query sets that read more than their own rows, or lock them: select_related, only and defer behind it, for_update.

local f = require("moonpool.field").types
local sql = require "spec.support.sql"

local Author = sql.entity("Author", {
  name = f.string { max = 100 },
  age = f.integer { null = true },
})

local Book = sql.entity("Book", {
  title = f.string {},
  author = f.belongs_to("Author", { inverse = "books" }),
  editor = f.belongs_to("Author", { inverse = "edited", null = true }),
}, { order_by = { "title" } })

local Review = sql.entity("Review", {
  stars = f.integer(),
  book = f.belongs_to("Book", { inverse = "reviews" }),
})

describe("select_related", function()
  it("joins what the rows lead to, outer where that may be NULL", function()
    sql.assert(Book:select_related("author", "editor"), {
      postgres = [[SELECT "book"."id", "book"."title", "book"."author_id", "book"."editor_id", "author"."id", "author"."name", "author"."age", ]]
        .. [["editor"."id", "editor"."name", "editor"."age" FROM "book" JOIN "author" ON "author"."id" = "book"."author_id" ]]
        .. [[LEFT JOIN "author" AS "editor" ON "editor"."id" = "book"."editor_id" ORDER BY "book"."title"]],
      mariadb = [[SELECT `book`.`id`, `book`.`title`, `book`.`author_id`, `book`.`editor_id`, `author`.`id`, `author`.`name`, `author`.`age`, ]]
        .. [[`editor`.`id`, `editor`.`name`, `editor`.`age` FROM `book` JOIN `author` ON `author`.`id` = `book`.`author_id` ]]
        .. [[LEFT JOIN `author` AS `editor` ON `editor`.`id` = `book`.`editor_id` ORDER BY `book`.`title`]],
      sqlite = [[SELECT "book"."id", "book"."title", "book"."author_id", "book"."editor_id", "author"."id", "author"."name", "author"."age", ]]
        .. [["editor"."id", "editor"."name", "editor"."age" FROM "book" JOIN "author" ON "author"."id" = "book"."author_id" ]]
        .. [[LEFT JOIN "author" AS "editor" ON "editor"."id" = "book"."editor_id" ORDER BY "book"."title"]],
    })
  end)

  it("goes over several relations and shares its joins with conditions", function()
    sql.assert(Review:select_related("book__author"):filter { book__author__name = "ada" }:only("stars", "book__title", "book__author__name"), {
      postgres = [[SELECT "review"."id", "review"."stars", "review"."book_id", "book"."id", "book"."title", "book"."author_id", ]]
        .. [["book__author"."id", "book__author"."name" FROM "review" JOIN "book" ON "book"."id" = "review"."book_id" ]]
        .. [[JOIN "author" AS "book__author" ON "book__author"."id" = "book"."author_id" WHERE "book__author"."name" = $1]],
      params = { "ada" },
    })
  end)

  it("leaves out what defer says, but not the keys that lead on", function()
    sql.assert(Book:defer("author", "title"):select_related("author"):defer("author__age"):order_by(), {
      sqlite = [[SELECT "book"."id", "book"."author_id", "book"."editor_id", "author"."id", "author"."name" FROM "book" ]]
        .. [[JOIN "author" ON "author"."id" = "book"."author_id"]],
    })
  end)

  it("reads nothing more where no object is read", function()
    sql.assert(Book:select_related("author"), { sqlite = [[SELECT count(*) FROM "book"]] }, "count")
    sql.assert(Book:select_related("author"):values("title"), { sqlite = [[SELECT "title" FROM "book" ORDER BY "title"]] })
    sql.assert(Review:filter { book__in = Book:select_related("author"):filter { title = "x" } }:values("id"), {
      sqlite = [[SELECT "review"."id" FROM "review" WHERE "review"."book_id" IN (SELECT "book"."id" FROM "book" WHERE "book"."title" = ?1)]],
    })
  end)
end)

describe("for_update", function()
  it("locks the rows, as each server says it; SQLite has one writer", function()
    sql.assert(Author:filter { age = 3 }:limit(1):for_update():values("id"), {
      postgres = [[SELECT "id" FROM "author" WHERE "age" = $1 LIMIT $2 FOR UPDATE]],
      mariadb = [[SELECT `id` FROM `author` WHERE `age` = ? LIMIT ? FOR UPDATE]],
      sqlite = [[SELECT "id" FROM "author" WHERE "age" = ?1 LIMIT ?2]],
    })
    sql.assert(Author:for_update { skip_locked = true }:values("id"), {
      postgres = [[SELECT "id" FROM "author" FOR UPDATE SKIP LOCKED]],
      mariadb = [[SELECT `id` FROM `author` FOR UPDATE SKIP LOCKED]],
      sqlite = [[SELECT "id" FROM "author"]],
    })
    sql.assert(Author:for_update { nowait = true }:values("id"), {
      postgres = [[SELECT "id" FROM "author" FOR UPDATE NOWAIT]],
      mariadb = [[SELECT `id` FROM `author` FOR UPDATE NOWAIT]],
      sqlite = [[SELECT "id" FROM "author"]],
    })
  end)

  it("locks the entity's own rows where others are joined", function()
    sql.assert(Book:filter { editor__name = "x" }:order_by():for_update():values("id"), {
      postgres = [[SELECT "book"."id" FROM "book" LEFT JOIN "author" AS "editor" ON "editor"."id" = "book"."editor_id" ]]
        .. [[WHERE "editor"."name" = $1 FOR UPDATE OF "book"]],
      mariadb = [[SELECT `book`.`id` FROM `book` LEFT JOIN `author` AS `editor` ON `editor`.`id` = `book`.`editor_id` ]]
        .. [[WHERE `editor`.`name` = ? FOR UPDATE]],
    })
  end)

  it("refuses what is no row of a table, and options that contradict each other", function()
    local function refused(fn) return sql.error("bad_argument", fn) end
    local count = require("moonpool.tree").fn.count
    assert.matches("groups", refused(function() return Author:values("age"):annotate { n = count() }:for_update() end))
    assert.matches("distinct values", refused(function() return Author:values("age"):distinct():for_update() end))
    assert.matches("union", refused(function() return Author:union(Author):for_update() end))
    assert.matches("groups", refused(function() sql.assert(Author:for_update():values("age"):annotate { n = count() }, {}) end))
    assert.matches("count reads none", refused(function() sql.assert(Author:for_update(), {}, "count") end))
    assert.matches("inside it", refused(function() return Book:filter { author__in = Author:for_update() } end))
    assert.matches("one of them", refused(function() return Author:for_update { nowait = true, skip_locked = true } end))
    assert.matches("true or false", refused(function() return Author:for_update { nowait = 1 } end))
    assert.matches("table of options", refused(function() return Author:for_update "nowait" end))
    assert.matches("did you mean nowait", sql.error("unknown_option", function() return Author:for_update { nowai = true } end))
  end)
end)
