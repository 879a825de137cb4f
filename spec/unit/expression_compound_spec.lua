-- case, cast, sub-queries, windows and raw SQL as the three databases are told them.

local compile = require "moonpool.sql.compile"
local dialect = require "moonpool.dialect"
local f = require("moonpool.field").types
local mp = require "moonpool.tree"
local sql = require "spec.support.sql"

local F, fn = mp.F, mp.fn

local Author = sql.entity("Author", {
  name = f.string(),
  age = f.integer { null = true },
  balance = f.decimal { precision = 12, scale = 2 },
  active = f.boolean(),
  weight = f.float(),
  born = f.date { null = true },
  joined = f.datetime(),
})

local Book = sql.entity("Book", { title = f.string(), author = f.belongs_to("Author", { inverse = "books" }), pages = f.integer() })

local function written(expression, expected) sql.assert_expression(Author, expression, expected) end
local function asked(condition, expected) sql.assert_condition(Author, condition, expected) end

-- 5.4 has ~, which this file may not use: it runs on LuaJIT too.
local function xor(a, b) return getmetatable(a).__bxor(a, b) end

describe("an expression", function()
  it("of a condition says so where it may be NULL", function()
    written(Author.age:ge(18), {
      postgres = [[("age" >= $1) IS TRUE]],
      mariadb = [[(`age` >= ?) IS TRUE]],
      sqlite = [[("age" >= ?1) IS TRUE]],
      params = { 18 },
    })
    written(Author.balance:ge("1.5"), {
      postgres = [["balance" >= $1]],
      mariadb = [[`balance` >= ?]],
      sqlite = [["balance" COLLATE mp_decimal >= ?1]],
      params = { "1.5" },
    })
    written(mp.Q{ age = 1, active = true }, {
      postgres = [[("age" = $1 AND "active" = $2) IS TRUE]],
      mariadb = [[(`age` = ? AND `active` = ?) IS TRUE]],
      sqlite = [[("age" = ?1 AND "active" = ?2) IS TRUE]],
      params = { 1, true },
    })
  end)

  it("by case has a value for each condition", function()
    written(mp.case{ { Author.age:ge(18), "adult" }, { { active = true }, F.name }, default = "other" }, {
      postgres = [[CASE WHEN "age" >= $1 THEN $2::text WHEN "active" = $3 THEN "name" ELSE $4::text END]],
      mariadb = [[CASE WHEN `age` >= ? THEN ? WHEN `active` = ? THEN `name` ELSE ? END]],
      sqlite = [[CASE WHEN "age" >= ?1 THEN ?2 WHEN "active" = ?3 THEN "name" ELSE ?4 END]],
      params = { 18, "adult", true, "other" },
    })
    written(mp.case{ { Author.age:is_null(), 0 }, default = F.balance }, {
      postgres = [[CASE WHEN "age" IS NULL THEN $1::numeric ELSE "balance" END]],
      mariadb = [[CASE WHEN `age` IS NULL THEN ? ELSE `balance` END]],
      sqlite = [[CASE WHEN "age" IS NULL THEN ?1 ELSE "balance" END]],
      params = { "0" },
    })
    written(fn.sum(mp.case{ { Author.age:ge(18), 1 } }), {
      postgres = [[CAST(sum(CASE WHEN "age" >= $1 THEN $2::bigint END) AS bigint) AS "x" FROM "author" GROUP BY "id"]],
      mariadb = [[sum(CASE WHEN `age` >= ? THEN ? END) AS `x` FROM `author` GROUP BY `id`]],
      sqlite = [[mp_sum(CASE WHEN "age" >= ?1 THEN ?2 END) AS "x" FROM "author" GROUP BY "id"]],
      params = { 18, 1 },
    })
  end)

  it("by cast is the same number or text everywhere", function()
    written(mp.cast("age", "text"), {
      postgres = [[CAST("age" AS text) COLLATE "C"]],
      mariadb = [[CAST(`age` AS CHAR) COLLATE utf8mb4_nopad_bin]],
      sqlite = [[CAST("age" AS TEXT)]],
    })
    written(mp.cast("balance", "integer"), {
      postgres = [[CAST(round("balance") AS bigint)]],
      mariadb = [[(CAST(`balance` AS DECIMAL(65,0)) DIV 1)]],
      sqlite = [[mp_integer(mp_decimal_cast("balance", 0))]],
    })
    written(mp.cast("weight", "integer"), {
      postgres = [[CAST(round(CAST(CAST("weight" AS text) AS numeric)) AS bigint)]],
      mariadb = [[(CAST(`weight` AS DECIMAL(65,0)) DIV 1)]],
      sqlite = [[mp_integer(mp_decimal_cast("weight", 0))]],
    })
    written(mp.cast("name", "integer"), {
      postgres = [[CAST("name" AS bigint)]],
      mariadb = [[if(`name` NOT REGEXP '^ *[-+]?[0-9]{1,60} *$', 9223372036854775807 + length(concat_ws('', 'not a number', `name`)), (CAST(`name` AS DECIMAL(65,0)) DIV 1))]],
      sqlite = [[mp_integer("name")]],
    })
    written(mp.cast("weight", "decimal", { scale = 2 }), {
      postgres = [[CAST(CAST(CAST("weight" AS text) AS numeric) AS numeric(65,2))]],
      mariadb = [[CAST(`weight` AS DECIMAL(65,2))]],
      sqlite = [[mp_decimal_cast("weight", 2)]],
    })
    written(mp.cast("age", "decimal"), {
      postgres = [[CAST("age" AS numeric)]],
      mariadb = [[CAST(`age` AS DECIMAL(65,0))]],
      sqlite = [[CAST("age" AS TEXT)]],
    })
    written(mp.cast("balance", "float"), {
      postgres = [[CAST("balance" AS double precision)]],
      mariadb = [[CAST(`balance` AS DOUBLE)]],
      sqlite = [[CAST("balance" AS REAL)]],
    })
    written(mp.cast("active", "text"), {
      postgres = [[CAST("active" AS text) COLLATE "C"]],
      mariadb = [[CASE `active` WHEN true THEN 'true' WHEN false THEN 'false' END COLLATE utf8mb4_nopad_bin]],
      sqlite = [[CASE "active" WHEN 1 THEN 'true' WHEN 0 THEN 'false' END]],
    })
    written(mp.cast("age", "boolean"), {
      postgres = [[("age" <> 0)]],
      mariadb = [[(`age` <> 0)]],
      sqlite = [[("age" <> 0)]],
    })
    written(mp.cast("joined", "date"), {
      postgres = [[CAST("joined" AT TIME ZONE 'UTC' AS date)]],
      mariadb = [[date(`joined`)]],
      sqlite = [[substr("joined", 1, 10)]],
    })
    written(mp.cast("born", "datetime"), {
      postgres = [[(CAST("born" AS timestamp) AT TIME ZONE 'UTC')]],
      mariadb = [[CAST(`born` AS DATETIME(6))]],
      sqlite = [[("born" || ' 00:00:00')]],
    })
  end)

  it("that asks for a row of another query", function()
    asked(mp.exists(Book:filter{ author_id = mp.outer.id, pages__gt = 3 }), {
      postgres = [[EXISTS (SELECT 1 FROM "book" WHERE "book"."author_id" = "author"."id" AND "book"."pages" > $1)]],
      mariadb = [[EXISTS (SELECT 1 FROM `book` WHERE `book`.`author_id` = `author`.`id` AND `book`.`pages` > ?)]],
      sqlite = [[EXISTS (SELECT 1 FROM "book" WHERE "book"."author_id" = "author"."id" AND "book"."pages" > ?1)]],
      params = { 3 },
    })
    asked(mp.no(mp.exists(Book:filter{ author_id = mp.outer.id }:limit(2))), {
      postgres = [[NOT EXISTS (SELECT 1 FROM "book" WHERE "book"."author_id" = "author"."id" LIMIT $1)]],
      mariadb = [[NOT EXISTS (SELECT 1 FROM `book` WHERE `book`.`author_id` = `author`.`id` LIMIT ?)]],
      sqlite = [[NOT EXISTS (SELECT 1 FROM "book" WHERE "book"."author_id" = "author"."id" LIMIT ?1)]],
      params = { 2 },
    })
    written(mp.exists(Book:filter{ author_id = mp.outer.id }), {
      postgres = [[EXISTS (SELECT 1 FROM "book" WHERE "book"."author_id" = "author"."id")]],
      mariadb = [[EXISTS (SELECT 1 FROM `book` WHERE `book`.`author_id` = `author`.`id`)]],
      sqlite = [[EXISTS (SELECT 1 FROM "book" WHERE "book"."author_id" = "author"."id")]],
    })
  end)

  it("from another query is its first value", function()
    written(mp.subquery(Book:filter{ author_id = mp.outer.id }:order_by("-pages"):values("title")), {
      postgres = [[(SELECT "book"."title" FROM "book" WHERE "book"."author_id" = "author"."id" ORDER BY "book"."pages" DESC LIMIT 1)]],
      mariadb = [[(SELECT `book`.`title` FROM `book` WHERE `book`.`author_id` = `author`.`id` ORDER BY `book`.`pages` DESC LIMIT 1)]],
      sqlite = [[(SELECT "book"."title" FROM "book" WHERE "book"."author_id" = "author"."id" ORDER BY "book"."pages" DESC LIMIT 1)]],
    })
    written(mp.subquery(Book:order_by("-pages"):limit(5):values("title")), {
      postgres = [[(SELECT "book"."title" FROM "book" ORDER BY "book"."pages" DESC LIMIT $1)]],
      mariadb = [[(SELECT `book`.`title` FROM `book` ORDER BY `book`.`pages` DESC LIMIT ?)]],
      sqlite = [[(SELECT "book"."title" FROM "book" ORDER BY "book"."pages" DESC LIMIT ?1)]],
      params = { 1 },
    })
    asked({ age = mp.subquery(Book:filter{ title = mp.outer.name }:values("pages")) }, {
      postgres = [["author"."age" = (SELECT "book"."pages" FROM "book" WHERE "book"."title" = "author"."name" LIMIT 1)]],
      mariadb = [[`author`.`age` = (SELECT `book`.`pages` FROM `book` WHERE `book`.`title` = `author`.`name` LIMIT 1)]],
      sqlite = [["author"."age" = (SELECT "book"."pages" FROM "book" WHERE "book"."title" = "author"."name" LIMIT 1)]],
    })
  end)

  it("over the rows around", function()
    written(mp.over(fn.row_number(), { partition_by = { "active" }, order_by = { "-age" } }), {
      postgres = [[row_number() OVER (PARTITION BY "active" ORDER BY "age" DESC NULLS LAST)]],
      mariadb = [[row_number() OVER (PARTITION BY `active` ORDER BY `age` DESC)]],
      sqlite = [[row_number() OVER (PARTITION BY "active" ORDER BY "age" DESC)]],
    })
    written(mp.over(fn.lag("age", 1, 0), { order_by = "name" }), {
      postgres = [[lag("age", CAST($1 AS integer), $2::bigint) OVER (ORDER BY "name")]],
      mariadb = [[CASE WHEN row_number() OVER (ORDER BY `name`) <= ? THEN ? ELSE lag(`age`, ?) OVER (ORDER BY `name`) END]],
      sqlite = [[lag("age", ?1, ?2) OVER (ORDER BY "name")]],
      params = { postgres = { 1, 0 }, mariadb = { 1, 0, 1 }, sqlite = { 1, 0 } },
    })
    written(mp.over(fn.lead("age", 1, 0), { order_by = "name" }), {
      postgres = [[lead("age", CAST($1 AS integer), $2::bigint) OVER (ORDER BY "name")]],
      mariadb = [[CASE WHEN row_number() OVER (ORDER BY `name`) + ? > count(*) OVER () THEN ? ELSE lead(`age`, ?) OVER (ORDER BY `name`) END]],
      sqlite = [[lead("age", ?1, ?2) OVER (ORDER BY "name")]],
      params = { postgres = { 1, 0 }, mariadb = { 1, 0, 1 }, sqlite = { 1, 0 } },
    })
    written(mp.over(fn.ntile(4), { order_by = "name" }), {
      postgres = [[ntile(CAST($1 AS integer)) OVER (ORDER BY "name")]],
      mariadb = [[ntile(?) OVER (ORDER BY `name`)]],
      sqlite = [[ntile(?1) OVER (ORDER BY "name")]],
      params = { 4 },
    })
    written(mp.over(fn.percent_rank(), { order_by = "name" }), {
      postgres = [[percent_rank() OVER (ORDER BY "name")]],
      mariadb = [[CASE WHEN count(*) OVER () = 1 THEN 0e0 ELSE CAST(rank() OVER (ORDER BY `name`) - 1 AS DOUBLE) / (count(*) OVER () - 1) END]],
      sqlite = [[percent_rank() OVER (ORDER BY "name")]],
    })
    written(mp.over(fn.sum("age", { filter = Author.age:gt(1) }), { order_by = "name", frame = { rows = { -1, 0 } } }), {
      postgres = [[CAST(sum("age") FILTER (WHERE "age" > $1) OVER (ORDER BY "name" ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS bigint)]],
      mariadb = [[sum(CASE WHEN `age` > ? THEN `age` END) OVER (ORDER BY `name` ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)]],
      sqlite = [[mp_sum("age") FILTER (WHERE "age" > ?1) OVER (ORDER BY "name" ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)]],
      params = { 1 },
    })
    written(mp.over(fn.avg("age"), { partition_by = "active", frame = { rows = { "unbounded", 2 } } }), {
      postgres = [[CAST(avg("age") OVER (PARTITION BY "active" ROWS BETWEEN UNBOUNDED PRECEDING AND 2 FOLLOWING) AS double precision)]],
      mariadb = [[avg(CAST(`age` AS DOUBLE)) OVER (PARTITION BY `active` ROWS BETWEEN UNBOUNDED PRECEDING AND 2 FOLLOWING)]],
      sqlite = [[avg("age") OVER (PARTITION BY "active" ROWS BETWEEN UNBOUNDED PRECEDING AND 2 FOLLOWING)]],
    })
    written(mp.over(fn.max("balance"), { order_by = "id", frame = { range = { "unbounded", 0 } } }), {
      postgres = [[max("balance") OVER (ORDER BY "id" RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)]],
      mariadb = [[max(`balance`) OVER (ORDER BY `id` RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)]],
      sqlite = [[max("balance" COLLATE mp_decimal) OVER (ORDER BY "id" RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)]],
    })
  end)

  it("of raw SQL has parameters and columns in it", function()
    asked(mp.raw("age > ?", 3), {
      postgres = [[(age > $1::bigint)]],
      mariadb = [[(age > ?)]],
      sqlite = [[(age > ?1)]],
      params = { 3 },
    })
    asked(mp.no(mp.raw("? = '?'", F.name)), {
      postgres = [[(("name" = '?')) IS NOT TRUE]],
      mariadb = [[((`name` = '?')) IS NOT TRUE]],
      sqlite = [[(("name" = '?')) IS NOT TRUE]],
    })
    written(mp.raw("lower(?)", F.name), {
      postgres = [[lower("name")]],
      mariadb = [[lower(`name`)]],
      sqlite = [[lower("name")]],
    })
    asked(mp.raw("length(?)", F.name):gt(3), {
      postgres = [[(length("name")) > $1::bigint]],
      mariadb = [[(length(`name`)) > ?]],
      sqlite = [[(length("name")) > ?1]],
      params = { 3 },
    })
  end)

  it("joined by ~ holds where one of both does", function()
    asked(xor(mp.Q{ age = 1 }, mp.Q{ name = "x" }), {
      postgres = [[("age" = $1 AND "name" <> $2) OR ("age" IS DISTINCT FROM $3 AND "name" = $4)]],
      mariadb = [[(`age` = ? AND `name` <> ?) OR (NOT (`age` <=> ?) AND `name` = ?)]],
      sqlite = [[("age" = ?1 AND "name" <> ?2) OR ("age" IS NOT ?3 AND "name" = ?4)]],
      params = { 1, "x", 1, "x" },
    })
  end)

  it("on the right of a text lookup has no wildcards", function()
    asked({ name__contains = F.name }, {
      postgres = [[strpos("name", "name") > 0]],
      mariadb = [[locate(`name`, `name`) > 0]],
      sqlite = [[instr("name", "name") > 0]],
    })
    asked({ name__istartswith = F.name }, {
      postgres = [[left(lower("name" COLLATE "und-x-icu"), char_length(lower("name" COLLATE "und-x-icu"))) = lower("name" COLLATE "und-x-icu")]],
      mariadb = [[left(lower(`name`), char_length(lower(`name`))) = lower(`name`)]],
      sqlite = [[(substr(mp_fold("name"), 1, length(mp_fold("name"))) = mp_fold("name"))]],
    })
    asked({ name__endswith = F.name }, {
      postgres = [[right("name", char_length("name")) = "name"]],
      mariadb = [[right(`name`, char_length(`name`)) = `name`]],
      sqlite = [[(length("name") >= length("name") AND substr("name", length("name") - length("name") + 1) = "name")]],
    })
    asked({ name__iregex = F.name }, {
      postgres = [["name" COLLATE "und-x-icu" ~* "name"]],
      mariadb = [[`name` REGEXP concat('(?i)', `name`)]],
      sqlite = [[mp_regexp("name", "name", 'i')]],
    })
  end)
end)

describe("a filter on a window that is annotated", function()
  it("asks the rows as a table", function()
    sql.assert(Author:values("id"):annotate { n = mp.over(fn.row_number(), { order_by = "name" }) }:order_by("-n"):filter { n__lte = 3 }, {
      postgres = [[SELECT "id", "n" FROM (SELECT "id", row_number() OVER (ORDER BY "name") AS "n" FROM "author") AS "author" WHERE "n" <= $1::bigint ORDER BY "n" DESC]],
      mariadb = [[SELECT `id`, `n` FROM (SELECT `id`, row_number() OVER (ORDER BY `name`) AS `n` FROM `author`) AS `author` WHERE `n` <= ? ORDER BY `n` DESC]],
      sqlite = [[SELECT "id", "n" FROM (SELECT "id", row_number() OVER (ORDER BY "name") AS "n" FROM "author") AS "author" WHERE "n" <= ?1 ORDER BY "n" DESC]],
      params = { 3 },
    })
  end)
end)

describe("an expression that makes no sense", function()
  local function refused(kind, expression)
    return sql.error(kind, function() return Author:values("id"):annotate { x = type(expression) == "function" and expression() or expression } end)
  end

  it("by case is refused", function()
    assert.matches("branches", refused("bad_argument", function() return mp.case {} end))
    assert.matches("branch 1", refused("bad_argument", function() return mp.case { "x" } end))
    assert.matches("a table of its own", refused("bad_argument", function() return mp.case { { mp.Q { age = 1 }, 1, vip = true } } end))
    assert.matches("did you mean default", refused("unknown_option", function() return mp.case { { { age = 1 }, 1 }, defualt = 2 } end))
    assert.matches("of one kind", refused("bad_argument", mp.case { { { age = 1 }, F.age }, default = F.name }))
    assert.matches("cannot take \"x\" as integer", refused("bad_argument", mp.case { { { age = 1 }, F.age }, default = "x" }))
    assert.matches("not a boolean", refused("bad_argument", function() return mp.case { { true, 1 } } end))
  end)

  it("by cast is refused", function()
    assert.matches("did you mean integer", refused("bad_argument", mp.cast("age", "integr")))
    assert.matches("the same way", refused("unsupported", mp.cast("weight", "text")))
    assert.matches("the same way", refused("unsupported", mp.cast("name", "date")))
    assert.matches("uuid", refused("unsupported", mp.cast("name", "uuid")))
    assert.matches("scale = 2", refused("bad_argument", mp.cast("weight", "decimal")), nil, true)
    assert.matches("scale is for decimals", refused("bad_argument", mp.cast("weight", "integer", { scale = 2 })))
    assert.matches("0 to 30", refused("bad_argument", function() return mp.cast("weight", "decimal", { scale = 31 }) end))
    assert.matches("scale", refused("unknown_option", function() return mp.cast("weight", "decimal", { scal = 2 }) end))
    refused("bad_argument", function() return mp.cast("weight") end)
  end)

  it("with a query set in it is refused", function()
    refused("bad_argument", function() return mp.exists "book" end)
    refused("bad_argument", function() return mp.subquery(F.age) end)
    assert.matches("one column", refused("bad_argument", mp.subquery(Book:values("title", "pages"))))
    assert.matches("mp.subquery", refused("bad_argument", fn.coalesce("name", Book:values("title"))), nil, true)
    assert.matches("mp.subquery", sql.error("bad_argument", function() Author:filter { name = Book:values("title") } end), nil, true)
    assert.matches("did you mean name", refused("unknown_field", mp.exists(Book:filter { title = mp.outer.nmae })))
    local lost = Book:filter { title = mp.outer.name }
    assert.matches("stands in none", sql.error("bad_argument", function() compile.select(lost, dialect.get "sqlite") end))
    refused("bad_argument", function() return mp.outer(F.age) end)
  end)

  it("over rows is refused", function()
    assert.matches("mp.over(mp.fn.rank", refused("bad_argument", fn.rank()), nil, true)
    assert.matches("needs an order", refused("bad_argument", mp.over(fn.rank())))
    assert.matches("mp.fn.lower", refused("bad_argument", mp.over(fn.lower("name"), { order_by = "id" })), nil, true)
    assert.matches("did you mean order_by", refused("unknown_option", function() return mp.over(fn.rank(), { orderby = "id" }) end))
    assert.matches("begins before", refused("bad_argument", function() return mp.over(fn.rank(), { order_by = "id", frame = { rows = { 1, 0 } } }) end))
    refused("bad_argument", function() return mp.over(fn.rank(), { order_by = "id", frame = { rows = { "1; DROP", 0 } } }) end)
    refused("bad_argument", function() return mp.over(fn.rank(), { order_by = "id", frame = { rows = { 0 } } }) end)
    refused("bad_argument", function() return mp.over(fn.rank(), { order_by = "id", frame = { rowz = { 0, 1 } } }) end)
    refused("unsupported", function() return mp.over(fn.rank(), { order_by = "id", frame = { range = { -1, 0 } } }) end)
    refused("unsupported", function() return mp.over(fn.rank(), { order_by = "id", frame = { groups = { -1, 0 } } }) end)
    refused("unsupported", mp.over(fn.count("id", { distinct = true })))
    refused("bad_argument", mp.over(fn.ntile(0), { order_by = "id" }))
    refused("bad_argument", mp.over(fn.lag("age", mp.value("x")), { order_by = "id" }))
    refused("unknown_field", mp.over(fn.rank(), { order_by = "-nothing" }))
    refused("bad_argument", function() return mp.over(F.age) end)
    assert.matches("annotate it", sql.error("unsupported", function()
      Author:filter(mp.over(fn.row_number(), { order_by = "id" }):eq(1))
    end))
  end)

  it("of raw SQL is refused", function()
    assert.matches("1 values for 2 places", refused("bad_parameters", function() return mp.raw("? + ?", 1) end))
    assert.matches("0 values for 1", refused("bad_parameters", function() return mp.raw("'?' || ?") end))
    assert.matches("not closed", refused("bad_argument", function() return mp.raw("'abc") end))
    refused("bad_argument", function() return mp.raw("") end)
    refused("bad_argument", function() return mp.raw(1) end)
    refused("bad_argument", mp.raw("?", function() end))
  end)
end)
