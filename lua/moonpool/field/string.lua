-- Short text with a greatest length in characters, 255 if none is given.

local characters = require "moonpool.field.characters"

return {
  name = "string",
  kind = "text",
  options = { min = true, max = true, max_length = true, collation = true },
  take = characters.take,
  check = characters.check,
  accepts = characters.accepts,
  prepare = function(field)
    characters.prepare(field)
    field.max = field.max or 255
  end,
}
