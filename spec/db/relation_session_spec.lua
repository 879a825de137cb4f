-- Relations inside a session: sets, prefetch and lazy relations know what is pending and give the session's objects.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("relations in a session", function(open)
  local db, Author, Tag, Log

  before_each(function()
    db = open()
    Author = mp.entity("Author", {
      name = f.string{ max = 20 }, tags = f.many_to_many("Tag", { inverse = "authors" }),
    }, { database = db })
    Tag = mp.entity("Tag", { label = f.string{ max = 20 } }, { database = db })
    Log = mp.entity("Log", {
      text = f.string{ max = 20 }, author = f.belongs_to("Author", { inverse = "logs", on_delete = "protect" }),
    }, { database = db })
    db:create_all()
  end)

  it("write what is scheduled before a set needs its key", function()
    mp.session({ database = db }, function()
      local tag, author = Tag{ label = "new" }, Author{ name = "ada" }
      author.tags:add(tag)
      assert.equal(1, author.tags:count())
      assert.equal(tag, author.tags:first())
    end)
    assert.equal("new", Author:get(1).tags:first().label)
  end)

  it("give the objects that the session knows", function()
    Author:create{ name = "ada" }
    Author:get(1).tags:create{ label = "lua" }
    Log:create{ text = "x", author = 1 }
    mp.session({ database = db }, function()
      local tag, log = Tag:get(1), Log:get(1)
      local author = Author:prefetch("tags", "logs"):get(1)
      assert.equal(tag, author.tags:all()[1])
      assert.equal(log, author.logs:all()[1])
      assert.equal(author, log.author)
      tag.label = "LUA"
    end)
    assert.equal("LUA", Tag:get(1).label)
  end)

  it("are undone with it", function()
    local author = Author:create{ name = "ada" }
    author.tags:create{ label = "lua" }
    databases.undone(mp.session, { database = db }, function()
      author.tags:clear()
      author.tags:create{ label = "other" }
      error "undone"
    end)
    assert.equal("lua", author.tags:all()[1].label)
    assert.equal(1, Tag:count())
  end)

  it("are in the way of a delete, or gone before it", function()
    Author:create{ name = "ada" }
    Log:create{ text = "x", author = 1 }
    raises("protected", mp.session, { database = db }, function(s) s:delete(Author:get(1)) end)
    assert.equal(1, Author:count())
    mp.session({ database = db }, function(s)
      s:delete(Log:get(1))
      s:delete(Author:get(1))
    end)
    assert.equal(0, Author:count())
  end)
end)
