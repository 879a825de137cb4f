-- The rows of many objects of one entity at once, for what collects writes before it sends them: one statement for many
-- rows where the values allow it. The objects are told of it as if each were written by itself.

local core = require "moonpool.core"
local bulk = require "moonpool.entity.bulk"
local deleting = require "moonpool.entity.deleting"
local errors = require "moonpool.errors"
local guard = require "moonpool.entity.guard"
local hooks = require "moonpool.entity.hooks"
local loading = require "moonpool.entity.loading"
local row = require "moonpool.sql.row"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"
local updating = require "moonpool.entity.updating"
local validation = require "moonpool.entity.validation"

local batching = {}

local rawget, rawset, ipairs = rawget, rawset, ipairs

local function run_hooks(class, objects, name)
  if hooks.find(class, name) then
    for _, one in ipairs(objects) do
      hooks.run(class, one, name)
    end
  end
end

--- Insert new objects; their before_insert hooks have run.
--- Raises validation, integrity and the other errors of a statement.
function batching.insert(class, database, objects)
  if class.has_relations then
    for _, one in ipairs(objects) do
      validation.settle_relations(one, class)
    end
  end
  bulk.insert(class, database, objects)
  run_hooks(class, objects, "after_insert")
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

local function update_group(class, database, group)
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
  local affected
  if #group.objects == 1 then
    affected = statement.run(database, nil, st.sql, "write", group.params, group.width, options, core.take)
  else
    affected = statement.many(database, nil, st.sql, group.params, group.width, #group.objects, 0, options)
  end
  if affected < #group.objects then
    return refuse_stale(group, affected, checks ~= nil or model.version ~= nil)
  end
  for place, one in ipairs(group.objects) do
    updating.took(one, group.names, group.params, (place - 1) * group.width)
    updating.wrote(one, group.names)
    updating.read_back(one, class, database)
  end
end

--- Write the changed columns of objects that were loaded or saved.
---@param optimistic boolean? only where the row still has what was loaded
--- Raises validation, stale, integrity and the other errors of a statement.
function batching.update(class, database, objects, optimistic)
  run_hooks(class, objects, "before_update")
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
    update_group(class, database, group)
  end
  run_hooks(class, written, "after_update")
end

-- ---- delete ----

--- Delete the rows of objects, which are new again then. Rows that are gone already are no failure.
--- Raises foreign_key and the other errors of a statement.
function batching.delete(class, database, objects)
  local model = class.model
  if #objects > 1 and not (model.deleted_field or model.version or guard.is_needed(model)) then
    return deleting.purge_all(objects, class, database)
  end
  for _, one in ipairs(objects) do
    deleting.delete(one, class, database)
  end
end

return batching
