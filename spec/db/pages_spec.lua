-- Pages by number and by place: every row once, in any order.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("pages", function(open)
  local db, Author, Book

  before_each(function()
    db = open()
    Author = mp.entity("Author", { name = f.string{ max = 50 } }, { database = db })
    Book = mp.entity("Book", {
      title = f.string{ max = 50 },
      pages = f.integer{ null = true },
      price = f.decimal{ precision = 8, scale = 2, null = true },
      printed = f.datetime{ null = true },
      author = f.belongs_to("Author", { inverse = "books", null = true }),
    }, { database = db, order_by = { "title" } })
    db:create_all()
    for _, name in ipairs{ "ada", "bob" } do Author:create{ name = name } end
    for i = 1, 11 do
      Book:create{
        title = "t" .. i % 3, pages = i % 4 > 0 and i % 4 or nil, price = i % 3 > 0 and ("%d.5"):format(i % 3) or nil,
        printed = i % 5 > 0 and ("2026-11-%02dT12:00:00.000%d00Z"):format(i % 5, i % 2) or nil,
        author = i % 3 > 0 and i % 3 or nil,
      }
    end
  end)

  -- All pages of three rows, one behind the other.
  local function walk(query)
    local ids, token, count = {}, nil, 0
    repeat
      local page = query:after(token, 3)
      for _, one in ipairs(page.items) do ids[#ids + 1] = one.id end
      token, count = page.next, count + 1
    until token == nil or count > 9
    return ids, count
  end

  local orders = {
    ["the entity's own"] = function(q) return q end,
    ["a minus"] = function(q) return q:order_by("-title") end,
    ["NULLs first"] = function(q) return q:order_by("pages", "-title") end,
    ["NULLs last"] = function(q) return q:order_by("-pages", "title") end,
    ["NULLs where they are not by themselves"] = function(q)
      return q:order_by(Book.pages:asc{ nulls = "last" }, Book.title:desc{ nulls = "first" })
    end,
    ["NULLs first behind a minus"] = function(q) return q:order_by(Book.pages:desc{ nulls = "first" }) end,
    ["decimals and instants"] = function(q) return q:order_by("price", "-printed") end,
    ["a related column"] = function(q) return q:order_by("author__name", "-pages") end,
    ["an annotation"] = function(q) return q:annotate{ double = mp.F.pages * 2 }:order_by("-double", "title") end,
    ["an expression"] = function(q) return q:order_by(mp.fn.upper("title"):desc(), "pages") end,
    ["the key"] = function(q) return q:order_by("-pk") end,
    ["no order"] = function(q) return q:order_by() end,
  }
  local names = {}
  for name in pairs(orders) do names[#names + 1] = name end
  table.sort(names)

  for _, name in ipairs(names) do
    it("by place give every row once, ordered by " .. name, function()
      for _, query in ipairs{ orders[name](Book), orders[name](Book):reverse() } do
        local ids, count = walk(query)
        assert.equal(4, count)
        local seen = {}
        for _, id in ipairs(ids) do
          assert.is_nil(seen[id])
          seen[id] = true
        end
        assert.equal(11, #ids)
      end
    end)
  end

  it("by place are those of the order itself where the key is last in it", function()
    for _, query in ipairs{
      Book:order_by("title", "id"), Book:order_by("-pages", "id"), Book:order_by("author__name", "-id"),
      Book:order_by("printed", "-price", "id"),
    } do
      assert.same(query:pluck("id"), (walk(query)))
      assert.same(query:reverse():pluck("id"), (walk(query:reverse())))
    end
  end)

  it("by place go on where rows came and went", function()
    local first = Book:order_by("id"):after(nil, 3)
    Book:filter{ id__in = { 1, 2, 3 } }:delete()
    Book:create{ title = "new" }
    local second = Book:order_by("id"):after(first.next, 3)
    assert.equal("4 5 6", ("%d %d %d"):format(second.items[1].id, second.items[2].id, second.items[3].id))
  end)

  it("by place take filters, annotations and related objects along", function()
    local query = Book:filter{ pages__gt = 1 }:select_related("author"):annotate{ n = mp.fn.count("author__books") }:order_by("-n", "id")
    local page = query:after(nil, 2)
    assert.is_nil(rawget(page.items[1], ""))
    assert.equal(page.items[1].author and page.items[1].author.name or "none", page.items[1].author_id == 1 and "ada"
      or page.items[1].author_id == 2 and "bob" or "none")
    page.items[1].pages = 77
    assert.same({ "pages" }, page.items[1]:dirty_fields())
    assert.equal(2, #query:after(page.next, 2).items)
  end)

  it("by place have a token that may stand in an address, and refuse any other text", function()
    local token = Book:after(nil, 2).next
    assert.matches("^[%w_-]+$", token)
    local function refused(text, query)
      assert.matches("no `next`", raises("bad_argument", function() return (query or Book):after(text, 2) end).message)
    end
    refused("")
    refused("x")
    refused("hello")
    refused(token .. "A")
    refused(token:sub(1, -2))
    refused("!" .. token:sub(2))
    refused(7)
    refused(token, Book:order_by("-title"))
    refused(token, Book:order_by("title", "pages"))
    -- the right order, values that are none of its columns
    local forge = require "moonpool.entity.token"
    refused(forge.write(mp.array{ "title,id", mp.array{ "x", "no number" } }))
    refused(forge.write(mp.array{ "title,id", mp.array{ "x" } }))
    refused(forge.write(mp.array{ "title,id", mp.array{ "x", mp.array{} } }))
    assert.equal(0, #Book:after(forge.write(mp.array{ "title,id", mp.array{ "' or 1=1 --", 1 } }), 20).items - 11)
  end)

  it("by number have their total, and stay in bounds", function()
    local page = Book:order_by("id"):page(2, 4)
    assert.equal("5 4 11 3 2 4", ("%d %d %d %d %d %d"):format(page.items[1].id, #page.items, page.total, page.pages, page.page, page.size))
    assert.equal(3, #Book:page(3, 4).items)
    assert.equal(0, #Book:page(4, 4).items)
    assert.equal(1, Book:page(-5, 4).page)
    assert.equal(1, Book:filter{ title = "none" }:page(1, 4).pages)
    raises("bad_argument", function() return Book:page(1, 0) end)
    raises("bad_argument", function() return Book:page("x", 4) end)
    raises("bad_argument", function() return Book:limit(3):page(1, 4) end)
    raises("bad_argument", function() return Book:after(nil, 1.5) end)
    raises("bad_argument", function() return Book:limit(3):after(nil, 4) end)
    raises("bad_argument", function() return Book:values("title"):after(nil, 4) end)
    raises("bad_argument", function() return Book:distinct("author"):after(nil, 4) end)
    assert.matches("no place", raises("bad_argument", function() return Book:order_by("?"):after(nil, 4) end).message)
    assert.matches("no place", raises("bad_argument", function() return Book:order_by(mp.fn.random() * 2):after(nil, 4) end).message)
  end)
end)
