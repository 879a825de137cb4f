-- Texts that stand for values in addresses and forms: JSON in the letters of base64url. They are no secret, and what a
-- stranger makes of them is refused as a value like any other.

local core = require "moonpool.core"

local token = {}

local LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
local NUMBERS = {}
for i = 1, #LETTERS do NUMBERS[LETTERS:byte(i)] = i - 1 end

local floor = math.floor

local function letter(number)
  number = floor(number)
  return LETTERS:sub(number + 1, number + 1)
end

--- A value that JSON can hold, as a token.
---@return string
function token.write(value)
  local text, parts = core.json_encode(value), {}
  for first = 1, #text, 3 do
    local a, b, c = text:byte(first, first + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    parts[#parts + 1] = letter(bits / 262144) .. letter(bits / 4096 % 64) .. (b and letter(bits / 64 % 64) or "")
      .. (c and letter(bits % 64) or "")
  end
  return table.concat(parts)
end

--- The value of a token; nil if the text is none.
function token.read(text)
  if type(text) ~= "string" or #text % 4 == 1 then
    return nil
  end
  local parts = {}
  for first = 1, #text, 4 do
    local bits, length = 0, 0
    for place = first, first + 3 do
      local byte = text:byte(place)
      local number = byte and NUMBERS[byte]
      if byte and not number then
        return nil
      end
      bits, length = bits * 64 + (number or 0), byte and length + 1 or length
    end
    local bytes = string.char(floor(bits / 65536), floor(bits / 256) % 256, bits % 256)
    parts[#parts + 1] = bytes:sub(1, length - 1)
  end
  local ok, value = pcall(core.json_decode, table.concat(parts))
  if ok then
    return value
  end
  return nil
end

return token
