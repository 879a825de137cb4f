-- The databases of the program by name: mp.configure, mp.db, mp.open, mp.health, mp.close_all.

local database = require "moonpool.database.database"
local errors = require "moonpool.errors"
local options = require "moonpool.database.options"
local runtime = require "moonpool.runtime"
local vocabulary = require "moonpool.vocabulary"

local registry = {}

local by_name = {}

local function bad(message)
  return errors.raise("bad_argument", message)
end

--- Say where the databases are: a URL or options for the default one, or a table of them by name. Replaces
--- what was configured before; databases that are replaced are closed when their running work has ended.
---@param given string|table
--- Raises configuration, unknown_option, bad_argument, unsupported; then nothing has changed.
function registry.configure(given, ...)
  if select("#", ...) > 0 then
    return bad("configure takes one argument: a URL, a table of options, or a table of databases by name")
  end
  if given == nil then
    return errors.raise("configuration", "configure takes a URL, a table of options, or a table of databases by name, not nil")
  end
  local wanted = { default = given }
  if type(given) == "table" and not database.is(given) and not options.are(given) then
    wanted = given
    if next(given) == nil then
      return errors.raise("configuration", "configure got an empty table: give it a url, or databases by name")
    end
  end
  local fresh, made = {}, {}
  local ok, err = pcall(function()
    for name, one in pairs(wanted) do
      if type(name) ~= "string" then
        bad("databases are configured by name, not by " .. vocabulary.quoted(name))
      end
      local meant = wanted == given and type(one) == "string" and not one:find(":", 1, true)
        and vocabulary.suggest(name, options.names()) or ""
      if database.is(one) then
        fresh[name] = one
      elseif meant ~= "" then
        errors.raise("unknown_option", "no option " .. name .. meant)
      elseif wanted ~= given or type(one) == "string" or type(one) == "table" then
        fresh[name] = database.open(one, nil, name)
        made[#made + 1] = fresh[name]
      else
        errors.raise("unknown_option", "no option " .. name .. vocabulary.suggest(name, options.names()))
      end
    end
  end)
  if not ok then
    for _, one in ipairs(made) do
      one:close()
    end
    return error(err, 0)
  end
  local before = by_name
  by_name = fresh
  local kept = {}
  for _, one in pairs(fresh) do
    kept[one] = true
  end
  for _, one in pairs(before) do
    if not kept[one] then
      one:close()
    end
  end
  return fresh.default
end

--- A configured database.
---@param name string? "default" if not given
---@return moonpool.database
--- Raises not_configured, unknown_database.
function registry.db(name)
  local found = by_name[name or "default"]
  if found then
    return found
  elseif database.is(name) then
    return name
  elseif next(by_name) == nil then
    return errors.raise("not_configured", "no database is configured: call mp.configure(\"sqlite:library.db\") first")
  elseif name == nil then
    return errors.raise("not_configured",
      "there is no default database: configure one called default, or name one with mp.db(name)")
  elseif type(name) ~= "string" then
    return bad("a database is named by a string, not by a " .. type(name))
  end
  return errors.raise("unknown_database", "no database " .. vocabulary.quoted(name) .. " is configured"
    .. vocabulary.suggest(name, by_name))
end

--- A database that is not configured under a name.
---@param given string|table
---@param more table? options beside a URL
---@return moonpool.database
--- Raises configuration, unknown_option, bad_argument, unsupported.
function registry.open(given, more)
  if more ~= nil and (type(more) ~= "table" or type(given) ~= "string") then
    return bad("mp.open takes a URL and a table of options, or a table of options alone")
  end
  return database.open(given, more)
end

--- How the configured databases are, by name; all are asked at once, so that one that does not answer delays no other.
---@return table<string, table>
--- Raises bad_argument for an argument, and when the task is cancelled.
function registry.health(...)
  if select("#", ...) > 0 then
    return bad("mp.health takes no argument: it asks all databases; mp.db(name):health() asks one")
  end
  local names, all = {}, {}
  for name in pairs(by_name) do
    names[#names + 1] = name
  end
  local list = runtime.map(names, function(name)
    return by_name[name]:health()
  end)
  for place, name in ipairs(names) do
    all[name] = list[place]
  end
  return all
end

--- Close every open database.
---@param how {drain: number?}?
function registry.close_all(how)
  by_name = {}
  local attempts = errors.attempts()
  for _, one in ipairs(database.all()) do
    attempts:try(one.close, one, how)
  end
  return attempts:raise()
end

return registry
