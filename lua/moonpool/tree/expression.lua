-- Expressions as the user writes them: Author.age, mp.F.balance - amount. Nothing is resolved here: a
-- path is a text until a query says what it starts from. Immutable. Functions are in functions.lua, case, cast and
-- the like in compound.lua.
--
-- Own keys of a path begin with "_", because the names behind a relation (Book.author.name) are
-- looked up on it like methods.

local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"
local condition = require "moonpool.tree.condition"

local getmetatable, rawget, setmetatable, type = getmetatable, rawget, setmetatable, type

local expression = {}

local Expression = {}
local methods = {}

local function is_expression(v)
  return type(v) == "table" and getmetatable(v) == Expression
end
expression.is = is_expression

local function new(node) return setmetatable(node, Expression) end

--- An expression of that node; for the rooms beside.
expression.new = new

--- A path from the query set around the one that it is used in; depth: how many query sets further out.
function expression.outer_path(path, depth)
  return new { _op = "outer", _path = path, _depth = depth }
end

--- A path from a model (Author.age), or from whatever query it is used in (mp.F.age): model is then nil.
---@param model table?
---@param path string
function expression.path(model, path)
  return setmetatable({ _op = "path", _model = model or false, _path = path }, Expression) -- reading what is not there asks a metamethod
end

-- A condition as a value is true or false.
local function value(v)
  if type(v) == "table" then
    if is_expression(v) then return v end
    if condition.is(v) then return new { _op = "truth", condition = v } end
  end
  return setmetatable({ _op = "value", value = v }, Expression)
end

--- A value inside an expression, where a text would be taken for a field's name.
function expression.value(v) return value(v) end

--- What mp.fn, order_by and the like take: a text is the name of a field, the rest is a value.
function expression.field_or_value(v)
  if type(v) == "string" then return expression.path(nil, v) end
  return value(v)
end

-- ---- paths ----

local function deeper(path, name)
  local longer = path._path .. "__" .. name
  if path._model then return path._model:expression(longer) end
  if path._op == "outer" then return expression.outer_path(longer, path._depth) end
  return expression.path(nil, longer)
end

-- Book.author.c.like: the column, where Book.author.like is the method.
local Columns = { __index = function(columns, name) return deeper(columns.of, name) end }

function Expression.__index(self, name)
  local method = methods[name]
  if method ~= nil then return method end
  local op = rawget(self, "_op")
  if op ~= "path" and op ~= "outer" or type(name) ~= "string" or name:sub(1, 1) == "_" then return nil end
  if name == "c" then return setmetatable({ of = self }, Columns) end
  return deeper(self, name)
end

function Expression.__newindex()
  errors.raise("bad_argument", "an expression cannot be changed")
end

function Expression.__call(self)
  local path = self._path
  local name = path and path:match("__([^_].*)$") or path
  errors.raise("bad_argument", ("%s is no method of a column%s"):format(name or "an expression",
    name and vocabulary.suggest(name, methods) or ""))
end

function Expression.__tostring(self)
  if self._op == "path" then
    return (self._model and self._model.name .. "." or "mp.F.") .. self._path:gsub("__", ".")
  elseif self._op == "outer" then
    return "mp.outer." .. self._path:gsub("__", ".")
  end
  return "an expression"
end

Expression.__json = "an expression" -- no data, in JSON and in mp.show

-- ---- arithmetic ----

local function binary(operator)
  return function(left, right)
    if type(left) == "boolean" or type(right) == "boolean" then
      errors.raise("bad_argument", ("a boolean cannot be an operand of %s in an expression"):format(operator))
    end
    return setmetatable({ _op = "binary", operator = operator, left = value(left), right = value(right) }, Expression)
  end
end

Expression.__add = binary "+"
Expression.__sub = binary "-"
Expression.__mul = binary "*"
Expression.__div = binary "/"
Expression.__idiv = binary "//"
Expression.__mod = binary "%"
Expression.__concat = binary ".."

function Expression.__unm(operand)
  return new { _op = "negate", operand = operand }
end

function Expression.__pow(base, exponent)
  return new { _op = "call", name = "power", arguments = { n = 2, value(base), value(exponent) } }
end

local function compared(operators, less, greater)
  return function()
    errors.raise("bad_argument", ("Lua's %s on an expression can only give true or false: write column:%s(value) or column:%s(value)")
      :format(operators, less, greater))
  end
end

Expression.__lt = compared("< and >", "lt", "gt")
Expression.__le = compared("<= and >=", "le", "ge")

local function not_a_condition(operator)
  return function()
    errors.raise("bad_argument", ("%s joins conditions, and an expression is none: write column:eq(value)"):format(operator))
  end
end

Expression.__band = not_a_condition "&"
Expression.__bor = not_a_condition "|"
Expression.__bnot = not_a_condition "~"

-- ---- column methods ----

local function lookup(name)
  return function(self, v) return condition.lookup(self, name, v) end
end

methods.eq = lookup "exact"
methods.ne = lookup "ne"
methods.gt = lookup "gt"
methods.ge = lookup "gte"
methods.lt = lookup "lt"
methods.le = lookup "lte"
methods.in_ = lookup "in"
methods.not_in = lookup "not_in"
methods.like = lookup "like"
methods.ilike = lookup "ilike"
methods.contains = lookup "contains"
methods.icontains = lookup "icontains"
methods.startswith = lookup "startswith"
methods.endswith = lookup "endswith"

function methods.between(self, low, high) return condition.lookup(self, "range", { low, high }) end

function methods.is_null(self, given)
  if given ~= nil then
    errors.raise("bad_argument", "is_null takes no value: the contrary is mp.no(column:is_null()) or column__isnull = false")
  end
  return condition.lookup(self, "isnull", true)
end

local function order(descending)
  return function(self, options)
    local nulls
    if options ~= nil and type(options) ~= "table" then
      errors.raise("bad_argument", ('%s takes a table, such as { nulls = "last" }, not %s'):format(
        descending and "desc" or "asc", vocabulary.quoted(options)))
    end
    for option, given in pairs(options or {}) do
      if option ~= "nulls" then
        errors.raise("unknown_option", ("%s takes no option %s, only nulls"):format(descending and "desc" or "asc",
          vocabulary.quoted(option)))
      end
      if given ~= "first" and given ~= "last" then
        errors.raise("bad_argument", ('nulls is "first" or "last", not %s'):format(vocabulary.quoted(given)))
      end
      nulls = given
    end
    return new { _op = "order", operand = self, descending = descending, nulls = nulls }
  end
end

methods.asc = order(false)
methods.desc = order(true)

-- Names come from the program's text and are few; more of them are its input.
local MOST_NAMES = 1000
local name_n = 0

-- A path is never changed, so one serves all that say it.
local named = setmetatable({}, {
  __index = function(known, name)
    local made = expression.path(nil, name)
    if type(name) ~= "string" then return made end
    if name_n >= MOST_NAMES then
      for old in pairs(known) do known[old] = nil end
      name_n = 0
    end
    known[name], name_n = made, name_n + 1
    return made
  end,
})

--- mp.F: mp.F.balance, mp.F.author__name.
expression.names = setmetatable({}, {
  __index = named,
  __newindex = function() errors.raise("bad_argument", "mp.F cannot be changed") end,
})

return expression
