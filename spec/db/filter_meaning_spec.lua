-- Generated filters mean on the database what they mean in Lua: each is run as SQL and evaluated over the
-- same rows in plain Lua, with conditions that are true or false and never unknown.
-- MOONPOOL_LONG=filters runs many more; MOONPOOL_SEED=n runs the filters of a failure again.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local f = mp.field

local ROUNDS = os.getenv "MOONPOOL_LONG" == "filters" and 20000 or 150

local NAMES = { "Ada", "ada", "Bob", "ÄDA", "ß%x", "a*b", "a[b", "a_b", "!", "" }

-- What may stand on the left, and of which kind it is.
local PATHS = {
  { "title", "text" }, { "pages", "int" }, { "editor_id", "int" }, { "author__age", "int" }, { "editor__age", "int" },
  { "editor__name", "text" }, { "author__balance", "decimal" }, { "editor__balance", "decimal" }, { "editor__weight", "float" },
}

local COMPARISONS = {
  gt = function(a, b) return b < a end,
  gte = function(a, b) return b <= a end,
  lt = function(a, b) return a < b end,
  lte = function(a, b) return a <= b end,
}

local MATCHES = {
  contains = function(text, part) return text:find(part, 1, true) ~= nil end,
  startswith = function(text, part) return text:sub(1, #part) == part end,
  endswith = function(text, part) return part == "" or text:sub(-#part) == part end,
}

-- The same numbers on every machine for one seed.
local function generator(seed)
  local state = seed % 2147483646 + 1
  return function(low, high)
    state = state * 16807 % 2147483647
    return low + state % (high - low + 1)
  end
end

local function one_of(random, list) return list[random(1, #list)] end

local function any_value(random, kind)
  if kind == "text" then return one_of(random, NAMES) end
  if kind == "int" then return random(0, 6) end
  if kind == "float" then return random(0, 3) / 2 end
  return mp.decimal(("%d.%s"):format(random(-2, 12), one_of(random, { "5", "50", "00", "0" })))
end

-- A lookup as a table for filter, and as a function of the value on its left.
local function any_lookup(random)
  local path, kind = table.unpack(one_of(random, PATHS))
  local value = any_value(random, kind)
  local lookups = { "exact", "ne", "gt", "gte", "lt", "lte", "in", "not_in", "range", "isnull", "null", "not_null" }
  if kind == "text" then
    for name in pairs(MATCHES) do lookups[#lookups + 1] = name end
    table.sort(lookups)
  end
  local name = one_of(random, lookups)
  if name == "exact" then
    return { [path] = value }, path, function(x) return x ~= nil and x == value end
  elseif name == "ne" then
    return { [path .. "__ne"] = value }, path, function(x) return x == nil or x ~= value end
  elseif name == "null" then
    return { [path] = mp.null }, path, function(x) return x == nil end
  elseif name == "not_null" then
    return { [path .. "__ne"] = mp.null }, path, function(x) return x ~= nil end
  elseif name == "isnull" then
    local wanted = random(1, 2) == 1
    return { [path .. "__isnull"] = wanted }, path, function(x) return (x == nil) == wanted end
  elseif name == "range" then
    local high = any_value(random, kind)
    return { [path .. "__range"] = { value, high } }, path, function(x) return x ~= nil and value <= x and x <= high end
  elseif name == "in" or name == "not_in" then
    local list = {}
    for i = 1, random(0, 20) do
      list[i] = random(1, 10) == 1 and mp.null or any_value(random, kind)
    end
    return { [path .. "__" .. name] = list }, path, function(x)
      local found = false
      for _, item in ipairs(list) do
        if item == mp.null then
          found = found or x == nil
        else
          found = found or (x ~= nil and x == item)
        end
      end
      return found == (name == "in")
    end
  end
  local compare = COMPARISONS[name] or MATCHES[name]
  return { [path .. "__" .. name] = value }, path, function(x) return x ~= nil and compare(x, value) end
end

-- A condition, and the same as a function of a row.
local function any_condition(random, depth, value_of)
  local kind = depth == 0 and 1 or random(1, 4)
  if kind == 1 then
    local keys, path, holds = any_lookup(random)
    return mp.Q(keys), function(row) return holds(value_of(row, path)) end
  end
  local a, a_holds = any_condition(random, depth - 1, value_of)
  if kind == 2 then return mp.no(a), function(row) return not a_holds(row) end end
  local b, b_holds = any_condition(random, depth - 1, value_of)
  if kind == 3 then return mp.all(a, b), function(row) return a_holds(row) and b_holds(row) end end
  return mp.any(a, b), function(row) return a_holds(row) or b_holds(row) end
end

local function keys_of(rows, holds)
  local keys = {}
  for _, row in ipairs(rows) do
    if holds(row) then keys[#keys + 1] = row.id end
  end
  return table.concat(keys, " ")
end

databases.each("a filter", function(open)
  local Author, Book, authors, books, seed, random

  before_each(function()
    local db = open()
    seed = tonumber(os.getenv "MOONPOOL_SEED" or os.time())
    random = generator(seed)
    Author = mp.entity("Author", {
      name = f.string(),
      age = f.integer { null = true },
      balance = f.decimal { precision = 12, scale = 2, null = true },
      weight = f.float { null = true },
    }, { database = db })
    Book = mp.entity("Book", {
      title = f.string(),
      author = f.belongs_to("Author", { inverse = "books" }),
      editor = f.belongs_to("Author", { null = true }),
      pages = f.integer(),
    }, { database = db })
    db:create_all()
    local function maybe(kind)
      if random(1, 4) == 1 then return nil end
      return any_value(random, kind)
    end
    authors, books = {}, {}
    for i = 1, 20 do
      authors[i] = Author:create { name = one_of(random, NAMES), age = maybe "int", balance = maybe "decimal", weight = maybe "float" }
    end
    for i = 1, 40 do
      books[i] = Book:create {
        title = one_of(random, NAMES), pages = random(0, 9), author = authors[random(1, 15)],
        editor = random(1, 3) > 1 and authors[random(1, 20)] or nil,
      }
    end
  end)

  local function value_of(book, path)
    local relation, name = path:match "^(%a+)__(.*)$"
    if not relation then return book[path] end
    local author = authors[book[relation .. "_id"]]
    if author then return author[name] end
  end

  it("finds the rows for which it holds, and exclude exactly the others", function()
    for round = 1, ROUNDS do
      local condition, holds = any_condition(random, 3, value_of)
      local found, rest = Book:filter(condition), Book:exclude(condition)
      local where = ("seed %d, filter %d: %s"):format(seed, round, (found:sql()))
      assert.equal(keys_of(books, holds), keys_of(found:order_by("id"):all(), function() return true end), where)
      assert.equal(#books - found:count(), rest:count(), where)
      assert.equal(found:count() > 0, found:exists(), where)
    end
  end)

  it("through a relation to many holds where one of them does", function()
    for round = 1, ROUNDS do
      local keys, path, holds = any_lookup(random)
      local key, value = next(keys)
      local found = Author:filter { ["books__" .. key] = value }
      local where = ("seed %d, filter %d: %s"):format(seed, round, (found:sql()))
      local function has_one(author)
        for _, book in ipairs(books) do
          if book.author_id == author.id and holds(value_of(book, path)) then return true end
        end
        return false
      end
      assert.equal(keys_of(authors, has_one), keys_of(found:order_by("id"):all(), function() return true end), where)
      assert.equal(#authors - found:count(), Author:exclude { ["books__" .. key] = value }:count(), where)
    end
  end)

  it("that is broken is caught by this comparison", function()
    local correct = COMPARISONS.lte
    finally(function() COMPARISONS.lte = correct end)
    COMPARISONS.lte = COMPARISONS.lt
    local differs = false
    for _ = 1, 2000 do
      local condition, holds = any_condition(random, 1, value_of)
      differs = differs or keys_of(books, holds) ~= keys_of(Book:filter(condition):order_by("id"):all(), function() return true end)
      if differs then break end
    end
    assert.is_true(differs)
  end)
end)
