-- Which rows a query set has: filter, exclude, none and all_rows. A filter by a table of plain values whose form is
-- known makes neither text nor templates: it converts the values and is done.

local check = require "moonpool.sql.check"
local combine = require "moonpool.sql.combine"
local condition = require "moonpool.tree.condition"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local cte = require "moonpool.sql.cte"
local expression_room = require "moonpool.resolve.expression"
local lock = require "moonpool.sql.lock"
local shape_room = require "moonpool.sql.shape"
local step = require "moonpool.sql.step"
local template = require "moonpool.resolve.template"

local null = core.null
local getmetatable, next, type = getmetatable, next, type
local math_type = math.type
local unpack = unpack or table.unpack
local derived, refuse_limited = step.derived, step.refuse_limited

local narrow = {}
local methods = {}
narrow.methods = methods

-- Tables of plain values, and of arrays of such, are known by their keys and by the lengths of their arrays alone:
-- known[key][key]...[LEAF], in whatever order pairs gives them, leads to the shape without making any text. What
-- follows an array is in known[ARRAYS][key][length].
local LEAF, ARRAYS = {}, {}

local function is_plain(value)
  local kind = type(value)
  return kind == "string" or kind == "number" or kind == "boolean" or (kind == "userdata" and value ~= null)
end

-- Whether a field takes each integer as it is.
local function takes_integers(taker)
  local field = taker.relation and taker:key_field() or taker
  return math_type ~= nil and field.definition ~= nil and field.definition.bits == 64
end

-- Convert an array of plain values into the slots behind first, as many as its known length is filled up to. False if
-- it is anything else than that. as_it_is: integers need no conversion.
local function fill_array(slots, first, places, list, taker, as_it_is)
  local length, last = #list, nil
  if next(list, length > 0 and length or nil) ~= nil then return false end -- other keys, or in no order
  for place = 1, length do
    local item = list[place]
    if not as_it_is or math_type(item) ~= "integer" then
      if item == nil or type(item) == "table" or item == null then return false end
      item = taker:convert(item)
    end
    last = item
    slots[first + place] = item
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
  local given, takes, names, lengths, whole = q.slots, to.takes, leaf.names, leaf.lengths, leaf.whole
  -- in its size at once: growing to that of a list costs more than filling it
  local slots = leaf.blank and { unpack(leaf.blank) } or {}
  for i = 1, place do slots[i] = given[i] end
  for i = 1, #names do
    local value, places = keys[names[i]], lengths[i]
    if places then
      if not fill_array(slots, place, places, value, takes[place + 1], whole[i]) then return nil end
      place = place + places
    else
      place = place + 1
      slots[place] = takes[place]:convert(value)
    end
  end
  return derived(q, to, slots)
end

local function branch(from, key)
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
    local meaning = template.meaning(q.shape.context, key)
    local takes = meaning.entry.takes
    if meaning.typed then
      return -- the kind of the value is part of the shape
    elseif takes == "list" and type(value) == "table" and getmetatable(value) == nil
        and fill_array({}, 0, template.padded(#value), value, expression_room.as_it_is) then
      lengths[key] = template.padded(#value)
    elseif takes ~= "one" or not is_plain(value) then
      return
    end
  end
  local known = q.shape.known
  for key in next, keys do
    if lengths[key] then
      known = branch(branch(branch(known, ARRAYS), key), lengths[key])
    else
      known = branch(known, key)
    end
  end
  local names = template.sorted(q.shape.context, keys)
  local whole, place = {}, found.shape.count
  for i = #names, 1, -1 do
    lengths[i] = lengths[names[i]] or false
    place = place - (lengths[i] or 1)
    whole[i] = lengths[i] and takes_integers(found.shape.takes[place + 1])
  end
  local blank
  if found.shape.count > 2 and found.shape.count <= 200 then
    blank = {}
    for i = 1, found.shape.count do blank[i] = false end
  end
  known[LEAF] = { shape = found.shape, names = names, lengths = lengths, whole = whole, blank = blank }
end

local function conditions_of(where, ...)
  local count = select("#", ...)
  local first = ...
  if count == 1 then return condition.from(first, where) end
  local all = {}
  for i = 1, count do all[i] = condition.from((select(i, ...)), where) end
  return condition.all(unpack(all))
end

-- Whether a condition asks for an annotation that is calculated over the rows around.
local function asks_window(context, tree)
  if tree._op == "match" then
    for key in pairs(tree.keys) do
      local annotation = template.meaning(context, key).annotation
      if annotation and annotation.windowed then return true end
    end
    return false
  elseif tree._op == "path" then
    local annotation = not tree._model and context.annotations[tree._path]
    return annotation and annotation.windowed or false
  end
  for _, below in next, tree do
    if type(below) == "table" and not template.is_query(below) and asks_window(context, below) then return true end
  end
  return false
end

--- The rows with their windows as a table, so that a filter can ask for these; in the order that was asked for.
function narrow.with_windows(q)
  local rows, order, reversed = step.with(combine.rows(q), q.extra), q.shape.order, q.shape.reversed
  if not order and not reversed then return rows end
  return step.changed(rows, "in order", function() return { order = order, reversed = reversed } end)
end

-- negated: exclude takes away the rows for which all conditions hold.
local function add(q, wanted, negated)
  local context = q.shape.context
  if context.windowed and asks_window(context, wanted) then q = narrow.with_windows(q) end
  local walk = step.walk(q)
  template.condition(walk, wanted)
  return step.advance(q, walk, negated and "exclude " or "filter ", function(building, takes)
    local built = template.condition(building, wanted)
    if negated then built = { _op = "no", built } end
    check.condition(q.shape, built, takes)
    return { conditions = shape_room.with(q.shape.conditions, built), filtered = true, context = cte.context(q.shape, built) }
  end)
end

--- Rows for which all of it holds. Takes any number of tables and conditions.
function methods.filter(q, ...)
  local keys, count = ..., select("#", ...)
  local is_table = count == 1 and type(keys) == "table" and getmetatable(keys) == nil
  refuse_limited(q, "filter")
  if is_table then
    local found = known_filter(q, keys)
    if found then return found end
  end
  if is_table and next(keys) == nil or count == 0 then return q end
  local found = add(q, conditions_of("filter", ...), false)
  if is_table and not q.shape.context.windowed then remember_filter(q, keys, found) end
  return found
end

--- All rows but those for which all of it holds.
function methods.exclude(q, ...)
  local keys = ...
  refuse_limited(q, "exclude")
  if select("#", ...) == 0 then return q end
  if select("#", ...) == 1 and type(keys) == "table" and getmetatable(keys) == nil and next(keys) == nil then return q end
  return add(q, conditions_of("exclude", ...), true)
end

--- The rows whose relation `field` is the row with that key: what belongs to an owner.
function narrow.owned(q, field, key)
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
function methods.all_rows(q, given)
  if given ~= nil then errors.raise("bad_argument", "all_rows takes no argument, it means all of them: narrow with filter") end
  local from = q.shape
  local to = from.next.all_rows or shape_room.follow(from, "all_rows", shape_room.derive(from, { filtered = true }))
  return derived(q, to, q.slots)
end

--- The query set with rows that soft_delete marks as deleted ("with"), of only those ("only"), or without them (nil).
function narrow.with_deleted(q, deleted)
  if (q.shape.deleted or nil) == deleted then return q end
  return step.changed(q, "deleted " .. tostring(deleted), function()
    return { deleted = deleted or false, filtered = q.shape.filtered or deleted == "only" }
  end)
end

local function showing(method, deleted)
  return function(q)
    refuse_limited(q, method)
    if not q.model.soft_delete then
      errors.raise("bad_argument", ("%s: %s has no soft_delete: its deleted rows are gone"):format(method, q.model.name))
    elseif q.shape.from then
      errors.raise("bad_argument", method .. " stands in the query sets that are combined, not behind them")
    end
    return narrow.with_deleted(q, deleted)
  end
end

--- Rows that soft_delete marks as deleted too.
methods.with_deleted = showing("with_deleted", "with")

--- Only rows that soft_delete marks as deleted.
methods.only_deleted = showing("only_deleted", "only")

--- Whether update and delete may go ahead.
function narrow.is_filtered(q)
  return q.shape.filtered or q.top ~= false or q.skip ~= false
end

--- The same rows told by their keys, so that limits and joins are inside a sub-select.
function narrow.narrowed(q)
  local root = step.root(q.model, getmetatable(q), q.extra)
  return methods.filter(q.shape.deleted and methods.with_deleted(root) or root, { pk__in = lock.without(q) })
end

return narrow
