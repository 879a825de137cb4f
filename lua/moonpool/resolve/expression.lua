-- Expressions with their names resolved: every path a column of a source, every value a slot with its
-- kind, every result of a known kind. Works on templates (see template.lua), so it sees no value.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local functions = require "moonpool.resolve.functions"
local key = require "moonpool.resolve.key"
local node = require "moonpool.tree.node"
local source = require "moonpool.resolve.source"
local template_room = require "moonpool.resolve.template"
local vocabulary = require "moonpool.vocabulary"

local expression = {}

---@class moonpool.resolver
---@field scope table          where names start
---@field takes table          by slot: what converts the value ({ convert = ... }); filled here
---@field annotations table    by name
---@field mode string          "rows": aggregates need a relation to many; "groups": they are of a group
---@field has_aggregate boolean  set when one was met
---@field inside table?        { from, inverse, base }: rows of that relation are those of base
---@field offset integer       added to the slots of templates: those of a query set inside another

---@return moonpool.resolver
function expression.resolver(scope, annotations, mode, takes, offset)
  return {
    scope = scope, annotations = annotations, mode = mode, takes = takes or {}, offset = offset or 0,
    has_aggregate = false,
  }
end

-- ---- values ----

local as_it_is = { convert = function(_, value) return value end }
expression.as_it_is = as_it_is

-- Values beside what is no column: converted to its kind.
local by_kind = {}
for name, kind in pairs(core.kind) do
  by_kind[name] = {
    convert = function(_, value)
      local taken, why
      if not (name == "int" and type(value) == "boolean") then taken, why = core.convert(kind, value) end
      if taken == nil then
        errors.raise("bad_argument", ("cannot take %s as %s%s"):format(vocabulary.quoted(value), name,
          why and " (" .. why .. ")" or ""))
      end
      return taken
    end,
  }
end

local function slot(resolver, template, kind, takes)
  local index = template.index + resolver.offset
  resolver.takes[index] = takes
  return node.slot(index, kind)
end

-- A slot beside `other`, whose kind its value is to have.
local function slot_beside(resolver, template, other)
  local field = other.op == "column" and other.field or nil
  return slot(resolver, template, other.kind, field or by_kind[other.kind] or as_it_is)
end

-- ---- paths ----

--- Follow the steps of a path that lead to one row each, up to the first that leads to many.
---@return table source, integer done  the steps that were followed
function expression.follow(resolver, from, path, done)
  local steps = path.steps
  while done < #steps do
    local step = steps[done + 1]
    if step.inverse and not step.inverse.one then
      local inside = resolver.inside
      if not (inside and inside.from == from and inside.inverse == step.inverse) then break end
      from = inside.base
    else
      from = source.follow(from, step)
    end
    done = done + 1
  end
  return from, done
end

--- The column at the end of a path whose steps were followed.
function expression.column(from, field)
  if field.parts then return key.columns(from, field) end
  return node.column(from, field, from.null or field.null)
end

local function path_of(resolver, template)
  local model = resolver.scope.model
  if template._model and template._model.name ~= model.name then
    errors.raise("bad_argument", ("%s does not belong to a query of %s"):format(tostring(template), model.name))
  end
  local rows = resolver.scope.base.rows
  if rows and not rows.whole then template_room.refuse_name(model, resolver.annotations, template._path) end
  model:expression(template._path)
  return model:path(template._path)
end
expression.path_of = path_of

--- The annotation that a path names, if it does: those stand before the fields.
function expression.annotation_of(resolver, template)
  return not template._model and resolver.annotations[template._path] or nil
end

local function resolve_path(resolver, template)
  local annotation = expression.annotation_of(resolver, template)
  if annotation then
    -- those of one call do not see each other, so there is no circle
    local found = expression.resolve(resolver, annotation.template)
    return found
  end
  local path = path_of(resolver, template)
  local from, done = expression.follow(resolver, resolver.scope.base, path, 0)
  if done < #path.steps then
    errors.raise("unsupported", ("%s leads to many rows: that can stand in a condition or in an aggregate only"):format(
      vocabulary.quoted(template._path)))
  end
  if path.field.parts then
    local names = {}
    for i, part in ipairs(path.field:locals()) do names[i] = part.attribute end
    errors.raise("bad_argument", ("%s is a key of several columns (%s), of which an expression is one"):format(
      vocabulary.quoted(template._path), table.concat(names, ", ")))
  end
  return expression.column(from, path.field)
end

-- ---- arithmetic ----

local NUMBER = { int = true, float = true, decimal = true }

local function describe(operand)
  if operand.op == "column" then return ("%s field %s"):format(operand.field.type, operand.field:title()) end
  return "a value of kind " .. tostring(operand.kind)
end

local function calculated_kind(operator, left, right)
  if operator == ".." then
    for _, operand in ipairs { left, right } do
      if operand.kind ~= "text" and operand.op ~= "null" then
        errors.raise("bad_argument", (".. joins texts, not %s"):format(describe(operand)))
      end
    end
    return "text"
  end
  for _, operand in ipairs { left, right } do
    if not NUMBER[operand.kind] then
      local temporal = operand.kind and operand.kind ~= "text" and operand.kind ~= "bool" and operand.kind ~= "json"
      errors.raise(temporal and "unsupported" or "bad_argument", ("%s cannot calculate with %s%s"):format(operator,
        describe(operand), temporal and " yet" or ""))
    end
  end
  if left.kind == "float" or right.kind == "float" then return "float" end
  if left.kind == "decimal" or right.kind == "decimal" then return "decimal" end
  if operator == "/" then return "float" end
  return "int"
end

-- A literal takes a number's kind from what it is calculated with: "0.10" beside a decimal is one.
local function operand_beside(resolver, template, other)
  if template._op == "slot" and (template.kind == "text" and NUMBER[other.kind]
      or other.kind == "decimal" and template.kind == "int") then
    return slot(resolver, template, other.kind, by_kind[other.kind])
  end
  return expression.resolve(resolver, template)
end

local function resolve_binary(resolver, template)
  local left, right
  if template.left._op == "slot" then
    right = expression.resolve(resolver, template.right)
    left = operand_beside(resolver, template.left, right)
  else
    left = expression.resolve(resolver, template.left)
    right = operand_beside(resolver, template.right, left)
  end
  if left.op == "null" or right.op == "null" then return { op = "null", null = true, kind = left.kind or right.kind } end
  return {
    op = "arithmetic", operator = template.operator, left = left, right = right,
    kind = calculated_kind(template.operator, left, right), null = left.null or right.null,
  }
end

-- ---- functions ----

local function resolve_call(resolver, template)
  local name = template.name
  local entry = functions[name]
  if not entry then
    errors.raise("unsupported", ("the function mp.fn.%s is not built%s"):format(tostring(name),
      vocabulary.suggest(name, functions)))
  end
  local count = #template.arguments
  if count < entry.least or count > entry.most then
    errors.raise("bad_argument", ("mp.fn.%s takes %s arguments, not %d"):format(name,
      entry.least == entry.most and tostring(entry.least) or entry.least .. " to " .. entry.most, count))
  end
  local arguments, first = {}, nil
  for i, argument in ipairs(template.arguments) do
    if argument._op == "slot" and entry.same and first then
      arguments[i] = slot_beside(resolver, argument, first)
    else
      arguments[i] = expression.resolve(resolver, argument)
    end
    first = first or (arguments[i].kind and arguments[i])
    local kind = arguments[i].kind
    if entry.takes and kind and not entry.takes[kind] then
      errors.raise("bad_argument", ("mp.fn.%s cannot take %s"):format(name, describe(arguments[i])))
    end
    if entry.same and kind and kind ~= first.kind then
      errors.raise("bad_argument", ("mp.fn.%s takes values of one kind, not %s beside %s"):format(name, describe(arguments[i]),
        describe(first)))
    end
  end
  local kind = entry.kind
  return {
    op = "call", name = name, arguments = arguments,
    kind = type(kind) == "function" and kind(arguments) or kind, null = entry.null(arguments),
  }
end

-- ---- aggregates ----

local ORDERED = {
  int = true, float = true, decimal = true, text = true, date = true, time = true, datetime = true, walltime = true,
}

local function aggregate_kind(name, argument)
  if name == "count" then return "int" end
  local kind = argument.kind
  local fits = name == "sum" and NUMBER or name == "avg" and NUMBER or ORDERED
  if not fits[kind] then
    errors.raise("bad_argument", ("mp.fn.%s cannot take %s"):format(name, describe(argument)))
  end
  if name == "avg" then return kind == "decimal" and "decimal" or "float" end
  return kind
end

local function aggregate_node(resolver, template)
  local argument = template.argument and expression.resolve(resolver, template.argument)
  local filter = template.filter and expression.resolve_condition(resolver, template.filter)
  return {
    op = "aggregate", name = template.name, distinct = template.distinct, argument = argument, filter = filter,
    kind = aggregate_kind(template.name, argument), null = template.name ~= "count",
  }
end

-- An aggregate over a relation to many, for each row by itself: a sub-select, so that two of them
-- do not multiply each other's rows.
local function aggregate_of_many(resolver, template, path)
  local from, done = expression.follow(resolver, resolver.scope.base, path, 0)
  local step = path.steps[done + 1]
  for i = done + 2, #path.steps do
    if path.steps[i].inverse then
      errors.raise("unsupported", ("an aggregate over two relations to many is not built yet: %s"):format(
        vocabulary.quoted(path.text)))
    end
  end
  local scope = source.behind(from, step.inverse)
  local within = setmetatable({
    inside = { from = from, inverse = step.inverse, base = scope.base }, mode = "groups",
  }, { __index = resolver })
  local aggregate = aggregate_node(within, template)
  return {
    op = "scalar", select = { scope = scope, columns = { { expression = aggregate } } },
    kind = aggregate.kind, null = aggregate.null,
  }
end

local function resolve_aggregate(resolver, template)
  local argument = template.argument
  local path
  if argument and argument._op == "path" and not expression.annotation_of(resolver, argument) then
    path = path_of(resolver, argument)
  end
  if path and path.many and not resolver.inside then
    if resolver.mode == "groups" then
      errors.raise("unsupported", ("mp.fn.%s of a group over a relation to many is not built yet: %s"):format(
        template.name, vocabulary.quoted(path.text)))
    end
    return aggregate_of_many(resolver, template, path)
  end
  if resolver.mode == "rows" and not resolver.inside then
    errors.raise("bad_argument", ("mp.fn.%s needs rows to take together: values(...) before it groups, aggregate{...} takes all")
      :format(template.name))
  end
  resolver.has_aggregate = true
  return aggregate_node(resolver, template)
end

-- ---- all ----

local resolvers = {
  path = resolve_path,
  binary = resolve_binary,
  call = resolve_call,
  aggregate = resolve_aggregate,
  null = function() return node.null end,
  derived = function(resolver, template)
    return node.derived(resolver.scope.base, template.name, template.kind, template.null, template.number)
  end,
  slot = function(resolver, template)
    return slot(resolver, template, template.kind, as_it_is)
  end,
  negate = function(resolver, template)
    local operand = expression.resolve(resolver, template.operand)
    return { op = "negate", operand = operand, kind = calculated_kind("-", operand, operand), null = operand.null }
  end,
  order = function()
    errors.raise("bad_argument", "asc and desc stand in order_by only")
  end,
}

--- The expression node of a template.
---@param resolver moonpool.resolver
---@param template table
function expression.resolve(resolver, template)
  return resolvers[template._op](resolver, template)
end

--- The node for a value beside `other`, whose kind it takes; expressions resolve to what they are.
function expression.beside(resolver, template, other)
  if template._op == "slot" and template.kind == nil then return slot_beside(resolver, template, other) end
  return expression.resolve(resolver, template)
end

return expression
