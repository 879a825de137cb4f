-- Hooks: methods of an entity that run around what is done with one object. They may query, also while rows stream.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("a hook", function(open)
  local db, Author, Book, said

  before_each(function()
    db = open()
    said = {}
    Author = mp.entity("Author", { name = f.string{ max = 20 }, books_n = f.integer{ default = 0 } }, { database = db, order_by = { "name" } })
    Book = mp.entity("Book", { title = f.string(), author = f.belongs_to("Author", { inverse = "books" }) }, { database = db })
    db:create_all()
  end)

  local function note(entity, ...)
    for _, name in ipairs{ ... } do
      entity[name] = function(self) said[#said + 1] = name .. " " .. self.name end
    end
  end

  it("runs before and after each kind of write, in order", function()
    note(Author, "before_insert", "after_insert", "before_update", "after_update", "before_delete", "after_delete")
    local one = Author:create{ name = "a" }
    one:save()
    one.name = "b"
    one:save()
    one:delete()
    one:save()
    assert.same({
      "before_insert a", "after_insert a", "before_update b", "after_update b", "before_delete b", "after_delete b",
      "before_insert b", "after_insert b",
    }, said)
  end)

  it("may change what is written, and is checked with it", function()
    function Author:before_insert() self.name = self.name:upper() end
    function Author:before_update() self.books_n = self.books_n + 1 end
    local one = Author:create{ name = "a" }
    assert.equal("A", Author:get(one.id).name)
    one.name = "b"
    one:save()
    assert.same({ "b", 1 }, { Author:get(one.id).name, one.books_n })
    function Author:before_insert() self.name = ("x"):rep(30) end
    assert.matches("at most 20", raises("validation", function() Author:create{ name = "c" } end).errors.name)
  end)

  it("sees the key after an insert, and what the object was before an update", function()
    local key, before, dirty
    function Author:after_insert() key = self.id end
    function Author:before_update() before, dirty = Author:get(self.id).name, self:dirty_fields() end
    local one = Author:create{ name = "a" }
    assert.equal(one.id, key)
    one.name = "b"
    one:save()
    assert.same({ "a", { "name" } }, { before, dirty })
  end)

  it("that fails before aborts, and its error passes through", function()
    function Author:before_insert() error{ mine = true } end
    function Author:before_update() error "not now" end
    function Author:before_delete() error("never", 0) end
    local ok, err = pcall(Author.create, Author, { name = "a" })
    assert.same({ false, true }, { ok, err.mine })
    assert.equal(0, Author:count())
    Author:bulk_create{ { name = "b" } }
    local one = Author:first()
    one.name = "c"
    ok, err = pcall(one.save, one)
    assert.is_false(ok)
    assert.matches("not now", err)
    ok, err = pcall(one.delete, one)
    assert.same({ false, "never" }, { ok, err })
    assert.equal("b", Author:first().name)
  end)

  it("that fails after a write leaves it to the transaction", function()
    function Author:after_insert() error "too late" end
    assert.matches("too late$", select(2, pcall(Author.create, Author, { name = "a" })))
    assert.equal(1, Author:count())
    local one
    local _, err = pcall(mp.atomic, { database = db }, function()
      one = Author:build{ name = "b" }
      one:save()
    end)
    assert.matches("too late$", err)
    assert.equal(1, Author:count())
    assert.is_nil(one.id)
  end)

  it("may query and write others, in the same transaction", function()
    function Book:after_insert() Author:filter{ id = self.author_id }:update{ books_n = mp.F.books_n + 1 } end
    function Author:before_delete()
      for _, book in ipairs(self.books:all()) do
        book:delete()
      end
    end
    local one = Author:create{ name = "a" }
    mp.atomic({ database = db }, function()
      Book:create{ title = "t", author = one }
      Book:create{ title = "u", author = one }
      assert.equal(2, one:refresh().books_n)
    end)
    one:delete()
    assert.same({ 0, 0 }, { Author:count(), Book:count() })
  end)

  it("runs after each way of loading, before anybody else has the object", function()
    function Author:after_load() self._full = self.name .. " " .. self.books:count() end
    local id = Author:create{ name = "a" }.id
    Author:create{ name = "b" }
    local book = Book:create{ title = "t", author = id }
    assert.equal("a 1", Author:get(id)._full)
    assert.equal("b 0", Author:all()[2]._full)
    assert.equal("a 1", Author:first()._full)
    assert.equal("a 1", Book:get(book.id).author._full)
    assert.equal("a 1", Book:select_related("author"):first().author._full)
    assert.equal("b 0", Author:in_bulk{ id, id + 1 }[id + 1]._full)
    local names = {}
    for one in Author:iter{ chunk = 1 } do
      names[#names + 1] = one._full
    end
    assert.same({ "a 1", "b 0" }, names)
    mp.atomic({ database = db }, function()
      for one in Author:iter{ chunk = 1 } do
        names[#names + 1] = one._full
      end
    end)
    assert.equal(4, #names)
    assert.is_nil(Author:create{ name = "c" }._full)
  end)

  it("is not run by bulk calls and by updates and deletes of query sets", function()
    note(Author, "before_insert", "after_insert", "before_update", "after_update", "before_delete", "after_delete")
    local made = Author:bulk_create{ { name = "a" }, { name = "b" } }
    made[1].name = "c"
    Author:bulk_update(made, { "name" })
    Author:upsert({ id = made[2].id, name = "d" })
    Author:all_rows():update{ name = "e" }
    Author:all_rows():delete()
    assert.same({}, said)
  end)
end)
