-- SQLite. Decimals are canonical text, so whatever asks their value goes through the functions and the
-- collation that the backend registers (mp_...); text functions fold by Unicode there too. LIKE
-- ignores the case of ASCII letters, so texts are matched with GLOB and instr.

local common = require "moonpool.dialect.common"
local errors = require "moonpool.errors"
local expression = require "moonpool.dialect.sqlite_expression"
local pattern = require "moonpool.dialect.pattern"
local texts = require "moonpool.dialect.text"

local visit, calls = {}, {}

local write_found = expression(visit, calls)

-- ---- comparing ----

-- A decimal against a number: both as text, for the collation to read.
local function as_decimal(w, node)
  if node.kind == "decimal" or node.op == "slot" then return w:operand(node) end
  return w:say("CAST("):write(node):say(" AS TEXT)")
end

local function compared(w, node)
  if node.kind ~= "decimal" then return w:operand(node) end
  return w:operand(node):say(" COLLATE mp_decimal")
end

local function operands(w, node, operator)
  local left, right = node.left, node.right
  if left.kind == "decimal" or right.kind == "decimal" then
    as_decimal(w, left)
    w:say(" COLLATE mp_decimal " .. operator .. " ")
    as_decimal(w, right)
  else
    w[operator:find "[<>]" and "ordered" or "operand"](w, left):say(" " .. operator .. " "):operand(right)
  end
end

function visit.compare(w, node)
  if node.left.kind == "json" then return visit.json_equal(w, node.left, node.right) end
  operands(w, node, node.operator)
end

-- ---- arithmetic ----

local INTEGER = { ["+"] = "mp_add", ["-"] = "mp_sub", ["*"] = "mp_mul", ["/"] = "mp_div", ["//"] = "mp_idiv", ["%"] = "mp_mod" }
local DECIMAL = {
  ["+"] = "mp_decimal_add", ["-"] = "mp_decimal_sub", ["*"] = "mp_decimal_mul", ["/"] = "mp_decimal_div",
  ["//"] = "mp_decimal_idiv", ["%"] = "mp_decimal_mod",
}

local function call(w, name, ...)
  w:say(name):say("("):list({ ... }, "write"):say(")")
end

local function as_real(w, node)
  if node.kind ~= "decimal" then return w:operand(node) end
  return w:say("CAST("):write(node):say(" AS REAL)")
end

function visit.arithmetic(w, node)
  local operator = node.operator
  if node.kind == "text" then
    w:operand(node.left):say(" || "):operand(node.right)
  elseif node.kind == "decimal" then
    call(w, DECIMAL[operator], node.left, node.right)
  elseif node.kind == "int" then
    call(w, INTEGER[operator], node.left, node.right)
  elseif operator == "/" or operator == "//" or operator == "%" then
    w:say(INTEGER[operator]):say("(")
    as_real(w, node.left)
    w:say(", ")
    as_real(w, node.right)
    w:say(")")
  else
    as_real(w, node.left)
    w:say(" " .. operator .. " ")
    as_real(w, node.right)
  end
end

-- The keys of a list are rows of a table to it.
function visit.among_keys(w, node)
  w:write(node.operand):say(" IN (VALUES "):keys(node.operand, node.items):say(")")
end

-- The smallest integer has no positive counterpart: subtracting says so, a minus sign would not.
function visit.negate(w, node)
  if node.kind == "decimal" then return call(w, "mp_decimal_neg", node.operand) end
  if node.kind == "int" then return w:say("mp_sub(0, "):write(node.operand):say(")") end
  w:say("-"):operand(node.operand)
end

-- ---- aggregates ----

local NAMES = {
  bool_and = "min", bool_or = "max", stddev_pop = "mp_stddev_pop", stddev_samp = "mp_stddev_samp", var_pop = "mp_var_pop",
  var_samp = "mp_var_samp",
}

local function filtered(w, node)
  if node.filter then w:say(" FILTER (WHERE "):condition(node.filter):say(")") end
  return w:over(node.over)
end

-- The backend's own: sorted, so that the same rows give the same text.
local function string_agg(w, node)
  w:say(node.distinct and "mp_string_agg_distinct(" or "mp_string_agg("):write(node.argument):say(", "):write(node.separator):say(")")
  return filtered(w, node)
end

function visit.aggregate(w, node)
  local name, kind = node.name, node.argument and node.argument.kind
  if name == "string_agg" then return string_agg(w, node) end
  name = NAMES[name] or name
  if (name == "min" or name == "max") and kind == "decimal" then
    local argument = node.argument
    w:say(name .. "("):write(argument):say(" COLLATE mp_decimal)")
    return filtered(w, node)
  end
  if name == "sum" and kind == "int" then name = "mp_sum" end
  if kind == "decimal" and (name == "sum" or name == "avg") then name = "mp_decimal_" .. name end
  w:aggregate(name, node)
end

-- ---- text ----

local function folded(w, node, change)
  w:say("mp_fold(")
  if node.op == "slot" then w:slot(node, change) else w:write(node) end
  return w:say(")")
end

function visit.text_match(w, node)
  local how, write = node.how, node.fold and folded or texts.plain
  if node.text.op ~= "slot" then
    local function text() return write(w, node.operand) end
    local function part() return write(w, node.text) end
    if write_found(w, how, text, part) then return end
  end
  if how == "equals" then
    write(w, node.operand)
    w:say(" = ")
    write(w, node.text)
  elseif how == "contains" then
    w:say("instr(")
    write(w, node.operand)
    w:say(", ")
    write(w, node.text)
    w:say(") > 0")
  elseif how == "regex" then
    w:say("mp_regexp("):write(node.text):say(", "):write(node.operand):say(node.fold and ", 'i')" or ", '')")
  else
    write(w, node.operand)
    w:say(" GLOB ")
    write(w, node.text, pattern.for_glob[how])
  end
end

calls.lower, calls.upper = "mp_lower", "mp_upper"

function calls.concat(w, node) w:list(node.arguments, "operand", " || ") end

function calls.abs(w, node)
  call(w, node.kind == "decimal" and "mp_decimal_abs" or "abs", node.arguments[1])
end

-- ---- types ----

local COLLATIONS = { BINARY = true, NOCASE = true, RTRIM = true }

-- SQLite compares by code point unless told otherwise; of its own collations there are three.
local function collated(type_name)
  return function(field)
    local name = field.collation and field.collation.sqlite
    local written = type_name:format(field.max or 0)
    if not name then return written end
    if not COLLATIONS[name:upper()] then
      errors.raise("unsupported", ("%s: SQLite has no collation %s, only BINARY, NOCASE and RTRIM: collation = { postgres = ..., "
        .. "mariadb = ... } names those of others"):format(field:title(), name))
    end
    return written .. " COLLATE " .. name
  end
end

-- ---- the rest ----

local quote = common.quoter '"'

return common.dialect {
  name = "sqlite",
  quote = quote,
  sent_as = { array = "json" },
  placeholder = function(n) return "?" .. n end,
  visit = visit,
  calls = calls,
  compared = compared,

  differs = function(w, node) operands(w, node, "IS NOT") end,

  limits = function(w, top, skip)
    if skip and not top then
      w:say(" LIMIT -1 OFFSET "):slot(skip)
    else
      common.limits(w, top, skip)
    end
  end,

  -- Rows are changed one by one, and a sub-select would see those that are: with a FROM all values are calculated before.
  changes_at_once = " FROM (SELECT 1)",

  -- Who writes is alone.
  lock = function() end,
  locks = false,

  -- The server takes no parentheses around a member.
  member = function(w, select) w:say("SELECT * FROM ("):select(select):say(")") end,

  named_key = function(w, item)
    w:name(item.name)
    if item.expression.kind == "decimal" then w:say(" COLLATE mp_decimal") end
  end,

  explain = function(sql, analyze)
    if analyze then
      errors.raise("unsupported", "explain{ analyze = true }: SQLite cannot say what a statement did")
    end
    return "EXPLAIN QUERY PLAN " .. sql
  end,

  explained = function(rows)
    local depth, lines = { [0] = -1 }, {}
    for i, step in ipairs(rows) do
      depth[step.id] = (depth[step.parent] or -1) + 1
      lines[i] = ("  "):rep(depth[step.id]) .. step.detail
    end
    return table.concat(lines, "\n")
  end,

  unordered = common.intervals_are_texts,

  literal_true = "1",
  literal_false = "0",
  literal_decimal = common.literal_text,

  -- In the schema stands nothing that other programs do not know: 15 digits are compared exactly, and more are
  -- let pass only where they differ behind these.
  measured = function(column, kind)
    return kind == "decimal" and "CAST(" .. column .. " AS REAL)" or column
  end,

  --- A calculated value on its way into a column that has an end: canonical, with the column's scale.
  assigned = function(w, field, node)
    local bits = field.definition and field.definition.bits
    if node.op == "null" then
      w:write(node)
    elseif field.kind_name == "decimal" then
      w:say("mp_decimal_cast("):write(node):say((", %d, %d)"):format(field.scale, field.precision))
    elseif bits and bits < 64 then
      w:say("mp_fit("):write(node):say((", %d)"):format(bits))
    else
      w:write(node)
    end
  end,

  -- The names say the kind again to whoever reads the table with plain SQL. An INTERVAL_TEXT has integer
  -- affinity by SQLite's rules, which leaves a text such as P1D alone.
  types = {
    id = "INTEGER",
    smallint = "SMALLINT",
    integer = "INTEGER",
    bigint = "BIGINT",
    float = "REAL",
    decimal = function(field) return ("DECIMAL_TEXT(%d,%d)"):format(field.precision, field.scale) end,
    boolean = "BOOLEAN",
    string = collated "VARCHAR(%d)",
    text = collated "TEXT",
    binary = "BLOB",
    date = "DATE",
    time = "TIME",
    datetime = function(field) return field.timezone and "DATETIME" or "WALLTIME_TEXT" end,
    interval = "INTERVAL_TEXT",
    uuid = "UUID_TEXT",
    json = "JSON_TEXT",
    array = "JSON_TEXT",
    enum = collated "TEXT",
  },

  -- AUTOINCREMENT: without it the key of a deleted last row is given again, to another row than the
  -- one that links, logs and objects still mean. The other databases never do that.
  generated_key = "INTEGER PRIMARY KEY AUTOINCREMENT",
  same = " IS ",
  tells_key = true,

  table_options = "",
  default_row = "DEFAULT VALUES",
  lacks_schemas = true,

  -- A table that goes takes its rows along one by one; those that refer to each other would hold the table.
  drops_between = { "PRAGMA defer_foreign_keys = ON", "PRAGMA defer_foreign_keys = OFF" },
  most_parameters = 32766,
}
