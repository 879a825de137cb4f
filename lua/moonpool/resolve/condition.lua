-- Conditions with their names resolved. A path through a relation to many means "has one that": it
-- becomes a sub-select, shared by the keys of one filter table that go through the same relation.

local errors = require "moonpool.errors"
local expression = require "moonpool.resolve.expression"
local key_room = require "moonpool.resolve.key"
local lookup = require "moonpool.lookup"
local node = require "moonpool.tree.node"
local part = require "moonpool.lookup.part"
local path_room = require "moonpool.resolve.path"
local source = require "moonpool.resolve.source"

require "moonpool.resolve.arithmetic"
require "moonpool.resolve.compound"

local condition = {}

local IN_JSON = { text = true, int = true, float = true, decimal = true, bool = true, json = true }
local COMPARABLE = { int = "number", float = "number", decimal = "number" }

local function check_kinds(left, right)
  local a, b = left.kind, right.kind
  if a == nil or b == nil or a == b then return end
  if COMPARABLE[a] and COMPARABLE[a] == COMPARABLE[b] then return end
  errors.raise("bad_argument", ("cannot compare a value of kind %s with one of kind %s"):format(a, b))
end

-- What is in JSON is read as the kind of the value that it is compared with; a table is compared as JSON.
local function json_beside(resolver, template, left, entry)
  local value
  if template._op == "slot" then
    local kind = template.given or template.kind
    if kind == "table" then kind = "json" end
    if not IN_JSON[kind] then
      errors.raise("bad_argument", ("JSON has no values of kind %s: compare it with a text, a number, a boolean or a table"):format(
        tostring(kind)))
    end
    if entry.kinds and not entry.kinds[kind] then
      errors.raise("bad_argument", ("the lookup %s takes a text, not a value of kind %s"):format(entry.name, kind))
    end
    if kind == "json" and not entry.equates then
      errors.raise("bad_argument", ("the lookup %s compares no tables"):format(entry.name))
    end
    value = expression.slot_of_kind(resolver, template, kind)
  else
    value = expression.resolve(resolver, template)
    if value.op == "null" then return value, left end
    if not IN_JSON[value.kind] or value.kind == "json" then
      errors.raise("bad_argument", ("%s is compared with JSON: say what that is, mp.cast(..., \"text\") for one"):format(
        expression.describe(value)))
    end
  end
  return value, value.kind == "json" and left or node.json_as(left, value.kind)
end

-- A value and what it is compared with.
local function value_beside(resolver, template, left, entry)
  if entry.operand then
    local value = template._op == "slot" and expression.slot_of_kind(resolver, template, entry.operand)
      or expression.resolve(resolver, template)
    check_kinds({ kind = entry.operand }, value)
    return value, left
  end
  if left.kind == "json" then return json_beside(resolver, template, left, entry) end
  local value = expression.beside(resolver, template, left)
  check_kinds(left, value)
  return value, left
end

-- Values in JSON are of several kinds: each kind is a list of its own.
local function among_json(resolver, entry, left, operand)
  local by_kind, order = {}, {}
  for _, item in ipairs(operand.items) do
    local value, as = value_beside(resolver, item, left, entry)
    local found = by_kind[value.kind]
    if not found then
      found = { left = as, items = {} }
      by_kind[value.kind] = found
      order[#order + 1] = found
    end
    found.items[#found.items + 1] = value
  end
  local either = {}
  for _, one in ipairs(order) do
    if one.left.kind == "json" then
      for _, item in ipairs(one.items) do either[#either + 1] = node.compare("=", one.left, item) end
    else
      either[#either + 1] = node.among(one.left, one.items)
    end
  end
  if operand.has_null then either[#either + 1] = node.is_null(left) end
  local any = node.joined("or", either)
  return entry.name == "not_in" and node.negation(any) or any
end

local function build_list(resolver, entry, left, operand)
  local list = { items = {}, has_null = operand.has_null }
  if operand.query then
    list.select = expression.select_of(resolver, operand.query, "in")
    local column = list.select.columns[1].expression
    if left.kind == "json" and column.kind ~= "json" then left = node.json_as(left, column.kind) end
    check_kinds(left, column)
    return entry.build(left, list)
  end
  if left.kind == "json" and not entry.operand then return among_json(resolver, entry, left, operand) end
  for i, item in ipairs(operand.items) do list.items[i] = value_beside(resolver, item, left, entry) end
  return entry.build(left, list)
end

local function build(resolver, entry, left, operand)
  local takes = entry.takes
  if left.op == "key" then
    local select = operand.query and expression.select_of(resolver, operand.query, "in", #left)
    return key_room.condition(entry.name, left, operand, function(value, column)
      return expression.beside(resolver, value, column)
    end, select)
  end
  if takes == "flag" then return entry.build(left, operand.value) end
  if takes == "list" then return build_list(resolver, entry, left, operand) end
  if takes == "pair" then
    local low, as = value_beside(resolver, operand[1], left, entry)
    local high, other = value_beside(resolver, operand[2], left, entry)
    if as.kind ~= other.kind and low.op ~= "null" and high.op ~= "null" then -- numbers of two kinds in JSON
      check_kinds(low, high)
      return node.joined("and", { node.compare(">=", as, low), node.compare("<=", other, high) })
    end
    return entry.build(as, low, high)
  end
  local value, as = value_beside(resolver, operand, left, entry)
  return entry.build(as, value)
end

-- books__isnull and books = NULL ask whether there is a row at all: none has a key that is NULL.
local function is_about_relation(one, followed)
  local steps = one.path.steps
  local last = followed + (steps[followed + 1].inverse.over and #steps > followed + 1 and 2 or 1)
  return one.path.whole and last == #steps
    and (one.entry.name == "isnull" or one.entry.name == "exact" and one.operand._op == "null")
end

-- Whether there is a row behind the relation. further: the step from the table between, where a row may be left out.
local function any_row(at, step, further)
  local scope, where = source.behind(at, step.inverse), node.true_
  if further then
    local rows = source.follow(scope.base, further)
    where = node.negation(node.is_null(node.column(rows, rows.model.key[1], rows.null)))
  end
  return node.has_row { scope = scope, columns = {}, where = where }
end

-- entries: { path, entry, operand }, of which the first `done` steps were followed to `from`.
local function resolve_paths(resolver, entries, from, done)
  local items, relations, order = {}, {}, {}
  for _, one in ipairs(entries) do
    local at, followed = expression.follow(resolver, from, one.path, done)
    local step = one.path.steps[followed + 1]
    if step and is_about_relation(one, followed) then
      local any = any_row(at, step, one.path.steps[followed + 2])
      items[#items + 1] = one.operand.value == false and any or node.negation(any)
    elseif not step then
      items[#items + 1] = build(resolver, one.entry, expression.at_end(at, one.path), one.operand)
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
      local left = expression.annotation(resolver, meaning.annotation)
      if meaning.keys then left = node.json(left, meaning.keys) end
      for _, name in ipairs(meaning.parts or {}) do left = node.part(left, name) end
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
    local kind = path.field.kind_name
    if path.parts then kind = part.kind(path.parts[#path.parts]) end
    local entry = lookup.get(template.name, kind, path_room.title_of(path.field))
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
  if op == "exists" then return node.has_row(expression.select_of(resolver, template.query, "exists")) end
  if op == "asked" then return node.asked(expression.resolve(resolver, template.operand)) end
  if op == "no" then return node.negation(condition.resolve(resolver, template[1])) end
  local items = {}
  for i, item in ipairs(template) do items[i] = condition.resolve(resolver, item) end
  return node.joined(op == "all" and "and" or "or", items)
end

expression.resolve_condition = condition.resolve

return condition
