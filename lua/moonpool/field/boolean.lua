-- true and false. A number is none.

local base = require "moonpool.field.base"

local take = base.take_by "bool"

return {
  name = "boolean",
  kind = "bool",
  options = {},
  take = function(field, value)
    if type(value) == "boolean" then return value end
    if type(value) ~= "string" then return base.cannot_take(field, value) end
    return take(field, value)
  end,
  accepts = function()
    return function(value) return type(value) == "boolean" end, { "boolean" }
  end,
}
