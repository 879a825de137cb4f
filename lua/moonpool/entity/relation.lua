-- Relations of objects. To one: loaded when it is touched, for all objects of the same result at once. To many: a
-- query set bound to its owner. Also loads columns that a query left out.

local compile = require "moonpool.sql.compile"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local query = require "moonpool.sql.query"
local row_of = require "moonpool.sql.row"
local runtime = require "moonpool.runtime"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"

local relation = {}

-- Set by loading's users: this file stands below the metatables that call it.
relation.loading = nil

local MOST = 500 -- keys asked for at once

-- Keys as table keys: equal values must be one key.
local function plain(key)
  local kind = type(key)
  return (kind == "number" or kind == "string") and key or tostring(key)
end
relation.plain = plain

local function place_of(object, class)
  local batch = state.batch_of(object)
  local other = batch and batch.database
  return other or relation.loading.database_of(class), other
end

-- In a session what it knows by its key is not asked for again. The keys that are left.
local function take_known(target, database, attribute, keys, found)
  local session, key = runtime.current().session, target.model.key
  if not session or key[2] ~= nil or key[1].attribute ~= attribute then
    return keys
  end
  local left = {}
  for _, one in ipairs(keys) do
    local known = session:find(target, database, plain(one))
    if known then
      found[plain(one)] = known
    else
      left[#left + 1] = one
    end
  end
  return left
end

local function load_keys(target, database, other, attribute, keys)
  local found = {}
  keys = take_known(target, database, attribute, keys, found)
  local dialect = relation.loading.dialect_of(database)
  for first = 1, #keys, MOST do
    local some = {}
    for place = first, math.min(first + MOST - 1, #keys) do
      some[#some + 1] = keys[place]
    end
    local q = query.methods.filter(query.root(target.model), { [attribute .. "__in"] = some })
    local st = compile.select(query.methods.order_by(q), dialect)
    for _, one in ipairs(relation.loading.objects(target, database, other, st, st:bind(q))) do
      found[plain(rawget(one, attribute))] = one
    end
  end
  return found
end

-- The keys that the objects of the batch still miss; the one that was touched comes first.
local function missing_keys(object, field, key)
  local keys, seen = { key }, { [plain(key)] = true }
  local batch = state.batch_of(object)
  local objects = batch and batch.objects
  for place = 1, objects and batch.count or 0 do
    local one = objects[place]
    local its = one and rawget(one, field.attribute)
    if its ~= nil and not seen[plain(its)] then
      seen[plain(its)] = true
      keys[#keys + 1] = its
    end
  end
  return keys, objects, batch
end

local function has_key(other, attribute, key)
  return other ~= nil and plain(rawget(other, attribute)) == plain(key)
end

--- The object that a belongs_to field leads to, or nil.
function relation.to_one(object, field)
  local key = rawget(object, field.attribute)
  if key == nil then
    local meta = getmetatable(object)
    if meta.missing and meta.missing[field.attribute] and not state.is_new(object) then
      key = relation.load_column(object, field.attribute)
    end
    if key == nil then
      return state.pending(object, field.name)
    end
  end
  local name, attribute = field.name, field:key_field().attribute
  local known = state.related(object, name)
  if known and has_key(known, attribute, key) then
    return known
  end
  local target = field:target().class
  local _, other = place_of(object, target)
  local database = other or relation.loading.database_of(target)
  local keys, objects, batch = missing_keys(object, field, key)
  local found = load_keys(target, database, other, attribute, keys)
  for place = 1, objects and batch.count or 0 do
    local one = objects[place]
    local its = one and rawget(one, field.attribute)
    if its ~= nil then
      state.relate(one, name, found[plain(its)])
    end
  end
  local result = found[plain(key)]
  state.relate(object, name, result)
  return result
end

--- The query set of the objects that lead to this one.
function relation.to_many(object, inverse)
  local field = inverse.field
  local key = rawget(object, field:key_field().attribute)
  if key == nil then
    state.write_scheduled(object)
    key = rawget(object, field:key_field().attribute)
  end
  if key == nil then
    return errors.raise("bad_argument", getmetatable(object).class.name .. " has no " .. inverse.name
      .. " before it is saved: it has no key yet")
  end
  local target = inverse.model.class
  local _, other = place_of(object, target)
  local owned = query.owned(target.root, field, key)
  return query.with(owned, { database = other, owner = object, field = field, name = inverse.name })
end

--- A column that the object's query left out: loads all that is missing.
---@return any its value
--- Raises not_found when the row is gone.
function relation.load_column(object, name)
  local class = getmetatable(object).class
  local model = class.model
  local database = place_of(object, class)
  local st = row_of.get(model, relation.loading.dialect_of(database))
  local original, plan = state.original(object), getmetatable(object).plan
  local loaded, had = {}, {}
  for place, attribute in ipairs(plan.names) do
    loaded[attribute], had[attribute] = original:value(place, plan), true
  end
  local params = {}
  for place, field in ipairs(model.key) do
    params[place] = loaded[field.attribute]
  end
  local row = statement.run(database, nil, st.sql, st.access, params, #params, relation.loading.options(database, st),
    core.rows, st.plan)[1]
  if row == nil then
    return errors.raise("not_found", tostring(object) .. " is not in the database any more")
  end
  for _, attribute in ipairs(st.plan.names) do
    if not had[attribute] then
      loaded[attribute] = row[attribute]
      rawset(object, attribute, row[attribute])
    end
  end
  -- what was changed and not saved stays so: the original is that of the database
  state.adopt(object, loaded, class.meta.plan)
  setmetatable(object, class.meta)
  return row[name]
end

return relation
