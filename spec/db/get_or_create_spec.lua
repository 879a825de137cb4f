-- get_or_create and update_or_create: one row for each match, however many tasks ask at once.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("a row that is found or created", function(open)
  local db, Tag

  before_each(function()
    db = open()
    Tag = mp.entity("Tag", {
      name = f.string{ max = 50, unique = true }, uses = f.integer{ default = 0 }, code = f.string{ max = 9, null = true, unique = true },
    }, { database = db })
    mp.entity("Post", { title = f.string{ max = 50 }, tag = f.belongs_to("Tag", { inverse = "posts" }) }, { database = db })
    db:create_all()
  end)

  -- Eight tasks at once; what each made of it.
  local function race(fn)
    local tasks, objects, created = {}, {}, 0
    for i = 1, 8 do tasks[i] = mp.spawn(fn, i) end
    for i, task in ipairs(tasks) do
      local object, is_new = task:wait()
      objects[i] = object
      created = created + (is_new and 1 or 0)
    end
    return objects, created
  end

  it("is one row when eight tasks ask at once", function()
    local objects, created = race(function() return Tag:get_or_create({ name = "lua" }, { uses = 5 }) end)
    assert.equal(1, created)
    local id = Tag:one().id -- an insert that was undone has taken a number on some servers
    for _, one in ipairs(objects) do assert.same({ id, "lua", 5 }, { one.id, one.name, one.uses }) end
  end)

  it("is one row when eight transactions ask at once", function()
    local ids = {}
    local _, created = race(function(i)
      return mp.atomic({ database = db }, function()
        local one, is_new = Tag:get_or_create{ name = "lua" }
        ids[i] = one.id
        one.uses = i
        one:save()
        assert.equal(1, Tag:filter{ id = one.id }:count())
        return one, is_new
      end)
    end)
    assert.equal(1, created)
    assert.equal(1, Tag:count())
    for i = 2, 8 do assert.equal(ids[1], ids[i]) end
  end)

  it("is one row that each task has changed", function()
    local _, created = race(function(i) return Tag:update_or_create({ name = "lua" }, { uses = i }) end)
    assert.equal(1, created)
    assert.equal(1, Tag:count())
    _, created = race(function(i)
      return mp.atomic({ database = db }, function() return Tag:update_or_create({ name = "sql" }, { uses = i }) end)
    end)
    assert.equal(1, created)
    assert.equal(1, Tag:filter{ name = "sql", uses__range = { 1, 8 } }:count())
  end)

  it("is found by a transaction that began before it was there, and goes on", function()
    local step = 0
    local function reach(n)
      while step < n do mp.sleep(0.001) end
    end
    local late = mp.spawn(function()
      return mp.atomic({ database = db }, function()
        assert.equal(0, Tag:filter{ name = "lua" }:count()) -- a snapshot, where there are such
        step = 1
        if db.dialect ~= "sqlite" then reach(2) end -- who writes to SQLite is alone
        local tag, created = Tag:get_or_create{ name = "lua" }
        Tag:create{ name = "more" }
        return tag.name, created
      end)
    end)
    reach(1)
    local _, created = Tag:get_or_create{ name = "lua" }
    step = 2
    local name, late_created = late:wait()
    assert.equal("lua", name)
    assert.not_equal(created, late_created)
    assert.equal("lua more", table.concat(Tag:order_by("name"):pluck("name"), " "))
  end)

  it("takes lookups as what to look for, not as values", function()
    Tag:create{ name = "Lua" }
    local tag, created = Tag:get_or_create({ name__iexact = "lua" }, { name = "lua" })
    assert.equal("Lua false", tag.name .. " " .. tostring(created))
    tag, created = Tag:get_or_create({ name__iexact = "SQL" }, { name = "sql" })
    assert.equal("sql true", tag.name .. " " .. tostring(created))
    tag = Tag:update_or_create({ name__iexact = "SQL" }, { uses = 3 })
    assert.equal(3, Tag:get(tag.id).uses)
  end)

  it("raises unique where another column has the value", function()
    Tag:create{ name = "lua", code = "x" }
    raises("unique", function() return Tag:get_or_create({ name = "sql" }, { code = "x" }) end)
    mp.atomic({ database = db }, function()
      local ok, err = pcall(mp.atomic, { database = db }, function() return Tag:get_or_create({ name = "sql" }, { code = "x" }) end)
      assert.is_false(ok)
      assert.equal("unique", err.kind)
      assert.equal(1, Tag:count())
    end)
  end)

  it("belongs to the owner of its set", function()
    local lua = Tag:create{ name = "lua" }
    local post, created = lua.posts:get_or_create{ title = "one" }
    assert.is_true(created)
    assert.equal(lua.id, post.tag_id)
    mp.atomic({ database = db }, function()
      assert.equal(post.id, lua.posts:get_or_create{ title = "one" }.id)
      assert.equal(lua.id, lua.posts:get_or_create{ title = "two" }.tag_id)
    end)
    assert.equal(2, lua.posts:count())
  end)

  it("runs the hooks of a new row, and checks its values", function()
    local seen = {}
    function Tag:before_insert() seen[#seen + 1] = "before " .. self.name end
    function Tag:after_insert() seen[#seen + 1] = "after " .. self.id end
    mp.atomic({ database = db }, function() Tag:get_or_create{ name = "lua" } end)
    assert.same({ "before lua", "after 1" }, seen)
    mp.atomic({ database = db }, function()
      raises("validation", function() return Tag:get_or_create({ name = "x" }, { uses = "many" }) end)
    end)
    raises("bad_argument", function() return Tag:get_or_create{} end)
    raises("bad_argument", function() return Tag:get_or_create("lua") end)
    raises("bad_argument", function() return Tag:update_or_create({ name = "x" }, 5) end)
    raises("unknown_field", function() return Tag:get_or_create{ nam = "x" } end)
    raises("multiple", function()
      Tag:create{ name = "a" }
      return Tag:get_or_create{ uses = 0 }
    end)
  end)
end)
