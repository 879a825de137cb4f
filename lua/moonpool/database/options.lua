-- The options of a database: which there are, what they take, and their defaults.
-- Turns a URL or a table into one checked table. An option that the dialect has no use for is refused, never ignored.

local errors = require "moonpool.errors"
local url = require "moonpool.database.url"
local vocabulary = require "moonpool.vocabulary"

local options = {}

-- What an option takes: value -> value or nil, and what it takes in words.
local takes = {}

function takes.text(value)
  return type(value) == "string" and not value:find("\0", 1, true) and value or nil, "a string without NUL"
end

function takes.number(value)
  return type(value) == "number" and value >= 0 and value or nil, "a number, 0 or more"
end

function takes.seconds(value)
  return type(value) == "number" and value > 0 and value or nil, "a number of seconds greater than 0"
end

function takes.count(value)
  local fits = type(value) == "number" and value >= 0 and value % 1 == 0 and value < 2 ^ 31
  return fits and value or nil, "a whole number, 0 or more"
end

function takes.some(value)
  value = takes.count(value)
  return value ~= 0 and value or nil, "a whole number, 1 or more"
end

function takes.port(value)
  value = takes.some(value)
  return value and value <= 65535 and value or nil, "a whole number from 1 to 65535"
end

function takes.flag(value)
  if type(value) == "boolean" then
    return value
  end
  return nil, "true or false"
end

takes["function"] = function(value)
  return type(value) == "function" and value or nil, "a function"
end

-- A copy: what is added to the table later was not checked.
function takes.methods(value)
  local copy = {}
  for name, method in pairs(type(value) == "table" and value or {}) do
    local own = type(name) == "string" and not vocabulary.session_methods[name]
    if not own or type(method) ~= "function" then
      return nil, type(name) == "string" and not own
        and "methods of your own: " .. name .. " is one that every session has" or "a table of functions by name"
    end
    copy[name] = method
  end
  return type(value) == "table" and copy or nil, "a table of functions by name"
end

function takes.secret(value)
  if type(value) == "function" then
    return value
  end
  return takes.text(value) or nil, "a string or a function that gives one"
end

function takes.echo(value)
  if type(value) == "function" then
    return value
  end
  local flag = takes.flag(value)
  return flag, "true, false or a function that takes a line"
end

local sqlite = { sqlite = true }
local postgres = { postgres = true }
local servers = { postgres = true, mariadb = true }

local pool = {
  min = { "count", default = 1 },
  max = { "some", default = 10 },
  timeout = { "seconds", default = 30 },
  max_idle = { "number", default = 300 },
  max_lifetime = { "number", default = 3600 },
  max_uses = { "count" },
  pipeline = { "flag", only = postgres, why = "only PostgreSQL has a pipeline" },
  leak_after = { "seconds" },
}

local retry = {
  attempts = { "some", default = 3 },
  backoff = { "number", default = 0.1 },
}

local tls = {
  mode = { "text", one_of = { off = true, prefer = true, require = true, verify_ca = true, verify_full = true } },
  ca = { "text" },
  cert = { "text" },
  key = { "text" },
}

local session_attrs = {
  any = true, ["read-write"] = true, ["read-only"] = true, primary = true, standby = true, ["prefer-standby"] = true,
}

local known = {
  url = { "text" },
  dialect = { "text" },
  host = { "text", server = true },
  port = { "port", server = true },
  user = { "text", server = true },
  password = { "secret", server = true },
  database = { "text" },
  pool = { table = pool },
  statement_cache = { "count", default = 100 },
  connect_timeout = { "seconds", default = 10 },
  command_timeout = { "seconds" },
  retry = { table = retry },
  echo = { "echo", default = false },
  slow_ms = { "number" },
  on_connect = { "function" },
  max_rows = { "some" },
  max_bytes = { "some" },
  mode = {
    "text", only = sqlite, why = "only a SQLite file is opened in a mode", one_of = { ro = true, rw = true, rwc = true },
  },
  inline_reads = { "flag", only = sqlite, why = "only SQLite reads on the loop's own thread" },
  tls = { table = tls, only = servers, why = "SQLite has no connection to encrypt" },
  pooler = { "flag", only = servers, why = "SQLite has no pooler in front of it" },
  application_name = { "text", only = postgres, why = "only PostgreSQL's sessions have a name" },
  target_session_attrs = {
    "text", only = postgres, why = "only PostgreSQL's hosts are chosen by what they are", one_of = session_attrs,
  },
  socket = { "text", only = { mariadb = true }, why = "only MariaDB has an option for its unix socket (PostgreSQL: host)" },
  options = { "text", only = postgres, why = "only PostgreSQL's server takes options when a session begins" },
  replicas = { unsupported = "replicas are not built yet" },
  router = {
    unsupported = "routing between databases is not built yet: name one with using(...) or the entity's option database",
  },
  session_methods = { "methods" },
}

local dialects = { mysql = "mariadb", postgresql = "postgres", sqlite3 = "sqlite" }
local all_dialects = {
  sqlite = true, postgres = true, mariadb = true, mysql = true, yugabyte = true, fake = true, fake_file = true,
}
local default_ports = { yugabyte = 5433 }

-- What other libraries call them. They are not taken, only known.
local elsewhere = {
  db = "database", dbname = "database", filename = "database", name = "database", path = "database",
  username = "user", passwd = "password", pass = "password",
  provider = "dialect", driver = "dialect", engine = "dialect", uri = "url", dsn = "url",
  minsize = "pool.min", min_size = "pool.min", pool_min = "pool.min",
  maxsize = "pool.max", max_size = "pool.max", pool_max = "pool.max", pool_size = "pool.max",
  pool_timeout = "pool.timeout", ssl = "tls.mode", sslmode = "tls.mode",
}

local function suggest(path, name, names)
  local found = vocabulary.nearest(name, names)
  local ours = not found and elsewhere[name]
  if ours and (path == "" or ours:find(path, 1, true) == 1) then
    return " (did you mean " .. ours .. "?)"
  end
  return found and " (did you mean " .. path .. found .. "?)" or ""
end

local function check_one(path, spec, value)
  if spec.unsupported then
    return errors.raise("unsupported", "option " .. path .. ": " .. spec.unsupported)
  end
  local taken, wants = takes[spec[1]](value)
  if taken == nil then
    return errors.raise("configuration", "option " .. path .. " takes " .. wants)
  end
  if spec.one_of and not spec.one_of[taken] then
    return errors.raise("configuration", "option " .. path .. ": no " .. vocabulary.quoted(taken)
      .. vocabulary.suggest(taken, spec.one_of))
  end
  return taken
end

local function check_table(path, specs, given)
  if type(given) ~= "table" then
    return errors.raise("configuration", "option " .. path .. " takes a table")
  end
  local checked = {}
  for name, value in pairs(given) do
    local spec = specs[name]
    if spec == nil then
      return errors.raise("unknown_option", "no option " .. path .. "." .. tostring(name)
        .. suggest(path .. ".", tostring(name), specs))
    end
    checked[name] = check_one(path .. "." .. name, spec, value)
  end
  return checked
end

local function fill(specs, checked)
  for name, spec in pairs(specs) do
    if checked[name] == nil then
      checked[name] = spec.default
    end
  end
  return checked
end

local numbers = { number = true, seconds = true, count = true, some = true, port = true }
local flags = { flag = true, echo = true }
local words = { ["true"] = true, ["1"] = true, ["false"] = false, ["0"] = false }

-- A URL's query parameters are texts.
local function from_text(spec, text)
  local kind = spec and spec[1]
  if numbers[kind] then
    return tonumber(text) or text
  elseif flags[kind] and words[text] ~= nil then
    return words[text]
  end
  return text
end

-- A URL's pool.max=5 is the option max of the table pool.
local function unfold(given)
  local found = {}
  for name, value in pairs(given) do
    local group, inner = name:match("^(%l+)%.([%l_]+)$")
    local specs = group and known[group] and known[group].table
    if specs then
      found[group] = found[group] or {}
      found[group][inner] = from_text(specs[inner], value)
    else
      found[name] = from_text(known[name], value)
    end
  end
  return found
end

local function merge(into, from)
  for name, value in pairs(from) do
    if type(value) == "table" and type(into[name]) == "table" then
      merge(into[name], value)
    else
      into[name] = value
    end
  end
  return into
end

-- Behind a transaction pooler each transaction may meet another session, so nothing may be kept in one.
local function suit_pooler(checked, given)
  if checked.pool.pipeline then
    errors.raise("configuration", "option pool.pipeline: behind a pooler statements do not share connections")
  elseif given.statement_cache ~= nil and checked.statement_cache > 0 then
    errors.raise("configuration", "option statement_cache: behind a pooler no statements are kept (leave it out)")
  end
  checked.pool.pipeline = false
  checked.statement_cache = 0
end

-- The dialect's own rules.
local function suit(checked, given)
  local dialect = checked.dialect
  for name, spec in pairs(known) do
    if given[name] ~= nil and spec.only and not spec.only[dialect] then
      errors.raise("unsupported", "option " .. name .. ": " .. spec.why)
    elseif given[name] ~= nil and spec.server and dialect == "sqlite" then
      errors.raise("unsupported", "option " .. name .. ": SQLite is a file, it has no " .. name)
    end
  end
  for name, spec in pairs(pool) do
    if given.pool and given.pool[name] ~= nil and spec.only and not spec.only[dialect] then
      errors.raise("unsupported", "option pool." .. name .. ": " .. spec.why)
    end
  end
  if checked.pool.min > checked.pool.max then
    if given.pool and given.pool.min ~= nil then
      errors.raise("configuration", "option pool.min is greater than pool.max")
    end
    checked.pool.min = checked.pool.max
  end
  if checked.pooler then
    suit_pooler(checked, given)
  elseif checked.pool.pipeline == nil and dialect == "postgres" then
    checked.pool.pipeline = true
  end
end

--- Whether a table given to configure holds options, rather than databases by name.
---@param given table
---@return boolean
function options.are(given)
  for name in pairs(given) do
    if known[name] then
      return true
    end
  end
  return false
end

--- Every option there is, for suggestions.
---@return table<string, any>
function options.names()
  return known
end

local function suggest_any(name, in_postgres_url)
  local found = suggest("", tostring(name), known)
  return found == "" and in_postgres_url and vocabulary.suggest(tostring(name), url.libpq_names) or found
end

--- Check what a database was configured with.
---@param given string|table a URL, or options (a URL among them, which they override)
---@return table options complete, with `pool` and `retry` tables
--- Raises configuration, unknown_option, unsupported.
function options.read(given, more)
  if type(given) == "string" then
    given = merge({ url = given }, more or {})
  elseif type(given) ~= "table" then
    return errors.raise("configuration", "a database is configured with a URL or a table of options, not with a "
      .. type(given))
  end
  local location
  if given.url ~= nil then
    location = check_one("url", known.url, given.url)
    given = merge(unfold(url.parse(location)), given)
  end

  local checked = {}
  for name, value in pairs(given) do
    local spec = known[name]
    if spec == nil then
      return errors.raise("unknown_option", "no option " .. tostring(name) .. suggest_any(name, location ~= nil and given.dialect == "postgres"))
    elseif spec.table then
      checked[name] = check_table(name, spec.table, value)
    else
      checked[name] = check_one(name, spec, value)
    end
  end
  checked.url = nil

  local dialect = checked.dialect
  if dialect == nil then
    return errors.raise("configuration", "the dialect is missing: give a url, or dialect = \"sqlite\"")
  elseif not all_dialects[dialect] and not dialects[dialect] then
    return errors.raise("configuration", "unknown dialect " .. vocabulary.quoted(dialect)
      .. vocabulary.suggest(dialect, all_dialects))
  end
  checked.port = checked.port or default_ports[dialect]
  checked.dialect = dialect == "yugabyte" and "postgres" or dialects[dialect] or dialect

  checked.pool = fill(pool, checked.pool or {})
  checked.retry = fill(retry, checked.retry or {})
  fill(known, checked)
  if checked.database == nil and checked.dialect == "sqlite" then
    checked.database = ":memory:"
  end
  suit(checked, given)
  return checked
end

return options
