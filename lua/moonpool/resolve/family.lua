-- Entities that extend others: one table for all, a column that tells whose a row is. A child has its parent's fields and
-- its own, which are columns of the same table that other rows leave NULL.

local base = require "moonpool.field.base"
local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"

local family = {}

local function bad(model, message, ...)
  errors.raise("bad_argument", model.name .. ": " .. message:format(...))
end

local INHERITED = { "table", "schema", "database", "primary_key", "timestamps", "soft_delete" }

--- The parent that a model's options name, or nil. Raises bad_argument.
---@param registry table<string, table>
function family.parent_of(model, options, registry)
  local named = options.extends
  if named == nil then return nil end
  local name = base.entity_name(named)
  if name == nil then bad(model, "extends is an entity or its name, not %s", vocabulary.quoted(named)) end
  local parent = registry[name]
  if not parent then
    bad(model, "it extends %s, which is not declared before it%s", name, vocabulary.suggest(name, registry))
  elseif name == model.name then
    bad(model, "it cannot extend itself")
  end
  for _, option in ipairs(INHERITED) do
    if options[option] ~= nil then
      bad(model, "%s is an option of %s, whose table it shares", option, parent.name)
    end
  end
  local discriminator = options.discriminator or parent.discriminator
  if not discriminator then
    bad(model, "extends needs discriminator = \"kind\", the field that tells its rows from those of %s", parent.name)
  elseif parent.discriminator and discriminator ~= parent.discriminator then
    bad(model, "the discriminator of %s is %s, not %s", parent.name, parent.discriminator, vocabulary.quoted(discriminator))
  end
  local ok, why = vocabulary.is_name(discriminator)
  if not ok then bad(model, "discriminator is the name of a field, not %s, which %s", vocabulary.quoted(discriminator), why) end
  return parent, discriminator
end

--- Take over what a child has from its parent, but for the fields.
function family.inherit(model, parent)
  model.parent, model.base = parent, parent.base
  model.table, model.schema, model.database = parent.table, parent.schema, parent.database
  if model.options.order_by == nil then model.order_by = parent.order_by end
  model.discriminator, model.times, model.soft_delete = parent.discriminator, parent.times, parent.soft_delete
end

-- One column cannot be two fields.
local function check_columns(model)
  for _, field in ipairs(model.base.stored) do
    for _, own in ipairs(model.fields) do
      if not own.inherited and field.model.name ~= model.name and own.column:lower() == field.column:lower() then
        bad(model, "%s is the column of %s in the table %s already: give it column = ...", vocabulary.quoted(own.column),
          field:title(), model.table)
      end
    end
  end
end

-- What extends a model extends the one that takes its place.
local function hand_over(from, to)
  to.children, from.children = from.children, {}
  for _, child in ipairs(to.children) do child.parent = to end
end

--- Make a declared child known to its parent, in place of an earlier one of its name.
function family.join(model)
  check_columns(model)
  local children = model.parent.children
  for i, child in ipairs(children) do
    if child.name == model.name then
      hand_over(child, model)
      children[i] = model
      return
    end
  end
  children[#children + 1] = model
end

--- A model was declared again: what still extends the former one has its table and fields, which are not meant any more.
function family.leave_behind(former)
  for _, child in ipairs(former.children) do
    child.left_behind = child.left_behind or former.name
    family.leave_behind(child)
  end
end

--- Undo family.join: the declaration failed. before: the one in whose place it came, if there was one.
function family.leave(model, before)
  local children = model.parent.children
  for i, child in ipairs(children) do
    if child == model then
      if before and before.parent == model.parent then
        hand_over(model, before)
        children[i] = before
      else
        table.remove(children, i)
      end
      return
    end
  end
end

--- A model and all that extend it.
---@return table[]
function family.members(model)
  local list = {}
  local function add(one)
    list[#list + 1] = one
    for _, child in ipairs(one.children) do add(child) end
  end
  add(model)
  return list
end

--- The fields that a row of the model's queries has: its own, and those of all that extend it.
---@return table[]
function family.stored(model)
  if not model.children[1] then return model.fields end
  local list = {}
  for _, member in ipairs(family.members(model)) do
    for _, field in ipairs(member.fields) do
      if member == model or not field.inherited then list[#list + 1] = field end
    end
  end
  return list
end

--- The names that the discriminator of a child's rows may have; nil where every row of the table is meant.
---@return string[]?
function family.kinds(model)
  if not model.parent then return nil end
  local names = {}
  for i, member in ipairs(family.members(model)) do names[i] = member.name end
  return names
end

--- The model of that name among a model and what extends it, or nil.
function family.member(model, name)
  for _, member in ipairs(family.members(model)) do
    if member.name == name then return member end
  end
  return nil
end

--- Whether a model is another one or extends it.
function family.is_a(model, other)
  while model do
    if model == other then return true end
    model = model.parent
  end
  return false
end

return family
