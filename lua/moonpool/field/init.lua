-- The registry of field types. A type is one file in this folder and one name in the list below.

local base = require "moonpool.field.base"
local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"

local NAMES = {
  "id", "smallint", "integer", "bigint", "float", "decimal", "boolean", "string", "text", "binary",
  "date", "time", "datetime", "interval", "uuid", "json", "enum", "array",
}

local field = { types = {} }

local Declaration = { __json = "a field" } -- no data, in JSON and in mp.show
Declaration.__index = Declaration

function Declaration.__tostring(self) return "a field of type " .. self.definition.name end

-- Counts declarations: the fields of a table constructor are made from left to right, so the
-- numbers give the order in which the user wrote them, which pairs does not.
local made = 0

local function declare(definition, options)
  made = made + 1
  return setmetatable({ definition = definition, options = options, number = made }, Declaration)
end

local function copied(options, title)
  if options == nil then return {} end
  if type(options) ~= "table" or getmetatable(options) ~= nil then
    errors.raise("bad_argument", ("%s takes a table of options, not %s"):format(title, vocabulary.quoted(options)))
  end
  local copy = {}
  for name, value in pairs(options) do copy[name] = value end
  return copy
end

for _, name in ipairs(NAMES) do
  local definition = require("moonpool.field." .. name)
  field.types[name] = function(options)
    return declare(definition, copied(options, "mp.field." .. name))
  end
end

local function relation(name)
  local definition = require("moonpool.field." .. name)
  return function(target, options)
    local target_name = base.entity_name(target)
    if target_name == nil then
      errors.raise("bad_argument", ("mp.field.%s takes an entity or its name, not %s"):format(name,
        vocabulary.quoted(target)))
    end
    local declaration = declare(definition, copied(options, "mp.field." .. name))
    declaration.target = target_name
    return declaration
  end
end

--- A column that holds the key of one row of another entity.
---@type fun(target: string|table, options: table?): table
field.types.belongs_to = relation "belongs_to"

--- The same for a row that no other row leads to: the inverse is one object.
---@type fun(target: string|table, options: table?): table
field.types.one_to_one = relation "one_to_one"

--- Any number of rows of another entity; a table between the two holds the pairs.
---@type fun(target: string|table, options: table?): table
field.types.many_to_many = relation "many_to_many"

setmetatable(field.types, {
  __index = function(_, name)
    errors.raise("bad_argument", ("there is no field type %s%s"):format(vocabulary.quoted(name),
      vocabulary.suggest(name, field.types)))
  end,
})

--- Whether v is what f.integer{...} gives.
function field.is_declaration(v)
  return type(v) == "table" and getmetatable(v) == Declaration
end

field.bind = base.bind

--- fn(value, field), field being a key or a relation, gives the key of an object, or nil (and why): so
--- objects stand wherever a key does.
---@param fn fun(value: table, field: table): any, string?
function field.set_key_of(fn)
  base.key_of = fn
end

return field
