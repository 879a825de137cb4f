-- Query sets of a shape that was built before: their values are checked and converted as those of the first.

local change = require "moonpool.sql.change"
local core = require "moonpool.core"
local dialect = require "moonpool.dialect"
local errors = require "moonpool.errors"
local f = require("moonpool.field").types
local row = require "moonpool.sql.row"
local sql = require "spec.support.sql"
local tree = require "moonpool.tree"

local F = tree.F

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

-- Programs' input can make forms without end. make(number) makes the form of that number.
local function expect_no_growth(make)
  local function kilobytes()
    collectgarbage()
    collectgarbage()
    return collectgarbage "count"
  end
  for number = 1, 1500 do make(number) end
  local before = kilobytes()
  for number = 1501, 4500 do make(number) end
  local grown = kilobytes() - before
  assert.is_true(grown < 1000, grown .. " KB")
end

describe("a statement for the row of an object", function()
  it("is forgotten when others have come, with other columns", function()
    local fields, names = {}, {}
    for place = 1, 13 do
      names[place] = "column_" .. place
      fields[names[place]] = f.integer()
    end
    local Wide = sql.entity("Wide", fields)
    expect_no_growth(function(number)
      local some = {}
      for _, name in ipairs(names) do
        if number % 2 == 1 then some[#some + 1] = name end
        number = math.floor(number / 2)
      end
      row.update_row(Wide.model, dialect.get "postgres", some)
    end)
  end)
end)

describe("an update of a form that was compiled before", function()
  local asked = {}
  local Stock = sql.entity("Stock", {
    name = f.string { max = 5, validate = function(name)
      asked[#asked + 1] = name
      return name ~= "bad", "is bad"
    end },
    amount = f.integer(),
    price = f.float { null = true },
    prefs = f.json { null = true },
  })
  local Shelf = sql.entity("Shelf", { amount = f.integer() })

  local function expect_counted(values, params)
    sql.assert_update(Stock:filter { id = 7 }, values, {
      postgres = [[UPDATE "stock" SET "name" = $1, "amount" = "amount" + $2::bigint WHERE "id" = $3]],
      mariadb = [[UPDATE `stock` SET `name` = ?, `amount` = `amount` + ? WHERE `id` = ?]],
      sqlite = [[UPDATE "stock" SET "name" = ?1, "amount" = mp_fit(mp_add("amount", ?2), 32) WHERE "id" = ?3]],
      params = params,
    })
  end

  it("takes other values, in whatever order their names come", function()
    expect_counted({ name = "a", amount = F.amount + 1 }, { "a", 1, 7 })
    expect_counted({ name = "b", amount = F.amount + 2 }, { "b", 2, 7 })
    local turned = { a1 = 1, a2 = 2, a3 = 3, a4 = 4, a5 = 5, amount = F.amount + 3 }
    turned.name = "c"
    for place = 1, 5 do turned["a" .. place] = nil end
    expect_counted(turned, { "c", 3, 7 })
    expect_counted(turned, { "c", 3, 7 })
  end)

  it("checks them as ever, each once", function()
    expect_counted({ name = "a", amount = F.amount + 1 }, { "a", 1, 7 })
    asked = {}
    change.update(Stock:filter { id = 7 }, dialect.get "postgres", { name = "d", amount = F.amount + 1 })
    assert.same({ "d" }, asked)
    for _, name in ipairs { "bad", "too long", 7 } do
      sql.error("validation", function()
        change.update(Stock:filter { id = 7 }, dialect.get "postgres", { name = name, amount = F.amount + 1 })
      end)
    end
  end)

  it("is another one with a value of another kind, the column of another entity, NULL or a table", function()
    local function text(values)
      local found = change.update(Stock:filter { id = 7 }, dialect.get "postgres", values)
      return found.sql
    end
    local plain, cast = text { price = F.price + 1 }, text { price = F.price + 1.5 }
    assert.equal(plain, text { price = F.price + 2 })
    assert.equal(cast, text { price = F.price + 2.5 })
    assert.equal(plain, text { price = Stock.price + 3 })
    sql.error("bad_argument", function() return text { price = Shelf.amount + 3 } end)
    assert.matches('"price" = NULL', text { price = core.null })
    assert.matches('"price" = $1', text { price = 1.5 }, 1, true)
    assert.matches('"price" = NULL', text { price = core.null })
    assert.matches('"prefs" = $1', text { prefs = { a = 1 } }, 1, true)
    assert.matches('"prefs" = $1', text { prefs = { 2 } }, 1, true)
    sql.error("bad_argument", function() return text(setmetatable({ price = F.price + 1 }, {})) end)
    sql.error("bad_argument", function() return text { amount = F.amount + true } end)
  end)

  it("is forgotten when others have come", function()
    local function update_with(number)
      local value = F.amount
      for _ = 1, 10 do
        value = number % 3 == 0 and value + 1 or number % 3 == 1 and value - 1 or value * 1
        number = math.floor(number / 3)
      end
      change.update(Stock:filter { id = 7 }, dialect.get "postgres", { amount = value })
    end
    expect_no_growth(update_with)
  end)

  it("is another one with limits", function()
    local q = Stock:filter { id__gt = 1 }
    local whole, some = change.update(q, dialect.get "postgres", { amount = 1 }), nil
    for count = 1, 2 do
      local params
      some, params = change.update(q:limit(count), dialect.get "postgres", { amount = 5 })
      assert.same({ 5, 1, count }, params)
    end
    assert.not_equal(whole.sql, some.sql)
    assert.equal(whole, (change.update(q, dialect.get "postgres", { amount = 2 })))
  end)
end)
