-- Writing some fields of many objects at once: one statement that is run for each, all or nothing.

local conflicts = require "moonpool.entity.conflicts"
local errors = require "moonpool.errors"
local loading = require "moonpool.entity.loading"
local object = require "moonpool.entity.object"
local row = require "moonpool.sql.row"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"
local transaction = require "moonpool.database.transaction"
local updating = require "moonpool.entity.updating"
local validation = require "moonpool.entity.validation"
local vocabulary = require "moonpool.vocabulary"

local bulk_update = {}

local rawget, rawset, ipairs = rawget, rawset, ipairs

local function bad(message)
  return errors.raise("bad_argument", message)
end

local function fields_of(class, names)
  local fields = {}
  for place, name in ipairs(conflicts.attributes(class, names, "the second argument of bulk_update")) do
    local field = class.model.by_name[name]
    if field.version then
      return bad("bulk_update: " .. field:title() .. " is counted by moonpool: it cannot be assigned")
    end
    fields[place] = field
  end
  if fields[1] == nil then
    return bad("bulk_update needs the names of the fields to write")
  end
  return fields
end

local function check_object(class, one, place)
  if not object.is(one) or not getmetatable(one).class.model:is_a(class.model) then
    return bad("bulk_update of " .. class.name .. ": row " .. place .. " is no object of it")
  elseif state.is_new(one) then
    return bad("bulk_update: " .. tostring(one) .. " (row " .. place .. ") is not saved")
  end
end

local function values_of(class, one, fields, place)
  local values, problems, texts = {}, nil, {}
  validation.settle_relations(one, class)
  for at, field in ipairs(fields) do
    local taken, why = field:check(rawget(one, field.attribute), one)
    if why then
      problems = problems or {}
      problems[field.name] = why
      texts[#texts + 1] = field.name .. " " .. why
    else
      rawset(one, field.attribute, taken)
    end
    values[at] = taken
  end
  if problems then
    return errors.raise("validation", "row " .. place .. ": " .. class.name .. ": " .. table.concat(texts, "; "),
      { errors = problems, row = place })
  end
  return values
end

--- Write some fields of many objects, all or nothing.
---@param q table the query set of all rows
---@param objects table[]
---@param names string[]
---@return integer rows
--- Raises validation, stale (where the entity has a version), bad_argument, integrity and the other errors of a statement.
function bulk_update.run(q, objects, names)
  local class, database = loading.place_of(q)
  if not vocabulary.is_array(objects) then
    return bad("bulk_update takes an array of objects, not " .. vocabulary.quoted(objects))
  end
  local fields, values, count = fields_of(class, names), {}, #objects
  for place, one in ipairs(objects) do
    check_object(class, one, place)
    values[place] = values_of(class, one, fields, place)
  end
  if count == 0 then
    return 0
  end
  return (transaction.whole(database, function()
    -- a session has written by now what it has to: the objects may have other versions
    local params, n, written = {}, 0, nil
    for place, one in ipairs(objects) do
      written, n = updating.assignments(one, class, fields, values[place], params, n)
      n = updating.row_values(one, params, n)
      state.note(one, database)
    end
    local width = n / count
    local st = row.update_row(class.model, loading.dialect_of(database), written)
    local affected = statement.many(database, nil, st.sql, params, math.floor(width), count, 0,
      loading.options(database, st))
    if class.model.version and affected < count then
      return errors.raise("stale", ("%d of these %d objects of %s were changed or deleted since they were read"):format(
        count - affected, count, class.name))
    end
    for place, one in ipairs(objects) do
      updating.took(one, written, params, (place - 1) * width)
      updating.wrote(one, written)
      updating.read_back(one, class, database)
    end
    return affected
  end))
end

return bulk_update
