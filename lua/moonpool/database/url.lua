-- Database URLs: the text that says where a database is becomes a table of options.
-- The core takes the URL apart; what a scheme stands for is decided here. No message repeats the URL:
-- it may hold a password.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"

local url = {}

-- scheme -> dialect, and the port when it is not the dialect's own
local schemes = {
  sqlite = { "sqlite" },
  fake = { "fake" },
  fake_file = { "fake_file" },
  postgres = { "postgres" },
  postgresql = { "postgres" },
  yugabyte = { "postgres", 5433 },
  mariadb = { "mariadb" },
  mysql = { "mariadb" },
}

--- The options that a URL stands for; query parameters come along as texts.
---@param text string
---@return table options dialect host port user password database and the query parameters
--- Raises configuration.
function url.parse(text)
  local named = text:match("^(%a[%w_]*)[^:/?#]*:")
  if named and not schemes[named:lower()] then
    return errors.raise("configuration", "database URL: unknown scheme " .. vocabulary.quoted(named)
      .. vocabulary.suggest(named:lower(), schemes) .. "; there are sqlite, postgres, postgresql, yugabyte, mariadb, mysql")
  end
  local parts = core.parse_url(text)
  local scheme = schemes[parts.scheme]
  local options = {}
  for _, option in ipairs(parts.options) do
    local name = option[1]
    if options[name] ~= nil then
      return errors.raise("configuration", "database URL: the option " .. name .. " is given twice")
    end
    options[name] = option[2]
  end
  options.dialect = scheme[1]
  options.host, options.port = parts.host, parts.port or scheme[2]
  options.user, options.password = parts.user, parts.password
  options.database = parts.database
  return options
end

return url
