-- mp.fn: functions and aggregates as the user writes them, such as mp.fn.count("id", { distinct = true }). Any name
-- gives a function; whether the database has one is asked when the query is made (moonpool.resolve.functions).

local condition = require "moonpool.tree.condition"
local errors = require "moonpool.errors"
local expression = require "moonpool.tree.expression"
local vocabulary = require "moonpool.vocabulary"

-- Aggregates, and how many arguments they take before their options.
local AGGREGATES = {
  count = 1, sum = 1, avg = 1, min = 1, max = 1, string_agg = 2, bool_and = 1, bool_or = 1,
  stddev_pop = 1, stddev_samp = 1, var_pop = 1, var_samp = 1,
}
local OPTIONS = { distinct = true, filter = true }

local function is_options(v)
  return type(v) == "table" and getmetatable(v) == nil
end

local function read_options(node, options)
  local title = "mp.fn." .. node.name
  for option, given in pairs(options) do
    if not OPTIONS[option] then
      errors.raise("unknown_option", ("%s takes no option %s%s"):format(title, vocabulary.quoted(option),
        vocabulary.suggest(option, OPTIONS)))
    end
    node[option] = given
  end
  if type(node.distinct) ~= "boolean" then
    errors.raise("bad_argument", ("%s: distinct is true or false, not %s"):format(title, vocabulary.quoted(node.distinct)))
  end
  if node.filter ~= nil then node.filter = condition.from(node.filter, "the filter of " .. title) end
end

local function wrong_arguments(name)
  errors.raise("bad_argument", name == "string_agg" and 'mp.fn.string_agg takes a field, a text to put between, and a table of options'
    or ("mp.fn.%s takes one field and a table of options"):format(name))
end

local function aggregate(name, ...)
  local given, wanted = select("#", ...), AGGREGATES[name]
  local arguments = { ... }
  local node = { _op = "aggregate", name = name, distinct = false }
  local options = arguments[given]
  if given > 0 and is_options(options) then
    arguments[given] = nil
    given = given - 1
  else
    options = given == wanted + 1 and options or nil
    if options ~= nil then wrong_arguments(name) end
  end
  if given > wanted then
    if given > wanted + 1 or arguments[given] ~= nil then wrong_arguments(name) end
  end
  read_options(node, options or {})
  if arguments[1] == nil then
    if name ~= "count" then errors.raise("bad_argument", ("mp.fn.%s needs a field"):format(name)) end
    if node.distinct then errors.raise("bad_argument", "mp.fn.count with distinct needs a field") end
  else
    node.argument = expression.field_or_value(arguments[1])
  end
  if name == "string_agg" then
    if type(arguments[2]) ~= "string" then
      errors.raise("bad_argument", ("mp.fn.string_agg needs a text to put between, not %s"):format(vocabulary.quoted(arguments[2])))
    end
    node.separator = expression.value(arguments[2])
  end
  return expression.new(node)
end

-- The unit is a word of its own, not the name of a field.
local function date_trunc(unit, ...)
  if select("#", ...) ~= 1 or type(unit) ~= "string" then
    errors.raise("bad_argument", 'mp.fn.date_trunc takes a unit and a field: date_trunc("month", "joined")')
  end
  return expression.new {
    _op = "call", name = "date_trunc", arguments = { n = 2, expression.value(unit), expression.field_or_value(...) },
  }
end

local function call(name, ...)
  local arguments = { n = select("#", ...), ... }
  for i = 1, arguments.n do arguments[i] = expression.field_or_value(arguments[i]) end
  -- of two numbers there is one rest, however it is written
  if name == "mod" and arguments.n == 2 then return arguments[1] % arguments[2] end
  return expression.new { _op = "call", name = name, arguments = arguments }
end

return setmetatable({}, {
  __index = function(_, name)
    if name == "date_trunc" then return date_trunc end
    local make = AGGREGATES[name] and aggregate or call
    return function(...) return make(name, ...) end
  end,
  __newindex = function() errors.raise("bad_argument", "mp.fn cannot be changed") end,
})
