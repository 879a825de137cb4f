-- The relation to any number of rows of another entity, which have any number of it too. It has no column: a table
-- between the two holds the pairs, made by moonpool.resolve.relations or declared as an entity (through).

local base = require "moonpool.field.base"
local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"

local ManyToMany = {}
for name, method in pairs(base.Field) do ManyToMany[name] = method end
ManyToMany.__index = ManyToMany

--- The model that the relation leads to.
---@return table model
function ManyToMany:target()
  local model = self.model.find(self.target_name)
  if not model then
    errors.raise("unknown_field", ("%s leads to the entity %s, which is not declared%s"):format(self:title(),
      self.target_name, vocabulary.suggest(self.target_name, self.model.names())))
  end
  if rawget(self, "problem") then error(self.problem, 0) end
  return model
end

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
    if field.inverse ~= nil then
      local ok, why = vocabulary.is_name(field.inverse)
      if not ok then base.bad_option(field, ("inverse %s %s"):format(vocabulary.quoted(field.inverse), why)) end
    end
    if field.lazy ~= nil and field.lazy ~= "raise" then
      base.bad_option(field, ('lazy of a relation is "raise", not %s: it is loaded when it is touched anyway'):format(
        vocabulary.quoted(field.lazy)))
    end
    local through = field.through
    if through == nil then return end
    field.through = base.entity_name(through)
    if field.through == nil or field.through == "" or #field.through > 63 then
      base.bad_option(field, ("through is an entity, its name, or the name of a table, not %s"):format(
        vocabulary.quoted(through)))
    end
  end,
}
