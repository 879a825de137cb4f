-- Query sets to statements. Each is compiled once for its shape and dialect; for a known shape only the
-- values are bound. Single rows (get, insert, update and delete by key) are in moonpool.sql.row.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local expression = require "moonpool.resolve.expression"
local node = require "moonpool.tree.node"
local query = require "moonpool.sql.query"
local row = require "moonpool.sql.row"
local select_room = require "moonpool.sql.select"
local statement = require "moonpool.sql.statement"
local template = require "moonpool.resolve.template"
local tree_expression = require "moonpool.tree.expression"
local writer = require "moonpool.sql.writer"

local TOP, SKIP = statement.TOP, statement.SKIP

local compile = {
  get = row.get,
  insert = row.insert,
  upsert = row.upsert,
  update_row = row.update_row,
  delete_row = row.delete_row,
  max_rows = row.max_rows,
}

-- Statements of a shape are kept by purpose and by which limits there are.
local SELECT, COUNT, EXISTS, DELETE = 0, 4, 8, 12

local function limits_of(q)
  return (q.top and 1 or 0) + (q.skip and 2 or 0)
end

local function known(q, dialect, key)
  local statements = q.shape.statements[dialect]
  if not statements then
    statements = {}
    q.shape.statements[dialect] = statements
  end
  return statements[key], statements
end

local function build(q, options)
  options.top = q.top and TOP
  options.skip = q.skip and SKIP
  return select_room.build(q.shape, options)
end

local function plan_of(columns)
  local plan = { names = {}, kinds = {} }
  for i, column in ipairs(columns) do
    plan.names[i], plan.kinds[i] = column.name, core.kind[column.expression.kind] or core.kind.null
  end
  return plan
end

local function new_writer(dialect, scope, target)
  return writer.new(dialect, scope.names.count > 1, target)
end

local function is_empty(select)
  local where, having = select.where, select.having
  return where ~= nil and where.op == "false" or having ~= nil and having.op == "false" or false
end

-- ---- reading ----

local function compile_select(q, dialect)
  local select = build(q, {})
  local w = new_writer(dialect, select.scope):select(select)
  local shape = q.shape
  return statement.new(w, {
    access = "read", output = shape.output, plan = plan_of(select.columns),
    width = #select.columns - #shape.values, empty = is_empty(select) and not (shape.group and #shape.group == 0),
  })
end

--- The rows of a query set, in the entity's own order unless there is another.
---@param q table
---@param dialect table
---@return moonpool.statement
function compile.select(q, dialect)
  local key = SELECT + limits_of(q)
  local found, statements = known(q, dialect, key)
  if not found then
    found = compile_select(q, dialect)
    statements[key] = found
  end
  return found
end

--- One column of a query set: a name, or what stands after values.
---@param column string|table
function compile.pluck(q, dialect, column)
  return compile.select(query.methods.values_list(q, column), dialect)
end

local function one_column(w, name, kind, select)
  return statement.new(w, {
    access = "read", output = "rows", plan = { names = { name }, kinds = { core.kind[kind] } }, width = 0,
    empty = is_empty(select),
  })
end

local function compile_count(q, dialect)
  local plain = select_room.is_plain(q.shape, q)
  local select
  if plain then
    select = build(q, { bare = true })
    select.columns = { { expression = { op = "aggregate", name = "count" } } }
    return one_column(new_writer(dialect, select.scope):select(select), "count", "int", select)
  end
  -- which rows there are does not depend on their order, but for what a limit keeps nothing
  select = build(q, { unordered = true })
  if not select.distinct then
    select.columns = select.group and select.columns or {}
  end
  local w = new_writer(dialect, select.scope)
  w:say("SELECT count(*) FROM ("):select(select, { grouped_names = true }):say(") AS "):name("found")
  return one_column(w, "count", "int", select)
end

--- How many rows: one column.
function compile.count(q, dialect)
  local key = COUNT + limits_of(q)
  local found, statements = known(q, dialect, key)
  if not found then
    found = compile_count(q, dialect)
    statements[key] = found
  end
  return found
end

--- Whether there is a row: one column, and a row if so.
function compile.exists(q, dialect)
  local key = EXISTS + limits_of(q)
  local found, statements = known(q, dialect, key)
  if not found then
    local select = build(q, { bare = true })
    select.distinct = nil
    select.top = select.top or { literal = "1" }
    found = one_column(new_writer(dialect, select.scope):select(select), "exists", "int", select)
    statements[key] = found
  end
  return found
end

--- Aggregates over all rows of a query set: { n = mp.fn.count() }.
---@return moonpool.statement, any[] params, integer n
function compile.aggregate(q, dialect, aggregates)
  local all = query.aggregated(q.top and query.narrowed(q) or q.skip and query.narrowed(q) or q, aggregates)
  local found = compile.select(all, dialect)
  return found, found:bind(all)
end

-- ---- changing ----

local function need_condition(q, method)
  if not query.is_filtered(q) then
    errors.raise("unfiltered", ("%s of all rows of %s: narrow it with filter, or say all_rows() if all are meant"):format(
      method, q.model.name))
  end
  if q.shape.group or q.shape.output ~= "objects" then
    errors.raise("bad_argument", ("%s changes rows of %s, not groups or values"):format(method, q.model.name))
  end
end

-- Whether rows can be told by a WHERE on the one table. Sub-selects are left to the narrowed form on
-- servers that do not let a statement read what it changes.
local function is_direct(q, select, dialect)
  if q.top or q.skip or #select.scope.joins > 0 then return false end
  return dialect.name ~= "mariadb" or select.scope.names.count == 1
end

-- The query set whose rows a WHERE on the one table tells, and its SELECT without columns.
local function target_of(q, dialect)
  local select = build(q, { bare = true })
  if is_direct(q, select, dialect) then return q, select end
  local narrowed = query.narrowed(q)
  return narrowed, build(narrowed, { bare = true })
end

-- Slots of a narrowed query set are those of the one inside, then its limits.
local function bind_inner(w, q, count)
  for _, slot in ipairs(w.slots) do
    local beyond = slot.index - q.shape.count
    if slot.index > 0 and beyond > 0 and beyond <= count - q.shape.count then
      slot.index = (beyond == 1 and q.top) and TOP or SKIP
    end
  end
end

local function compile_delete(q, dialect)
  local target, select = target_of(q, dialect)
  local w = new_writer(dialect, select.scope, true)
  w:say("DELETE FROM "):name(q.model.table):where(select.where)
  if target ~= q then bind_inner(w, q, target.shape.count) end
  return statement.new(w, { access = "write", output = "none", empty = is_empty(select) })
end

--- Delete the rows of a query set. Raises unfiltered.
function compile.delete(q, dialect)
  need_condition(q, "delete")
  local key = DELETE + limits_of(q)
  local found, statements = known(q, dialect, key)
  if not found then
    found = compile_delete(q, dialect)
    statements[key] = found
  end
  return found
end

-- What may be assigned to a column of a kind, beside its own.
local WIDENS = { float = { int = true, decimal = true }, decimal = { int = true } }

local function check_assigned(field, resolved)
  local kind, given = field.kind_name, resolved.kind
  if resolved.op == "null" then return end
  if given and given ~= kind and not (WIDENS[kind] and WIDENS[kind][given]) then
    local way_out = kind == "int" and given == "float" and " (// cuts)" or ""
    errors.raise("bad_argument", ("%s is of kind %s, the expression gives %s%s"):format(field:title(), kind, given, way_out))
  end
end

-- Assignments in order of declaration: values checked, expressions left as they are.
local function read_assignments(model, values)
  if type(values) ~= "table" or getmetatable(values) ~= nil or next(values) == nil then
    errors.raise("bad_argument", "update takes a table with at least one field: update{ age = 3 }")
  end
  local list, bad = {}, nil
  local seen = {}
  for name, value in pairs(values) do
    local field = model:field(name)
    if seen[field] then errors.raise("bad_argument", ("update gives %s twice"):format(field:title())) end
    seen[field] = true
    local one = { field = field, value = value }
    if tree_expression.is(value) then
      one.expression = value
    else
      local taken, why = field:check(value)
      if why then
        bad = bad or {}
        bad[field.name] = why
      elseif taken ~= nil then
        one.value, one.is_value = taken, true
      end
    end
    list[#list + 1] = one
  end
  table.sort(list, function(a, b) return a.field.position < b.field.position end)
  if bad then
    local texts = {}
    for _, one in ipairs(list) do
      local name = one.field.name
      if bad[name] then texts[#texts + 1] = name .. " " .. bad[name] end
    end
    errors.raise("validation", model.name .. ": " .. table.concat(texts, "; "), { errors = bad })
  end
  return list
end

local function walk_assignments(walk, list)
  for _, one in ipairs(list) do
    walk.tokens[#walk.tokens + 1] = "set " .. one.field.name
    if one.expression then
      one.template = template.expression(walk, one.expression)
    elseif one.is_value then
      walk.tokens[#walk.tokens + 1] = "?"
      walk.count = walk.count + 1
      walk.values[walk.count] = one.value
      one.index = walk.count
    else
      walk.tokens[#walk.tokens + 1] = "null"
    end
  end
end

local function compile_update(q, dialect, list, takes)
  local target, select = target_of(q, dialect)
  local scope = select.scope
  -- the slots of assignments begin behind those of q, which a narrowed query set uses for its limits
  local shift = target.shape.count - q.shape.count
  local resolver = expression.resolver(scope, {}, "rows", takes)
  local assigned, joins = {}, #scope.joins
  for i, one in ipairs(list) do
    if one.expression then
      assigned[i] = expression.resolve(resolver, one.template)
      check_assigned(one.field, assigned[i])
    else
      assigned[i] = one.is_value and node.slot(one.index, one.field.kind_name) or node.null
    end
  end
  if #scope.joins > joins then
    errors.raise("unsupported", "an update of " .. q.model.name .. " from another table is not built yet")
  end
  local w = new_writer(dialect, scope, true)
  w:say("UPDATE "):name(q.model.table):say(" SET ")
  for i, one in ipairs(list) do
    if i > 1 then w:say(", ") end
    w:name(one.field.column):say(" = ")
    if one.expression then dialect.assigned(w, one.field, assigned[i]) else w:write(assigned[i]) end
  end
  local set = #w.slots
  w:forget()
  w:where(select.where)
  if shift > 0 then
    local where = { slots = {} }
    for i = set + 1, #w.slots do where.slots[#where.slots + 1] = w.slots[i] end
    bind_inner(where, q, target.shape.count)
  end
  return statement.new(w, { access = "write", output = "none", empty = is_empty(select), takes = takes })
end

--- Change columns of the rows of a query set. Raises unfiltered, bad_argument, validation.
---@return moonpool.statement, any[] params, integer n
function compile.update(q, dialect, values)
  local list = read_assignments(q.model, values)
  need_condition(q, "update")
  local first = q.shape.count
  local slots = {}
  for i = 1, first do slots[i] = q.slots[i] end
  local walk = template.walk(q.shape.context, slots, first, false)
  walk_assignments(walk, list)
  local key = "update " .. limits_of(q) .. " " .. template.key(walk)
  local found, statements = known(q, dialect, key)
  if not found then
    walk_assignments(template.walk(q.shape.context, {}, first, true), list)
    found = compile_update(q, dialect, list, {})
    statements[key] = found
  end
  for i = first + 1, walk.count do
    local take = found.takes[i]
    if take then slots[i] = take:convert(slots[i]) end
  end
  return found, found:fill(slots, q.top, q.skip)
end

return compile
