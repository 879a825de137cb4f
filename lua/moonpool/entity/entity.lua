-- mp.entity: what a program declares and then uses as the query set of all its rows, as the maker of objects
-- and as the home of their methods. Joins the rooms of this folder to the model.

local building = require "moonpool.entity.building"
local bulk = require "moonpool.entity.bulk"
local class_room = require "moonpool.entity.class"
local ddl = require "moonpool.sql.ddl"
local errors = require "moonpool.errors"
local field = require "moonpool.field"
local hooks = require "moonpool.entity.hooks"
local loading = require "moonpool.entity.loading"
local model_of = require "moonpool.resolve.model"
local object = require "moonpool.entity.object"
local prefetch = require "moonpool.entity.prefetch"
local query_set = require "moonpool.entity.query"
local raw = require "moonpool.entity.raw"
local relation = require "moonpool.entity.relation"
local runtime = require "moonpool.runtime"
local schema = require "moonpool.entity.schema"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"
local tree = require "moonpool.tree"
local vocabulary = require "moonpool.vocabulary"

require "moonpool.entity.answers"
require "moonpool.entity.changing"
require "moonpool.entity.inspecting"
require "moonpool.entity.methods"
require "moonpool.entity.owned"
require "moonpool.entity.pages"
require "moonpool.entity.reading"

local entity = {}

relation.loading = loading

entity.prefetch = prefetch.narrowed

-- ---- the methods of entities: those of query sets, and their own ----

local methods = {}

-- entity -> class: one look, where a metatable takes three calls. Most query sets begin here.
local class_of = setmetatable({}, { __mode = "k" })

local function called_on(name, self, method, ...)
  local meta = getmetatable(self)
  local class = type(meta) == "table" and rawget(meta, "class")
  if not class and meta ~= query_set.metatable then
    return errors.raise("bad_argument", name .. " is called with a colon: Author:" .. name .. "(...)")
  elseif not class then
    return method(self, ...)
  end
  return method(class.root, ...)
end

for name, method in pairs(query_set.methods) do
  methods[name] = function(self, ...)
    local class = class_of[self]
    if class then
      return method(class.root, ...)
    end
    return called_on(name, self, method, ...)
  end
end

local function own(name, fn)
  methods[name] = function(self, ...)
    local meta = getmetatable(self)
    local class = type(meta) == "table" and rawget(meta, "class")
    if not class then
      return errors.raise("bad_argument", name .. " is called on an entity: Author:" .. name .. "(...)")
    end
    return fn(class, ...)
  end
end

own("bulk_create", function(class, ...)
  return bulk.create(class.root, ...)
end)
own("bulk_update", function(class, ...)
  return bulk.update(class.root, ...)
end)
own("upsert", function(class, ...)
  return bulk.upsert(class.root, ...)
end)
own("raw", function(class, ...)
  return raw.objects(class, ...)
end)
own("import", function()
  return errors.raise("unsupported", "import is not built yet: read the file and use :bulk_create()")
end)
own("create_table", schema.create_table)
own("drop_table", schema.drop_table)

-- Of a whole entity only, also on another database: Author:using("replica"):bulk_create{...}
local whole = { bulk_create = bulk.create, bulk_update = bulk.update, upsert = bulk.upsert }
for name, fn in pairs(whole) do
  query_set.methods[name] = function(self, ...)
    if self.shape ~= self.model.root or self.top or self.skip then
      return errors.raise("bad_argument", name .. " is for a whole entity, not for a query set that was narrowed")
    end
    return fn(self, ...)
  end
end

-- ---- the entity itself ----

local Columns = {}

function Columns:__index(name)
  return tree.column(getmetatable(self).model, name)
end

local function refuse_method(class, name, value)
  if type(name) ~= "string" then
    return errors.raise("bad_argument", class.name .. ": only methods of its objects are added to an entity")
  elseif type(value) ~= "function" and name:byte() ~= 95 then
    return errors.raise("bad_argument", class.name .. "." .. name
      .. ": only methods of its objects are added to an entity; names with a leading _ are yours")
  elseif methods[name] or name == "c" or name == "pk" then
    return errors.raise("bad_argument", class.name .. "." .. name
      .. " is a method of every entity: call yours something else")
  elseif object.methods[name] then
    return errors.raise("bad_argument", class.name .. "." .. name
      .. " is a method of every object: call yours something else")
  elseif class.model.by_name[name] or class.model.inverses[name] then
    return errors.raise("bad_argument", class.name .. "." .. name
      .. " is already a field: call the method something else")
  end
end

-- A name that is more like a method than like a field was meant to be one.
local function refuse_unknown(class, name)
  local fields, model = class.model.by_name, class.model
  if not fields[name] and not model.inverses[name] and not model.sets[name] and not vocabulary.nearest(name, fields) and vocabulary.nearest(name, methods) then
    return errors.raise("unknown_field", class.name .. " has neither a field nor a method " .. vocabulary.quoted(name)
      .. vocabulary.suggest(name, methods))
  end
end

local function metatable_of(class)
  local columns = setmetatable({}, {
    __index = Columns.__index, model = class.model, __name = "columns of " .. class.name,
  })
  local meta = { __name = class.name, __json = "an entity: call :all() first", class = class }

  -- Methods stay in it once they were asked for.
  local words = {}

  local function find(_, name)
    local method = methods[name]
    if method then
      words[name] = method
      return method
    end
    local known = class.model.expressions[name]
    if known then
      return known
    elseif name == "c" then
      return columns
    elseif vocabulary.hooks[name] then
      return nil
    elseif type(name) ~= "string" then
      return errors.raise("bad_argument", class.name .. " is no array: :all() gives one, :iter() goes through the rows")
    elseif name:byte() == 95 then
      return nil
    end
    refuse_unknown(class, name)
    return tree.column(class.model, name)
  end
  meta.__index = setmetatable(words, { __index = find })

  function meta.__newindex(self, name, value)
    refuse_method(class, name, value)
    if vocabulary.hooks[name] then
      hooks.note(name)
    end
    rawset(self, name, value)
    class.readers[name] = nil
  end

  function meta.__call(_, values)
    local made = building.build(class, values, true)
    local session = runtime.current().session
    if session then
      session:schedule(made)
    end
    return made
  end

  function meta.__tostring()
    return "entity " .. class.name
  end

  function meta.__len()
    return #class.root
  end

  function meta.__pairs()
    return pairs(class.root)
  end

  return meta
end

--- Declare an entity.
---@param name string
---@param fields table<string, table> made with mp.field
---@param options table? table order_by indexes primary_key schema database extends discriminator soft_delete timestamps
---@return table entity
--- Raises bad_argument, unknown_option, unknown_field, unsupported.
function entity.declare(name, fields, options)
  local model = model_of.declare(name, fields, options)
  return model.class.entity
end

model_of.on_rearrange(function(model)
  if model.class then
    class_room.rearrange(model.class)
  end
end)

-- Declaring another entity can complete relations, and add to what it extends: what was found is found again.
model_of.on_declare(function()
  for _, model in ipairs(model_of.all()) do
    local class = model.class
    if class then
      class_room.renew(class)
    else
      class = class_room.new(model)
      model.class = class
      setmetatable(class.entity, metatable_of(class))
      class_of[class.entity] = class
    end
  end
end)

-- Objects stand wherever a key does.
field.set_key_of(function(value, relation_field)
  if not object.is(value) then
    return nil
  end
  local model = getmetatable(value).class.model
  local of = relation_field and (relation_field.relation and relation_field:target() or relation_field.whole_key_of
    or relation_field.model)
  if of and not model:is_a(of) then
    return nil, "takes " .. of.name .. ", not " .. model.name
  elseif relation_field and relation_field.parts then
    local parts = {}
    for place, one in ipairs(model.key) do
      parts[place] = rawget(value, one.attribute)
    end
    return #parts == #model.key and parts or nil, "takes an object that is saved: this " .. model.name .. " has no key yet"
  elseif #model.key ~= 1 then
    return nil, "takes an object with a key of one column, not " .. model.name
  end
  local key = rawget(value, model.key[1].attribute)
  if key == nil then
    state.write_scheduled(value)
    key = rawget(value, model.key[1].attribute)
  end
  if key == nil then
    return nil, "takes an object that is saved: this " .. model.name .. " has no key yet"
  end
  return key
end)

-- SQLite tells of a check no more than its expression, of which it leaves a single name without quotes; the table stands in the
-- statement, where that is one of ours.
local function read_check(err)
  local text, sql = err.constraint or "", err.sql or ""
  local table_name = sql:match('^INSERT INTO "([^"]+)"') or sql:match('^UPDATE "([^"]+)"')
  for _, model in ipairs(model_of.all()) do
    if model.table == table_name and model.base == model then
      err.table = table_name
      for _, one in ipairs(model.stored) do
        if text == one.column or text:find('"' .. one.column .. '"', 1, true) then
          err.columns = { one.column }
          return
        end
      end
    end
  end
end

-- A constraint of the database names columns; the program knows fields.
function statement.explain_error(database, err)
  if err.kind == "check" and err.table == nil and database.dialect == "sqlite" then
    read_check(err)
  end
  for _, model in ipairs(model_of.all()) do
    if model.table == err.table and model.base == model and (err.columns or err.constraint) then
      local names = {}
      local fields = not err.columns and ddl.fields_of_constraint(model, err.constraint)
      for place, one in ipairs(fields or {}) do
        names[place] = one.name
      end
      for place, column in ipairs(err.columns or {}) do
        names[place] = column
        for _, one in ipairs(model.stored) do
          if one.column == column then
            names[place] = one.name
          end
        end
      end
      err.columns = names[1] and names
      return
    end
  end
end

return entity
