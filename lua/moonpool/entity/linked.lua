-- Sets with a table between (many_to_many): what adding and removing does to its rows.

local errors = require "moonpool.errors"
local query = require "moonpool.sql.query"
local relation = require "moonpool.entity.relation"
local relations = require "moonpool.resolve.relations"
local state = require "moonpool.entity.state"

local linked = {}

local MOST = 500 -- keys in one statement

-- The rows of the table between that belong to the owner, as a query set that writes where the set does.
local function pairs_of(extra, database)
  return query.with(relation.pairs_of(extra.link, extra.owner), { database = database })
end

local function between(extra, database)
  return query.with(extra.link.back.model.class.root, { database = database })
end

-- The name by which the table between asks for the other side, and the value of a key or an object there.
local function name_of(field)
  return field.parts and field.name or field.attribute
end

local function row_of(extra, key, values)
  local link, row = extra.link, {}
  for name, value in pairs(values or {}) do
    row[name] = value
  end
  row[link.back.name] = extra.owner
  row[link.over.name] = key
  return row
end

-- Keys as table keys: those of objects, of values, and of the rows of the table between.
local function mark(link, key)
  local one = {}
  local row = link.back.model.class.root:build{ [link.over.name] = key }
  for _, field in ipairs(link.over:locals()) do
    one[#one + 1] = field
  end
  return relation.key_of(row, one)
end

local function check_values(extra, values)
  local link = extra.link
  for name in pairs(values) do
    local field = link.back.model:field(name) -- raises, with the nearest name
    for _, taken in ipairs { link.back, link.over } do
      if field == taken or field.part_of == taken then
        return errors.raise("bad_argument", "add: " .. tostring(name) .. " is what the set itself writes")
      end
    end
  end
end

--- Write the pairs that are not there; new objects are saved first.
function linked.add(_, extra, database, keys, objects, values)
  local link = extra.link
  if values then
    check_values(extra, values)
  end
  local all = {}
  for place, key in ipairs(keys) do
    all[place] = key
  end
  for _, one in ipairs(objects) do
    if state.is_new(one) then
      one:save()
      all[#all + 1] = one
    end
  end
  local seen, rows, marks = {}, {}, {}
  for _, key in ipairs(all) do
    local known = mark(link, key)
    if not seen[known] then
      seen[known] = true
      rows[#rows + 1], marks[#marks + 1] = row_of(extra, key, values), known
    end
  end
  if rows[1] == nil then
    return
  elseif relations.is_unique_pair(link.back, link.over) then
    between(extra, database):bulk_create(rows, { on_conflict = "ignore", returning = false })
    return
  end
  local there, missing = {}, {}
  relation.each_some(all, MOST, function(some)
    local found = pairs_of(extra, database):filter{ [name_of(link.over) .. "__in"] = some }
    for _, row in ipairs(found:all()) do
      there[relation.key_of(row, link.over:locals())] = true
    end
  end)
  for place, row in ipairs(rows) do
    if not there[marks[place]] then
      missing[#missing + 1] = row
    end
  end
  between(extra, database):bulk_create(missing, { returning = false })
end

--- Delete the pairs with these keys.
function linked.remove(_, extra, database, keys)
  relation.each_some(keys, MOST, function(some)
    pairs_of(extra, database):filter{ [name_of(extra.link.over) .. "__in"] = some }:delete()
  end)
end

--- Delete all pairs of the owner.
---@return integer rows
function linked.clear(_, extra, database)
  return (pairs_of(extra, database):delete())
end

--- Delete the pairs without these keys.
function linked.keep(_, extra, database, keys)
  local rest = pairs_of(extra, database)
  if keys[1] ~= nil then
    rest = rest:exclude{ [name_of(extra.link.over) .. "__in"] = keys }
  end
  rest:delete()
end

return linked
