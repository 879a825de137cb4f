-- Database URLs: the text that says where a database is becomes a table of options.
-- Knows the forms of the URL, not what the options mean. No message repeats the URL: it may hold a password.

local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"

local url = {}

-- scheme -> dialect, and the port when it is not the dialect's own
local schemes = {
  sqlite = { "sqlite" },
  postgres = { "postgres" },
  postgresql = { "postgres" },
  yugabyte = { "postgres", 5433 },
  mariadb = { "mariadb" },
  mysql = { "mariadb" },
}

local function bad(why)
  return errors.raise("configuration", "database URL: " .. why)
end

local function decode(text, part)
  local left = text:gsub("%%%x%x", "")
  if left:find("%", 1, true) then
    bad("a % in the " .. part .. " starts an escape of two hexadecimal digits; write %25 for a percent sign")
  end
  local plain = text:gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end)
  if plain:find("\0", 1, true) then
    bad("the " .. part .. " holds a NUL byte")
  end
  return plain
end

local function read_query(text, options)
  for pair in text:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]+)=(.*)$")
    if name == nil then
      bad("write options as name=value, separated by &")
    end
    name, value = decode(name, "options"), decode(value, "options")
    if options[name] ~= nil then
      bad("the option " .. name .. " is given twice")
    end
    options[name] = value
  end
end

-- sqlite:path  sqlite::memory:  sqlite://  sqlite:///relative  sqlite:////absolute
local function sqlite(rest)
  if rest:sub(1, 2) == "//" then
    local host, path = rest:match("^//([^/]*)/?(.*)$")
    if host ~= "" then
      bad("sqlite has no host: write sqlite:///relative/path, sqlite:////absolute/path or sqlite:path")
    end
    rest = path
  end
  if rest == "" then
    rest = ":memory:"
  end
  return decode(rest, "path")
end

local function port_of(text)
  local port = text:match("^%d+$") and tonumber(text)
  if not port or port < 1 or port > 65535 then
    bad("the port must be a number from 1 to 65535")
  end
  return port
end

--- The options that a URL stands for; query parameters come along as texts.
---@param text string
---@return table options dialect host port user password database and the query parameters
--- Raises configuration.
function url.parse(text)
  local scheme, rest = text:match("^([%a][%w+.%-]*):(.*)$")
  if scheme == nil then
    bad("it must begin with a scheme, such as sqlite:library.db or postgres://user@host/database")
  end
  scheme = scheme:lower():match("^[^+]*") -- postgresql+asyncpg: the driver is ours to choose
  local known = schemes[scheme]
  if known == nil then
    bad("unknown scheme " .. scheme .. vocabulary.suggest(scheme, schemes)
      .. "; there are sqlite, postgres, postgresql, yugabyte, mariadb and mysql")
  end

  local options = {}
  local before, query = rest:match("^([^?]*)%?(.*)$")
  if before then
    rest = before
    read_query(query, options)
  end
  options.dialect = known[1]
  if scheme == "sqlite" then
    options.database = sqlite(rest)
    return options
  end

  local authority, path = rest:match("^//([^/]*)/?(.*)$")
  if authority == nil then
    bad("write " .. scheme .. "://user:password@host:port/database")
  end
  local account, place = authority:match("^(.*)@([^@]*)$")
  if account then
    local user, password = account:match("^([^:]*):(.*)$")
    options.user = decode(user or account, "user")
    options.password = password and decode(password, "password")
  end
  place = place or authority
  local host, port = place:match("^%[([^%]]*)%]:?(.*)$") -- [::1]:5432
  if host == nil then
    host, port = place:match("^([^:]*):?(.*)$")
  end
  options.host = host ~= "" and decode(host, "host") or nil
  options.port = port ~= "" and port_of(port) or known[2]
  options.database = path ~= "" and decode(path, "database name") or nil
  return options
end

url.schemes = schemes

return url
