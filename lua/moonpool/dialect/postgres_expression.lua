-- PostgreSQL's spelling of casts, JSON, arrays, dates and functions. Given the parts of the dialect to fill: visit, calls, and
-- how a parameter says its type.

local texts = require "moonpool.dialect.text"

local TEXT = ' COLLATE "C"'

---@param visit table   by op of a node
---@param calls table   by name of a function
---@param alone function  writes a parameter with its type
return function(visit, calls, alone)
  local function value(w, node)
    if node.op == "slot" then return alone(w, node) end
    return w:write(node)
  end

  local function cast(w, node, type_name)
    w:say("CAST(")
    return value(w, node):say(" AS " .. type_name .. ")")
  end

  -- A float by the digits that it prints: as numeric it would have fifteen at most.
  local function exact(w, node)
    if node.kind == "float" then return cast(w, { op = "cast", from = "float", kind = "text", operand = node }, "numeric") end
    return value(w, node)
  end

  -- ---- casts ----

  local function utc(w, node)
    w:operand(node)
    if node.kind == "datetime" then w:say(" AT TIME ZONE 'UTC'") end
    return w
  end

  local to = {}

  function to.int(w, node)
    local operand, from = node.operand, node.from
    if from == "bool" then
      w:say("CAST("); cast(w, operand, "integer"):say(" AS bigint)")
    elseif from == "float" or from == "decimal" or from == "json" then
      w:say("CAST(round("); exact(w, operand):say(") AS bigint)")
    else
      cast(w, operand, "bigint")
    end
  end

  function to.float(w, node) cast(w, node.operand, "double precision") end

  function to.decimal(w, node)
    w:say("CAST("); exact(w, node.operand):say(" AS numeric" .. (node.scale and ("(65,%d)"):format(node.scale) or "") .. ")")
  end

  function to.bool(w, node) w:say("("):operand(node.operand):say(" <> 0)") end

  function to.text(w, node)
    if node.from == "date" then
      w:say("to_char("); value(w, node.operand):say(", 'YYYY-MM-DD')")
    else
      cast(w, node.operand, "text")
    end
    if node.from ~= "float" then w:say(TEXT) end
  end

  function to.date(w, node) w:say("CAST("); utc(w, node.operand):say(" AS date)") end

  function to.datetime(w, node) w:say("("); cast(w, node.operand, "timestamp"):say(" AT TIME ZONE 'UTC')") end

  function visit.cast(w, node) to[node.kind](w, node) end

  -- ---- JSON ----

  local function inside(w, node)
    if node.op ~= "json" then return w:operand(node) end
    w:operand(node.operand):say(" #> ARRAY[")
    for i, key in ipairs(node.keys) do
      if i > 1 then w:say(", ") end
      w:constant(key)
    end
    return w:say("]::text[]")
  end

  -- JSON's null is NULL.
  function visit.json(w, node)
    w:say("nullif("); inside(w, node):say(", 'null'::jsonb)")
  end

  local TYPE = { text = "string", int = "number", float = "number", decimal = "number", bool = "boolean" }
  local AS = { int = "::numeric", float = "::double precision", decimal = "::numeric", bool = "::boolean" }

  function visit.json_as(w, node)
    w:say("CASE WHEN jsonb_typeof("); inside(w, node.operand):say(") = '" .. TYPE[node.kind] .. "' THEN (")
    inside(w, node.operand):say(")" .. (AS[node.kind] or " #>> '{}'" .. TEXT) .. " END")
  end

  function visit.json_rank(w, node)
    w:say("CASE jsonb_typeof("); inside(w, node.operand)
    w:say(") WHEN 'boolean' THEN 1 WHEN 'number' THEN 2 WHEN 'string' THEN 3 WHEN 'array' THEN 4 WHEN 'object' THEN 4 END")
  end

  function visit.json_has(w, node)
    w:say("("); inside(w, node.operand):say(") -> "); value(w, node.key):say(" IS NOT NULL")
  end

  -- ---- arrays ----

  local function items(w, node, field)
    if node.op ~= "slot" then return w:operand(node) end
    local type_name = w.dialect.column_type(field.of):gsub(" COLLATE .*$", ""):gsub("%b()", "")
    return w:slot(node):say("::" .. type_name .. "[]")
  end

  function visit.array_match(w, node)
    w:operand(node.operand):say(node.how == "contains" and " @> " or " && ")
    items(w, node.items, node.operand.field)
  end

  -- ---- dates and times ----

  function visit.part(w, node)
    local name, operand = node.name, node.operand
    if name == "len" then
      w:say("cardinality("):write(operand):say(")")
    elseif name == "date" then
      w:say("CAST("); utc(w, operand):say(" AS date)")
    elseif name == "second" then
      w:say("CAST(floor(extract(second FROM "); utc(w, operand):say(")) AS bigint)")
    elseif name == "week_day" then
      w:say("(CAST(extract(dow FROM "); utc(w, operand):say(") AS bigint) + 1)")
    else
      w:say("CAST(extract(" .. name .. " FROM "); utc(w, operand):say(") AS bigint)")
    end
  end

  function visit.truncated(w, node)
    local operand = node.operand
    if node.kind == "date" then
      w:say("CAST(date_trunc('" .. node.unit .. "', "); cast(w, operand, "timestamp"):say(") AS date)")
    else
      w:say("date_trunc('" .. node.unit .. "', "); value(w, operand):say(node.kind == "datetime" and ", 'UTC')" or ")")
    end
  end

  local function moved(w, node)
    local left, right, operator = node.left, node.right, " " .. node.operator .. " "
    if right.kind == "int" then
      value(w, left):say(operator)
      return cast(w, right, "integer")
    elseif node.kind == "datetime" then
      w:say("("):operand(left):say(" AT TIME ZONE 'UTC'" .. operator)
      return value(w, right):say(") AT TIME ZONE 'UTC'")
    elseif node.kind == "date" then
      w:say("CAST("); value(w, left):say(operator)
      return value(w, right):say(" AS date)")
    end
    value(w, left):say(operator)
    return value(w, right)
  end

  -- A difference of times is a number of seconds, never of days: as the values of Lua.
  function visit.temporal(w, node)
    if node.kind ~= "interval" then return moved(w, node) end
    local days = node.left.kind == "date"
    w:say(days and "make_interval(days => " or "CAST(extract(epoch FROM ")
    value(w, node.left):say(" - ")
    value(w, node.right):say(days and ")" or ") || ' seconds' AS interval)")
  end

  calls.now = function(w) w:say("statement_timestamp()") end
  calls.current_date = function(w) w:say("CAST(statement_timestamp() AT TIME ZONE 'UTC' AS date)") end

  -- ---- numbers ----

  function calls.sign(w, node) w:say("CAST(sign("); value(w, node.arguments[1]):say(") AS bigint)") end

  function calls.round(w, node)
    local x, digits = node.arguments[1], node.arguments[2]
    if node.kind == "int" then return value(w, x) end
    local tail = digits and ", " .. digits.value .. ")" or ")"
    if node.kind == "float" then
      w:say("CAST(round("); exact(w, x):say(tail .. " AS double precision)")
    else
      w:say("round("); value(w, x):say(tail)
    end
  end

  local function unchanged_of_int(name)
    return function(w, node)
      if node.kind == "int" then return value(w, node.arguments[1]) end
      w:say(name .. "("); value(w, node.arguments[1]):say(")")
    end
  end
  calls.floor, calls.ceil = unchanged_of_int "floor", unchanged_of_int "ceil"

  local function of_floats(name)
    return function(w, node)
      w:say(name .. "(")
      for i, argument in ipairs(node.arguments) do
        if i > 1 then w:say(", ") end
        cast(w, argument, "double precision")
      end
      w:say(")")
    end
  end
  calls.sqrt, calls.exp, calls.ln, calls.power = of_floats "sqrt", of_floats "exp", of_floats "ln", of_floats "power"

  function calls.log(w, node)
    w:say("(ln("); cast(w, node.arguments[2], "double precision"):say(") / ln(")
    cast(w, node.arguments[1], "double precision"):say("))")
  end

  -- The server's own leave NULL out.
  local function extreme(name)
    return function(w, node)
      local nulls = {}
      for _, argument in ipairs(node.arguments) do
        if argument.null then nulls[#nulls + 1] = argument end
      end
      if #nulls > 0 then w:say("CASE WHEN NOT (") end
      for i, argument in ipairs(nulls) do w:say(i > 1 and " OR " or ""):operand(argument):say(" IS NULL") end
      if #nulls > 0 then w:say(") THEN ") end
      w:say(name .. "("):list(node.arguments, "alone"):say(")")
      if #nulls > 0 then w:say(" END") end
    end
  end
  calls.greatest, calls.least = extreme "greatest", extreme "least"

  -- ---- texts ----

  calls.trim = "btrim"

  function calls.substr(w, node)
    w:say("substr("); value(w, node.arguments[1])
    for i = 2, #node.arguments do
      local argument = node.arguments[i]
      local least = i == 2 and "1" or "0"
      w:say(", ")
      if argument.op == "slot" then
        w:slot(argument):say("::integer")
      else -- greatest(NULL, 1) would be 1
        w:say("CASE WHEN "):operand(argument):say(" < " .. least .. " THEN " .. least .. " ELSE ")
        cast(w, argument, "integer"):say(" END")
      end
    end
    w:say(")")
  end

  -- What a text is matched with where that is no literal, which could have its wildcards escaped.
  local found = {
    contains = function(w, text, part)
      w:say("strpos("); text(w):say(", "); part(w):say(") > 0")
    end,
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
