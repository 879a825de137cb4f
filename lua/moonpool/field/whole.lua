-- The types of whole numbers: they differ in their range, which is the same on every database.

local base = require "moonpool.field.base"
local core = require "moonpool.core"

local math_type = math.type
local convert, INT = core.convert, core.kind.int

local whole = {}

-- Beyond this a Lua number of LuaJIT is not exact and an int64_t is wanted; core.convert knows them.
local EXACT = 2 ^ 53

local is_whole
if math_type then
  function is_whole(v) return math_type(v) == "integer" end
else
  function is_whole(v) return type(v) == "number" and v % 1 == 0 and v > -EXACT and v < EXACT end
end

-- Can it be compared with as a float?
local function is_limit(v)
  return v == nil or type(v) == "number" and v >= -EXACT and v <= EXACT
end

-- A counter that begins at 1 and is kept by what writes objects.
local function prepare_version(field)
  if field.version ~= true then base.bad_option(field, "version is true or is left out") end
  for _, name in ipairs { "null", "primary_key", "lazy", "default", "server_default", "choices" } do
    if field[name] then
      base.bad_option(field, ("a version counts from 1 by itself: it takes no %s"):format(name))
    end
  end
  field.default = 1
end

--- A type of this name for numbers of so many bits.
---@param name string
---@param bits integer
function whole.type(name, bits)
  local low, high
  if bits < 64 then low, high = -2 ^ (bits - 1), 2 ^ (bits - 1) - 1 end

  local function take(field, value)
    local taken = value
    if not is_whole(value) then
      local kind = type(value)
      if kind == "boolean" or kind == "table" then return base.cannot_take(field, value) end
      local why
      taken, why = convert(INT, value)
      if taken == nil then return base.cannot_take(field, value, why) end
    end
    if low and (taken < low or taken > high) then
      return base.cannot_take(field, value, ("it has %d bits"):format(bits))
    end
    return taken
  end

  return {
    name = name,
    kind = "int",
    bits = bits,
    options = { min = true, max = true, version = true },
    take = take,
    prepare = function(field)
      base.prepare_range(field)
      if field.version then prepare_version(field) end
      if field.primary_key then field.way_out = ": the program gives this key, f.id() is one that the database makes" end
    end,
    check = base.check_range,
    accepts = function(field)
      local least, most = field.min or low, field.max or high
      local rule = is_limit(least) and is_limit(most) and { "whole", least, most } or nil
      if least == nil and most == nil then return is_whole, rule end
      return function(value)
        return is_whole(value) and (least == nil or value >= least) and (most == nil or value <= most)
      end, rule
    end,
  }
end

return whole
