-- What update assigns, known by its form: plain values, and calculations with columns and plain values. A form that was
-- compiled before makes neither text nor templates: its values are checked, put in their places, and that is all.

local core = require "moonpool.core"
local tree_expression = require "moonpool.tree.expression"

local null, kind_of = core.null, core.kind_of
local is_expression = tree_expression.is
local getmetatable, ipairs, next, type = getmetatable, ipairs, next, type
local unpack = unpack or table.unpack

local assigned = {}

-- known[ASSIGNED][name][form]...[LEAF], in whatever order pairs gives the names, with what a query set has in `known`
-- beside. A path that says which entity it is of begins in another way than one that does not.
local ASSIGNED, LEAF, PLAIN, OF_MODEL = {}, {}, {}, {}
-- Names in another order are another form, and tables that came from elsewhere have theirs in any order.
local FORM_N, MOST_FORMS = {}, 200

-- Go on by the form of an expression, and add its values to the list. nil: it is of another sort, or not known.
local function follow(from, node, values)
  local op = node._op
  if op == "path" then
    local model = node._model
    if model then
      local of_model = from[OF_MODEL]
      from = of_model and of_model[model.name]
    else
      from = from[op]
    end
    return from and from[node._path]
  elseif op == "value" then
    local value = node.value
    if value == nil or value == null or type(value) == "table" then return nil end
    values[#values + 1] = value
    from = from[op]
    return from and from[kind_of(value)]
  elseif op == "binary" then
    from = from[node.operator]
    from = from and follow(from, node.left, values)
    return from and follow(from, node.right, values)
  end
  return nil
end

-- The same for one assignment.
local function follow_one(from, name, value, values)
  from = from[name]
  if not from then return nil end
  if type(value) ~= "table" then
    if value == null then return nil end
    values[#values + 1] = value
    return from[PLAIN]
  end
  return is_expression(value) and follow(from, value, values)
end

-- What is followed in place of what is known, to learn the way: each step leads to itself.
local function recorder(way)
  return setmetatable({}, { __index = function(self, key)
    way[#way + 1] = key
    return self
  end })
end

--- The statement of an update whose form is known, and its slots; nil where it is not, or a value is not taken.
---@return moonpool.statement?, any[]? slots
function assigned.find(q, dialect, values)
  local known, given = q.shape.known[ASSIGNED], {}
  if not known or q.top or q.skip or getmetatable(values) ~= nil then return nil end
  for name, value in next, values do
    known = follow_one(known, name, value, given)
    if not known then return nil end
  end
  local leaf = known[LEAF]
  local found = leaf and leaf.statements[dialect]
  if not found then return nil end
  -- in its size at once
  local slots, takes, fields, places = { unpack(q.slots, 1, leaf.room) }, found.takes, leaf.fields, leaf.places
  for i = 1, #given do
    local value, place, field = given[i], places[i], fields[i]
    if field then
      value = field:check(value)
      if value == nil then return nil end
    elseif takes[place] then
      value = takes[place]:convert(value)
    end
    slots[place] = value
  end
  return found, slots
end

--- Remember what such values were compiled to.
---@param list table[] the assignments: field, value, index of a plain value's slot, first slot of an expression's
function assigned.remember(q, dialect, values, list, found)
  if q.top or q.skip then return end
  local by_field = {}
  for _, one in ipairs(list) do by_field[one.field] = one end
  local forms = q.shape.known[ASSIGNED]
  if not forms or forms[FORM_N] >= MOST_FORMS then
    forms = { [FORM_N] = 0 }
    q.shape.known[ASSIGNED] = forms
  end
  forms[FORM_N] = forms[FORM_N] + 1
  local way, given, fields, places = {}, {}, {}, {}
  local record = recorder(way)
  for name, value in next, values do
    local before, one = #given, by_field[q.model:field(name)]
    if not one or not follow_one(record, name, value, given) then return end
    for i = before + 1, #given do
      fields[i] = one.is_value and one.field
      places[i] = (one.index or one.first) + i - before - 1
    end
  end
  local known = forms
  for _, key in ipairs(way) do
    known[key] = known[key] or {}
    known = known[key]
  end
  local leaf = known[LEAF]
  if not leaf then
    leaf = { fields = fields, places = places, room = q.shape.count + #given, statements = {} }
    known[LEAF] = leaf
  end
  leaf.statements[dialect] = found
end

return assigned
