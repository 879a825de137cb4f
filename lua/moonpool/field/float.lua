-- Floating point numbers of 64 bits. NaN and the infinities are refused: MariaDB has none of them
-- and SQLite stores NaN as NULL.

local base = require "moonpool.field.base"

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
}
