-- Expressions with parts that are not values: mp.case, mp.cast, mp.over, mp.raw, mp.subquery, mp.exists, mp.outer.
-- Their form is checked here; what their parts mean is asked when a query is made.

local condition = require "moonpool.tree.condition"
local errors = require "moonpool.errors"
local expression = require "moonpool.tree.expression"
local vocabulary = require "moonpool.vocabulary"

local compound = {}

local new = expression.new

local function bad(message, ...)
  errors.raise("bad_argument", message:format(...))
end

local function is_plain(v)
  return type(v) == "table" and getmetatable(v) == nil
end

-- ---- case and cast ----

--- The value of the first condition that holds: mp.case{ { condition, value }, ..., default = v }. Without a default
--- it is NULL where none does.
---@param branches table
---@return table expression  raises bad_argument, unknown_option
function compound.case(branches)
  if not is_plain(branches) or branches[1] == nil then
    bad("mp.case takes a table of branches: mp.case{ { condition, value }, default = value }")
  end
  local node = { _op = "case", whens = {} }
  for key in pairs(branches) do
    if key ~= "default" and type(key) ~= "number" then
      errors.raise("unknown_option", ("mp.case takes branches and default, not %s%s"):format(vocabulary.quoted(key),
        vocabulary.suggest(key, { "default" })))
    end
  end
  for i, branch in ipairs(branches) do
    if not is_plain(branch) or branch[1] == nil or #branch > 2 then
      bad("branch %d of mp.case is a condition and a value: { condition, value }", i)
    end
    for key in pairs(branch) do
      if key ~= 1 and key ~= 2 then
        bad("branch %d of mp.case has the key %s: a condition by keys is a table of its own, { { vip = true }, value }", i,
          vocabulary.quoted(key))
      end
    end
    node.whens[i] = { condition = condition.from(branch[1], "branch " .. i .. " of mp.case"), value = expression.value(branch[2]) }
  end
  node.default = expression.value(branches.default)
  return new(node)
end

local CAST_OPTIONS = { scale = true }

--- The value as another type, named like the types of fields; of a JSON path, the value if it has that type, else
--- NULL. A decimal that comes from a text or a float needs { scale = n }.
---@param operand any         a text is the name of a field
---@param type_name string
---@param options table?
function compound.cast(operand, type_name, options)
  if type(type_name) ~= "string" then
    bad('mp.cast takes a value and the name of a type: mp.cast("age", "text"), not %s', vocabulary.quoted(type_name))
  end
  if options ~= nil and not is_plain(options) then
    bad("the options of mp.cast are a table, not %s", vocabulary.quoted(options))
  end
  for option in pairs(options or {}) do
    if not CAST_OPTIONS[option] then
      errors.raise("unknown_option", ("mp.cast takes no option %s%s"):format(vocabulary.quoted(option),
        vocabulary.suggest(option, CAST_OPTIONS)))
    end
  end
  local scale = options and options.scale
  if scale ~= nil and (type(scale) ~= "number" or scale % 1 ~= 0 or scale < 0 or scale > 30) then
    bad("mp.cast: scale is a whole number from 0 to 30, not %s", vocabulary.quoted(scale))
  end
  return new { _op = "cast", operand = expression.field_or_value(operand), type = type_name, scale = scale }
end

-- ---- windows ----

local OVER_OPTIONS = { partition_by = true, order_by = true, frame = true }
local FRAMES = { rows = true, range = true, groups = true }

-- "-age" is age, last first; as in order_by.
local function order_item(item)
  if type(item) == "string" then
    if item:sub(1, 1) == "-" then return expression.path(nil, item:sub(2)):desc() end
    return expression.path(nil, item):asc()
  end
  if not expression.is(item) then
    bad("order_by of mp.over takes names of fields and expressions, not %s", vocabulary.quoted(item))
  end
  return item._op == "order" and item or item:asc()
end

local function list_of(name, given, make)
  if given == nil then return {} end
  if type(given) == "string" or expression.is(given) then given = { given } end
  if not is_plain(given) then bad("%s of mp.over is a list, not %s", name, vocabulary.quoted(given)) end
  local list = {}
  for i, item in ipairs(given) do list[i] = make(item) end
  for key in pairs(given) do
    if list[key] == nil then bad("%s of mp.over is a list of names and expressions, without %s", name, vocabulary.quoted(key)) end
  end
  return list
end

local function read_bound(unit, bound)
  if bound == "unbounded" then return bound end
  if type(bound) ~= "number" or bound % 1 ~= 0 or bound < -1e15 or bound > 1e15 then
    bad('an end of a frame is "unbounded" or a whole number, 0 being the current row and -1 the one before, not %s',
      vocabulary.quoted(bound))
  end
  if unit == "range" and bound ~= 0 then
    errors.raise("unsupported", 'a frame of a range ends at "unbounded" or at 0: only rows can be counted on every database')
  end
  return ("%.0f"):format(bound)
end

local function read_frame(frame)
  if frame == nil then return nil end
  local unit = is_plain(frame) and next(frame)
  local ends = unit and frame[unit]
  if not FRAMES[unit] or next(frame, unit) ~= nil or not is_plain(ends) or #ends ~= 2 then
    bad('a frame of mp.over is { rows = { from, to } } or { range = { from, to } }, such as { rows = { "unbounded", 0 } }')
  end
  if unit == "groups" then errors.raise("unsupported", "a frame of groups: MariaDB has none; rows and range are everywhere") end
  local from, to = read_bound(unit, ends[1]), read_bound(unit, ends[2])
  if from ~= "unbounded" and to ~= "unbounded" and tonumber(from) > tonumber(to) then
    bad("a frame of mp.over begins before it ends, not at %s to %s", from, to)
  end
  return { unit = unit, from = from, to = to }
end

--- A function over the rows around each row: mp.over(mp.fn.row_number(), { partition_by = {...}, order_by = {...},
--- frame = { rows = { -1, 0 } } }). The ends of a frame count from the current row; "unbounded" is the first or the last.
---@param call table
---@param options table?
function compound.over(call, options)
  if not expression.is(call) or call._op ~= "call" and call._op ~= "aggregate" then
    bad("mp.over takes a function: mp.over(mp.fn.row_number(), { order_by = {...} }), not %s", vocabulary.quoted(call))
  end
  options = options == nil and {} or options
  if not is_plain(options) then bad("the options of mp.over are a table, not %s", vocabulary.quoted(options)) end
  for option in pairs(options) do
    if not OVER_OPTIONS[option] then
      errors.raise("unknown_option", ("mp.over takes no option %s%s"):format(vocabulary.quoted(option),
        vocabulary.suggest(option, OVER_OPTIONS)))
    end
  end
  return new {
    _op = "window", call = call,
    partition = list_of("partition_by", options.partition_by, expression.field_or_value),
    order = list_of("order_by", options.order_by, order_item),
    frame = read_frame(options.frame),
  }
end

-- ---- query sets inside ----

local function query_set(name, q)
  if type(q) ~= "table" then bad("%s takes a query set, not %s", name, vocabulary.quoted(q)) end
  if rawget(q, "shape") == nil then
    local class = getmetatable(q) ~= nil and not expression.is(q) and not condition.is(q)
    local all = class and q.all_rows
    if type(all) ~= "function" then bad("%s takes a query set, not %s", name, vocabulary.quoted(q)) end
    q = all(q)
  end
  return q
end

--- A condition: the query set has a row. Columns of the query around it are mp.outer.name.
function compound.exists(q)
  return condition.exists(query_set("mp.exists", q))
end

--- The value of the one column of a query set's first row; NULL if there is none.
function compound.subquery(q)
  return new { _op = "subquery", query = query_set("mp.subquery", q) }
end

--- mp.outer.name: a column of the query around the query set that it is used in. mp.outer(mp.outer.name): of the
--- query around that one.
compound.outer = setmetatable({}, {
  __index = function(_, name)
    if type(name) ~= "string" then bad("mp.outer has names of fields, not %s", vocabulary.quoted(name)) end
    return expression.outer_path(name, 1)
  end,
  __call = function(_, path)
    if not expression.is(path) or path._op ~= "outer" then
      bad("mp.outer(...) takes a column of a query further out: mp.outer(mp.outer.name)")
    end
    return expression.outer_path(path._path, path._depth + 1)
  end,
  __newindex = function() bad("mp.outer cannot be changed") end,
})

-- ---- SQL ----

-- Where the next ? is that is no part of a string, a quoted name or a comment; the place behind such a thing otherwise.
local function behind(sql, i)
  local c = sql:sub(i, i)
  if c == "'" or c == '"' or c == "`" then
    local stop = sql:find(c, i + 1, true)
    if not stop then bad("mp.raw: a %s is not closed: %s", c, vocabulary.quoted(sql)) end
    return stop + 1
  end
  local two = sql:sub(i, i + 1)
  if two == "--" then return (sql:find("\n", i, true) or #sql) + 1 end
  if two == "/*" then
    local _, stop = sql:find("*/", i + 2, true)
    if not stop then bad("mp.raw: a comment is not closed: %s", vocabulary.quoted(sql)) end
    return stop + 1
  end
  return i + 1
end

-- The pieces of SQL between the values.
local function split(sql)
  local pieces, from, i = {}, 1, 1
  local piece = ""
  while true do
    i = sql:find("['\"`?/%-]", i)
    if not i then break end
    if sql:sub(i, i) ~= "?" then
      i = behind(sql, i)
    elseif sql:sub(i + 1, i + 1) == "?" then
      piece = piece .. sql:sub(from, i)
      i = i + 2
      from = i
    else
      pieces[#pieces + 1] = piece .. sql:sub(from, i - 1)
      piece = ""
      i = i + 1
      from = i
    end
  end
  pieces[#pieces + 1] = piece .. sql:sub(from)
  return pieces
end

--- SQL as it is written, with a ? for each argument (?? is a question mark): mp.raw("lower(?)", mp.F.name). An argument
--- is an expression or one value. The text itself is the server's business, and its writer's.
---@param sql string
---@param ... any
function compound.raw(sql, ...)
  if type(sql) ~= "string" or sql:match "^%s*$" then bad("mp.raw takes SQL and its values, not %s", vocabulary.quoted(sql)) end
  if sql:find("\0", 1, true) then bad("mp.raw: a NUL byte in %s", vocabulary.quoted(sql)) end
  local node = { _op = "raw", pieces = split(sql), arguments = { n = select("#", ...), ... } }
  local wanted = #node.pieces - 1
  if wanted ~= node.arguments.n then
    errors.raise("bad_parameters", ("mp.raw: %d values for %d places in %s"):format(node.arguments.n, wanted, vocabulary.quoted(sql)))
  end
  for i = 1, wanted do
    local argument = node.arguments[i]
    if type(argument) == "table" and rawget(argument, "shape") then argument = compound.subquery(argument) end
    node.arguments[i] = expression.value(argument)
  end
  return new(node)
end

return compound
