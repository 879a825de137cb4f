-- Aggregates: of all rows, of a group, or of the rows behind a relation to many, for each row by itself.

local errors = require "moonpool.errors"
local expression = require "moonpool.resolve.expression"
local source = require "moonpool.resolve.source"
local vocabulary = require "moonpool.vocabulary"

local aggregate = {}

local resolvers, describe = expression.resolvers, expression.describe
local path_of = expression.path_of

-- ---- kinds ----

local function kinds(names)
  local set = {}
  for name in names:gmatch "%S+" do set[name] = true end
  return set
end

local NUMBER, BOOL = kinds "int float decimal", kinds "bool"
local ORDERED = kinds "int float decimal text date time datetime walltime uuid"
local TAKES = {
  sum = NUMBER, avg = NUMBER, min = ORDERED, max = ORDERED, string_agg = kinds "text", bool_and = BOOL, bool_or = BOOL,
  stddev_pop = NUMBER, stddev_samp = NUMBER, var_pop = NUMBER, var_samp = NUMBER,
}

local function kind_of(name, argument)
  if name == "count" then return "int" end
  local kind = argument.kind
  if kind ~= nil and not TAKES[name][kind] then
    errors.raise("bad_argument", ("mp.fn.%s cannot take %s"):format(name, describe(argument)))
  end
  if name == "avg" then return kind == "decimal" and "decimal" or kind and "float" end
  if name:find "^stddev_" or name:find "^var_" then return "float" end
  return kind
end

--- The node of an aggregate, wherever it stands.
function aggregate.node(resolver, template)
  local argument = template.argument and expression.resolve(resolver, template.argument)
  local filter = template.filter and expression.resolve_condition(resolver, template.filter)
  return {
    op = "aggregate", name = template.name, distinct = template.distinct, argument = argument, filter = filter,
    separator = template.separator and expression.resolve(resolver, template.separator),
    kind = kind_of(template.name, argument), null = template.name ~= "count",
  }
end

-- ---- where it stands ----

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
  local found = aggregate.node(within, template)
  return {
    op = "scalar", select = { scope = scope, columns = { { expression = found } } },
    kind = found.kind, null = found.null,
  }
end

function resolvers.aggregate(resolver, template)
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
  return aggregate.node(resolver, template)
end

return aggregate
