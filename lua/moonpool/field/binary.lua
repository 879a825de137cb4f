-- Bytes: Lua strings (or mp.blob) as they are. max and min count bytes.

local base = require "moonpool.field.base"
local characters = require "moonpool.field.characters"

local take = base.take_by "blob"

return {
  name = "binary",
  kind = "blob",
  options = { min = true, max = true, max_length = true },
  take = function(field, value)
    if type(value) == "string" then return value end
    if type(value) == "number" or type(value) == "boolean" then return base.cannot_take(field, value) end
    return take(field, value)
  end,
  prepare = characters.prepare,
  check = function(field, value)
    local bytes = #tostring(value)
    if field.max and bytes > field.max then return ("must have at most %d bytes, not %d"):format(field.max, bytes) end
    if field.min and bytes < field.min then return ("must have at least %d bytes, not %d"):format(field.min, bytes) end
  end,
}
