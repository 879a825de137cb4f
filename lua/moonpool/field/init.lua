-- The registry of field types. A type is one file in this folder and one name in the list below.

local base = require "moonpool.field.base"
local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"

local NAMES = {
  "id", "smallint", "integer", "bigint", "float", "decimal", "boolean", "string", "text", "binary",
  "date", "time", "datetime", "interval", "uuid", "json", "enum", "array",
}

local LATER = { one_to_one = true, many_to_many = true }

local field = { types = {} }

local Declaration = {}
Declaration.__index = Declaration

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

local belongs_to = require "moonpool.field.belongs_to"

--- A column that holds the key of one row of another entity.
---@param target string|table  the other entity or its name
---@param options table?
function field.types.belongs_to(target, options)
  local name = type(target) == "table" and target.name or target
  if type(name) ~= "string" then
    errors.raise("bad_argument", ("mp.field.belongs_to takes an entity or its name, not %s"):format(vocabulary.quoted(target)))
  end
  local declaration = declare(belongs_to, copied(options, "mp.field.belongs_to"))
  declaration.target = name
  return declaration
end

setmetatable(field.types, {
  __index = function(_, name)
    if LATER[name] then
      return function() errors.raise("unsupported", "fields of type " .. name .. " are not built yet") end
    end
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
