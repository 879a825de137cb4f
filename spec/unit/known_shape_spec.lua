-- Query sets of a shape that was built before: their values are checked and converted as those of the first.

local errors = require "moonpool.errors"
local f = require("moonpool.field").types
local sql = require "spec.support.sql"

local Reader = sql.entity("Reader", {
  name = f.string(),
  card = f.bigint(),
})

local function ids(list) return Reader:filter { card__in = list }:order_by("name", "-card", "id"):values("id") end

local function expect_ids(list, params)
  sql.assert(ids(list), {
    postgres = [[SELECT "id" FROM "reader" WHERE "card" IN ($1, $2, $3) ORDER BY "name", "card" DESC, "id"]],
    mariadb = [[SELECT `id` FROM `reader` WHERE `card` IN (?, ?, ?) ORDER BY `name`, `card` DESC, `id`]],
    sqlite = [[SELECT "id" FROM "reader" WHERE "card" IN (?1, ?2, ?3) ORDER BY "name", "card" DESC, "id"]],
    params = params,
  })
end

local function refused(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_true(errors.is(err, "bad_argument"))
  assert.matches(pattern, tostring(err))
end

describe("a list of a length that was asked for before", function()
  it("is converted value by value, in its order", function()
    expect_ids({ 1, 2, 3 }, { 1, 2, 3 })
    expect_ids({ 6, "5", 4 }, { 6, 5, 4 })
    local backwards = {}
    for place = 3, 1, -1 do backwards[place] = place * 10 end
    expect_ids(backwards, { 10, 20, 30 })
  end)

  it("has no holes, no other keys and no tables in it", function()
    expect_ids({ 1, 2, 3 }, { 1, 2, 3 })
    refused("takes an array", ids, { 1, nil, 3 })
    refused("this one has the key", ids, { 1, 2, 3, more = 4 })
    refused("card", ids, { 1, {}, 3 })
    refused("card", ids, { 1, "x", 3 })
  end)
end)

describe("an order that was asked for before", function()
  it("takes names of fields and nothing else in their place", function()
    Reader:order_by("name", "card")
    refused("order_by of Reader takes", Reader.order_by, Reader:order_by("name"), "name", 3)
    refused("order_by of Reader takes", Reader.order_by, Reader:order_by("name"), nil)
    refused("order_by of Reader takes", Reader.order_by, Reader:order_by("name"), "name", nil)
  end)
end)
