-- Checks, when a shape is made, that what it adds can be resolved, and gives the changes that columns make to it.
-- So a wrong name is an error at the line that wrote it. What is checked here is built in moonpool.sql.select.

local condition = require "moonpool.resolve.condition"
local errors = require "moonpool.errors"
local expression = require "moonpool.resolve.expression"
local select_room = require "moonpool.sql.select"
local template = require "moonpool.resolve.template"
local vocabulary = require "moonpool.vocabulary"

local any_node, is_aggregate, parts_of = select_room.any_node, select_room.is_aggregate, select_room.parts

local check = {}

-- Of a group only what is the same in all its rows may be asked.
local function check_grouped(shape, resolver, tree, where)
  if not shape.group then return end
  -- a field may be there twice: author__name and editor__name
  local columns = {}
  for _, column in ipairs(shape.group) do
    local resolved = expression.annotation(resolver, column)
    if resolved.op == "column" then
      columns[resolved.source] = columns[resolved.source] or {}
      columns[resolved.source][resolved.field] = true
    end
  end
  any_node(tree, function(one)
    if one.op == "column" and not (columns[one.source] and columns[one.source][one.field]) then
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
      check_grouped(shape, resolver, item, "a filter on a group")
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
  local aggregated, windowed = shape.group ~= nil, shape.context.windowed
  for _, one in ipairs(built) do
    local is_taken = not shape.context.only_columns and (model.by_name[one.name] or model.inverses[one.name])
    if is_taken or known[one.name] then
      errors.raise("bad_argument", ("%s has something called %s already: give the annotation another name"):format(
        model.name, one.name))
    end
    local resolved = expression.resolve(resolver, one.template)
    local aggregate = any_node(resolved, is_aggregate)
    local annotation = {
      name = one.name, template = one.template, kind = resolved.kind, aggregate = aggregate,
      windowed = select_room.has_window(resolved), by_row = not rows,
    }
    windowed = windowed or annotation.windowed
    annotations[one.name] = annotation
    values[#values + 1] = annotation
    aggregated = aggregated or aggregate
  end
  local group
  if aggregated then
    group = {}
    for _, column in ipairs(values) do
      if not column.aggregate then group[#group + 1] = column end
    end
  end
  local context = {
    model = model, annotations = annotations, meanings = {}, only_columns = shape.context.only_columns, windowed = windowed,
  }
  return { context = context, values = values, group = group }
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
