-- Functions of mp.fn that are no aggregates: how many arguments they take, of which kinds, and what
-- they give. A name that is not here never reaches SQL. A dialect that spells one differently
-- says so in its own file.

local functions = {}

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

local function kind_of_first(arguments)
  for _, argument in ipairs(arguments) do
    if argument.kind then return argument.kind end
  end
end

local NUMBER = { int = true, float = true, decimal = true }
local TEXT = { text = true }

functions.lower = { least = 1, most = 1, takes = TEXT, kind = "text", null = any_null }
functions.upper = { least = 1, most = 1, takes = TEXT, kind = "text", null = any_null }
functions.length = { least = 1, most = 1, takes = TEXT, kind = "int", null = any_null }
functions.trim = { least = 1, most = 1, takes = TEXT, kind = "text", null = any_null }
functions.concat = { least = 2, most = 20, takes = TEXT, kind = "text", null = any_null }
functions.abs = { least = 1, most = 1, takes = NUMBER, kind = kind_of_first, null = any_null }
functions.coalesce = { least = 2, most = 20, kind = kind_of_first, same = true, null = all_null }
functions.nullif = { least = 2, most = 2, kind = kind_of_first, same = true, null = function() return true end }

return functions
