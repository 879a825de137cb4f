-- Exact decimal numbers with a fixed number of digits: precision in all, scale of them behind the
-- point. A value with more digits behind the point is refused, never rounded.

local base = require "moonpool.field.base"
local core = require "moonpool.core"
local vocabulary = require "moonpool.vocabulary"

local decimal_fits = core.decimal_fits
local take = base.take_by "decimal"

local function is_count(v, low, high)
  return type(v) == "number" and v % 1 == 0 and v >= low and v <= high
end

return {
  name = "decimal",
  kind = "decimal",
  options = { min = true, max = true, precision = true, scale = true },
  take = function(field, value)
    if type(value) == "boolean" then return base.cannot_take(field, value) end
    return take(field, value)
  end,

  -- 65 and 38 are what MariaDB takes, the narrowest of the three.
  prepare = function(field)
    if field.precision == nil then field.precision = 18 end
    if field.scale == nil then field.scale = 2 end
    if not is_count(field.precision, 1, 65) then
      base.bad_option(field, ("precision is a number of digits from 1 to 65, not %s"):format(vocabulary.quoted(field.precision)))
    end
    if not is_count(field.scale, 0, math.min(38, field.precision)) then
      base.bad_option(field, ("scale is a number of digits from 0 to %d, not %s"):format(math.min(38, field.precision),
        vocabulary.quoted(field.scale)))
    end
    base.prepare_range(field)
  end,

  check = function(field, value)
    local exact = core.quantize(value, field.scale, true)
    if exact == nil then
      return ("has more than %d digits behind the point: %s"):format(field.scale, vocabulary.quoted(value))
    end
    local digits = #tostring(exact):match("^%-?0*(%d*)")
    if digits > field.precision - field.scale then
      return ("has more than %d digits before the point: %s"):format(field.precision - field.scale, vocabulary.quoted(value))
    end
    return base.check_range(field, exact), exact
  end,

  accepts = function(field)
    local scale, limit = field.scale, 10 ^ field.precision
    local ranged = field.min ~= nil or field.max ~= nil
    return function(value)
      return decimal_fits(value, scale, limit) and (not ranged or base.check_range(field, value) == nil)
    end, not ranged and { "decimal", scale, limit } or nil
  end,
}
