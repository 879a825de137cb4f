-- Query sets made of others: union, intersection and difference, and the rows of one query set as the table of
-- another (of which aggregates are taken, say). Their rows stand in FROM, so that whatever a query set of a table takes
-- can follow: filters, order, limits, relations.
--
-- Of objects the columns are those of the entity and the annotations, and the rest goes on as with the entity. Of rows
-- of values the columns are all there is.

local errors = require "moonpool.errors"
local select_room = require "moonpool.sql.select"
local expression_room = require "moonpool.resolve.expression"
local shape_room = require "moonpool.sql.shape"
local step = require "moonpool.sql.step"
local template = require "moonpool.resolve.template"
local vocabulary = require "moonpool.vocabulary"

local combine = {}
local methods = {}
combine.methods = methods

-- Columns of a part: { name, kind, null }, behind those of the entity if there are such.
local function columns_of(part, whole)
  local select = select_room.inner(part, 0, { whole = true })
  local columns = {}
  for i = whole and #part.shape.model.stored + 1 or 1, #select.columns do
    local column, found = select.columns[i], select.columns[i].expression
    columns[#columns + 1] = {
      name = column.name, kind = found.kind, null = found.null, number = found.op == "column" and found.field.kind or found.number,
    }
  end
  return columns
end

local function check_columns(method, first, other, whole)
  if #first ~= #other then
    errors.raise("bad_argument", ("%s takes query sets with the same columns: here are %d and %d"):format(method, #first,
      #other))
  end
  for i, column in ipairs(first) do
    local beside = other[i]
    if whole and column.name ~= beside.name then
      errors.raise("bad_argument", ("%s takes objects with the same annotations: here are %s and %s"):format(method,
        column.name, beside.name))
    elseif column.kind and beside.kind and (column.kind ~= beside.kind or column.number and beside.number
        and column.number ~= beside.number) then
      errors.raise("bad_argument", ("%s takes columns of the same kinds: %s is of kind %s, %s of kind %s"):format(method,
        column.name, column.kind, beside.name, beside.kind))
    end
  end
end

-- The shape of the rows of parts.
local function shape_of(first, method, operator, parts, count)
  local model, whole = first.model, first.output == "objects"
  local columns = columns_of(parts[1], whole)
  local context = { model = model, annotations = {}, meanings = {}, only_columns = not whole }
  local names, values, takes = {}, {}, {}
  if whole then
    for i, field in ipairs(model.stored) do names[i] = field.column end
  end
  for i = 2, #parts do
    local others = columns_of(parts[i], whole)
    check_columns(method, columns, others, whole)
    for place, other in ipairs(others) do
      local column = columns[place]
      column.kind, column.null = column.kind or other.kind, column.null or other.null
      column.number = column.number or other.number
    end
  end
  for i, column in ipairs(columns) do
    local annotation = {
      name = column.name, kind = column.kind,
      template = { _op = "derived", name = column.name, kind = column.kind, null = column.null, number = column.number },
    }
    context.annotations[column.name], values[i] = annotation, annotation
    names[#names + 1] = column.name
  end
  local filtered = true
  for _, part in ipairs(parts) do
    filtered = filtered and (part.shape.filtered or part.top ~= nil or part.skip ~= nil)
  end
  for i = 1, count do takes[i] = expression_room.as_it_is end
  return shape_room.new {
    pure = true, -- nothing was added to the rows yet: what is derived from this shape does not have it
    model = model, count = count, takes = takes, context = context, conditions = {}, reversed = false, distinct = false,
    output = first.output, loaded = whole and first.loaded or nil,
    related = whole and first.related or nil, values = values, nothing = false, filtered = filtered,
    from = { parts = parts, operator = operator, whole = whole, names = names },
  }
end

-- What the rows of others carry along of the first: where they are, and what is loaded with them; not whose they were.
local function carried(q)
  local extra = q.extra
  return extra and { database = extra.database, prefetch = extra.prefetch } or nil
end

-- The query set over the rows of others, of which the first says whose.
local function over(method, operator, ...)
  local first = ...
  local walk = template.walk({}, {}, 0, true)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = template.query(walk, (select(i, ...))) end
  local from, key = first.shape, operator .. " " .. template.key(walk)
  local to = from.next[key]
  if not to then to = shape_room.follow(from, key, shape_of(from, method, operator, parts, walk.count)) end
  return step.limited(step.derived(step.root(first.model, getmetatable(first), carried(first)), to, walk.values))
end

--- The rows of a query set as those of another.
function combine.rows(q)
  return over("aggregate", "rows", q)
end

--- Whether the rows of a query set are whole objects, and the names of their columns.
---@return boolean whole, string[] names
function combine.form(q)
  local whole, names = q.shape.output == "objects", {}
  if whole then
    for i, field in ipairs(q.model.stored) do names[i] = field.column end
  end
  for _, column in ipairs(columns_of(template.query(template.walk({}, {}, 0, true), q), whole)) do
    names[#names + 1] = column.name
  end
  return whole, names
end

--- The rows of the table expression of that name, of the form of a query set.
function combine.named(q, name)
  local from, key = q.shape, "named " .. #name .. ":" .. name
  local to = from.next[key]
  if not to then
    to = shape_of(from, "with_cte", "rows", { template.query(template.walk({}, {}, 0, true), q) }, 0)
    to.from = { cte = name, whole = to.from.whole, names = to.from.names }
    to.filtered, to.takes, to.related = false, {}, nil
    shape_room.follow(from, key, to)
  end
  return step.limited(step.derived(step.root(q.model, getmetatable(q), carried(q)), to, {}))
end

-- The database that a query set is bound to: that of its entity, or another.
local function database_of(q)
  return q.extra and q.extra.database or q.model.database
end

--- A query set, or the entity whose rows it stands for, of the database of q.
function combine.check_database(method, q, other)
  local what = q.model.name .. ":" .. method
  if not template.is_query(other) then
    local meta = getmetatable(other)
    local class = type(meta) == "table" and rawget(meta, "class")
    if not (class and class.entity == other) then
      errors.raise("bad_argument", ("%s takes a query set, not %s"):format(what, vocabulary.quoted(other)))
    end
    other = class.root
  end
  if database_of(q) ~= database_of(other) then
    errors.raise("bad_argument", what .. ": the query sets are of different databases")
  end
  return other
end

local function check_parts(method, q, other)
  local what = q.model.name .. ":" .. method
  other = combine.check_database(method, q, other)
  local objects, others = q.shape.output == "objects", other.shape.output == "objects"
  if objects ~= others then
    errors.raise("bad_argument", what .. " takes objects with objects, values with values: one of these has values(...)")
  elseif objects and q.model ~= other.model then
    errors.raise("bad_argument", ("%s takes objects of one entity, not %s: values(...) of both give rows alike"):format(what,
      other.model.name))
  end
  return other
end

local function check_options(method, given, known)
  if given == nil then return {} end
  if type(given) ~= "table" or template.is_query(given) then
    errors.raise("bad_argument", ("%s takes one query set%s"):format(method,
      known.all and " and a table of options, such as { all = true }" or ""))
  end
  for name, value in pairs(given) do
    if not known[name] then
      errors.raise("unknown_option", ("%s takes no option %s%s"):format(method, vocabulary.quoted(name),
        vocabulary.suggest(name, known)))
    elseif type(value) ~= "boolean" then
      errors.raise("bad_argument", ("%s: %s is true or false, not %s"):format(method, name, vocabulary.quoted(value)))
    end
  end
  return given
end

local function combining(method, operator, known)
  return function(q, other, options)
    other = check_parts(method, q, other)
    options = check_options(method, options, known)
    return over(method, options.all and operator .. " ALL" or operator, q, other)
  end
end

--- The rows of both; each once, unless { all = true }.
methods.union = combining("union", "UNION", { all = true })

--- The rows that are in both.
methods.intersection = combining("intersection", "INTERSECT", {})

--- The rows that are not in the other.
methods.difference = combining("difference", "EXCEPT", {})

return combine
