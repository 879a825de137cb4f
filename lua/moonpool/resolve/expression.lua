-- Expressions with their names resolved: every path a column of a source, every value a slot with its
-- kind, every result of a known kind. Works on templates (see template.lua), so it sees no value. What calculates is in
-- arithmetic.lua, call.lua, aggregate.lua and compound.lua, which add themselves here.
--
-- A kind is unknown (nil) where only the server knows it (mp.raw), and where mp.outer names a column of a query that
-- is not there yet: the query set inside is checked once more when it is.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
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
---@field joined table?        like inside, for annotations: relations to many that columns of the query have joined
---@field inside table?        by source and inverse: the source that the rows of that relation are
---@field offset integer       added to the slots of templates: those of a query set inside another
---@field outer table?         the resolver of the query around this one

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

--- The value as one of that kind, or raises bad_argument.
function expression.converted(kind, value) return by_kind[kind]:convert(value) end

local function slot(resolver, template, kind, takes)
  local index = template.index + resolver.offset
  resolver.takes[index] = takes
  return node.slot(index, kind)
end

--- A slot for the value of a template, converted to a kind; that of the value itself if it is unknown.
function expression.slot_of_kind(resolver, template, kind)
  return slot(resolver, template, kind or template.kind, by_kind[kind] or as_it_is)
end

--- A slot whose value `takes` converts; takes.kind is its kind.
function expression.slot_taken(resolver, template, takes)
  return slot(resolver, template, takes.kind, takes)
end

-- A slot beside `other`, whose kind its value is to have.
local function slot_beside(resolver, template, other)
  local field = other.op == "column" and other.field or nil
  local kind = other.kind or by_kind[template.given] and template.given
  return slot(resolver, template, kind, field or by_kind[kind] or as_it_is)
end

-- ---- paths ----

--- Follow the steps of a path that lead to one row each, up to the first that leads to many.
---@return table source, integer done  the steps that were followed
function expression.follow(resolver, from, path, done)
  local steps = path.steps
  while done < #steps do
    local step = steps[done + 1]
    if step.inverse and not step.inverse.one then
      local inside = resolver.inside and resolver.inside[from]
      if not (inside and inside[step.inverse]) then break end
      from = inside[step.inverse]
    else
      from = source.follow(from, step)
    end
    done = done + 1
  end
  return from, done
end

--- A column of a source, or the columns of a key.
function expression.column(from, field)
  if field.parts then return key.columns(from, field) end
  return node.column(from, field, from.null or field.null)
end

--- What stands at the end of a path whose steps were followed: a column, something in its JSON, a part of its date.
function expression.at_end(from, path)
  local found = expression.column(from, path.field)
  if path.keys then found = node.json(found, path.keys) end
  for _, part in ipairs(path.parts or {}) do found = node.part(found, part) end
  return found
end

-- Sub-selects of query sets are made by the room above, which knows query sets.

--- fn(resolver, template, purpose) -> select: how a query set becomes a sub-select. purpose: "in", of one column,
--- "first", the first value of one column, or "exists".
function expression.set_select_of(fn) expression.select_of = fn end

local function path_of(resolver, template)
  local model = resolver.scope.model
  if template._model and template._model.name ~= model.name then
    errors.raise("bad_argument", ("%s does not belong to a query of %s"):format(tostring(template), model.name))
  end
  local rows = resolver.scope.base.rows
  if rows and not rows.whole then template_room.refuse_name(model, resolver.annotations, template._path) end
  return model:place(template._path)
end
expression.path_of = path_of

--- The annotation that a path names, if it does: those stand before the fields.
function expression.annotation_of(resolver, template)
  return not template._model and resolver.annotations[template._path] or nil
end

-- What is resolved apart from the rest; whether an aggregate was met is the rest's matter as well.
local function apart(resolver, changes, template)
  local within = setmetatable(changes, { __index = resolver })
  local found = expression.resolve(within, template)
  resolver.has_aggregate = within.has_aggregate
  return found
end

--- What an annotation is, also in a condition. Those of one call do not see each other, so there is no circle.
--- An annotation of objects says something of each row, also where the rows are grouped later.
function expression.annotation(resolver, annotation)
  if annotation.by_row then
    return apart(resolver, { mode = "rows", inside = false, joined = false }, annotation.template)
  elseif resolver.joined and not resolver.inside then
    return apart(resolver, { inside = resolver.joined }, annotation.template)
  end
  return expression.resolve(resolver, annotation.template)
end

local function resolve_path(resolver, template)
  local annotation = expression.annotation_of(resolver, template)
  if annotation then return expression.annotation(resolver, annotation) end
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
  return expression.at_end(from, path)
end

local unknown = { op = "outer", null = true }

-- Of the query around: unknown as long as there is none.
local function resolve_outer(resolver, template)
  local around = resolver
  for _ = 1, template._depth do
    around = around.outer
    if not around then return unknown end
  end
  return resolve_path(around, { _op = "path", _path = template._path })
end

-- ---- all ----

local resolvers = {
  path = resolve_path,
  outer = resolve_outer,
  null = function() return node.null end,
  derived = function(resolver, template)
    return node.derived(resolver.scope.base, template.name, template.kind, template.null, template.number)
  end,
  -- a column of the rows of a table expression that its recursive definition joins
  beside = function(resolver, template)
    local base = resolver.scope.base
    local joined = base.links[template.relation]
    local is_joined = joined and joined.rows ~= nil
    local found = node.derived(is_joined and joined or base, template.name, template.kind, template.null, template.number)
    found.lost = not is_joined
    return found
  end,
  slot = function(resolver, template)
    return slot(resolver, template, template.kind, as_it_is)
  end,
  order = function()
    errors.raise("bad_argument", "asc and desc stand in order_by only")
  end,
}

--- By op of a template: fn(resolver, template). The rooms beside add theirs.
expression.resolvers = resolvers

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

--- How an operand reads in a message.
function expression.describe(operand)
  if operand.op == "column" then return ("%s field %s"):format(operand.field.type, operand.field:title()) end
  return "a value of kind " .. tostring(operand.kind)
end

-- ---- several of one kind ----

local NUMBER = { int = 1, decimal = 2, float = 3 }

-- The kind that takes both, or nil.
local function wider(a, b)
  if a == nil or b == nil or a == b then return a or b end
  if NUMBER[a] and NUMBER[b] then return NUMBER[a] > NUMBER[b] and a or b end
end

--- The nodes of templates that give one value between them (branches of a case, arguments of coalesce): of one kind,
--- numbers widened. fail(node, other) raises for kinds that do not go together.
---@return table[] nodes, string? kind
function expression.unified(resolver, templates, fail)
  local nodes, kind, like = {}, nil, nil
  local function take(found)
    local both = wider(kind, found.kind)
    if found.kind and not both then fail(found, like) end
    kind, like = both, like or (found.kind and found)
  end
  for i, template in ipairs(templates) do
    if template._op ~= "slot" then
      nodes[i] = expression.resolve(resolver, template)
      take(nodes[i])
    end
  end
  for i, template in ipairs(templates) do
    -- beside a column or the like a value has its kind; beside other values, that of all
    if template._op == "slot" and (not like or like.op == "slot" or NUMBER[kind] and NUMBER[template.kind]) then
      nodes[i] = expression.resolve(resolver, template)
      take(nodes[i])
    end
  end
  for i, template in ipairs(templates) do
    if not nodes[i] then
      nodes[i] = slot_beside(resolver, template, like)
    elseif nodes[i].op == "slot" and nodes[i].kind ~= kind then
      nodes[i] = expression.slot_of_kind(resolver, template, kind)
    elseif nodes[i].kind and nodes[i].kind ~= kind then
      nodes[i] = node.widened(nodes[i], kind)
    end
  end
  return nodes, kind
end

return expression
