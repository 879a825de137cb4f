-- What a filter becomes on the three databases.

local core = require "moonpool.core"
local f = require("moonpool.field").types
local sql = require "spec.support.sql"
local tree = require "moonpool.tree"

local User = sql.entity("User", {
  name = f.string { max = 100 },
  age = f.integer { null = true },
})

local Author = sql.entity("Author", {
  name = f.string { max = 100 },
  email = f.string { null = true },
  balance = f.decimal { precision = 12, scale = 2 },
  born = f.date { null = true },
  active = f.boolean(),
})

local Book = sql.entity("Book", {
  title = f.string {},
  author = f.belongs_to("Author", { inverse = "books" }),
  editor = f.belongs_to("Author", { null = true, inverse = "edited" }),
  pages = f.integer(),
})

local Chapter = sql.entity("Chapter", {
  book = f.belongs_to("Book", { inverse = "chapters" }),
  heading = f.string {},
})

describe("a filter on a nullable column", function()
  it("compares with a value", function()
    sql.assert(User:filter { age = 36 }, {
      postgres = [[SELECT "id", "name", "age" FROM "user" WHERE "age" = $1]],
      mariadb = [[SELECT `id`, `name`, `age` FROM `user` WHERE `age` = ?]],
      sqlite = [[SELECT "id", "name", "age" FROM "user" WHERE "age" = ?1]],
      params = { 36 },
    })
  end)

  it("keeps rows whose value is NULL in the negation", function()
    sql.assert(User:exclude { age = 36 }, {
      postgres = [[SELECT "id", "name", "age" FROM "user" WHERE "age" IS DISTINCT FROM $1]],
      mariadb = [[SELECT `id`, `name`, `age` FROM `user` WHERE NOT (`age` <=> ?)]],
      sqlite = [[SELECT "id", "name", "age" FROM "user" WHERE "age" IS NOT ?1]],
      params = { 36 },
    })
  end)

  it("says exclude, ne, ~ and mp.no with the same text", function()
    local wanted = sql.where(User:exclude { age = 36 })
    assert.equal(wanted, sql.where(User:filter { age__ne = 36 }))
    assert.equal(wanted, sql.where(User:filter(tree.no(User.age:eq(36)))))
    assert.equal(wanted, sql.where(User:filter(User.age:ne(36))))
  end)

  it("denies a comparison for NULL too", function()
    assert.equal([[("age" > ?1) IS NOT TRUE]], sql.where(User:exclude { age__gt = 3 }))
    assert.equal([[("age" IN (?1, ?2)) IS NOT TRUE]], sql.where(User:filter { age__not_in = { 1, 2 } }))
    assert.equal([[("age" BETWEEN ?1 AND ?2) IS NOT TRUE]], sql.where(User:exclude { age__range = { 1, 2 } }))
  end)

  it("excludes the rows with both of two values", function()
    assert.equal([["name" <> ?1 OR "age" IS NOT ?2]], sql.where(User:exclude { age = 1, name = "b" }))
  end)

  it("takes mp.null and a missing value as IS NULL", function()
    assert.equal([["age" IS NULL]], sql.where(User:filter { age = core.null }))
    assert.equal([["age" IS NULL]], sql.where(User:filter(User.age:eq(nil))))
    assert.equal([["age" IS NULL]], sql.where(User:filter(User.age:is_null())))
    assert.equal([["age" IS NULL]], sql.where(User:filter { age__isnull = true }))
    assert.equal([["age" IS NOT NULL]], sql.where(User:filter { age__ne = core.null }))
    assert.equal([["age" IS NOT NULL]], sql.where(User:filter { age__isnull = false }))
    assert.equal([["age" IS NOT NULL]], sql.where(User:exclude { age = core.null }))
  end)

  it("finds nothing less or greater than NULL, and everything in the denial", function()
    assert.equal("1 = 0", sql.where(User:filter { age__gt = core.null }))
    assert.equal("", sql.where(User:exclude { age__gt = core.null }))
  end)

  it("calls two columns that are NULL unequal", function()
    assert.equal([[("age" = "id") IS NOT TRUE]], sql.where(User:exclude { age = tree.F.id }))
  end)
end)

describe("a filter on a column that is never NULL", function()
  it("is denied by the opposite operator, which an index can serve", function()
    assert.equal([["name" <> ?1]], sql.where(User:exclude { name = "x" }))
    assert.equal([["id" <= ?1]], sql.where(User:exclude { id__gt = 3 }))
    assert.equal([["id" < ?1]], sql.where(User:exclude { id__gte = 3 }))
    assert.equal([["id" >= ?1]], sql.where(User:exclude { id__lt = 3 }))
    assert.equal([["id" > ?1]], sql.where(User:exclude { id__lte = 3 }))
    assert.equal([["id" NOT IN (?1)]], sql.where(User:exclude { id__in = { 3 } }))
  end)
end)

describe("in", function()
  it("finds no row in an empty list, and says so without a statement", function()
    local compile = require "moonpool.sql.compile"
    local sqlite = require("moonpool.dialect").get "sqlite"
    assert.is_true(compile.select(User:filter { age__in = {} }, sqlite).empty)
    assert.is_true(compile.count(User:filter { age__in = {} }, sqlite).empty)
    assert.is_true(compile.select(User:none(), sqlite).empty)
    assert.is_false(compile.select(User:filter { age__not_in = {} }, sqlite).empty)
    assert.equal("", sql.where(User:exclude { age__in = {} }))
  end)

  it("knows NULL in a list", function()
    assert.equal([["age" IN (?1) OR "age" IS NULL]], sql.where(User:filter { age__in = { 1, core.null } }))
    assert.equal([["age" IS NULL]], sql.where(User:filter { age__in = { core.null } }))
    assert.equal([[("age" IN (?1)) IS NOT TRUE AND "age" IS NOT NULL]],
      sql.where(User:exclude { age__in = { 1, core.null } }))
  end)

  it("fills a long list up with its last value, so that few texts serve all lengths", function()
    local list = {}
    for i = 1, 20 do list[i] = i end
    local _, places = sql.where(User:filter { id__in = list }):gsub("%?", "")
    assert.equal(32, places)
    list[21] = 21
    assert.equal(sql.where(User:filter { id__in = list }), sql.where(User:filter { id__in = { table.unpack(list, 1, 18) } }))
    local longest = User:filter { id__in = list }
    assert.equal(21, longest.slots[21])
    assert.equal(21, longest.slots[32])
  end)

  it("takes a query set of one column", function()
    sql.assert(Author:filter { id__in = Book:filter { pages__gt = 100 }:values("author_id"), name = "Ada" }, {
      postgres = [[SELECT "author"."id", "author"."name", "author"."email", "author"."balance", "author"."born", "author"."active" FROM "author" ]]
        .. [[WHERE "author"."id" IN (SELECT "book"."author_id" FROM "book" WHERE "book"."pages" > $1) AND "author"."name" = $2]],
      params = { 100, "Ada" },
    })
  end)

  it("takes a query set of objects as their keys, cut as it is", function()
    sql.assert(Book:filter { author__in = Author:order_by("name"):limit(5) }, {
      sqlite = [[SELECT "book"."id", "book"."title", "book"."author_id", "book"."editor_id", "book"."pages" FROM "book" ]]
        .. [[WHERE "book"."author_id" IN (SELECT "author"."id" FROM "author" ORDER BY "author"."name" LIMIT ?1)]],
      mariadb = [[SELECT `book`.`id`, `book`.`title`, `book`.`author_id`, `book`.`editor_id`, `book`.`pages` FROM `book` ]]
        .. [[WHERE `book`.`author_id` IN (SELECT * FROM (SELECT `author`.`id` AS `c1` FROM `author` ORDER BY `author`.`name` LIMIT ?) AS `found`)]],
      params = { 5 },
    })
  end)

  it("denies a query set without losing rows to its NULLs", function()
    assert.equal([[("author"."id" IN (SELECT "book"."editor_id" FROM "book")) IS NOT TRUE]],
      sql.where(Author:exclude { id__in = Book:values("editor_id") }))
  end)

  it("refuses what is no array, and a query set of two columns", function()
    assert.matches('age__in takes an array, not "1"', sql.error("bad_argument", function() User:filter { age__in = "1" } end))
    assert.matches("has the key \"a\"", sql.error("bad_argument", function() User:filter { age__in = { a = 1 } } end))
    sql.error("bad_argument", function() User:filter { age__in = { 1, nil, 3 } } end)
    assert.matches("one column, this one has 2", sql.error("bad_argument", function()
      User:filter { id__in = Book:values("id", "pages") }
    end))
  end)
end)

describe("a text lookup", function()
  it("takes wildcards in the user's text literally", function()
    sql.assert(User:filter { name__contains = "50%_!*" }, {
      postgres = [[SELECT "id", "name", "age" FROM "user" WHERE "name" LIKE $1 ESCAPE '!']],
      mariadb = [[SELECT `id`, `name`, `age` FROM `user` WHERE `name` LIKE ? ESCAPE '!']],
      sqlite = [[SELECT "id", "name", "age" FROM "user" WHERE instr("name", ?1) > 0]],
      params = { postgres = { "%50!%!_!!*%" }, mariadb = { "%50!%!_!!*%" }, sqlite = { "50%_!*" } },
    })
    sql.assert(User:filter { name__startswith = "[a]*?%" }, {
      postgres = [[SELECT "id", "name", "age" FROM "user" WHERE "name" LIKE $1 ESCAPE '!']],
      sqlite = [[SELECT "id", "name", "age" FROM "user" WHERE "name" GLOB ?1]],
      params = { postgres = { "[a]*?!%%" }, mariadb = { "[a]*?!%%" }, sqlite = { "[[]a][*][?]%*" } },
    })
    sql.assert(User:filter { name__endswith = "%" }, {
      mariadb = [[SELECT `id`, `name`, `age` FROM `user` WHERE `name` LIKE ? ESCAPE '!']],
      params = { postgres = { "%!%" }, mariadb = { "%!%" }, sqlite = { "*%" } },
    })
  end)

  it("folds case by Unicode with i", function()
    sql.assert(User:filter { name__iexact = "Ada" }, {
      postgres = [[SELECT "id", "name", "age" FROM "user" WHERE lower("name" COLLATE "und-x-icu") = lower($1 COLLATE "und-x-icu")]],
      mariadb = [[SELECT `id`, `name`, `age` FROM `user` WHERE lower(`name`) = lower(?)]],
      sqlite = [[SELECT "id", "name", "age" FROM "user" WHERE mp_fold("name") = mp_fold(?1)]],
      params = { "Ada" },
    })
    assert.equal([[instr(mp_fold("name"), mp_fold(?1)) > 0]], sql.where(User:filter { name__icontains = "A" }))
    assert.equal([[mp_fold("name") GLOB mp_fold(?1)]], sql.where(User:filter { name__istartswith = "A" }))
    assert.equal([[mp_fold("name") GLOB mp_fold(?1)]], sql.where(User:filter { name__iendswith = "A" }))
  end)

  it("is the server's own regular expression", function()
    sql.assert(User:filter { name__iregex = "^a" }, {
      postgres = [[SELECT "id", "name", "age" FROM "user" WHERE "name" COLLATE "und-x-icu" ~* $1]],
      mariadb = [[SELECT `id`, `name`, `age` FROM `user` WHERE `name` REGEXP ?]],
      sqlite = [[SELECT "id", "name", "age" FROM "user" WHERE mp_regexp(?1, "name", 'i')]],
      params = { postgres = { "^a" }, mariadb = { "(?i)^a" }, sqlite = { "^a" } },
    })
  end)

  it("reads a user's own pattern with like: % and _ are wild, a backslash takes the next literally", function()
    sql.assert(User:filter(User.name:like [[a_\%!*%]]), {
      postgres = [[SELECT "id", "name", "age" FROM "user" WHERE "name" LIKE $1 ESCAPE '!']],
      sqlite = [[SELECT "id", "name", "age" FROM "user" WHERE "name" GLOB ?1]],
      params = { postgres = { "a_!%!!*%" }, mariadb = { "a_!%!!*%" }, sqlite = { "a?%![*]*" } },
    })
  end)
end)

describe("a decimal", function()
  it("is compared by value on SQLite, where it is text", function()
    sql.assert(Author:filter { balance__gte = "1.5" }:order_by("-balance"):values("id"), {
      postgres = [[SELECT "id" FROM "author" WHERE "balance" >= $1 ORDER BY "balance" DESC]],
      mariadb = [[SELECT `id` FROM `author` WHERE `balance` >= ? ORDER BY `balance` DESC]],
      sqlite = [[SELECT "id" FROM "author" WHERE "balance" COLLATE mp_decimal >= ?1 ORDER BY "balance" COLLATE mp_decimal DESC]],
      params = { "1.5" },
    })
    assert.equal([["balance" COLLATE mp_decimal <> ?1]], sql.where(Author:exclude { balance = 2 }))
    assert.equal([["balance" COLLATE mp_decimal IN (?1, ?2)]], sql.where(Author:filter { balance__in = { 1, "2.0" } }))
    assert.equal([[CAST("id" AS TEXT) COLLATE mp_decimal > "balance"]],
      sql.where(Author:filter { id__gt = tree.F.balance }))
  end)
end)

describe("a path to one row", function()
  it("joins, outer where the relation may be NULL", function()
    sql.assert(Book:filter { author__name = "Ada", editor__name = core.null }:values("title"), {
      postgres = [[SELECT "book"."title" FROM "book" JOIN "author" ON "author"."id" = "book"."author_id" ]]
        .. [[LEFT JOIN "author" AS "editor" ON "editor"."id" = "book"."editor_id" WHERE "author"."name" = $1 AND "editor"."name" IS NULL]],
      mariadb = [[SELECT `book`.`title` FROM `book` JOIN `author` ON `author`.`id` = `book`.`author_id` ]]
        .. [[LEFT JOIN `author` AS `editor` ON `editor`.`id` = `book`.`editor_id` WHERE `author`.`name` = ? AND `editor`.`name` IS NULL]],
      sqlite = [[SELECT "book"."title" FROM "book" JOIN "author" ON "author"."id" = "book"."author_id" ]]
        .. [[LEFT JOIN "author" AS "editor" ON "editor"."id" = "book"."editor_id" WHERE "author"."name" = ?1 AND "editor"."name" IS NULL]],
      params = { "Ada" },
    })
  end)

  it("keeps rows without the related row in a negation", function()
    assert.equal([["editor"."name" IS NOT ?1]], sql.where(Book:exclude { editor__name = "Ada" }))
    assert.equal([["author"."name" <> ?1]], sql.where(Book:exclude { author__name = "Ada" }))
  end)

  it("does not join for a key that is in the row already", function()
    assert.equal([["author_id" = ?1]], sql.where(Book:filter { author = 1 }))
    assert.equal([["author_id" = ?1]], sql.where(Book:filter { author_id = 1 }))
    assert.equal([["author_id" = ?1]], sql.where(Book:filter { author__id = 1 }))
    assert.equal([["author_id" = ?1]], sql.where(Book:filter { author__pk = 1 }))
    assert.equal([["author_id" > ?1]], sql.where(Book:filter { author__id__gt = 1 }))
    assert.equal([["editor_id" IS NULL]], sql.where(Book:filter { editor__isnull = true }))
    assert.equal([["id" IN (?1)]], sql.where(Book:filter { pk__in = { 1 } }))
  end)

  it("joins the same relation once, and every row behind it under its own name", function()
    assert.equal([["book__author"."name" = ?1 AND "book"."title" = ?2]],
      sql.where(Chapter:filter { book__author__name = "a" }:filter { book__title = "b" }))
  end)
end)

describe("a path to many rows", function()
  it("means: has one that; the keys of one table speak of the same row", function()
    sql.assert(Author:filter { books__title = "x", books__pages__gt = 5, name = "Ada" }:values("id"), {
      postgres = [[SELECT "author"."id" FROM "author" WHERE "author"."name" = $1 AND EXISTS (SELECT 1 FROM "book" ]]
        .. [[WHERE "book"."author_id" = "author"."id" AND ("book"."title" = $2 AND "book"."pages" > $3))]],
      params = { "Ada", "x", 5 },
    })
  end)

  it("speaks of any two rows in two filters", function()
    local where = sql.where(Author:filter { books__title = "x" }:filter { books__pages = 5 })
    local _, times = where:gsub("EXISTS", "")
    assert.equal(2, times)
  end)

  it("is denied as a whole: has none that", function()
    assert.equal([[NOT EXISTS (SELECT 1 FROM "book" WHERE "book"."author_id" = "author"."id" AND "book"."title" = ?1)]],
      sql.where(Author:exclude { books__title = "x" }))
  end)

  it("goes on through further relations", function()
    assert.equal([[EXISTS (SELECT 1 FROM "book" WHERE "book"."author_id" = "author"."id" AND ]]
      .. [[EXISTS (SELECT 1 FROM "chapter" WHERE "chapter"."book_id" = "book"."id" AND "chapter"."heading" = ?1))]],
      sql.where(Author:filter { books__chapters__heading = "x" }))
    assert.equal([[EXISTS (SELECT 1 FROM "book" LEFT JOIN "author" AS "editor" ON "editor"."id" = "book"."editor_id" ]]
      .. [[WHERE "book"."author_id" = "author"."id" AND "editor"."name" = ?1)]],
      sql.where(Author:filter { books__editor__name = "x" }))
  end)

  it("alone means the row itself", function()
    assert.equal([[EXISTS (SELECT 1 FROM "book" WHERE "book"."author_id" = "author"."id" AND "book"."id" = ?1)]],
      sql.where(Author:filter { books = 3 }))
  end)
end)

describe("conditions", function()
  it("join with & | ~ and with mp.all, mp.any, mp.no", function()
    local wanted = [[("age" >= ?1 AND "name" GLOB ?2) OR "age" IS NOT NULL]]
    assert.equal(wanted, sql.where(User:filter(
      tree.any(tree.all(User.age:ge(18), User.name:startswith "A"), tree.no(User.age:is_null())))))
    if not jit then
      local both = load [[local User = ...; return (User.age:ge(18) & User.name:startswith "A") | ~User.age:is_null()]]
      assert.equal(wanted, sql.where(User:filter(both(User))))
    end
  end)

  it("are all meant when filter takes several", function()
    assert.equal([["age" = ?1 AND "name" = ?2]], sql.where(User:filter({ age = 1 }, User.name:eq "x")))
  end)

  it("give the same text in whatever order the keys were written", function()
    local a, b = {}, {}
    a.name, a.age, a.id = "x", 1, 2
    b.id, b.age, b.name = 2, 1, "x"
    assert.equal([["id" = ?1 AND "name" = ?2 AND "age" = ?3]], sql.where(User:filter(a)))
    assert.equal(User:filter(a).shape, User:filter(b).shape)
    assert.same({ 2, "x", 1 }, User:filter(b).slots)
  end)

  it("leave the query set that they narrow as it was", function()
    local adults = User:filter { age__gte = 18 }
    local before = sql.where(adults)
    adults:filter { name = "x" }
    adults:order_by("name")
    assert.equal(before, sql.where(adults))
    assert.same({ 18 }, adults.slots)
  end)

  it("hold no value of the query that had their shape first", function()
    User:filter(User.name:eq "the first")
    local second = User:filter(User.name:eq "the second")
    assert.same({ "the second" }, second.slots)
  end)

  it("refuse a boolean and say what to write", function()
    local message = sql.error("bad_argument", function() User:filter(User.age == 3) end)
    assert.matches("not a boolean", message, nil, true)
    assert.matches("column:eq(value)", message, nil, true)
    if not jit then
      assert.matches("column:gt", sql.error("bad_argument", function() return User.age > 3 end), nil, true)
    end
  end)
end)
