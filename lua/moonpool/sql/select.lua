-- From a shape to one SELECT, resolved: sources and joins, conditions, columns, order. Still no SQL and
-- no dialect. What a shape may say is checked in moonpool.sql.check.
--
-- A select is { scope, columns = { { expression, name } }, where, group, having, order, distinct, top,
-- skip }; what is not there is nil. where is simplified, and false_ says that there can be no row.

local condition = require "moonpool.resolve.condition"
local errors = require "moonpool.errors"
local expression = require "moonpool.resolve.expression"
local node = require "moonpool.tree.node"
local relations = require "moonpool.resolve.relations"
local simplify = require "moonpool.sql.simplify"
local source = require "moonpool.resolve.source"
local template = require "moonpool.resolve.template"
local vocabulary = require "moonpool.vocabulary"

local select_room = {}

--- The scope of a shape: its model's table, or the rows it is made of.
function select_room.scope(shape, outer)
  local scope = source.scope(shape.model, outer, shape.deleted)
  if shape.from then
    scope.base.rows, scope.base.standing = shape.from, nil -- what always holds, its parts have said
  end
  return scope
end

--- The resolver for what a shape says, in a scope.
function select_room.resolver(shape, scope, takes, offset)
  return expression.resolver(scope, shape.context.annotations, shape.group and "groups" or "rows", takes, offset)
end

--- Columns that are asked for behind relations to many join them: a row comes once for each of theirs, and once with
--- NULL where there is none. Gives the resolver's `joined`: what is where, as resolver.inside tells it; nil for none.
---@param columns table[]  those of a shape's values
function select_room.join_many(scope, columns)
  local joined
  for _, column in ipairs(columns) do
    local from = scope.base
    for _, one in ipairs(column.many and column.many.steps or {}) do
      local source_of = source.follow(from, one)
      if one.inverse and not one.inverse.one then
        joined = joined or {}
        joined[from] = joined[from] or {}
        joined[from][one.inverse] = source_of
      end
      from = source_of
    end
  end
  return joined
end

local WORLDS = { aggregate = true, has_row = true, scalar = true, among_rows = true }
local NO_NODES = { source = true, field = true, select = true }
select_room.NO_NODES = NO_NODES

--- Whether fn says yes of a node or one below it (nil: what is below is not asked); sub-selects are worlds of their own.
--- What a window takes together is no aggregate of the rows.
function select_room.any_node(tree, fn)
  local found = tree.op and fn(tree)
  if found then return true end
  if found == nil and tree.op or WORLDS[tree.op] then return false end
  for key, below in pairs(tree) do
    if type(below) == "table" and not NO_NODES[key] then
      if tree.op == "window" and key == "inner" then below = { below.argument or below.arguments } end
      if select_room.any_node(below, fn) then return true end
    end
  end
  return false
end

function select_room.is_aggregate(tree) return tree.op == "aggregate" end

local function is_window(tree) return tree.op == "window" end

--- Whether a window is in an expression: then it is there after WHERE only.
function select_room.has_window(tree) return select_room.any_node(tree, is_window) end

--- What must hold, one by one: of a group some of it is asked before grouping, some after.
function select_room.parts(resolved)
  local simple = simplify.condition(resolved)
  return simple.op == "and" and simple.items or { simple }
end

--- The key of the rows of a scope's own table.
function select_room.key_columns(scope)
  local columns = {}
  for i, field in ipairs(scope.model.key) do columns[i] = { expression = node.column(scope.base, field, false) } end
  return columns
end

local function add_columns(select, shape, resolver, whole)
  local columns = {}
  if shape.output == "objects" then
    for _, field in ipairs(not whole and shape.loaded or whole and shape.model.stored or shape.model.loaded) do
      columns[#columns + 1] = { expression = node.column(select.scope.base, field, field.null), name = field.attribute }
    end
  end
  for _, column in ipairs(shape.values) do
    -- what is grouped by is the same in the columns, with the names of tables that are in it
    local resolved = select.grouped and select.grouped[column] or expression.annotation(resolver, column)
    columns[#columns + 1] = { expression = resolved, name = column.name, named = resolved.op ~= "column" }
  end
  select.columns, select.own = columns, #columns
  if whole or shape.output ~= "objects" then return end
  local sources = { [0] = select.scope.base }
  for place, one in ipairs(shape.related or {}) do
    local from = source.follow(sources[one.parent], one.step)
    sources[place] = from
    for _, field in ipairs(one.loaded or one.step.model.loaded) do
      columns[#columns + 1] = { expression = expression.column(from, field), name = field.attribute, part = place }
    end
  end
end

-- Table expressions that were asked for their rows in what is being built, by name.
local asked = {}

-- In a recursive definition the rows found so far are joined: servers take them in no sub-select. What is left of the
-- condition is given.
local function join_asked(scope, built, recursing)
  local left = { _op = "match" }
  for _, item in ipairs(built) do
    local query, path = item.operand.query, item.meaning.path
    local from = query and query.shape.from
    if not (from and from.cte == recursing) then
      left[#left + 1] = item
    else
      local way, on = path.steps[1], nil
      if not way and path.field.relation then
        way, on = path.field, relations.pairs(path.field, false)
      elseif way and way.inverse and not way.inverse.over and #path.steps == 1 and path.whole then
        on = relations.pairs(way.inverse.field, true)
      end
      if not on or not query.shape.pure then
        errors.raise("unsupported", ("in its own definition the rows of %s are asked for by one relation to them, as they are: %s")
          :format(vocabulary.quoted(recursing), vocabulary.quoted(item.meaning.text)))
      end
      asked[recursing] = true
      source.beside(scope.base, query.shape.model, way.name, on, from)
    end
  end
  return left
end

-- Conditions on the place of a row in the order are made by the room above, which knows pages.
local beyond

--- fn(resolver, shape, built) -> condition
function select_room.set_beyond(fn) beyond = fn end

local function add_conditions(select, shape, resolver, recursing)
  local where, having, conditions = {}, {}, shape.conditions
  if shape.nothing then where[1] = node.false_ end
  if recursing then
    conditions = {}
    for i, built in ipairs(shape.conditions) do
      conditions[i] = built._op == "match" and join_asked(select.scope, built, recursing) or built
    end
  end
  for _, built in ipairs(conditions) do
    local resolved = built._op == "beyond" and beyond(resolver, shape, built) or condition.resolve(resolver, built)
    for _, item in ipairs(select_room.parts(resolved)) do
      local list = shape.group and select_room.any_node(item, select_room.is_aggregate) and having or where
      list[#list + 1] = item
    end
  end
  select.where = simplify.all(where)
  select.having = simplify.all(having)
end

-- What rows are distinct by is all that their order may ask: of those that became one, which would count?
local function check_distinct(shape, columns, resolved)
  for _, column in ipairs(columns) do
    local found = column.expression
    if found == resolved or resolved.op == "column" and found.op == "column" and found.field == resolved.field
        and found.source == resolved.source then
      return
    end
  end
  errors.raise("bad_argument", ("distinct rows of %s are ordered by their columns only: name %s in values"):format(
    shape.model.name, resolved.op == "column" and resolved.field:title() or "the expression"))
end

local function add_order(select, shape, resolver, order)
  local items = {}
  for i, item in ipairs(order) do
    local descending = item.descending
    local nulls = item.nulls
    if shape.reversed then
      descending = not descending
      if nulls then nulls = nulls == "first" and "last" or "first" end
    end
    local annotation = expression.annotation_of(resolver, item.operand)
    local resolved = expression.resolve(resolver, item.operand)
    -- a column of the result is meant by its name, not calculated twice
    local name
    for _, column in ipairs(select.columns) do
      if annotation and column.named and column.name == annotation.name then name = column.name end
    end
    if select.distinct and not name then check_distinct(shape, select.columns, resolved) end
    -- what is in JSON is asked for more than once, and of a group only what it is grouped by, as it is written there
    if shape.group and resolved.op == "json" then resolved = { op = "grouped", operand = resolved, kind = "json" } end
    items[i] = { expression = resolved, name = name, descending = descending, nulls = nulls }
  end
  if #items > 0 then select.order = items end
end

-- The entity's own order is not for groups; nor for distinct rows, whose order must be among them.
local function own_order(shape)
  if shape.group or (shape.distinct or shape.context.only_columns) and shape.output ~= "objects" then return {} end
  local order = {}
  local walk = template.walk(shape.context, {}, 0, true)
  for i, name in ipairs(shape.model.order_by) do
    if type(name) ~= "string" then
      errors.raise("bad_argument", ("order_by of %s is a list of names"):format(shape.model.name))
    end
    local descending = name:sub(1, 1) == "-"
    order[i] = {
      operand = { _op = "path", _path = descending and name:sub(2) or name }, descending = descending,
    }
    template.expression(walk, order[i].operand)
  end
  return order
end

--- The order of a shape: what was asked for, or the entity's own.
function select_room.order_of(shape) return shape.order or own_order(shape) end

-- What the rows are sorted by, behind all that they hold.
local function add_place(select)
  local columns = select.columns
  for _, item in ipairs(select.order) do
    columns[#columns + 1] = { expression = item.expression, part = "place" }
  end
end

-- The SELECTs of derived rows. They see nothing of the scope that they are rows of, so names may be the same in both.
-- recursing: the table expression that they define.
local function add_rows(scope, from, offset, recursing)
  if from.cte then
    asked[from.cte] = true
    return
  end
  local rows = { operator = from.operator, whole = from.whole }
  for i, part in ipairs(from.parts) do
    local select = select_room.inner(part, offset, { whole = true, recursing = recursing })
    for place, column in ipairs(select.columns) do
      local found = column.expression
      if not (from.whole and place <= #part.shape.model.stored) then
        column.name = from.names[place]
        column.named = found.op ~= "column" or found.field.column ~= column.name
      end
    end
    local names = select.scope.names
    if names.count > 1 then scope.names.count = scope.names.count + names.count - 1 end
    rows[i] = select
  end
  scope.base.rows = rows
end

-- What WITH defines.
local function add_ctes(select, shape, offset)
  select.ctes = {}
  for i, one in ipairs(shape.ctes) do
    local body, holder = one.part.shape, { base = {}, names = select.scope.names }
    local is_compound = body.pure and body.from.parts and not (one.part.top or one.part.skip)
    local before = asked
    asked = {}
    if is_compound then
      add_rows(holder, body.from, offset + one.part.first, one.name)
    else
      add_rows(holder, { parts = { one.part }, whole = one.whole, names = one.names }, offset, one.name)
    end
    select.is_recursive = select.is_recursive or asked[one.name] or false
    for name in pairs(asked) do before[name] = true end
    asked = before
    select.ctes[i] = { name = one.name, names = one.names, model = one.model, rows = holder.base.rows }
  end
end

-- The order in which of equal rows the first is told: that of the shape, completed by the key.
local function distinct_order(shape)
  local order = select_room.order_of(shape)
  local items, seen = {}, {}
  for i, item in ipairs(order) do items[i], seen[item.operand._path or ""] = item, true end
  if not items[1] then
    for i, column in ipairs(shape.distinct_on) do items[i] = { operand = column, descending = false } end
  end
  for _, field in ipairs(shape.model.key) do
    if not seen[field.attribute] then
      items[#items + 1] = { operand = { _op = "path", _path = field.attribute }, descending = false }
    end
  end
  return items
end

-- Whether the order begins with the columns that rows are told apart by, as DISTINCT ON wants it. That of JSON asks for
-- what is in it.
local function begins_with(shape, order, resolver)
  local names = {}
  for _, column in ipairs(shape.distinct_on) do
    if expression.resolve(resolver, column).kind == "json" then return false end
    names[column._path] = true
  end
  for i = 1, #shape.distinct_on do
    local path = order[i] and order[i].operand._path
    if not (path and names[path]) then return false end
    names[path] = nil
  end
  return true
end

-- Of rows that are equal in some columns the first: by the server's own means where there are such and the order is theirs,
-- else as the rows whose place among their like is 1.
local function add_distinct_on(select, shape, options)
  local order = distinct_order(shape)
  local native = options.native and not options.bare and begins_with(shape, order, select.resolver)
  if native then
    add_conditions(select, shape, select.resolver)
    select.distinct_on = {}
    for i, column in ipairs(shape.distinct_on) do select.distinct_on[i] = expression.resolve(select.resolver, column) end
    return order
  end
  local scope = select_room.scope(shape, select.scope)
  if shape.from then add_rows(scope, shape.from, options.offset or 0) end
  local inner = { scope = scope, resolver = select_room.resolver(shape, scope, {}, options.offset), columns = {} }
  add_conditions(inner, shape, inner.resolver)
  add_order(inner, shape, inner.resolver, order)
  for _, item in ipairs(inner.order) do
    if select_room.has_window(item.expression) then
      errors.raise("unsupported", ("distinct of columns of %s in the order of a window: it is there behind them"):format(shape.model.name))
    end
  end
  local parts = {}
  for i, column in ipairs(shape.distinct_on) do parts[i] = expression.resolve(inner.resolver, column) end
  inner.columns = select_room.key_columns(scope)
  inner.columns[#inner.columns + 1] = { expression = { op = "place", parts = parts, order = inner.order, kind = "int" } }
  inner.order = nil
  local keys = {}
  for i, column in ipairs(select_room.key_columns(select.scope)) do keys[i] = column.expression end
  select.where = { op = "first_rows", keys = keys, select = inner, maybe = false }
  return order
end

--- The SELECT of a shape. options:
---   outer, offset   for a query set inside another statement: the scope around it, where its slots begin;
---                   outer_resolver: what its mp.outer means, takes: filled for its slots
---   top, skip       slots of the limits
---   bare            true: no columns and no order; the caller adds what it wants
---   native          true: the server has DISTINCT ON
---   recursing       the name of the table expression that it is a part of the definition of
---   keys            true: of objects nothing but their keys
---   whole           true: all columns of an object, whichever are loaded
---@param shape moonpool.shape
---@param options table
function select_room.build(shape, options)
  local scope = select_room.scope(shape, options.outer)
  if shape.from then add_rows(scope, shape.from, options.offset or 0) end
  local resolver = select_room.resolver(shape, scope, options.takes or {}, options.offset)
  resolver.outer = options.outer_resolver
  resolver.joined = select_room.join_many(scope, shape.values)
  local select = {
    scope = scope, resolver = resolver, columns = {},
    distinct = shape.distinct and shape.output ~= "objects" or nil, -- no object comes twice anyway
    top = options.top and node.slot(options.top, "int"), skip = options.skip and node.slot(options.skip, "int"),
  }
  select.lock = not options.bare and shape.lock or nil
  local order
  if shape.distinct_on then
    order = add_distinct_on(select, shape, options)
  else
    add_conditions(select, shape, resolver, options.recursing)
  end
  resolver.inside = resolver.joined -- in columns and order; a condition says "has one that" all the same
  if shape.ctes then add_ctes(select, shape, options.offset or 0) end
  if shape.group then
    select.group, select.grouped = {}, {}
    for i, column in ipairs(shape.group) do
      local resolved = expression.annotation(resolver, column)
      select.group[i], select.grouped[column] = resolved, resolved
    end
  end
  if options.bare then return select end
  if options.keys and shape.output == "objects" then
    select.columns = select_room.key_columns(scope)
  else
    add_columns(select, shape, resolver, options.whole)
  end
  if not options.unordered then add_order(select, shape, resolver, order or select_room.order_of(shape)) end
  if shape.place and not (options.whole or options.keys) then add_place(select) end
  return select
end

--- Whether a SELECT gives each row of its table once, with nothing cut off.
function select_room.is_plain(shape, options)
  for _, column in ipairs(shape.values) do
    if column.many then return false end
  end
  return not (shape.group or shape.distinct and shape.output ~= "objects" or options.top or options.skip)
end

--- The SELECT of a query set inside another, as template.query gives it; its order matters for its limits only.
function select_room.inner(built, offset, options)
  if built.shape.lock then
    errors.raise("bad_argument", "for_update locks the rows that a statement gives, not those of a query set inside it")
  end
  options.offset = offset + built.first
  options.top = built.top and offset + built.top
  options.skip = built.skip and offset + built.skip
  options.unordered = not (options.top or options.skip or options.ordered)
  return select_room.build(built.shape, options)
end

local TITLES = { ["in"] = "the lookup in", first = "mp.subquery" }

local function check_width(select, purpose, width)
  if #select.columns ~= width then
    errors.raise("bad_argument", ("%s takes a query set of %s, this one has %d: values(name) says which"):format(
      TITLES[purpose], width == 1 and "one column" or width .. " columns", #select.columns))
  end
end

-- A query set inside another: behind in, in mp.subquery and in mp.exists.
expression.set_select_of(function(resolver, built, purpose, width)
  local shape, takes = built.shape, resolver.takes
  local offset = resolver.offset + built.first
  local options = {
    outer = resolver.scope, outer_resolver = resolver, takes = {}, keys = true, bare = purpose == "exists",
    ordered = purpose == "first",
  }
  local select = select_room.inner(built, resolver.offset, options)
  if purpose == "first" then
    select.top = options.top and { index = options.top, kind = "int", change = function(top) return math.min(top, 1) end }
      or { literal = "1" }
  end
  for i = 1, shape.count do
    -- the values were converted when the query set was made, but for what is beside mp.outer: that is known now
    local open = shape.takes[i] == expression.as_it_is
    takes[offset + i] = open and options.takes[offset + i] or expression.as_it_is
  end
  for _, name in ipairs { "top", "skip" } do
    if built[name] then takes[resolver.offset + built[name]] = expression.as_it_is end
  end
  if purpose ~= "exists" then check_width(select, purpose, width or 1) end
  return select
end)

return select_room
