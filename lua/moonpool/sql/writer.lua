-- Writes resolved nodes as SQL. One visitor for all databases: a dialect overrides the few nodes that it
-- spells differently (dialect.visit). Values never come here: a slot becomes a placeholder, and
-- the statement remembers which slot and, where the dialect wants another text of it (a LIKE pattern), how.

local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"
local simplify = require "moonpool.sql.simplify"

local write_expression = require "moonpool.sql.write_expression"

local writer = {}

local Writer = {}
Writer.__index = Writer

for name, method in pairs(write_expression.methods) do Writer[name] = method end

local visit = {}

--- A writer for one statement. qualify: whether columns carry the name of their table. target: whether
--- the statement changes the table, which some servers do not let it read again.
function writer.new(dialect, qualify, target)
  return setmetatable({
    dialect = dialect, parts = {}, slots = {}, placed = dialect.reuses and {} or nil,
    constants = dialect.reuses and {} or nil, qualify = qualify, target = target,
    reads = {},
  }, Writer)
end

function Writer:say(text)
  local parts = self.parts
  parts[#parts + 1] = text
  return self
end

--- An identifier, quoted. The only way for a name into the text.
function Writer:name(name)
  return self:say(self.dialect.quote(name))
end

--- The name of a model's table, in its schema if it names one.
function Writer:table_name(model)
  local schema, dialect = model.schema, self.dialect
  if schema then
    if dialect.lacks_schemas then
      errors.raise("unsupported", ("%s: %s has no schemas: leave schema out there"):format(model.name, dialect.name))
    end
    self:name(schema):say(".")
  end
  return self:name(model.table)
end

--- A placeholder. change: what is bound instead of the value itself, if the dialect needs that.
function Writer:slot(node, change)
  change = change or node.change
  if node.literal then return self:say(node.literal) end
  local slots, placed = self.slots, self.placed
  local before = placed and placed[node.index]
  -- an expression that is grouped by must be the same in the columns, parameters included
  if before and slots[before].change == change then return self:say(self.dialect.placeholder(before)) end
  slots[#slots + 1] = { index = node.index, kind = node.kind, change = change }
  if placed then placed[node.index] = #slots end
  return self:say(self.dialect.placeholder(#slots))
end

--- What follows has slots of its own numbering: the same number is another value.
function Writer:forget()
  self.placed = self.placed and {}
end

--- A text of the statement itself that is no value of a query (a key of JSON): sent as a parameter all the same. The
--- same text is the same parameter where the dialect has that.
function Writer:constant(text)
  local slots, constants = self.slots, self.constants
  local before = constants and constants[text]
  if before then return self:say(self.dialect.placeholder(before)) end
  slots[#slots + 1] = { index = 0, kind = "text", change = function() return text end }
  if constants then constants[text] = #slots end
  return self:say(self.dialect.placeholder(#slots))
end

--- A condition as part of an expression.
function Writer:condition(node)
  return self:write(simplify.condition(node))
end

function Writer:sql() return table.concat(self.parts) end

--- Any node: expression or condition.
function Writer:write(node)
  local fn = self.dialect.visit[node.op] or visit[node.op] or write_expression[node.op]
  if not fn then errors.raise("internal", "nothing writes the node " .. tostring(node.op)) end
  fn(self, node)
  return self
end

local COMPOUND = {
  arithmetic = true, temporal = true, negate = true, truth = true, raw = true, ["and"] = true, ["or"] = true,
}

--- A node as part of another: in parentheses if it is made of several.
function Writer:operand(node)
  if COMPOUND[node.op] then return self:say("("):write(node):say(")") end
  return self:write(node)
end

--- An expression whose order or equality is asked: the dialect adds what makes it exact.
function Writer:compared(node)
  local compared = self.dialect.compared
  if compared then
    compared(self, node)
    return self
  end
  return self:operand(node)
end

--- An operand that is asked whether it is less or greater.
function Writer:ordered(node)
  local unordered = self.dialect.unordered
  if unordered and unordered[node.kind] then
    errors.raise("unsupported", ("%s cannot say which %s is greater: %s"):format(self.dialect.name, node.kind, unordered[node.kind]))
  end
  return self:compared(node)
end

--- A value as a column, an argument, or whatever else leaves its type open.
function Writer:alone(node)
  local alone = node.op == "slot" and self.dialect.alone
  if not alone then return self:write(node) end
  alone(self, node)
  return self
end

--- An operand that is compared with `other`.
function Writer:value(node, other)
  local beside = node.op == "slot" and self.dialect.beside
  if not beside then return self:operand(node) end
  beside(self, node, other)
  return self
end

function Writer:list(items, method, separator)
  for i, item in ipairs(items) do
    if i > 1 then self:say(separator or ", ") end
    self[method](self, item)
  end
  return self
end

-- ---- values ----

function visit.column(w, node)
  if w.qualify then w:name(node.source.alias):say(".") end
  w:name(node.field.column)
end

function visit.derived(w, node)
  if node.lost then
    errors.raise("bad_argument", ("%s is known in the definition of a table expression only, which joins its rows"):format(node.name))
  end
  if w.qualify then w:name(node.source.alias):say(".") end
  w:name(node.name)
end

function visit.slot(w, node) w:slot(node) end

function visit.constant(w, node) w:say(w.dialect.literal_text(node.text)) end

function visit.null(w) w:say("NULL") end

visit["true"] = function(w) w:say("1 = 1") end
visit["false"] = function(w) w:say("1 = 0") end

function visit.arithmetic(w, node)
  w:operand(node.left):say(" " .. node.operator .. " "):operand(node.right)
end

function visit.negate(w, node) w:say("-"):operand(node.operand) end

function visit.call(w, node)
  local spelled = w.dialect.calls[node.name]
  if type(spelled) == "function" then return spelled(w, node) end
  w:say(spelled or node.name):say("("):list(node.arguments, "alone"):say(")"):over(node.over)
end

-- The place of a row among those with the same values in `partition`.
function visit.row_number(w, node)
  w:say(node.ties and "dense_rank" or "row_number"):say("() OVER (PARTITION BY "):list(node.partition, "compared")
  w:say(" ORDER BY "):list(node.order, "order_item"):say(")")
end

-- A key of several columns.
function visit.key(w, node) w:say("("):list(node, "compared"):say(")") end

function visit.scalar(w, node) w:say("("):select(node.select):say(")") end

--- name(DISTINCT argument) FILTER (WHERE condition), for a function that the server calls `name`.
function Writer:aggregate(name, node)
  self:say(name):say("(")
  if node.distinct then self:say("DISTINCT ") end
  if node.argument then self:alone(node.argument) else self:say("*") end
  self:say(")")
  if node.filter then self:say(" FILTER (WHERE "):condition(node.filter):say(")") end
  return self:over(node.over)
end

function visit.aggregate(w, node) w:aggregate(node.name, node) end

-- ---- conditions ----

visit["and"] = function(w, node) w:list(node.items, "operand", " AND ") end
visit["or"] = function(w, node) w:list(node.items, "operand", " OR ") end

function visit.compare(w, node)
  w[node.operator == "=" and "compared" or "ordered"](w, node.left):say(" " .. node.operator .. " "):value(node.right, node.left)
end

-- Nothing beside it tells the type of a value that is asked whether it is NULL.
local function write_asked(w, node)
  if node.op == "slot" then return w:alone(node) end
  return w:operand(node)
end

function visit.is_null(w, node) write_asked(w, node.operand):say(" IS NULL") end

local function write_among(w, node, word)
  w:compared(node.operand):say(word)
  for i, item in ipairs(node.items) do
    if i > 1 then w:say(", ") end
    w:value(item, node.operand)
  end
  w:say(")")
end

function visit.among(w, node) write_among(w, node, " IN (") end

--- One key of several columns, beside those that it is compared with.
function Writer:key_values(columns, values)
  self:say("(")
  for i, value in ipairs(values) do
    if i > 1 then self:say(", ") end
    self:value(value, columns[i])
  end
  return self:say(")")
end

--- The keys of a list, separated.
function Writer:keys(columns, items)
  for i, values in ipairs(items) do
    if i > 1 then self:say(", ") end
    self:key_values(columns, values)
  end
  return self
end

function visit.among_keys(w, node)
  w:write(node.operand):say(" IN ("):keys(node.operand, node.items):say(")")
end

function visit.among_rows(w, node)
  w:compared(node.operand):say(" IN ("):select(node.select):say(")")
end

function visit.between(w, node)
  local operand = node.operand
  w:ordered(operand):say(" BETWEEN "):value(node.low, operand):say(" AND "):value(node.high, operand)
end

function visit.has_row(w, node)
  w:say("EXISTS ("):select(node.select):say(")")
end

-- The first row of each part, told by its key.
function visit.first_rows(w, node)
  local keys, select = node.keys, node.select
  if #keys > 1 then w:say("("):list(keys, "write"):say(")") else w:write(keys[1]) end
  w:say(" IN (SELECT ")
  for i = 1, #keys do w:say(i > 1 and ", " or ""):name("c" .. i) end
  w:say(" FROM ("):select(select, { grouped_names = true }):say(") AS "):name("found")
  w:say(" WHERE "):name("c" .. #keys + 1):say(" = 1)")
end

--- row_number() over parts.
function visit.place(w, node)
  w:say("row_number() OVER (PARTITION BY "):list(node.parts, "compared")
  w:say(" ORDER BY "):list(node.order, "order_item"):say(")")
end

local OPPOSITE = { ["="] = "<>", ["<"] = ">=", ["<="] = ">", [">"] = "<=", [">="] = "<" }

-- Denials, by what is denied, for those that read better than IS NOT TRUE.
local deny = {}

function deny.is_null(w, node) write_asked(w, node.operand):say(" IS NOT NULL") end

function deny.has_row(w, node) w:say("NOT "):write(node) end

-- Rows whose value is NULL belong to the rest, so a plain <> would lose them.
function deny.compare(w, node)
  if node.left.kind == "json" then return false end
  if not node.maybe then
    w[node.operator == "=" and "compared" or "ordered"](w, node.left):say(" " .. OPPOSITE[node.operator] .. " "):value(node.right, node.left)
  elseif node.operator == "=" and node.right.op == "slot" then
    w.dialect.differs(w, node)
  else
    return false
  end
end

function deny.among(w, node)
  if node.maybe then return false end
  write_among(w, node, " NOT IN (")
end

visit["not"] = function(w, node)
  local item = node.item
  if deny[item.op] and deny[item.op](w, item) ~= false then return end
  if item.maybe then
    w:say("("):write(item):say(") IS NOT TRUE")
  else
    w:say("NOT ("):write(item):say(")")
  end
end

-- ---- SELECT ----

-- Derived rows: one SELECT, or several and what joins them. A member with an order or limits of its own is enclosed.
local function write_rows(w, rows)
  for i, select in ipairs(rows) do
    if i > 1 then w:say(" " .. rows.operator .. " ") end
    if #rows > 1 and (select.order or select.top or select.skip or select.ctes) then
      w.dialect.member(w, select)
    else
      w:select(select)
    end
  end
end

-- The columns by which two tables belong together, in pairs.
local function write_equal(w, left, right, on)
  for i, pair in ipairs(on) do
    if i > 1 then w:say(" AND ") end
    w:name(left):say("."):name(pair[1].column):say(" = "):name(right):say("."):name(pair[2].column)
  end
end

--- A table whose rows the statement sees.
function Writer:table(model)
  self.reads[model.table] = true
  return self:table_name(model)
end

-- The rows of a table expression, which somebody has to have defined.
local function write_named(w, rows, model)
  local definition = w.defined and w.defined[rows.cte]
  if not definition then
    errors.raise("bad_argument", ("no table expression is called %s here: with_cte(%s, query set) says what it is"):format(
      vocabulary.quoted(rows.cte), vocabulary.quoted(rows.cte)))
  elseif definition.form ~= table.concat(rows.names, ",") or rows.whole and definition.model ~= model then
    errors.raise("bad_argument", ("the table expression %s has other columns than those it is asked for (%s)"):format(
      vocabulary.quoted(rows.cte), table.concat(rows.names, ", ")))
  end
  return w:name(rows.cte)
end

--- WITH and what it defines.
function Writer:with(select)
  self.defined = self.defined or {}
  self:say(select.is_recursive and "WITH RECURSIVE " or "WITH ")
  for i, one in ipairs(select.ctes) do
    if i > 1 then self:say(", ") end
    self.defined[one.name] = { form = table.concat(one.names, ","), model = one.model }
    self:name(one.name):say(" AS (")
    write_rows(self, one.rows)
    self:say(")")
  end
  return self:say(" ")
end

function Writer:from(scope)
  local base = scope.base
  self:say(" FROM ")
  if base.rows and base.rows.cte then
    write_named(self, base.rows, base.model):say(" AS "):name(base.alias)
  elseif base.rows then
    self:say("(")
    write_rows(self, base.rows)
    self:say(") AS "):name(base.alias)
  else
    self:table(base.model)
    if base.alias ~= base.model.table then self:say(" AS "):name(base.alias) end
  end
  for _, joined in ipairs(scope.joins) do
    self:say(joined.null and " LEFT JOIN " or " JOIN ")
    if joined.rows then write_named(self, joined.rows, joined.model) else self:table(joined.model) end
    if joined.alias ~= (joined.rows and joined.rows.cte or joined.model.table) then self:say(" AS "):name(joined.alias) end
    self:say(" ON ")
    write_equal(self, joined.alias, joined.from.alias, joined.on)
    if joined.standing then self:say(" AND "):operand(joined.standing) end
  end
  return self
end

-- The rows behind a relation are tied to the row that they are asked for.
local function write_tie(w, scope)
  write_equal(w, scope.base.alias, scope.tie.from.alias, scope.tie.on)
end

-- What stands beside other conditions with AND.
local function write_beside(w, condition)
  if condition.op == "and" then return w:write(condition) end
  return w:operand(condition)
end

--- WHERE, or nothing: what ties a scope to the one around it, what always holds of its rows, and a condition.
function Writer:where(where, scope)
  local tie, standing = scope.tie, scope.base.standing
  if not where and not tie and not standing then return self end
  self:say(" WHERE ")
  if tie then
    write_tie(self, scope)
    if standing or where then self:say(" AND ") end
  end
  if standing then
    write_beside(self, standing)
    if where then self:say(" AND ") end
  end
  if where then
    if tie or standing then self:operand(where) else self:write(where) end
  end
  return self
end

local function write_column(w, column, i, options)
  if options.grouped_names then
    w:alone(column.expression):say(" AS "):name("c" .. i)
  else
    w:alone(column.expression)
    local found = column.expression
    if column.named and not (found.op == "derived" and found.name == column.name) then w:say(" AS "):name(column.name) end
  end
end

-- A value is the same in all rows, and to some servers the place of a column.
local function write_order(w, order)
  local word = " ORDER BY "
  for _, item in ipairs(order) do
    if item.expression.op ~= "slot" then
      w:say(word):order_item(item)
      word = ", "
    end
  end
end

--- A whole SELECT. options.grouped_names: columns are called c1, c2 ..., for a table in FROM.
function Writer:select(select, options)
  if select.ctes then self:with(select) end
  self:say(select.distinct and "SELECT DISTINCT " or "SELECT ")
  if select.distinct_on then self:say("DISTINCT ON ("):list(select.distinct_on, "compared"):say(") ") end
  if #select.columns == 0 then self:say("1") end
  for i, column in ipairs(select.columns) do
    if i > 1 then self:say(", ") end
    write_column(self, column, i, options or {})
  end
  self:from(select.scope)
  self:where(select.where, select.scope)
  if select.group and #select.group > 0 then
    self:say(" GROUP BY "):list(select.group, self.dialect.grouped and "grouped" or "compared")
  end
  if select.having then self:say(" HAVING "):write(select.having) end
  if select.order then write_order(self, select.order) end
  self.dialect.limits(self, select.top, select.skip)
  if select.lock then self.dialect.lock(self, select) end
  return self
end

--- One item of GROUP BY, where a dialect spells it in its own way.
function Writer:grouped(node)
  self.dialect.grouped(self, node)
  return self
end

--- One item of ORDER BY. NULL comes first, and last with DESC, unless the item says otherwise.
function Writer:order_item(item)
  if item.expression.kind == "json" then return self:json_order(item) end
  self.dialect.order_item(self, item)
  return self
end

--- What an item of ORDER BY sorts by, without its direction.
function Writer:sort_key(item)
  if item.name then
    self.dialect.named_key(self, item)
    return self
  end
  return self:ordered(item.expression)
end

return writer
