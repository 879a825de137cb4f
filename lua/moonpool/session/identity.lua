-- The identity map of a session: one object for each row. Objects are known by their database, their table and their
-- key, in the order in which they came. They are held strongly: an object is a plain table, and one that was changed
-- and dropped by the program must be written all the same.

local relation = require "moonpool.entity.relation"

local identity = {}

local getmetatable, ipairs = getmetatable, ipairs

---@class moonpool.identity
---@field tables moonpool.rows[] in the order in which they were met
local Map = {}
Map.__index = Map

---@class moonpool.rows of one table
---@field by_key table<any, table>
---@field list (table|false)[] the objects as they came; false: no longer known
---@field n integer
---@field place table<table, integer>
---@field key_of table<table, any>
local Rows = {}
Rows.__index = Rows

function identity.new()
  return setmetatable({ tables = {}, by_database = {} }, Map)
end

--- The rows of a class's table; made if there are none yet.
---@return moonpool.rows
function Map:rows(class, database)
  local of_database = self.by_database[database]
  if of_database == nil then
    of_database = {}
    self.by_database[database] = of_database
  end
  local name = class.model.table
  local rows = of_database[name]
  if rows == nil then
    rows = setmetatable({
      name = name, database = database, by_key = {}, list = {}, n = 0, place = {}, key_of = {},
    }, Rows)
    of_database[name] = rows
    self.tables[#self.tables + 1] = rows
  end
  return rows
end

--- The rows that the object is among, or nil.
function Map:rows_of(object)
  local name = getmetatable(object).class.model.table
  for _, rows in ipairs(self.tables) do
    if rows.name == name and rows.place[object] then
      return rows
    end
  end
  return nil
end

--- What an object is known by; nil while it has no key.
function identity.key(class, object)
  return relation.key_of(object, class.model.key)
end

--- The same from values that a program gave: one, or a table for several, by field name or in order; nil where one is
--- missing.
--- Raises bad_argument for a value that is none of the field's.
function identity.key_given(model, given)
  local values, several = {}, model.key[2] ~= nil
  for place, field in ipairs(model.key) do
    local value = given
    if several and given[1] ~= nil then
      value = given[place]
    elseif several then
      value = given[field.name]
      if value == nil then
        value = given[field.attribute]
      end
    end
    if value == nil then
      return nil
    end
    values[field.attribute] = field:convert(value)
  end
  return relation.key_of(values, model.key)
end

function Rows:add(object, key)
  local n = self.n + 1
  self.n = n
  self.list[n], self.place[object] = object, n
  self.by_key[key], self.key_of[object] = object, key
end

function Rows:remove(object)
  local at = self.place[object]
  if at then
    local key = self.key_of[object]
    self.list[at] = false
    self.place[object], self.key_of[object] = nil, nil
    if self.by_key[key] == object then
      self.by_key[key] = nil
    end
  end
end

--- Whether the object is known by that key.
function Rows:is_at(object, key)
  return self.key_of[object] == key
end

--- All objects that are known now.
function Rows:each()
  local at, list, n = 0, self.list, self.n
  return function()
    repeat
      at = at + 1
    until at > n or list[at]
    return list[at] or nil
  end
end

return identity
