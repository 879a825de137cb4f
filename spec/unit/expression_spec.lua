-- Arithmetic and functions in SQL: the same meaning on three databases, and kinds that are known.

local core = require "moonpool.core"
local f = require("moonpool.field").types
local sql = require "spec.support.sql"
local tree = require "moonpool.tree"

local F, fn = tree.F, tree.fn

local Item = sql.entity("Item", {
  count = f.integer(),
  price = f.decimal { precision = 10, scale = 2 },
  weight = f.float { null = true },
  name = f.string(),
  day = f.date(),
})

-- An expression as it is written on each database.
local function written(expression, expected)
  local texts = {}
  for name, text in pairs(expected) do
    local quote = name == "mariadb" and "`x`" or '"x"'
    local from = name == "mariadb" and "`item`" or '"item"'
    texts[name] = name == "params" and text or "SELECT " .. text .. " AS " .. quote .. " FROM " .. from
  end
  sql.assert(Item:values("id"):annotate { x = expression }:values("x"), texts)
end

local function kind_of(expression)
  local compile = require "moonpool.sql.compile"
  local found = compile.select(Item:values("id"):annotate { x = expression }:values("x"), require("moonpool.dialect").get "sqlite")
  for name, kind in pairs(core.kind) do
    if kind == found.plan.kinds[1] then return name end
  end
end

-- 5.4 has //, which this file may not use: it runs on LuaJIT too.
local function cut(a, b) return getmetatable(F.count).__idiv(a, b) end

describe("arithmetic", function()
  it("of integers overflows with an error", function()
    written(F.count + 1, {
      postgres = [["count" + $1::bigint]], mariadb = [[`count` + ?]], sqlite = [[mp_add("count", ?1)]], params = { 1 },
    })
    written(1 - F.count * 2, {
      postgres = [[$1 - ("count" * $2::bigint)]], mariadb = [[? - (`count` * ?)]], sqlite = [[mp_sub(?1, mp_mul("count", ?2))]],
      params = { 1, 2 },
    })
    written(-F.count, { postgres = [[-CAST("count" AS bigint)]], mariadb = [[-`count`]], sqlite = [[mp_sub(0, "count")]] })
  end)

  it("never cuts with /, cuts with //", function()
    written(F.count / 2, {
      postgres = [[CAST("count" AS double precision) / $1]], mariadb = [[CAST(`count` AS DOUBLE) / ?]], sqlite = [[mp_div("count", ?1)]],
    })
    written(cut(F.count, 2), { postgres = [["count" / $1::bigint]], mariadb = [[`count` DIV ?]], sqlite = [[mp_idiv("count", ?1)]] })
    written(F.count % 2, { postgres = [["count" % $1::bigint]], mariadb = [[`count` % ?]], sqlite = [[mp_mod("count", ?1)]] })
    written(cut(F.weight, 2), { postgres = [[trunc("weight" / $1::bigint)]], mariadb = [[truncate(`weight` / ?, 0)]], sqlite = [[mp_idiv("weight", ?1)]] })
  end)

  it("fails where the divisor is zero, which MariaDB would take for NULL", function()
    local zero = [[if((`weight` - ?) = 0, 9223372036854775807 + length(concat_ws('', 'division by zero', `weight` - ?)), `weight` - ?)]]
    written(F.count / (F.weight - 1), { mariadb = "CAST(`count` AS DOUBLE) / " .. zero, params = { mariadb = { 1, 1, 1 }, postgres = { 1 }, sqlite = { 1 } } })
    written(cut(F.weight, F.weight - 1), {
      mariadb = "truncate(`weight` / if((`weight` - ?) = 0, 9223372036854775807 + length(concat('division by zero', `weight`, `weight` - ?)),"
        .. " `weight` - ?), 0)", -- a NULL that is divided is NULL
    })
    written(F.price % F.count, {
      mariadb = [[`price` % if(`count` = 0, 9223372036854775807 + length(concat_ws('', 'division by zero', `count`)), `count`)]],
    })
    for _, zero_value in ipairs { 0, 0.0, core.decimal "0.00" } do
      local q = Item:values("id"):annotate { x = F.price / zero_value }:values("x")
      local found = require("moonpool.sql.compile").select(q, require("moonpool.dialect").get "mariadb")
      local ok, err = pcall(found.bind, found, q)
      assert.is_false(ok)
      assert.equal("division_by_zero", err.kind)
    end
  end)

  it("of decimals stays exact", function()
    written(F.price * F.count - "0.10", {
      postgres = [[("price" * "count") - $1]], mariadb = [[(`price` * `count`) - ?]],
      sqlite = [[mp_decimal_sub(mp_decimal_mul("price", "count"), ?1)]], params = { "0.10" },
    })
    written(cut(F.price, 3), { postgres = [[div("price", $1)]], sqlite = [[mp_decimal_idiv("price", ?1)]] })
    written(F.price / 3, { postgres = [["price" / $1]], mariadb = [[`price` / ?]], sqlite = [[mp_decimal_div("price", ?1)]] })
  end)

  it("of integers has 64 bits on every database", function()
    written(F.count * F.count, { postgres = [[CAST("count" AS bigint) * "count"]], sqlite = [[mp_mul("count", "count")]] })
    written(F.count + F.id, { postgres = [["count" + "id"]], sqlite = [[mp_add("count", "id")]] })
  end)

  it("has the kind that its operands make", function()
    assert.equal("int", kind_of(F.count + 1))
    assert.equal("float", kind_of(F.count + 1.5))
    assert.equal("float", kind_of(F.count / 1))
    assert.equal("int", kind_of(cut(F.count, 2)))
    assert.equal("decimal", kind_of(F.count * F.price))
    assert.equal("decimal", kind_of(F.price / 2))
    assert.equal("decimal", kind_of(F.price + "1.5"))
    assert.equal("float", kind_of(F.price * F.weight))
    assert.equal("text", kind_of(F.name .. "x"))
  end)

  it("reads decimals as reals beside a float", function()
    written(F.price * F.weight, { postgres = [["price" * "weight"]], sqlite = [[CAST("price" AS REAL) * "weight"]] })
  end)

  it("joins texts", function()
    written(F.name .. "!", { postgres = [["name" || $1]], mariadb = [[concat(`name`, ?)]], sqlite = [["name" || ?1]], params = { "!" } })
  end)

  it("refuses texts, booleans and times that do not go together", function()
    local function refused(kind, expression)
      return sql.error(kind, function() Item:annotate { x = expression } end)
    end
    assert.matches("string field Item.name", refused("bad_argument", F.name + 1))
    assert.matches("cannot take \"x\" as int", refused("bad_argument", F.count + "x"))
    refused("bad_argument", F.count .. "x")
    assert.matches("date field Item.day", refused("bad_argument", F.day * 2))
    refused("bad_argument", F.day - F.name)
    sql.error("bad_argument", function() return F.count + true end)
  end)
end)

describe("an expression in a filter", function()
  it("stands on either side", function()
    assert.equal([["count" > "id"]], sql.where(Item:filter { count__gt = F.id }))
    assert.equal([[(mp_add("count", ?1)) > ?2]], sql.where(Item:filter((F.count + 1):gt(5))))
    assert.same({ 1, 5 }, Item:filter((F.count + 1):gt(5)).slots)
    assert.equal([["count" BETWEEN ?1 AND "id"]], sql.where(Item:filter { count__range = { 1, F.id } }))
    assert.equal([["count" IN (?1, "id")]], sql.where(Item:filter { count__in = { 1, F.id } }))
  end)

  it("of different kinds is refused", function()
    sql.error("bad_argument", function() Item:filter { count = F.name } end)
    assert.equal([["weight" > "count"]], sql.where(Item:filter { weight__gt = F.count }))
  end)

  it("is the text of a match, but no pattern", function()
    assert.equal([[instr("name", "name") > 0]], sql.where(Item:filter { name__contains = F.name }))
    sql.error("unsupported", function() Item:filter(F.name:like(F.name)) end)
  end)

  it("is denied with its NULLs", function()
    assert.equal([[((mp_mod("weight", ?1)) > ?2) IS NOT TRUE]], sql.where(Item:exclude((F.weight % 2):gt(1))))
  end)
end)

describe("a value", function()
  it("says its type where nothing beside it does", function()
    written(tree.value(3), { postgres = [[$1::bigint]], mariadb = "?", sqlite = "?1", params = { 3 } })
    written(tree.value(1.5) + 1, { postgres = [[$1::double precision + $2::bigint]], sqlite = "?1 + ?2" })
    written(fn.coalesce("weight", 0), { postgres = [[coalesce("weight", $1::double precision)]] })
    sql.assert(Item:filter(tree.value(3):is_null()):values("id"), { postgres = [[SELECT "id" FROM "item" WHERE $1::bigint IS NULL]] })
    sql.assert(Item:filter { weight__gt = tree.value(1) }:values("id"), { postgres = [[SELECT "id" FROM "item" WHERE "weight" > $1::bigint]] })
    sql.assert(Item:filter(fn.length("name"):gt(3)):values("id"), {
      postgres = [[SELECT "id" FROM "item" WHERE char_length("name") > $1::bigint]],
    })
  end)

  it("beside another one says its type unless both are of one kind", function()
    local compile, dialect = require "moonpool.sql.compile", require "moonpool.dialect"
    local function where(condition)
      return compile.select(Item:filter(condition), dialect.get "postgres").sql:match " WHERE (.*)$"
    end
    assert.equal("$1::bigint > $2", where(tree.value(3):gt(tree.value(2))))
    assert.equal("$1::bigint > $2::double precision", where(tree.value(3):gt(tree.value(2.5))))
  end)

  it("that is written twice is one parameter where the server tells them apart", function()
    sql.assert(Item:values("id"):annotate { x = F.count % 2 }:filter { x = 1 }, {
      postgres = [[SELECT "id", "count" % $1::bigint AS "x" FROM "item" WHERE ("count" % $1::bigint) = $2]],
      mariadb = "SELECT `id`, `count` % ? AS `x` FROM `item` WHERE (`count` % ?) = ?",
      params = { postgres = { 2, 1 }, mariadb = { 2, 2, 1 }, sqlite = { 2, 2, 1 } },
    })
  end)
end)

describe("a function", function()
  it("folds by Unicode", function()
    written(fn.lower("name"), {
      postgres = [[lower("name" COLLATE "und-x-icu") COLLATE "C"]], mariadb = [[lower(`name`)]], sqlite = [[mp_lower("name")]],
    })
    written(fn.length("name"), { postgres = [[char_length("name")]], mariadb = [[char_length(`name`)]], sqlite = [[length("name")]] })
  end)

  it("takes texts as fields, and mp.value as texts", function()
    written(fn.coalesce("weight", 0), { sqlite = [[coalesce("weight", ?1)]], params = { 0.0 } })
    written(fn.concat("name", tree.value " (", "name", tree.value ")"), {
      postgres = [["name" || $1::text || "name" || $2::text]], mariadb = [[concat(`name`, ?, `name`, ?)]],
      sqlite = [["name" || ?1 || "name" || ?2]], params = { " (", ")" },
    })
  end)

  it("checks how many and what it takes", function()
    sql.error("bad_argument", function() Item:annotate { x = fn.lower() } end)
    sql.error("bad_argument", function() Item:annotate { x = fn.lower("count") } end)
    sql.error("bad_argument", function() Item:annotate { x = fn.coalesce("count", "name") } end)
    assert.matches("did you mean lower", sql.error("unsupported", function() Item:annotate { x = fn.lowr("name") } end))
  end)
end)

describe("a column", function()
  it("behind a relation is found by dots", function()
    sql.entity("Owner", { name = f.string(), like = f.integer() })
    local Pet = sql.entity("Pet", { owner = f.belongs_to "Owner", name = f.string() })
    assert.equal([["owner"."name" = ?1]], sql.where(Pet:filter(Pet.owner.name:eq "x")))
    assert.equal([["owner"."like" = ?1]], sql.where(Pet:filter(Pet.owner.c.like:eq(1))))
    assert.equal([["owner_id" = ?1]], sql.where(Pet:filter(Pet.owner:eq(1))))
    assert.equal([["owner"."name" = "pet"."name"]], sql.where(Pet:filter(Pet.owner.name:eq(Pet.name))))
    assert.equal([["owner"."name" = ?1]], sql.where(Pet:filter(F.owner__name:eq "x")))
  end)

  it("names the nearest method for a wrong one", function()
    assert.matches("did you mean startswith", sql.error("unknown_field", function() return Item.name:startwith "x" end))
  end)
end)
