-- PostgreSQL. Text columns compare by code point (COLLATE "C"), so folding case and regular expressions name a
-- collation that knows Unicode.

local common = require "moonpool.dialect.common"
local expression = require "moonpool.dialect.postgres_expression"
local texts = require "moonpool.dialect.text"

local visit, calls, dialect = {}, {}, nil
local quote = common.quoter '"'

local UNICODE = ' COLLATE "und-x-icu"'

-- ---- types of parameters ----

-- A parameter has the type that the server finds for it: that of what it is compared or calculated with. Where there
-- is nothing beside it, or something narrower than the value may be, the text says the type.

local PARAMETER = {
  int = "bigint", float = "double precision", decimal = "numeric", text = "text", bool = "boolean", blob = "bytea",
  date = "date", time = "time", datetime = "timestamptz", walltime = "timestamp", interval = "interval", uuid = "uuid",
  json = "jsonb",
}

-- The numbers of the types of columns that take an array's items of a kind as they take a parameter of it: not those that
-- read it as a text (an enum, inet), which there is no cast to.
local FITTING = {
  int = { [20] = true, [21] = true, [23] = true }, float = { [700] = true, [701] = true }, decimal = { [1700] = true },
  text = { [25] = true, [1042] = true, [1043] = true }, bool = { [16] = true }, blob = { [17] = true }, date = { [1082] = true },
  time = { [1083] = true }, datetime = { [1184] = true }, walltime = { [1114] = true }, interval = { [1186] = true },
  uuid = { [2950] = true }, json = { [3802] = true },
}

local function alone(w, node)
  local type_name = PARAMETER[node.kind]
  w:slot(node)
  return type_name and w:say("::" .. type_name) or w
end

local BIG = { id = true, bigint = true }

-- Whether whole numbers have 64 bits there. Calculations are made in 64 bits, as on the other databases.
local function is_big(node)
  local op = node.op
  if op == "column" then
    local field = node.field
    field = field:origin()
    return BIG[field.type] or false
  elseif op == "aggregate" then
    return node.name == "count" or node.name == "sum" or is_big(node.argument)
  elseif op == "scalar" then
    return is_big(node.select.columns[1].expression)
  end
  if op == "part" then return node.name ~= "len" end
  return op == "arithmetic" or op == "negate" or op == "cast" or op == "window"
end

-- Whether a parameter beside such an expression gets the type of its own kind.
local function tells(node, kind)
  return node.op ~= "slot" and node.kind == kind and (kind ~= "int" or is_big(node))
end

local function beside(w, node, other)
  local op = other.op
  if (op == "slot" or op == "column") and other.kind == node.kind or tells(other, node.kind) then
    return w:slot(node)
  end
  return alone(w, node)
end

local function compared(w, node)
  if node.op == "slot" then return alone(w, node) end
  return w:operand(node)
end

local write_found = expression(visit, calls, alone)

-- ---- arithmetic ----

local function cast(w, node, type_name)
  return w:say("CAST("):write(node):say(" AS " .. type_name .. ")")
end

local function operand(w, node, other)
  if node.op ~= "slot" or tells(other, node.kind) then return w:operand(node) end
  return alone(w, node)
end

local function infix(w, node, operator)
  local left, right = node.left, node.right
  if node.kind == "int" and left.op ~= "slot" and right.op ~= "slot" and not (is_big(left) or is_big(right)) then
    cast(w, left, "bigint")
  else
    operand(w, left, right)
  end
  w:say(" " .. operator .. " ")
  return operand(w, right, left)
end

function visit.arithmetic(w, node)
  local operator, kind = node.operator, node.kind
  if operator == ".." then
    infix(w, node, "||")
  elseif operator == "/" and kind == "float" then
    cast(w, node.left, "double precision"):say(" / "):operand(node.right)
  elseif operator == "//" and kind == "int" then
    infix(w, node, "/")
  elseif operator == "//" and kind == "decimal" then
    w:say("div("):list({ node.left, node.right }, "write"):say(")")
  elseif operator == "//" then
    w:say("trunc(")
    infix(w, node, "/"):say(")")
  elseif operator == "%" and kind == "float" then
    w:say("CAST(")
    cast(w, node.left, "numeric"):say(" % ")
    cast(w, node.right, "numeric"):say(" AS double precision)")
  else
    infix(w, node, operator)
  end
end

function visit.negate(w, node)
  local inner = node.operand
  w:say("-")
  if inner.op == "slot" then return alone(w, inner) end
  if inner.kind == "int" and not is_big(inner) then return cast(w, inner, "bigint") end
  return w:operand(inner)
end

-- ---- aggregates ----

local RETYPED = { stddev_pop = true, stddev_samp = true, var_pop = true, var_samp = true }

-- Texts in their order, so that the same rows give the same text.
local function string_agg(w, node)
  w:say(node.distinct and "string_agg(DISTINCT " or "string_agg("):operand(node.argument)
  w:say(', '):alone(node.separator):say(" ORDER BY "):operand(node.argument):say(")")
  if node.filter then w:say(" FILTER (WHERE "):condition(node.filter):say(")") end
end

-- There is no min of uuid: of their texts, which are sorted alike.
local function uuid_aggregate(w, node)
  local of_text = setmetatable({ argument = { op = "cast", operand = node.argument, from = "uuid", kind = "text" } }, { __index = node })
  w:say("CAST("):aggregate(node.name, of_text):say(" AS uuid)")
end

function visit.aggregate(w, node)
  if node.name == "string_agg" then return string_agg(w, node) end
  if node.kind == "uuid" then return uuid_aggregate(w, node) end
  if RETYPED[node.name] then return w:say("CAST("):aggregate(node.name, node):say(" AS double precision)") end
  if node.name == "avg" and node.kind == "float" then
    w:say("CAST("):aggregate("avg", node):say(" AS double precision)")
  elseif node.name == "sum" and node.kind == "int" then
    w:say("CAST("):aggregate("sum", node):say(" AS bigint)")
  else
    w:aggregate(node.name, node)
  end
end

-- ---- text ----

local function folded(w, node, change)
  w:say("lower(")
  if node.op == "slot" then w:slot(node, change) else w:operand(node) end
  return w:say(UNICODE .. ")")
end

function visit.text_match(w, node)
  local how, write = node.how, node.fold and folded or texts.plain
  local function text() return write(w, node.operand) end
  local function part() return write(w, node.text) end
  if node.text.op ~= "slot" and write_found(w, how, text, part) then return end
  if how == "regex" then
    w:operand(node.operand):say(UNICODE .. (node.fold and " ~* " or " ~ ")):operand(node.text)
    return
  end
  texts.match(w, node, write)
end

calls.length = "char_length"

-- Windows count in integers of 32 bits.
local function windowed(name)
  return function(w, node)
    w:say(name .. "(")
    for i, argument in ipairs(node.arguments) do
      if i > 1 then w:say(", ") end
      local counts = i == 2 or name == "ntile"
      if counts then cast(w, argument, "integer") else w:alone(argument) end
    end
    w:say(")"):over(node.over)
  end
end
for _, name in ipairs { "ntile", "lag", "lead", "nth_value" } do calls[name] = windowed(name) end

-- What comes out is compared and sorted by code point again.
local function cased(name)
  return function(w, node)
    w:say(name .. "(")
    compared(w, node.arguments[1]):say(UNICODE .. ') COLLATE "C"')
  end
end

calls.lower, calls.upper = cased "lower", cased "upper"

function calls.concat(w, node)
  for i, argument in ipairs(node.arguments) do
    if i > 1 then w:say(" || ") end
    compared(w, argument)
  end
end

-- ---- the rest ----

local function table_name(model)
  return (model.schema and quote(model.schema) .. "." or "") .. quote(model.table)
end

-- By code point, unless the field says another one.
local function collated(type_name)
  return function(field)
    local name = field.collation and field.collation.postgres or "C"
    return (type_name:format(field.max or 0)) .. " COLLATE " .. quote(name)
  end
end

-- Of the items' type, whose collation stands behind.
local function array_type(field)
  local item = dialect.column_type(field.of)
  local name, collation = item:match "^(.-)( COLLATE .*)$"
  return (name or item) .. "[]" .. (collation or "")
end

dialect = common.dialect {
  name = "postgres",
  quote = quote,
  placeholder = function(n) return "$" .. n end,
  visit = visit,
  calls = calls,
  reuses = true,
  alone = alone,
  beside = beside,
  compared = compared,

  differs = function(w, node)
    w:compared(node.left):say(" IS DISTINCT FROM "):value(node.right, node.left)
  end,

  distinct_on = true,
  counts_cascaded = true,

  -- Of joined tables only the rows that were asked for: what an outer join may leave empty cannot be locked.
  lock = function(w, select)
    local scope, end_of = select.scope, { nowait = " NOWAIT", skip_locked = " SKIP LOCKED" }
    w:say(" FOR UPDATE")
    if scope.joins[1] then w:say(" OF "):name(scope.base.alias) end
    w:say(end_of[select.lock] or "")
  end,

  -- Left to itself PostgreSQL has NULL as the greatest value.
  order_item = function(w, item)
    w:sort_key(item)
    if item.descending then w:say(" DESC") end
    if item.expression.null or item.nulls then
      local nulls = item.nulls or (item.descending and "last" or "first")
      w:say(nulls == "first" and " NULLS FIRST" or " NULLS LAST")
    end
  end,

  explain = function(sql, analyze) return (analyze and "EXPLAIN ANALYZE " or "EXPLAIN ") .. sql end,

  explained = function(rows)
    local lines = {}
    for i, row in ipairs(rows) do lines[i] = row["QUERY PLAN"] end
    return table.concat(lines, "\n")
  end,

  literal_true = "true",
  literal_false = "false",

  types = {
    id = "bigint",
    smallint = "smallint",
    integer = "integer",
    bigint = "bigint",
    float = "double precision",
    decimal = function(field) return ("numeric(%d,%d)"):format(field.precision, field.scale) end,
    boolean = "boolean",
    string = collated "varchar(%d)",
    text = collated "text",
    binary = "bytea",
    date = "date",
    time = "time",
    datetime = function(field) return field.timezone and "timestamptz" or "timestamp" end,
    interval = "interval",
    uuid = "uuid",
    json = "jsonb",
    array = array_type,
    enum = collated "text",
  },

  drops_together = true,
  cuts_names = true,

  -- Whoever may not make schemas may use one that is there.
  create_schema = function(name)
    local literal = common.literal_text
    return "DO " .. literal(("BEGIN IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = %s) THEN\n  CREATE SCHEMA %s;\nEND IF; END")
      :format(literal(name), quote(name)))
  end,

  -- There is no IF NOT EXISTS for constraints.
  add_foreign_key = function(to, constraint, text)
    local literal = common.literal_text
    return "DO " .. literal(("BEGIN IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = %s::regclass AND conname = %s) THEN\n"
      .. "  ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY %s;\nEND IF; END"):format(literal(to), literal(constraint),
      to, quote(constraint), text))
  end,

  generated_key = "bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",

  -- An identity does not see keys that a program gives, and would give them again. Left alone where the column has none
  -- (a table that others made), and where the role may not.
  follow_key = function(w, model, column, slot)
    local literal = common.literal_text
    w:say("SELECT CASE WHEN has_sequence_privilege(s, 'UPDATE') THEN CASE WHEN "):slot(slot)
    w:say(" > coalesce(pg_sequence_last_value(s::regclass), 0) THEN setval(s, "):slot(slot):say(") END END FROM ")
    w:say(("pg_get_serial_sequence(%s, %s) AS s"):format(literal(table_name(model)), literal(column)))
  end,

  table_options = "",
  default_row = "DEFAULT VALUES",
  most_parameters = 65535,
  same = " IS NOT DISTINCT FROM ",

  -- Rows as one array for each column. A key that the server makes comes in the order of the rows, and so back, only where
  -- they are sorted: defaults are made behind ORDER BY.
  fits_array = function(kind, type_id) return FITTING[kind] ~= nil and FITTING[kind][type_id] or false end,

  insert_arrays = function(w, slots, ordered)
    w:say(" SELECT ")
    for i = 1, #slots do w:say((i > 1 and ", c" or "c") .. i) end
    w:say(" FROM unnest(")
    for i, slot in ipairs(slots) do
      if i > 1 then w:say(", ") end
      w:slot(slot):say("::" .. PARAMETER[slot.kind] .. "[]")
    end
    w:say(ordered and ") WITH ORDINALITY AS r(" or ") AS r(")
    for i = 1, #slots do w:say((i > 1 and ", c" or "c") .. i) end
    w:say(ordered and ", n) ORDER BY n" or ")")
  end,
}

return dialect
