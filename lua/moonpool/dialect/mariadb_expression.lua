-- MariaDB's spelling of casts, JSON, arrays, dates and functions. Given the parts of the dialect to fill: visit, calls, and how
-- an expression that must fail is written: the server itself answers with NULL or with a part of the text.

local errors = require "moonpool.errors"
local json_path = require "moonpool.dialect.json_path"
local texts = require "moonpool.dialect.text"
local vocabulary = require "moonpool.vocabulary"

local TEXT = " COLLATE utf8mb4_nopad_bin"

---@param visit table   by op of a node
---@param calls table   by name of a function
---@param fail function(w, what, write)
return function(visit, calls, fail)
  local function cast(w, node, type_name)
    return w:say("CAST("):write(node):say(" AS " .. type_name .. ")")
  end

  -- value unless it is outside what the function takes: then an error, as on the other databases.
  local function guarded(w, operand, outside, what, write)
    w:say("if("):operand(operand):say(outside .. ", ")
    fail(w, what, function() w:write(operand) end)
    w:say(", ")
    write()
    return w:say(")")
  end

  -- ---- casts ----

  local to = {}

  -- What a text must look like; REGEXP is false for NULL's sake only.
  local WHOLE = " NOT REGEXP '^ *[-+]?[0-9]{1,60} *$'"
  local NUMBER = " NOT REGEXP '^ *[-+]?([0-9]{1,34}([.][0-9]*)?|[.][0-9]+)([eE][-+]?[0-9]{1,3})? *$'"

  -- CAST cuts what does not fit into 64 bits in silence, DIV does not.
  local function whole(w, operand) w:say("("); cast(w, operand, "DECIMAL(65,0)"):say(" DIV 1)") end

  function to.int(w, node)
    local operand, from = node.operand, node.from
    if from == "text" then
      guarded(w, operand, WHOLE, "not a number", function() whole(w, operand) end)
    elseif from == "bool" then
      cast(w, operand, "SIGNED")
    else
      whole(w, operand)
    end
  end

  function to.float(w, node)
    if node.from ~= "text" then return cast(w, node.operand, "DOUBLE") end
    guarded(w, node.operand, NUMBER, "not a number", function() cast(w, node.operand, "DOUBLE") end)
  end

  function to.decimal(w, node)
    local type_name = ("DECIMAL(65,%d)"):format(node.scale or 0)
    if node.from ~= "text" then return cast(w, node.operand, type_name) end
    guarded(w, node.operand, NUMBER, "not a number", function() cast(w, node.operand, type_name) end)
  end

  function to.bool(w, node) w:say("("):operand(node.operand):say(" <> 0)") end

  function to.text(w, node)
    if node.from == "bool" then
      w:say("CASE "):operand(node.operand):say(" WHEN true THEN 'true' WHEN false THEN 'false' END")
    else
      cast(w, node.operand, "CHAR")
    end
    w:say(TEXT)
  end

  function to.date(w, node) w:say("date("):write(node.operand):say(")") end

  function to.datetime(w, node) cast(w, node.operand, "DATETIME(6)") end

  function visit.cast(w, node) to[node.kind](w, node) end

  -- ---- JSON ----

  local function quoted(key) return '"' .. key:gsub('[\\"]', "\\%0") .. '"' end

  local function extract(w, node)
    if node.op ~= "json" then return w:operand(node) end
    local operand = node.operand
    w:say("json_extract("):write(operand):say(", ")
    json_path.write(w, node, {
      quote = quoted,
      is_array = function(_, path)
        w:say("json_type(json_extract("):write(operand):say(", "):constant(path):say(")) = 'ARRAY'")
      end,
    })
    return w:say(")")
  end

  -- JSON's null is NULL.
  function visit.json(w, node)
    w:say("nullif("); extract(w, node):say(", 'null')")
  end

  local NUMBERS = " IN ('INTEGER', 'DOUBLE', 'DECIMAL')"
  local TYPES = {
    text = " = 'STRING'", bool = " = 'BOOLEAN'", int = NUMBERS, float = NUMBERS, decimal = NUMBERS,
  }

  local as = {}
  function as.text(w, node) w:say("json_unquote("); extract(w, node):say(")" .. TEXT) end
  function as.int(w, node) w:say("CAST("); extract(w, node):say(" AS DECIMAL(65,30))") end
  function as.float(w, node) w:say("CAST("); extract(w, node):say(" AS DOUBLE)") end
  function as.bool(w, node) extract(w, node):say(" = 'true'") end
  as.decimal = as.int

  function visit.json_as(w, node)
    w:say("CASE WHEN json_type("); extract(w, node.operand):say(")" .. TYPES[node.kind] .. " THEN ")
    as[node.kind](w, node.operand)
    w:say(" END")
  end

  function visit.json_rank(w, node)
    w:say("CASE json_type("); extract(w, node.operand)
    w:say(") WHEN 'BOOLEAN' THEN 1 WHEN 'INTEGER' THEN 2 WHEN 'DOUBLE' THEN 2 WHEN 'DECIMAL' THEN 2 WHEN 'STRING' THEN 3")
    w:say(" WHEN 'ARRAY' THEN 4 WHEN 'OBJECT' THEN 4 END")
  end

  local function path_of_key(key)
    if key:find "[%c\127]" then errors.raise("bad_argument", "has_key: control bytes in the key " .. vocabulary.quoted(key)) end
    return "$." .. quoted(key)
  end

  -- A path is about JSON that is there: of NULL it has no answer.
  function visit.json_has(w, node)
    if node.key.op ~= "slot" then errors.raise("unsupported", "has_key takes a text, not an expression") end
    w:say("json_contains_path("); extract(w, node.operand):say(", 'one', "):slot(node.key, path_of_key):say(")")
  end

  -- The server finds JSON equal to NULL.
  function visit.json_equal(w, left, right)
    w:say("("); extract(w, left):say(" IS NOT NULL AND json_equals("); extract(w, left):say(", "):write(right):say("))")
  end

  -- ---- arrays: JSON here ----

  function visit.array_match(w, node)
    w:say(node.how == "contains" and "json_contains(" or "json_overlaps("):write(node.operand):say(", "):write(node.items):say(")")
  end

  -- ---- dates and times ----

  local PARTS = {
    year = "year(", quarter = "quarter(", month = "month(", day = "dayofmonth(", week_day = "dayofweek(", hour = "hour(",
    minute = "minute(", second = "second(", date = "date(", len = "json_length(",
  }

  function visit.part(w, node)
    if node.name == "week" then
      w:say("week("):write(node.operand):say(", 3)")
    else
      w:say(PARTS[node.name]):write(node.operand):say(")")
    end
  end

  local truncated = {}
  function truncated.year(w, x) w:say("makedate(year("):write(x):say("), 1)") end
  function truncated.quarter(w, x)
    w:say("makedate(year("):write(x):say("), 1) + INTERVAL (quarter("):write(x):say(") - 1) * 3 MONTH")
  end
  function truncated.month(w, x)
    w:say("date("):write(x):say(") - INTERVAL (dayofmonth("):write(x):say(") - 1) DAY")
  end
  function truncated.week(w, x) w:say("date("):write(x):say(") - INTERVAL weekday("):write(x):say(") DAY") end
  function truncated.day(w, x) w:say("date("):write(x):say(")") end
  function truncated.hour(w, x) w:say("date_format("):write(x):say(", '%Y-%m-%d %H:00:00')") end
  function truncated.minute(w, x) w:say("date_format("):write(x):say(", '%Y-%m-%d %H:%i:00')") end
  function truncated.second(w, x) w:say("date_format("):write(x):say(", '%Y-%m-%d %H:%i:%s')") end

  function visit.truncated(w, node)
    w:say("CAST(")
    truncated[node.unit](w, node.operand)
    w:say(node.kind == "date" and " AS DATE)" or " AS DATETIME(6))")
  end

  -- Columns of intervals are text here; a value has its parts.
  local PARTS_OF = {
    { "MONTH", function(interval) return interval.months end },
    { "DAY", function(interval) return interval.days end },
    { "MICROSECOND", function(interval) return interval.microseconds end },
  }

  local function whole_days(interval) return interval.days + math.floor(interval.microseconds / 86400000000) end

  local function moved(w, node)
    local right, operator = node.right, " " .. node.operator .. " INTERVAL "
    w:operand(node.left)
    if right.kind == "int" then return w:say(operator):operand(right):say(" DAY") end
    if right.op ~= "slot" then
      errors.raise("unsupported", "a time that moves by an interval which is no value: MariaDB has no intervals in columns")
    end
    right = { index = right.index, kind = "int" }
    if node.kind == "date" then
      return w:say(operator):slot(right, PARTS_OF[1][2]):say(" MONTH" .. operator):slot(right, whole_days):say(" DAY")
    end
    for _, part in ipairs(PARTS_OF) do w:say(operator):slot(right, part[2]):say(" " .. part[1]) end
    return w
  end

  -- What is beyond the year 9999 is NULL to the server.
  local function checked_move(w, node)
    w:say("if("):operand(node.left):say(" IS NOT NULL AND ("); moved(w, node):say(") IS NULL, if(")
    fail(w, "out of range", function() w:write(node.left) end):say(" > 0, NULL, NULL), ")
    return moved(w, node):say(")")
  end

  function visit.temporal(w, node)
    local left, right = node.left, node.right
    if node.kind ~= "interval" then return checked_move(w, node) end
    if left.kind == "date" then
      w:say("concat('P', datediff("):write(left):say(", "):write(right):say("), 'D')")
    elseif left.kind == "time" then
      w:say("concat('PT', time_to_sec("):write(left):say(") - time_to_sec("):write(right):say("), 'S')")
    else
      w:say("concat('PT', CAST(timestampdiff(MICROSECOND, "):write(right):say(", "):write(left)
      w:say(") AS DECIMAL(30,6)) / 1000000, 'S')")
    end
  end

  function calls.now(w) w:say("now(6)") end
  function calls.current_date(w) w:say("utc_date()") end

  -- ---- numbers ----

  function calls.round(w, node)
    local x, digits = node.arguments[1], node.arguments[2]
    if node.kind == "int" then return w:write(x) end
    if node.kind == "decimal" then return w:say("round("):write(x):say((", %s)"):format(digits and digits.value or "0")) end
    -- a float of sixteen digits before the point has none behind it that could be rounded
    w:say("if(abs("):write(x):say(") < 1e16, CAST(round("); cast(w, x, "DECIMAL(65,30)")
    w:say((", %s) AS DOUBLE), "):format(digits and digits.value or "0")):write(x):say(")")
  end

  local function unchanged_of_int(name)
    return function(w, node)
      if node.kind == "int" then return w:write(node.arguments[1]) end
      w:say(name .. "("):write(node.arguments[1]):say(")")
    end
  end
  calls.floor, calls.ceil = unchanged_of_int "floor", unchanged_of_int "ceiling"

  function calls.sqrt(w, node)
    local x = node.arguments[1]
    guarded(w, x, " < 0", "out of domain", function() w:say("sqrt("):write(x):say(")") end)
  end

  local function ln(w, x)
    return guarded(w, x, " <= 0", "out of domain", function() w:say("ln("):write(x):say(")") end)
  end
  function calls.ln(w, node) ln(w, node.arguments[1]) end
  function calls.log(w, node)
    w:say("("); ln(w, node.arguments[2]):say(" / "); ln(w, node.arguments[1]):say(")")
  end

  calls.random = "rand"

  -- ---- texts ----

  function calls.strpos(w, node)
    w:say("locate("):write(node.arguments[2]):say(", "):write(node.arguments[1]):say(")")
  end

  function calls.substr(w, node)
    w:say("substr("):write(node.arguments[1])
    for i = 2, #node.arguments do
      local argument = node.arguments[i]
      w:say(", ")
      if argument.op == "slot" then w:write(argument) else w:say("greatest("):write(argument):say(i == 2 and ", 1)" or ", 0)") end
    end
    w:say(")")
  end

  -- ---- windows ----

  -- The server's own lag and lead take no default: whether there is a row at that distance is counted.
  local function neighbour(name)
    return function(w, node)
      local x, distance, default = node.arguments[1], node.arguments[2], node.arguments[3]
      if default then
        w:say("CASE WHEN row_number()"):over(node.over)
        if name == "lag" then
          w:say(" <= "):operand(distance)
        else
          w:say(" + "):operand(distance):say(" > count(*)"):over({ partition = node.over.partition, order = {} })
        end
        w:say(" THEN "):write(default):say(" ELSE ")
      end
      w:say(name .. "("):write(x)
      if distance then w:say(", "):write(distance) end
      w:say(")"):over(node.over)
      if default then w:say(" END") end
    end
  end
  -- The server's own have ten digits.
  local function part_of(w, node, count, less)
    local around = { partition = node.over.partition, order = {} }
    if less then w:say("CASE WHEN count(*)"):over(around):say(" = 1 THEN 0e0 ELSE ") end
    w:say("CAST(" .. count):over({ partition = node.over.partition, order = node.over.order })
    w:say((less or "") .. " AS DOUBLE) / " .. (less and "(" or "") .. "count(*)"):over(around)
    if less then w:say(less .. ") END") end
  end
  function calls.cume_dist(w, node) part_of(w, node, "count(*)") end
  function calls.percent_rank(w, node) part_of(w, node, "rank()", " - 1") end

  calls.lag, calls.lead = neighbour "lag", neighbour "lead"

  -- What a text is matched with where that is no literal, which could have its wildcards escaped.
  local found = {
    contains = function(w, text, part) w:say("locate("); part(w):say(", "); text(w):say(") > 0") end,
    starts = texts.found.starts,
    ends = texts.found.ends,
  }

  --- Writes how one text is found in another; text and part write themselves. False: a pattern is needed.
  return function(w, how, text, part)
    if not found[how] then return false end
    found[how](w, text, part)
    return true
  end
end
