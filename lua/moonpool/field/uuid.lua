-- UUIDs, as text in lower case.

local base = require "moonpool.field.base"

local take = base.take_by "uuid"

return {
  name = "uuid",
  kind = "uuid",
  options = {},
  take = function(field, value)
    if type(value) == "table" then
      local key, reason = base.object_key(field, value)
      if key == nil then return base.cannot_take(field, value, reason) end
      value = key
    end
    return take(field, value)
  end,
}
