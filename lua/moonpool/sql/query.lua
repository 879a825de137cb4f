-- Query sets: immutable, each method gives another one. A query set is a small table: its shape
-- (shared by all query sets of that form), the values of its slots, converted, and its limits. Nothing here
-- writes SQL; the words of api.md section 4 become templates and are resolved once, so that a wrong
-- name is an error at the line that wrote it.
--
-- Raw keys: model shape slots top skip extra. None is called like a method. What is not there is false, so that
-- reading it asks no metamethod.

local condition = require "moonpool.tree.condition"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local expression = require "moonpool.tree.expression"
local expression_room = require "moonpool.resolve.expression"
local models = require "moonpool.resolve.model"
local resolve = require "moonpool.sql.select"
local shape_room = require "moonpool.sql.shape"
local template = require "moonpool.resolve.template"
local vocabulary = require "moonpool.vocabulary"

local null = core.null
local getmetatable, next, setmetatable, type = getmetatable, next, setmetatable, type
local math_type = math.type
local unpack = unpack or table.unpack

local query = {}
local methods = {}
query.methods = methods

local function derived(q, shape, slots)
  return setmetatable({
    model = q.model, shape = shape, slots = slots, top = q.top, skip = q.skip, extra = q.extra,
  }, getmetatable(q))
end

--- All rows of a model.
---@param model table
---@param metatable table?  that of the query set and of all made from it
---@param extra any         carried along
function query.root(model, metatable, extra)
  local root = model.root
  if not root then
    root = shape_room.root(model)
    model.root = root
  end
  return setmetatable({
    model = model, shape = root, slots = {}, top = false, skip = false, extra = extra or false,
  }, metatable)
end

--- The same query set with something else carried along.
function query.with(q, extra)
  local other = derived(q, q.shape, q.slots)
  other.extra = extra
  return other
end

--- The same query set with these limits instead of its own; nil is none.
function query.limited(q, top, skip)
  return setmetatable({
    model = q.model, shape = q.shape, slots = q.slots, top = top or false, skip = skip or false, extra = q.extra,
  }, getmetatable(q))
end

models.on_replace(function(model)
  if model.root then shape_room.forget(model.root) end
end)

-- ---- from walk to shape ----

-- Follow a walk from q's shape: the shape that it leads to, made if there was none, and its slots.
-- change(walk) is asked for new shapes only: it walks again, building, and gives the changes.
local function advance(q, walk, prefix, change)
  local from = q.shape
  local key = prefix .. template.key(walk)
  local to = from.next[key]
  if not to then
    local building = template.walk(from.context, {}, from.count, true)
    local takes = {}
    local changes = change(building, takes)
    to = shape_room.follow(from, key, shape_room.derive(from, changes, building.count, takes))
  end
  if to.count == from.count then return derived(q, to, q.slots) end
  local slots, given = {}, q.slots
  for i = 1, from.count do slots[i] = given[i] end
  local values, takes = walk.values, to.takes
  for i = from.count + 1, to.count do slots[i] = takes[i]:convert(values[i]) end
  return derived(q, to, slots)
end

local function walk_of(q)
  return template.walk(q.shape.context, {}, q.shape.count, false)
end

-- ---- filter ----

-- Tables of plain values, and of arrays of such, are known by their keys and by the lengths of their arrays alone:
-- known[key][key]...[LEAF], in whatever order pairs gives them, leads to the shape without making any text. What
-- follows an array is in known[ARRAYS][key][length].
local LEAF, ARRAYS = {}, {}

local function is_plain(value)
  local kind = type(value)
  return kind == "string" or kind == "number" or kind == "boolean" or (kind == "userdata" and value ~= null)
end

-- Convert an array of plain values into the slots behind first, as many as its known length is filled up to. False if
-- it is anything else than that.
local function fill_array(slots, first, places, list, taker)
  local field = taker.relation and taker:key_field() or taker
  local as_it_is = math_type and field.definition and field.definition.bits == 64 -- each integer
  local length, last = 0, nil
  for place, item in next, list do
    length = length + 1
    if place ~= length then return false end
    if not as_it_is or math_type(item) ~= "integer" then
      if type(item) == "table" or item == null then return false end
      item = taker:convert(item)
    end
    last = item
    slots[first + length] = item
  end
  for place = length + 1, places do slots[first + place] = last end
  return length > 0 and template.padded(length) == places
end

local function known_filter(q, keys)
  local known = q.shape.known
  for key, value in next, keys do
    if type(value) == "table" then
      local by_length = known[ARRAYS] and known[ARRAYS][key]
      known = by_length and getmetatable(value) == nil and by_length[template.padded(#value)]
    else
      known = value ~= null and known[key]
    end
    if not known then return nil end
  end
  local leaf = known[LEAF]
  if not leaf then return nil end
  local place, to = q.shape.count, leaf.shape
  local given, takes, names, lengths = q.slots, to.takes, leaf.names, leaf.lengths
  -- in its size at once: growing to that of a list costs more than filling it
  local slots = leaf.blank and { unpack(leaf.blank) } or {}
  for i = 1, place do slots[i] = given[i] end
  for i = 1, #names do
    local value, places = keys[names[i]], lengths[i]
    if places then
      if not fill_array(slots, place, places, value, takes[place + 1]) then return nil end
      place = place + places
    else
      place = place + 1
      slots[place] = takes[place]:convert(value)
    end
  end
  return derived(q, to, slots)
end

local function step(from, key)
  local to = from[key]
  if not to then
    to = {}
    from[key] = to
  end
  return to
end

local function remember_filter(q, keys, found)
  local lengths = {}
  for key, value in next, keys do
    local takes = template.meaning(q.shape.context, key).entry.takes
    if takes == "list" and type(value) == "table" and getmetatable(value) == nil
        and fill_array({}, 0, template.padded(#value), value, expression_room.as_it_is) then
      lengths[key] = template.padded(#value)
    elseif takes ~= "one" or not is_plain(value) then
      return
    end
  end
  local known = q.shape.known
  for key in next, keys do
    if lengths[key] then
      known = step(step(step(known, ARRAYS), key), lengths[key])
    else
      known = step(known, key)
    end
  end
  local names = template.sorted(q.shape.context, keys)
  for i, name in ipairs(names) do lengths[i] = lengths[name] or false end
  local blank
  if found.shape.count > 8 and found.shape.count <= 200 then
    blank = {}
    for i = 1, found.shape.count do blank[i] = false end
  end
  known[LEAF] = { shape = found.shape, names = names, lengths = lengths, blank = blank }
end

local function conditions_of(where, ...)
  local count = select("#", ...)
  local first = ...
  if count == 1 then return condition.from(first, where) end
  local all = {}
  for i = 1, count do all[i] = condition.from((select(i, ...)), where) end
  return condition.all(unpack(all))
end

-- negated: exclude takes away the rows for which all conditions hold.
local function narrow(q, wanted, negated)
  local walk = walk_of(q)
  template.condition(walk, wanted)
  return advance(q, walk, negated and "exclude " or "filter ", function(building, takes)
    local built = template.condition(building, wanted)
    if negated then built = { _op = "no", built } end
    resolve.check_condition(q.shape, built, takes)
    return { conditions = shape_room.with(q.shape.conditions, built), filtered = true }
  end)
end

local function refuse_limited(q, method)
  if q.top or q.skip then
    errors.raise("bad_argument", ("%s after limit or offset: narrow first, then cut"):format(method))
  end
end

--- Rows for which all of it holds. Takes any number of tables and conditions.
function methods.filter(q, ...)
  local keys = ...
  local is_table = type(keys) == "table" and getmetatable(keys) == nil and select("#", ...) == 1
  refuse_limited(q, "filter")
  if is_table then
    local found = known_filter(q, keys)
    if found then return found end
  end
  if is_table and next(keys) == nil or select("#", ...) == 0 then return q end
  local found = narrow(q, conditions_of("filter", ...), false)
  if is_table then remember_filter(q, keys, found) end
  return found
end

--- All rows but those for which all of it holds.
function methods.exclude(q, ...)
  local keys = ...
  refuse_limited(q, "exclude")
  if select("#", ...) == 0 then return q end
  if select("#", ...) == 1 and type(keys) == "table" and getmetatable(keys) == nil and next(keys) == nil then return q end
  return narrow(q, conditions_of("exclude", ...), true)
end

--- The rows whose relation `field` is the row with that key: what belongs to an owner.
function query.owned(q, field, key)
  return methods.filter(q, { [field.attribute] = key })
end

function methods.none(q)
  local from = q.shape
  local to = from.next.none
  if not to then
    to = shape_room.follow(from, "none", shape_room.derive(from, { nothing = true, filtered = true }))
  end
  return derived(q, to, q.slots)
end

--- Says that all rows are meant, for update and delete.
function methods.all_rows(q)
  local from = q.shape
  local to = from.next.all_rows or shape_room.follow(from, "all_rows", shape_room.derive(from, { filtered = true }))
  return derived(q, to, q.slots)
end

-- ---- order ----

-- "-age" and Author.age:desc() as templates' trees.
local function order_item(q, item)
  if type(item) == "string" then
    local descending = item:sub(1, 1) == "-"
    if descending then item = item:sub(2) end
    if item == "?" then errors.raise("unsupported", 'order_by "?" is not built') end
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

local function ordered(q, items, count)
  local walk, trees = walk_of(q), {}
  for i = 1, count do
    trees[i] = order_item(q, items[i])
    template.expression(walk, trees[i])
  end
  return advance(q, walk, "order ", function(building, takes)
    local order = {}
    for i, tree in ipairs(trees) do order[i] = template.expression(building, tree) end
    resolve.check_order(q.shape, order, takes)
    return { order = order, reversed = false }
  end)
end

-- Orders by names only are known by those: orders[name][name]...[LEAF].
local function known_order(q, count, ...)
  local orders = q.shape.orders
  for i = 1, count do
    local item = select(i, ...)
    orders = type(item) == "string" and orders[item]
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
  local found = ordered(q, items, count)
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
function query.by_key(q)
  local from = q.shape
  if query.is_ordered(q) or from.output ~= "objects" then return q end
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
function query.is_ordered(q)
  local shape = q.shape
  if shape.order then return #shape.order > 0 end
  return not shape.group and #q.model.order_by > 0
end

function query.is_grouped(q) return q.shape.group ~= nil end

--- Whether update and delete may go ahead.
function query.is_filtered(q)
  return q.shape.filtered or q.top ~= false or q.skip ~= false
end

-- ---- limits ----

local function amount(method, value)
  if type(value) ~= "number" or value % 1 ~= 0 or value < 0 then
    errors.raise("bad_argument", ("%s takes a number of rows, not %s"):format(method, vocabulary.quoted(value)))
  end
  return value
end

--- At most so many rows.
function methods.limit(q, count)
  return query.limited(q, amount("limit", count), q.skip)
end

--- Without the first rows.
function methods.offset(q, count)
  return query.limited(q, q.top, amount("offset", count))
end

--- Rows first..last, counted from 1, like string.sub.
function methods.slice(q, first, last)
  if amount("slice", first) < 1 then errors.raise("bad_argument", "slice counts rows from 1") end
  if last == nil then return query.limited(q, nil, first - 1) end
  return query.limited(q, math.max(amount("slice", last) - first + 1, 0), first - 1)
end

-- ---- what is read ----

local function changed(q, key, make)
  local from = q.shape
  local to = from.next[key] or shape_room.follow(from, key, shape_room.derive(from, make()))
  return derived(q, to, q.slots)
end

function methods.distinct(q, ...)
  if select("#", ...) > 0 then errors.raise("unsupported", "distinct of single columns is not built yet") end
  refuse_limited(q, "distinct")
  return changed(q, "distinct", function() return { distinct = true } end)
end

local function names_of(method, q, ...)
  local names = { ... }
  for i = 1, select("#", ...) do
    local name = names[i]
    if expression.is(name) and name._op == "path" then name = name._path end
    if type(name) ~= "string" then
      errors.raise("bad_argument", ("%s of %s takes names of fields, not %s"):format(method, q.model.name,
        vocabulary.quoted(names[i])))
    end
    names[i] = name
  end
  return names
end

local function key_of_names(prefix, names)
  local parts = { prefix }
  for i, name in ipairs(names) do parts[i + 1] = #name .. ":" .. name end
  return table.concat(parts, " ")
end

local function need_objects(q, method)
  if q.shape.output ~= "objects" then
    errors.raise("bad_argument", method .. " is for objects: values(...) already says which columns are read")
  end
end

local function loading(method, keeps)
  return function(q, ...)
    need_objects(q, method)
    local names = names_of(method, q, ...)
    return changed(q, key_of_names(method, names), function()
      local named, loaded = {}, {}
      for _, name in ipairs(names) do named[q.model:field(name)] = true end
      for _, field in ipairs(q.shape.loaded or q.model.fields) do
        if field.primary_key or (named[field] or false) == keeps then loaded[#loaded + 1] = field end
      end
      return { loaded = loaded }
    end)
  end
end

--- Load these columns and the key; the others when they are touched.
methods.only = loading("only", true)

--- Load all columns but these.
methods.defer = loading("defer", false)

local function reading(method, output)
  return function(q, ...)
    local names = names_of(method, q, ...)
    return changed(q, key_of_names(method, names), function()
      return resolve.values(q.shape, names, output)
    end)
  end
end

--- Rows as tables keyed by the names as written; of all columns without arguments.
methods.values = reading("values", "rows")

--- Rows as arrays.
methods.values_list = reading("values_list", "arrays")

local function with_annotations(q, annotations, prefix, change)
  local names = {}
  for name in pairs(annotations) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  local walk = walk_of(q)
  local function each(on, fn)
    for _, name in ipairs(names) do
      local ok, why = vocabulary.is_name(name)
      if not ok then errors.raise("bad_argument", ("the annotation %s %s"):format(vocabulary.quoted(name), why)) end
      local node = annotations[name]
      if condition.is(node) then errors.raise("unsupported", "annotating a condition is not built yet: " .. name) end
      fn(name, template.expression(on, expression.value(node)))
    end
  end
  each(walk, function(name) walk.tokens[#walk.tokens + 1] = "as " .. name end)
  return advance(q, walk, prefix, function(building, takes)
    local built = {}
    each(building, function(name, node) built[#built + 1] = { name = name, template = node } end)
    return change(q.shape, built, takes)
  end)
end

--- Further columns: { name = expression }. After values an aggregate groups by those columns.
function methods.annotate(q, annotations)
  if type(annotations) ~= "table" or getmetatable(annotations) ~= nil or next(annotations) == nil then
    errors.raise("bad_argument", "annotate takes a table: annotate{ total = mp.fn.sum(\"price\") }")
  end
  refuse_limited(q, "annotate")
  return with_annotations(q, annotations, "annotate ", resolve.annotate)
end

--- The same rows told by their keys, so that limits and joins are inside a sub-select.
function query.narrowed(q)
  return methods.filter(query.root(q.model, getmetatable(q), q.extra), { pk__in = q })
end

--- The one row of aggregates over all rows of q, as a query set.
function query.aggregated(q, aggregates)
  if type(aggregates) ~= "table" or getmetatable(aggregates) ~= nil or next(aggregates) == nil then
    errors.raise("bad_argument", "aggregate takes a table: aggregate{ total = mp.fn.sum(\"price\") }")
  end
  if q.shape.group or (q.shape.distinct and q.shape.output ~= "objects") then
    errors.raise("unsupported", "aggregates of groups or of distinct values are not built yet")
  end
  return with_annotations(q, aggregates, "aggregate ", resolve.aggregate)
end

for _, name in ipairs { "union", "intersection", "difference", "with_cte", "select_related", "for_update" } do
  methods[name] = function() errors.raise("unsupported", name .. " is not built yet") end
end

return query
