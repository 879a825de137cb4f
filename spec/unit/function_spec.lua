-- Functions of mp.fn and calculations with times as the three databases are told them, and what is refused.

local core = require "moonpool.core"
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
  woke = f.time(),
  code = f.binary { null = true },
})

local function written(expression, expected) sql.assert_expression(Author, expression, expected) end

describe("a function", function()
  it("of texts", function()
    written(fn.trim("name"), {
      postgres = [[btrim("name")]],
      mariadb = [[trim(`name`)]],
      sqlite = [[trim("name")]],
    })
    written(fn.ltrim("name"), {
      postgres = [[ltrim("name")]],
      mariadb = [[ltrim(`name`)]],
      sqlite = [[ltrim("name")]],
    })
    written(fn.substr("name", mp.value(2), mp.value(3)), {
      postgres = [[substr("name", $1::integer, $2::integer)]],
      mariadb = [[substr(`name`, ?, ?)]],
      sqlite = [[substr("name", ?1, ?2)]],
      params = { 2, 3 },
    })
    written(fn.substr("name", "age"), {
      postgres = [[substr("name", CASE WHEN "age" < 1 THEN 1 ELSE CAST("age" AS integer) END)]],
      mariadb = [[substr(`name`, greatest(`age`, 1))]],
      sqlite = [[substr("name", max("age", 1))]],
    })
    written(fn.replace("name", mp.value("a"), mp.value("b")), {
      postgres = [[replace("name", $1::text, $2::text)]],
      mariadb = [[replace(`name`, ?, ?)]],
      sqlite = [[replace("name", ?1, ?2)]],
      params = { "a", "b" },
    })
    written(fn.strpos("name", mp.value("a")), {
      postgres = [[strpos("name", $1::text)]],
      mariadb = [[locate(?, `name`)]],
      sqlite = [[instr("name", ?1)]],
      params = { "a" },
    })
  end)

  it("of numbers", function()
    written(fn.sign("balance"), {
      postgres = [[CAST(sign("balance") AS bigint)]],
      mariadb = [[sign(`balance`)]],
      sqlite = [[mp_decimal_cmp("balance", 0)]],
    })
    written(fn.round("balance", 1), {
      postgres = [[round("balance", 1)]],
      mariadb = [[round(`balance`, 1)]],
      sqlite = [[mp_decimal_cast("balance", 1)]],
    })
    written(fn.round("weight", 2), {
      postgres = [[CAST(round(CAST(CAST("weight" AS text) AS numeric), 2) AS double precision)]],
      mariadb = [[if(abs(`weight`) < 1e16, CAST(round(CAST(`weight` AS DECIMAL(65,30)), 2) AS DOUBLE), `weight`)]],
      sqlite = [[CAST(mp_decimal_cast("weight", 2) AS REAL)]],
    })
    written(fn.round("age", 2), {
      postgres = [["age"]],
      mariadb = [[`age`]],
      sqlite = [["age"]],
    })
    written(fn.floor("balance"), {
      postgres = [[floor("balance")]],
      mariadb = [[floor(`balance`)]],
      sqlite = [[CASE WHEN mp_decimal_cmp("balance", mp_decimal_idiv("balance", 1)) < 0 THEN mp_decimal_sub(mp_decimal_idiv("balance", 1), 1) ELSE mp_decimal_idiv("balance", 1) END]],
    })
    written(fn.ceil("weight"), {
      postgres = [[ceil("weight")]],
      mariadb = [[ceiling(`weight`)]],
      sqlite = [[ceil("weight")]],
    })
    written(fn.sqrt("age"), {
      postgres = [[sqrt(CAST("age" AS double precision))]],
      mariadb = [[if(`age` < 0, 9223372036854775807 + length(concat_ws('', 'out of domain', `age`)), sqrt(`age`))]],
      sqlite = [[mp_sqrt(CAST("age" AS REAL))]],
    })
    written(F.age ^ 2, {
      postgres = [[power(CAST("age" AS double precision), CAST($1::bigint AS double precision))]],
      mariadb = [[power(`age`, ?)]],
      sqlite = [[mp_power(CAST("age" AS REAL), CAST(?1 AS REAL))]],
      params = { 2 },
    })
    written(fn.ln("weight"), {
      postgres = [[ln(CAST("weight" AS double precision))]],
      mariadb = [[if(`weight` <= 0, 9223372036854775807 + length(concat_ws('', 'out of domain', `weight`)), ln(`weight`))]],
      sqlite = [[mp_ln(CAST("weight" AS REAL))]],
    })
    written(fn.log(mp.value(2), "weight"), {
      postgres = [[(ln(CAST("weight" AS double precision)) / ln(CAST($1::bigint AS double precision)))]],
      mariadb = [[(if(`weight` <= 0, 9223372036854775807 + length(concat_ws('', 'out of domain', `weight`)), ln(`weight`)) / if(? <= 0, 9223372036854775807 + length(concat_ws('', 'out of domain', ?)), ln(?)))]],
      sqlite = [[mp_div(mp_ln(CAST("weight" AS REAL)), mp_ln(CAST(?1 AS REAL)))]],
      params = { postgres = { 2 }, mariadb = { 2, 2, 2 }, sqlite = { 2 } },
    })
    written(fn.exp("age"), {
      postgres = [[exp(CAST("age" AS double precision))]],
      mariadb = [[exp(`age`)]],
      sqlite = [[mp_exp(CAST("age" AS REAL))]],
    })
    written(fn.random(), {
      postgres = [[random()]],
      mariadb = [[rand()]],
      sqlite = [[((random() >> 11) / 9007199254740992.0 + 0.5)]],
    })
  end)

  it("of several values", function()
    written(fn.greatest("age", "balance"), {
      postgres = [[CASE WHEN NOT ("age" IS NULL) THEN greatest("age", "balance") END]],
      mariadb = [[greatest(`age`, `balance`)]],
      sqlite = [[max(CAST("age" AS TEXT) COLLATE mp_decimal, "balance" COLLATE mp_decimal)]],
    })
    written(fn.least("name", mp.value("x")), {
      postgres = [[least("name", $1::text)]],
      mariadb = [[least(`name`, ?)]],
      sqlite = [[min("name", ?1)]],
      params = { "x" },
    })
    written(fn.coalesce("age", "weight"), {
      postgres = [[coalesce("age", "weight")]],
      mariadb = [[coalesce(`age`, `weight`)]],
      sqlite = [[coalesce(CAST("age" AS REAL), "weight")]],
    })
  end)

  it("of parts of dates and times", function()
    written(fn.year("joined"), {
      postgres = [[CAST(extract(year FROM "joined" AT TIME ZONE 'UTC') AS bigint)]],
      mariadb = [[year(`joined`)]],
      sqlite = [[CAST(substr("joined", 1, 4) AS INTEGER)]],
    })
    written(fn.quarter("born"), {
      postgres = [[CAST(extract(quarter FROM "born") AS bigint)]],
      mariadb = [[quarter(`born`)]],
      sqlite = [[((CAST(substr("born", 6, 2) AS INTEGER) + 2) / 3)]],
    })
    written(fn.week("joined"), {
      postgres = [[CAST(extract(week FROM "joined" AT TIME ZONE 'UTC') AS bigint)]],
      mariadb = [[week(`joined`, 3)]],
      sqlite = [[((CAST(strftime('%j', date("joined", '-3 days', 'weekday 4')) AS INTEGER) - 1) / 7 + 1)]],
    })
    written(fn.week_day("born"), {
      postgres = [[(CAST(extract(dow FROM "born") AS bigint) + 1)]],
      mariadb = [[dayofweek(`born`)]],
      sqlite = [[(CAST(strftime('%w', "born") AS INTEGER) + 1)]],
    })
    written(fn.second("woke"), {
      postgres = [[CAST(floor(extract(second FROM "woke")) AS bigint)]],
      mariadb = [[second(`woke`)]],
      sqlite = [[CAST(substr("woke", 7, 2) AS INTEGER)]],
    })
    written(fn.date("joined"), {
      postgres = [[CAST("joined" AT TIME ZONE 'UTC' AS date)]],
      mariadb = [[date(`joined`)]],
      sqlite = [[substr("joined", 1, 10)]],
    })
    written(fn.date_trunc("year", "joined"), {
      postgres = [[date_trunc('year', "joined", 'UTC')]],
      mariadb = [[CAST(makedate(year(`joined`), 1) AS DATETIME(6))]],
      sqlite = [[(substr("joined", 1, 4) || '-01-01' || ' 00:00:00')]],
    })
    written(fn.date_trunc("quarter", "born"), {
      postgres = [[CAST(date_trunc('quarter', CAST("born" AS timestamp)) AS date)]],
      mariadb = [[CAST(makedate(year(`born`), 1) + INTERVAL (quarter(`born`) - 1) * 3 MONTH AS DATE)]],
      sqlite = [[(substr("born", 1, 4) || printf('-%02d-01', (CAST(substr("born", 6, 2) AS INTEGER) + 2) / 3 * 3 - 2))]],
    })
    written(fn.date_trunc("month", "joined"), {
      postgres = [[date_trunc('month', "joined", 'UTC')]],
      mariadb = [[CAST(date(`joined`) - INTERVAL (dayofmonth(`joined`) - 1) DAY AS DATETIME(6))]],
      sqlite = [[(substr("joined", 1, 7) || '-01' || ' 00:00:00')]],
    })
    written(fn.date_trunc("week", "born"), {
      postgres = [[CAST(date_trunc('week', CAST("born" AS timestamp)) AS date)]],
      mariadb = [[CAST(date(`born`) - INTERVAL weekday(`born`) DAY AS DATE)]],
      sqlite = [[(date("born", '-6 days', 'weekday 1'))]],
    })
    written(fn.date_trunc("hour", "joined"), {
      postgres = [[date_trunc('hour', "joined", 'UTC')]],
      mariadb = [[CAST(date_format(`joined`, '%Y-%m-%d %H:00:00') AS DATETIME(6))]],
      sqlite = [[(substr("joined", 1, 13) || ':00:00')]],
    })
  end)

  it("of the clock", function()
    written(fn.now(), {
      postgres = [[statement_timestamp()]],
      mariadb = [[now(6)]],
      sqlite = [[rtrim(rtrim(strftime('%Y-%m-%d %H:%M:%f', 'now'), '0'), '.')]],
    })
    written(fn.current_date(), {
      postgres = [[CAST(statement_timestamp() AT TIME ZONE 'UTC' AS date)]],
      mariadb = [[utc_date()]],
      sqlite = [[date('now')]],
    })
  end)

  it("that moves a time, or tells what is between two", function()
    written(F.joined + core.interval("P1M"), {
      postgres = [[("joined" AT TIME ZONE 'UTC' + $1::interval) AT TIME ZONE 'UTC']],
      mariadb = [[if(`joined` IS NOT NULL AND (`joined` + INTERVAL ? MONTH + INTERVAL ? DAY + INTERVAL ? MICROSECOND) IS NULL, if(9223372036854775807 + length(concat_ws('', 'out of range', `joined`)) > 0, NULL, NULL), `joined` + INTERVAL ? MONTH + INTERVAL ? DAY + INTERVAL ? MICROSECOND)]],
      sqlite = [[mp_time_move("joined", ?1, 1)]],
      params = { postgres = { "P1M" }, mariadb = { 1, 0, 0, 1, 0, 0 }, sqlite = { "P1M" } },
    })
    written(F.born - 3, {
      postgres = [["born" - CAST($1::bigint AS integer)]],
      mariadb = [[if(`born` IS NOT NULL AND (`born` - INTERVAL ? DAY) IS NULL, if(9223372036854775807 + length(concat_ws('', 'out of range', `born`)) > 0, NULL, NULL), `born` - INTERVAL ? DAY)]],
      sqlite = [[mp_time_move("born", ?1, -1)]],
      params = { postgres = { 3 }, mariadb = { 3, 3 }, sqlite = { 3 } },
    })
    written(F.born + "P2D", {
      postgres = [[CAST("born" + $1::interval AS date)]],
      mariadb = [[if(`born` IS NOT NULL AND (`born` + INTERVAL ? MONTH + INTERVAL ? DAY) IS NULL, if(9223372036854775807 + length(concat_ws('', 'out of range', `born`)) > 0, NULL, NULL), `born` + INTERVAL ? MONTH + INTERVAL ? DAY)]],
      sqlite = [[mp_time_move("born", ?1, 1)]],
      params = { postgres = { "P2D" }, mariadb = { 0, 2, 0, 2 }, sqlite = { "P2D" } },
    })
    written(F.joined - core.datetime("2024-01-01T00:00:00Z"), {
      postgres = [[CAST(extract(epoch FROM "joined" - $1::timestamptz) || ' seconds' AS interval)]],
      mariadb = [[concat('PT', CAST(timestampdiff(MICROSECOND, ?, `joined`) AS DECIMAL(30,6)) / 1000000, 'S')]],
      sqlite = [[mp_time_between(?1, "joined")]],
      params = { "2024-01-01T00:00:00Z" },
    })
    written(F.born - core.date("2024-01-01"), {
      postgres = [[make_interval(days => "born" - $1::date)]],
      mariadb = [[concat('P', datediff(`born`, ?), 'D')]],
      sqlite = [[mp_time_between(?1, "born")]],
      params = { "2024-01-01" },
    })
    written(F.woke - core.time("12:00:00"), {
      postgres = [[CAST(extract(epoch FROM "woke" - $1::time) || ' seconds' AS interval)]],
      mariadb = [[concat('PT', time_to_sec(`woke`) - time_to_sec(?), 'S')]],
      sqlite = [[mp_time_between(?1, "woke")]],
      params = { "12:00:00" },
    })
  end)

  it("of many rows", function()
    written(fn.string_agg("name", ", ", { distinct = true, filter = Author.age:gt(1) }), {
      postgres = [[string_agg(DISTINCT "name", $1::text ORDER BY "name") FILTER (WHERE "age" > $2) AS "x" FROM "author" GROUP BY "id"]],
      mariadb = [[substr(group_concat(DISTINCT CASE WHEN `age` > ? THEN concat(?, `name`) END ORDER BY `name` SEPARATOR ''), char_length(?) + 1) AS `x` FROM `author` GROUP BY `id`]],
      sqlite = [[mp_string_agg_distinct("name", ?1) FILTER (WHERE "age" > ?2) AS "x" FROM "author" GROUP BY "id"]],
      params = { postgres = { ", ", 1 }, mariadb = { 1, ", ", ", " }, sqlite = { ", ", 1 } },
    })
    written(fn.stddev_pop("age"), {
      postgres = [[CAST(stddev_pop("age") AS double precision) AS "x" FROM "author" GROUP BY "id"]],
      mariadb = [[stddev_pop(`age`) AS `x` FROM `author` GROUP BY `id`]],
      sqlite = [[mp_stddev_pop("age") AS "x" FROM "author" GROUP BY "id"]],
    })
    written(fn.var_samp("balance", { filter = mp.Q{ active = true } }), {
      postgres = [[CAST(var_samp("balance") FILTER (WHERE "active" = $1) AS double precision) AS "x" FROM "author" GROUP BY "id"]],
      mariadb = [[var_samp(CASE WHEN `active` = ? THEN `balance` END) AS `x` FROM `author` GROUP BY `id`]],
      sqlite = [[mp_var_samp("balance") FILTER (WHERE "active" = ?1) AS "x" FROM "author" GROUP BY "id"]],
      params = { true },
    })
    written(fn.bool_and("active"), {
      postgres = [[bool_and("active") AS "x" FROM "author" GROUP BY "id"]],
      mariadb = [[min(`active`) AS `x` FROM `author` GROUP BY `id`]],
      sqlite = [[min("active") AS "x" FROM "author" GROUP BY "id"]],
    })
  end)
end)

describe("a function that makes no sense", function()
  local function refused(kind, expression)
    return sql.error(kind, function() return Author:values("id"):annotate { x = type(expression) == "function" and expression() or expression } end)
  end

  it("is unknown", function()
    assert.matches("did you mean lower?", refused("unsupported", fn.lowr("name")), nil, true)
    assert.matches("mp.raw", refused("unsupported", fn.soundex("name")), nil, true)
    assert.matches('"a(b"', refused("unsupported", fn["a(b"]("name")), nil, true)
    refused("unsupported", fn.parts("name"))
    refused("unsupported", fn.len("name"))
  end)

  it("has arguments of another kind or number", function()
    assert.matches("takes 1 argument, not 2", refused("bad_argument", fn.lower("name", "name")))
    assert.matches("takes 2 to 3 arguments, not 1", refused("bad_argument", fn.substr("name")))
    assert.matches("takes 0 arguments, not 1", refused("bad_argument", fn.now("age")))
    assert.matches("integer field Author.age", refused("bad_argument", fn.lower("age")))
    assert.matches("string field Author.name", refused("bad_argument", fn.sqrt("name")))
    assert.matches("a value of kind text", refused("bad_argument", fn.abs(mp.value("x"))))
    refused("bad_argument", fn.year("woke"))
    refused("bad_argument", fn.hour("born"))
    refused("bad_argument", fn.date("born"))
    refused("bad_argument", fn.greatest("active", "active"))
    assert.matches("of one kind", refused("bad_argument", fn.greatest("age", "name")))
    assert.matches("of one kind", refused("bad_argument", fn.coalesce("born", "joined")))
    refused("unknown_field", fn.lower("nmae"))
    refused("bad_argument", fn.lower(F.name:asc()))
  end)

  it("has a constant that is none", function()
    assert.matches("0 to 30, not 31", refused("bad_argument", fn.round("weight", 31)))
    refused("bad_argument", fn.round("weight", -1))
    refused("bad_argument", fn.round("weight", 1.5))
    refused("bad_argument", fn.round("weight", "age"))
    assert.matches("did you mean month?", refused("bad_argument", fn.date_trunc("mnth", "joined")), nil, true)
    assert.matches("a date has no hour", refused("bad_argument", fn.date_trunc("hour", "born")))
    refused("bad_argument", function() return fn.date_trunc("joined") end)
    refused("bad_argument", function() return fn.date_trunc(F.joined, "month") end)
    refused("bad_argument", fn.substr("name", mp.value(0)))
    refused("bad_argument", fn.substr("name", mp.value(1), mp.value(-1)))
    refused("bad_argument", fn.substr("name", mp.value(1.5)))
  end)

  it("is an aggregate of something else", function()
    refused("bad_argument", fn.sum("name"))
    refused("bad_argument", fn.bool_and("age"))
    refused("bad_argument", fn.stddev_pop("born"))
    refused("bad_argument", fn.max("code"))
    refused("bad_argument", fn.string_agg("age", ", "))
    refused("bad_argument", function() return fn.string_agg("name") end)
    refused("bad_argument", function() return fn.string_agg("name", ", ", "x") end)
    refused("bad_argument", function() return fn.sum("age", "age") end)
    refused("bad_argument", function() return fn.sum("age", { distinct = "yes" }) end)
    refused("bad_argument", function() return fn.sum("age", { filter = 5 }) end)
    assert.matches("did you mean distinct", refused("unknown_option", function() return fn.sum("age", { distnct = true }) end))
    refused("bad_argument", function() return fn.sum() end)
  end)

  it("calculates with times that do not go together", function()
    refused("bad_argument", F.joined + 1)
    refused("bad_argument", F.joined - F.born)
    refused("bad_argument", F.born * 2)
    refused("bad_argument", -F.born)
    assert.matches("whole days", refused("bad_argument", F.born + core.interval("PT1H")))
    assert.matches("cannot take \"soon\" as interval", refused("bad_argument", F.joined + "soon"))
    refused("unsupported", F.woke + core.interval("PT1H"))
    refused("unsupported", mp.value(core.interval("P1D")) + core.interval("P1D"))
  end)
end)
