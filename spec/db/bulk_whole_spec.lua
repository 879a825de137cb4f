-- Bulk writes inside a transaction are all or nothing: what an error or a deadline leaves of them is undone, and the
-- transaction goes on.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

-- It passes while the program waits, and not in a statement: behind a pooler that would cost the connection.
local DEADLINE_S = os.getenv "MOONPOOL_UNDER" and 2 or 0.5

databases.each("a bulk write inside a transaction", function(open)
  local db, Item

  before_each(function()
    db = open()
    Item = mp.entity("Item", {
      name = f.string{ max = 20, unique = true }, size = f.integer{ default = 0 }, revision = f.integer{ version = true },
    }, { database = db })
    db:create_all()
  end)

  local function names()
    return table.concat(Item:order_by("name"):pluck("name"), " ")
  end

  local FOUR = { { name = "a" }, { name = "b" }, { name = "c" }, { name = "d" } }
  local TWICE = { { name = "a" }, { name = "b" }, { name = "c" }, { name = "kept" } }

  for claim, options in pairs{
    ["that gives objects"] = { batch = 1 },
    ["that gives a number"] = { batch = 1, returning = false },
    ["that takes conflicts"] = { batch = 2, on_conflict = "update", conflict = { "name" } },
  } do
    it(claim .. " leaves nothing where its deadline passes between batches", function()
      db:atomic(function()
        Item:create{ name = "kept" }
        options.on_progress = function(done)
          if done >= 2 then
            mp.sleep(3600)
          end
        end
        raises("timeout", mp.timeout, DEADLINE_S, Item.bulk_create, Item, FOUR, options)
        Item:create{ name = "later" }
      end)
      assert.equal("kept later", names())
    end)

    it(claim .. " leaves nothing where a callback fails", function()
      db:atomic(function()
        Item:create{ name = "kept" }
        options.on_progress = function(done)
          if done >= 2 then
            error("enough", 0)
          end
        end
        assert.same({ false, "enough" }, { pcall(Item.bulk_create, Item, FOUR, options) })
        assert.equal("kept", names())
        Item:create{ name = "later" }
      end)
      assert.equal("kept later", names())
    end)
  end

  for _, returning in ipairs{ true, false } do
    it("leaves nothing where a row of a later batch fails" .. (returning and "" or ", and counts only"), function()
      db:atomic(function()
        Item:create{ name = "kept" }
        local err = raises("unique", Item.bulk_create, Item, TWICE, { batch = 2, returning = returning })
        assert.same({ "name" }, err.columns)
        assert.equal("kept", names())
        Item:create{ name = "later" }
      end)
      assert.equal("kept later", names())
    end)
  end

  it("puts its objects back where it fails", function()
    local list = { Item:build{ name = "a" }, Item:build{ name = "b" }, Item:build{ name = "kept" } }
    db:atomic(function()
      Item:create{ name = "kept" }
      raises("unique", Item.bulk_create, Item, list, { batch = 1 })
    end)
    assert.same({ nil, nil }, { list[1].id, list[2].id })
    assert.is_true(list[1]:is_dirty())
    list[3].name = "c"
    Item:bulk_create(list)
    assert.equal("a b c kept", names())
  end)

  it("of objects that are stale changes none of them", function()
    local list = Item:bulk_create(FOUR)
    db:execute("update item set revision = revision + 1 where name = ?", "c")
    db:atomic(function()
      for place, one in ipairs(list) do
        one.size = place
      end
      raises("stale", Item.bulk_update, Item, list, { "size" })
      Item:filter{ name = "d" }:update{ size = 9 }
    end)
    assert.same({ 0, 0, 0, 9 }, Item:order_by("name"):pluck("size"))
  end)
end)
