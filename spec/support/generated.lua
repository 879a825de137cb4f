-- Generated query sets: a small library of authors, books and tags as entities and as plain Lua tables, and makers of
-- random conditions, expressions and query sets, each beside a function that says in plain Lua what it
-- means. Conditions are true or false and never unknown; NULL is nil.

local mp = require "moonpool"
local f = mp.field

local generated = {}

-- The same numbers on every machine for one seed.
function generated.random(seed)
  local state = seed % 2147483646 + 1
  return function(low, high)
    state = state * 16807 % 2147483647
    return low + state % (high - low + 1)
  end
end

function generated.seed()
  return tonumber(os.getenv "MOONPOOL_SEED" or os.time())
end

local function one_of(random, list) return list[random(1, #list)] end
generated.one_of = one_of

-- ---- the library ----

-- The one that was made last: sub-queries are query sets of its entities.
local world

local NAMES = { "Ada", "ada", "Bob", "ÄDA", "ß%x", "a*b", "a[b", "a_b", "!", "", "x!Ada", "aab" }

local function any_value(random, kind)
  if kind == "text" then return one_of(random, NAMES) end
  if kind == "int" then return random(0, 6) end
  if kind == "float" then return random(0, 3) / 2 end
  if kind == "bool" then return random(1, 2) == 1 end
  return mp.decimal(("%d.%s"):format(random(-2, 12), one_of(random, { "5", "50", "00", "0" })))
end
generated.any_value = any_value

--- Entities on a database, filled: { Author, Book, Tag, authors, books, tags }. The arrays hold plain tables.
function generated.library(db, random)
  local library = { authors = {}, books = {}, tags = {} }
  library.Author = mp.entity("Author", {
    name = f.string(),
    age = f.integer { null = true },
    balance = f.decimal { precision = 12, scale = 2, null = true },
    weight = f.float { null = true },
  }, { database = db })
  library.Tag = mp.entity("Tag", { label = f.string(), rank = f.integer { null = true } }, { database = db })
  library.Book = mp.entity("Book", {
    title = f.string(),
    author = f.belongs_to("Author", { inverse = "books" }),
    editor = f.belongs_to("Author", { null = true }),
    pages = f.integer(),
    price = f.decimal { precision = 12, scale = 2, null = true },
    published = f.boolean { null = true },
    tags = f.many_to_many("Tag", { inverse = "books" }),
  }, { database = db })
  db:create_all()
  local function maybe(kind)
    if random(1, 4) == 1 then return nil end
    return any_value(random, kind)
  end
  for i = 1, 20 do
    library.authors[i] = {
      id = i, name = NAMES[i] or one_of(random, NAMES), age = maybe "int", balance = maybe "decimal", weight = maybe "float", books = {},
    }
  end
  for i = 1, 5 do library.tags[i] = { id = i, label = one_of(random, NAMES), rank = maybe "int", books = {} } end
  for i = 1, 40 do
    local author = library.authors[random(1, 15)]
    local editor = random(1, 3) > 1 and library.authors[random(1, 20)] or nil
    local book = {
      id = i, title = NAMES[i] or one_of(random, NAMES), pages = random(0, 9), price = maybe "decimal", published = maybe "bool",
      author = author, author_id = author.id, editor = editor, editor_id = editor and editor.id, tags = {},
    }
    for _, tag in ipairs(library.tags) do
      if random(1, 3) == 1 then
        table.insert(book.tags, tag)
        table.insert(tag.books, book)
      end
    end
    table.insert(author.books, book)
    library.books[i] = book
  end
  local function columns(list, ...)
    local rows = {}
    for i, row in ipairs(list) do
      rows[i] = {}
      for _, name in ipairs { ... } do rows[i][name] = row[name] end
    end
    return rows
  end
  library.Author:bulk_create(columns(library.authors, "id", "name", "age", "balance", "weight"))
  library.Tag:bulk_create(columns(library.tags, "id", "label", "rank"))
  local books = library.Book:bulk_create(columns(library.books, "id", "title", "author_id", "editor_id", "pages", "price", "published"))
  for i, book in ipairs(library.books) do
    for _, tag in ipairs(book.tags) do books[i].tags:add(tag.id) end
  end
  world = library
  return library
end

-- ---- lookups and conditions ----

generated.comparisons = {
  gt = function(a, b) return b < a end,
  gte = function(a, b) return b <= a end,
  lt = function(a, b) return a < b end,
  lte = function(a, b) return a <= b end,
}

generated.matches = {
  contains = function(text, part) return text:find(part, 1, true) ~= nil end,
  startswith = function(text, part) return text:sub(1, #part) == part end,
  endswith = function(text, part) return part == "" or text:sub(-#part) == part end,
}

--- One lookup of a value of a kind: what stands behind the path, what it is given, and whether it holds of a value.
function generated.lookup(random, kind)
  local value = any_value(random, kind)
  local names = { "exact", "ne", "in", "not_in", "isnull", "null", "not_null" }
  if kind ~= "bool" then
    for _, name in ipairs { "gt", "gte", "lt", "lte", "range" } do names[#names + 1] = name end
  end
  if kind == "text" then
    for _, name in ipairs { "contains", "startswith", "endswith" } do names[#names + 1] = name end
  end
  local name = one_of(random, names)
  if name == "exact" then
    return "", value, function(x) return x ~= nil and x == value end
  elseif name == "ne" then
    return "__ne", value, function(x) return x == nil or x ~= value end
  elseif name == "null" then
    return "", mp.null, function(x) return x == nil end
  elseif name == "not_null" then
    return "__ne", mp.null, function(x) return x ~= nil end
  elseif name == "isnull" then
    local wanted = random(1, 2) == 1
    return "__isnull", wanted, function(x) return (x == nil) == wanted end
  elseif name == "range" then
    local high = any_value(random, kind)
    return "__range", { value, high }, function(x) return x ~= nil and value <= x and x <= high end
  elseif name == "in" or name == "not_in" then
    local list = {}
    for i = 1, random(0, 20) do
      list[i] = random(1, 10) == 1 and mp.null or any_value(random, kind)
    end
    return "__" .. name, list, function(x)
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
  local compare = generated.comparisons[name] or generated.matches[name]
  return "__" .. name, value, function(x) return x ~= nil and compare(x, value) end
end

-- Paths to one value, by entity: name, kind. Those of AUTHOR stand behind "author" and "editor" too.
local AUTHOR = { { "name", "text" }, { "age", "int" }, { "balance", "decimal" }, { "weight", "float" } }
local BOOK = { { "title", "text" }, { "pages", "int" }, { "price", "decimal" }, { "published", "bool" }, { "editor_id", "int" } }
local TAG = { { "label", "text" }, { "rank", "int" } }

local function behind(list, prefix, into)
  for _, path in ipairs(list) do into[#into + 1] = { prefix .. "__" .. path[1], path[2] } end
  return into
end

local OF_BOOK = behind(AUTHOR, "author", behind(AUTHOR, "editor", { table.unpack(BOOK) }))

generated.paths = { Author = AUTHOR, Book = OF_BOOK, Tag = TAG }

-- Relations to many: name and the entity behind.
generated.many = { Author = { { "books", "Book" } }, Book = { { "tags", "Tag" } }, Tag = { { "books", "Book" } } }

--- The value at the end of a path to one row each; nil also where a relation on the way is NULL.
function generated.value_of(row, path)
  for name in (path .. "__"):gmatch "(.-)__" do
    row = row[name]
    if row == nil then return nil end
  end
  return row
end

local value_of = generated.value_of

-- The keys of one filter table; those behind a relation to many speak of the same row.
local function any_match(random, entity)
  local keys, own, through = {}, {}, {}
  for _ = 1, random(1, 3) do
    local many = random(1, 3) == 1 and one_of(random, generated.many[entity])
    local path, kind = table.unpack(one_of(random, generated.paths[many and many[2] or entity]))
    local lookup, value, holds = generated.lookup(random, kind)
    local key = (many and many[1] .. "__" or "") .. path .. lookup
    if keys[key] == nil then
      keys[key] = value
      local list = own
      if many then
        through[many[1]] = through[many[1]] or {}
        list = through[many[1]]
      end
      list[#list + 1] = function(row) return holds(value_of(row, path)) end
    end
  end
  local function all(list, row)
    for _, holds in ipairs(list) do
      if not holds(row) then return false end
    end
    return true
  end
  return mp.Q(keys), function(row)
    if not all(own, row) then return false end
    for name, list in pairs(through) do
      local found = false
      for _, one in ipairs(row[name]) do found = found or all(list, one) end
      if not found then return false end
    end
    return true
  end
end

-- The relation that leads from an entity to many: the field there that leads back to one, and the array of its rows.
local BACK = { Author = { "Book", "author_id", "books" } }

-- Is it among the rows of another query set? Has it a row there that points to it?
local function any_subquery(random, entity, depth)
  local back = random(1, 2) == 1 and BACK[entity]
  local condition, holds = generated.condition(random, back and back[1] or entity, depth)
  if not back then return mp.Q { pk__in = world[entity]:filter(condition) }, holds end
  local inner = world[back[1]]:filter(condition):filter { [back[2]] = mp.outer.id }
  return mp.exists(inner), function(row)
    for _, one in ipairs(row[back[3]]) do
      if holds(one) then return true end
    end
    return false
  end
end

--- A condition on rows of an entity, and the same as a function of a row.
function generated.condition(random, entity, depth)
  local kind = depth == 0 and 1 or random(1, 5)
  if kind == 1 then return any_match(random, entity) end
  if kind == 5 then return any_subquery(random, entity, depth - 1) end
  local a, a_holds = generated.condition(random, entity, depth - 1)
  if kind == 2 then return mp.no(a), function(row) return not a_holds(row) end end
  local b, b_holds = generated.condition(random, entity, depth - 1)
  if kind == 3 then return mp.all(a, b), function(row) return a_holds(row) and b_holds(row) end end
  return mp.any(a, b), function(row) return a_holds(row) or b_holds(row) end
end

-- ---- expressions ----

-- NULL makes NULL of what it is calculated with.
local function strict(fn)
  return function(a, b)
    if a == nil or b == nil then return nil end
    return fn(a, b)
  end
end

local NUMERIC = { int = true, float = true, decimal = true }

local ARITHMETIC = {
  { function(a, b) return a + b end, strict(function(a, b) return a + b end) },
  { function(a, b) return a - b end, strict(function(a, b) return a - b end) },
  { function(a, b) return a * b end, strict(function(a, b) return a * b end) },
}

local function any_path(random, entity, kind)
  local fitting = {}
  for _, path in ipairs(generated.paths[entity]) do
    if kind == path[2] or kind == "number" and NUMERIC[path[2]] then fitting[#fitting + 1] = path end
  end
  return table.unpack(one_of(random, fitting))
end

--- An expression of a row that gives a number or a text: the expression, its kind, and the same as a function of a row.
function generated.expression(random, entity, depth)
  local form = depth == 0 and 1 or random(1, 6)
  if form == 1 then
    local path, kind = any_path(random, entity, "number")
    return mp.F[path], kind, function(row) return value_of(row, path) end
  elseif form == 2 then
    local path = any_path(random, entity, "text")
    return mp.fn.length(path), "int", function(row)
      local text = value_of(row, path)
      return text and utf8.len(text)
    end
  elseif form == 3 then
    local a, kind, a_of = generated.expression(random, entity, depth - 1)
    local instead = any_value(random, kind)
    return mp.fn.coalesce(a, instead), kind, function(row)
      local value = a_of(row)
      if value == nil then return instead end
      return value
    end
  elseif form == 4 then
    local a, kind, a_of = generated.expression(random, entity, depth - 1)
    local condition, holds = generated.condition(random, entity, 1)
    local otherwise = any_value(random, kind)
    return mp.case { { condition, a }, default = otherwise }, kind, function(row)
      if holds(row) then return a_of(row) end
      return otherwise
    end
  end
  local a, a_kind, a_of = generated.expression(random, entity, depth - 1)
  local b, b_kind, b_of = generated.expression(random, entity, depth - 1)
  local write, calculate = table.unpack(one_of(random, ARITHMETIC))
  local kind = (a_kind == "float" or b_kind == "float") and "float" or (a_kind == "decimal" or b_kind == "decimal") and "decimal"
    or "int"
  local function number(value)
    if kind == "float" and type(value) == "userdata" then return tonumber(tostring(value)) end
    return value
  end
  return write(a, b), kind, function(row) return calculate(number(a_of(row)), number(b_of(row))) end
end

-- ---- aggregates ----

local function sum(values)
  local total
  for _, value in ipairs(values) do total = total and total + value or value end
  return total
end

local function extreme(less)
  return function(values)
    local best
    for _, value in ipairs(values) do
      if best == nil or less(value, best) then best = value end
    end
    return best
  end
end

generated.aggregates = {
  count = function(values) return #values end,
  sum = sum,
  min = extreme(function(a, b) return a < b end),
  max = extreme(function(a, b) return b < a end),
  avg = function(values)
    local total = sum(values)
    return total and total / #values
  end,
}

local function without_repeats(values)
  local seen, list = {}, {}
  for _, value in ipairs(values) do
    local key = generated.cell(value)
    if not seen[key] then list[#list + 1] = value end
    seen[key] = true
  end
  return list
end

--- An aggregate over rows of an entity: the expression, its kind, and the same as a function of an array of rows. prefix:
--- the relation to many that leads to them, with its "__"; from: the entity that it starts from.
function generated.aggregate(random, entity, prefix, from)
  local name = one_of(random, { "count", "sum", "min", "max", "avg", "all" })
  local options, holds = {}, function() return true end
  if random(1, 3) == 1 then
    local path, kind = table.unpack(one_of(random, generated.paths[entity]))
    local lookup, value, of_value = generated.lookup(random, kind)
    options.filter = mp.Q { [prefix .. path .. lookup] = value }
    holds = function(row) return of_value(value_of(row, path)) end
  end
  local path, kind = any_path(random, entity, "number")
  -- how many digits a quotient of decimals has is each server's own
  while name == "avg" and kind == "decimal" do path, kind = any_path(random, entity, "number") end
  options.distinct = name ~= "all" and random(1, 3) == 1 or nil
  local function of(rows)
    local values = {}
    for _, row in ipairs(rows) do
      if holds(row) then
        local value = name == "all" and true or value_of(row, path)
        if value ~= nil then values[#values + 1] = value end
      end
    end
    if options.distinct then values = without_repeats(values) end
    return generated.aggregates[name == "all" and "count" or name](values)
  end
  if name == "all" then
    local counted = prefix ~= "" and prefix:sub(1, -3) or nil
    local expression = counted and mp.fn.count(counted, options) or mp.fn.count(options)
    return expression, "int", of, from
  end
  local result = name == "count" and "int" or name == "avg" and "float" or kind
  return mp.fn[name](prefix .. path, options), result, of, from
end

-- ---- results as text ----

--- A value as text: equal for values that mean the same, whatever digits a server gives them.
function generated.cell(value)
  if value == nil or value == mp.null then return "NULL" end
  if math.type(value) == "float" then return ("%.9g"):format(value == 0 and 0 or value) end -- no -0
  if type(value) == "userdata" then
    local text = tostring(value)
    if text:find(".", 1, true) then text = text:gsub("0+$", ""):gsub("%.$", "") end
    return text == "-0" and "0" or text
  end
  return tostring(value)
end

--- An array of arrays of width n as text, a line for each.
function generated.lines(rows, n)
  local lines = {}
  for i, row in ipairs(rows) do
    local cells = {}
    for place = 1, n do cells[place] = generated.cell(row[place]) end
    lines[i] = table.concat(cells, " | ")
  end
  return table.concat(lines, "\n")
end

--- Sort rows: order is an array of { value = fn(row), descending, nulls }. NULL comes first, and last with descending.
function generated.sort(rows, order)
  table.sort(rows, function(a, b)
    for _, item in ipairs(order) do
      local x, y = item.value(a), item.value(b)
      if x == nil or y == nil then
        if (x == nil) ~= (y == nil) then
          local first = not item.descending
          if item.nulls then first = item.nulls == "first" end
          return (x == nil) == first
        end
      elseif x ~= y then
        if type(x) == "boolean" then x, y = x and 1 or 0, y and 1 or 0 end
        if item.descending then return y < x end
        return x < y
      end
    end
    return false
  end)
  return rows
end

return generated
