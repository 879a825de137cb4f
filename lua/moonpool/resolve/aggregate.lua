-- Aggregates: of all rows, of a group, or of the rows behind a relation to many, for each row by itself.

local errors = require "moonpool.errors"
local expression = require "moonpool.resolve.expression"
local node = require "moonpool.tree.node"
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

--- The names of all, for messages.
aggregate.names = { count = true }
for name in pairs(TAKES) do aggregate.names[name] = true end

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

-- What is counted: of a key of several columns the first one, which is NULL where there is no such row.
local function counted(resolver, template)
  local argument = template.argument
  local path = template.name == "count" and argument._op == "path" and not expression.annotation_of(resolver, argument)
    and path_of(resolver, argument)
  if not path or not path.field.parts then return expression.resolve(resolver, argument) end
  if template.distinct then
    errors.raise("unsupported", ("mp.fn.count of distinct keys of several columns: %s"):format(vocabulary.quoted(path.text)))
  end
  local from = expression.follow(resolver, resolver.scope.base, path, 0)
  return expression.column(from, path.field:locals()[1])
end

--- The node of an aggregate, wherever it stands.
function aggregate.node(resolver, template)
  local argument = template.argument and counted(resolver, template)
  local filter = template.filter and expression.resolve_condition(resolver, template.filter)
  return {
    op = "aggregate", name = template.name, distinct = template.distinct, argument = argument, filter = filter,
    separator = template.separator and expression.resolve(resolver, template.separator),
    kind = kind_of(template.name, argument), null = template.name ~= "count",
  }
end

-- No database has an aggregate of what is an aggregate itself, but over a window.
local function alone(resolver, template)
  resolver.has_aggregate = false
  local found = aggregate.node(resolver, template)
  if resolver.has_aggregate then
    errors.raise("bad_argument", ("mp.fn.%s of an aggregate: annotate that one first, as n, then aggregate{ x = mp.fn.%s(\"n\") }")
      :format(template.name, template.name))
  end
  resolver.has_aggregate = true
  return found
end

-- ---- where it stands ----

-- The longest path in an argument that leads to many rows; nil if none does.
local function path_to_many(resolver, template, longest)
  if template._op == "path" then
    if expression.annotation_of(resolver, template) then return longest end
    local path = path_of(resolver, template)
    if not path.many or longest and #longest.steps >= #path.steps then return longest end
    return path
  elseif template._op == "query" or template.by_row then
    return longest
  end
  local names = {}
  for name, below in pairs(template) do
    -- a condition asks for itself whether there is such a row
    if type(below) == "table" and name ~= "condition" then names[#names + 1] = name end
  end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do longest = path_to_many(resolver, template[name], longest) end
  return longest
end

-- An aggregate over a relation to many, for each row by itself: a sub-select, so that two of them do not multiply each
-- other's rows. Relations to many behind the first are joined in it.
local function aggregate_of_many(resolver, template, path)
  local from, done = expression.follow(resolver, resolver.scope.base, path, 0)
  local first = path.steps[done + 1]
  local scope = source.behind(from, first.inverse)
  local inside, at = { [from] = { [first.inverse] = scope.base } }, scope.base
  for i = done + 2, #path.steps do
    local step = path.steps[i]
    local joined = source.follow(at, step)
    if step.inverse then inside[at] = { [step.inverse] = joined } end
    at = joined
  end
  local within = setmetatable({ inside = inside, mode = "groups" }, { __index = resolver })
  local found = alone(within, template)
  return {
    op = "scalar", select = { scope = scope, columns = { { expression = found } } },
    kind = found.kind, null = found.null,
  }
end

local OVER_GROUP = { count = "sum", sum = "sum", min = "min", max = "max", bool_and = "bool_and", bool_or = "bool_or" }

-- Of a group of rows: what each row has for itself, taken together.
local function aggregate_of_group(resolver, template, path)
  local name = OVER_GROUP[template.name]
  if not name or template.distinct and name == "sum" then
    errors.raise("unsupported", ("mp.fn.%s%s of a group over %s: what its rows have by themselves does not say it; start"
      .. " from the rows behind the relation and group those"):format(template.name, template.distinct and " of distinct values"
      or "", vocabulary.quoted(path.text)))
  end
  local each = aggregate_of_many(resolver, template, path)
  resolver.has_aggregate = true
  local found = { op = "aggregate", name = name, distinct = false, argument = each, kind = each.kind, null = true }
  if template.name ~= "count" then return found end
  return { op = "call", name = "coalesce", arguments = { found, node.literal("0", "int") }, kind = "int", null = false }
end

function resolvers.aggregate(resolver, template)
  local path = template.argument and not resolver.inside and path_to_many(resolver, template.argument)
  if path then
    return (resolver.mode == "groups" and aggregate_of_group or aggregate_of_many)(resolver, template, path)
  elseif resolver.mode == "rows" and not resolver.inside then
    errors.raise("bad_argument", ("mp.fn.%s needs rows to take together: values(...) before it groups, aggregate{...} takes all")
      :format(template.name))
  end
  return alone(resolver, template)
end

return aggregate
