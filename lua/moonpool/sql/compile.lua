-- Query sets to statements that read. Each is compiled once for its shape and dialect; for a known shape only the
-- values are bound. Single rows (get, insert, update and delete by key) are in moonpool.sql.row, update and
-- delete of query sets in moonpool.sql.change.

local change = require "moonpool.sql.change"
local core = require "moonpool.core"
local known = require "moonpool.sql.known"
local lock = require "moonpool.sql.lock"
local query = require "moonpool.sql.query"
local row = require "moonpool.sql.row"
local select_room = require "moonpool.sql.select"
local statement = require "moonpool.sql.statement"

local compile = {
  get = row.get,
  insert = row.insert,
  upsert = row.upsert,
  update_row = row.update_row,
  delete_row = row.delete_row,
  max_rows = row.max_rows,
  update = change.update,
  delete = change.delete,
  check_change = change.check,
}

local function layout_of(columns, first, last)
  local layout = { names = {}, kinds = {} }
  for i = first, last do
    local found = columns[i].expression
    local kind = found.op == "column" and found.field.kind or found.number or core.kind[found.kind]
    layout.names[#layout.names + 1] = columns[i].name or ""
    layout.kinds[#layout.kinds + 1] = kind or core.kind.null
  end
  return layout
end

-- Names and kinds of the columns; and of rows that hold those of relations too, the parts that they come in.
local function plan_of(select, shape)
  local columns = select.columns
  local plan = layout_of(columns, 1, select.own)
  if select.own == #columns then return plan end
  plan.layout, plan.width, plan.parts = layout_of(columns, 1, #columns), select.own, {}
  local first = select.own + 1
  for place, one in ipairs(shape.related or {}) do
    local last = first
    while columns[last + 1] and columns[last + 1].part == place do last = last + 1 end
    local key = one.step.model.key[1]
    local part = layout_of(columns, first, last)
    part.first, part.n, part.parent, part.name = first, last - first + 1, one.parent, one.step.name
    local field, inverse = one.step.field, one.step.inverse
    part.own = field and field:locals() or inverse.field:keys()
    part.back = inverse and inverse.field.name
    part.model, part.shared = one.step.model, #one.step.model.key == 1
    for i = first, last do
      if columns[i].expression.field == key then part.key = i end
    end
    plan.parts[place] = part
    first = last + 1
  end
  if first <= #columns then plan.parts[#plan.parts + 1] = { first = first, n = #columns - first + 1 } end
  return plan
end

--- The plan of a SELECT of objects. Columns behind those of the shape are a last part: an array in each row.
compile.plan = plan_of

local function compile_select(q, dialect)
  if q.shape.lock then lock.check(q.shape) end
  local select = known.build(q, { native = dialect.distinct_on })
  local w = known.writer(dialect, select.scope):select(select)
  local shape = q.shape
  return statement.new(w, {
    access = shape.lock and dialect.locks and "write" or "read", locks = shape.lock and true or false,
    output = shape.output, plan = plan_of(select, shape),
    width = select.own - #shape.values, empty = known.is_empty(select) and not (shape.group and #shape.group == 0),
  })
end

--- The rows of a query set, in the entity's own order unless there is another.
---@param q table
---@param dialect table
---@return moonpool.statement
function compile.select(q, dialect)
  local key = known.SELECT + known.limits_of(q)
  local found, statements = known.find(q, dialect, key)
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
    empty = known.is_empty(select),
  })
end

local function compile_count(q, dialect)
  local plain = select_room.is_plain(q.shape, q)
  local select
  if plain then
    select = known.build(q, { bare = true })
    select.columns = { { expression = { op = "aggregate", name = "count" } } }
    return one_column(known.writer(dialect, select.scope):select(select), "count", "int", select)
  end
  -- which rows there are does not depend on their order, but for what a limit keeps nothing
  select = known.build(q, { unordered = true })
  if not select.distinct then
    select.columns = select.group and select.columns or {}
  end
  local w = known.writer(dialect, select.scope)
  w:say("SELECT count(*) FROM ("):select(select, { grouped_names = true }):say(") AS "):name("found")
  return one_column(w, "count", "int", select)
end

--- How many rows: one column.
function compile.count(q, dialect)
  lock.refuse(q, "count")
  local key = known.COUNT + known.limits_of(q)
  local found, statements = known.find(q, dialect, key)
  if not found then
    found = compile_count(q, dialect)
    statements[key] = found
  end
  return found
end

--- Whether there is a row: one column, and a row if so.
function compile.exists(q, dialect)
  lock.refuse(q, "exists")
  local key = known.EXISTS + known.limits_of(q)
  local found, statements = known.find(q, dialect, key)
  if not found then
    local select = known.build(q, { bare = true })
    select.distinct = nil
    select.top = select.top or { literal = "1" }
    found = one_column(known.writer(dialect, select.scope):select(select), "exists", "int", select)
    statements[key] = found
  end
  return found
end

--- Aggregates over all rows of a query set: { n = mp.fn.count() }.
---@return moonpool.statement, any[] params, integer n
function compile.aggregate(q, dialect, aggregates)
  lock.refuse(q, "aggregate")
  local all = query.aggregated(q, aggregates)
  local found = compile.select(all, dialect)
  return found, found:bind(all)
end

return compile
