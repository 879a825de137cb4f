-- UPDATE and DELETE of query sets. Rows that one WHERE cannot tell on every server (joins, limits, sub-selects of the
-- table that changes) are told by their keys.

local assigned_room = require "moonpool.sql.assigned"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local expression = require "moonpool.resolve.expression"
local key_values = require "moonpool.resolve.key"
local known = require "moonpool.sql.known"
local node = require "moonpool.tree.node"
local query = require "moonpool.sql.query"
local select_room = require "moonpool.sql.select"
local source = require "moonpool.resolve.source"
local statement = require "moonpool.sql.statement"
local template = require "moonpool.resolve.template"
local tree_condition = require "moonpool.tree.condition"
local tree_expression = require "moonpool.tree.expression"

local TOP, SKIP = statement.TOP, statement.SKIP

local change = {}

--- Raise where update, delete and the like may not go ahead.
function change.check(q, method)
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
  if q.top or q.skip or q.shape.from or q.shape.ctes or #select.scope.joins > 0 then return false end
  return dialect.name ~= "mariadb" or select.scope.names.count == 1
end

-- The query set whose rows a WHERE on the one table tells, and its SELECT without columns.
local function target_of(q, dialect)
  local select = known.build(q, { bare = true })
  if is_direct(q, select, dialect) then return q, select end
  local narrowed = query.narrowed(q)
  return narrowed, known.build(narrowed, { bare = true })
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
  local w = known.writer(dialect, select.scope, true)
  w:say("DELETE FROM "):table(q.model):where(select.where, select.scope)
  if target ~= q then bind_inner(w, q, target.shape.count) end
  return statement.new(w, { access = "write", output = "none", empty = known.is_empty(select) })
end

--- Delete the rows of a query set. Raises unfiltered.
function change.delete(q, dialect)
  change.check(q, "delete")
  local key = known.DELETE + known.limits_of(q)
  local found, statements = known.find(q, dialect, key)
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

-- A relation of several columns is assigned all of them.
local function read_key(field, value, read)
  if tree_expression.is(value) then
    errors.raise("bad_argument", ("%s has %d columns: an expression is assigned to one of them"):format(field:title(),
      #field.parts))
  end
  local parts = value ~= core.null and key_values.of(field, value)
  for i, part in ipairs(field.parts) do read(part, parts and parts[i] or value) end
end

-- Assignments in order of declaration: values checked, expressions left as they are.
local function read_assignments(model, values)
  if type(values) ~= "table" or getmetatable(values) ~= nil or next(values) == nil then
    errors.raise("bad_argument", "update takes a table with at least one field: update{ age = 3 }")
  end
  local list, bad = {}, nil
  local seen = {}
  local function read(field, value)
    if seen[field] then errors.raise("bad_argument", ("update gives %s twice"):format(field:title())) end
    seen[field] = true
    local one = { field = field, value = value }
    if tree_condition.is(value) then value = tree_expression.value(value) end
    if template.is_query(value) then
      errors.raise("bad_argument", ("update of %s with a query set: mp.subquery takes its first value"):format(field:title()))
    elseif tree_expression.is(value) then
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
  for name, value in pairs(values) do
    local field = model:field(name)
    if field.parts then read_key(field, value, read) else read(field, value) end
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
    template.say(walk, "set " .. one.field.name)
    if one.expression then
      one.first = walk.count + 1
      one.template = template.expression(walk, one.expression)
    elseif one.is_value then
      template.say(walk, "?")
      walk.count = walk.count + 1
      walk.values[walk.count] = one.value
      one.index = walk.count
    else
      template.say(walk, "null")
    end
  end
end

-- What a row is given. If it comes from rows that this one leads to, a sub-select joins them.
local function resolve_assigned(q, scope, tree, takes)
  local annotations, alone = q.shape.context.annotations, source.scope(q.model)
  expression.resolve(expression.resolver(alone, annotations, "rows", takes), tree)
  if #alone.joins == 0 then
    return expression.resolve(expression.resolver(scope, annotations, "rows", takes), tree)
  end
  local own = source.scope(q.model, scope, q.shape.deleted)
  local resolved = expression.resolve(expression.resolver(own, annotations, "rows", takes), tree)
  own.tie = { from = scope.base, on = {} }
  for i, field in ipairs(q.model.key) do own.tie.on[i] = { field, field } end
  return {
    op = "scalar", select = { scope = own, columns = { { expression = resolved } } }, kind = resolved.kind, null = true,
  }
end

-- Whether one of the expressions has a sub-select, which may be of the table that changes.
local function reads(assigned)
  for _, one in ipairs(assigned) do
    if select_room.any_node(one, function(tree) return tree.select ~= nil end) then return true end
  end
  return false
end

local function compile_update(q, dialect, list, takes)
  local target, select = target_of(q, dialect)
  local scope = select.scope
  -- the slots of assignments begin behind those of q, which a narrowed query set uses for its limits
  local shift = target.shape.count - q.shape.count
  local assigned = {}
  for i, one in ipairs(list) do
    if one.expression then
      assigned[i] = resolve_assigned(q, scope, one.template, takes)
      check_assigned(one.field, assigned[i])
    else
      assigned[i] = one.is_value and node.slot(one.index, one.field.kind_name) or node.null
    end
  end
  local w = known.writer(dialect, scope, true)
  w:say("UPDATE "):table(q.model):say(" SET ")
  for i, one in ipairs(list) do
    if i > 1 then w:say(", ") end
    w:name(one.field.column):say(" = ")
    if one.expression then dialect.assigned(w, one.field, assigned[i]) else w:write(assigned[i]) end
  end
  local set = #w.slots
  if dialect.changes_at_once and reads(assigned) then w:say(dialect.changes_at_once) end
  w:forget()
  w:where(select.where, select.scope)
  if shift > 0 then
    local where = { slots = {} }
    for i = set + 1, #w.slots do where.slots[#where.slots + 1] = w.slots[i] end
    bind_inner(where, q, target.shape.count)
  end
  return statement.new(w, { access = "write", output = "none", empty = known.is_empty(select), takes = takes })
end

--- Change columns of the rows of a query set. Raises unfiltered, bad_argument, validation.
---@return moonpool.statement, any[] params, integer n
function change.update(q, dialect, values)
  local again, known_slots = assigned_room.find(q, dialect, values)
  if again then return again, again:fill(known_slots) end
  local list = read_assignments(q.model, values)
  change.check(q, "update")
  local first = q.shape.count
  local slots = {}
  for i = 1, first do slots[i] = q.slots[i] end
  local walk = template.walk(q.shape.context, slots, first, false)
  walk_assignments(walk, list)
  local key = "update " .. known.limits_of(q) .. " " .. template.key(walk)
  local found, statements = known.find(q, dialect, key)
  if not found then
    walk_assignments(template.walk(q.shape.context, {}, first, true), list)
    found = statement.keep(statements, key, compile_update(q, dialect, list, {}))
  end
  for i = first + 1, walk.count do
    local take = found.takes[i]
    if take then slots[i] = take:convert(slots[i]) end
  end
  assigned_room.remember(q, dialect, values, list, found)
  return found, found:fill(slots, q.top, q.skip)
end

return change
