-- How related objects are loaded: to one when they are touched, for all objects of a result; with prefetch, one statement
-- for each relation. Statements are counted.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("loading relations", function(open, database)
  local db, Author, Book, Tag, Profile, asked, stop

  -- The statements that fn sends.
  local function statements(fn)
    asked = {}
    fn()
    local list = asked
    asked = {}
    return #list, list
  end

  before_each(function()
    db = open()
    Author = mp.entity("Author", { name = f.string{ max = 50 } }, { database = db })
    Profile = mp.entity("Profile", {
      bio = f.string{ max = 50 }, author = f.one_to_one("Author", { inverse = "profile" }),
    }, { database = db })
    Tag = mp.entity("Tag", { label = f.string{ max = 20 } }, { database = db })
    Book = mp.entity("Book", {
      title = f.string{ max = 50 },
      pages = f.integer{ default = 1 },
      author = f.belongs_to("Author", { inverse = "books", null = true }),
      editor = f.belongs_to("Author", { inverse = "edited", null = true }),
      tags = f.many_to_many("Tag", { inverse = "books" }),
    }, { database = db })
    db:create_all()
    for _, name in ipairs{ "ada", "bob", "cleo" } do Author:create{ name = name } end
    for place, label in ipairs{ "lua", "sql", "c" } do Tag:create{ label = label, id = place } end
    for place = 1, 6 do
      Book:create{ title = "book " .. place, pages = 10 - place, author = place % 2 + 1, editor = place > 4 and 3 or nil }
    end
    for place = 1, 4 do Book:get(place).tags:add(1, place % 3 + 1) end
    Profile:create{ bio = "first", author = 1 }
    asked = {}
    stop = db:on("query", function(event) asked[#asked + 1] = event.sql end)
  end)

  after_each(function() stop() end)

  local function titles(rows)
    local list = {}
    for place, one in ipairs(rows) do list[place] = one.title end
    table.sort(list)
    return table.concat(list, ", ")
  end

  describe("when they are touched", function()
    it("asks once for all objects of the result", function()
      local books = Book:order_by("id"):all()
      assert.equal(1, statements(function()
        for _, book in ipairs(books) do assert.is_string(book.author.name) end
      end))
      assert.equal(books[1].author, books[3].author)
      assert.equal(1, statements(function()
        for _, book in ipairs(books) do assert.equal(book.id > 4, book.editor ~= nil) end
      end))
    end)

    it("asks once for the other side of a one_to_one, of those that have none too", function()
      local authors = Author:order_by("id"):all()
      assert.equal(1, statements(function()
        assert.equal("first", authors[1].profile.bio)
        assert.is_nil(authors[2].profile)
        assert.is_nil(authors[3].profile)
      end))
    end)

    it("asks neither for objects that the program dropped, nor keeps them", function()
      local books = Book:order_by("id"):all()
      local first = books[1]
      books = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      local n, list = statements(function() assert.equal("bob", first.author.name) end)
      assert.equal(1, n)
      assert.not_matches(", ", list[1]:match "WHERE(.*)") -- one key
      local weak = setmetatable({ first.author }, { __mode = "v" })
      first = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      assert.is_nil(weak[1])
    end)

    it("asks once when two tasks touch the same relation", function()
      local books = Book:order_by("id"):all()
      assert.equal(1, statements(function()
        mp.gather(function() return books[1].author.name end, function() return books[2].author.name end,
          function() return books[1].author.name end)
      end))
      assert.equal("bob", books[1].author.name)
    end)

    it("goes on for the others when the task that asked is cancelled", function()
      local books = Book:order_by("id"):all()
      mp.run(function()
        local first = mp.spawn(function() return books[1].author.name end)
        local second = mp.spawn(function() return books[2].author.name end)
        mp.sleep(0)
        first:cancel()
        pcall(first.wait, first)
        assert.equal("ada", second:wait())
      end)
    end)

    it("asks for each chunk of a stream", function()
      assert.equal(4, (statements(function()
        for book in Book:order_by("id"):iter{ chunk = 2 } do assert.is_string(book.author.name) end
      end)))
    end)

    it("asks for what is not known only, and keeps the others' objects", function()
      local books = Book:order_by("id"):all()
      local ada = books[2].author
      ada.name = "changed"
      books[1].author_id = 3
      local n, list = statements(function() assert.equal("cleo", books[1].author.name) end)
      assert.equal(1, n)
      assert.not_matches(", ", list[1]:match "WHERE(.*)")
      assert.equal(ada, books[2].author)
      assert.equal("changed", books[4].author.name)
    end)

    it("follows a key that was changed", function()
      local book = Book:get(1)
      assert.equal("bob", book.author.name)
      book.author_id = 3
      assert.equal("cleo", book.author.name)
      book.author_id = nil
      assert.is_nil(book.author)
      book.author = Author:get(1)
      assert.equal(1, book.author_id)
    end)
  end)

  describe("with prefetch", function()
    it("asks once for each relation, and no more", function()
      local authors
      assert.equal(2, statements(function() authors = Author:order_by("id"):prefetch("books"):all() end))
      assert.equal(0, statements(function()
        assert.equal("book 2, book 4, book 6", titles(authors[1].books:all()))
        assert.equal("book 1, book 3, book 5", titles(authors[2].books:all()))
        assert.same({}, authors[3].books:all())
        assert.equal(3, authors[1].books:count())
        assert.is_true(authors[2].books:exists())
        assert.is_false(authors[3].books:exists())
        assert.equal("book 2", authors[1].books:first().title)
        assert.equal("book 6", authors[1].books:last().title)
        assert.is_nil(authors[3].books:first())
        local seen = {}
        for book in authors[1].books:iter() do seen[#seen + 1] = book end
        assert.equal(3, #seen)
        local rows = authors[1].books:iter()
        rows:close()
        assert.is_nil(rows())
        assert.equal(authors[1], authors[1].books:all()[1].author)
      end))
      assert.equal(1, statements(function() authors[1].books:filter{ pages = 1 }:all() end))
      table.remove(authors[1].books:all()) -- a table of the caller's own
      assert.equal(3, authors[1].books:count())
    end)

    it("goes through a table between, with one object for each row", function()
      local books
      assert.equal(2, statements(function() books = Book:order_by("id"):prefetch("tags"):all() end))
      assert.equal(0, statements(function()
        assert.equal(2, books[1].tags:count())
        assert.equal(0, books[5].tags:count())
        local one, two = books[1].tags:all(), books[2].tags:all()
        local lua = {}
        for _, tags in ipairs{ one, two } do
          for _, tag in ipairs(tags) do lua[tag.label] = (lua[tag.label] or tag) == tag and tag end
        end
        assert.is_truthy(lua.lua)
        for name in pairs(one[1]) do assert.is_true(name == "id" or name == "label") end
        assert.is_false(one[1]:is_dirty())
      end))
      local tags = Tag:order_by("id"):prefetch("books"):all()
      assert.equal("book 1, book 2, book 3, book 4", titles(tags[1].books:all()))
    end)

    it("goes on from there", function()
      local authors
      assert.equal(3, statements(function() authors = Author:order_by("id"):prefetch("books__tags", "books"):all() end))
      assert.equal(0, statements(function()
        local labels = {}
        for _, book in ipairs(authors[1].books:all()) do
          for _, tag in ipairs(book.tags:all()) do labels[#labels + 1] = tag.label end
        end
        table.sort(labels)
        assert.same({ "c", "lua", "lua", "sql" }, labels)
      end))
    end)

    it("loads relations to one, and both sides of a one_to_one", function()
      local books
      assert.equal(3, statements(function() books = Book:order_by("id"):prefetch("author__profile"):all() end))
      assert.equal(0, statements(function()
        assert.equal("first", books[2].author.profile.bio)
        assert.is_nil(books[1].author.profile)
        assert.equal(books[2].author, books[2].author.profile.author)
      end))
    end)

    it("narrows and orders the rows", function()
      local authors = Author:order_by("id"):prefetch(mp.prefetch("books", Book:filter{ pages__gt = 4 }:order_by("pages"))):all()
      assert.equal(0, statements(function()
        assert.equal("book 4", authors[1].books:all()[1].title)
        assert.equal("book 2", authors[1].books:last().title)
        assert.equal("book 1, book 3, book 5", titles(authors[2].books:all()))
        assert.equal(2, authors[1].books:count())
      end))
      local books = Book:order_by("id"):prefetch(mp.prefetch("author", Author:filter{ name = "ada" })):all()
      assert.equal(0, statements(function()
        assert.equal("ada", books[2].author.name)
        assert.is_nil(books[1].author)
      end))
      books[1].author_id = 3
      assert.equal("cleo", books[1].author.name)
    end)

    it("takes so many for each owner", function()
      local authors = Author:order_by("id"):prefetch(mp.prefetch("books", Book:order_by("-pages"):limit(2))):all()
      assert.equal("book 2, book 4", titles(authors[1].books:all()))
      assert.equal("book 1", authors[2].books:first().title)
      assert.equal(2, authors[2].books:count())
      authors = Author:order_by("id"):prefetch(mp.prefetch("books", Book:filter{ pages__lt = 9 }:offset(1))):all()
      assert.equal("book 4, book 6", titles(authors[1].books:all()))
      assert.equal("book 5", titles(authors[2].books:all()))
      local tags = Tag:order_by("id"):prefetch(mp.prefetch("books", Book:order_by("pages"):limit(1))):all()
      assert.equal("book 4", titles(tags[1].books:all()))
      assert.equal("book 3", titles(Tag:order_by("id"):prefetch(mp.prefetch("books", Book:order_by("pages"):slice(2, 2))):all()[1].books:all()))
    end)

    it("takes the prefetches of its query set", function()
      local authors
      assert.equal(3, statements(function()
        authors = Author:order_by("id"):prefetch(mp.prefetch("books", Book:prefetch("tags"):order_by("id"))):all()
      end))
      assert.equal(0, statements(function() assert.equal(2, authors[1].books:first().tags:count()) end))
    end)

    it("keeps columns that were asked for, and finds the owner all the same", function()
      local authors = Author:order_by("id"):prefetch(mp.prefetch("books", Book:only("title"))):all()
      local n = statements(function()
        assert.equal("book 2, book 4, book 6", titles(authors[1].books:all()))
      end)
      assert.equal(0, n)
      local loaded = {}
      for name in pairs(authors[1].books:all()[1]) do loaded[name] = true end
      assert.same({ id = true, title = true }, loaded)
    end)

    it("asks nothing for no rows", function()
      assert.equal(1, (statements(function() Author:filter{ name = "nobody" }:prefetch("books__tags"):all() end)))
    end)

    it("works for get, first, one, pages and streams", function()
      local one = Author:prefetch("books"):get(1)
      assert.equal(0, statements(function() assert.equal(3, one.books:count()) end))
      one = Author:prefetch("books"):order_by("id"):first()
      assert.equal(0, statements(function() assert.equal(3, one.books:count()) end))
      one = Author:filter{ name = "bob" }:prefetch("books"):one()
      assert.equal(0, statements(function() assert.equal(3, one.books:count()) end))
      one = Author:prefetch("books"):page(1, 2).items[2]
      assert.equal(0, statements(function() assert.equal(3, one.books:count()) end))
      one = Author:order_by("name"):prefetch("books"):after(nil, 2).items[2]
      assert.equal(0, statements(function() assert.equal(3, one.books:count()) end))
      one = Author:prefetch("books"):in_bulk({ 2 })[2]
      assert.equal(0, statements(function() assert.equal(3, one.books:count()) end))
      local n = statements(function()
        for author in Author:order_by("id"):prefetch("books", "edited"):iter{ chunk = 2 } do
          assert.equal(author.id == 3 and 0 or 3, author.books:count())
          assert.equal(author.id == 3 and 2 or 0, author.edited:count())
        end
      end)
      assert.equal(5, n)
      mp.atomic({ database = db }, function()
        local met = 0
        for author in Author:order_by("id"):prefetch("books"):iter{ chunk = 1 } do
          met = met + 1
          assert.equal(author.id == 3 and 0 or 3, author.books:count())
        end
        assert.equal(3, met)
      end)
    end)

    it("loads several relations at once, in a transaction one after the other", function()
      local authors
      assert.equal(4, statements(function()
        authors = Author:order_by("id"):prefetch("books", "edited", "profile"):all()
      end))
      assert.equal(2, authors[3].edited:count())
      mp.atomic({ database = db }, function()
        Book:create{ title = "new", author = 3 }
        authors = Author:order_by("id"):prefetch("books", "edited", "profile"):all()
        assert.equal("new", authors[3].books:first().title)
        assert.equal("first", authors[1].profile.bio)
      end)
    end)

    it("is dropped by a write to the set", function()
      for _, write in ipairs{
        function(set) set:add(1) end, function(set) set:remove(2) end, function(set) set:set{ 1 } end,
        function(set) set:clear() end, function(set) set:create{ title = "x" } end,
        function(set) set:filter{ title = "x" }:update{ title = "y" } end,
        function(set) set:filter{ title = "y" }:delete() end,
      } do
        local author = Author:prefetch("books"):get(1)
        write(author.books)
        asked = {}
        author.books:count()
        assert.equal(1, #asked)
      end
      local book = Book:prefetch("tags"):get(1)
      book.tags:set{ 3 }
      assert.equal("c", book.tags:all()[1].label)
    end)

    it("is in tables that are asked to have it", function()
      local author = Author:prefetch("books__tags"):get(2)
      local plain = author:to_table{ with = { "books__tags" } }
      assert.equal(3, #plain.books)
      for _, book in ipairs(plain.books) do
        assert.equal(({ [1] = 2, [3] = 1, [5] = 0 })[book.id], #book.tags)
      end
      assert.same({ id = 2, name = "bob" }, author:to_table())
      assert.is_nil(Author:get(1):to_table{ with = { "books" } }.books)
      assert.matches("no relation", raises("bad_argument", function() author:to_table{ with = { "name" } } end).message)
      raises("unknown_field", function() author:to_table{ with = { "bookz" } } end)
    end)

    it("refuses what it cannot load", function()
      assert.matches("did you mean books", raises("unknown_field", function() Author:prefetch("boks") end).message)
      assert.matches("did you mean tags", raises("unknown_field", function() Author:prefetch("books__tag") end).message)
      assert.matches("no relation", raises("bad_argument", function() Author:prefetch("name") end).message)
      assert.matches("no relation", raises("bad_argument", function() Book:prefetch("author_id") end).message)
      raises("bad_argument", function() Author:prefetch(3) end)
      raises("bad_argument", function() Author:prefetch{ "books" } end)
      assert.matches("leads to Book, not to Tag", raises("bad_argument", function()
        Author:prefetch(mp.prefetch("books", Tag:filter{ id = 1 }))
      end).message)
      assert.matches("objects", raises("bad_argument", function() mp.prefetch("books", Book:values("title")) end).message)
      assert.matches("for objects", raises("bad_argument", function() Author:values("id"):prefetch("books") end).message)
      assert.matches("no objects", raises("bad_argument", function() Author:prefetch("books"):values("id") end).message)
      raises("bad_argument", function() mp.prefetch("books") end)
      raises("bad_argument", function() mp.prefetch(Book:filter{ id = 1 }, "books") end)
      assert.matches("two ways", raises("bad_argument", function()
        Author:prefetch(mp.prefetch("books", Book:filter{ id = 1 }), mp.prefetch("books", Book:filter{ id = 2 }))
      end).message)
      assert.matches("one row", raises("bad_argument", function() Book:prefetch(mp.prefetch("author", Author:limit(1))) end).message)
    end)
  end)

  it("refuses to load what is declared so, and takes what was prefetched", function()
    local Note = mp.entity("Note", {
      text = f.string{ max = 10 },
      author = f.belongs_to("Author", { lazy = "raise" }),
      tags = f.many_to_many("Tag", { lazy = "raise", inverse = "notes" }),
    }, { database = db })
    db:create_all()
    Note:create{ text = "x", author = 1 }
    local note = Note:get(1)
    assert.matches("Note.author is not loaded.*select_related", raises("unsupported", function() return note.author end).message)
    assert.matches("prefetch", raises("unsupported", function() return note.tags:all() end).message)
    raises("unsupported", function() return note.tags:count() end)
    assert.equal(1, note.author_id)
    note.tags:add(1)
    assert.equal(1, note.tags:filter{ label = "lua" }:count())
    note = Note:prefetch("author", "tags"):get(1)
    assert.equal("ada", note.author.name)
    assert.equal("lua", note.tags:first().label)
    assert.equal("ada", Note:select_related("author"):get(1).author.name)
    note.author = Author:get(2)
    assert.equal("bob", note.author.name)
  end)

  if not database.single then
    it("leads to another database", function()
      local other = open()
      local Country = mp.entity("Country", { name = f.string{ max = 20 } }, { database = other })
      local City = mp.entity("City", {
        name = f.string{ max = 20 }, country = f.belongs_to("Country", { inverse = "cities" }),
      }, { database = db })
      db:create_all()
      other:create_all()
      Country:create{ name = "far" }
      City:create{ name = "near", country = 1 }
      City:create{ name = "nearer", country = 1 }
      local cities = City:order_by("id"):all()
      assert.equal("far", cities[1].country.name)
      assert.equal(cities[1].country, cities[2].country)
      assert.equal("far", City:prefetch("country"):get(1).country.name)
      assert.equal(2, Country:prefetch("cities"):get(1).cities:count())
      assert.same({ "near", "nearer" }, Country:get(1).cities:order_by("name"):pluck "name")
      assert.matches("lives in another database", raises("unsupported", function()
        City:filter{ country__name = "far" }:all()
      end).message)
      raises("unsupported", function() Country:filter{ cities__name = "near" }:all() end)
      raises("bad_argument", function()
        mp.entity("Town", { country = f.belongs_to("Country", { on_delete = "cascade" }) }, { database = db })
        db:create_all()
      end)
      mp.entity("Town", { id = f.id() }, { database = db })
    end)
  end
end)
