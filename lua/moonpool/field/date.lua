-- Days of the calendar.

local base = require "moonpool.field.base"

return {
  name = "date",
  kind = "date",
  options = { min = true, max = true },
  take = base.take_by "date",
  prepare = base.prepare_range,
  check = base.check_range,
  accepts = base.accepts_kind,
}
