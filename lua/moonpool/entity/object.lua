-- Objects: one row each, as a plain table with the values of its columns. The metatable answers what is
-- not in the table: methods, relations, the key; and refuses names that are no field.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local key_values = require "moonpool.resolve.key"
local relation = require "moonpool.entity.relation"
local state = require "moonpool.entity.state"
local vocabulary = require "moonpool.vocabulary"

local object = {}

local rawset, rawget = rawset, rawget
local null = core.null

--- Methods of all objects (see methods.lua).
object.methods = {}

--- A method or hook that the program added to the entity of a class, or to one that it extends.
---@return function?
function object.method(class, name)
  while class do
    local method = rawget(class.entity, name)
    if method ~= nil then
      return method
    end
    class = class.parent
  end
  return nil
end

-- What reading a name gives that is no column's value: relations, inverses, pk. Found once for each name.
local function reader_of(class, name)
  local model = class.model
  local found = relation.link(model, name)
  if found then
    local follow = found.one and relation.to_one or relation.to_many
    return function(self)
      return follow(self, found)
    end
  elseif model.sets[name] then
    model.sets[name]:target() -- raises: it is not declared
  elseif name == "pk" then
    return function(self)
      return object.key(self)
    end
  end
  return false
end

--- The key of an object: its value, or a table by field for a key of several columns.
function object.key(self)
  local key = getmetatable(self).class.model.key
  if #key == 1 then
    return rawget(self, key[1].attribute)
  end
  local values = {}
  for _, field in ipairs(key) do
    values[field.name] = rawget(self, field.attribute)
  end
  return values
end

--- Whether v is an object of any entity.
function object.is(v)
  local meta = getmetatable(v)
  return type(meta) == "table" and rawget(meta, "class") ~= nil and rawget(meta, "plan") ~= nil
end

-- The columns of a relation get the values of a key: a value, or a table by the names of its parts.
local function set_key(self, field, value)
  local fields, keys = field:locals(), field:keys()
  if fields[2] == nil then
    return rawset(self, fields[1].attribute, fields[1]:convert(value))
  end
  for place, part in ipairs(key_values.of(field, value)) do
    rawset(self, fields[place].attribute, keys[place]:convert(part))
  end
end

local function set_relation(self, field, value)
  local fields = field:locals()
  state.set_pending(self, field.name, nil)
  state.relate(self, field.name, nil)
  if value == nil or value == null then
    for _, one in ipairs(fields) do
      rawset(self, one.attribute, nil)
    end
  elseif object.is(value) then
    local target = field:target()
    local model = getmetatable(value).class.model
    if not model:is_a(target) then
      return errors.raise("bad_argument", field:title() .. ": takes " .. target.name .. ", not " .. model.name)
    end
    local complete = true
    for place, key in ipairs(field:keys()) do
      local part = rawget(value, key.attribute)
      rawset(self, fields[place].attribute, part)
      complete = complete and part ~= nil
    end
    if complete then
      state.relate(self, field.name, value)
    else
      state.set_pending(self, field.name, value) -- asked for its key again when self is saved
    end
  else
    set_key(self, field, value)
  end
end
object.set_relation = set_relation

local function refuse(class, name)
  if type(name) ~= "string" then
    return errors.raise("unknown_field", class.name .. ": a field is named by a string, not by "
      .. vocabulary.quoted(name))
  end
  local known = {}
  for _, names in ipairs { class.model.by_name, class.model.inverses, class.model.sets } do
    for each in pairs(names) do
      known[each] = true
    end
  end
  if class.model.inverses[name] then
    local inverse = class.model.inverses[name]
    return errors.raise("bad_argument", class.name .. "." .. name .. (inverse.one
      and " is the other side of " .. inverse.field:title() .. ": set that"
      or " is a set: change it with :add, :remove, :set or :clear"))
  elseif object.method(class, name) ~= nil or object.methods[name] then
    return errors.raise("unknown_field", class.name .. "." .. name .. " is a method, not a field")
  end
  return errors.raise("unknown_field", class.name .. " has no field " .. vocabulary.quoted(name)
    .. vocabulary.suggest(name, known)
    .. "; names with a leading _ are yours")
end

--- Set a field, a relation, pk or a name of the program's own.
--- Raises unknown_field, bad_argument.
function object.set(self, name, value)
  local meta = getmetatable(self)
  local class, missing = meta.class, meta.missing
  local model = class.model
  local field = model.by_name[name]
  if field then
    if missing and missing[field.attribute] and not state.is_new(self) then
      relation.load_column(self, field.attribute) -- what it was before is needed to know that it is changed
    end
    if field.relation and name == field.name then
      return set_relation(self, field, value)
    elseif value == null then
      value = nil
    end
    local of = field.relation and field or field.part_of
    if of then
      state.set_pending(self, of.name, nil)
    end
    rawset(self, name, value)
  elseif type(name) == "string" and name:byte() == 95 then
    rawset(self, name, value)
  elseif name == "pk" and #model.key == 1 then
    rawset(self, model.key[1].attribute, value)
  else
    return refuse(class, name)
  end
end

--- The metatable of objects with the columns of a plan; one for each set of columns.
---@param class table
---@param plan {names: string[], kinds: integer[]}
function object.metatable(class, plan)
  local methods, own, readers, parent = object.methods, class.entity, class.readers, class.parent
  local missing
  local there = {}
  for _, name in ipairs(plan.names) do
    there[name] = true
  end
  for _, field in ipairs(class.model.fields) do
    if not there[field.attribute] then
      missing = missing or {}
      missing[field.attribute] = true
    end
  end
  local meta = { __name = class.name, class = class, plan = plan, missing = missing, __newindex = object.set }

  function meta.__index(self, name)
    local method = methods[name]
    if method ~= nil then
      return method
    end
    method = rawget(own, name)
    if method == nil and parent then
      method = object.method(parent, name)
    end
    if method ~= nil then
      return method
    end
    local read = readers[name]
    if read == nil then
      read = type(name) == "string" and reader_of(class, name)
      readers[name] = read
    end
    if read then
      return read(self)
    elseif missing and missing[name] and not state.is_new(self) then
      return relation.load_column(self, name)
    end
    return nil
  end

  function meta.__tostring(self)
    local key = object.key(self)
    if type(key) == "table" then
      key = core.show(key)
    end
    return class.name .. "(" .. (key == nil and "new" or tostring(key)) .. ")"
  end

  return meta
end

return object
