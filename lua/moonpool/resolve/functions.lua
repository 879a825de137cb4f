-- Functions of mp.fn that are no aggregates: how many arguments they take, of which kinds, and what they give. A name
-- that is not here never reaches SQL. A dialect that spells one differently says so in its own file. An entry has
--   least, most   arguments
--   takes, each   kinds of all arguments, or of each; same: all of one kind, alike: the first and the third
--   kind, null    of what it gives; fn(arguments)
--   slots         by place: what converts a value that stands there
--   constants     by place: fn(value), the value as it is written, or nil and what is wanted
--   window        whether it stands in mp.over only
--   build         fn(arguments), the node instead of a call

local errors = require "moonpool.errors"
local node = require "moonpool.tree.node"
local part = require "moonpool.lookup.part"
local vocabulary = require "moonpool.vocabulary"

local functions = {}

-- ---- what entries are made of ----

local function any_null(arguments)
  for _, argument in ipairs(arguments) do
    if argument.null then return true end
  end
  return false
end

local function all_null(arguments)
  for _, argument in ipairs(arguments) do
    if not argument.null then return false end
  end
  return true
end

local function never_null() return false end
local function always_null() return true end

local function kind_of_first(arguments)
  for _, argument in ipairs(arguments) do
    if argument.kind then return argument.kind end
  end
end

local function kinds(names)
  local set = {}
  for name in names:gmatch "%S+" do set[name] = true end
  return set
end

local NUMBER, TEXT, INT = kinds "int float decimal", kinds "text", kinds "int"
local DATED = kinds "date datetime walltime"
local ORDERED = kinds "int float decimal text date time datetime walltime uuid"

-- A whole number within bounds, as PostgreSQL's functions take them.
local function whole(least, what)
  return {
    kind = "int",
    convert = function(_, value)
      if type(value) == "number" and value % 1 == 0 and value >= least and value <= 2147483647 then return math.floor(value) end
      errors.raise("bad_argument", ("%s is a whole number from %d, not %s"):format(what, least, vocabulary.quoted(value)))
    end,
  }
end

-- ---- texts ----

local function of_text(name, most)
  functions[name] = { least = 1, most = most or 1, takes = TEXT, kind = "text", null = any_null }
end
for name in ("lower upper trim ltrim rtrim"):gmatch "%S+" do of_text(name) end

functions.length = { least = 1, most = 1, takes = TEXT, kind = "int", null = any_null }
functions.concat = { least = 2, most = 20, takes = TEXT, kind = "text", null = any_null }
functions.replace = { least = 3, most = 3, takes = TEXT, kind = "text", null = any_null }

-- The place of the second text in the first, counted in characters from 1; 0 if it is not there.
functions.strpos = { least = 2, most = 2, takes = TEXT, kind = "int", null = any_null }

-- substr(text, first, count): characters, counted from 1. Where an expression gives them, a first below 1 is 1 and a count
-- below 0 is 0.
functions.substr = {
  least = 2, most = 3, each = { TEXT, INT, INT }, kind = "text", null = any_null,
  slots = { nil, whole(1, "the first character of mp.fn.substr"), whole(0, "the count of mp.fn.substr") },
}

-- ---- numbers ----

functions.abs = { least = 1, most = 1, takes = NUMBER, kind = kind_of_first, null = any_null }
functions.sign = { least = 1, most = 1, takes = NUMBER, kind = "int", null = any_null }
functions.floor = { least = 1, most = 1, takes = NUMBER, kind = kind_of_first, null = any_null }
functions.ceil = { least = 1, most = 1, takes = NUMBER, kind = kind_of_first, null = any_null }

-- round(x, digits): half away from zero, of a float by the digits that it prints.
functions.round = {
  least = 1, most = 2, takes = NUMBER, kind = kind_of_first, null = any_null,
  constants = { nil, function(value)
    if type(value) == "number" and value % 1 == 0 and value >= 0 and value <= 30 then return ("%.0f"):format(value) end
    return nil, "the digits are a whole number from 0 to 30"
  end },
}

-- Floats, as the C library calculates. What has no answer (the root of -1) raises.
for name in ("sqrt exp ln"):gmatch "%S+" do
  functions[name] = { least = 1, most = 1, takes = NUMBER, kind = "float", null = any_null }
end
functions.power = { least = 2, most = 2, takes = NUMBER, kind = "float", null = any_null }
functions.log = { least = 2, most = 2, takes = NUMBER, kind = "float", null = any_null } -- of the base and of the number
functions.random = { least = 0, most = 0, kind = "float", null = never_null }

-- ---- values of one kind ----

functions.coalesce = { least = 2, most = 20, same = true, null = all_null }
functions.nullif = { least = 2, most = 2, same = true, null = always_null }

-- NULL if one of them is.
functions.greatest = { least = 2, most = 20, same = true, takes = ORDERED, null = any_null }
functions.least = { least = 2, most = 20, same = true, takes = ORDERED, null = any_null }

-- ---- times ----

functions.now = { least = 0, most = 0, kind = "datetime", null = never_null }
functions.current_date = { least = 0, most = 0, kind = "date", null = never_null }

-- Parts of dates and times are lookups as well.
for name, takes in pairs(part.kinds) do
  if name ~= "len" then
    functions[name] = {
      least = 1, most = 1, takes = takes, null = any_null,
      build = function(arguments) return node.part(arguments[1], name) end,
    }
  end
end

local UNITS = kinds "year quarter month week day hour minute second"
local UNITS_OF_A_DATE = kinds "year quarter month week day"

-- date_trunc(unit, x): the beginning of the year, month ... that x is in; a week begins on Monday.
functions.date_trunc = {
  least = 2, most = 2, each = { nil, DATED },
  constants = { function(value)
    if UNITS[value] then return value end
    return nil, "the unit is year, quarter, month, week, day, hour, minute or second" .. vocabulary.suggest(value, UNITS)
  end },
  build = function(arguments)
    local unit, operand = arguments[1].value, arguments[2]
    if operand.kind == "date" and not UNITS_OF_A_DATE[unit] then
      errors.raise("bad_argument", ("mp.fn.date_trunc: a date has no %s"):format(unit))
    end
    return { op = "truncated", unit = unit, operand = operand, kind = operand.kind, null = operand.null }
  end,
}

-- ---- windows ----

for name in ("row_number rank dense_rank"):gmatch "%S+" do
  functions[name] = { least = 0, most = 0, kind = "int", null = never_null, window = true }
end
for name in ("percent_rank cume_dist"):gmatch "%S+" do
  functions[name] = { least = 0, most = 0, kind = "float", null = never_null, window = true }
end
functions.ntile = {
  least = 1, most = 1, each = { INT }, kind = "int", null = never_null, window = true,
  slots = { whole(1, "the number of parts of mp.fn.ntile") },
}
for name in ("lag lead"):gmatch "%S+" do
  functions[name] = {
    least = 1, most = 3, each = { nil, INT }, alike = true, kind = kind_of_first, null = always_null, window = true,
    slots = { nil, whole(0, "the distance of mp.fn." .. name) },
  }
end
for name in ("first_value last_value"):gmatch "%S+" do
  functions[name] = { least = 1, most = 1, kind = kind_of_first, null = always_null, window = true }
end
functions.nth_value = {
  least = 2, most = 2, each = { nil, INT }, kind = kind_of_first, null = always_null, window = true,
  slots = { nil, whole(1, "the row of mp.fn.nth_value") },
}

return functions
