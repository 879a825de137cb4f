-- Query sets as the program sees them: the shapes of moonpool.sql.query with the terminals that run them. A query
-- set is immutable, knows no rows, and is no array: what treats it as one is told so.

local errors = require "moonpool.errors"
local query = require "moonpool.sql.query"
local registry = require "moonpool.database.registry"
local vocabulary = require "moonpool.vocabulary"

local class = {}

---@class moonpool.query
local QuerySet = { __name = "moonpool query set", __json = "a query set: call :all() first" }
class.metatable = QuerySet

-- Method tables of the other files are merged in; names are those of api.md section 4.
local methods = {}
class.methods = methods
QuerySet.__index = methods

for name, method in pairs(query.methods) do
  methods[name] = method
end

local function no_array(what)
  return function(self)
    return errors.raise("bad_argument", what .. " of a query set of " .. self.model.name
      .. ": a query set is no array; :all() gives one, :iter() goes through the rows, :count() counts them")
  end
end

QuerySet.__len = no_array "#"
QuerySet.__pairs = no_array "pairs"

-- What a node may have, or not: reading these asks for nothing.
local KEYS = { model = true, shape = true, slots = true, top = true, skip = true, extra = true }

setmetatable(methods, {
  __index = function(_, name)
    if KEYS[name] then
      return nil
    elseif type(name) == "number" then
      return errors.raise("bad_argument", "a query set is no array: :all() gives one, :iter() goes through the rows")
    end
    return errors.raise("bad_argument", "a query set has no method " .. vocabulary.quoted(name)
      .. vocabulary.suggest(name, methods))
  end,
})

function QuerySet:__newindex(name, value)
  if KEYS[name] then -- a node that is being made
    return rawset(self, name, value)
  end
  return errors.raise("bad_argument", "a query set cannot be changed (" .. tostring(name)
    .. "): its methods give new ones")
end

function QuerySet:__tostring()
  return "query set of " .. self.model.name
end

--- The same rows of another database, by name or handle.
---@return moonpool.query
--- Raises unknown_database, not_configured.
function methods:using(name)
  local extra = {}
  for key, value in pairs(self.extra or extra) do
    extra[key] = value
  end
  extra.database = registry.db(name)
  return query.with(self, extra)
end

function methods.export()
  return errors.raise("unsupported", "export is not built yet: go through the rows with :iter()")
end

return class
