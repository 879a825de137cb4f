-- db:reflect_entity: entities read from the catalog, also of tables that have an entity. What is declared stays as it is:
-- a reflected entity is called like its table, and create_all and drop_all leave it alone.

local catalog = require "moonpool.schema.catalog"
local database_of = require "moonpool.database.database"
local entity = require "moonpool.entity.entity"
local errors = require "moonpool.errors"
local f = require("moonpool.field").types
local model_of = require "moonpool.resolve.model"
local schema = require "moonpool.entity.schema"
local types = require "moonpool.schema.types"
local vocabulary = require "moonpool.vocabulary"

local unpack = table.unpack or unpack

local OPTIONS = { name = "string", schema = "string", exclude = "table", fields = "table", primary_key = "table" }
local OF_SEVERAL = { schema = "string" }

local function bad(message, ...)
  return errors.raise("bad_argument", message:format(...))
end

-- ---- names ----

-- A plain word out of whatever a table or a column is called.
local function plain_word(text)
  if vocabulary.is_name(text) then return text end
  local word = text:gsub("[^%w_]+", "_"):gsub("_+", "_"):gsub("^[_%d]+", ""):gsub("_$", "")
  return (word == "" and "column" or word:sub(1, 60)) .. "_"
end

local said = setmetatable({}, { __mode = "k" }) -- by database

local function say_once(database, found, column, name)
  local note = ("moonpool: %s: the column %s is the field %s there, for its own name is taken or no plain word\n"):format(
    found.name, vocabulary.quoted(column), name)
  said[database] = said[database] or {}
  if not said[database][note] then
    said[database][note] = true
    io.stderr:write(note)
  end
end

local function field_name(database, found, column, taken)
  local name = plain_word(column)
  while vocabulary.is_reserved(name) or taken[name] do
    name = name:find "_$" and name:sub(1, -2) .. "1_" or name .. "_"
  end
  if name ~= column then say_once(database, found, column, name) end
  return name
end

-- The name of a relation over a column, whose key must then be called name_id; nil where that cannot be.
local function relation_name(found, column, taken)
  local name = column:match "^(.+)_id$" or column
  if not vocabulary.is_name(name) or vocabulary.is_reserved(name) or taken[name] then return nil end
  local attribute = name .. "_id"
  if attribute ~= column and found.columns[attribute] or name ~= column and found.columns[name] then return nil end
  return name
end

-- ---- fields ----

local function made(kind, options)
  if kind == "array" then
    options.of = made(options.of[1], options.of[2])
  elseif kind == "enum" then
    for i, value in ipairs(options.values) do options[i] = value end
    options.values = nil
  end
  return f[kind](options)
end

local function plain_field(database, found, column, name, is_key)
  local kind, options = types.field_of(schema.dialect_name(database), column)
  if not kind then
    return errors.raise("unsupported", ("%s.%s: there is no field for the type %s: leave the column out with exclude = { %q }, or say its field with fields = { [%q] = mp.field... }")
      :format(found.name, column.name, column.type, column.name, column.name))
  end
  if column.generated and #found.primary_key.columns == 1 and column.primary_key then
    kind, options = "id", {}
  else
    options.null = column.null and not is_key
    options.unique = column.unique and not column.primary_key or nil
    options.server_default = column.computed or column.default
  end
  options.column = name ~= column.name and column.name or nil
  local field = made(kind, options)
  field.computed = column.computed ~= nil
  return field
end

local function relation_field(column, name, target, inverse)
  local key = column.foreign_key
  return f.belongs_to(target, {
    null = column.null, unique = column.unique or nil, on_delete = key.on_delete, on_update = key.on_update,
    column = name .. "_id" ~= column.name and column.name or nil, inverse = inverse, server_default = column.default,
  })
end

-- The entity that a foreign key leads to, if it is known and the key is what is referred to.
local function target_of(column, names, found)
  local key = column.foreign_key
  if not key or key.schema or (column.primary_key and #found.primary_key.columns == 1) then return nil end
  local target = names[key.table]
  return target and #target.key == 1 and target.key[1] == key.references[1] and target or nil
end

-- A key of several columns is a relation where its columns are called like one: seat_line and seat_place, which refer to line
-- and place, are the relation seat. Gives the relations' names by their first column, and the columns that they cover.
local function whole_relations(found, names, plan, excluded)
  local begun, covered, is_key = {}, {}, {}
  for _, name in ipairs(plan.key) do is_key[name] = true end
  for _, key in ipairs(found.foreign_keys) do
    local target = names[key.table]
    local name = #key.columns > 1 and not key.schema and target and key.columns[1]:match "^(.+)_"
    local fits = name and #target.key == #key.columns and vocabulary.is_name(name) and not vocabulary.is_reserved(name)
      and not found.columns[name]
    for i, column in ipairs(fits and key.columns or {}) do
      fits = fits and target.key[i] == key.references[i] and column == name .. "_" .. key.references[i]
        and not is_key[column] and not covered[column] and not excluded[column] and (plan.options.fields or {})[column] == nil
        and found.columns[column].null == found.columns[key.columns[1]].null
    end
    if fits then
      begun[key.columns[1]] = { name = name, target = target.entity, key = key }
      for _, column in ipairs(key.columns) do covered[column] = true end
    end
  end
  return begun, covered
end

-- How the rows of a table are called from the other side: like the table, where only one relation leads there and both
-- are reflected together.
local function inverse_of(found, column, target, plans)
  local other = plans[column.foreign_key.table]
  if not other or target ~= other or not vocabulary.is_name(found.name) or vocabulary.is_reserved(found.name)
    or other.found.columns[found.name] then
    return nil
  end
  for _, each in catalog.columns_of(found) do
    if each ~= column and each.foreign_key and each.foreign_key.table == column.foreign_key.table then return nil end
  end
  if found == other.found then return nil end
  return found.name
end

-- ---- entities ----

local function known_targets(database, plans)
  local names = {}
  for _, model in ipairs(schema.models_in(database, true)) do
    local key = {}
    for i, field in ipairs(model.key) do key[i] = field.column end
    if not names[model.table] or names[model.table].reflected then
      names[model.table] = { entity = model.name, key = key, reflected = model.reflected }
    end
  end
  for name, plan in pairs(plans) do names[name] = plan end
  return names
end

local function entity_name(found, wanted)
  local name = wanted or (plain_word(found.name):gsub("_$", found.name:find "_$" and "_" or ""))
  local there = model_of.find(name)
  while not wanted and there and not there.reflected do
    name = name .. "_"
    there = model_of.find(name)
  end
  if wanted and there and not there.reflected then bad("reflect_entity: there is an entity %s already: give it another name", name) end
  return name
end

local function plan_of(database, tables, name, options)
  local found = type(name) == "string" and tables[name]
  if not found then
    if type(name) ~= "string" then bad("reflect_entity takes the name of a table, not %s", vocabulary.quoted(name)) end
    return errors.raise("undefined_table", ("%s has no table %s%s"):format(tostring(database), vocabulary.quoted(name),
      vocabulary.suggest(name, tables)))
  end
  local key = options.primary_key or found.primary_key.columns
  if not key[1] then
    bad("%s %s has no primary key, by which its objects could be told: name columns that are unique with primary_key = { ... }",
      found.kind, found.name)
  end
  for _, list in ipairs { options.exclude or {}, options.primary_key or {} } do
    for _, column in ipairs(list) do
      if not found.columns[column] then
        errors.raise("unknown_field", ("%s has no column %s%s"):format(found.name, vocabulary.quoted(column),
          vocabulary.suggest(column, found.columns)))
      end
    end
  end
  return { found = found, key = key, entity = entity_name(found, options.name), options = options }
end

local function set_of(list)
  local set = {}
  for _, name in ipairs(list or {}) do set[name] = true end
  return set
end

local function declare(database, plan, names, plans)
  local found, options = plan.found, plan.options
  local fields, key_names, own = {}, {}, options.fields or {}
  local excluded, is_key = set_of(options.exclude), set_of(plan.key)
  local begun, covered = whole_relations(found, names, plan, excluded)
  for _, column in catalog.columns_of(found) do
    local whole = begun[column.name]
    if whole then
      fields[whole.name] = f.belongs_to(whole.target, {
        null = column.null, on_delete = whole.key.on_delete, on_update = whole.key.on_update, column = whole.key.columns,
      })
    elseif not excluded[column.name] and not covered[column.name] then
      local target = not own[column.name] and target_of(column, names, found)
      local name = target and relation_name(found, column.name, fields)
      if name then
        fields[name] = relation_field(column, name, target.entity, inverse_of(found, column, target, plans))
      else
        name = field_name(database, found, column.name, fields)
        fields[name] = own[column.name] or plain_field(database, found, column, name, is_key[column.name])
      end
      for i, part in ipairs(plan.key) do
        if part == column.name then key_names[i] = name end
      end
    end
  end
  local made_one = entity.declare(plan.entity, fields, {
    table = found.name, database = database, primary_key = key_names, schema = options.schema,
  })
  getmetatable(made_one).class.model.reflected = true
  return made_one
end

--- An entity read from the catalog, also of a table that has one. A column whose name is taken gets a trailing underscore,
--- which is said once on standard error; a foreign key to a table whose entity is known is a relation. Several tables give
--- several entities, with the relations between them in both directions.
---@param names string|string[]  the table
---@param options {name: string?, schema: string?, exclude: string[]?, fields: table<string, table>?, primary_key: string[]?}?
--- name: of the entity; exclude: columns to leave out; fields: the field of a column, instead of what its type tells
---@return table ... entities
--- Raises undefined_table, bad_argument (no key), unsupported (a type without a field), unknown_option, unknown_field.
function database_of.methods:reflect_entity(names, options)
  local several = type(names) == "table"
  schema.check_options("reflect_entity", options or {}, several and OF_SEVERAL or OPTIONS)
  options = options or {}
  local tables = catalog.read(self, options.schema).tables
  local list, plans, entities = several and names or { names }, {}, {}
  if #list == 0 then bad("reflect_entity takes the name of a table, or a list of names") end
  for _, name in ipairs(list) do plans[name] = plan_of(self, tables, name, options) end
  local targets = known_targets(self, plans)
  for i, name in ipairs(list) do entities[i] = declare(self, plans[name], targets, plans) end
  return unpack(entities, 1, #list)
end
