-- MariaDB. Text columns compare by code point and with their trailing spaces (utf8mb4_nopad_bin), and so do the
-- session's own texts. What the server would let pass in silence (a division by zero, an upsert that met another key) is
-- made to fail by a sum beyond 64 bits that is calculated only then; its error shows the text in it, by which the backend
-- knows it again (mariadb_error.c).

local common = require "moonpool.dialect.common"
local errors = require "moonpool.errors"
local expression = require "moonpool.dialect.mariadb_expression"
local texts = require "moonpool.dialect.text"

local visit, calls = {}, {}

-- An expression that fails. what: known to the backend; write: writes what makes it no constant, which the server would
-- calculate at once.
local function fail(w, what, write)
  w:say("9223372036854775807 + length(concat_ws('', '" .. what .. "', ")
  write(w)
  return w:say("))")
end

local write_found = expression(visit, calls, fail)

-- ---- arithmetic ----

local function not_zero(value)
  if tonumber((tostring(value):gsub("LL$", ""))) == 0 then errors.raise("division_by_zero", "division by zero") end
  return value
end

-- A divisor. The server's own answer to zero is NULL, which is right of a NULL only: concat is then NULL too.
local function divisor(w, node, divided)
  if node.op == "slot" then return w:slot(node, not_zero) end
  w:say("if("):operand(node):say(" = 0, ")
  if divided.null then
    w:say("9223372036854775807 + length(concat('division by zero', "):list({ divided, node }, "write"):say("))")
  else
    fail(w, "division by zero", function() w:write(node) end)
  end
  return w:say(", "):write(node):say(")")
end

function visit.arithmetic(w, node)
  local operator, kind = node.operator, node.kind
  if operator == ".." then
    w:say("concat("):list({ node.left, node.right }, "write"):say(")")
  elseif operator == "/" and kind == "float" then
    w:say("CAST("):write(node.left):say(" AS DOUBLE) / ")
    divisor(w, node.right, node.left)
  elseif operator == "//" and kind == "float" then
    w:say("truncate("):operand(node.left):say(" / ")
    divisor(w, node.right, node.left):say(", 0)")
  elseif operator == "//" then
    w:operand(node.left):say(" DIV ")
    divisor(w, node.right, node.left)
  elseif operator == "/" or operator == "%" then
    w:operand(node.left):say(" " .. operator .. " ")
    divisor(w, node.right, node.left)
  else
    w:operand(node.left):say(" " .. operator .. " "):operand(node.right)
  end
end

-- ---- aggregates ----

-- There is no FILTER: what does not fit becomes NULL, which aggregates leave out.
local function fitting(w, node, write)
  if node.filter then w:say("CASE WHEN "):condition(node.filter):say(" THEN ") end
  write()
  if node.filter then w:say(" END") end
  return w
end

-- What stands between the texts is a value, which the server's SEPARATOR cannot be: it stands before each, and the first
-- one goes.
local function string_agg(w, node)
  w:say(node.distinct and "substr(group_concat(DISTINCT " or "substr(group_concat(")
  fitting(w, node, function() w:say("concat("):write(node.separator):say(", "):write(node.argument):say(")") end)
  w:say(" ORDER BY "):write(node.argument):say(" SEPARATOR ''), char_length("):write(node.separator):say(") + 1)")
end

local NAMES = { bool_and = "min", bool_or = "max" }

function visit.aggregate(w, node)
  if node.name == "string_agg" then return string_agg(w, node) end
  w:say((NAMES[node.name] or node.name) .. "(")
  if node.distinct then w:say("DISTINCT ") end
  if not node.argument and not node.filter then
    w:say("*")
  else
    fitting(w, node, function()
      if not node.argument then
        w:say("1")
      elseif node.name == "avg" and node.kind == "float" then
        w:say("CAST("):write(node.argument):say(" AS DOUBLE)")
      else
        w:write(node.argument)
      end
    end)
  end
  w:say(")"):over(node.over)
end

function visit.compare(w, node)
  if node.left.kind == "json" then return visit.json_equal(w, node.left, node.right) end
  w[node.operator == "=" and "compared" or "ordered"](w, node.left):say(" " .. node.operator .. " "):value(node.right, node.left)
end

-- ---- text ----

local function folded(w, node, change)
  w:say("lower(")
  if node.op == "slot" then w:slot(node, change) else w:write(node) end
  return w:say(")")
end

local function ignoring_case(text) return "(?i)" .. text end

function visit.text_match(w, node)
  local how, write = node.how, node.fold and folded or texts.plain
  if how == "regex" then
    w:operand(node.operand):say(" REGEXP ")
    if node.fold and node.text.op ~= "slot" then return w:say("concat('(?i)', "):write(node.text):say(")") end
    texts.plain(w, node.text, node.fold and ignoring_case or nil)
    return
  end
  if node.text.op ~= "slot" then
    local function text() return write(w, node.operand) end
    local function part() return write(w, node.text) end
    if write_found(w, how, text, part) then return end
  end
  texts.match(w, node, write)
end

calls.length = "char_length"

-- ---- sub-selects ----

-- The server takes no LIMIT in the sub-select of IN, and none on the table that is being changed: as a
-- table in FROM it takes both.
function visit.among_rows(w, node)
  local select = node.select
  w:compared(node.operand):say(" IN (")
  if select.top or select.skip or w.target then
    w:say("SELECT * FROM ("):select(select, { grouped_names = true }):say(") AS "):name("found")
  else
    w:select(select)
  end
  w:say(")")
end

-- ---- types ----

local TEXT = " CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"

-- By code point, unless the field says another one.
local function collated(type_name, field)
  local name = field.collation and field.collation.mariadb or "utf8mb4_nopad_bin"
  return type_name .. " CHARACTER SET utf8mb4 COLLATE " .. name
end

-- A row has 65535 bytes, of which a varchar may take all but a few; a character takes up to four of them.
local LONGEST_VARCHAR = 16383
local LONGEST_KEY = 768

local function refuse(field, message)
  return errors.raise("unsupported", ("%s: %s"):format(field:title(), message))
end

local function is_key(field)
  for _, one in ipairs(field.model and field.model.key or {}) do
    if one == field then return true end
  end
  return false
end

local function unlimited(written)
  return function(field)
    if is_key(field) then
      return refuse(field, ("a primary key of MariaDB has at most 3072 bytes: f.string{ max = %d } is the longest"):format(
        LONGEST_KEY))
    end
    return written
  end
end

local long_blob = unlimited "longblob"
local unlimited_text = unlimited "longtext"

local function long_text(field)
  return collated(unlimited_text(field), field)
end

local function string_type(field)
  if field.max > LONGEST_VARCHAR then return long_text(field) end
  if field.max > LONGEST_KEY and is_key(field) then
    return refuse(field, ("a primary key of MariaDB has at most 3072 bytes: max = %d is the longest"):format(LONGEST_KEY))
  end
  return collated(("varchar(%d)"):format(field.max), field)
end

-- ---- the rest ----

local quote = common.quoter "`"

return common.dialect {
  name = "mariadb",
  quote = quote,
  sent_as = { array = "json" },
  placeholder = function() return "?" end,
  visit = visit,
  calls = calls,

  differs = function(w, node)
    w:say("NOT ("):operand(node.left):say(" <=> "):operand(node.right):say(")")
  end,

  -- The server takes no WITH inside of parentheses.
  member = function(w, select)
    if not select.ctes then return common.member(w, select) end
    w:say("SELECT * FROM ("):select(select):say(") AS "):name("member")
  end,

  limits = function(w, top, skip)
    if skip and not top then
      w:say(" LIMIT 18446744073709551615 OFFSET "):slot(skip)
    else
      common.limits(w, top, skip)
    end
  end,

  -- There is no NULLS FIRST: whether a value is NULL is sorted by before the value.
  order_item = function(w, item)
    local natural = item.descending and "last" or "first"
    if item.nulls and item.nulls ~= natural then
      w:compared(item.expression):say(" IS NULL")
      w:say(item.nulls == "first" and " DESC, " or ", ")
    end
    w:sort_key(item)
    if item.descending then w:say(" DESC") end
  end,

  -- A number, also as a parameter, would be the place of a column.
  grouped = function(w, node)
    if node.op ~= "slot" then return w:compared(node) end
    w:say("("):slot(node):say(" IS NULL)")
  end,

  unordered = common.intervals_are_texts,

  literal_true = "true",
  literal_false = "false",

  -- The server may read backslashes in literals, as its mode says: doubled they would be two in the
  -- other mode, so such a text is written by its bytes.
  literal_text = function(text)
    if not text:find("\\", 1, true) then return common.literal_text(text) end
    return "x'" .. text:gsub(".", function(c) return ("%02x"):format(c:byte()) end) .. "'"
  end,

  types = {
    id = "bigint",
    smallint = "smallint",
    integer = "int",
    bigint = "bigint",
    float = "double",
    decimal = function(field) return ("decimal(%d,%d)"):format(field.precision, field.scale) end,
    boolean = "tinyint(1)",
    string = string_type,
    text = long_text,
    binary = long_blob,
    date = "date",
    time = "time(6)",
    datetime = "datetime(6)",
    interval = "varchar(64)" .. TEXT,
    uuid = "uuid",
    json = "json",
    array = "json",
    enum = function(field) return collated("varchar(255)", field) end,
  },

  commits_tables = true,
  names_constraints = true,

  keys_stay_inside = true,
  create_schema = function(name) return "CREATE DATABASE IF NOT EXISTS " .. quote(name) end,

  add_foreign_key = function(to, constraint, text)
    return ("ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY IF NOT EXISTS %s %s"):format(to, quote(constraint),
      quote(constraint), text)
  end,

  drop_foreign_key = function(from, constraint)
    return ("ALTER TABLE IF EXISTS %s DROP FOREIGN KEY IF EXISTS %s"):format(from, quote(constraint))
  end,

  -- The server takes the words and does as with RESTRICT.
  lacks_set_default = true,

  generated_key = "bigint AUTO_INCREMENT PRIMARY KEY",
  same = " <=> ",
  tells_row = true,
  tells_key = true,

  table_options = " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
  default_row = "() VALUES ()",
  most_parameters = 65535,

  explain = function(sql, analyze) return (analyze and "ANALYZE" or "EXPLAIN") .. " FORMAT=JSON " .. sql end,

  explained = function(rows)
    local _, text = next(rows[1])
    return text
  end,

  -- Whatever key was met comes here: another one than that which is meant must not change its row, nor one of another kind. A row that stays as it
  -- is counts like one that is new, so they are counted apart.
  upsert = function(w, conflict, update, key, counter, kinds)
    local first = update[1] or conflict[1] or key[1]
    w:say(" ON DUPLICATE KEY UPDATE "):name(first):say(" = ")
    local guarded = #conflict > 0 or #update == 0
    if guarded then w:say("if(") end
    if kinds then
      w:say("("):write(kinds):say(" OR ")
      fail(w, "another unique key", function() w:name(conflict[1]) end):say(" > 0) AND ")
    end
    if #conflict > 0 then
      w:say("(")
      for i, column in ipairs(conflict) do
        w:say(i > 1 and " AND " or ""):name(column):say(" = VALUES("):name(column):say(")")
      end
      w:say(" OR ")
      fail(w, "another unique key", function() w:name(conflict[1]) end):say(" > 0)")
    end
    if #update == 0 then
      w:say(#conflict > 0 and " AND " or ""):say("(@mp_ignored := coalesce(@mp_ignored, 0) + 1) > 0, "):name(first)
    else
      w:say(guarded and ", " or ""):say("VALUES("):name(first):say(")")
    end
    if guarded then w:say(", NULL)") end
    for i = 2, #update do
      w:say(", "):name(update[i]):say(" = VALUES("):name(update[i]):say(")")
    end
    if counter then counter() end
  end,

  ignored = {
    forget = "SELECT @mp_ignored := 0",
    count = "SELECT @mp_ignored",
    returned = function(w, column)
      w:say("if(@mp_ignored > 0 AND (@mp_ignored := 0) = 0, NULL, "):name(column):say(") AS "):name(column)
    end,
  },
}
