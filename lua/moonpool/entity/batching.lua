-- The rows of many objects of one entity at once, for what collects writes before it sends them: one statement for many
-- rows where the values allow it, in a flight with those of other entities. The objects are told of it as if each were written
-- by itself, and the program's hooks run when all is answered that went before them.

local core = require "moonpool.core"
local bulk = require "moonpool.entity.bulk"
local deleting = require "moonpool.entity.deleting"
local errors = require "moonpool.errors"
local guard = require "moonpool.entity.guard"
local hooks = require "moonpool.entity.hooks"
local loading = require "moonpool.entity.loading"
local row = require "moonpool.sql.row"
local state = require "moonpool.entity.state"
local updating = require "moonpool.entity.updating"
local validation = require "moonpool.entity.validation"

local batching = {}

local rawget, rawset, ipairs = rawget, rawset, ipairs

local function run_hooks(class, objects, name, flight)
  if hooks.find(class, name) then
    flight:finish()
    for _, one in ipairs(objects) do
      hooks.run(class, one, name)
    end
  end
end

--- Insert new objects; their before_insert hooks have run, and they have the keys that their relations give them.
---@param flight moonpool.flight they are written when it ends
--- Raises validation, integrity and the other errors of a statement.
function batching.insert(class, database, objects, flight)
  if class.has_relations then
    for _, one in ipairs(objects) do
      validation.settle_relations(one, class)
    end
  end
  bulk.insert(class, database, objects, flight)
  run_hooks(class, objects, "after_insert", flight)
end

-- ---- update ----

-- Objects whose statement is the same one, in the order of the first of each.
local function group_for(groups, by_key, names, checks)
  local key = table.concat(names, ",")
  if checks then
    key = key .. " " .. table.concat(checks.checked, ",") .. " " .. table.concat(checks.empty, ",")
  end
  local group = by_key[key]
  if group == nil then
    group = { names = names, checks = checks, n = 0, width = 0, params = {}, objects = {} }
    by_key[key] = group
    groups[#groups + 1] = group
  end
  return group
end

local function checked_values(class, one, fields)
  local values, problems = {}, nil
  for place, field in ipairs(fields) do
    local taken, why = field:check(rawget(one, field.attribute), one)
    if field.version then
      why = "is counted by moonpool: it cannot be assigned"
    end
    if why then
      problems = problems or {}
      problems[field.name] = why
    else
      rawset(one, field.attribute, taken)
    end
    values[place] = taken
  end
  if problems then
    return validation.refuse(class, problems)
  end
  return values
end

local function refuse_stale(group, affected, checked)
  local why = checked and "was changed by somebody else since it was loaded, or deleted"
    or "is not in the database any more: it was deleted, or its key changed"
  if #group.objects == 1 then
    return errors.raise("stale", tostring(group.objects[1]) .. " " .. why)
  end
  local names = {}
  for place = 1, math.min(5, #group.objects) do
    names[place] = tostring(group.objects[place])
  end
  return errors.raise("stale", ("%d of these %d objects %s: %s"):format(#group.objects - affected, #group.objects, why,
    table.concat(names, ", ") .. (#group.objects > 5 and " ..." or "")))
end

local function update_group(class, database, group, flight)
  local model, dialect, checks = class.model, loading.dialect_of(database), group.checks
  local st
  if checks then
    st = row.update_checked(model, dialect, group.names, checks.checked, checks.empty)
  else
    st = row.update_row(model, dialect, group.names)
  end
  for _, one in ipairs(group.objects) do
    state.note(one, database)
  end
  local options = loading.options(database, st)
  local function done(affected)
    if affected < #group.objects then
      return refuse_stale(group, affected, checks ~= nil or model.version ~= nil)
    end
    for place, one in ipairs(group.objects) do
      updating.took(one, group.names, group.params, (place - 1) * group.width)
      updating.wrote(one, group.names)
      updating.read_back(one, class, database)
    end
  end
  if #group.objects == 1 then
    return flight:run(done, 1, database, st.sql, group.params, group.width, options, core.take)
  end
  return flight:many(done, database, st.sql, group.params, group.width, #group.objects, 0, options)
end

-- The keys of new objects must be there for those that are to refer to them.
local function await_keys(class, objects, flight)
  for _, one in ipairs(class.has_relations and objects or {}) do
    if state.has_relations(one) and updating.has_pending(one, class) then
      return flight:finish()
    end
  end
end

--- Write the changed columns of objects that were loaded or saved.
---@param optimistic boolean? only where the row still has what was loaded
---@param flight moonpool.flight they are written when it ends
--- Raises validation, stale, integrity and the other errors of a statement.
function batching.update(class, database, objects, optimistic, flight)
  run_hooks(class, objects, "before_update", flight)
  await_keys(class, objects, flight)
  local groups, by_key, written = {}, {}, {}
  for _, one in ipairs(objects) do
    validation.settle_relations(one, class)
    local fields = updating.changed_fields(one)
    if fields then
      local params, checks = {}, nil
      local names, n = updating.assignments(one, class, fields, checked_values(class, one, fields), params, 0)
      n = updating.row_values(one, params, n)
      if optimistic then
        checks, n = updating.checks_of(one, params, n)
      end
      local group = group_for(groups, by_key, names, checks)
      for place = 1, n do
        group.params[group.n + place] = params[place]
      end
      group.width, group.n = n, group.n + n
      group.objects[#group.objects + 1] = one
      written[#written + 1] = one
    end
  end
  for _, group in ipairs(groups) do
    update_group(class, database, group, flight)
  end
  run_hooks(class, written, "after_update", flight)
end

-- ---- delete ----

--- Delete the rows of objects, which are new again then. Rows that are gone already are no failure.
---@param flight moonpool.flight they are deleted when it ends
---@param told fun(object: table) called for each when it is
--- Raises foreign_key and the other errors of a statement.
function batching.delete(class, database, objects, flight, told)
  local model = class.model
  if not (model.deleted_field or model.version or guard.is_needed(model)) then
    return deleting.purge_all(objects, class, database, flight, told)
  end
  flight:finish()
  for _, one in ipairs(objects) do
    deleting.delete(one, class, database)
    told(one)
  end
end

return batching
