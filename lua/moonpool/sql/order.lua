-- The order of a query set: order_by and reverse. An order by names only is known by those.

local check = require "moonpool.sql.check"
local errors = require "moonpool.errors"
local expression = require "moonpool.tree.expression"
local functions = require "moonpool.tree.functions"
local shape_room = require "moonpool.sql.shape"
local step = require "moonpool.sql.step"
local template = require "moonpool.resolve.template"
local vocabulary = require "moonpool.vocabulary"

local select, type = select, type
local derived = step.derived

local order_room = {}
local methods = {}
order_room.methods = methods

local LEAF = {}

-- "-age" and Author.age:desc() as templates' trees; "?" is any order, another one each time.
local function order_item(q, item)
  if type(item) == "string" then
    local descending = item:sub(1, 1) == "-"
    if descending then item = item:sub(2) end
    if item == "?" then return functions.random():asc() end
    local path = expression.path(nil, item)
    return descending and path:desc() or path:asc()
  elseif expression.is(item) then
    return item._op == "order" and item or item:asc()
  elseif type(item) == "table" and type(item[1]) == "string" then
    errors.raise("bad_argument", 'order_by takes its fields one by one: order_by("name", "-age")')
  end
  errors.raise("bad_argument", ("order_by of %s takes names of fields and expressions, not %s"):format(q.model.name,
    vocabulary.quoted(item)))
end

-- With "pk" as the columns that it is of, where the key has several.
local function spread(q, items, count)
  if not q.model.key[2] then return items, count end
  local list, n = {}, 0
  for i = 1, count do
    local item = items[i]
    if item == "pk" or item == "-pk" then
      for _, field in ipairs(q.model.key) do
        n = n + 1
        list[n] = (item == "-pk" and "-" or "") .. field.attribute
      end
    else
      n = n + 1
      list[n] = item
    end
  end
  return list, n
end

local function ordered(q, items, count)
  local walk, trees = step.walk(q), {}
  for i = 1, count do
    trees[i] = order_item(q, items[i])
    template.expression(walk, trees[i])
  end
  return step.advance(q, walk, "order ", function(building, takes)
    local order = {}
    for i, tree in ipairs(trees) do order[i] = template.expression(building, tree) end
    check.order(q.shape, order, takes)
    return { order = order, reversed = false }
  end)
end

-- Orders by names only are known by those: orders[name][name]...[LEAF].
local function known_order(q, count, ...)
  local orders = q.shape.orders
  if count == 1 or count == 2 then -- nearly all: without a call for each
    local first, second = ...
    orders = first ~= nil and orders[first]
    if orders and count == 2 then orders = second ~= nil and orders[second] end
    return orders and orders[LEAF]
  end
  for i = 1, count do
    local item = select(i, ...)
    orders = item ~= nil and orders[item]
    if not orders then return nil end
  end
  return orders[LEAF]
end

local function remember_order(q, items, found)
  local orders = q.shape.orders
  for _, item in ipairs(items) do
    if type(item) ~= "string" then return end
    orders[item] = orders[item] or {}
    orders = orders[item]
  end
  orders[LEAF] = found.shape
end

--- The order of the rows; replaces the one before. Without arguments: none, nor the entity's own.
function methods.order_by(q, ...)
  local count = select("#", ...)
  local known = known_order(q, count, ...)
  if known then return derived(q, known, q.slots) end
  local items = { ... }
  local found = ordered(q, spread(q, items, count))
  remember_order(q, items, found)
  return found
end

function methods.reverse(q)
  local from = q.shape
  local to = from.next.reverse
    or shape_room.follow(from, "reverse", shape_room.derive(from, { reversed = not from.reversed }))
  return derived(q, to, q.slots)
end

--- With the key as order if there is no other, so that "first" has a meaning.
function order_room.by_key(q)
  local from = q.shape
  if order_room.is_ordered(q) or from.output ~= "objects" then return q end
  local to = from.next.by_key
  if not to then
    local names = {}
    for i, field in ipairs(q.model.key) do names[i] = field.attribute end
    local found = ordered(q, names, #names)
    to = shape_room.follow(from, "by_key", (from.reversed and methods.reverse(found) or found).shape)
  end
  return derived(q, to, q.slots)
end

--- Whether an order was asked for, or is the entity's own.
function order_room.is_ordered(q)
  local shape = q.shape
  if shape.order then return #shape.order > 0 end
  return not shape.group and #q.model.order_by > 0
end

return order_room
