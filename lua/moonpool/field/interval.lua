-- Lengths of time: months, days and microseconds, which do not turn into each other.

local base = require "moonpool.field.base"

return {
  name = "interval",
  kind = "interval",
  options = {},
  take = base.take_by "interval",
}
