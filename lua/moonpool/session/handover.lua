-- Unique values that go from one row to another within a flush: from one that is deleted or changed to one that is new or
-- changed. Whoever gives such a value up is written before the inserts, which is not the usual order. Values that go round
-- in a circle, and those that a mark of a soft delete keeps, have no such order: the database refuses them.

local loading = require "moonpool.entity.loading"
local relation = require "moonpool.entity.relation"
local state = require "moonpool.entity.state"
local tables = require "moonpool.sql.table"

local handover = {}

local ipairs, pairs, getmetatable = ipairs, pairs, getmetatable
local unpack = unpack or table.unpack

local function model_of(object)
  return getmetatable(object).class.model
end

-- What the database holds of an object, as far as it was loaded.
local function row_of(object)
  local values, original, plan = {}, state.original(object), getmetatable(object).plan
  for place, name in ipairs(plan.names) do
    values[name] = original:value(place, plan)
  end
  return values
end

-- What is told apart by database, table, list of fields and value.
local function place_in(map, ...)
  for at = 1, select("#", ...) do
    local name = select(at, ...)
    map[name] = map[name] or {}
    map = map[name]
  end
  return map
end

local Plan = {}
Plan.__index = Plan

-- The lists of fields that are unique in the object's table, and the names of all of them.
function Plan:uniques(model)
  local found = self.uniques_of[model.base]
  if found == nil then
    found = { lists = tables.uniques(model), names = {} }
    for _, fields in ipairs(found.lists) do
      for _, field in ipairs(fields) do
        found.names[field.attribute] = true
      end
    end
    self.uniques_of[model.base] = found
  end
  return found
end

function Plan:row(object)
  self.rows[object] = self.rows[object] or row_of(object)
  return self.rows[object]
end

function Plan:may_give(object)
  local meta = getmetatable(object)
  local names = self:uniques(meta.class.model).names
  for _, place in ipairs(state.changed(object, meta.plan) or {}) do
    if names[meta.plan.names[place]] then
      return true
    end
  end
  return false
end

-- Values that the object holds in the database and will not hold after the flush.
function Plan:gives(object)
  local model, database = model_of(object), self.unit:database_of(object)
  local row = self:row(object)
  for at, fields in ipairs(self:uniques(model).lists) do
    local value = relation.key_of(row, fields)
    if value ~= nil and (self.is_gone[object] or relation.key_of(object, fields) ~= value) then
      place_in(self.given, database, model.table, at)[value] = object
      self.any = true
    end
  end
end

-- Those who give what the object wants.
function Plan:givers_for(object, database)
  local model, list = model_of(object), {}
  local given = self.given[database] and self.given[database][model.table]
  for at, fields in ipairs(given and self:uniques(model).lists or {}) do
    local value = given[at] and relation.key_of(object, fields)
    local giver = value ~= nil and given[at] and given[at][value]
    if giver and giver ~= object then
      list[#list + 1] = giver
    end
  end
  return list
end

-- Objects whose rows refer to others, by those: a row can be deleted when they have left it.
function Plan:referring()
  if self.referrers == nil then
    self.referrers = {}
    for _, object in ipairs(self.written) do
      for _, field in pairs(model_of(object).relations) do
        local key = relation.key_of(self:row(object), field:locals())
        if key ~= nil and (self.is_gone[object] or relation.key_of(object, field:locals()) ~= key) then
          table.insert(place_in(self.referrers, self.unit:database_of(object), field:target().table, key), object)
        end
      end
    end
  end
  return self.referrers
end

function Plan:all_first(objects)
  local ok = true
  for _, one in ipairs(objects) do
    ok = self:first(one) and ok
  end
  return ok
end

-- Whether the object can be written before the inserts, with what has to be written before it.
function Plan:first(object)
  local seen = self.seen[object]
  if seen ~= nil then
    return seen
  end
  self.seen[object] = false -- in a circle, until it turns out to be none
  local model, database, ok = model_of(object), self.unit:database_of(object), true
  if self.is_gone[object] then
    local of_database = self:referring()[database]
    local of_table = of_database and of_database[model.table]
    ok = self:all_first(of_table and of_table[relation.key_of(self:row(object), model.key)] or {})
  else
    for name in pairs(model.relations) do
      local other = state.pending(object, name)
      ok = ok and not (other and state.is_new(other)) -- whose key is not there yet
    end
    ok = self:all_first(self:givers_for(object, database)) and ok
  end
  self.seen[object] = ok
  if ok then
    self.steps[#self.steps + 1] = object
  end
  return ok
end

--- The lists of fields by which it is told whether a row must be deleted before others are written.
---@return table[][]
function handover.needs(model)
  local lists = { unpack(tables.uniques(model)) }
  for _, field in ipairs(model.references) do
    lists[#lists + 1] = field:locals()
  end
  return lists
end

--- The objects to be written before the new ones, in order; nil: none.
---@param new table[]
---@param gone table[] to be deleted
---@param groups { objects: table[] }[] the changed ones
---@return table[]?
function handover.steps(unit, new, gone, groups)
  if gone[1] == nil and groups[1] == nil or new[1] == nil and groups[1] == nil then
    return nil
  end
  local plan = setmetatable({
    unit = unit, given = {}, rows = {}, is_gone = {}, seen = {}, steps = {}, uniques_of = {}, written = {}, any = false,
  }, Plan)
  for _, object in ipairs(gone) do
    plan.written[#plan.written + 1] = object
    plan.is_gone[object] = true
    if model_of(object).deleted_field == nil then
      plan:gives(object)
    end
  end
  for _, group in ipairs(groups) do
    for _, object in ipairs(group.objects) do
      plan.written[#plan.written + 1] = object
      if plan:may_give(object) then
        plan:gives(object)
      end
    end
  end
  if not plan.any then
    return nil
  end
  for _, object in ipairs(new) do
    plan:all_first(plan:givers_for(object, loading.database_of(getmetatable(object).class)))
  end
  for _, group in ipairs(groups) do
    for _, object in ipairs(group.objects) do
      plan:all_first(plan:givers_for(object, group.database))
    end
  end
  return plan.steps[1] and plan.steps or nil
end

return handover
