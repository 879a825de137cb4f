-- MariaDB. Text columns compare by code point and with their trailing spaces (utf8mb4_nopad_bin).

local common = require "moonpool.dialect.common"
local pattern = require "moonpool.dialect.pattern"

local visit, calls = {}, {}

-- ---- arithmetic ----

function visit.arithmetic(w, node)
  local operator, kind = node.operator, node.kind
  if operator == ".." then
    w:say("concat("):list({ node.left, node.right }, "write"):say(")")
  elseif operator == "/" and kind == "float" then
    w:say("CAST("):write(node.left):say(" AS DOUBLE) / "):operand(node.right)
  elseif operator == "//" and kind == "int" then
    w:operand(node.left):say(" DIV "):operand(node.right)
  elseif operator == "//" then
    w:say("truncate("):operand(node.left):say(" / "):operand(node.right):say(", 0)")
  else
    w:operand(node.left):say(" " .. operator .. " "):operand(node.right)
  end
end

-- ---- aggregates ----

-- There is no FILTER: what does not fit becomes NULL, which aggregates leave out.
function visit.aggregate(w, node)
  w:say(node.name .. "(")
  if node.distinct then w:say("DISTINCT ") end
  if node.filter then w:say("CASE WHEN "):write(node.filter):say(" THEN ") end
  if not node.argument then
    w:say(node.filter and "1" or "*")
  elseif node.name == "avg" and node.kind == "float" then
    w:say("CAST("):write(node.argument):say(" AS DOUBLE)")
  else
    w:write(node.argument)
  end
  w:say(node.filter and " END)" or ")")
end

-- ---- text ----

local function folded(w, node, change)
  w:say("lower(")
  if node.op == "slot" then w:slot(node, change) else w:write(node) end
  return w:say(")")
end

local function plain(w, node, change)
  if node.op == "slot" then return w:slot(node, change) end
  return w:operand(node)
end

local function ignoring_case(text) return "(?i)" .. text end

function visit.text_match(w, node)
  local how, write = node.how, node.fold and folded or plain
  if how == "regex" then
    w:operand(node.operand):say(" REGEXP ")
    plain(w, node.text, node.fold and ignoring_case or nil)
    return
  end
  write(w, node.operand)
  if how == "equals" then
    w:say(" = ")
    write(w, node.text)
  else
    w:say(" LIKE ")
    write(w, node.text, pattern.for_like[how])
    w:say(" ESCAPE '!'")
  end
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

-- ---- the rest ----

local TEXT = " CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"

return common.dialect {
  name = "mariadb",
  quote = common.quoter "`",
  placeholder = function() return "?" end,
  visit = visit,
  calls = calls,

  differs = function(w, node)
    w:say("NOT ("):operand(node.left):say(" <=> "):operand(node.right):say(")")
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

  literal_true = "true",
  literal_false = "false",

  -- The server may read backslashes in literals, as its mode says: doubled they would be two in the
  -- other mode, so such a text is written by its bytes.
  literal_text = function(text)
    if not text:find("\\", 1, true) then return common.literal_text(text) end
    return "_utf8mb4 x'" .. text:gsub(".", function(c) return ("%02x"):format(c:byte()) end) .. "'"
  end,

  types = {
    id = "bigint",
    smallint = "smallint",
    integer = "int",
    bigint = "bigint",
    float = "double",
    decimal = function(field) return ("decimal(%d,%d)"):format(field.precision, field.scale) end,
    boolean = "tinyint(1)",
    string = function(field) return ("varchar(%d)"):format(field.max) .. TEXT end,
    text = "longtext" .. TEXT,
    binary = "longblob",
    date = "date",
    time = "time(6)",
    datetime = "datetime(6)",
    interval = "varchar(64)" .. TEXT,
    uuid = "uuid",
    json = "json",
    enum = "varchar(255)" .. TEXT,
  },

  generated_key = "bigint AUTO_INCREMENT PRIMARY KEY",

  table_options = " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
  default_row = "() VALUES ()",
  most_parameters = 65535,

  upsert = function(w, conflict, update)
    -- without anything to update, a column is set to itself: INSERT IGNORE would hide other errors
    w:say(" ON DUPLICATE KEY UPDATE ")
    if #update == 0 then return w:name(conflict[1]):say(" = "):name(conflict[1]) end
    for i, column in ipairs(update) do
      if i > 1 then w:say(", ") end
      w:name(column):say(" = VALUES("):name(column):say(")")
    end
  end,
}
