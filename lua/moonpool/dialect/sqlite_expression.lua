-- SQLite's spelling of casts, JSON, arrays, dates and functions. Given the parts of the dialect to fill: visit and calls. Dates
-- and times are ISO texts, of which parts are cut; what SQLite would calculate in another way is a function of the
-- backend's (mp_...).

local errors = require "moonpool.errors"
local json_path = require "moonpool.dialect.json_path"
local vocabulary = require "moonpool.vocabulary"

---@param visit table   by op of a node
---@param calls table   by name of a function
return function(visit, calls)
  local function call(w, name, ...)
    return w:say(name .. "("):list({ ... }, "write"):say(")")
  end

  -- ---- casts ----

  local to = {}

  function to.int(w, node)
    local operand, from = node.operand, node.from
    if from == "bool" then
      w:write(operand)
    elseif from == "text" then
      call(w, "mp_integer", operand)
    else
      w:say("mp_integer(mp_decimal_cast("):write(operand):say(", 0))")
    end
  end

  function to.float(w, node)
    if node.from == "text" then return call(w, "mp_real", node.operand) end
    w:say("CAST("):write(node.operand):say(" AS REAL)")
  end

  function to.decimal(w, node)
    if node.scale then
      w:say("mp_decimal_cast("):write(node.operand):say((", %d)"):format(node.scale))
    else
      w:say("CAST("):write(node.operand):say(" AS TEXT)")
    end
  end

  function to.bool(w, node) w:say("("):operand(node.operand):say(" <> 0)") end

  function to.text(w, node)
    if node.from == "bool" then
      w:say("CASE "):operand(node.operand):say(" WHEN 1 THEN 'true' WHEN 0 THEN 'false' END")
    else
      w:say("CAST("):write(node.operand):say(" AS TEXT)")
    end
  end

  function to.date(w, node) w:say("substr("):write(node.operand):say(", 1, 10)") end

  function to.datetime(w, node) w:say("("):operand(node.operand):say(" || ' 00:00:00')") end

  function visit.cast(w, node) to[node.kind](w, node) end

  function visit.widened(w, node)
    local operand = node.operand
    if node.kind == "decimal" then
      w:say("CAST("):write(operand):say(" AS TEXT)")
    else
      w:say("CAST("):write(operand):say(" AS REAL)")
    end
  end

  -- ---- JSON ----

  -- A path has no way to write a quote in a key.
  local function quoted(key)
    if key:find '[\\"]' then
      errors.raise("unsupported", ("SQLite has no paths to a key of JSON with a quote or a backslash in it: %s"):format(
        vocabulary.quoted(key)))
    end
    return '"' .. key .. '"'
  end

  local function path(w, node)
    json_path.write(w, node, {
      quote = quoted,
      is_array = function(_, parent)
        w:say("json_type("):write(node.operand):say(", "):constant(parent):say(") = 'array'")
      end,
    })
    return w
  end

  -- name(document, path), where the document is the node's or, where there is no path, the column.
  local function inside(w, node, name)
    if node.op ~= "json" then return w:say(name .. "("):write(node):say(", '$')") end
    w:say(name .. "("):write(node.operand):say(", ")
    return path(w, node):say(")")
  end

  local function extract(w, node)
    if node.op ~= "json" then return w:operand(node) end
    w:operand(node.operand):say(" -> ")
    return path(w, node)
  end

  -- JSON's null is NULL.
  function visit.json(w, node) w:say("nullif("); extract(w, node):say(", 'null')") end

  local NUMBERS = " IN ('integer', 'real')"
  local TYPES = { text = " = 'text'", int = NUMBERS, float = NUMBERS, decimal = NUMBERS }

  function visit.json_as(w, node)
    if node.kind == "bool" then
      w:say("CASE "); inside(w, node.operand, "json_type"):say(" WHEN 'true' THEN 1 WHEN 'false' THEN 0 END")
      return
    end
    w:say("CASE WHEN "); inside(w, node.operand, "json_type"):say(TYPES[node.kind] .. " THEN ")
    if node.kind == "decimal" then w:say("mp_decimal(") elseif node.kind == "float" then w:say("CAST(") end
    inside(w, node.operand, "json_extract")
    if node.kind == "decimal" then w:say(")") elseif node.kind == "float" then w:say(" AS REAL)") end
    w:say(" END")
  end

  function visit.json_rank(w, node)
    w:say("CASE "); inside(w, node.operand, "json_type")
    w:say(" WHEN 'false' THEN 1 WHEN 'true' THEN 1 WHEN 'integer' THEN 2 WHEN 'real' THEN 2 WHEN 'text' THEN 3")
    w:say(" WHEN 'array' THEN 4 WHEN 'object' THEN 4 END")
  end

  local function path_of_key(key)
    if key:find "[%c\127]" then errors.raise("bad_argument", "has_key: control bytes in the key " .. vocabulary.quoted(key)) end
    return "$." .. quoted(key)
  end

  function visit.json_has(w, node)
    if node.key.op ~= "slot" then errors.raise("unsupported", "has_key takes a text, not an expression") end
    w:say("json_type("); extract(w, node.operand):say(", "):slot(node.key, path_of_key):say(") IS NOT NULL")
  end

  local PARTS = "SELECT fullkey, CASE type WHEN 'integer' THEN 'real' ELSE type END, atom FROM json_tree("

  -- The same values at the same places, in whatever order: nothing in the one that is not in the other.
  function visit.json_equal(w, left, right)
    w:say("("); extract(w, left)
    w:say(" IS NOT NULL AND NOT EXISTS (" .. PARTS); extract(w, left):say(") EXCEPT " .. PARTS):write(right)
    w:say(")) AND NOT EXISTS (" .. PARTS):write(right):say(") EXCEPT " .. PARTS); extract(w, left):say(")))")
  end

  -- ---- arrays: JSON here ----

  local SAME = "h.atom = w.atom AND (h.type = w.type OR h.type IN ('integer', 'real') AND w.type IN ('integer', 'real'))"

  function visit.array_match(w, node)
    local all = node.how == "contains"
    if node.operand.null then w:operand(node.operand):say(" IS NOT NULL AND ") end
    w:say(all and "NOT EXISTS (SELECT 1 FROM json_each(" or "EXISTS (SELECT 1 FROM json_each("):write(node.items)
    w:say(all and ") AS w WHERE NOT EXISTS (" or ") AS w WHERE EXISTS (")
    w:say("SELECT 1 FROM json_each("):write(node.operand):say(") AS h WHERE " .. SAME .. "))")
  end

  -- ---- dates and times ----

  -- Where the parts of a text are: in a date, and in a time.
  local PLACES = { year = "1, 4", month = "6, 2", day = "9, 2", hour = 1, minute = 4, second = 7 }

  local function number(w, operand, place) w:say("CAST(substr("):write(operand):say(", " .. place .. ") AS INTEGER)") end

  function visit.part(w, node)
    local name, operand = node.name, node.operand
    local place = PLACES[name]
    if type(place) == "number" then
      number(w, operand, ("%d, 2"):format(operand.kind == "time" and place or place + 11))
    elseif place then
      number(w, operand, place)
    elseif name == "date" then
      w:say("substr("):write(operand):say(", 1, 10)")
    elseif name == "quarter" then
      w:say("(("); number(w, operand, "6, 2"); w:say(" + 2) / 3)")
    elseif name == "week_day" then
      w:say("(CAST(strftime('%w', "):write(operand):say(") AS INTEGER) + 1)")
    elseif name == "week" then -- of the Thursday in it, as ISO 8601 counts
      w:say("((CAST(strftime('%j', date("):write(operand):say(", '-3 days', 'weekday 4')) AS INTEGER) - 1) / 7 + 1)")
    else
      w:say("json_array_length("):write(operand):say(")")
    end
  end

  local truncated = {}
  local function cut(length, rest)
    return function(w, x) w:say("substr("):write(x):say((", 1, %d)"):format(length) .. (rest and " || '" .. rest .. "'" or "")) end
  end
  truncated.year, truncated.month, truncated.day = cut(4, "-01-01"), cut(7, "-01"), cut(10)
  truncated.hour, truncated.minute, truncated.second = cut(13, ":00:00"), cut(16, ":00"), cut(19)
  function truncated.quarter(w, x)
    w:say("substr("):write(x):say(", 1, 4) || printf('-%02d-01', (")
    number(w, x, "6, 2")
    w:say(" + 2) / 3 * 3 - 2)")
  end
  function truncated.week(w, x) w:say("date("):write(x):say(", '-6 days', 'weekday 1')") end

  local OF_A_DATE = { year = true, quarter = true, month = true, week = true, day = true }

  function visit.truncated(w, node)
    w:say("(")
    truncated[node.unit](w, node.operand)
    w:say(node.kind ~= "date" and OF_A_DATE[node.unit] and " || ' 00:00:00')" or ")")
  end

  function visit.temporal(w, node)
    if node.kind == "interval" then return call(w, "mp_time_between", node.right, node.left) end
    w:say("mp_time_move("):write(node.left):say(", "):write(node.right):say(node.operator == "-" and ", -1)" or ", 1)")
  end

  -- As datetimes are kept: without zeros at the end of the fraction.
  function calls.now(w) w:say("rtrim(rtrim(strftime('%Y-%m-%d %H:%M:%f', 'now'), '0'), '.')") end
  function calls.current_date(w) w:say("date('now')") end

  -- ---- numbers ----

  function calls.sign(w, node)
    local x = node.arguments[1]
    if x.kind == "decimal" then w:say("mp_decimal_cmp("):write(x):say(", 0)") else call(w, "sign", x) end
  end

  function calls.round(w, node)
    local x, digits = node.arguments[1], node.arguments[2]
    if node.kind == "int" then return w:write(x) end
    local tail = (", %s)"):format(digits and digits.value or "0")
    if node.kind == "decimal" then return w:say("mp_decimal_cast("):write(x):say(tail) end
    w:say("CAST(mp_decimal_cast("):write(x):say(tail .. " AS REAL)")
  end

  -- Of a decimal: cut, and moved by one where that was the wrong way.
  local function whole(name, wrong, change)
    return function(w, node)
      local x = node.arguments[1]
      if node.kind == "int" then return w:write(x) end
      if node.kind == "float" then return call(w, name, x) end
      w:say("CASE WHEN mp_decimal_cmp("):write(x):say(", mp_decimal_idiv("):write(x):say(", 1)) " .. wrong .. " 0 THEN ")
      w:say(change .. "(mp_decimal_idiv("):write(x):say(", 1), 1) ELSE mp_decimal_idiv("):write(x):say(", 1) END")
    end
  end
  calls.floor = whole("floor", "<", "mp_decimal_sub")
  calls.ceil = whole("ceil", ">", "mp_decimal_add")

  local function real(w, x) w:say("CAST("):write(x):say(" AS REAL)") end

  local function of_reals(name)
    return function(w, node)
      w:say(name .. "(")
      for i, argument in ipairs(node.arguments) do
        if i > 1 then w:say(", ") end
        real(w, argument)
      end
      w:say(")")
    end
  end
  calls.sqrt, calls.exp, calls.ln, calls.power = of_reals "mp_sqrt", of_reals "mp_exp", of_reals "mp_ln", of_reals "mp_power"

  function calls.log(w, node)
    w:say("mp_div(mp_ln("); real(w, node.arguments[2]); w:say("), mp_ln("); real(w, node.arguments[1]); w:say("))")
  end

  function calls.random(w) w:say("((random() >> 11) / 9007199254740992.0 + 0.5)") end

  local function extreme(name)
    return function(w, node)
      w:say(name .. "("):list(node.arguments, "compared"):say(")")
    end
  end
  calls.greatest, calls.least = extreme "max", extreme "min"

  -- ---- texts ----

  calls.strpos = "instr"

  function calls.substr(w, node)
    w:say("substr("):write(node.arguments[1])
    for i = 2, #node.arguments do
      local argument = node.arguments[i]
      w:say(", ")
      if argument.op == "slot" then w:write(argument) else w:say("max("):write(argument):say(i == 2 and ", 1)" or ", 0)") end
    end
    w:say(")")
  end

  -- What a text is matched with where that is no literal, which could have its wildcards escaped.
  local found = {
    starts = function(w, text, part)
      w:say("substr("); text(w):say(", 1, length("); part(w):say(")) = "); part(w)
    end,
    ends = function(w, text, part)
      w:say("length("); text(w):say(") >= length("); part(w):say(") AND substr("); text(w):say(", length("); text(w)
      w:say(") - length("); part(w):say(") + 1) = "); part(w)
    end,
  }

  --- Writes how one text is found in another; text and part write themselves. False: a pattern is needed.
  return function(w, how, text, part)
    if not found[how] then return false end
    w:say("(")
    found[how](w, text, part)
    w:say(")")
    return true
  end
end
