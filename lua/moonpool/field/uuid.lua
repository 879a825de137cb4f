-- UUIDs, as text in lower case.

local base = require "moonpool.field.base"

return {
  name = "uuid",
  kind = "uuid",
  options = {},
  take = base.take_by "uuid",
}
