-- Writes the expressions of case, over, raw and the like: nodes by op, as in moonpool.sql.writer, which is handed to
-- each. Spelled the same on all databases, or by the dialect.

local errors = require "moonpool.errors"
local nodes = require "moonpool.tree.node"

local visit = { methods = {} }

local methods = visit.methods

-- ---- windows ----

local function write_bound(w, bound, word)
  if bound == "unbounded" then
    w:say("UNBOUNDED " .. word)
  elseif bound == "0" then
    w:say("CURRENT ROW")
  elseif bound:sub(1, 1) == "-" then
    w:say(bound:sub(2) .. " PRECEDING")
  else
    w:say(bound .. " FOLLOWING")
  end
end

--- OVER (...), or nothing. frame: instead of the window's own.
function methods.over(w, over, frame)
  if not over then return w end
  frame = frame or over.frame
  w:say(" OVER (")
  if #over.partition > 0 then w:say("PARTITION BY "):list(over.partition, "compared") end
  if #over.order > 0 then
    w:say(#over.partition > 0 and " ORDER BY " or "ORDER BY "):list(over.order, "order_item")
  end
  if frame then
    w:say((#over.partition + #over.order > 0 and " " or "") .. frame.unit:upper() .. " BETWEEN ")
    write_bound(w, frame.from, "PRECEDING")
    w:say(" AND ")
    write_bound(w, frame.to, "FOLLOWING")
  end
  return w:say(")")
end

function visit.window(w, node) w:write(node.inner) end

-- ---- JSON ----

-- The servers' own orders of JSON differ: here false, true, numbers, texts, anything else.
local ORDER = { "bool", "decimal", "text" }

--- An item of ORDER BY that is JSON.
function methods.json_order(w, item)
  local inner = item.expression
  local function key(expression)
    return { expression = expression, descending = item.descending, nulls = item.nulls }
  end
  w.dialect.order_item(w, key { op = "json_rank", operand = inner, kind = "int", null = true })
  for _, kind in ipairs(ORDER) do
    w.dialect.order_item(w:say(", "), key(nodes.json_as(inner, kind)))
  end
  return w
end

function visit.grouped(w, node) w:operand(node.operand) end

-- ---- conditions as values ----

function visit.truth(w, node)
  if node.condition.op == "true" or node.condition.op == "false" then
    w:say(node.condition.op == "true" and w.dialect.literal_true or w.dialect.literal_false)
  elseif node.condition.maybe then
    w:say("("):condition(node.condition):say(") IS TRUE")
  else
    w:condition(node.condition)
  end
end

function visit.case(w, node)
  w:say("CASE")
  for _, when in ipairs(node.whens) do
    w:say(" WHEN "):condition(when.condition):say(" THEN "):alone(when.value)
  end
  if node.default.op ~= "null" then w:say(" ELSE "):alone(node.default) end
  w:say(" END")
end

-- ---- what others wrote ----

function visit.raw(w, node)
  for i, piece in ipairs(node.pieces) do
    w:say(piece)
    local argument = node.arguments[i]
    if argument and argument.op == "slot" then
      w:alone(argument)
    elseif argument then
      w:operand(argument)
    end
  end
end

function visit.asked(w, node) w:say("("):write(node.operand):say(")") end

function visit.outer()
  errors.raise("bad_argument", "mp.outer names a column of the query around: this query set stands in none")
end

-- ---- numbers ----

-- The server widens by itself.
function visit.widened(w, node) w:operand(node.operand) end

return visit
