-- The key that the database generates: a whole number of 64 bits that is never given twice.

local whole = require "moonpool.field.whole"

local id = whole.type("id", 64)

id.options = {}
id.refused = { null = true, default = true, server_default = true, unique = true, choices = true }

function id.start(field)
  field.primary_key = true
  field.generated = true
end

function id.prepare(field)
  field.primary_key = true
end

id.check = nil

return id
