-- The relation to one row of another entity that no other row has: a belongs_to whose column is unique, so that the
-- inverse side is one object or nil.

local base = require "moonpool.field.base"
local belongs_to = require "moonpool.field.belongs_to"

local definition = {}
for name, part in pairs(belongs_to) do definition[name] = part end

definition.name = "one_to_one"

function definition.prepare(field)
  if rawget(field, "said_unique") == false then
    base.bad_option(field, "a one_to_one is always unique: for several rows use belongs_to")
  end
  belongs_to.prepare(field)
end

function definition.start(field, declaration)
  belongs_to.start(field, declaration)
  field.said_unique = declaration.options.unique
  field.one, field.unique = true, true
end

return definition
