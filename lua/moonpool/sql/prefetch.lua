-- The SELECT of the rows that lead to many owners at once: those of a query set whose key of the owner is among given
-- ones; with a limit, so many for each owner. Where the rows do not have that key themselves, because a table between has
-- it, it comes as a last part of the columns; where a pair may be there several times (repeats), so may its row.

local compile = require "moonpool.sql.compile"
local known = require "moonpool.sql.known"
local node = require "moonpool.tree.node"
local relations = require "moonpool.resolve.relations"
local select_room = require "moonpool.sql.select"
local simplify = require "moonpool.sql.simplify"
local source = require "moonpool.resolve.source"
local statement = require "moonpool.sql.statement"
local template = require "moonpool.resolve.template"

local prefetch = {}

local function is_loaded(shape, fields)
  if not shape.loaded then return true end
  for _, field in ipairs(fields) do
    local found = false
    for _, one in ipairs(shape.loaded) do found = found or one == field end
    if not found then return false end
  end
  return true
end

-- The condition that the key is one of those in the slots behind `first`.
local function among(columns, first, count)
  local width, items = #columns, {}
  for i = 1, count do
    local key = {}
    for j, column in ipairs(columns) do key[j] = node.slot(first + (i - 1) * width + j, column.kind) end
    items[i] = width == 1 and key[1] or key
  end
  if width == 1 then return node.among(columns[1], items) end
  columns.op = "key"
  return { op = "among_keys", operand = columns, items = items, maybe = true }
end

local function key_order(scope)
  local items = {}
  for i, column in ipairs(select_room.key_columns(scope)) do items[i] = { expression = column.expression } end
  return items
end

-- Rows low + 1 .. high of each owner: numbered inside, cut outside, in the same order. repeats: a row may come several
-- times for one owner; it then has one number, and counts once.
local function write_cut(w, select, owner, low, high, repeats)
  local order = {}
  for i, item in ipairs(select.order or key_order(select.scope)) do
    order[i] = { expression = item.expression, descending = item.descending, nulls = item.nulls }
  end
  if repeats and select.order then
    for _, item in ipairs(key_order(select.scope)) do order[#order + 1] = item end
  end
  local count = #select.columns
  local place = "c" .. count + 1
  select.columns[count + 1] = { expression = { op = "row_number", partition = owner, order = order, ties = repeats, kind = "int" } }
  select.order = nil
  w:say("SELECT ")
  for i = 1, count do w:say(i > 1 and ", " or ""):name("c" .. i) end
  w:say(" FROM ("):select(select, { grouped_names = true }):say(") AS "):name("found")
  w:say(" WHERE "):name(place):say(" > "):slot(low)
  if high then w:say(" AND "):name(place):say(" <= "):slot(high) end
  select.columns[count + 1] = nil
  return w:say(" ORDER BY "):name(place)
end

local function compile_for(q, dialect, inverse, places)
  local shape = q.shape
  local select = select_room.build(shape, {})
  local scope = select.scope
  local link = inverse.over and source.between(scope.base, inverse) or scope.base
  local fields, owner = inverse.field:locals(), {}
  for i, field in ipairs(fields) do owner[i] = node.column(link, field, field.null) end
  local first, low, high = shape.count, nil, nil
  if q.top or q.skip then
    low, high = node.slot(first + 1, "int"), q.top and node.slot(first + 2, "int")
    first = first + 2
  end
  select.where = simplify.all { among(owner, first, places), select.where or node.true_ }
  local tells = inverse.over ~= nil or not is_loaded(shape, fields)
  if tells then
    for _, column in ipairs(owner) do select.columns[#select.columns + 1] = { expression = column } end
  end
  local plan = compile.plan(select, shape)
  local w = known.writer(dialect, scope)
  local repeats = inverse.over and not relations.is_unique_pair(inverse.field, inverse.over)
  if low then write_cut(w, select, owner, low, high, repeats) else w:select(select) end
  return statement.new(w, {
    access = "read", output = "objects", plan = plan, width = select.own - #shape.values,
    empty = known.is_empty(select), tells = tells, repeats = repeats,
  })
end

--- The statement and its parameters. Its `tells` says whether the owner's key comes as the last part of each row.
---@param q table  of the rows' entity; its limits are for each owner
---@param dialect table
---@param inverse table
---@param keys any[]  keys of owners, those of several columns as arrays; at least one
---@return moonpool.statement, any[] params, integer n
function prefetch.select(q, dialect, inverse, keys)
  local places, width = template.padded(#keys), #inverse.field:locals()
  local what = ("prefetch %s.%s %d %d"):format(inverse.model.name, inverse.field.name, known.limits_of(q), places)
  local found, statements = known.find(q, dialect, what)
  if not found then
    found = statement.keep(statements, what, compile_for(q, dialect, inverse, places))
  end
  local slots, count = {}, q.shape.count
  for i = 1, count do slots[i] = q.slots[i] end
  if q.top or q.skip then
    local skip = q.skip or 0
    slots[count + 1], slots[count + 2] = skip, q.top and skip + q.top or false
    count = count + 2
  end
  for i = 1, places do
    local key = keys[i] or keys[#keys]
    if width == 1 then
      slots[count + i] = key
    else
      for j = 1, width do slots[count + (i - 1) * width + j] = key[j] end
    end
  end
  return found, found:fill(slots, false, false)
end

return prefetch
