-- Which row of a bulk call an error is of: err.row, the same on each database.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("the error of one row of many", function(open)
  local db, Shelf, Item

  before_each(function()
    db = open()
    Shelf = mp.entity("Shelf", { name = f.string{ max = 20 } }, { database = db })
    Item = mp.entity("Item", {
      name  = f.string{ max = 20, unique = true },
      size  = f.integer{ null = true },
      shelf = f.belongs_to("Shelf", { null = true }),
    }, { database = db })
    db:create_all()
  end)

  local function rows(n, change)
    local list = {}
    for i = 1, n do
      list[i] = { name = "item " .. i, size = i }
    end
    for place, values in pairs(change or {}) do
      list[place] = values
    end
    return list
  end

  local function named(row, kind, fn, ...)
    local err = raises(kind, fn, ...)
    assert.equal(row, err.row)
    assert.truthy(err.message:find("^row " .. row .. "%D"), err.message)
    return err
  end

  it("has its number in bulk_create, whichever batch it is in", function()
    for _, place in ipairs{ 2, 7, 100, 101, 250 } do
      named(place, "unique", Item.bulk_create, Item, rows(250, { [place] = { name = "item 1", size = 1 } }), { batch = 100 })
      named(place, "unique", Item.bulk_create, Item, rows(250, { [place] = { name = "item 1", size = 1 } }),
        { batch = 100, returning = false })
    end
    assert.equal(0, Item:count())
  end)

  it("has its number where the row before it is there already, also as the first", function()
    Item:create{ name = "taken" }
    for _, place in ipairs{ 1, 40, 50 } do
      named(place, "unique", Item.bulk_create, Item, rows(50, { [place] = { name = "taken" } }))
    end
    named(1, "unique", Item.bulk_create, Item, { { name = "taken" } })
    assert.equal(1, Item:count())
  end)

  it("has the place in the program's array, also where rows with other columns are written apart", function()
    local list = rows(60)
    for place = 1, 60, 3 do
      list[place] = { id = 1000 + place, name = "apart " .. place, size = 0 }
    end
    list[46] = { id = 1001, name = "apart", size = 0 }
    named(46, "unique", Item.bulk_create, Item, list)
    list[46], list[48] = { id = 5000, name = "apart", size = 0 }, { name = "item 2", size = 2 }
    named(48, "unique", Item.bulk_create, Item, list)
    named(48, "unique", Item.bulk_create, Item, list, { returning = false })
  end)

  it("is the first that the database does not take, and its reason is that row's", function()
    local shelf = Shelf:create{ name = "a" }
    local list = rows(40)
    for place = 1, 40 do
      list[place].shelf = shelf
    end
    list[23] = { name = "item 23", size = 1, shelf = shelf.id + 1 }
    list[31] = { name = "item 30", size = 1, shelf = shelf }
    local err = raises("integrity", Item.bulk_create, Item, list)
    assert.is_true(err.row == 23 and err.kind == "foreign_key" or err.row == 31 and err.kind == "unique",
      err.kind .. " " .. tostring(err.row))
  end)

  it("has its number where conflicts are allowed, and something else fails", function()
    local list = rows(30, { [17] = { name = "item 17", size = 1, shelf = 77 } })
    named(17, "foreign_key", Item.bulk_create, Item, list, { on_conflict = "update", conflict = { "name" } })
    named(17, "foreign_key", Item.bulk_create, Item, list,
      { on_conflict = "update", conflict = { "name" }, returning = false })
  end)

  it("keeps what the block around it has done", function()
    db:atomic(function()
      Item:create{ name = "before" }
      local _, err = mp.try(db.atomic, db, function()
        Item:bulk_create(rows(80, { [64] = { name = "item 3" } }))
      end)
      assert.equal(64, err.row)
      Item:create{ name = "after" }
    end)
    assert.same({ "after", "before" }, Item:order_by("name"):pluck("name"))
    databases.quiet(db)
  end)

  it("has its number in bulk_update", function()
    local objects = Item:bulk_create(rows(50))
    for _, one in ipairs(objects) do
      one.name = one.name .. " new"
    end
    objects[33].name = "item 9 new"
    local row = raises("unique", Item.bulk_update, Item, objects, { "name" }).row
    assert.equal(33, row)
    assert.equal(50, Item:filter{ name__contains = "item" }:exclude{ name__contains = "new" }:count())
  end)

  it("has its number in execute_many: inserting, changing, deleting", function()
    db:execute "create table plain (a integer primary key, b integer not null check (b < 100))"
    local function many(n, place, value)
      local list = {}
      for i = 1, n do
        list[i] = { i, 1 }
      end
      list[place] = value
      return list
    end
    local insert, update = "insert into plain (a, b) values (?, ?)", "update plain set b = ? where a = ?"
    for _, place in ipairs{ 1, 3, 499, 501, 2500 } do
      named(place, "integrity", db.execute_many, db, insert, many(2500, place, { place, 100 }))
      named(place, "not_null", db.execute_many, db, insert, many(2500, place, { place, mp.null }))
    end
    db:execute_many(insert, many(2500, 1, { 1, 1 }))
    local changes = {}
    for i = 1, 2500 do
      changes[i] = { 2, i }
    end
    for _, place in ipairs{ 1, 2, 777, 2500 } do
      changes[place] = { 100, place }
      named(place, "check", db.execute_many, db, update, changes)
      changes[place] = { 2, place }
    end
    assert.equal(2500, db:fetch_val "select count(*) from plain where b = 1")
    db:execute "create table child (a integer not null references plain (a))"
    db:execute "insert into child (a) values (40)"
    if db:fetch_val "select count(*) from child" == 1 then
      named(4, "foreign_key", db.execute_many, db, "delete from plain where a = ?", { { 1 }, { 2 }, { 3 }, { 40 }, { 41 } })
    end
    local two = "insert into plain (a, b) values (?, 1), (? + 10000, 2)"
    named(3, "unique", db.execute_many, db, two, { { 3001, 1 }, { 3002, 2 }, { 7, 3 }, { 3004, 4 } })
    named(4, "unique", db.execute_many, db, two, { { 3001, 1 }, { 3002, 2 }, { 3003, 3 }, { 3004, 1 } })
  end)

  it("has its number in copy_in, over all chunks", function()
    db:execute "create table plain (a integer primary key, b integer not null)"
    local list = {}
    for i = 1, 12000 do
      list[i] = { i, 1 }
    end
    for _, place in ipairs{ 1, 1001, 11999 } do
      list[place] = { place, nil }
      named(place, "not_null", db.copy_in, db, "plain", { "a", "b" }, list)
      list[place] = { place, 1 }
    end
  end)

  it("has its number where the value cannot be sent at all", function()
    db:execute "create table plain (a integer, b integer)"
    local err = raises("bad_parameters", db.execute_many, db, "insert into plain values (?, ?)", { { 1, 1 }, { 2, print } })
    assert.equal(2, err.row)
    assert.truthy(err.message:find("row 2, ", 1, true), err.message)
  end)

  it("is said of rows only, not of what happened meanwhile", function()
    db:execute "create table plain (a integer, b integer)"
    local closing = open()
    local err = raises("usage", function()
      closing:close()
      closing:execute_many("insert into plain values (?, ?)", { { 1, 1 }, { 2, 2 } })
    end)
    assert.is_nil(err.row)
  end)
end)
