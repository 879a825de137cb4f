-- The registry of lookups: what may stand behind the last "__" of a filter key, and behind a column's
-- methods. A lookup is one entry in comparison.lua, text.lua or structure.lua:
--   takes    "one" value, a "list", a "pair" or a "flag" (true or false)
--   kinds    the kinds of columns it is for (none given: all). In JSON a text, a number or a boolean is compared as what
--            it is, so all lookups for these are for JSON as well
--   operand  optional: the kind of the value, where it is not that of the column
--   equates  optional: whether it compares tables as well
--   build    makes the condition

local comparison = require "moonpool.lookup.comparison"
local errors = require "moonpool.errors"
local part = require "moonpool.lookup.part"
local structure = require "moonpool.lookup.structure"
local text = require "moonpool.lookup.text"
local vocabulary = require "moonpool.vocabulary"

local lookup = { entries = {} }

for _, room in ipairs { comparison, text, structure } do
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

--- Whether name may be a word behind a field: a lookup or a part.
function lookup.is_word(name)
  return lookup.is_key(name) or part.kinds[name] ~= nil
end

local function suits(entry, kind)
  if kind == "row" then return OF_KEY[entry.name] or false end
  local kinds = entry.kinds
  return not kinds or kind == nil or kinds[kind] or kind == "json" and kinds.text or false
end

--- Whether name is a lookup that may stand in a key, for columns of that kind.
function lookup.suits(name, kind)
  return lookup.is_key(name) and suits(entries[name], kind)
end

--- The entry of that name for a column, or raises unknown_lookup.
---@param name string
---@param kind string?   the kind of what stands on the left
---@param title string   how that reads in a message: "string field User.name"
---@param from_key boolean?  whether it was written in a key
---@return table
function lookup.get(name, kind, title, from_key)
  local entry = entries[name]
  if entry and suits(entry, kind) and not (from_key and NOT_A_KEY[name]) then return entry end
  local candidates = {}
  for other, candidate in pairs(entries) do
    if suits(candidate, kind) and not NOT_A_KEY[other] then candidates[other] = true end
  end
  for other in pairs(part.kinds) do
    if part.suits(other, kind) then candidates[other] = true end
  end
  errors.raise("unknown_lookup", ("no lookup %s for %s%s"):format(vocabulary.quoted(name), title,
    vocabulary.suggest(name, candidates)))
end

return lookup
