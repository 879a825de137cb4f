-- Text of any length.

local characters = require "moonpool.field.characters"

return {
  name = "text",
  kind = "text",
  options = { min = true, max = true, max_length = true, collation = true },
  take = characters.take,
  check = characters.check,
  accepts = characters.accepts,
  prepare = characters.prepare,
}
