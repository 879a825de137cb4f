-- Tables that stand in a schema (PostgreSQL) or another database (MariaDB), and columns with a collation of their own.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("the option schema", function(open, database)
  if database.dialect == "sqlite" then
    it("is refused before anything is sent, since there are none", function()
      local db = open()
      local Thing = mp.entity("Thing", { name = f.string() }, { database = db, schema = "depot" })
      raises("unsupported", function() db:create_all() end)
      raises("unsupported", function() Thing:count() end)
      assert.matches("Thing: sqlite has no schemas", raises("unsupported", function() Thing:create{ name = "a" } end).message)
    end)
    return
  end

  it("says where the table stands, for every statement", function()
    local db = open()
    local schema = "moonpool_spec_depot_" .. tostring(mp.uuid4()):sub(1, 8)
    local Shelf = mp.entity("Shelf", { name = f.string() }, { database = db, schema = schema })
    local Thing = mp.entity("Thing", {
      name = f.string{ unique = true }, size = f.integer{ default = 1, index = true },
      shelf = f.belongs_to("Shelf", { inverse = "things", null = true, on_delete = "cascade" }),
      box = f.belongs_to("Box", { null = true }),
    }, { database = db, schema = schema })
    local home
    if database.dialect == "mariadb" then
      mp.entity("Box", { label = f.string() }, { database = db })
      assert.matches("Thing.box: on mariadb Box needs a schema too", raises("unsupported", function() db:create_all() end).message)
      home = db:fetch_val("SELECT database()")
    end
    local Box = mp.entity("Box", { label = f.string(), keeper = f.belongs_to("Thing", { null = true, inverse = "kept" }) },
      { database = db, schema = home })
    db:create_all()
    db:create_all()
    local ok, err = pcall(function()
      local shelf = Shelf:create{ name = "s" }
      local box = Box:create{ label = "b" }
      local one = Thing:create{ name = "a", shelf = shelf, box = box }
      local many = Thing:bulk_create{ { name = "b" }, { name = "c", size = 3 } }
      many[1].size = 2
      Thing:bulk_update(many, { "size" })
      Thing:upsert({ name = "c", size = 9 }, { conflict = { "name" } })
      assert.equal(1, Thing:filter{ name = "c" }:update{ size = mp.F.size + 1 })
      assert.same({ 1, 2, 10 }, Thing:order_by("name"):pluck("size"))
      assert.equal("s", Thing:select_related("shelf"):get(one.id).shelf.name)
      assert.same({ "a" }, Thing:filter{ shelf__name = "s", box__label = "b" }:pluck("name"))
      assert.same({ "s" }, Shelf:filter{ things__name = "a" }:pluck("name"))
      assert.equal(1, shelf.things:count())
      assert.equal("unique", raises("unique", function() Thing:create{ name = "a" } end).kind)
      Thing:create{ id = 500, name = "d" }
      assert.is_true(Thing:create{ name = "e" }.id > 500)
      one.size = 4
      one:save()
      one:refresh()
      box.keeper = one
      box:save()
      assert.equal("a", Box:filter{ keeper__size = 4 }:one().keeper.name)
      box.keeper = nil
      box:save()
      assert.equal(1, one:delete())
      assert.equal(4, (Thing:all_rows():delete()))
      assert.equal(0, db:fetch_val("SELECT count(*) FROM " .. schema .. ".thing"))
    end)
    db:drop_all()
    db:execute("DROP SCHEMA " .. schema)
    if not ok then
      error(err, 0)
    end
  end)
end)

databases.each("the option collation", function(open, database)
  it("makes a column compare and sort by the server's own rule", function()
    local db = open()
    local Word = mp.entity("Word", {
      plain = f.string{ max = 20 },
      loose = f.string{ max = 20, unique = database.dialect ~= "postgres",
        collation = { sqlite = "NOCASE", mariadb = "utf8mb4_general_ci", postgres = "und-x-icu" } },
    }, { database = db })
    db:create_all()
    for _, word in ipairs{ "b", "A", "C" } do
      Word:create{ plain = word, loose = word }
    end
    assert.same({ "A", "C", "b" }, Word:order_by("plain"):pluck("plain"))
    assert.same({ "A", "b", "C" }, Word:order_by("loose"):pluck("loose"))
    if database.dialect ~= "postgres" then -- whose collations order texts, and tell apart all that differ
      assert.equal(1, Word:filter{ loose = "a" }:count())
      raises("unique", function() Word:create{ plain = "x", loose = "a" } end)
    end
    assert.equal(0, Word:filter{ plain = "a" }:count())
  end)
end)
