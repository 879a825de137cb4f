-- Pages by place: the rows of a query set behind a given one, in its order. The order is completed by the key, so that
-- every row has a place of its own; the values that a row is sorted by come with it, as a last part of its columns.

local errors = require "moonpool.errors"
local expression = require "moonpool.resolve.expression"
local narrow = require "moonpool.sql.narrow"
local node = require "moonpool.tree.node"
local select_room = require "moonpool.sql.select"
local shape_room = require "moonpool.sql.shape"
local step = require "moonpool.sql.step"

local keyset = {}

-- "-age" for what an order item sorts by, "?" for what has no name.
local function name_of(item, reversed)
  local descending = item.descending or false
  local nulls = item.nulls
  if reversed then
    descending = not descending
    nulls = nulls and (nulls == "first" and "last" or "first")
  end
  return (descending and "-" or "") .. (item.operand._path or "?") .. (nulls and ":" .. nulls or "")
end

local function is_random(tree)
  if tree._op == "call" and tree.name == "random" then return true end
  for _, below in pairs(tree) do
    if type(below) == "table" and (below._op or type(below[1]) == "table") and is_random(below) then return true end
  end
  return false
end

-- What is sorted by has a place among others, and the same one tomorrow.
local function check_place(resolver, item)
  if is_random(item.operand) then
    errors.raise("bad_argument", "after: an order that is another one each time gives rows no place")
  elseif expression.resolve(resolver, item.operand).kind == "json" then
    errors.raise("bad_argument", 'after in an order by JSON: say what is in it, order_by(mp.cast("prefs__theme", "text"))')
  end
end

local function complete(shape)
  local items, seen = {}, {}
  local resolver = select_room.resolver(shape, select_room.scope(shape), {})
  for i, item in ipairs(select_room.order_of(shape)) do
    check_place(resolver, item)
    items[i] = item
    seen[item.operand._path or ""] = true
  end
  local descending = items[1] and items[#items].descending or false
  for _, field in ipairs(shape.model.key) do
    if not (seen[field.attribute] or #shape.model.key == 1 and seen.pk) then
      items[#items + 1] = { _op = "order", operand = { _op = "path", _path = field.attribute }, descending = descending }
    end
  end
  local names = {}
  for i, item in ipairs(items) do names[i] = name_of(item, shape.reversed) end
  return { order = items, place = table.concat(names, ",") }
end

--- The query set in an order without ties, whose rows tell their place. shape.place is a text that describes the order.
function keyset.ordered(q)
  local shape = q.shape
  if shape.group or shape.output ~= "objects" then
    errors.raise("bad_argument", "after gives pages of objects, not of values")
  elseif shape.distinct_on then
    errors.raise("bad_argument", "after of rows that are told apart by distinct: use page")
  end
  for _, item in ipairs(shape.context.windowed and shape.order or {}) do
    local annotation = item.operand._path and shape.context.annotations[item.operand._path]
    if annotation and annotation.windowed then
      q = narrow.with_windows(q)
      break
    end
  end
  return step.changed(q, "keyset", function() return complete(q.shape) end)
end

-- Whether an item of an order puts its NULLs before its values.
local function nulls_first(item, reversed)
  local nulls = item.nulls
  if not nulls then return (item.descending or false) == reversed end
  return (nulls == "first") ~= reversed
end

-- Rows behind the place: greater in the first item that differs. What all of them have in common, not to be before it in
-- the first item, is said by itself: an index begins there.
local function resolve_beyond(resolver, shape, built)
  local any, same, slot, bound = {}, {}, built.first, nil
  for i, item in ipairs(built.order) do
    local left = expression.resolve(resolver, item.operand)
    local descending = (item.descending or false) ~= shape.reversed
    local first = nulls_first(item, shape.reversed)
    local further, equal
    if built.nulls[i] then
      equal = node.is_null(left)
      if first then further = node.negation(equal) end
    else
      slot = slot + 1
      local value = expression.beside(resolver, { _op = "slot", index = slot }, left)
      equal = node.compare("=", left, value)
      further = node.compare(descending and "<" or ">", left, value)
      if left.null and not first then
        further = node.joined("or", { further, node.is_null(left) })
      elseif i == 1 and #built.order > 1 and left.op == "column" then
        bound = node.compare(descending and "<=" or ">=", left, value)
      end
    end
    if further then
      local all = {}
      for place, before in ipairs(same) do all[place] = before end
      all[#all + 1] = further
      any[#any + 1] = node.joined("and", all)
    end
    same[i] = equal
  end
  return node.joined("and", { node.joined("or", any), bound })
end

select_room.set_beyond(resolve_beyond)

--- The rows of an ordered query set that are behind the place with these values; nil stands for NULL.
---@param values any[]  one for each item of the order
function keyset.behind(q, values)
  local shape = q.shape
  local nulls, key, given = {}, { "behind" }, {}
  for i = 1, #shape.order do
    nulls[i] = values[i] == nil
    key[i + 1] = nulls[i] and "null" or "?"
    if not nulls[i] then given[#given + 1] = values[i] end
  end
  key = table.concat(key, " ")
  local to = shape.next[key]
  if not to then
    local built = { _op = "beyond", order = shape.order, first = shape.count, nulls = nulls }
    local takes = {}
    resolve_beyond(select_room.resolver(shape, select_room.scope(shape), takes), shape, built)
    to = shape_room.follow(shape, key, shape_room.derive(shape, {
      conditions = shape_room.with(shape.conditions, built), filtered = true,
    }, shape.count + #given, takes))
  end
  local slots = {}
  for i = 1, shape.count do slots[i] = q.slots[i] end
  for i, value in ipairs(given) do slots[shape.count + i] = to.takes[shape.count + i]:convert(value) end
  return step.derived(q, to, slots)
end

return keyset
