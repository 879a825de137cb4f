-- The relation to one row of another entity: a column that holds its key. The other entity may be
-- declared later: what depends on it (the kind of the column) is found when it is first wanted.

local base = require "moonpool.field.base"
local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"

local ACTIONS = { restrict = true, cascade = true, set_null = true, set_default = true, no_action = true, protect = true }

local BelongsTo = {}
for name, method in pairs(base.Field) do BelongsTo[name] = method end

--- The model that the relation leads to.
---@return table model
function BelongsTo:target()
  local model = self.model.find(self.target_name)
  if not model then
    errors.raise("unknown_field", ("%s leads to the entity %s, which is not declared%s"):format(self:title(),
      self.target_name, vocabulary.suggest(self.target_name, self.model.names())))
  end
  return model
end

--- The field of the other model whose value the column holds.
---@return table field
function BelongsTo:key_field()
  local target = self:target()
  if #target.key ~= 1 then
    errors.raise("unsupported", ("%s leads to %s, whose key has %d columns: such relations are not built yet")
      :format(self:title(), target.name, #target.key))
  end
  return target.key[1]
end

function BelongsTo.__index(field, name)
  local method = BelongsTo[name]
  if method ~= nil then return method end
  if name == "kind" or name == "kind_name" then
    return field:key_field()[name]
  end
  return nil
end

local function action(field, option)
  local value = field[option] or "restrict"
  if not ACTIONS[value] then
    base.bad_option(field, ("%s is no %s%s"):format(vocabulary.quoted(value), option, vocabulary.suggest(value, ACTIONS)))
  end
  if value == "protect" then
    errors.raise("unsupported", ('%s: %s = "protect" is not built yet; "restrict" is'):format(field:title(), option))
  end
  if value == "set_null" and not field.null then
    base.bad_option(field, option .. ' = "set_null" needs null = true')
  end
  if value == "set_default" and field.default == nil and field.server_default == nil then
    base.bad_option(field, option .. ' = "set_default" needs a default')
  end
  field[option] = value
end

return {
  name = "belongs_to",
  options = { inverse = true, on_delete = true, on_update = true },
  refused = { choices = true },
  metatable = BelongsTo,

  start = function(field, declaration)
    field.relation = true
    field.target_name = declaration.target
    field.attribute = field.name .. "_id"
  end,

  prepare = function(field)
    if field.inverse ~= nil then
      local ok, why = vocabulary.is_name(field.inverse)
      if not ok then base.bad_option(field, ("inverse %s %s"):format(vocabulary.quoted(field.inverse), why)) end
    end
    action(field, "on_delete")
    action(field, "on_update")
  end,

  take = function(field, value)
    local key = field:key_field()
    if type(value) == "table" then
      local of_object, why = base.key_of(value, field)
      if of_object == nil then return base.cannot_take(field, value, why) end
      value = of_object
    end
    local taken, why = key:take(value)
    if taken == nil then return nil, why end
    return taken
  end,
}
