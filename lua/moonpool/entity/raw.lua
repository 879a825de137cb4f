-- Author:raw(sql, ...): objects from the program's own SQL. Columns are known by the names that the server
-- gives them; what is no field comes along.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local loading = require "moonpool.entity.loading"
local placeholder = require "moonpool.database.placeholder"
local runtime = require "moonpool.runtime"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"

local raw = {}

-- The plan of a result, from its column names: fields by their column.
local function plan_of(class, names)
  local by_column, seen = {}, {}
  for _, field in ipairs(class.model.stored) do
    by_column[field.column] = field
  end
  -- what is no field stays out of the plan: it is never written, so nobody asks whether it changed
  local plan, fields, attributes = { names = {}, kinds = {} }, {}, {}
  for place, name in ipairs(names) do
    local field = by_column[name]
    local attribute = field and field.attribute or name
    if seen[attribute] then
      return errors.raise("duplicate_column", "two columns are called " .. name .. ": name them with AS")
    end
    seen[attribute] = true
    attributes[place], fields[place] = attribute, field or false
    if field then
      plan.names[#plan.names + 1], plan.kinds[#plan.kinds + 1] = attribute, field.kind
    end
  end
  for _, field in ipairs(class.model.key) do
    if not seen[field.attribute] then
      return errors.raise("bad_argument", "the statement of " .. class.name .. ":raw does not give the key "
        .. field.column
        .. ": objects are known by it")
    end
  end
  return loading.plan(class, plan), attributes, fields
end

-- A value as its field has it. Where arrays are JSON, their items come as JSON has them.
local function converted(field, value)
  if field.type == "array" then
    return field:take(type(value) == "string" and core.json_decode(value) or value)
  end
  return core.convert(field.kind, value)
end

--- Objects of the rows of a statement.
---@param sql string
---@param ... any parameters, as for db:fetch_all
---@return table[]
--- Raises the database's errors, duplicate_column, bad_argument (a row without key), data.
function raw.objects(class, sql, ...)
  local database = loading.database_of(class)
  local found = placeholder.read(database.dialect, sql)
  local params, n = placeholder.bind(found, select("#", ...), ...)
  local rows, names = statement.run(database, nil, found.sql, found.access, params, n, database.query_options,
    core.arrays)
  local plan, attributes, fields = plan_of(class, names)
  local batch = state.new_batch(class)
  local objects = {}
  for at, row in ipairs(rows) do
    local one = {}
    for place, name in ipairs(attributes) do
      local value, field = row[place], fields[place]
      if value ~= nil and field then
        local taken, why = converted(field, value)
        if taken == nil then
          return errors.raise("type_mismatch", field:title() .. ": the column " .. names[place] .. " is no "
            .. field.type .. ": " .. why)
        end
        value = taken
      end
      one[name] = value
    end
    objects[at] = setmetatable(one, plan.meta)
    state.written(one, plan, batch)
  end
  loading.sort_out(class, objects, plan)
  local session = runtime.current().session
  if session then
    session:identify(class, database, objects)
  end
  if batch then
    state.fill_batch(class, batch, objects)
  end
  return objects
end

return raw
