-- Reading the row of an object again, and the columns that its query left out: those when they are touched, for all
-- objects of the same result at once.

local core = require "moonpool.core"
local class_room = require "moonpool.entity.class"
local errors = require "moonpool.errors"
local loading = require "moonpool.entity.loading"
local relation = require "moonpool.entity.relation"
local row = require "moonpool.sql.row"
local runtime = require "moonpool.runtime"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"
local updating = require "moonpool.entity.updating"

local rereading = {}

local getmetatable, rawget, rawset, ipairs = getmetatable, rawget, rawset, ipairs
local run = statement.run

-- These columns of the object's row, deleted or not.
local function read(self, class, database, names)
  local st = row.read(class.model, loading.dialect_of(database), names)
  local params = {}
  local n = updating.key_values(self, params, 0)
  local found = run(database, nil, st.sql, "read", params, n, loading.options(database, st), core.rows, st.plan)[1]
  if found == nil then
    return errors.raise("not_found", tostring(self) .. " is not in the database any more")
  end
  return found, st.plan
end

--- Read the row again; what was changed and not saved is gone. Lazy columns that were not loaded stay so.
--- Raises not_found when the row is gone.
function rereading.refresh(self, class, database)
  if state.is_new(self) then
    return errors.raise("bad_argument", tostring(self) .. " is not in the database: there is nothing to read")
  end
  state.original(self):restore(self, getmetatable(self).plan) -- a session has nothing of it to write first
  state.forget_pending(self)
  local missing, names = getmetatable(self).missing, {}
  for _, field in ipairs(class.model.fields) do
    if not (field.lazy == true and missing and missing[field.attribute]) then
      names[#names + 1] = field.attribute
    end
  end
  local found, plan = read(self, class, database, names)
  state.note(self, database) -- what it reads in a transaction may be undone
  for _, name in ipairs(names) do
    rawset(self, name, found[name])
  end
  local batch, meta = state.batch_of(self), class_room.metatable(class, plan)
  setmetatable(self, meta)
  state.written(self, meta.plan, batch)
  state.unrelate(self)
  return self
end

-- ---- columns that a query left out ----

-- Which columns are read when one is touched: a lazy one alone, otherwise all that are not lazy.
local function wanted_names(class, missing, name)
  local names = {}
  for _, field in ipairs(class.model.fields) do
    local attribute = field.attribute
    if missing[attribute] and (attribute == name or field.lazy ~= true and class.model.by_name[name].lazy ~= true) then
      names[#names + 1] = attribute
    end
  end
  return names
end

-- The plan of objects that have some more columns; one for each metatable and set of columns.
local function wider(meta, names)
  local plans = meta.wider
  if plans == nil then
    plans = {}
    meta.wider = plans
  end
  local key = table.concat(names, ",")
  if plans[key] == nil then
    local kinds, plan = {}, { names = {}, kinds = {} }
    local function add(name)
      plan.names[#plan.names + 1], plan.kinds[#plan.kinds + 1] = name, kinds[name]
      kinds[name] = nil
    end
    for place, name in ipairs(meta.plan.names) do
      kinds[name] = meta.plan.kinds[place]
    end
    for _, name in ipairs(names) do
      kinds[name] = meta.class.model.by_name[name].kind
    end
    for _, field in ipairs(meta.class.model.fields) do
      if kinds[field.attribute] then
        add(field.attribute)
      end
    end
    for _, name in ipairs(meta.plan.names) do -- annotations, and columns of other entities
      if kinds[name] then
        add(name)
      end
    end
    plans[key] = plan
  end
  return plans[key]
end

-- What was changed and not saved stays so: the original is that of the database.
local function take_over(self, database, meta, names, values)
  if runtime.current().session then
    state.note(self, database) -- which knows it from now on, and what it reads may be undone
  end
  local original, plan = state.original(self), wider(meta, names)
  local all = {}
  for place, name in ipairs(meta.plan.names) do
    all[name] = original:value(place, meta.plan)
  end
  for _, name in ipairs(names) do
    all[name] = values[name]
    rawset(self, name, values[name])
  end
  state.adopt(self, all, plan)
  setmetatable(self, class_room.metatable(meta.class, plan))
end

-- The class whose objects all have these columns: of a family that of the table, if it has them.
local function class_with(class, names)
  local base = class.model.base
  for _, name in ipairs(names) do
    if not base.by_name[name] then
      return class
    end
  end
  return base.class
end

local function lacks(meta, names)
  for _, name in ipairs(names) do
    if not (meta.missing and meta.missing[name]) then
      return false
    end
  end
  return true
end

-- The other objects of the result that lack the same columns.
local function companions(self, class, names)
  local batch, list = state.batch_of(self), {}
  local objects = batch and batch.objects
  for place = 1, objects and batch.count or 0 do
    local one = objects[place]
    local meta = one and one ~= self and getmetatable(one)
    if meta and meta.class.model:is_a(class.model) and lacks(meta, names) and not state.is_new(one) then
      list[#list + 1] = one
    end
  end
  return list
end

local MOST = 500 -- rows read at once

-- One statement for many objects whose key has one column.
local function read_for(list, first, class, database, names)
  local attribute = class.model.key[1].attribute
  local keys, by_key = {}, {}
  for place = first, math.min(first + MOST - 1, #list) do
    local params = {}
    updating.key_values(list[place], params, 0)
    keys[#keys + 1] = params[1]
    by_key[relation.plain(params[1])] = list[place]
  end
  local st, params, n = loading.columns_by_key(class, database, names, keys)
  for _, found in ipairs(run(database, nil, st.sql, "read", params, n, loading.options(database, st), core.rows, st.plan)) do
    local one = by_key[relation.plain(found[attribute])]
    if one then
      take_over(one, database, getmetatable(one), names, found)
    end
  end
end

--- A column that the object's query left out, for all objects of the result.
---@return any its value
--- Raises not_found when the row is gone.
function rereading.load_column(self, name)
  local meta = getmetatable(self)
  local class = meta.class
  local batch = state.batch_of(self)
  local database = batch and batch.database or loading.database_of(class)
  local names = wanted_names(class, meta.missing, name)
  class = class_with(class, names)
  local list = #class.model.key == 1 and companions(self, class, names) or {}
  if list[1] == nil then
    take_over(self, database, meta, names, (read(self, class, database, names)))
    return rawget(self, name)
  end
  table.insert(list, 1, self)
  for first = 1, #list, MOST do
    read_for(list, first, class, database, names)
  end
  if getmetatable(self) == meta then
    return errors.raise("not_found", tostring(self) .. " is not in the database any more")
  end
  return rawget(self, name)
end

relation.load_column = rereading.load_column

return rereading
