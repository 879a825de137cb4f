-- Floating point numbers of 64 bits. NaN and the infinities are refused: MariaDB has none of them
-- and SQLite stores NaN as NULL.

local base = require "moonpool.field.base"

local math_type = math.type -- LuaJIT has none, and no integers either

local function is_float(value)
  if math_type then return math_type(value) == "float" end
  return type(value) == "number"
end

local take = base.take_by "float"

return {
  name = "float",
  kind = "float",
  options = { min = true, max = true },
  take = function(field, value)
    if type(value) == "boolean" then return base.cannot_take(field, value) end
    local taken, why = take(field, value)
    if taken == nil then return nil, why end
    if taken ~= taken or taken == math.huge or taken == -math.huge then
      return base.cannot_take(field, value, "it is not finite")
    end
    return taken
  end,
  prepare = base.prepare_range,
  check = base.check_range,
  accepts = function(field)
    local least, most = field.min or -math.huge, field.max or math.huge
    return function(value)
      return is_float(value) and value > -math.huge and value < math.huge and value >= least and value <= most
    end, { "float", least, most }
  end,
}
