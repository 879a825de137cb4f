-- case, cast, conditions as values, windows, sub-selects and raw SQL, resolved.

local aggregate = require "moonpool.resolve.aggregate"
local call = require "moonpool.resolve.call"
local errors = require "moonpool.errors"
local expression = require "moonpool.resolve.expression"
local node = require "moonpool.tree.node"
local vocabulary = require "moonpool.vocabulary"

local resolvers, describe = expression.resolvers, expression.describe

-- ---- case ----

function resolvers.truth(resolver, template)
  return node.truth(expression.resolve_condition(resolver, template.condition))
end

function resolvers.case(resolver, template)
  local values = {}
  for i, when in ipairs(template.whens) do values[i] = when.value end
  values[#values + 1] = template.default
  local nodes, kind = expression.unified(resolver, values, function(found, other)
    errors.raise("bad_argument", ("the values of a mp.case are of one kind, not %s beside %s"):format(describe(found), describe(other)))
  end)
  local whens, null = {}, nodes[#nodes].null
  for i, when in ipairs(template.whens) do
    whens[i] = { condition = expression.resolve_condition(resolver, when.condition), value = nodes[i] }
    null = null or nodes[i].null
  end
  return { op = "case", whens = whens, default = nodes[#nodes], kind = kind, null = null }
end

-- ---- cast ----

-- The kinds that types of fields have, and from which kinds a value becomes one in the same way on every database.
local CASTS = {
  integer = { kind = "int", from = { int = true, bool = true, float = true, decimal = true, text = true } },
  float = { kind = "float", from = { int = true, float = true, decimal = true, text = true } },
  decimal = { kind = "decimal", from = { int = true, decimal = true, float = true, text = true } },
  boolean = { kind = "bool", from = { bool = true, int = true } },
  text = { kind = "text", from = { text = true, int = true, decimal = true, bool = true, uuid = true, date = true } },
  date = { kind = "date", from = { date = true, datetime = true, walltime = true } },
  datetime = { kind = "datetime", from = { datetime = true, date = true } },
}
CASTS.bigint, CASTS.smallint, CASTS.string = CASTS.integer, CASTS.integer, CASTS.text
local LATER = { id = true, binary = true, time = true, interval = true, uuid = true, json = true, enum = true, array = true }

local IN_JSON = { int = true, float = true, decimal = true, bool = true, text = true }

function resolvers.cast(resolver, template)
  local to = CASTS[template.type]
  if not to then
    errors.raise(LATER[template.type] and "unsupported" or "bad_argument", ("mp.cast makes integer, float, decimal, boolean, text, date or datetime, not %s%s")
      :format(vocabulary.quoted(template.type), LATER[template.type] and "" or vocabulary.suggest(template.type, CASTS)))
  end
  local operand = expression.resolve(resolver, template.operand)
  local kind = operand.kind
  if template.scale and to.kind ~= "decimal" then
    errors.raise("bad_argument", ("mp.cast: scale is for decimals, not for %s"):format(template.type))
  end
  if operand.op == "null" then return { op = "null", null = true, kind = to.kind } end
  if kind == "json" and IN_JSON[to.kind] then
    operand = node.json_as(operand, to.kind)
    if to.kind ~= "int" and not template.scale then return operand end
  elseif kind and not to.from[kind] then
    errors.raise("unsupported", ("mp.cast cannot make %s of %s in the same way on every database"):format(template.type, describe(operand)))
  elseif to.kind == "decimal" and (kind == "float" or kind == "text" or kind == nil) and not template.scale then
    errors.raise("bad_argument", ('mp.cast to decimal of %s needs the digits behind the point: mp.cast(x, "decimal", { scale = 2 })'):format(
      describe(operand)))
  end
  if kind == to.kind and not template.scale then return operand end
  return { op = "cast", operand = operand, from = kind, kind = to.kind, scale = template.scale, null = operand.null }
end

-- ---- windows ----

function resolvers.window(resolver, template)
  local function within(one) return expression.resolve(resolver, one) end
  local over = { partition = {}, order = {}, frame = template.frame }
  local inner = template.call
  local found
  if inner._op == "aggregate" then
    if inner.distinct then
      errors.raise("unsupported", ("mp.over of mp.fn.%s: distinct rows are no window of any database but SQLite"):format(inner.name))
    end
    if inner.name == "string_agg" then
      errors.raise("unsupported", "mp.over of mp.fn.string_agg: its texts are sorted, which windows cannot do")
    end
    found = aggregate.node(resolver, inner)
  else
    found = call.resolve(resolver, inner, true)
    if found.op ~= "call" or not call.is_window(found.name) then
      errors.raise("bad_argument", ("mp.over takes aggregates and functions such as mp.fn.row_number, not mp.fn.%s"):format(inner.name))
    end
  end
  for i, one in ipairs(template.partition) do over.partition[i] = within(one) end
  for i, item in ipairs(template.order) do
    over.order[i] = { expression = within(item.operand), descending = item.descending, nulls = item.nulls }
  end
  if found.op == "call" and #over.order == 0 then
    errors.raise("bad_argument", ("mp.over of mp.fn.%s needs an order: { order_by = { ... } }"):format(found.name))
  end
  found.over = over
  return { op = "window", inner = found, over = over, kind = found.kind, null = found.null }
end

-- ---- sub-selects and raw SQL ----

function resolvers.subquery(resolver, template)
  local select = expression.select_of(resolver, template.query, "first")
  local column = select.columns[1].expression
  return { op = "scalar", select = select, kind = column.kind, null = true }
end

function resolvers.raw(resolver, template)
  local arguments = {}
  for i, argument in ipairs(template.arguments) do arguments[i] = expression.resolve(resolver, argument) end
  return { op = "raw", pieces = template.pieces, arguments = arguments, null = true }
end
