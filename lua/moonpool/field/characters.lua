-- What the types of text share: valid UTF-8 without NUL, lengths in characters.

local base = require "moonpool.field.base"
local core = require "moonpool.core"
local vocabulary = require "moonpool.vocabulary"

local text_length = core.text_length

local characters = {}

function characters.take(field, value)
  if type(value) ~= "string" then return base.cannot_take(field, value) end
  local length, bad = text_length(value)
  if not length then
    if value:byte(bad) == 0 then
      return base.cannot_take(field, value, ("byte %d is NUL; binary takes any bytes"):format(bad))
    end
    return base.cannot_take(field, value, ("byte %d is not valid UTF-8; binary takes any bytes"):format(bad))
  end
  return value
end

function characters.check(field, value)
  local low, high = field.min, field.max
  if not low and not high then return nil end
  local length = text_length(value)
  if high and length > high then
    return ("must have at most %d characters, not %d"):format(high, length)
  end
  if low and length < low then
    return ("must have at least %d characters, not %d"):format(low, length)
  end
end

function characters.accepts(field)
  local low, high = field.min or 0, field.max or math.huge
  return function(value)
    if type(value) ~= "string" then return false end
    local length = text_length(value)
    return length and length >= low and length <= high
  end, { "text", low, high }
end

local DIALECTS = { sqlite = true, postgres = true, mariadb = true }

-- One name for every database, or one for each: the table then names what differs from exact comparison.
local function prepare_collation(field)
  local given = field.collation
  if type(given) == "string" then
    field.collation = {}
    for dialect in pairs(DIALECTS) do field.collation[dialect] = given end
  elseif type(given) ~= "table" or next(given) == nil then
    base.bad_option(field, ("collation is a name, or a table of names by database, not %s"):format(vocabulary.quoted(given)))
  end
  for dialect in pairs(field.collation) do
    if not DIALECTS[dialect] then
      base.bad_option(field, ("collation: there is no database %s%s"):format(vocabulary.quoted(dialect),
        vocabulary.suggest(dialect, DIALECTS)))
    end
  end
  for dialect in pairs(DIALECTS) do
    local name = field.collation[dialect]
    if name ~= nil and (type(name) ~= "string" or not name:match "^[%w_.@-]+$" or #name > 63) then
      base.bad_option(field, ("collation: %s is no name of a collation"):format(vocabulary.quoted(name)))
    end
  end
end

function characters.prepare(field)
  if field.max_length ~= nil then
    if field.max ~= nil then base.bad_option(field, "max and max_length are the same: give one") end
    field.max = field.max_length
  end
  if field.collation ~= nil then prepare_collation(field) end
  for _, name in ipairs { "min", "max" } do
    local v = field[name]
    if v ~= nil and not (type(v) == "number" and v % 1 == 0 and v >= 0) then
      base.bad_option(field, ("%s is a number of characters, not %s"):format(name, vocabulary.quoted(v)))
    end
  end
  base.check_bounds(field)
end

return characters
