-- What stands in a name behind a field or an annotation: keys of its JSON (prefs__ui__color), parts of its date
-- (joined__year), and the lookup at the end (age__gte).
--
-- Behind JSON every word is a key, but for the last one of a filter's name where that is a lookup that JSON takes: prefs__in is
-- the lookup, prefs__in__exact = 1 asks for the key "in"; prefs__year is a key, because JSON has no dates. In order_by, values
-- and mp.F, where there are no lookups, every word is a key. A word of digits is a place in an array, from 0, and the
-- key of these digits in an object.

local errors = require "moonpool.errors"
local lookup = require "moonpool.lookup"
local part = require "moonpool.lookup.part"
local vocabulary = require "moonpool.vocabulary"

local tail = {}

--- A name split at "__"; a single name has none inside, so every one separates.
---@param text string
---@return string[]
function tail.words(text)
  local words, from = {}, 1
  while true do
    local first, last = text:find("__", from, true)
    words[#words + 1] = text:sub(from, (first or 0) - 1)
    if not first then return words end
    from = last + 1
  end
end

local function check_key(key, text)
  if key == "" then errors.raise("unknown_field", ("%s: an empty name behind JSON"):format(vocabulary.quoted(text))) end
  if key:find "[%c\127]" then
    errors.raise("bad_argument", ("%s: a key of JSON in a name has no control bytes"):format(vocabulary.quoted(text)))
  end
  return key
end

--- Read words[i] and what follows it into found: keys, parts, and lookup if the last word is one.
---@param found table         { text = the whole name }
---@param kind string?        of what the words stand behind
---@param words string[]
---@param i integer
---@param with_lookup boolean whether the last word may be a lookup
---@param title string        of what they stand behind, for messages
function tail.read(found, kind, words, i, with_lookup, title)
  if kind == "json" then
    local last = #words
    if with_lookup and last >= i and lookup.suits(words[last], "json") then
      found.lookup = words[last]
      last = last - 1
    end
    for place = i, last do
      found.keys = found.keys or {}
      found.keys[#found.keys + 1] = check_key(words[place], found.text)
    end
    return
  end
  while part.suits(words[i], kind) do
    found.parts = found.parts or {}
    found.parts[#found.parts + 1] = words[i]
    title = ("the %s of %s"):format(words[i], title)
    kind = part.kind(words[i])
    i = i + 1
  end
  if i > #words then return end
  local name = words[i]
  if not with_lookup then
    errors.raise("unknown_field", ("%s: nothing is called %s behind the %s%s"):format(vocabulary.quoted(found.text),
      vocabulary.quoted(name), title, vocabulary.suggest(name, vocabulary.column_methods)))
  end
  found.lookup = name
  lookup.get(name, kind, title, true)
  if i < #words then
    errors.raise("unknown_lookup", ("%s: nothing can follow the lookup %s"):format(vocabulary.quoted(found.text), name))
  end
end

return tail
