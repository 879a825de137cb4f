-- Making an object that is not saved from a table of values. What it lacks takes its default at once; nothing is
-- checked here but the names.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local object = require "moonpool.entity.object"
local validation = require "moonpool.entity.validation"
local vocabulary = require "moonpool.vocabulary"

local building = {}

local rawget, rawset, ipairs, pairs = rawget, rawset, ipairs, pairs
local null = core.null

local function take_default(self, field)
  local value = field:initial(self)
  if value ~= nil then
    rawset(self, field.attribute, value)
  end
end

-- A relation and the column behind it are the same value: with both, which one counts would be chance.
local function check_once(field, values)
  for _, column in ipairs(field:locals()) do
    if column.attribute ~= field.name and values[column.attribute] ~= nil then
      return errors.raise("bad_argument", ("%s: %s and %s are one value: give one of them"):format(field.model.name, field.name,
        column.attribute))
    end
  end
end

--- A new object from a table of values, which is left alone. A nil takes the default, mp.null is NULL.
---@param convert boolean texts become values now, rather than when it is written
--- Raises unknown_field, bad_argument.
function building.build(class, values, convert)
  if type(values) ~= "table" then
    return errors.raise("bad_argument", class.name .. " is made from a table of values, not from "
      .. vocabulary.quoted(values))
  end
  local by_name = class.model.by_name
  local self = {}
  if convert and validation.fill_plain(class, values, self) then
    return setmetatable(self, class.meta)
  end
  setmetatable(self, class.meta)
  for name, value in pairs(values) do
    local field = by_name[name]
    if field == nil or field.relation then
      if field and name == field.name then
        check_once(field, values)
      end
      object.set(self, name, value)
    elseif value ~= null then
      if convert then
        local taken = field:take(value)
        if taken ~= nil then
          value = taken
        end
      end
      rawset(self, name, value)
    end
  end
  for _, field in ipairs(class.defaults) do
    local attribute = field.attribute
    if rawget(self, attribute) == nil and values[attribute] == nil and values[field.name] == nil then
      take_default(self, field)
    end
  end
  return self
end

return building
