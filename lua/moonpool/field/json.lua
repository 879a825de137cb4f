-- JSON: Lua tables, texts, numbers and booleans; mp.null inside is JSON's null, alone it is NULL.

local base = require "moonpool.field.base"

return {
  name = "json",
  kind = "json",
  options = {},
  take = function(field, value)
    local kind = type(value)
    if kind == "function" or kind == "thread" then return base.cannot_take(field, value) end
    return value
  end,
}
