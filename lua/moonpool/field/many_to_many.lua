-- The relation to any number of rows of another entity, which have any number of it too. It has no column: a table
-- between the two holds the pairs, made by moonpool.resolve.relations or declared as an entity (through).

local base = require "moonpool.field.base"
local leading = require "moonpool.field.leading"
local vocabulary = require "moonpool.vocabulary"

local ManyToMany = {}
for name, method in pairs(base.Field) do ManyToMany[name] = method end
ManyToMany.__index = ManyToMany

ManyToMany.target = leading.target

return {
  name = "many_to_many",
  options = { inverse = true, through = true, lazy = true },
  untyped = { lazy = true },
  refused = {
    null = true, unique = true, index = true, primary_key = true, column = true, validate = true, server_default = true,
    default = true, choices = true,
  },
  metatable = ManyToMany,

  start = function(field, declaration)
    field.many = true
    field.target_name = declaration.target
  end,

  prepare = function(field)
    leading.check_options(field)
    local through = field.through
    if through == nil then return end
    field.through = base.entity_name(through)
    if field.through == nil or field.through == "" or #field.through > 63 then
      base.bad_option(field, ("through is an entity, its name, or the name of a table, not %s"):format(
        vocabulary.quoted(through)))
    end
  end,
}
