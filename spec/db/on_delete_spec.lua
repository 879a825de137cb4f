-- What becomes of rows that lead to a row which is deleted: the same on every database, by an object or a query set.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("on_delete", function(open)
  local db, Owner, Thing, Part

  local function declare(options, more)
    db = open()
    Owner = mp.entity("Owner", { name = f.string{ max = 20 } }, { database = db })
    options.inverse = "things"
    Thing = mp.entity("Thing", { label = f.string{ max = 20 }, owner = f.belongs_to("Owner", options) }, { database = db })
    Part = mp.entity("Part", {
      label = f.string{ max = 20 }, thing = f.belongs_to("Thing", more or { on_delete = "cascade" }),
    }, { database = db })
    db:create_all()
    Owner:create{ name = "one" }
    Owner:create{ name = "two" }
    Thing:create{ label = "a", owner = 1 }
    Thing:create{ label = "b", owner = 1 }
    Part:create{ label = "p", thing = 1 }
  end

  it("restrict refuses, and is what is meant where nothing is said", function()
    declare{}
    raises("foreign_key", function() Owner:get(1):delete() end)
    raises("foreign_key", function() Owner:filter{ id = 1 }:delete() end)
    assert.equal(1, Owner:get(2):delete())
  end)

  it("cascade takes the rows along", function()
    declare{ on_delete = "cascade" }
    assert.equal(1, Owner:get(1):delete())
    assert.equal(0, Thing:count())
    assert.equal(0, Part:count())
  end)

  it("cascade counts the rows that were asked for once, also where one of them takes another along", function()
    db = open()
    local Node = mp.entity("Node", { name = f.string{ max = 9 },
      parent = f.belongs_to("Node", { null = true, inverse = "nodes", on_delete = "cascade" }) }, { database = db })
    local Team = mp.entity("Team", { lead = f.belongs_to("Person", { null = true, on_delete = "cascade" }) }, { database = db })
    local Person = mp.entity("Person", { team = f.belongs_to("Team", { null = true, on_delete = "cascade" }) }, { database = db })
    db:create_all()
    local function fill()
      local a = Node:create{ name = "a" }
      a.nodes:create{ name = "b" }.nodes:create{ name = "c" }
      Node:create{ name = "d" }
    end
    fill()
    assert.equal(3, Node:filter{ name__in = { "a", "b", "c" } }:delete())
    assert.equal(1, Node:count())
    fill()
    assert.equal(1, Node:filter{ name = "a" }:delete()) -- what else goes is not counted
    assert.equal(2, Node:all_rows():delete())
    fill()
    assert.equal(2, Node:order_by("name"):limit(2):delete())
    assert.equal(0, Node:none():delete())
    local team = Team:create{}
    Person:create{ team = team }
    team.lead = Person:create{ team = team }
    team:save()
    assert.equal(2, Person:all_rows():delete())
    assert.equal(0, Team:count())
  end)

  it("set_null leaves them without", function()
    declare{ on_delete = "set_null", null = true }
    Owner:get(1):delete()
    assert.equal(2, Thing:filter{ owner = mp.null }:count())
    assert.is_nil(Thing:get(1).owner)
  end)

  it("set_default gives them another", function()
    declare{ on_delete = "set_default", default = 2 }
    local thing = Thing:get(1)
    Owner:get(1):delete()
    assert.equal(2, Thing:filter{ owner = 2 }:count())
    thing:refresh()
    assert.equal("two", thing.owner.name)
    Owner:create{ name = "three" }
    Thing:update_or_create({ label = "a" }, { owner = 3 })
    assert.equal(1, Owner:filter{ name = "three" }:delete())
    assert.equal(2, Thing:filter{ owner = 2 }:count())
    raises("foreign_key", function() Owner:get(2):delete() end) -- its own default would be gone
    assert.equal(1, Owner:count())
  end)

  it("protect names who is in the way, and how many", function()
    declare{ on_delete = "protect" }
    local owner = Owner:get(1)
    local err = raises("protected", function() owner:delete() end)
    assert.matches("Owner(1) cannot be deleted: 2 rows of Thing lead to it by Thing.owner", err.message, nil, true)
    assert.equal("thing", err.table)
    assert.is_false(owner:is_dirty())
    err = raises("protected", function() Owner:filter{ name__startswith = "o" }:delete() end)
    assert.matches("2 rows of Thing lead to them", err.message, nil, true)
    raises("protected", function() Owner:order_by("id"):limit(1):delete() end)
    Thing:get(2):delete()
    assert.matches("1 row of Thing leads", raises("protected", function() owner:delete() end).message)
    Thing:get(1):delete()
    assert.equal(1, owner:delete())
    assert.equal(1, Owner:all_rows():delete())
    assert.is_false(mp.is(err, "integrity"))
  end)

  it("protect counts behind what cascades", function()
    declare({ on_delete = "cascade" }, { on_delete = "protect" })
    assert.matches("1 row of Part leads to it by Part.thing", raises("protected", function() Owner:get(1):delete() end).message)
    assert.equal(2, Thing:count())
    raises("protected", function() Owner:filter{ id__in = { 1, 2 } }:delete() end)
    assert.equal(1, Owner:get(2):delete())
    Part:all_rows():delete()
    assert.equal(1, Owner:get(1):delete())
    assert.equal(0, Thing:count())
  end)

  it("protect holds in the database too", function()
    declare{ on_delete = "protect" }
    raises("foreign_key", function() db:execute("delete from owner where id = 1") end)
  end)

  it("no_action is the database's own check", function()
    declare{ on_delete = "no_action" }
    raises("foreign_key", function() Owner:get(1):delete() end)
  end)

  it("on_update takes a changed key along", function()
    db = open()
    local Country = mp.entity("Country", { code = f.string{ max = 2, primary_key = true } }, { database = db })
    local City = mp.entity("City", { country = f.belongs_to("Country", { on_update = "cascade" }) }, { database = db })
    db:create_all()
    local country = Country:create{ code = "xx" }
    City:create{ country = "xx" }
    country.code = "yy"
    country:save()
    assert.equal("yy", City:get(1).country_id)
  end)
end)
