-- What may be said of a transaction when it begins: which options there are, which values they take, and which of them
-- a database cannot keep. Checks before anything is asked of a server; begins nothing.

local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"

local begin_options = {}

local checks = {}

local function bad(message)
  return errors.raise("bad_argument", message)
end

local levels = { ["read committed"] = true, ["repeatable read"] = true, serializable = true }

function checks.isolation(level)
  local plain = type(level) == "string" and level:lower():gsub("_", " ")
  if not levels[plain] then
    bad("isolation is \"read committed\", \"repeatable read\" or \"serializable\", not " .. vocabulary.quoted(level))
  end
  return plain
end

function checks.retry(times)
  if type(times) ~= "number" or times < 0 or times % 1 ~= 0 then
    bad("retry is how many times more the block may run: a whole number, not " .. vocabulary.quoted(times))
  end
  return times > 0 and times or nil
end

for _, name in ipairs { "read_only", "durable", "deferrable" } do
  checks[name] = function(value)
    if type(value) ~= "boolean" then
      bad(name .. " is true or false, not " .. vocabulary.quoted(value))
    end
    return value
  end
end

begin_options.checks = checks

--- The options as the rest of the library takes them.
---@param options table
---@param allowed table<string, function|true> the names that this call takes, with what reads those that are only its own
---@return table
--- Raises unknown_option with the nearest name, bad_argument.
function begin_options.read(options, allowed)
  if type(options) ~= "table" or getmetatable(options) ~= nil then
    bad("the options of a transaction are a table, not " .. vocabulary.quoted(options) .. ": { isolation = \"serializable\" }")
  end
  local found = {}
  for name, value in pairs(options) do
    local check = allowed[name]
    if not check then
      return errors.raise("unknown_option", "no option " .. (type(name) == "string" and name or vocabulary.quoted(name)) .. " for a transaction"
        .. vocabulary.suggest(name, allowed))
    end
    found[name] = (checks[name] or check)(value)
  end
  return found
end

--- Can the database keep them?
---@param database table
---@param options table? as read gave them
--- Raises unsupported. What the server takes reaches it: that deferrable does nothing but in a serializable transaction that
--- reads only is the server's own rule.
function begin_options.check(database, options)
  if options and options.deferrable and database.dialect ~= "postgres" then
    return errors.raise("unsupported", "deferrable: only PostgreSQL lets a transaction wait for a moment without conflicts, and "
      .. tostring(database) .. " is " .. database.dialect .. ": leave it out")
  end
end

return begin_options
