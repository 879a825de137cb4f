-- The relation to one row of another entity: a column that holds its key, or one for each part of a key of several
-- columns. The other entity may be declared later: what depends on it (the kind of the column, its parts) is found
-- when it is first wanted; moonpool.resolve.relations puts the columns in their places.

local base = require "moonpool.field.base"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local leading = require "moonpool.field.leading"
local vocabulary = require "moonpool.vocabulary"

local ACTIONS = { restrict = true, cascade = true, set_null = true, set_default = true, no_action = true, protect = true }

local BelongsTo = {}
for name, method in pairs(base.Field) do BelongsTo[name] = method end

BelongsTo.target = leading.target

--- The fields of the other model whose values the columns hold: its key.
---@return table[] fields
function BelongsTo:keys() return self:target().key end

--- The columns' fields, in the order of keys(): the relation itself, or its parts.
---@return table[] fields
function BelongsTo:locals()
  return self.parts or { self }
end

--- The field of the other model whose value the column holds.
---@return table field
function BelongsTo:key_field()
  local target = self:target()
  if #target.key ~= 1 then
    errors.raise("internal", ("%s leads to %s, whose key has %d columns"):format(self:title(), target.name, #target.key))
  end
  return target.key[1]
end

function BelongsTo:origin() return self:key_field():origin() end

function BelongsTo.__index(field, name)
  local method = BelongsTo[name]
  if method ~= nil then return method end
  if name == "kind" or name == "kind_name" then
    if field.parts then return name == "kind" and core.kind.null or "row" end
    return field:key_field()[name]
  end
  return nil
end

local function action(field, option)
  local value = field[option]
  if value == nil then
    field[option] = "restrict"
    return
  end
  if not ACTIONS[value] then
    base.bad_option(field, ("%s is no %s%s"):format(vocabulary.quoted(value), option, vocabulary.suggest(value, ACTIONS)))
  end
  if value == "protect" and option == "on_update" then
    base.bad_option(field, 'on_update = "protect" says nothing: "restrict" keeps a key that is referred to')
  end
  if value == "set_null" and not field.null then
    base.bad_option(field, option .. ' = "set_null" needs null = true')
  end
  if value == "set_default" and field.default == nil and field.server_default == nil then
    base.bad_option(field, option .. ' = "set_default" needs a default')
  end
end

-- The name of the column, or of each column where the other key has several.
local function check_columns(field)
  local column = field.column
  if type(column) == "table" and #column > 0 then
    for _, name in ipairs(column) do
      if type(name) ~= "string" then base.bad_option(field, "column is a name, or a list of names") end
    end
    field.column_names, field.column = column, column[1]
  elseif column ~= nil and type(column) ~= "string" then
    base.bad_option(field, ("column is a name, or a list of names, not %s"):format(vocabulary.quoted(column)))
  end
end

local definition = {
  name = "belongs_to",
  options = { inverse = true, on_delete = true, on_update = true, lazy = true },
  untyped = { column = true, lazy = true },
  refused = { choices = true },
  metatable = BelongsTo,

  start = function(field, declaration)
    field.relation = true
    field.target_name = declaration.target
    field.attribute = field.name .. "_id"
    field.attribute_of_one = field.attribute
  end,

  prepare = function(field)
    check_columns(field)
    leading.check_options(field)
    field.acts = { on_delete = field.on_delete ~= nil, on_update = field.on_update ~= nil }
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

-- ---- the columns of a relation to a key of several ----

-- One column of such a relation. Its values are those of the part of the key that it refers to.
local Part = {}
for name, method in pairs(base.Field) do Part[name] = method end

function Part:origin() return rawget(self, "refers_to"):origin() end

function Part.__index(field, name)
  local method = Part[name]
  if method ~= nil then return method end
  if name == "kind" or name == "kind_name" then return rawget(field, "refers_to")[name] end
  return nil
end

local part_definition = {
  name = "part", options = {},
  take = function(field, value) return field.refers_to:take(value) end,
}

--- The fields of the columns of a relation whose target's key has several. Raises bad_argument for options that only
--- make sense of one column.
---@param field table  belongs_to
---@param key table[]  the fields of the target's key
---@return table[]
function definition.parts(field, key)
  for _, option in ipairs { "default", "server_default", "validate" } do
    if field[option] ~= nil then
      base.bad_option(field, ("%s leads to a key of %d columns and takes no %s"):format(field.target_name, #key, option))
    end
  end
  local columns = field.column_names
  if columns and #columns ~= #key or not columns and field.column ~= field.attribute_of_one then
    base.bad_option(field, ("column names each of the %d columns: column = { ... }"):format(#key))
  end
  local parts = {}
  for i, refers_to in ipairs(key) do
    local name = field.name .. "_" .. refers_to.attribute
    parts[i] = setmetatable({
      definition = part_definition, type = refers_to.type, name = name, attribute = name,
      column = columns and columns[i] or name, model = field.model, null = field.null, unique = false, index = false,
      primary_key = field.primary_key, relation = false, generated = false, part_of = field, refers_to = refers_to,
    }, Part)
  end
  return parts
end

return definition
