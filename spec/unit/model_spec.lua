-- What a declaration makes of an entity, and which declarations are refused.

local field = require "moonpool.field"
local model = require "moonpool.resolve.model"
local sql = require "spec.support.sql"

local f = field.types

local function names(fields)
  local list = {}
  for i, one in ipairs(fields) do list[i] = one.name end
  return list
end

describe("a model", function()
  it("keeps its fields in order of declaration and has a key", function()
    local m = model.declare("OrderItem", { zeta = f.integer(), alpha = f.string(), mid = f.boolean() })
    assert.same({ "id", "zeta", "alpha", "mid" }, names(m.fields))
    assert.equal("order_item", m.table)
    assert.same({ "id" }, names(m.key))
    assert.is_true(m.key[1].generated)
  end)

  it("takes another key", function()
    local m = model.declare("Country", { code = f.string { max = 2, primary_key = true }, name = f.string() })
    assert.same({ "code", "name" }, names(m.fields))
    assert.equal(m:field "code", m:field "pk")
    local composite = model.declare("Place", { a = f.integer(), b = f.integer() }, { primary_key = { "a", "b" } })
    assert.same({ "a", "b" }, names(composite.key))
    assert.same({ "a", "b" }, names(composite.fields))
  end)

  it("answers to the attribute of a relation, whose kind is its target's", function()
    model.declare("Tail", { dog = f.belongs_to("Dog", { inverse = "tails" }), length = f.integer() })
    local dog = model.declare("Dog", { key = f.uuid { primary_key = true } })
    local tail = model.get "Tail"
    assert.equal("dog_id", tail:field("dog").attribute)
    assert.equal(tail:field "dog", tail:field "dog_id")
    assert.equal("uuid", tail:field("dog").kind_name)
    assert.equal(dog, tail:field("dog"):target())
    assert.equal(tail, dog.inverses.tails.model)
    assert.same({ "id", "dog_id", "length" }, tail.plan.names)
  end)

  it("replaces the one of its name", function()
    model.declare("Again", { a = f.integer() })
    local second = model.declare("Again", { b = f.integer() })
    assert.equal(second, model.find "Again")
    local times = 0
    for _, m in ipairs(model.all()) do
      if m.name == "Again" then times = times + 1 end
    end
    assert.equal(1, times)
  end)

  it("keeps the query set of all rows of the others, which lead to the new one", function()
    local Book = sql.entity("Book", { author = f.belongs_to("Author", { inverse = "books" }) })
    sql.entity("Author", { name = f.string() })
    assert.equal([["author"."name" = ?1]], sql.where(Book:filter { author__name = "x" }))
    sql.entity("Author", { nick = f.string() })
    assert.equal(Book.shape, Book.model.root)
    assert.equal([["author"."nick" = ?1]], sql.where(Book:filter { author__nick = "x" }))
    sql.error("unknown_field", function() Book:filter { author__name = "x" } end)
    sql.error("unknown_field", function() return Book.author.name end)
  end)

  it("lets two entities share a declaration", function()
    local created = f.datetime { null = true }
    local state = f.enum { "a", "b" }
    local one = model.declare("One", { created = created, state = state })
    local two = model.declare("Two", { created = created, state = state })
    assert.equal("One.created", one:field("created"):title())
    assert.equal("Two.state", two:field("state"):title())
  end)

  it("names the nearest field for an unknown one", function()
    local m = model.declare("User", { name = f.string() })
    assert.matches('User has no field "nmae" (did you mean name?)', sql.error("unknown_field", function() m:field "nmae" end), nil, true)
  end)
end)

describe("a declaration is refused", function()
  local function refused(kind, fields, options)
    return sql.error(kind, function() model.declare("Bad", fields, options) end)
  end

  it("for a name that objects answer to, with the way out", function()
    assert.matches('call it save_ and give it column = "save"', refused("bad_argument", { save = f.integer() }), nil, true)
    refused("bad_argument", { pk = f.integer() })
    refused("bad_argument", { c = f.integer() })
    refused("bad_argument", { before_insert = f.integer() })
  end)

  it("for names that cannot stand in filter keys", function()
    assert.matches("__", refused("bad_argument", { a__b = f.integer() }), nil, true)
    refused("bad_argument", { ["a b"] = f.integer() })
    refused("bad_argument", { _own = f.integer() })
    refused("bad_argument", { [1] = f.integer() })
  end)

  it("for two things of one name or one column", function()
    assert.matches("author_id", refused("bad_argument", { author = f.belongs_to "Author", author_id = f.integer() }))
    assert.matches("same column", refused("bad_argument", { a = f.integer { column = "x" }, b = f.integer { column = "X" } }))
    model.declare("Owner", { pets = f.integer() })
    assert.matches("pets", refused("bad_argument", { owner = f.belongs_to("Owner", { inverse = "pets" }) }))
    model.declare("Owner", {})
    assert.matches("same inverse", refused("bad_argument", {
      a = f.belongs_to("Owner", { inverse = "pets" }), b = f.belongs_to("Owner", { inverse = "pets" }),
    }))
  end)

  it("for what is no field", function()
    assert.matches("mp.field", refused("bad_argument", { a = "integer" }), nil, true)
  end)

  it("for two keys, or a key that may be NULL", function()
    refused("bad_argument", { a = f.integer { primary_key = true }, b = f.integer { primary_key = true } })
    refused("bad_argument", { a = f.integer { primary_key = true, null = true } })
    refused("bad_argument", { id = f.integer() })
  end)

  it("for unknown options, with the nearest", function()
    assert.matches("did you mean table", refused("unknown_option", {}, { tabel = "x" }))
    assert.matches("did you mean unique", refused("unknown_option", { a = f.integer() }, { indexes = { { "a", uniqe = true } } }))
    assert.matches("did you mean a", refused("unknown_field", { a1 = f.integer() }, { indexes = { { "a2" } } }))
  end)

  it("for relations that cannot be", function()
    assert.matches("needs null = true", refused("bad_argument", { o = f.belongs_to("Owner", { on_delete = "set_null" }) }))
    assert.matches("did you mean cascade", refused("bad_argument", { o = f.belongs_to("Owner", { on_delete = "cascad" }) }))
    assert.matches("restrict", refused("bad_argument", { o = f.belongs_to("Owner", { on_update = "protect" }) }))
    sql.error("bad_argument", function() f.belongs_to(3) end)
  end)

  it("and leaves the entity of that name as it was", function()
    local before = model.declare("Bad", { a = f.integer() })
    refused("bad_argument", { save = f.integer() })
    assert.equal(before, model.find "Bad")
  end)
end)

describe("a path", function()
  local Author, Book

  setup(function()
    Author = sql.entity("Author", { name = f.string(), prefs = f.json { null = true } })
    Book = sql.entity("Book", { title = f.string(), author = f.belongs_to("Author", { inverse = "books" }) })
  end)

  it("names the nearest field, lookup or relation for an unknown one", function()
    assert.equal('Book has no field "titel" (did you mean title?)', sql.error("unknown_field", function() Book:filter { titel = 1 } end))
    assert.equal('Author has no field "nmae" (did you mean name?)', sql.error("unknown_field", function() Book:filter { author__nmae = 1 } end))
    assert.equal('no lookup "containz" for string field Author.name (did you mean contains?)',
      sql.error("unknown_lookup", function() Author:filter { name__containz = "x" } end))
    assert.equal('Author has no field "boks" (did you mean books?)', sql.error("unknown_field", function() Author:filter { boks__title = 1 } end))
    assert.matches("no lookup", sql.error("unknown_lookup", function() Book:filter { id__contains = "x" } end))
    assert.matches("nothing can follow", sql.error("unknown_lookup", function() Book:filter { id__gt__gt = 1 } end))
    assert.matches("did you mean title", sql.error("unknown_field", function() Book:order_by("-titel") end))
    assert.matches("did you mean title", sql.error("unknown_field", function() Book:values("titel") end))
    assert.matches("did you mean name", sql.error("unknown_field", function() return Book.author.nmae end))
    assert.matches("did you mean title", sql.error("unknown_field", function() return Book.titel end))
    sql.error("unknown_field", function() Book:order_by("title__gt") end)
  end)

  it("leads into JSON", function()
    assert.matches("theme", tostring(Author.prefs.theme))
    assert.same({ "ui", "in" }, Author.model:path("prefs__ui__in__exact").keys)
    assert.equal([["prefs" IS NULL]], sql.where(Author:filter { prefs__isnull = true }))
  end)

  it("to an entity that is not declared says so", function()
    local Lost = sql.entity("Lost", { home = f.belongs_to "Hme" })
    assert.matches("Hme, which is not declared", sql.error("unknown_field", function() Lost:filter { home__x = 1 } end), nil, true)
  end)

  it("of another entity's column is refused", function()
    assert.matches("Author.name does not belong to a query of Book", sql.error("bad_argument", function()
      Book:filter(Author.name:eq "x")
    end))
  end)

  it("takes an object for a key", function()
    local ada = {}
    field.set_key_of(function(value) return value == ada and 7 or nil end)
    finally(function() field.set_key_of(function() return nil end) end)
    assert.same({ 7 }, Book:filter { author = ada }.slots)
    assert.same({ 7, 8 }, Book:filter { author__in = { ada, 8 } }.slots)
    assert.same({ 7 }, Author:filter { pk = ada }.slots)
    sql.error("bad_argument", function() Book:filter { author = {} } end)
  end)
end)
