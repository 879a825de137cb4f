-- What the types of text share: valid UTF-8 without NUL, lengths in characters.

local base = require "moonpool.field.base"
local core = require "moonpool.core"
local vocabulary = require "moonpool.vocabulary"

local text_length = core.text_length

local characters = {}

function characters.take(field, value)
  if type(value) == "table" then
    local key, reason = base.object_key(field, value)
    if key == nil then return base.cannot_take(field, value, reason) end
    value = key
  end
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
    local length = type(value) == "string" and text_length(value)
    return length and length >= low and length <= high
  end
end

function characters.prepare(field)
  if field.max_length ~= nil then
    if field.max ~= nil then base.bad_option(field, "max and max_length are the same: give one") end
    field.max = field.max_length
  end
  for _, name in ipairs { "min", "max" } do
    local v = field[name]
    if v ~= nil and not (type(v) == "number" and v % 1 == 0 and v >= 0) then
      base.bad_option(field, ("%s is a number of characters, not %s"):format(name, vocabulary.quoted(v)))
    end
  end
end

return characters
