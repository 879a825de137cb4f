-- What every object answers to: save, delete, refresh, is_dirty, dirty_fields, to_table.

local deleting = require "moonpool.entity.deleting"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local inserting = require "moonpool.entity.inserting"
local loading = require "moonpool.entity.loading"
local object = require "moonpool.entity.object"
local rereading = require "moonpool.entity.rereading"
local relation = require "moonpool.entity.relation"
local state = require "moonpool.entity.state"
local updating = require "moonpool.entity.updating"
local vocabulary = require "moonpool.vocabulary"

local methods = object.methods

local function place_of(self)
  if not object.is(self) then
    return errors.raise("bad_argument", "a method of an object is called with a colon: author:save()")
  end
  local class = getmetatable(self).class
  local batch = state.batch_of(self)
  local other = batch and batch.database
  return class, other or loading.database_of(class), other
end

local function check_options(what, options, known)
  if type(options) ~= "table" then
    return errors.raise("bad_argument", what .. " takes a table of options, not " .. vocabulary.quoted(options))
  end
  for name, value in pairs(options) do
    if not known[name] then
      return errors.raise("unknown_option", what .. " takes no option " .. tostring(name)
        .. vocabulary.suggest(tostring(name), known))
    elseif known[name] ~= type(value) then
      return errors.raise("bad_argument", what .. ": " .. name .. " is a " .. known[name] .. ", not "
        .. vocabulary.quoted(value))
    end
  end
end

local SAVE = { fields = "table", insert = "boolean" }
local TO_TABLE = { exclude = "table", only = "table", with = "table" }

--- Insert what was never loaded or saved; of the rest, write the changed columns.
---@param options {fields: string[]?, insert: boolean?}?
---@return table self
--- Raises validation, stale, integrity and the other errors of a statement.
function methods:save(options)
  if options then
    check_options("save", options, SAVE)
  end
  local class, database, other = place_of(self)
  local fields = options and options.fields
  for _, name in ipairs(fields or {}) do
    class.model:field(name) -- raises, with the nearest name
  end
  if state.is_new(self) or options and options.insert then
    if fields then
      return errors.raise("bad_argument", "save{ fields = ... } writes an object that is in the database; a new one is inserted whole")
    end
    return inserting.insert(self, class, database, other)
  end
  return updating.update(self, class, database, fields)
end

-- Options of other methods would be dropped without a word.
local function takes_nothing(name, given)
  if given ~= nil then
    return errors.raise("bad_argument", name .. " of an object takes no argument, such as " .. vocabulary.quoted(given))
  end
end

--- Delete the row. The object is new again, without its generated key; where the entity has soft_delete the row is only
--- marked as deleted.
---@return integer rows
--- Raises stale, foreign_key and the other errors of a statement.
function methods:delete(given)
  takes_nothing("delete", given)
  local class, database = place_of(self)
  return deleting.delete(self, class, database)
end

--- Take back a delete() of an entity with soft_delete.
---@return table self
--- Raises stale, bad_argument.
function methods:restore(given)
  takes_nothing("restore", given)
  local class, database = place_of(self)
  return deleting.restore(self, class, database)
end

--- Delete the row for good, also where the entity has soft_delete.
---@return integer rows
--- Raises stale, foreign_key and the other errors of a statement.
function methods:purge(given)
  takes_nothing("purge", given)
  local class, database = place_of(self)
  return deleting.purge(self, class, database)
end

--- Read the row again.
---@return table self
--- Raises not_found.
function methods:refresh(given)
  takes_nothing("refresh", given)
  local class, database = place_of(self)
  return rereading.refresh(self, class, database)
end

--- Whether save would write something.
---@return boolean
function methods:is_dirty(given)
  takes_nothing("is_dirty", given)
  return state.is_new(self) or updating.dirty_fields(self)[1] ~= nil
end

--- The fields whose value the database does not have.
---@return string[]
function methods:dirty_fields(given)
  takes_nothing("dirty_fields", given)
  return updating.dirty_fields(self)
end

local function set_of(class, names)
  local set = {}
  for _, name in ipairs(names) do
    local field = class.model.by_name[name]
    for _, column in ipairs(field and field:locals() or {}) do
      set[column.attribute] = true
    end
    if field == nil and class.model.inverses[name] == nil then
      class.model:field(name) -- raises, with the nearest name
    end
  end
  return set
end

-- The relations of `with` as a tree: { name, with = names behind it }.
local function with_of(class, names)
  local list, by_name = {}, {}
  for _, path in ipairs(names) do
    if type(path) ~= "string" then
      return errors.raise("bad_argument", "to_table: with is an array of names of relations")
    end
    local name, rest = path:match "^(.-)__(.*)$"
    name = name or path
    if not relation.link(class.model, name) then
      return relation.unknown(class.model, name, "to_table")
    end
    local one = by_name[name]
    if one == nil then
      one = { name = name, with = {} }
      by_name[name], list[#list + 1] = one, one
    end
    one.with[#one.with + 1] = rest
  end
  return list
end

-- What is loaded of a relation, as plain tables; nothing is asked for.
local function related_table(self, one)
  local link = relation.link(getmetatable(self).class.model, one.name)
  local inside = one.with[1] and { with = one.with } or nil
  if link.one then
    local other = relation.known(self, link)
    return other and other:to_table(inside)
  end
  local rows = state.related(self, link.rows)
  if rows == nil then
    return nil
  end
  local list = core.array{}
  for place, other in ipairs(rows) do
    list[place] = other:to_table(inside)
  end
  return list
end

-- A value of JSON or an array by itself: what is done to the copy is no change of the object.
local function copied(value, copies)
  if type(value) ~= "table" then
    return value
  end
  copies = copies or {}
  local copy = copies[value]
  if copy == nil then
    copy = setmetatable({}, getmetatable(value))
    copies[value] = copy
    for key, item in next, value do
      copy[key] = copied(item, copies)
    end
  end
  return copy
end

--- A plain table of what is loaded, which the caller may change.
---@param options {exclude: string[]?, only: string[]?, with: string[]?}? with: relations, of which what is loaded
--- is given, to many as arrays; "books__tags" goes on
---@return table
--- Raises unknown_field, unknown_option.
function methods:to_table(options)
  if options then
    check_options("to_table", options, TO_TABLE)
  end
  options = options or {}
  local meta = getmetatable(self)
  local class = meta.class
  local exclude = set_of(class, options.exclude or {})
  local only = options.only and set_of(class, options.only)
  local plain = {}
  for _, name in ipairs(meta.plan.names) do
    if not exclude[name] and (only == nil or only[name]) then
      plain[name] = copied(rawget(self, name))
    end
  end
  for _, one in ipairs(with_of(class, options.with or {})) do
    plain[one.name] = related_table(self, one)
  end
  return plain
end

return methods
