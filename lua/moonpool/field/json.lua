-- JSON: Lua tables, texts, numbers and booleans; mp.null inside is JSON's null, alone it is NULL.

local core = require "moonpool.core"
local base = require "moonpool.field.base"

return {
  name = "json",
  kind = "json",
  options = {},
  refused = { primary_key = true },
  take = function(field, value)
    local kind = type(value)
    if kind == "function" or kind == "thread" then return base.cannot_take(field, value) end
    local ok, problem = pcall(core.json_encode, value) -- a cycle or a function deep inside is found here, by its path
    if not ok then
      return nil, "cannot take this as json: " .. (type(problem) == "table" and problem.message or tostring(problem))
    end
    return value
  end,
}
