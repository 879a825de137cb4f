-- A class: what entity and object have in common beside the model. Its columns as they are written, the metatables of its
-- objects, its methods and hooks, the root of its query sets.

local object = require "moonpool.entity.object"
local query = require "moonpool.sql.query"
local query_set = require "moonpool.entity.query"

local class_room = {}

---@class moonpool.class
---@field name string
---@field model table
---@field entity table       what the program has, with the methods of its objects
---@field parent table|false the class that it extends
---@field meta table         metatable of objects with all columns
---@field metas table        metatables by their columns
---@field root table         query set of all rows
---@field columns table[]    as they are written: { field, attribute, accepts, bit }
---@field plain table<string, true> names of values that are columns' own
---@field usual table?       how most new rows are checked; see moonpool.entity.validation
---@field defaults table[]   fields that have one
---@field generated_key string?
---@field has_validate boolean
---@field has_relations boolean
---@field batched boolean    whether the objects of a result are remembered: something is loaded for all of them
---@field computed string[]? attributes of columns that the database calculates
---@field inserts table      statements by dialect

-- Columns that the database may fill in are numbered by powers of two: a row's set of them is a number.
local function columns_of(model)
  local columns, bit = {}, 1
  for place, one in ipairs(model.fields) do
    columns[place] = { field = one, attribute = one.attribute, accepts = one.accepts }
    if one.generated or one.server_default ~= nil then
      columns[place].bit = bit
      bit = bit * 2
    end
  end
  return columns
end

local function plain_names(model)
  local plain = {}
  for name, field in pairs(model.by_name) do
    plain[name] = name == field.attribute and not field.parts or nil
  end
  return plain
end

-- What follows from the fields, which a class that extends another may add to.
local function describe(class)
  local model = class.model
  class.columns, class.defaults, class.has_validate, class.inserts = columns_of(model), {}, false, {}
  class.plain, class.usual = plain_names(model), nil
  class.has_relations = next(model.relations) ~= nil
  for _, inverse in pairs(model.inverses) do
    class.has_relations = class.has_relations or inverse.one or false
  end
  class.batched = class.has_relations
  for _, one in ipairs(model.fields) do
    if one.default ~= nil then
      class.defaults[#class.defaults + 1] = one
    end
    class.has_validate = class.has_validate or one.validate ~= nil
    class.batched = class.batched or one.lazy == true
  end
  local computed = {}
  for _, one in ipairs(model.fields) do
    if one.computed then
      computed[#computed + 1] = one.attribute
    end
  end
  class.computed = computed[1] and computed or nil
  class.generated_key = #model.key == 1 and model.key[1].generated and model.key[1].attribute or nil
end

-- made late: the kind of a relation is that of the other entity's key, which may not be declared yet
local late = {
  meta = function(class)
    return class_room.metatable(class, class.model.plan)
  end,
  root = function(class)
    return query.root(class.model, query_set.metatable)
  end,
}

local Class = {}

function Class:__index(name)
  local make = late[name]
  if make then
    local made = make(self)
    rawset(self, name, made)
    return made
  end
  return nil
end

--- The class of a model.
---@return moonpool.class
function class_room.new(model)
  local class = setmetatable({
    name = model.name, model = model, entity = {}, metas = {}, readers = {},
    parent = model.parent and model.parent.class or false, -- reading what is not there asks a metamethod
  }, Class)
  describe(class)
  return class
end

--- Find anew what was found: another declaration may have added fields, relations or rows.
function class_room.renew(class)
  for name in pairs(late) do
    rawset(class, name, nil)
  end
  for name in pairs(class.readers) do
    class.readers[name] = nil
  end
  describe(class)
end

--- The same where columns have become others: objects are made anew.
function class_room.rearrange(class)
  class.metas = {}
  class_room.renew(class)
end

--- The metatable of objects with the columns of a plan. Plans with the same columns share one, so that objects do not
--- differ by the query they came from.
function class_room.metatable(class, plan)
  local signature = table.concat(plan.names, ",")
  local meta = class.metas[signature]
  if meta == nil then
    meta = object.metatable(class, { names = plan.names, kinds = plan.kinds })
    class.metas[signature] = meta
  end
  return meta
end

return class_room
