-- Calls that a program gets wrong: each says what is wrong and what to write, and nothing is dropped without a word.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

local function says(text, err)
  assert.truthy(err.message:find(text, 1, true), err.message)
end

databases.each("a wrong call", function(open)
  local db, Author

  before_each(function()
    db = open()
    Author = mp.entity("Author", { name = f.string{ max = 50 }, age = f.integer{ null = true } }, { database = db })
    db:create_all()
    Author:create{ name = "ada", age = 36 }
    Author:create{ name = "bob" }
  end)

  it("with a dot names the colon", function()
    says("Author:filter(", raises("bad_argument", Author.filter, { age = 3 }))
    says("Author:count(", raises("bad_argument", Author.count))
    says("author:save()", raises("bad_argument", Author:first().save))
    says("db:fetch_all(", raises("bad_argument", db.fetch_all, "select 1"))
    assert.equal(1, Author.filter(Author:filter{ name = "ada" }, { age = 36 }):count())
  end)

  it("that treats an entity as an array names all and iter", function()
    says(":all()", raises("bad_argument", function() return #Author end))
    says(":iter()", raises("bad_argument", function() return pairs(Author) end))
  end)

  it("that gives a terminal an argument is refused", function()
    for _, name in ipairs{ "all", "one", "first", "last", "count", "exists" } do
      says(name, raises("bad_argument", Author[name], Author, "age"))
    end
  end)

  it("that gives more than a call takes is refused, and writes nothing", function()
    local some, more = Author:filter{ age = 36 }, { name = "bob" }
    for _, name in ipairs{ "delete", "purge" } do
      says("filter", raises("bad_argument", some[name], some, more))
      says("no argument", raises("bad_argument", some:first()[name], some:first(), more))
    end
    says("filter", raises("bad_argument", some.restore, some, more))
    says("filter", raises("bad_argument", some.update, some, { age = 1 }, more))
    says("filter", raises("bad_argument", Author.update, Author, { age = 1 }, more))
    says("filter", raises("bad_argument", Author.all_rows, Author, more))
    says("bulk_create", raises("bad_argument", Author.create, Author, { name = "cid" }, more))
    assert.same({ 36 }, some:pluck("age"))
    assert.equal(2, Author:count())
    for _, name in ipairs{ "sum", "avg", "min", "max" } do
      says("filter", raises("bad_argument", Author[name], Author, "age", more))
    end
    says("filter", raises("bad_argument", Author.aggregate, Author, { n = mp.fn.count() }, more))
    says("offset(20)", raises("bad_argument", Author.limit, Author, 10, 20))
    says("offset(20)", raises("bad_argument", Author.offset, Author, 10, 20))
    says("slice(21, 30)", raises("bad_argument", Author.slice, Author, 1, 10, 2))
    says("order_by", raises("bad_argument", Author.page, Author, 1, 10, "name"))
    says("order_by", raises("bad_argument", Author.after, Author, nil, 10, "name"))
  end)

  it("that gives a function to a transaction by hand is refused", function()
    says("db:atomic(fn)", raises("bad_argument", db.begin, db, function() end))
    raises("bad_argument", db.begin, db, "x")
  end)

  it("that gives no table as options is refused", function()
    says("iter", raises("bad_argument", Author.iter, Author, 5))
    says("sql", raises("bad_argument", Author.sql, Author, "sqlite"))
    says("explain", raises("bad_argument", Author.explain, Author, true))
    says("nulls", raises("bad_argument", Author.c.age.asc, Author.c.age, "last"))
    says("drain", raises("bad_argument", db.close, db, 5))
  end)

  it("of is_null with a value is refused, rather than meaning the contrary", function()
    says("mp.no", raises("bad_argument", Author.c.age.is_null, Author.c.age, false))
  end)

  it("of save with fields that do not exist, or of a new object, is refused", function()
    local author = Author:first()
    author.age = 40
    says("did you mean name?", raises("unknown_field", author.save, author, { fields = { "nme" } }))
    raises("bad_argument", function() Author:build{ name = "x" }:save{ fields = { "name" } } end)
    assert.equal(2, Author:count())
  end)

  it("of a name that is not built yet says so", function()
    local all = Author:filter{ age = 36 }
    raises("unsupported", all.export, all, "authors.csv")
    raises("unsupported", Author.import, Author, "authors.csv")
  end)

  it("for tables that were not read yet names the call that reads them", function()
    assert.matches("db:reflect()", raises("bad_argument", function() return db.tables.author end).message, nil, true)
  end)
end)

databases.each("exclude{}", function(open)
  it("takes nothing away, like exclude(), and is no condition", function()
    local db = open()
    local Author = mp.entity("Author", { name = f.string{ max = 50 } }, { database = db })
    db:create_all()
    Author:create{ name = "ada" }
    assert.equal(1, Author:exclude{}:count())
    assert.equal(1, Author:exclude():count())
    raises("unfiltered", function() Author:exclude{}:delete() end)
  end)
end)

describe("configure", function()
  it("refuses nil, and what was configured stays", function()
    mp.configure "sqlite::memory:"
    raises("configuration", mp.configure, nil)
    local err = raises("unknown_option", mp.configure, { dialct = "sqlite" }) -- and not a database of that name
    assert.equal("no option dialct (did you mean dialect?)", err.message)
    raises("configuration", mp.configure, { ledger = "sqlite" })
    assert.equal(1, mp.db():fetch_val "select 1")
    mp.close_all()
  end)
end)
