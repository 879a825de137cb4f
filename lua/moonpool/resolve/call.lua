-- Calls of mp.fn: which function it is, whether its arguments fit, and what it gives. A name that no entry of
-- functions.lua has never reaches SQL.

local aggregate = require "moonpool.resolve.aggregate"
local errors = require "moonpool.errors"
local expression = require "moonpool.resolve.expression"
local functions = require "moonpool.resolve.functions"
local vocabulary = require "moonpool.vocabulary"

local call = {}

local resolvers, describe = expression.resolvers, expression.describe

local known = {}
for _, names in ipairs { functions, aggregate.names } do
  for name in pairs(names) do known[name] = true end
end

local function entry_of(name)
  local entry = functions[name]
  if not entry then
    errors.raise("unsupported", ("the function mp.fn.%s is not built in%s: mp.raw(\"%s(?)\", ...) calls what the server has"):format(
      vocabulary.is_name(name) and name or vocabulary.quoted(name), vocabulary.suggest(name, known),
      vocabulary.is_name(name) and name or "f"))
  end
  return entry
end

local function check_count(name, entry, count)
  if count >= entry.least and count <= entry.most then return end
  local wanted = entry.least == entry.most and tostring(entry.least) or entry.least .. " to " .. entry.most
  errors.raise("bad_argument", ("mp.fn.%s takes %s argument%s, not %d"):format(name, wanted, wanted == "1" and "" or "s", count))
end

-- The kinds that the i-th argument may have, or nil for all.
local function allowed(entry, i)
  return entry.each and entry.each[i] or entry.takes
end

local function check_kind(name, entry, i, argument)
  local kinds = allowed(entry, i)
  if argument.op == "constant" or not kinds or argument.kind == nil or kinds[argument.kind] then return end
  errors.raise("bad_argument", ("mp.fn.%s cannot take %s"):format(name, describe(argument)))
end

local function arguments_of(resolver, name, entry, templates)
  local function differ(found, other)
    errors.raise("bad_argument", ("mp.fn.%s takes values of one kind, not %s beside %s"):format(name, describe(found), describe(other)))
  end
  if entry.same then return expression.unified(resolver, templates, differ) end
  local arguments = {}
  for i, template in ipairs(templates) do
    local takes = entry.slots and entry.slots[i]
    if template._op == "constant" then
      arguments[i] = { op = "constant", value = template.value, null = false }
    elseif takes and template._op == "slot" then
      arguments[i] = expression.slot_taken(resolver, template, takes)
    else
      arguments[i] = expression.resolve(resolver, template)
    end
  end
  if entry.alike and #templates == 3 then -- what lag and lead give is of one kind
    local pair = expression.unified(resolver, { templates[1], templates[3] }, differ)
    arguments[1], arguments[3] = pair[1], pair[2]
  end
  return arguments
end

--- The node of a call. windowed: whether it stands in mp.over.
function call.resolve(resolver, template, windowed)
  local name = template.name
  local entry = entry_of(name)
  if entry.window and not windowed then
    errors.raise("bad_argument", ("mp.fn.%s looks at the rows around: mp.over(mp.fn.%s(...), { order_by = {...} })"):format(name, name))
  end
  check_count(name, entry, #template.arguments)
  local arguments, kind = arguments_of(resolver, name, entry, template.arguments)
  for i, argument in ipairs(arguments) do check_kind(name, entry, i, argument) end
  if entry.build then return entry.build(arguments) end
  if type(entry.kind) == "function" then
    kind = entry.kind(arguments)
  elseif entry.kind then
    kind = entry.kind
  end
  return { op = "call", name = name, arguments = arguments, kind = kind, null = entry.null(arguments) }
end

--- Whether a function stands in mp.over only.
function call.is_window(name) return functions[name] ~= nil and functions[name].window or false end

function resolvers.call(resolver, template) return call.resolve(resolver, template, false) end

return call
