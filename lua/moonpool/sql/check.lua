-- Checks, when a shape is made, that what it adds can be resolved, and gives the changes that columns make to it.
-- So a wrong name is an error at the line that wrote it. What is checked here is built in moonpool.sql.select.

local condition = require "moonpool.resolve.condition"
local errors = require "moonpool.errors"
local expression = require "moonpool.resolve.expression"
local select_room = require "moonpool.sql.select"
local template = require "moonpool.resolve.template"
local vocabulary = require "moonpool.vocabulary"

local any_node, is_aggregate, parts_of = select_room.any_node, select_room.is_aggregate, select_room.parts
local NO_NODES = select_room.NO_NODES

local check = {}

-- Whether two resolved expressions are written alike.
local function is_same(one, other)
  if one == other then return true end
  if type(one) ~= "table" or type(other) ~= "table" then return false end
  if one.op == "column" then return other.op == "column" and one.source == other.source and one.field == other.field end
  for key, value in pairs(one) do
    if NO_NODES[key] and value ~= other[key] or not NO_NODES[key] and not is_same(value, other[key]) then return false end
  end
  for key in pairs(other) do
    if one[key] == nil then return false end
  end
  return true
end

-- Of a group only what is the same in all its rows may be asked. plain: only columns as they are.
local function check_grouped(shape, resolver, tree, where, plain)
  if not shape.group then return end
  local grouped = {}
  for _, column in ipairs(shape.group) do
    local resolved = expression.annotation(resolver, column)
    if resolved.op == "column" or not plain then grouped[#grouped + 1] = resolved end
  end
  any_node(tree, function(one)
    for _, column in ipairs(grouped) do
      -- what is in JSON is written in another way inside of an expression
      if one.op and one.kind ~= "json" and is_same(one, column) then return nil end
    end
    if one.op == "column" then
      errors.raise("bad_argument", ("%s asks for %s, which is not the same in all rows of a group: name it in values,"
        .. " or take an aggregate of it"):format(where, one.field:title()))
    end
    return false
  end)
end

-- Each of these fills takes.

--- Check a condition that is to be added to a shape.
function check.condition(shape, built, takes)
  local resolver = select_room.resolver(shape, select_room.scope(shape), takes)
  resolver.joined = select_room.join_many(resolver.scope, shape.values)
  for _, item in ipairs(parts_of(condition.resolve(resolver, built))) do
    if select_room.has_window(item) then
      errors.raise("unsupported", "a filter asks rows before their windows are there: annotate it, and filter by the annotation")
    end
    if shape.group and any_node(item, is_aggregate) then
      check_grouped(shape, resolver, item, "a filter on a group", true) -- not every server knows expressions again there
    end
  end
end

function check.order(shape, order, takes)
  local resolver = select_room.resolver(shape, select_room.scope(shape), takes)
  resolver.inside = select_room.join_many(resolver.scope, shape.values)
  for _, item in ipairs(order) do
    local resolved = expression.resolve(resolver, item.operand)
    local annotation = expression.annotation_of(resolver, item.operand)
    local grouped_by = false
    for _, column in ipairs(shape.group or {}) do
      local is_column = not annotation and column.name == item.operand._path
      grouped_by = grouped_by or column == annotation or is_column
    end
    if not grouped_by then check_grouped(shape, resolver, resolved, "the order of groups") end
  end
end

-- No server has windows over windows.
local function check_window(resolved)
  any_node(resolved, function(one)
    for key, below in pairs(one.op == "window" and one or {}) do
      if type(below) == "table" and not NO_NODES[key] and select_room.has_window(below) then
        errors.raise("unsupported", "a window over a window: take the rows of the one, and calculate the other from them")
      end
    end
    return false
  end)
end

-- What rows are grouped by: all that is no aggregate. A window is over rows, or over groups, as they are where it is annotated.
local function group_of(shape, values, before)
  local group = {}
  for i, column in ipairs(values) do
    local of_rows = column.windowed and (column.by_row or i <= before and not shape.group)
    if of_rows and shape.output ~= "objects" then
      errors.raise("unsupported", ("%s is a window over rows, which cannot be grouped any more: annotate it behind the aggregates, "
        .. "where it is one over the groups"):format(column.name))
    elseif not (column.aggregate or column.windowed) then
      group[#group + 1] = column
    end
  end
  return group
end

--- Check annotations, { name, template } in order, and give the changes to the shape.
function check.annotate(shape, built, takes)
  local model, known = shape.model, shape.context.annotations
  local rows = shape.output ~= "objects"
  local scope = select_room.scope(shape)
  local resolver = expression.resolver(scope, known, rows and "groups" or "rows", takes)
  resolver.inside = select_room.join_many(scope, shape.values)
  local annotations, values = {}, {}
  for name, annotation in pairs(known) do annotations[name] = annotation end
  for i, column in ipairs(shape.values) do values[i] = column end
  local before = #values
  local aggregated, windowed = shape.group ~= nil, shape.context.windowed
  for _, one in ipairs(built) do
    local is_taken = not shape.context.only_columns and (model.by_name[one.name] or model.inverses[one.name])
    if is_taken or known[one.name] then
      errors.raise("bad_argument", ("%s has something called %s already: give the annotation another name"):format(
        model.name, one.name))
    end
    local resolved = expression.resolve(resolver, one.template)
    local aggregate = any_node(resolved, is_aggregate)
    check_window(resolved)
    local annotation = {
      name = one.name, template = one.template, kind = resolved.kind, aggregate = aggregate,
      windowed = select_room.has_window(resolved), by_row = not rows,
    }
    windowed = windowed or annotation.windowed
    annotations[one.name] = annotation
    values[#values + 1] = annotation
    aggregated = aggregated or aggregate
  end
  local group = aggregated and group_of(shape, values, before) or nil
  for i = before + 1, group and #values or before do -- windows are over the groups
    if values[i].windowed and rows then
      check_grouped({ group = group }, resolver, expression.annotation(resolver, values[i]), "a window over groups")
    end
  end
  local context = {
    model = model, annotations = annotations, meanings = {}, only_columns = shape.context.only_columns, windowed = windowed,
  }
  local changes = { context = context, values = values, group = group }
  if group and shape.order and not shape.group then -- it was the order of rows
    check.order(setmetatable(changes, { __index = shape }), shape.order, {})
    setmetatable(changes, nil)
  end
  return changes
end

--- The changes that aggregates over all rows make: one group, nothing else in the result.
function check.aggregate(shape, built, takes)
  local resolver = expression.resolver(select_room.scope(shape), shape.context.annotations, "groups", takes)
  local values = {}
  for i, one in ipairs(built) do
    local resolved = expression.resolve(resolver, one.template)
    if not any_node(resolved, is_aggregate) then
      errors.raise("bad_argument", ("aggregate takes aggregates, %s is none: write mp.fn.sum(...) or the like"):format(one.name))
    end
    values[i] = { name = one.name, template = one.template, kind = resolved.kind, aggregate = true }
  end
  return { output = "rows", values = values, group = {}, order = {}, distinct = false }
end

--- The changes that distinct(names) makes to a shape.
function check.distinct_on(shape, names)
  local resolver = select_room.resolver(shape, select_room.scope(shape))
  local templates = {}
  for i, name in ipairs(names) do
    templates[i] = { _op = "path", _path = name }
    expression.resolve(resolver, templates[i])
  end
  return { distinct_on = templates, filtered = true }
end

--- The changes that values(names) or values_list(names) makes to a shape.
function check.values(shape, names, output)
  local values, seen = {}, {}
  local known = {}
  if shape.output ~= "objects" then
    for _, column in ipairs(shape.values) do known[column.name] = column end
  end
  local function add(name)
    if seen[name] then
      errors.raise("bad_argument", ("%s stands twice in the columns of %s"):format(name, shape.model.name))
    end
    seen[name] = true
    local column = known[name] or shape.context.annotations[name]
    if not column then
      if shape.group then
        errors.raise("bad_argument", ("the groups of %s have no column %s%s"):format(shape.model.name,
          vocabulary.quoted(name), vocabulary.suggest(name, known)))
      end
      if shape.context.only_columns then template.refuse_name(shape.model, known, name) end
      shape.model:expression(name)
      local path = not shape.context.only_columns and shape.model:place(name)
      column = { name = name, template = { _op = "path", _path = name }, many = path and path.many and path or nil }
      local resolver = select_room.resolver(shape, select_room.scope(shape))
      resolver.inside = select_room.join_many(resolver.scope, { column })
      expression.resolve(resolver, column.template)
    end
    values[#values + 1] = column
  end
  for _, name in ipairs(names) do add(name) end
  if #names == 0 then
    if shape.output ~= "objects" then return { output = output } end
    for _, field in ipairs(shape.model.fields) do add(field.attribute) end
    for _, column in ipairs(shape.values) do add(column.name) end
  end
  return { output = output, values = values }
end

return check
