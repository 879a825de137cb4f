-- Conditions with their names resolved. A path through a relation to many means "has one that": it
-- becomes a sub-select, shared by the keys of one filter table that go through the same relation.

local errors = require "moonpool.errors"
local expression = require "moonpool.resolve.expression"
local key_room = require "moonpool.resolve.key"
local lookup = require "moonpool.lookup"
local node = require "moonpool.tree.node"
local path_room = require "moonpool.resolve.path"
local source = require "moonpool.resolve.source"

local condition = {}

-- Sub-selects of query sets are made by the room above, which knows query sets.
local select_of

--- fn(resolver, template) -> select: how a query set becomes a sub-select of one column.
function condition.set_select_of(fn) select_of = fn end

local COMPARABLE = { int = "number", float = "number", decimal = "number" }

local function check_kinds(left, right)
  local a, b = left.kind, right.kind
  if a == nil or b == nil or a == b then return end
  if COMPARABLE[a] and COMPARABLE[a] == COMPARABLE[b] then return end
  errors.raise("bad_argument", ("cannot compare a value of kind %s with one of kind %s"):format(a, b))
end

local function value_beside(resolver, template, left)
  local value = expression.beside(resolver, template, left)
  check_kinds(left, value)
  return value
end

local function build(resolver, entry, left, operand)
  local takes = entry.takes
  if left.op == "key" then
    local select = operand.query and select_of(resolver, operand.query, #left)
    return key_room.condition(entry.name, left, operand, function(value, column)
      return expression.beside(resolver, value, column)
    end, select)
  end
  if takes == "flag" then return entry.build(left, operand.value) end
  if takes == "pair" then
    return entry.build(left, value_beside(resolver, operand[1], left), (value_beside(resolver, operand[2], left)))
  end
  if takes == "list" then
    local list = { items = {}, has_null = operand.has_null }
    for i, item in ipairs(operand.items) do list.items[i] = value_beside(resolver, item, left) end
    if operand.query then
      list.select = select_of(resolver, operand.query)
      check_kinds(left, list.select.columns[1].expression)
    end
    return entry.build(left, list)
  end
  return entry.build(left, value_beside(resolver, operand, left))
end

-- books__isnull and books = NULL ask whether there is a row at all: none has a key that is NULL.
local function is_about_relation(one, followed)
  local steps = one.path.steps
  local last = followed + (steps[followed + 1].inverse.over and #steps > followed + 1 and 2 or 1)
  return one.path.whole and last == #steps
    and (one.entry.name == "isnull" or one.entry.name == "exact" and one.operand._op == "null")
end

-- entries: { path, entry, operand }, of which the first `done` steps were followed to `from`.
local function resolve_paths(resolver, entries, from, done)
  local items, relations, order = {}, {}, {}
  for _, one in ipairs(entries) do
    local at, followed = expression.follow(resolver, from, one.path, done)
    local step = one.path.steps[followed + 1]
    if step and is_about_relation(one, followed) then
      local any = node.has_row { scope = source.behind(at, step.inverse), columns = {}, where = node.true_ }
      items[#items + 1] = one.operand.value == false and any or node.negation(any)
    elseif not step then
      local entry = lookup.get(one.entry.name, one.path.field.kind_name, path_room.title_of(one.path.field))
      items[#items + 1] = build(resolver, entry, expression.column(at, one.path.field), one.operand)
    else
      local key = at.alias .. " " .. step.name
      local relation = relations[key]
      if not relation then
        relation = { at = at, step = step, followed = followed + 1, place = #items + 1 }
        relations[key] = relation
        order[#order + 1] = relation
        items[relation.place] = false
      end
      relation[#relation + 1] = one
    end
  end
  for _, relation in ipairs(order) do
    local scope = source.behind(relation.at, relation.step.inverse)
    local where = resolve_paths(resolver, relation, scope.base, relation.followed)
    items[relation.place] = node.has_row { scope = scope, columns = {}, where = where }
  end
  return node.joined("and", items)
end

-- The keys of one filter table. parts, when given, receives for each part whether it has an aggregate.
local function resolve_match(resolver, template)
  local entries, items = {}, {}
  for _, one in ipairs(template) do
    local meaning = one.meaning
    if meaning.annotation then
      local left = expression.resolve(resolver, meaning.annotation.template)
      items[#items + 1] = build(resolver, meaning.entry, left, one.operand)
    else
      entries[#entries + 1] = { path = meaning.path, entry = meaning.entry, operand = one.operand }
    end
  end
  if #entries > 0 then
    local paths = resolve_paths(resolver, entries, resolver.scope.base, 0)
    if paths.op == "and" then
      for i, item in ipairs(paths.items) do table.insert(items, i, item) end
    else
      table.insert(items, 1, paths)
    end
  end
  return node.joined("and", items)
end

local function resolve_lookup(resolver, template)
  local left = template.left
  if left._op == "path" and not expression.annotation_of(resolver, left) then
    local path = expression.path_of(resolver, left)
    local entry = lookup.get(template.name, path.field.kind_name, path_room.title_of(path.field))
    return resolve_paths(resolver, { { path = path, entry = entry, operand = template.operand } }, resolver.scope.base, 0)
  end
  local resolved = expression.resolve(resolver, left)
  local entry = lookup.get(template.name, resolved.kind, "an expression of kind " .. tostring(resolved.kind))
  return build(resolver, entry, resolved, template.operand)
end

--- The condition node of a template.
---@param resolver moonpool.resolver
---@param template table
function condition.resolve(resolver, template)
  local op = template._op
  if op == "match" then return resolve_match(resolver, template) end
  if op == "lookup" then return resolve_lookup(resolver, template) end
  if op == "no" then return node.negation(condition.resolve(resolver, template[1])) end
  local items = {}
  for i, item in ipairs(template) do items[i] = condition.resolve(resolver, item) end
  return node.joined(op == "all" and "and" or "or", items)
end

expression.resolve_condition = condition.resolve

return condition
