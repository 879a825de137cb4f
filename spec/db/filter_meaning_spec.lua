-- Generated filters mean on the database what they mean in Lua: each is run as SQL and evaluated over the
-- same rows in plain Lua, with conditions that are true or false and never unknown.
-- MOONPOOL_LONG=filters runs many more; MOONPOOL_SEED=n runs the filters of a failure again.

local databases = require "spec.support.databases"
local generated = require "spec.support.generated"

local ROUNDS = os.getenv "MOONPOOL_LONG" == "filters" and 20000 or 150

local function keys_of(rows, holds)
  local keys = {}
  for _, row in ipairs(rows) do
    if not holds or holds(row) then keys[#keys + 1] = row.id end
  end
  return table.concat(keys, " ")
end

databases.each("a filter", function(open)
  local world, seed, random

  before_each(function()
    seed = generated.seed()
    random = generated.random(seed)
    world = generated.library(open(), random)
  end)

  local function check(entity, data, condition, holds, round)
    local found, rest = world[entity]:filter(condition), world[entity]:exclude(condition)
    local where = ("seed %d, filter %d: %s"):format(seed, round, (found:sql()))
    assert.equal(keys_of(data, holds), keys_of(found:order_by("id"):all()), where)
    assert.equal(#data - found:count(), rest:count(), where)
    assert.equal(found:count() > 0, found:exists(), where)
  end

  it("finds the rows for which it holds, and exclude exactly the others", function()
    for round = 1, ROUNDS do
      local condition, holds = generated.condition(random, "Book", 3)
      check("Book", world.books, condition, holds, round)
    end
  end)

  it("through a relation to many holds where one of them does", function()
    for round = 1, ROUNDS do
      local path, kind = table.unpack(generated.one_of(random, generated.paths.Book))
      local lookup, value, holds = generated.lookup(random, kind)
      check("Author", world.authors, { ["books__" .. path .. lookup] = value }, function(author)
        for _, book in ipairs(author.books) do
          if holds(generated.value_of(book, path)) then return true end
        end
        return false
      end, round)
    end
  end)

  it("that is broken is caught by this comparison", function()
    local correct = generated.comparisons.lte
    finally(function() generated.comparisons.lte = correct end)
    generated.comparisons.lte = generated.comparisons.lt
    local differs = false
    for _ = 1, 2000 do
      local condition, holds = generated.condition(random, "Book", 1)
      differs = differs or keys_of(world.books, holds) ~= keys_of(world.Book:filter(condition):order_by("id"):all())
      if differs then break end
    end
    assert.is_true(differs)
  end)
end)
