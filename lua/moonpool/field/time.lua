-- Times of day, to the microsecond.

local base = require "moonpool.field.base"

return {
  name = "time",
  kind = "time",
  options = { min = true, max = true },
  take = base.take_by "time",
  prepare = base.prepare_range,
  check = base.check_range,
  accepts = base.accepts_kind,
}
