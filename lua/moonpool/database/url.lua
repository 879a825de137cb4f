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

-- The names that other programs know a PostgreSQL URL's parameters by.
url.libpq_names = {
  sslmode = "tls.mode", sslrootcert = "tls.ca", sslcert = "tls.cert", sslkey = "tls.key", dbname = "database",
}
local tls_modes = {
  disable = "off", prefer = "prefer", require = "require", ["verify-ca"] = "verify_ca", ["verify-full"] = "verify_full",
}

local function as_ours(name, value)
  if name == "sslmode" and value == "allow" then
    return errors.raise("unsupported", "database URL: sslmode=allow would encrypt only what the server does not take "
      .. "unencrypted: write sslmode=prefer, or sslmode=disable")
  elseif name == "sslmode" and not tls_modes[value] then
    return errors.raise("configuration", "database URL: no sslmode " .. vocabulary.quoted(value)
      .. vocabulary.suggest(value, tls_modes) .. "; there are disable, prefer, require, verify-ca, verify-full")
  elseif name == "sslrootcert" and value == "system" then
    return errors.raise("unsupported", "database URL: sslrootcert=system: leave it out, what the system trusts is used "
      .. "where no file is named")
  elseif name == "sslmode" then
    value = tls_modes[value]
  end
  return url.libpq_names[name] or name, value
end

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
  local options = {
    dialect = scheme[1], host = parts.host, port = parts.port, user = parts.user, password = parts.password,
    database = parts.database,
  }
  for _, option in ipairs(parts.options) do
    local name, value = option[1], option[2]
    if name == "url" or name == "dialect" then
      return errors.raise("unknown_option", "database URL: no option " .. name .. " in a URL")
    elseif options.dialect == "postgres" then
      name, value = as_ours(name, value)
    end
    if options[name] ~= nil then
      return errors.raise("configuration", "database URL: the option " .. option[1] .. " is given twice")
    end
    options[name] = value
  end
  options.port = options.port or scheme[2]
  return options
end

return url
