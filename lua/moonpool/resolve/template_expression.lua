-- Expressions for template.lua: the key, the values and the template of each. Where a kind of its own decides what an
-- expression gives, it is part of the shape.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local functions = require "moonpool.resolve.functions"
local vocabulary = require "moonpool.vocabulary"
local walk_room = require "moonpool.resolve.walk"

local say, say_text, slot = walk_room.say, walk_room.say_text, walk_room.slot
local null = core.null

local walkers = {}

local function walk_expression(walk, node)
  local op = node._op
  say(walk, op)
  return walkers[op](walk, node)
end
walk_room.expression = walk_expression

local function walk_all(walk, list, count)
  local built = {}
  for i = 1, count or #list do built[i] = walk_expression(walk, list[i]) end
  say(walk, "end")
  return built
end

local function check_name(node)
  if type(node._path) ~= "string" then
    errors.raise("bad_argument", ("the name of a field is a text, not %s"):format(vocabulary.quoted(node._path)))
  end
end

function walkers.path(walk, node)
  check_name(node)
  if node._model then say_text(walk, node._model.name) end
  say_text(walk, node._path)
  return node
end

function walkers.outer(walk, node)
  check_name(node)
  say(walk, node._depth)
  say_text(walk, node._path)
  return node
end

function walkers.value(walk, node)
  local value = node.value
  if value == nil or value == null then
    say(walk, "null")
    return { _op = "null" }
  end
  if walk_room.is_query(value) then
    errors.raise("bad_argument", "a query set stands where a value is wanted: mp.subquery takes its first one")
  end
  local kind = core.kind_of(value)
  if kind == nil then
    errors.raise("bad_argument", ("%s cannot be a value in an expression"):format(vocabulary.quoted(value)))
  end
  say(walk, kind)
  local built = slot(walk, value)
  if walk.build then built.kind = kind end
  return built
end

function walkers.truth(walk, node)
  return { _op = "truth", condition = walk_room.condition(walk, node.condition) }
end

function walkers.binary(walk, node)
  say(walk, node.operator)
  local left = walk_expression(walk, node.left)
  local right = walk_expression(walk, node.right)
  return walk.build and { _op = "binary", operator = node.operator, left = left, right = right }
end

function walkers.negate(walk, node)
  return { _op = "negate", operand = walk_expression(walk, node.operand) }
end

function walkers.order(walk, node)
  say(walk, (node.descending and "desc" or "asc") .. (node.nulls or ""))
  local operand = walk_expression(walk, node.operand)
  return walk.build and { _op = "order", operand = operand, descending = node.descending, nulls = node.nulls }
end

function walkers.aggregate(walk, node)
  say(walk, node.name .. (node.distinct and " distinct" or ""))
  local built = { _op = "aggregate", name = node.name, distinct = node.distinct }
  if node.argument then built.argument = walk_expression(walk, node.argument) end
  if node.separator then built.separator = walk_expression(walk, node.separator) end
  if node.filter then
    say(walk, "where")
    built.filter = walk_room.condition(walk, node.filter)
  end
  say(walk, "end")
  return built
end

-- An argument that decides what the function gives, such as the unit of date_trunc, is a word of the shape.
local function constant(walk, node, i, allowed)
  local argument = node.arguments[i]
  local given = argument._op == "value" and argument.value
  local ok, why = allowed(given)
  if not ok then
    errors.raise("bad_argument", ("mp.fn.%s: %s, not %s"):format(node.name, why,
      vocabulary.quoted(argument._op == "value" and given or argument)))
  end
  say_text(walk, tostring(ok))
  return { _op = "constant", value = ok }
end

function walkers.call(walk, node)
  if type(node.name) ~= "string" then
    errors.raise("bad_argument", ("the name of a function is a text, not %s"):format(vocabulary.quoted(node.name)))
  end
  say_text(walk, node.name)
  local entry = functions[node.name]
  local constants = entry and entry.constants or {}
  local arguments = {}
  for i = 1, node.arguments.n do
    arguments[i] = constants[i] and constant(walk, node, i, constants[i]) or walk_expression(walk, node.arguments[i])
  end
  say(walk, "end")
  return { _op = "call", name = node.name, arguments = arguments }
end

function walkers.case(walk, node)
  local whens = {}
  for i, when in ipairs(node.whens) do
    local condition = walk_room.condition(walk, when.condition)
    whens[i] = { condition = condition, value = walk_expression(walk, when.value) }
  end
  say(walk, "else")
  return { _op = "case", whens = whens, default = walk_expression(walk, node.default) }
end

function walkers.cast(walk, node)
  say_text(walk, node.type)
  if node.scale then say(walk, ("%d"):format(node.scale)) end
  return { _op = "cast", operand = walk_expression(walk, node.operand), type = node.type, scale = node.scale }
end

function walkers.window(walk, node)
  local frame = node.frame
  if frame then say(walk, frame.unit .. " " .. frame.from .. " " .. frame.to) end
  local call = walk_expression(walk, node.call)
  local partition = walk_all(walk, node.partition)
  return { _op = "window", call = call, partition = partition, order = walk_all(walk, node.order), frame = frame }
end

function walkers.subquery(walk, node)
  return { _op = "subquery", query = walk_room.query(walk, node.query) }
end

function walkers.raw(walk, node)
  for _, piece in ipairs(node.pieces) do say_text(walk, piece) end
  return { _op = "raw", pieces = node.pieces, arguments = walk_all(walk, node.arguments, node.arguments.n) }
end

return walkers
