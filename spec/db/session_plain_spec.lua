-- What a session inserts without a longer look at it, and what it has to look at: they may stand side by side.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("the new objects of a session", function(open)
  local db, Thing

  before_each(function()
    db = open()
    Thing = mp.entity("Thing", {
      name = f.string{ max = 5 }, n = f.integer{ null = true, default = 3 }, price = f.decimal{ precision = 6, scale = 2, null = true },
    }, { database = db })
    Thing:create_table()
  end)

  it("may each need another look, and each gets its own key", function()
    local made = {}
    db:session(function()
      for place = 1, 60 do
        local one = Thing{ name = "n" .. place, n = place, price = mp.decimal "1.50" }
        one._mine = place
        if place % 10 == 3 then
          one.price, one.n = "2.5", nil
        elseif place % 10 == 6 then
          one.id = 1000 + place
        elseif place % 10 == 9 then
          one.n = mp.null
        end
        made[place] = one
      end
    end)
    for place, one in ipairs(made) do
      assert.equal(place, one._mine)
      local row = Thing:get(one.id)
      assert.equal("n" .. place, row.name)
      local lacks = place % 10 == 3 or place % 10 == 9
      assert.equal(not lacks and place or nil, row.n)
      assert.equal(place % 10 == 3 and "2.50" or "1.50", tostring(row.price))
      assert.is_false(one:is_dirty())
    end
    assert.equal(1006, made[6].id)
  end)

  it("are refused when one of them became wrong since it was built, and none is written", function()
    raises("validation", db.session, db, function()
      for place = 1, 5 do
        Thing{ name = "n" .. place }.name = place == 4 and "too long" or "n"
      end
    end)
    assert.equal(0, Thing:count())
  end)

  it("have their defaults although they are built from what is plain", function()
    local one = Thing{ name = "a" }
    assert.equal(3, one.n)
    assert.is_nil(Thing{ name = "a", n = mp.null }.n)
    raises("unknown_field", Thing, { name = "a", nam = "b" })
    raises("bad_argument", Thing, 5)
    assert.equal("2.50", tostring(Thing{ name = "a", n = 1, price = "2.50" }.price))
  end)

  it("leave an object alone that is saved, and is inserted once more in vain", function()
    local one = Thing:create{ name = "a", n = 1 }
    pcall(db.atomic, db, function()
      Thing:filter{ id = one.id }:delete()
      Thing:bulk_create{ one }
      error "boom"
    end)
    assert.is_false(one:is_dirty())
    one.n = 2
    one:save()
    assert.equal(2, Thing:get(one.id).n)
  end)

  it("are new again, without their keys, when they are undone", function()
    local made = {}
    pcall(db.session, db, function(s)
      for place = 1, 40 do
        made[place] = Thing{ name = "n" .. place, n = place, price = mp.decimal "1.50" }
      end
      s:flush()
      assert.is_truthy(made[40].id)
      error "boom"
    end)
    for place = 1, 40 do
      assert.is_nil(made[place].id)
      assert.equal(place, made[place].n)
    end
  end)
end)
