-- The statements of prefetch: rows that lead to many owners at once, and what composite keys become.

local dialect = require "moonpool.dialect"
local f = require("moonpool.field").types
local model = require "moonpool.resolve.model"
local prefetch = require "moonpool.sql.prefetch"
local sql = require "spec.support.sql"

sql.entity("Author", { name = f.string { max = 100 } })
local Book = sql.entity("Book", {
  title = f.string(),
  pages = f.integer(),
  author = f.belongs_to("Author", { inverse = "books" }),
  tags = f.many_to_many("Tag", { inverse = "books" }),
})
local Tag = sql.entity("Tag", { label = f.string { max = 20 } }, { order_by = { "label" } })
local Item = sql.entity("Item", {
  shop = f.integer(), number = f.string { max = 10 }, labels = f.many_to_many("Tag", { inverse = "items" }),
}, { primary_key = { "shop", "number" } })
local Line = sql.entity("Line", { item = f.belongs_to("Item", { inverse = "lines", null = true }) })

local function found(q, owner, name, keys, server)
  local st, params, n = prefetch.select(q, dialect.get(server or "postgres"), model.find(owner).inverses[name], keys)
  local list = {}
  for place = 1, n do list[place] = params[place] end
  return st.sql, list
end

describe("prefetch", function()
  it("asks for the rows of several owners by their key", function()
    local text, params = found(Book:filter { pages__gt = 3 }:order_by("-pages"), "Author", "books", { 7, 8 })
    assert.equal([[SELECT "id", "title", "pages", "author_id" FROM "book" WHERE "author_id" IN ($1, $2) AND "pages" > $3 ]]
      .. [[ORDER BY "pages" DESC]], text)
    assert.same({ 7, 8, 3 }, params)
    assert.equal([[SELECT `id`, `title`, `pages`, `author_id` FROM `book` WHERE `author_id` IN (?, ?)]],
      (found(Book, "Author", "books", { 7, 8 }, "mariadb")))
    assert.equal([[SELECT "id", "title", "pages", "author_id" FROM "book" WHERE "author_id" IN (?1, ?2)]],
      (found(Book, "Author", "books", { 7, 8 }, "sqlite")))
  end)

  it("counts a row once for an owner where the table between may hold the pair several times", function()
    sql.entity("Course", { title = f.string() })
    sql.entity("Enrol", { student = f.belongs_to("Student"), course = f.belongs_to("Course") })
    local Student = sql.entity("Student", { courses = f.many_to_many("Course", { through = "Enrol", inverse = "students" }) })
    local limited = Student:limit(2)
    assert.equal([[SELECT "c1", "c2" FROM (SELECT "student"."id" AS "c1", "enrol"."course_id" AS "c2", dense_rank() OVER (]]
      .. [[PARTITION BY "enrol"."course_id" ORDER BY "student"."id") AS "c3" FROM "student" JOIN "enrol" ON "enrol"."student_id" = ]]
      .. [["student"."id" WHERE "enrol"."course_id" IN ($1)) AS "found" WHERE "c3" > $2 AND "c3" <= $3 ORDER BY "c3"]],
      (found(limited, "Course", "students", { 1 })))
    assert.matches([[dense_rank() OVER (PARTITION BY `enrol`.`course_id` ORDER BY `student`.`id` DESC, `student`.`id`)]],
      found(Student:order_by("-id"):limit(2), "Course", "students", { 1 }, "mariadb"), 1, true)
    sql.entity("Enrol", { student = f.belongs_to("Student"), course = f.belongs_to("Course") },
      { indexes = { { "course", "student", unique = true } } })
    assert.matches("row_number() OVER (", found(Student:limit(2), "Course", "students", { 1 }), 1, true)
  end)

  it("has one statement for lists of many lengths", function()
    local keys = {}
    for place = 1, 40 do keys[place] = place end
    local first = found(Book, "Author", "books", keys)
    keys[41] = 41
    local second, params = found(Book, "Author", "books", keys)
    assert.equal(first, second)
    assert.equal(64, #params)
    assert.equal(41, params[64])
  end)

  it("takes the owner's key from the table between", function()
    assert.equal([[SELECT "tag"."id", "tag"."label", "book_tags"."book_id" FROM "tag" ]]
      .. [[JOIN "book_tags" ON "book_tags"."tag_id" = "tag"."id" WHERE "book_tags"."book_id" IN ($1) ORDER BY "tag"."label"]],
      (found(Tag, "Book", "tags", { 1 })))
    assert.equal([[SELECT `tag`.`id`, `tag`.`label`, `book_tags`.`book_id` FROM `tag` ]]
      .. [[JOIN `book_tags` ON `book_tags`.`tag_id` = `tag`.`id` WHERE `book_tags`.`book_id` IN (?) ORDER BY `tag`.`label`]],
      (found(Tag, "Book", "tags", { 1 }, "mariadb")))
    assert.equal([[SELECT "book"."id", "book"."title", "book"."pages", "book"."author_id", "book_tags"."tag_id" FROM "book" ]]
      .. [[JOIN "book_tags" ON "book_tags"."book_id" = "book"."id" WHERE "book_tags"."tag_id" IN (?1)]],
      (found(Book, "Tag", "books", { 1 }, "sqlite")))
  end)

  it("numbers the rows of each owner where there is a limit", function()
    local text, params = found(Book:order_by("-pages"):limit(2):offset(1), "Author", "books", { 7, 8 })
    assert.equal([[SELECT "c1", "c2", "c3", "c4" FROM (SELECT "id" AS "c1", "title" AS "c2", "pages" AS "c3", ]]
      .. [["author_id" AS "c4", row_number() OVER (PARTITION BY "author_id" ORDER BY "pages" DESC) AS "c5" FROM "book" ]]
      .. [[WHERE "author_id" IN ($1, $2)) AS "found" WHERE "c5" > $3 AND "c5" <= $4 ORDER BY "c5"]], text)
    assert.same({ 7, 8, 1, 3 }, params)
    assert.equal([[SELECT `c1`, `c2`, `c3` FROM (SELECT `tag`.`id` AS `c1`, `tag`.`label` AS `c2`, `book_tags`.`book_id` AS `c3`, ]]
      .. [[row_number() OVER (PARTITION BY `book_tags`.`book_id` ORDER BY `tag`.`label`) AS `c4` FROM `tag` ]]
      .. [[JOIN `book_tags` ON `book_tags`.`tag_id` = `tag`.`id` WHERE `book_tags`.`book_id` IN (?)) AS `found` ]]
      .. [[WHERE `c4` > ? AND `c4` <= ? ORDER BY `c4`]], (found(Tag:limit(3), "Book", "tags", { 1 }, "mariadb")))
    assert.matches('ORDER BY "id"%) AS "c5"', (found(Book:limit(2), "Author", "books", { 1 }, "sqlite")))
  end)

  it("compares all columns of a key", function()
    assert.equal([[SELECT "id", "item_shop", "item_number" FROM "line" WHERE ("item_shop", "item_number") IN (($1, $2), ($3, $4))]],
      (found(Line, "Item", "lines", { { 1, "a" }, { 2, "b" } })))
    assert.equal([[SELECT "id", "item_shop", "item_number" FROM "line" ]]
      .. [[WHERE ("item_shop", "item_number") IN (VALUES (?1, ?2), (?3, ?4))]],
      (found(Line, "Item", "lines", { { 1, "a" }, { 2, "b" } }, "sqlite")))
  end)
end)

describe("a key of several columns", function()
  it("is compared column by column", function()
    sql.assert(Line:filter { item = { shop = 1, number = "a" } }, {
      postgres = [[SELECT "id", "item_shop", "item_number" FROM "line" WHERE "item_shop" = $1 AND "item_number" = $2]],
      mariadb = [[SELECT `id`, `item_shop`, `item_number` FROM `line` WHERE `item_shop` = ? AND `item_number` = ?]],
      sqlite = [[SELECT "id", "item_shop", "item_number" FROM "line" WHERE "item_shop" = ?1 AND "item_number" = ?2]],
      params = { 1, "a" },
    })
    sql.assert(Line:filter { item__in = { { shop = 1, number = "a" }, { shop = 2, number = "b" } } }:values("id"), {
      postgres = [[SELECT "id" FROM "line" WHERE ("item_shop", "item_number") IN (($1, $2), ($3, $4))]],
      mariadb = [[SELECT `id` FROM `line` WHERE (`item_shop`, `item_number`) IN ((?, ?), (?, ?))]],
      sqlite = [[SELECT "id" FROM "line" WHERE ("item_shop", "item_number") IN (VALUES (?1, ?2), (?3, ?4))]],
      params = { 1, "a", 2, "b" },
    })
  end)

  it("leaves no row out of its negation", function()
    assert.equal([["item_shop" IS NOT ?1 OR "item_number" IS NOT ?2]],
      sql.where(Line:exclude { item = { shop = 1, number = "a" } }))
    assert.matches("IS NOT TRUE", sql.where(Line:exclude { item__in = { { shop = 1, number = "a" } } }))
    assert.equal([["item_shop" IS NULL OR "item_number" IS NULL]], sql.where(Line:filter { item__isnull = true }))
  end)

  it("joins on all of its columns, and on none for a part that is here", function()
    sql.assert(Line:filter { item__labels__label = "x" }:values("id"), {
      sqlite = [[SELECT "line"."id" FROM "line" LEFT JOIN "item" ON "item"."shop" = "line"."item_shop" ]]
        .. [[AND "item"."number" = "line"."item_number" WHERE EXISTS (SELECT 1 FROM "item_labels" ]]
        .. [[JOIN "tag" ON "tag"."id" = "item_labels"."tag_id" WHERE "item_labels"."item_shop" = "item"."shop" ]]
        .. [[AND "item_labels"."item_number" = "item"."number" AND "tag"."label" = ?1)]],
    })
    assert.equal([["item_number" = ?1]], sql.where(Line:filter { item__number = "a" }))
    assert.matches('"item_labels"."item_shop" = "item"."shop"', sql.where(Item:filter { labels = 1 }), nil, true)
  end)

  it("is the rows of a query set", function()
    assert.equal([[("line"."item_shop", "line"."item_number") IN (SELECT "item"."shop", "item"."number" FROM "item" WHERE "item"."shop" = ?1)]],
      sql.where(Line:filter { item__in = Item:filter { shop = 3 } }))
  end)

  it("may be called by the program", function()
    local Other = sql.entity("Other", { item = f.belongs_to("Item", { column = { "s", "n" }, null = true }) })
    assert.equal([["s" = ?1 AND "n" = ?2]], sql.where(Other:filter { item = { shop = 1, number = "a" } }))
    assert.matches("names each of the 2 columns", sql.error("bad_argument", function()
      sql.entity("Other", { item = f.belongs_to("Item", { column = "s" }) })
    end))
    assert.matches("takes no default", sql.error("bad_argument", function()
      sql.entity("Other", { item = f.belongs_to("Item", { default = 3 }) })
    end))
  end)
end)
