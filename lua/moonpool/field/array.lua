-- Arrays of values of one type: f.array{ of = f.integer() }. The server's own arrays where it has them, JSON elsewhere.
-- Each item is checked by the field in `of`, and is never NULL unless that says null = true; then it is mp.null.

local base = require "moonpool.field.base"
local core = require "moonpool.core"
local vocabulary = require "moonpool.vocabulary"

local null = core.null
local marked = getmetatable(core.array {})

-- What has no exact form in JSON, or is an array there itself, is no item.
local ITEMS = {
  smallint = true, integer = true, bigint = true, float = true, decimal = true, boolean = true, string = true, text = true,
  date = true, time = true, datetime = true, interval = true, uuid = true, enum = true,
}

-- Options of a column, which an item is not.
local OF_COLUMNS = { "collation", "column", "default", "index", "lazy", "primary_key", "server_default", "unique", "version" }

local function item_of(field, declaration)
  local is_declaration = type(declaration) == "table" and type(declaration.definition) == "table"
  if not is_declaration then
    base.bad_option(field, ("of is the field of its items, such as mp.field.integer(), not %s"):format(vocabulary.quoted(declaration)))
  end
  local name = declaration.definition.name
  if not ITEMS[name] then
    base.bad_option(field, ("its items cannot be of type %s: mp.field.json() holds any structure"):format(name))
  end
  for _, option in ipairs(OF_COLUMNS) do
    if declaration.options[option] ~= nil then
      base.bad_option(field, ("%s is an option of a column, not of the items in it"):format(option))
    end
  end
  return base.bind(declaration, field.model, field.name, field.position)
end

local function is_count(v)
  return type(v) == "number" and v % 1 == 0 and v >= 0
end

-- The places 1..n of a plain array, or nil and why it is none.
local function length_of(value)
  local n, most = 0, 0
  for place in next, value do
    if not is_count(place) or place == 0 then return nil, "an array has no names" end
    n = n + 1
    if place > most then most = place end
  end
  if n ~= most then return nil, "an array has no holes: put mp.null there" end
  return n
end

local function refuse(place, why)
  if why == "must not be NULL" then why = why .. ", unless of = f...{ null = true } says so" end
  return nil, ("item %d %s"):format(place, why)
end

return {
  name = "array",
  kind = "array",
  options = { of = true, max_length = true, max = true, min = true },
  refused = { choices = true, unique = true, primary_key = true, index = true },

  prepare = function(field)
    field.of = item_of(field, field.of)
    field.kind = core.array_of(field.of.kind)
    if field.max_length ~= nil then
      if field.max ~= nil then base.bad_option(field, "max and max_length are the same: give one") end
      field.max = field.max_length
    end
    for _, name in ipairs { "min", "max" } do
      if field[name] ~= nil and not is_count(field[name]) then
        base.bad_option(field, ("%s is a number of items, not %s"):format(name, vocabulary.quoted(field[name])))
      end
    end
    base.check_bounds(field)
  end,

  -- The same table, unless an item becomes another value or nothing in it tells that it is an array.
  take = function(field, value)
    if type(value) ~= "table" then return base.cannot_take(field, value, "an array is a table such as { 1, 2 }") end
    local n, reason = length_of(value)
    if n == nil then return base.cannot_take(field, value, reason) end
    local taken, same = core.array {}, n > 0
    for place = 1, n do
      local given = value[place]
      local item, why = field.of:check(given)
      if why then return refuse(place, why) end
      if item == nil then item = null end
      taken[place] = item
      same = same and rawequal(item, given)
    end
    if same or n == 0 and getmetatable(value) == marked then return value end
    return taken
  end,

  check = function(field, value)
    if field.max and #value > field.max then return ("must have at most %d items, not %d"):format(field.max, #value) end
    if field.min and #value < field.min then return ("must have at least %d items, not %d"):format(field.min, #value) end
  end,
}
