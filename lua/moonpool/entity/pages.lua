-- Pages: page by number, after by place.

local compile = require "moonpool.sql.compile"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local loading = require "moonpool.entity.loading"
local query = require "moonpool.sql.query"
local query_set = require "moonpool.entity.query"
local tree = require "moonpool.tree"
local vocabulary = require "moonpool.vocabulary"

local methods = query_set.methods
local place_of = loading.place_of

local function bad(message)
  return errors.raise("bad_argument", message)
end

local function fetch(q)
  local class, database, other = place_of(q)
  local st = compile.select(q, loading.dialect_of(database))
  return loading.all(class, database, other, st, st:bind(q))
end

local function check_size(name, size)
  if type(size) ~= "number" or size < 1 or size % 1 ~= 0 then
    return bad(name .. ": a page has a whole number of rows, 1 or more, not " .. vocabulary.quoted(size))
  end
end

--- A page, counted from 1. Two statements.
---@return {items: table[], total: integer, pages: integer, page: integer, size: integer}
function methods:page(number, size)
  check_size("page", size)
  if type(number) ~= "number" or number % 1 ~= 0 then
    return bad("page takes the number of a page, not " .. vocabulary.quoted(number))
  elseif self.top or self.skip then
    return bad("page of a query set that has a limit or an offset")
  end
  number = math.max(number, 1)
  local total = query.unlocked(self):count()
  return {
    items = fetch(query.limited(query.by_key(self), size, (number - 1) * size)),
    total = total, pages = math.max(1, math.ceil(total / size)), page = number, size = size,
  }
end

-- The order of a query set as fields; the key comes last, so that every row has a place of its own.
local function order_of(q)
  local items, seen = {}, {}
  local function add(name, descending)
    local field = q.model:field(name)
    if not seen[field] then
      seen[field] = true
      items[#items + 1] = { name = field.attribute, field = field, descending = descending }
    end
  end
  local function refuse()
    return errors.raise("unsupported", "after: the order must be fields of " .. q.model.name
      .. " itself, with NULLs where they are by default")
  end
  if q.shape.order then
    for _, item in ipairs(q.shape.order) do
      local path = item.operand and item.operand._path
      if item._op ~= "order" or item.nulls or path == nil or not (q.model.by_name[path] or path == "pk") then
        return refuse()
      end
      add(path, item.descending or false)
    end
  else
    for _, name in ipairs(q.model.order_by) do
      if type(name) ~= "string" or not q.model.by_name[name:gsub("^-", "")] then
        return refuse()
      end
      add((name:gsub("^-", "")), name:sub(1, 1) == "-")
    end
  end
  for _, field in ipairs(q.model.key) do
    add(field.attribute, items[1] and items[#items].descending or false)
  end
  if q.shape.reversed then
    for _, item in ipairs(items) do
      item.descending = not item.descending
    end
  end
  return items
end

local function order_names(items)
  local names = {}
  for place, item in ipairs(items) do
    names[place] = (item.descending and "-" or "") .. item.name
  end
  return names
end

-- Rows after the given values: greater in the first field that differs. NULL comes first, and last with "-".
local function beyond(items, values)
  local any, same = {}, {}
  for place, item in ipairs(items) do
    local value = values[place]
    local name, null = item.name, value == core.null
    local further
    if item.descending and not null then
      further = tree.Q{ [name .. "__lt"] = value }
      if item.field.null then
        further = tree.any(further, tree.Q{ [name] = core.null })
      end
    elseif not item.descending then
      further = null and tree.Q{ [name .. "__isnull"] = false } or tree.Q{ [name .. "__gt"] = value }
    end
    if further then
      any[#any + 1] = #same > 0 and tree.all(further, (unpack or table.unpack)(same)) or further
    end
    same[#same + 1] = tree.Q{ [name] = value }
  end
  return tree.any((unpack or table.unpack)(any))
end

--- The page behind a place: after(nil, 20) is the first one, after(page.next, 20) the following. `next` is a text.
---@param token string?
---@param size integer
---@return {items: table[], next: string?}
function methods:after(token, size)
  check_size("after", size)
  if self.shape.output ~= "objects" then
    return bad("after gives pages of objects, not of values")
  elseif self.top or self.skip then
    return bad("after of a query set that has a limit or an offset")
  end
  local items = order_of(self)
  local names = order_names(items)
  local q = self
  if token ~= nil then
    local ok, place = pcall(core.json_decode, token)
    if not ok or type(place) ~= "table" or place.order ~= table.concat(names, ",") or type(place.values) ~= "table" then
      return bad("after: this is no `next` of a page with the same order")
    end
    q = q:filter(beyond(items, place.values))
  end
  local rows = fetch(query.limited(q:order_by((unpack or table.unpack)(names)), size + 1))
  if rows[size + 1] == nil then
    return { items = rows }
  end
  rows[size + 1] = nil
  local values = core.array{}
  for place, item in ipairs(items) do
    local value = rawget(rows[size], item.name)
    values[place] = value == nil and core.null or value
  end
  return { items = rows, next = core.json_encode{ order = table.concat(names, ","), values = values } }
end

return methods
