-- What all fields share: options, conversion, validation, defaults. A type (integer.lua, string.lua
-- ...) says which kind its values have, which options it takes and what it checks beyond its kind.
-- Knows no SQL: what a column is called in CREATE TABLE is the dialect's business.
--
-- A type is a table with
--   name, kind           "integer", and a name of core.kind
--   options              set of the option names it takes beside the common ones
--   prepare(field)       checks its options when an entity is declared (optional)
--   take(field, value)   the value as its kind, or nil and why not
--   check(field, value)  why a value that was taken may not be stored, or nil (optional)
--   accepts(field)       fn(value): true for the plain values that take and check leave as they are; not
--                        NULL. False says nothing yet. And the same as a rule of core.plain_rows, without the name: { what, low,
--                        high }, or nil. (optional: most values need no more than this)

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"

local null = core.null
local convert, kind_of = core.convert, core.kind_of

local base = {}

local Field = {}
Field.__index = Field
base.Field = Field

local COMMON = {
  null = "boolean", unique = "boolean", index = "boolean", primary_key = "boolean", column = "string",
  validate = "function", server_default = "string", default = "any", choices = "table", lazy = "boolean",
}

--- The key of an object, for a value handed to a key or a relation; set by the room of entities,
--- which alone knows objects.
base.key_of = function() return nil end

--- The name of an entity, or the text that stands for it; nil for anything else.
---@param v any
---@return string?
function base.entity_name(v)
  local meta = type(v) == "table" and getmetatable(v)
  local class = type(meta) == "table" and rawget(meta, "class")
  if class then return class.name end
  return type(v) == "string" and v or nil
end

-- Options are read in this order so that a wrong declaration gives the same error each time.
local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

local function bad_option(field, message)
  errors.raise("bad_argument", field:title() .. ": " .. message)
end
base.bad_option = bad_option

local function read_options(field, options)
  local kind = field.definition
  for _, name in ipairs(sorted_keys(options)) do
    local value = options[name]
    if not (kind.options[name] or COMMON[name]) or (kind.refused and kind.refused[name]) then
      local candidates = {}
      for candidate in pairs(COMMON) do candidates[candidate] = true end
      for candidate in pairs(kind.options) do candidates[candidate] = true end
      for candidate in pairs(kind.refused or {}) do candidates[candidate] = nil end
      errors.raise("unknown_option", ("%s: a field of type %s takes no option %s%s"):format(field:title(), kind.name,
        type(name) == "string" and name or vocabulary.quoted(name), vocabulary.suggest(name, candidates)))
    end
    local wanted = not (kind.untyped and kind.untyped[name]) and COMMON[name]
    if wanted and wanted ~= "any" and type(value) ~= wanted then
      bad_option(field, ("%s is a %s, not %s"):format(name, wanted, vocabulary.quoted(value)))
    end
    field[name] = value
  end
end

--- Turn a declaration (f.integer{...}) into the field of a model.
---@param declaration table
---@param model table
---@param name string
---@param position integer
function base.bind(declaration, model, name, position)
  local definition = declaration.definition
  local field = setmetatable({
    definition = definition,
    type = definition.name,
    name = name,
    attribute = name,
    model = model,
    position = position,
    null = false,
    unique = false,
    index = false,
    primary_key = false,
    relation = false,
    generated = false,
  }, definition.metatable or Field)
  if definition.kind then
    field.kind_name = definition.kind
    field.kind = core.kind[definition.kind]
  end
  local options = declaration.options
  if definition.start then options = definition.start(field, declaration) or options end
  read_options(field, options)
  field.column = field.column or field.attribute
  field.computed = declaration.computed -- by the database, of other columns: of tables that were there before
  if field.primary_key and field.null then bad_option(field, "a primary key cannot be NULL") end
  if field.primary_key and field.lazy == true then bad_option(field, "a primary key is loaded always: it cannot be lazy") end
  if definition.prepare then definition.prepare(field) end
  if field.choices then
    if #field.choices == 0 then bad_option(field, "choices lists at least one value") end
    for i, choice in ipairs(field.choices) do
      local taken, why = field:take(choice)
      if taken == nil then bad_option(field, ("choice %d %s"):format(i, why)) end
    end
  end
  -- the default of a relation is asked later: the other entity may not be declared yet
  if field.default ~= nil and type(field.default) ~= "function" and field.default ~= null and not field.relation then
    local _, why = field:check(field.default)
    if why then bad_option(field, "its default " .. why) end
  end
  if definition.accepts and not field.choices and not field.validate and not field.computed then
    field.accepts, field.rule = definition.accepts(field)
  end
  return field
end

--- "User.age", for messages.
---@return string
function Field:title() return self.model.name .. "." .. self.name end

--- The field that says what the column holds: of a relation, the key that it refers to.
---@return table
function Field:origin() return self end

--- The fields of the columns that hold its value, and those whose names an object has.
---@return table[]
function Field:locals() return { self } end

-- Where the field is a key, an object stands for its own.
local function take(field, value)
  if type(value) == "table" and field.primary_key and not field.relation then
    local key, why = base.key_of(value, field)
    if why then return base.cannot_take(field, value, why) end
    if key ~= nil then value = key end
  end
  return field.definition.take(field, value)
end

--- The value as this field's kind; a text is read. Not for NULL.
---@param value any
---@return any value, string? why
function Field:take(value)
  return take(self, value)
end

--- As take, or raises bad_argument.
---@param value any
---@return any
function Field:convert(value)
  local taken, why = take(self, value)
  if taken == nil then
    errors.raise("bad_argument", ("%s: %s"):format(self:title(), why))
  end
  return taken
end

local function same(a, b)
  return a == b or (type(a) ~= "number" and type(a) ~= "string" and tostring(a) == tostring(b))
end

local function is_choice(field, value)
  for _, choice in ipairs(field.choices) do
    if same(field:take(choice), value) then return true end
  end
  return false
end

--- The value as it is stored, or nil and why it may not be. NULL gives nil without a reason where it is
--- allowed; nil (not mp.null) also where the database makes the value. What the user's validate raises passes through.
---@param value any
---@param object table?  the object it belongs to, for validate
---@return any value, string? why
function Field:check(value, object)
  if value == nil or value == null then
    if self.null or (value == nil and (self.generated or self.server_default)) then return nil end
    return nil, value == nil and self.way_out and "must not be NULL" .. self.way_out or "must not be NULL"
  end
  local definition = self.definition
  if self.computed then return nil, "is calculated by the database: it cannot be assigned" end
  local taken, why = take(self, value)
  if taken == nil then return nil, why end
  if definition.check then
    why, value = definition.check(self, taken)
    if why then return nil, why end
    if value ~= nil then taken = value end
  end
  if self.choices and not is_choice(self, taken) then
    return nil, ("must be one of its choices, not %s"):format(vocabulary.quoted(taken))
  end
  if self.fixed ~= nil and taken ~= self.fixed then
    return nil, ("is always %s, which tells the entity of a row, not %s"):format(vocabulary.quoted(self.fixed),
      vocabulary.quoted(taken))
  end
  if self.validate then
    local ok, message = self.validate(taken, object)
    if not ok then return nil, message and tostring(message) or "is refused by its validate" end
  end
  return taken
end

local function copied(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, item in pairs(value) do copy[key] = copied(item) end
  return setmetatable(copy, getmetatable(value))
end

--- What a new object gets where nothing is given: the value of `default`, or nil. row: what it has so far.
---@param row table?
---@return any
function Field:initial(row)
  local default = self.default
  local twin = self.same_as and row and row[self.same_as]
  if twin and twin ~= null then return self:convert(twin) end
  if default == nil or default == null then return nil end
  if type(default) == "function" then default = default() end
  if default == nil or default == null then return nil end
  local taken = self:convert(default)
  return (self.kind_name == "json" or self.kind_name == "array") and copied(taken) or taken
end

--- A reason in the form of all: `cannot take "abc" as integer`.
function base.cannot_take(field, value, why)
  return nil, ("cannot take %s as %s%s"):format(vocabulary.quoted(value), field.type, why and " (" .. why .. ")" or "")
end

--- take for kinds that the core converts.
function base.take_by(kind)
  local number = core.kind[kind]
  return function(field, value)
    local taken, why = convert(number, value)
    if taken == nil then return base.cannot_take(field, value, why) end
    return taken
  end
end

--- Check min and max of a kind whose values compare with "<".
function base.check_range(field, value)
  if field.min ~= nil and value < field.min then
    return ("must be at least %s, not %s"):format(tostring(field.min), vocabulary.quoted(value))
  end
  if field.max ~= nil and value > field.max then
    return ("must be at most %s, not %s"):format(tostring(field.max), vocabulary.quoted(value))
  end
end

--- accepts for kinds that have Lua values of their own.
function base.accepts_kind(field)
  local kind, ranged = field.kind_name, field.min ~= nil or field.max ~= nil
  return function(value)
    return kind_of(value) == kind and (not ranged or base.check_range(field, value) == nil)
  end, not ranged and { "kind", core.kind[kind] } or nil
end

--- Refuse a min that is above the max: no value could be stored.
function base.check_bounds(field)
  if field.min ~= nil and field.max ~= nil and field.max < field.min then
    bad_option(field, ("min is %s and max is %s: no value is in between"):format(tostring(field.min), tostring(field.max)))
  end
end

--- Turn the options min and max into values of the kind.
function base.prepare_range(field)
  for _, name in ipairs { "min", "max" } do
    local value = field[name]
    if value ~= nil then
      local taken, why = field:take(value)
      if taken == nil then bad_option(field, name .. " " .. why) end
      field[name] = taken
    end
  end
  base.check_bounds(field)
end

return base
