-- Pages by place: conditions on where a row stands in the order.

local f = require("moonpool.field").types
local keyset = require "moonpool.sql.keyset"
local sql = require "spec.support.sql"

local Author = sql.entity("Author", {
  name = f.string { max = 100 },
  age = f.integer { null = true },
})

-- The rows behind the place of these values.
local function behind(q, ...)
  return keyset.behind(keyset.ordered(q), { ... }):limit(20)
end

describe("the rows behind a place", function()
  it("are greater in the first column that differs, the key being the last", function()
    sql.assert(behind(Author:order_by("-name"):only("id"), "x", 7), {
      postgres = [[SELECT "id", "name", "id" FROM "author" WHERE ("name" < $1 OR ("name" = $1 AND "id" < $2)) AND "name" <= $1 ]]
        .. [[ORDER BY "name" DESC, "id" DESC LIMIT $3]],
      mariadb = [[SELECT `id`, `name`, `id` FROM `author` WHERE (`name` < ? OR (`name` = ? AND `id` < ?)) AND `name` <= ? ]]
        .. [[ORDER BY `name` DESC, `id` DESC LIMIT ?]],
      sqlite = [[SELECT "id", "name", "id" FROM "author" WHERE ("name" < ?1 OR ("name" = ?2 AND "id" < ?3)) AND "name" <= ?4 ]]
        .. [[ORDER BY "name" DESC, "id" DESC LIMIT ?5]],
      params = { postgres = { "x", 7, 20 }, mariadb = { "x", "x", 7, "x", 20 }, sqlite = { "x", "x", 7, "x", 20 } },
    })
  end)

  it("have NULL where the order has it", function()
    sql.assert(behind(Author:order_by("age"):only("id"), nil, 7), {
      postgres = [[SELECT "id", "age", "id" FROM "author" WHERE "age" IS NOT NULL OR ("age" IS NULL AND "id" > $1) ]]
        .. [[ORDER BY "age" NULLS FIRST, "id" LIMIT $2]],
    })
    sql.assert(behind(Author:order_by("-age"):only("id"), nil, 7), {
      sqlite = [[SELECT "id", "age", "id" FROM "author" WHERE "age" IS NULL AND "id" < ?1 ORDER BY "age" DESC, "id" DESC LIMIT ?2]],
    })
    sql.assert(behind(Author:order_by("-age"):only("id"), 3, 7), {
      sqlite = [[SELECT "id", "age", "id" FROM "author" WHERE "age" < ?1 OR "age" IS NULL OR ("age" = ?2 AND "id" < ?3) ]]
        .. [[ORDER BY "age" DESC, "id" DESC LIMIT ?4]],
    })
  end)

  it("are those on the other side for an order that is reversed", function()
    sql.assert(behind(Author:order_by("pk"):only("id"):reverse(), 7), {
      sqlite = [[SELECT "id", "id" FROM "author" WHERE "id" < ?1 ORDER BY "id" DESC LIMIT ?2]],
      params = { 7, 20 },
    })
  end)

  it("are compiled once for the columns that are NULL", function()
    local ordered = keyset.ordered(Author:order_by("age"))
    assert.equal(keyset.behind(ordered, { 1, 2 }).shape, keyset.behind(ordered, { 3, 4 }).shape)
    assert.not_equal(keyset.behind(ordered, { 1, 2 }).shape, keyset.behind(ordered, { nil, 4 }).shape)
    sql.error("bad_argument", function() return keyset.behind(ordered, { "x", 4 }) end)
    sql.error("bad_argument", function() return keyset.ordered(Author:values("age")) end)
  end)
end)
