-- What + - * / // % and .. give: of numbers, of texts, and of dates and times, as the values of Lua calculate
-- (mp.date, mp.datetime, mp.interval).

local errors = require "moonpool.errors"
local expression = require "moonpool.resolve.expression"

local arithmetic = {}

local resolvers, describe = expression.resolvers, expression.describe

local NUMBER = { int = true, float = true, decimal = true }
local MOVES = { date = true, time = true, datetime = true, walltime = true }

-- ---- kinds ----

local function texts(left, right)
  for _, operand in ipairs { left, right } do
    if operand.kind and operand.kind ~= "text" then
      errors.raise("bad_argument", (".. joins texts, not %s: mp.cast(x, \"text\") makes one"):format(describe(operand)))
    end
  end
  return "text"
end

-- date + interval, datetime - datetime and the like; nil if it is nothing of that.
local function temporal(operator, left, right)
  local a, b = left.kind, right.kind
  if operator == "-" and a == b and MOVES[a] then return "interval" end
  if operator == "+" or operator == "-" then
    if MOVES[a] and b == "interval" or a == "date" and b == "int" then return a end
    if a == "interval" and b == "interval" then return "interval" end
  end
  if operator == "+" and (MOVES[b] and a == "interval" or b == "date" and a == "int") then return b end
end

local function numbers(operator, left, right)
  if not (left.kind and right.kind) then return nil end
  for _, operand in ipairs { left, right } do
    if not NUMBER[operand.kind] then
      errors.raise("bad_argument", ("%s cannot calculate with %s"):format(operator, describe(operand)))
    end
  end
  if left.kind == "float" or right.kind == "float" then return "float" end
  if left.kind == "decimal" or right.kind == "decimal" then return "decimal" end
  return operator == "/" and "float" or "int"
end

-- A date moves by whole days, as mp.date does.
local WHOLE_DAYS = {
  kind = "interval",
  convert = function(_, value)
    local interval = expression.converted("interval", value)
    if interval.microseconds % 86400000000 ~= 0 then
      errors.raise("bad_argument", "a date moves by whole days: mp.cast(x, \"datetime\") + an interval has a time as well")
    end
    return interval
  end,
}

-- What the databases do not do in one way, with the way out.
local function check_moved(left, right)
  if left.kind == "interval" then
    errors.raise("unsupported", "intervals are added in Lua: SQLite and MariaDB keep them as texts")
  elseif left.kind == "time" then
    errors.raise("unsupported", "a time of the day is moved in Lua: the databases do not agree what is behind midnight")
  elseif right.kind == "interval" and left.kind == "date" and right.op ~= "slot" then
    errors.raise("unsupported", "a date moves by an interval that is a value, or by a number of days")
  end
end

-- ---- operands ----

-- A literal takes its kind from what it is calculated with: "0.10" beside a decimal is one, "P1D" beside a date an
-- interval.
local function operand_beside(resolver, template, other, operator)
  if template._op ~= "slot" then return expression.resolve(resolver, template) end
  local kind = template.kind
  if kind == "text" and NUMBER[other.kind] or other.kind == "decimal" and kind == "int" then
    return expression.slot_of_kind(resolver, template, other.kind)
  elseif operator ~= ".." and other.kind == "date" and (kind == "text" or kind == "interval") then
    return expression.slot_taken(resolver, template, WHOLE_DAYS)
  elseif operator ~= ".." and kind == "text" and MOVES[other.kind] then
    return expression.slot_of_kind(resolver, template, "interval")
  end
  return expression.resolve(resolver, template)
end

function resolvers.binary(resolver, template)
  local left, right
  local operator = template.operator
  if template.left._op == "slot" then
    right = expression.resolve(resolver, template.right)
    left = operand_beside(resolver, template.left, right, operator)
  else
    left = expression.resolve(resolver, template.left)
    right = operand_beside(resolver, template.right, left, operator)
  end
  if left.op == "null" or right.op == "null" then return { op = "null", null = true, kind = left.kind or right.kind } end
  local null = left.null or right.null
  if operator == ".." then
    return { op = "arithmetic", operator = "..", left = left, right = right, kind = texts(left, right), null = null }
  end
  local moved = temporal(operator, left, right)
  if moved then
    if MOVES[right.kind] and not MOVES[left.kind] then left, right = right, left end -- what moves stands first
    if moved ~= "interval" or left.kind == "interval" then check_moved(left, right) end
    return { op = "temporal", operator = operator, left = left, right = right, kind = moved, null = null }
  end
  return {
    op = "arithmetic", operator = operator, left = left, right = right, kind = numbers(operator, left, right), null = null,
  }
end

function resolvers.negate(resolver, template)
  local operand = expression.resolve(resolver, template.operand)
  if operand.op == "null" then return operand end
  return { op = "negate", operand = operand, kind = numbers("-", operand, operand), null = operand.null }
end

return arithmetic
