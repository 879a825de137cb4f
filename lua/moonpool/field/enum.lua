-- One of the texts that the declaration lists: f.enum{ "draft", "done" }.

local base = require "moonpool.field.base"
local characters = require "moonpool.field.characters"
local vocabulary = require "moonpool.vocabulary"

return {
  name = "enum",
  kind = "text",
  options = { collation = true },
  refused = { choices = true },

  start = function(field, declaration)
    local values, options = {}, {}
    for key, value in pairs(declaration.options) do
      if type(key) == "number" then values[key] = value else options[key] = value end
    end
    field.values = values
    if #values == 0 then base.bad_option(field, "an enum lists its values: f.enum{ \"draft\", \"done\" }") end
    field.is_value = {}
    for i, value in ipairs(values) do
      if characters.take(field, value) == nil then
        base.bad_option(field, ("value %d of an enum is a text, not %s"):format(i, vocabulary.quoted(value)))
      end
      if field.is_value[value] then base.bad_option(field, ("the value %s is there twice"):format(vocabulary.quoted(value))) end
      field.is_value[value] = true
    end
    return options
  end,

  prepare = characters.prepare,

  take = function(field, value)
    if field.is_value[value] then return value end
    local taken, why = characters.take(field, value)
    if taken == nil then return nil, why end
    return base.cannot_take(field, value, "its values are " .. table.concat(field.values, ", "))
  end,
}
