-- What fields that lead to another entity have in common: finding it, and the options inverse and lazy.

local base = require "moonpool.field.base"
local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"

local leading = {}

--- The model that the field leads to. Raises unknown_field where none of its name is declared.
---@return table model
function leading:target()
  local model = self.model.find(self.target_name)
  if not model then
    errors.raise("unknown_field", ("%s leads to the entity %s, which is not declared%s"):format(self:title(),
      self.target_name, vocabulary.suggest(self.target_name, self.model.names())))
  end
  if rawget(self, "problem") then error(self.problem, 0) end
  return model
end

--- Raises bad_argument for a name or a way of loading that is none.
---@param field table
function leading.check_options(field)
  if field.inverse ~= nil then
    local ok, why = vocabulary.is_name(field.inverse)
    if not ok then base.bad_option(field, ("inverse %s %s"):format(vocabulary.quoted(field.inverse), why)) end
  end
  if field.lazy ~= nil and field.lazy ~= "raise" then
    base.bad_option(field, ('lazy of a relation is "raise", not %s: it is loaded when it is touched anyway'):format(
      vocabulary.quoted(field.lazy)))
  end
end

return leading
