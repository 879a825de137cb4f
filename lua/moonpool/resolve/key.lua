-- Keys of several columns, as values and in conditions. Such a key is an object, or a table with the values of its
-- parts by their names or in their order; a condition on it is one on all of its columns.

local base = require "moonpool.field.base"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local node = require "moonpool.tree.node"
local vocabulary = require "moonpool.vocabulary"

local key = {}

-- The fields whose names a table of values has: those of the key that is meant.
local function keys_of(field)
  return field.relation and field:keys() or field.whole_key_of.key
end

local function names_of(fields)
  local names = {}
  for i, one in ipairs(fields) do names[i] = one.name end
  return table.concat(names, ", ")
end

-- Of an array: it has every part, in the order of the key.
local function in_order(field, keys, value)
  local values, n = {}, 0
  for place, part in pairs(value) do
    values[place] = part
    n = n + 1
  end
  for i in ipairs(keys) do
    if n ~= #keys or values[i] == nil or values[i] == core.null then
      errors.raise("bad_argument", ("%s: the key is of %s: a table has each of them by its name, or all %d in this order"):format(
        field:title(), names_of(keys), #keys))
    end
  end
  return values
end

--- The values of the parts, in the order of the key.
---@param field table  a relation with parts, or a whole key
---@param value any
---@return any[]
--- Raises bad_argument where one is missing, or is none of the key.
function key.of(field, value)
  local keys = keys_of(field)
  if type(value) ~= "table" then
    errors.raise("bad_argument", ("%s: a key of several columns (%s) is an object or a table of their values, not %s"):format(
      field:title(), names_of(keys), vocabulary.quoted(value)))
  end
  local of_object, why = base.key_of(value, field)
  if of_object then return of_object end
  if why or getmetatable(value) ~= nil then
    errors.raise("bad_argument", ("%s: %s"):format(field:title(), why or "cannot take " .. vocabulary.quoted(value)))
  end
  if value[1] ~= nil then return in_order(field, keys, value) end
  local values = {}
  for i, one in ipairs(keys) do
    local part = value[one.name]
    if part == nil then part = value[one.attribute] end
    if part == nil or part == core.null then
      errors.raise("bad_argument", ("%s: the key has no %s: it is of %s"):format(field:title(), one.name, names_of(keys)))
    end
    values[i] = part
  end
  for name in pairs(value) do
    local found = false
    for _, one in ipairs(keys) do found = found or name == one.name or name == one.attribute end
    if not found then
      errors.raise("unknown_field", ("%s: %s is no part of the key, which is of %s"):format(field:title(),
        vocabulary.quoted(name), names_of(keys)))
    end
  end
  return values
end

-- ---- conditions ----

--- The columns of a relation, or of a whole key, as one operand.
---@param from table  source
function key.columns(from, field)
  local columns = { op = "key", kind = "row", null = false, field = field }
  for i, one in ipairs(field:locals()) do
    columns[i] = node.column(from, one, from.null or one.null)
    columns.null = columns.null or columns[i].null
  end
  return columns
end

-- NULL is what has no key: one part that is NULL leads nowhere.
local function is_null(columns)
  local parts = {}
  for i, column in ipairs(columns) do parts[i] = node.is_null(column) end
  return node.joined("or", parts)
end

local function equal(columns, value, beside)
  if value._op == "null" then return is_null(columns) end
  local parts = {}
  for i, column in ipairs(columns) do parts[i] = node.compare("=", column, beside(value[i], column)) end
  return node.joined("and", parts)
end

local function among(columns, operand, beside, select)
  local either = {}
  if select then
    either[1] = node.among_rows(columns, select)
  elseif #operand.items > 0 then
    local items = {}
    for i, value in ipairs(operand.items) do
      items[i] = {}
      for j, column in ipairs(columns) do items[i][j] = beside(value[j], column) end
    end
    either[1] = { op = "among_keys", operand = columns, items = items, maybe = columns.null }
  end
  if operand.has_null then either[#either + 1] = is_null(columns) end
  return node.joined("or", either)
end

local build = {}

function build.exact(columns, operand, beside) return equal(columns, operand, beside) end

function build.ne(columns, operand, beside) return node.negation(equal(columns, operand, beside)) end

build["in"] = among

function build.not_in(...) return node.negation(among(...)) end

function build.isnull(columns, operand)
  local null = is_null(columns)
  return operand.value and null or node.negation(null)
end

--- The condition of a lookup. beside(slot, column): the node of a value; select: the sub-select on the right of in.
function key.condition(name, columns, operand, beside, select)
  return build[name](columns, operand, beside, select)
end

return key
