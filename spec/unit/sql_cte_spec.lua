-- Table expressions: WITH, recursive too.

local core = require "moonpool.core"
local f = require("moonpool.field").types
local sql = require "spec.support.sql"
local tree = require "moonpool.tree"

local F, fn = tree.F, tree.fn

local Category = sql.entity("Category", {
  name = f.string { max = 40 },
  parent = f.belongs_to("Category", { null = true, inverse = "children" }),
})

local Item = sql.entity("Item", { price = f.integer(), category = f.belongs_to("Category", { inverse = "items" }) })

describe("with_cte", function()
  it("defines rows once, which other query sets of the statement refer to by name", function()
    local form = Item:values("category"):annotate { n = fn.count() }
    local busy = form:with_cte "busy"
    sql.assert(Category:filter { id__in = busy:filter { n__gt = 3 }:values("category") }:with_cte("busy", form):values("name"), {
      postgres = [[WITH "busy" AS (SELECT "item"."category_id" AS "category", count(*) AS "n" FROM "item" GROUP BY "item"."category_id") ]]
        .. [[SELECT "category"."name" FROM "category" WHERE "category"."id" IN (SELECT "item"."category" FROM "busy" AS "item" WHERE "item"."n" > $1::bigint)]],
      mariadb = [[WITH `busy` AS (SELECT `item`.`category_id` AS `category`, count(*) AS `n` FROM `item` GROUP BY `item`.`category_id`) ]]
        .. [[SELECT `category`.`name` FROM `category` WHERE `category`.`id` IN (SELECT `item`.`category` FROM `busy` AS `item` WHERE `item`.`n` > ?)]],
      sqlite = [[WITH "busy" AS (SELECT "item"."category_id" AS "category", count(*) AS "n" FROM "item" GROUP BY "item"."category_id") ]]
        .. [[SELECT "category"."name" FROM "category" WHERE "category"."id" IN (SELECT "item"."category" FROM "busy" AS "item" WHERE "item"."n" > ?1)]],
      params = { 3 },
    })
  end)

  it("is recursive where the definition asks for its own rows, which it joins", function()
    local below = Category:with_cte "below"
    local q = below:with_cte("below", Category:filter { id = 5 }:union(Category:filter { parent__in = below }))
    sql.assert(q:order_by("name"):only("name"), {
      postgres = [[WITH RECURSIVE "below" AS (SELECT "category"."id", "category"."name", "category"."parent_id" FROM "category" WHERE "category"."id" = $1 ]]
        .. [[UNION SELECT "category"."id", "category"."name", "category"."parent_id" FROM "category" JOIN "below" AS "parent" ON "parent"."id" = "category"."parent_id") ]]
        .. [[SELECT "category"."id", "category"."name" FROM "below" AS "category" ORDER BY "category"."name"]],
      mariadb = [[WITH RECURSIVE `below` AS (SELECT `category`.`id`, `category`.`name`, `category`.`parent_id` FROM `category` WHERE `category`.`id` = ? ]]
        .. [[UNION SELECT `category`.`id`, `category`.`name`, `category`.`parent_id` FROM `category` JOIN `below` AS `parent` ON `parent`.`id` = `category`.`parent_id`) ]]
        .. [[SELECT `category`.`id`, `category`.`name` FROM `below` AS `category` ORDER BY `category`.`name`]],
      sqlite = [[WITH RECURSIVE "below" AS (SELECT "category"."id", "category"."name", "category"."parent_id" FROM "category" WHERE "category"."id" = ?1 ]]
        .. [[UNION SELECT "category"."id", "category"."name", "category"."parent_id" FROM "category" JOIN "below" AS "parent" ON "parent"."id" = "category"."parent_id") ]]
        .. [[SELECT "category"."id", "category"."name" FROM "below" AS "category" ORDER BY "category"."name"]],
      params = { 5 },
    })
  end)

  it("goes the other way over the inverse", function()
    local above = Category:with_cte "above"
    sql.assert(above:with_cte("above", Category:filter { id = 9 }:union(Category:filter { children__in = above })):values("id"), {
      sqlite = [[WITH RECURSIVE "above" AS (SELECT "category"."id", "category"."name", "category"."parent_id" FROM "category" WHERE "category"."id" = ?1 ]]
        .. [[UNION SELECT "category"."id", "category"."name", "category"."parent_id" FROM "category" JOIN "above" AS "children" ON "children"."parent_id" = "category"."id") ]]
        .. [[SELECT "category"."id" FROM "above" AS "category"]],
    })
  end)

  it("calculates from row to row with the columns of the rows so far", function()
    local roots = Category:filter { parent = core.null }:annotate { depth = tree.value(0) }
    local all = roots:with_cte "all_of_them"
    local step = Category:filter { parent__in = all }:annotate { depth = F.parent__depth + 1 }:filter { depth__lt = 9 }
    sql.assert(all:with_cte("all_of_them", roots:union(step, { all = true })):filter { depth__gt = 2 }, {
      postgres = [[WITH RECURSIVE "all_of_them" AS (SELECT "category"."id", "category"."name", "category"."parent_id", $1::bigint AS "depth" FROM "category" ]]
        .. [[WHERE "category"."parent_id" IS NULL UNION ALL SELECT "category"."id", "category"."name", "category"."parent_id", "parent"."depth" + $2::bigint AS "depth" ]]
        .. [[FROM "category" JOIN "all_of_them" AS "parent" ON "parent"."id" = "category"."parent_id" WHERE ("parent"."depth" + $2::bigint) < $3) ]]
        .. [[SELECT count(*) FROM "all_of_them" AS "category" WHERE "category"."depth" > $4::bigint]],
      params = { postgres = { 0, 1, 9, 2 }, mariadb = { 0, 1, 1, 9, 2 }, sqlite = { 0, 1, 1, 9, 2 } },
    }, "count")
  end)

  it("stands in a part of a union, enclosed as each server takes it", function()
    local named = Category:with_cte "named"
    named = named:with_cte("named", Category:filter { name = "x" })
    sql.assert(named:union(Category:filter { id = 1 }):values("name"), {
      postgres = [[SELECT "name" FROM ((WITH "named" AS (SELECT "id", "name", "parent_id" FROM "category" WHERE "name" = $1) ]]
        .. [[SELECT "id", "name", "parent_id" FROM "named" AS "category") UNION SELECT "id", "name", "parent_id" FROM "category" WHERE "id" = $2) AS "category"]],
      mariadb = [[SELECT `name` FROM (SELECT * FROM (WITH `named` AS (SELECT `id`, `name`, `parent_id` FROM `category` WHERE `name` = ?) ]]
        .. [[SELECT `id`, `name`, `parent_id` FROM `named` AS `category`) AS `member` UNION SELECT `id`, `name`, `parent_id` FROM `category` WHERE `id` = ?) AS `category`]],
      sqlite = [[SELECT "name" FROM (SELECT * FROM (WITH "named" AS (SELECT "id", "name", "parent_id" FROM "category" WHERE "name" = ?1) ]]
        .. [[SELECT "id", "name", "parent_id" FROM "named" AS "category") UNION SELECT "id", "name", "parent_id" FROM "category" WHERE "id" = ?2) AS "category"]],
      params = { "x", 1 },
    })
  end)

  it("goes with changes, whose rows are told by their keys", function()
    local below = Category:with_cte "below"
    sql.assert_delete(Item:filter { category__in = below }:with_cte("below", Category:filter { id = 5 }:union(Category:filter { parent__in = below })), {
      postgres = [[DELETE FROM "item" WHERE "item"."id" IN (WITH RECURSIVE "below" AS (SELECT "category"."id", "category"."name", "category"."parent_id" ]]
        .. [[FROM "category" WHERE "category"."id" = $1 UNION SELECT "category"."id", "category"."name", "category"."parent_id" FROM "category" ]]
        .. [[JOIN "below" AS "parent" ON "parent"."id" = "category"."parent_id") SELECT "item_2"."id" FROM "item" AS "item_2" ]]
        .. [[WHERE "item_2"."category_id" IN (SELECT "category"."id" FROM "below" AS "category"))]],
      params = { 5 },
    })
  end)

  it("refuses names that are taken or unknown, and rows of another form", function()
    local function refused(fn_) return sql.error("bad_argument", fn_) end
    assert.matches("no table expression is called \"x\"", refused(function() sql.assert(Category:with_cte "x", {}) end))
    assert.matches("the name of its table", refused(function() return Category:with_cte("category", Category) end))
    assert.matches("defined already", refused(function() return Category:with_cte("x", Item):with_cte("x", Item) end))
    assert.matches("other columns", refused(function() sql.assert(Category:with_cte("x"):with_cte("x", Item:values("price")), {}) end))
    assert.matches("takes a query set, not 5", refused(function() return Category:with_cte("x", 5) end))
    assert.matches("the name", refused(function() return Category:with_cte("a b", Item) end))
    assert.matches("the name", refused(function() return Category:with_cte(7, Item) end))
    local roots = Category:annotate { depth = tree.value(0) }
    assert.matches("depth is known in the definition", refused(function()
      sql.assert(Category:filter { parent__in = roots:with_cte "x" }:annotate { d = F.parent__depth }:with_cte("x", roots), {})
    end))
    local own = Category:with_cte "own"
    assert.matches("by one relation", sql.error("unsupported", function()
      sql.assert(own:with_cte("own", Category:filter { id = 1 }:union(Category:filter { name__in = own:values("name") })), {})
    end))
  end)

  it("is compiled once for its shape", function()
    local function made(id) return Category:with_cte("x"):with_cte("x", Category:filter { id = id }) end
    assert.equal(made(1).shape, made(2).shape)
    assert.same({ 2 }, made(2).slots)
  end)
end)
