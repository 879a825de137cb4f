-- The registry of lookups: what may stand behind the last "__" of a filter key, and behind a column's
-- methods. A lookup is one entry in comparison.lua or text.lua:
--   takes   "one" value, a "list", a "pair" or a "flag" (true or false)
--   kinds   the kinds of columns it is for (none given: all but json, which has isnull only)
--   build   makes the condition

local comparison = require "moonpool.lookup.comparison"
local errors = require "moonpool.errors"
local text = require "moonpool.lookup.text"
local vocabulary = require "moonpool.vocabulary"

local lookup = { entries = {} }

for _, room in ipairs { comparison, text } do
  for name, entry in pairs(room) do
    entry.name = name
    lookup.entries[name] = entry
  end
end

local entries = lookup.entries

-- like and ilike are methods of columns, not keys.
local NOT_A_KEY = { like = true, ilike = true }

function lookup.is_key(name)
  return entries[name] ~= nil and not NOT_A_KEY[name]
end

-- What can be asked of a key of several columns.
local OF_KEY = { exact = true, ne = true, ["in"] = true, not_in = true, isnull = true }

local function suits(entry, kind)
  if kind == "row" then return OF_KEY[entry.name] or false end
  if kind == "json" then return entry.name == "isnull" end
  return not entry.kinds or kind == nil or entry.kinds[kind] or false
end

--- The entry of that name for a column, or raises unknown_lookup (unsupported if it is not built).
---@param name string
---@param kind string?   the kind of what stands on the left
---@param title string   how that reads in a message: "string field User.name"
---@param from_key boolean?  whether it was written in a key
---@return table
function lookup.get(name, kind, title, from_key)
  local entry = entries[name]
  if entry and suits(entry, kind) and not (from_key and NOT_A_KEY[name]) then return entry end
  if vocabulary.later_lookups[name] or (entry and kind == "json") then
    errors.raise("unsupported", ("the lookup %s for %s is not built yet"):format(name, title))
  end
  local candidates = {}
  for other, candidate in pairs(entries) do
    if suits(candidate, kind) and not NOT_A_KEY[other] then candidates[other] = true end
  end
  errors.raise("unknown_lookup", ("no lookup %s for %s%s"):format(vocabulary.quoted(name), title,
    vocabulary.suggest(name, candidates)))
end

return lookup
