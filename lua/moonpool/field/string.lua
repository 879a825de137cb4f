-- Short text with a greatest length in characters, 255 if none is given.

local base = require "moonpool.field.base"
local characters = require "moonpool.field.characters"

local MOST = 10485760 -- PostgreSQL's

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
    if field.max < 1 or field.max > MOST then
      base.bad_option(field, ("max is a number of characters from 1 to %d, not %d: f.text{ max = ... } may be longer"):format(MOST,
        field.max))
    end
  end,
}
