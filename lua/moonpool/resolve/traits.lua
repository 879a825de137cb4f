-- What options of an entity add to its model: the fields of timestamps and soft_delete, the discriminator, and the
-- schema. Fields that the program declares under these names are taken as they are, if they are of the right type.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local field_types = require "moonpool.field"
local vocabulary = require "moonpool.vocabulary"

local traits = {}

local function bad(model, message, ...)
  errors.raise("bad_argument", model.name .. ": " .. message:format(...))
end

-- The name of a field in an option that may be true, for the usual one, or that name.
local function name_in(model, option, given, usual)
  if given == nil or given == false then return nil end
  if given == true and usual then return usual end
  local ok, why = vocabulary.is_name(given)
  if not ok then
    bad(model, "%s is %sthe name of a field, not %s%s", option, usual and "true or " or "", vocabulary.quoted(given),
      type(given) == "string" and ", which " .. why or "")
  end
  return given
end

local TIMES = { created = "created_at", updated = "updated_at" }

local function names_of_times(model, given)
  if given == nil or given == false then return {} end
  if given == true then return TIMES end
  if type(given) ~= "table" or next(given) == nil then
    bad(model, "timestamps is true, or { created = \"created_at\", updated = \"updated_at\" }, not %s", vocabulary.quoted(given))
  end
  local names = {}
  for key, name in pairs(given) do
    if not TIMES[key] then
      errors.raise("unknown_option", ("%s: timestamps knows created and updated, not %s%s"):format(model.name,
        vocabulary.quoted(key), vocabulary.suggest(key, TIMES)))
    end
    names[key] = name_in(model, "timestamps: " .. key, name, TIMES[key])
  end
  return names
end

--- The declarations that the options add to those of a program, in order: { name, declaration }.
---@param model table
---@param fields table<string, table>
---@param options table
---@return table[]
function traits.declarations(model, fields, options)
  local added = {}
  local function add(name, make)
    if name and not fields[name] then added[#added + 1] = { name = name, declaration = make() } end
  end
  local times = names_of_times(model, options.timestamps)
  model.times = times
  add(times.created, field_types.types.datetime)
  add(times.updated, field_types.types.datetime)
  model.soft_delete = name_in(model, "soft_delete", options.soft_delete, "deleted_at")
  add(model.soft_delete, function() return field_types.types.datetime { null = true } end)
  if not options.extends then
    model.discriminator = name_in(model, "discriminator", options.discriminator)
    add(model.discriminator, traits.discriminator)
  end
  return added
end

--- The field that tells the entity of a row, where none is declared.
function traits.discriminator()
  return field_types.types.string { max = 100 }
end

local function datetime_field(model, option, name)
  local field = model:field(name)
  if field.type ~= "datetime" then bad(model, "%s: %s is of type %s, not datetime", option, name, field.type) end
  return field
end

local TEXTS = { string = true, text = true, enum = true }

--- The discriminator of a model: always the entity's name.
function traits.fix_discriminator(model)
  local field = model:field(model.discriminator)
  if not TEXTS[field.type] then bad(model, "discriminator: %s is of type %s, not string", field.name, field.type) end
  local taken, why = field:take(model.name)
  if taken == nil then bad(model, "discriminator: %s %s", field.name, why) end
  field.default, field.fixed, field.accepts = model.name, model.name, nil
  field.loaded_always = true
  model.discriminator_field = field
end

--- What the fields of the options mean, when all fields of the model are there.
function traits.finish(model)
  local times = model.times
  model.stamp, model.deleted_field, model.discriminator_field, model.version = nil, nil, nil, nil
  if times.created then
    local field = datetime_field(model, "timestamps", times.created)
    if field.default == nil and field.server_default == nil then field.default = core.now_datetime end
  end
  if times.updated then
    local field = datetime_field(model, "timestamps", times.updated)
    if field.default == nil and field.server_default == nil then field.default = core.now_datetime end
    field.same_as = times.created -- a row that never changed says so
    model.stamp = field
  end
  if model.soft_delete then
    local field = datetime_field(model, "soft_delete", model.soft_delete)
    if not field.null or field.default ~= nil or field.server_default ~= nil then
      bad(model, "soft_delete: %s needs null = true and no default: a row with a time there is deleted", field.name)
    end
    model.deleted_field = field
  end
  if model.discriminator then traits.fix_discriminator(model) end
  for _, field in ipairs(model.fields) do
    if field.version then
      if model.version then bad(model, "%s and %s are both its version", model.version.name, field.name) end
      model.version = field
      field.loaded_always = true
    end
  end
  model.marks_updates = model.stamp ~= nil or model.version ~= nil -- each update of a row is to be seen in it
end

return traits
