-- What is read of the rows of a query set: values, values_list, annotate, distinct, and the aggregates over all of
-- them.

local check = require "moonpool.sql.check"
local combine = require "moonpool.sql.combine"
local condition = require "moonpool.tree.condition"
local errors = require "moonpool.errors"
local expression = require "moonpool.tree.expression"
local narrow = require "moonpool.sql.narrow"
local related = require "moonpool.sql.related"
local step = require "moonpool.sql.step"
local template = require "moonpool.resolve.template"
local vocabulary = require "moonpool.vocabulary"

local getmetatable, next, select, type = getmetatable, next, select, type
local unpack = unpack or table.unpack
local changed, refuse_limited = step.changed, step.refuse_limited

local columns = {}
local methods = {}
columns.methods = methods

-- One row for each value of these columns.
local function distinct_on(q, ...)
  local names = related.names("distinct", q, ...)
  if q.shape.group then
    errors.raise("bad_argument", ("distinct of columns of %s: groups are different already"):format(q.model.name))
  elseif q.shape.context.only_columns then
    errors.raise("unsupported", ("distinct of columns is for rows of %s, not of a union of values"):format(q.model.name))
  end
  return changed(q, related.key("distinct", names), function() return check.distinct_on(q.shape, names) end)
end

--- Each row once. distinct("a", "b"): of the rows with the same a and b the first one, in the order of the query set.
function methods.distinct(q, ...)
  refuse_limited(q, "distinct")
  if select("#", ...) > 0 then return distinct_on(q, ...) end
  return changed(q, "distinct", function() return { distinct = true } end)
end

local function reading(method, output)
  return function(q, ...)
    local names = related.names(method, q, ...)
    return changed(q, related.key(method, names), function()
      return check.values(q.shape, names, output)
    end)
  end
end

local function with_annotations(q, annotations, prefix, change)
  local names = {}
  for name in pairs(annotations) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  local walk = step.walk(q)
  local function each(on, fn)
    for _, name in ipairs(names) do
      local ok, why = vocabulary.is_name(name)
      if not ok then errors.raise("bad_argument", ("the annotation %s %s"):format(vocabulary.quoted(name), why)) end
      local node = annotations[name]
      fn(name, template.expression(on, expression.value(node)))
    end
  end
  each(walk, function(name) template.say(walk, "as " .. name) end)
  return step.advance(q, walk, prefix, function(building, takes)
    local built = {}
    each(building, function(name, node) built[#built + 1] = { name = name, template = node } end)
    return change(q.shape, built, takes)
  end)
end

--- Rows as tables keyed by the names as written; of all columns without arguments.
methods.values = reading("values", "rows")

local list_of_names = reading("values_list", "arrays")

local function is_calculated(item)
  return expression.is(item) and item._op ~= "path" or condition.is(item)
end

--- Rows as arrays, of columns and of expressions.
function methods.values_list(q, ...)
  local count, calculated = select("#", ...), nil
  for i = 1, count do
    local item = (select(i, ...))
    if is_calculated(item) then
      calculated = calculated or {}
      calculated["value_" .. i] = item
    end
  end
  if not calculated then return list_of_names(q, ...) end
  local names = { ... }
  for i = 1, count do
    if is_calculated(names[i]) then names[i] = "value_" .. i end
  end
  return list_of_names(with_annotations(q, calculated, "annotate ", check.annotate), unpack(names, 1, count))
end

--- Further columns: { name = expression }. After values an aggregate groups by those columns.
function methods.annotate(q, annotations)
  if type(annotations) ~= "table" or getmetatable(annotations) ~= nil or next(annotations) == nil then
    errors.raise("bad_argument", "annotate takes a table: annotate{ total = mp.fn.sum(\"price\") }")
  end
  refuse_limited(q, "annotate")
  return with_annotations(q, annotations, "annotate ", check.annotate)
end

--- The one row of aggregates over all rows of q, as a query set.
function columns.aggregated(q, aggregates)
  if type(aggregates) ~= "table" or getmetatable(aggregates) ~= nil or next(aggregates) == nil then
    errors.raise("bad_argument", "aggregate takes a table: aggregate{ total = mp.fn.sum(\"price\") }")
  end
  local shape, is_cut = q.shape, q.top or q.skip or q.shape.distinct_on
  local windowed = shape.context.windowed -- the windows are there after the rows that aggregates take
  if shape.group or windowed or is_cut and shape.values[1] or shape.distinct and shape.output ~= "objects" then
    q = combine.rows(q)
  elseif is_cut then
    q = narrow.narrowed(q)
  end
  return with_annotations(q, aggregates, "aggregate ", check.aggregate)
end

return columns
