-- Sets that belong to an object: author.books. Adding and removing write at once and do not mind what is there or
-- missing already.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local loading = require "moonpool.entity.loading"
local object = require "moonpool.entity.object"
local query = require "moonpool.sql.query"
local query_set = require "moonpool.entity.query"
local state = require "moonpool.entity.state"
local transaction = require "moonpool.database.transaction"

local methods = query_set.methods
local place_of = loading.place_of

local MOST = 500 -- keys in one statement

local function owner_of(q, name)
  local extra = q.extra
  if not extra or extra.owner == nil then
    return errors.raise("bad_argument", name .. " is for a set that belongs to an object, such as author.books:"
      .. name .. "(book)")
  end
  return extra
end

local function all_rows_of(q)
  local root = place_of(q).root
  return q.extra.database and root:using(q.extra.database) or root
end

-- Objects and keys as keys; the objects by themselves too.
local function read(q, name, ...)
  local keys, objects = {}, {}
  local model = q.model
  if #model.key ~= 1 then
    return errors.raise("unsupported", name .. ": " .. model.name .. " has a key of several columns")
  end
  for place = 1, select("#", ...) do
    local one = select(place, ...)
    if object.is(one) then
      if getmetatable(one).class.model ~= model then
        return errors.raise("bad_argument", name .. " takes " .. model.name .. ", not " .. getmetatable(one).class.name)
      end
      objects[#objects + 1] = one
      keys[#keys + 1] = object.key(one)
    elseif one == nil then
      return errors.raise("bad_argument", name .. "(nil): it takes objects or keys")
    else
      keys[#keys + 1] = model.key[1]:convert(one)
    end
  end
  return keys, objects
end

local function each_chunk(keys, fn)
  for first = 1, #keys, MOST do
    local some = {}
    for place = first, math.min(first + MOST - 1, #keys) do
      some[#some + 1] = keys[place]
    end
    fn(some)
  end
end

-- The objects in the program's hands follow what was written.
local function follow(objects, field, key)
  for _, one in ipairs(objects) do
    rawset(one, field.attribute, key)
    if not state.is_new(one) then
      local original, plan = state.original(one), getmetatable(one).plan
      local values = {}
      for place, name in ipairs(plan.names) do
        values[name] = original:value(place, plan)
      end
      values[field.attribute] = key
      state.adopt(one, values, plan)
    end
  end
end

local function check_removable(extra)
  local field = extra.field
  if not field.null then
    return errors.raise("not_null", field:title() .. " must not be NULL: delete what is taken out of " .. extra.name
      .. ", or give it to another owner", { columns = { field.name } })
  end
end

--- Objects or keys that shall belong to the owner.
--- Raises bad_argument, integrity and the other errors of a statement.
function methods:add(...)
  local extra = owner_of(self, "add")
  local keys, objects = read(self, "add", ...)
  local _, database = place_of(self)
  local field = extra.field
  local owner_key = rawget(extra.owner, field:key_field().attribute)
  transaction.within(database, function()
    local saved = {}
    for _, one in ipairs(objects) do
      if state.is_new(one) then
        object.set(one, field.name, extra.owner)
        one:save()
      else
        state.note(one, database)
        saved[#saved + 1] = one
      end
    end
    each_chunk(keys, function(some)
      all_rows_of(self):filter{ pk__in = some }:update{ [field.name] = owner_key }
    end)
    follow(saved, field, owner_key)
  end)
end

--- Take objects or keys out of the set; those that are not in it stay as they are.
--- Raises not_null where the relation cannot be NULL.
function methods:remove(...)
  local extra = owner_of(self, "remove")
  check_removable(extra)
  local keys, objects = read(self, "remove", ...)
  local _, database = place_of(self)
  local field = extra.field
  local owner_key = rawget(extra.owner, field:key_field().attribute)
  transaction.within(database, function()
    local theirs = {}
    for _, one in ipairs(objects) do
      if rawget(one, field.attribute) == owner_key then
        state.note(one, database)
        theirs[#theirs + 1] = one
      end
    end
    each_chunk(keys, function(some)
      self:filter{ pk__in = some }:update{ [field.name] = core.null }
    end)
    follow(theirs, field, nil)
  end)
end

--- Take everything out of the set.
--- Raises not_null where the relation cannot be NULL.
function methods:clear()
  local extra = owner_of(self, "clear")
  check_removable(extra)
  return self:update{ [extra.field.name] = core.null }
end

--- Make the set hold exactly these objects and keys.
---@param list any[]
--- Raises not_null where something would have to be taken out and the relation cannot be NULL.
function methods:set(list)
  local extra = owner_of(self, "set")
  if type(list) ~= "table" or object.is(list) then
    return errors.raise("bad_argument", "set takes an array of objects and keys")
  end
  local _, database = place_of(self)
  transaction.within(database, function()
    local keys = read(self, "set", (unpack or table.unpack)(list))
    local others = #keys > 0 and self:exclude{ pk__in = keys } or self
    if extra.field.null then
      query.methods.all_rows(others):update{ [extra.field.name] = core.null }
    elseif others:exists() then
      check_removable(extra)
    end
    self:add((unpack or table.unpack)(list))
  end)
end

return methods
