-- The order in which a session writes its objects: what others refer to comes first, and goes last.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("the order of a session's writes", function(open)
  local db

  before_each(function()
    db = open()
  end)

  -- Which tables were written, one word for each statement.
  local function writes(fn)
    local list = {}
    for _, text in ipairs(databases.statements(db, fn)) do
      local word, name = text:match("^(%u+)[%a ]-[\"`]([%w_]+)")
      if word == "INSERT" or word == "UPDATE" or word == "DELETE" then
        list[#list + 1] = word:lower() .. " " .. name
      end
    end
    return list
  end

  it("follows relations to any depth, with one statement for each entity", function()
    local Region = mp.entity("Region", { name = f.string{ max = 50 } }, { database = db })
    local Shop = mp.entity("Shop", { region = f.belongs_to("Region") }, { database = db })
    local Sale = mp.entity("Sale", { shop = f.belongs_to("Shop"), region = f.belongs_to("Region") }, { database = db })
    db:create_all()
    assert.same({ "insert region", "insert shop", "insert sale" }, writes(function()
      db:session(function()
        for i = 1, 3 do
          local sale = Sale:build{}
          local region = Region:build{ name = "r" .. i }
          sale.region, sale.shop = region, Shop:build{ region = region }
          mp.session.current():add(sale)
        end
      end)
    end))
    assert.equal(3, Sale:filter{ shop__region__name__startswith = "r" }:count())
    assert.equal(0, #writes(function()
      db:session(function(s) s:scalars(Sale:order_by("id")) end)
    end))
    local list = writes(function()
      db:session(function(s)
        local lists = { Region:all(), Shop:all(), Sale:all() } -- a query would write what is to be deleted before it
        for _, list in ipairs(lists) do
          for _, one in ipairs(list) do
            s:delete(one)
          end
        end
      end)
    end)
    assert.equal("delete sale", list[1])
    assert.equal("delete region", list[#list])
    assert.equal(0, Region:count() + Shop:count() + Sale:count())
  end)

  it("follows an entity that refers to itself", function()
    local Node = mp.entity("Node", {
      name = f.string{ max = 50 }, parent = f.belongs_to("Node", { null = true, inverse = "children" }),
    }, { database = db })
    db:create_all()
    local leaf
    assert.same({ "insert node", "insert node", "insert node" }, writes(function()
      db:session(function(s)
        leaf = Node:build{ name = "leaf" }
        local root, middle = Node:build{ name = "root" }, Node:build{ name = "middle" }
        s:add_all{ leaf, middle, root, Node:build{ name = "other" } }
        leaf.parent, middle.parent = middle, root
      end)
    end))
    assert.equal("root", Node:get(leaf.id).parent.parent.name)
    db:session(function(s)
      for _, one in ipairs(Node:order_by("id"):all()) do
        s:delete(one)
      end
    end)
    assert.equal(0, Node:count())
  end)

  it("breaks a circle at a relation that may be NULL, and completes it afterwards", function()
    local Person = mp.entity("Person", {
      name = f.string{ max = 50 }, spouse = f.belongs_to("Person", { null = true, inverse = "spouses" }),
    }, { database = db })
    db:create_all()
    local ada, bob
    assert.same({ "insert person", "insert person", "update person" }, writes(function()
      db:session(function()
        ada, bob = Person{ name = "ada" }, Person{ name = "bob" }
        ada.spouse, bob.spouse = bob, ada
      end)
    end))
    assert.equal(bob.id, Person:get(ada.id).spouse_id)
    assert.equal(ada.id, Person:get(bob.id).spouse_id)
    db:session(function(s)
      s:delete(ada)
      s:delete(bob)
    end)
    assert.equal(0, Person:count())
    local narcissus
    db:session(function()
      narcissus = Person{ name = "narcissus" }
      narcissus.spouse = narcissus
    end)
    assert.equal(narcissus.id, Person:get(narcissus.id).spouse_id)
  end)

  it("refuses a circle that nothing can break, and names its relations", function()
    mp.entity("Egg", { hen = f.belongs_to("Hen") }, { database = db })
    local Hen = mp.entity("Hen", { egg = f.belongs_to("Egg") }, { database = db })
    local Egg = mp.entity("Egg", { hen = f.belongs_to("Hen") }, { database = db })
    local err = raises("bad_argument", db.session, db, function()
      local hen, egg = Hen{}, Egg{}
      hen.egg, egg.hen = egg, hen
    end)
    assert.truthy(err.message:find("Hen.egg", 1, true))
    assert.truthy(err.message:find("Egg.hen", 1, true))
  end)

  it("knows the order also where the keys are the program's own", function()
    local Code = mp.entity("Code", { code = f.string{ max = 10, primary_key = true } }, { database = db })
    local Use = mp.entity("Use", { code = f.belongs_to("Code") }, { database = db })
    db:create_all()
    assert.same({ "insert code", "insert use" }, writes(function()
      db:session(function(s)
        s:add(Use:build{ code_id = "a" })
        local b = Code:build{ code = "b" }
        s:add(Use:build{ code = b })
        s:add_all{ Code:build{ code = "a" }, b }
      end)
    end))
    assert.equal(2, Use:count())
    db:session(function(s)
      assert.equal("a", s:get(Code, "a").code)
      assert.equal(s:get(Code, "a"), Use:filter{ code_id = "a" }:one().code)
    end)
  end)

  it("knows objects by keys of several columns", function()
    local Seat = mp.entity("Seat", {
      row = f.string{ max = 5 }, number = f.integer(), taken = f.boolean{ default = false },
    }, { database = db, primary_key = { "row", "number" } })
    db:create_all()
    db:session(function(s)
      local one = Seat{ row = "a", number = 1 }
      Seat{ row = "a", number = 11 }
      s:flush()
      assert.equal(one, Seat:get{ row = "a", number = 1 })
      assert.equal(one, s:get(Seat, { row = "a", number = 1 }))
      one.taken = true
    end)
    assert.same({ true, false }, Seat:order_by("number"):pluck("taken"))
  end)

  it("follows relations of each kind: to keys of several columns, to one, to many on both sides", function()
    local Room = mp.entity("Room", { building = f.string{ max = 5 }, number = f.integer() },
      { database = db, primary_key = { "building", "number" } })
    local Desk = mp.entity("Desk", { name = f.string{ max = 5 }, room = f.belongs_to("Room") }, { database = db })
    local Plate = mp.entity("Plate", { text = f.string{ max = 5 }, desk = f.one_to_one("Desk", { inverse = "plate" }) },
      { database = db })
    local Tag = mp.entity("Tag", { label = f.string{ max = 5 }, desks = f.many_to_many("Desk", { inverse = "tags" }) },
      { database = db })
    db:create_all()
    local desk, tag
    assert.same({ "insert room", "insert tag", "insert desk", "insert plate", "insert tag_desks" }, writes(function()
      db:session(function()
        local plate = Plate{ text = "p" }
        desk = Desk{ name = "d" }
        plate.desk, desk.room = desk, Room{ building = "a", number = 1 }
        tag = Tag{ label = "t" }
        tag.desks:add(desk) -- writes at once, and what it needs before
      end)
    end))
    assert.equal(1, desk.room.number)
    assert.equal("p", desk.plate.text)
    assert.equal(1, tag.desks:count())
    db:session(function(s)
      local room = s:get(Room, { building = "a", number = 1 })
      local one = s:get(Desk, desk.id)
      assert.equal(room, one.room)
      assert.equal(one, one.plate.desk)
      assert.equal(room, s:get(Room, { number = 1, building = "a" }))
      assert.is_nil(s:get(Room, { number = 2, building = "a" }))
      one.tags:clear()
      for _, gone in ipairs{ room, one, one.plate } do
        s:delete(gone)
      end
    end)
    assert.equal(0, Room:count() + Desk:count() + Plate:count())
  end)

  it("forgets what the database deletes with an object", function()
    local Shelf = mp.entity("Shelf", { name = f.string{ max = 5 } }, { database = db })
    local Box = mp.entity("Box", { shelf = f.belongs_to("Shelf", { inverse = "boxes", on_delete = "cascade" }) }, { database = db })
    local Coin = mp.entity("Coin", {
      value = f.integer(), box = f.belongs_to("Box", { inverse = "coins", on_delete = "cascade" }),
    }, { database = db })
    db:create_all()
    db:session(function(s)
      local shelf, other = Shelf{ name = "a" }, Shelf{ name = "b" }
      local coin = Coin{ value = 1, box = Box{ shelf = shelf } }
      local kept = Coin{ value = 2, box = Box{ shelf = other } }
      s:flush()
      local id = coin.id
      local point = s:begin_nested()
      s:delete(shelf)
      coin.value = 3
      s:flush()
      assert.is_nil(coin.id)
      assert.is_nil(s:get(Coin, id))
      assert.equal(kept, s:get(Coin, kept.id))
      assert.is_false(s:is_dirty(coin))
      point:rollback()
      assert.equal(id, coin.id)
      assert.equal(coin, s:get(Coin, id))
      assert.equal(1, coin.value)
      s:delete(shelf)
    end)
    assert.same({ 2 }, Coin:pluck("value"))
  end)
end)
