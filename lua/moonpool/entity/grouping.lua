-- Rows that a program gives, read into groups that write the same columns: their values are checked and ready as
-- parameters, one row behind the other.

local building = require "moonpool.entity.building"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local object = require "moonpool.entity.object"
local validation = require "moonpool.entity.validation"

local grouping = {}

local plain_rows = core.plain_rows

local IDLE = 4 -- where so many rows in a row are no plain ones, the others are not asked

---@class moonpool.group
---@field omitted integer     which fields are left to the database
---@field n integer           rows
---@field width integer       values of a row
---@field objects table[]     of the rows, where they are wanted
---@field params any[]
---@field places integer[]?   of the rows among all that the program gave, where there are several groups
---@field rules userdata|false?  by which its plain rows are known
---@field left_out string[]?  the fields that plain objects have no value of
---@field idle integer?       how often in a row there was no plain one
---@field at integer?         the row that is being written, where each is a statement

-- One row as an object, or as nothing but its values where no object is wanted. They go behind the n that are there.
local function read_row(class, values, wanted, params, n)
  if getmetatable(values) == nil then
    local one = wanted and {} or nil
    local read, last, omitted = validation.read(class, values, one, params, n)
    if read then
      return one and setmetatable(one, class.meta), last, omitted
    end
  end
  local one = values
  if not object.is(values) then
    one = building.build(class, values, false)
  elseif getmetatable(values).class ~= class then
    return errors.raise("bad_argument", "bulk_create of " .. class.name .. ": " .. tostring(values) .. " is no object of it")
  end
  local _, last, omitted = validation.values(one, class, params, n)
  return one, last, omitted
end

-- The group of rows with the same fields left out.
local function group_for(groups, omitted, width)
  for _, found in ipairs(groups) do
    if found.omitted == omitted then
      return found
    end
  end
  local found = { omitted = omitted, width = width, n = 0, objects = {}, params = {} }
  groups[#groups + 1] = found
  return found
end

-- From the second group on the place of a row in its group is not that in the program's array.
local function note_places(groups)
  if groups[2] and not groups.apart then
    groups.apart = true
    for _, some in ipairs(groups) do
      some.places = {}
      for place = 1, some.n do
        some.places[place] = place
      end
    end
  elseif groups[2] then
    groups[#groups].places = groups[#groups].places or {}
  end
end

-- Fill groups and objects; at[1] is the row that is being read. made: the rows are objects, whose hooks have run.
local function read_rows(class, rows, wanted, groups, objects, at, made)
  local meta = made and class.meta or nil
  local into = { n = 0, width = 0, params = {} } -- most rows belong where the one before did
  local place, count = 0, #rows
  while place < count do
    if into.rules then
      local taken = plain_rows(into.rules, rows, place + 1, into.params, into.n * into.width, meta, into.left_out)
      for more = 1, made and taken or 0 do
        into.objects[into.n + more] = rows[place + more]
      end
      into.idle = taken == 0 and into.idle + 1 or 0
      if into.idle == IDLE then
        into.rules = false
      end
      if into.places then
        for more = 1, taken do
          into.places[into.n + more] = place + more
        end
      end
      into.n, place = into.n + taken, place + taken
      if place >= count then
        return
      end
    end
    place = place + 1
    at[1] = place
    local before = into.n * into.width
    local one, last, omitted = read_row(class, rows[place], wanted, into.params, before)
    if omitted ~= into.omitted then
      local params, width = into.params, last - before
      into = group_for(groups, omitted, width)
      if into.rules == nil and (made or not wanted and not validation.needs_object(class)) then
        into.rules, into.idle, into.left_out = validation.rules(class, omitted, made)
        into.idle = 0
      end
      note_places(groups)
      for column = 1, width do
        into.params[into.n * width + column], params[before + column] = params[before + column], nil
      end
    end
    into.n = into.n + 1
    if into.places then
      into.places[into.n] = place
    end
    if wanted then
      objects[place], into.objects[into.n] = one, one
    end
  end
end

--- The rows in groups that write the same columns, in order.
---@param rows table[]
---@param wanted boolean whether there are to be objects
---@return moonpool.group[] groups, table[] objects
--- Raises validation (err.row is the place).
function grouping.rows(class, rows, wanted)
  local groups, objects, at = {}, {}, {}
  local ok, err = pcall(read_rows, class, rows, wanted, groups, objects, at)
  if not ok then
    if errors.is_error(err) and err.kind == "validation" then
      err.message = "row " .. at[1] .. ": " .. err.message
      err.row = at[1]
    end
    return error(err, 0)
  end
  return groups, objects
end

--- The same of objects that are new, which nobody has counted.
---@param objects table[]
---@return moonpool.group[]
--- Raises validation.
function grouping.objects(class, objects)
  local groups = {}
  read_rows(class, objects, true, groups, {}, {}, true)
  return groups
end

--- The parameters of some rows of a group.
---@return any[] params, integer n
function grouping.slice(some, first, last)
  local params, width = {}, some.width
  local before, n = (first - 1) * width, (last - first + 1) * width
  for place = 1, n do
    params[place] = some.params[before + place]
  end
  return params, n
end

return grouping
