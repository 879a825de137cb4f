-- The dialects by name. A dialect is one file in this folder, of the same name as its backend.

local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"

local dialect = {}

local dialects = {
  sqlite = require "moonpool.dialect.sqlite",
  postgres = require "moonpool.dialect.postgres",
  mariadb = require "moonpool.dialect.mariadb",
}

--- The dialect of that name; raises bad_argument.
---@param name string
function dialect.get(name)
  local found = dialects[name]
  if not found then
    errors.raise("bad_argument", ("there is no dialect %s%s"):format(vocabulary.quoted(name),
      vocabulary.suggest(name, dialects)))
  end
  return found
end

return dialect
