-- Conditions as the user writes them: mp.Q{...}, Author.age:ge(18), and these joined by & | ~ (or
-- mp.all, mp.any, mp.no). Nothing is resolved here. Immutable.

local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"

local condition = {}

local Condition = {}
Condition.__index = {}

local function is_condition(v)
  return type(v) == "table" and getmetatable(v) == Condition
end
condition.is = is_condition

local function new(node) return setmetatable(node, Condition) end

--- A condition on one expression: name is a lookup's ("gte").
function condition.lookup(left, name, value)
  return new { _op = "lookup", left = left, name = name, value = value }
end

--- Whether a query set has a row.
function condition.exists(query) return new { _op = "exists", query = query } end

--- What filter, mp.all and the like take: a condition, a table of keys as mp.Q takes it, or mp.raw.
---@param v any
---@param where string  who asks, for the message
function condition.from(v, where)
  if is_condition(v) then return v end
  if type(v) == "table" and rawget(v, "_op") == "raw" then return new { _op = "asked", operand = v } end
  if type(v) == "table" and getmetatable(v) == nil then return condition.match(v) end
  if type(v) == "boolean" then
    errors.raise("bad_argument", where .. " takes conditions, not a boolean: Lua's ==, not and comparisons give booleans;"
      .. " write column:eq(value), mp.no(condition), mp.all(a, b)")
  end
  errors.raise("bad_argument", ("%s takes tables and conditions, not %s"):format(where, vocabulary.quoted(v)))
end

--- mp.Q: all keys hold, of the same related rows. The table is copied: it stays the caller's.
function condition.match(keys)
  if type(keys) ~= "table" or getmetatable(keys) ~= nil then
    errors.raise("bad_argument", ("mp.Q takes a table of keys, not %s"):format(vocabulary.quoted(keys)))
  end
  local copy = {}
  for key, value in pairs(keys) do copy[key] = value end
  return new { _op = "match", keys = copy }
end

local function joined(operator, how)
  return function(...)
    local items = { _op = operator }
    for i = 1, select("#", ...) do
      items[i] = condition.from((select(i, ...)), how)
    end
    return new(items)
  end
end

condition.all = joined("all", "mp.all")
condition.any = joined("any", "mp.any")

function condition.no(...)
  if select("#", ...) ~= 1 then
    errors.raise("bad_argument", "mp.no takes one condition: of two, mp.no(mp.all(a, b)) or mp.no(mp.any(a, b)) says"
      .. " which is meant")
  end
  return new { _op = "no", condition.from(..., "mp.no") }
end

Condition.__band = joined("all", "&")
Condition.__bor = joined("any", "|")
function Condition.__bnot(item) return new { _op = "no", item } end

-- One of both: each is asked twice.
function Condition.__bxor(a, b)
  a, b = condition.from(a, "~"), condition.from(b, "~")
  return condition.any(condition.all(a, condition.no(b)), condition.all(condition.no(a), b))
end

function Condition.__newindex()
  errors.raise("bad_argument", "a condition cannot be changed")
end

function Condition.__tostring() return "a condition" end

Condition.__json = "a condition" -- no data, in JSON and in mp.show

return condition
