-- What the database deletes by itself with a row: the objects that the session knows of such rows are gone as well, as if
-- each had been deleted.

local relation = require "moonpool.entity.relation"
local state = require "moonpool.entity.state"

local cascade = {}

local ipairs, pairs, getmetatable, rawset = ipairs, pairs, getmetatable, rawset

-- The rows that the session knows of a table, in all databases.
local function known_of(unit, model)
  local list = {}
  for _, rows in ipairs(unit.map.tables) do
    if rows.name == model.table then
      list[#list + 1] = rows
    end
  end
  return list
end

local function add_children(unit, parent, rows_of_parent, seen, found)
  local model = getmetatable(parent).class.model
  local key = relation.key_of(parent, model.key)
  for _, inverse in pairs(model.inverses) do
    local field = inverse.field
    if key ~= nil and not inverse.over and field.on_delete == "cascade" then
      for _, rows in ipairs(known_of(unit, inverse.model)) do
        for child in rows:each() do
          if rows.database == rows_of_parent and not seen[child] and relation.key_of(child, field:locals()) == key then
            seen[child] = true
            found[#found + 1] = { object = child, database = rows.database }
            add_children(unit, child, rows.database, seen, found)
          end
        end
      end
    end
  end
end

--- The known objects whose rows go with those of others; to be asked before these are deleted.
---@param gone table[]
---@return { object: table, database: table }[]
function cascade.of(unit, gone)
  local seen, found = {}, {}
  for _, one in ipairs(gone) do
    seen[one] = true
  end
  for _, one in ipairs(gone) do
    if getmetatable(one).class.model.deleted_field == nil then -- a row that is only marked takes none along
      add_children(unit, one, unit:database_of(one), seen, found)
    end
  end
  for _, each in ipairs(found) do
    state.note(each.object, each.database)
  end
  return found
end

--- Their rows are gone.
function cascade.done(found)
  for _, each in ipairs(found) do
    local object = each.object
    local key = getmetatable(object).class.generated_key
    state.deleted(object)
    if key then
      rawset(object, key, nil)
    end
  end
end

return cascade
