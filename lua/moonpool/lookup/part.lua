-- Parts of a value: of a date or a time (joined__year = 2020), and the number of items of an array (tags__len__gt = 3).
-- A part is followed by a comparison with it, or by nothing, which is exact; each is a function of mp.fn too, but len.
--
-- week_day counts from Sunday, 1, to Saturday, 7; weeks are those of ISO 8601; a datetime is read in UTC.

local function kinds(names)
  local set = {}
  for name in names:gmatch "%S+" do set[name] = true end
  return set
end

local DATED, CLOCKED = kinds "date datetime walltime", kinds "time datetime walltime"

local part = {
  --- The kinds that have that part.
  kinds = {
    year = DATED, quarter = DATED, month = DATED, week = DATED, day = DATED, week_day = DATED,
    hour = CLOCKED, minute = CLOCKED, second = CLOCKED, date = kinds "datetime walltime", len = kinds "array",
  },
}

--- Whether values of that kind have that part.
function part.suits(name, kind)
  return part.kinds[name] ~= nil and part.kinds[name][kind] or false
end

--- The kind of a part.
function part.kind(name) return name == "date" and "date" or "int" end

return part
