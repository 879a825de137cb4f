-- What of an object is changed, and writing that: the changed columns of one row, known by its key. What is written is
-- noted, so that a rollback can put it right.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local hooks = require "moonpool.entity.hooks"
local loading = require "moonpool.entity.loading"
local row = require "moonpool.sql.row"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"
local validation = require "moonpool.entity.validation"

local updating = {}

local rawget, rawset, ipairs, pairs = rawget, rawset, ipairs, pairs
local run = statement.run

--- The fields whose value is another one than the database's, in order of declaration; nil: none.
---@return table[]?
function updating.changed_fields(self)
  local meta = getmetatable(self)
  local places = state.original(self):changed(self, meta.plan)
  if places == nil then
    return nil
  end
  local by_name, names, fields = meta.class.model.by_name, meta.plan.names, {}
  for _, place in ipairs(places) do
    local field = by_name[names[place]] -- an annotation is no field
    if field then
      fields[#fields + 1] = field
    end
  end
  return fields[1] and fields or nil
end

--- Whether a relation was given an object that had no key then: the key is still to be taken over.
function updating.has_pending(self, class)
  for name in pairs(class.model.relations) do
    if state.pending(self, name) then
      return true
    end
  end
  return false
end

--- The names of the fields that differ from the database.
---@return string[]
function updating.dirty_fields(self)
  local meta = getmetatable(self)
  local names = {}
  if state.is_new(self) then
    for _, field in ipairs(meta.class.model.fields) do
      if rawget(self, field.attribute) ~= nil then
        names[#names + 1] = field.name
      end
    end
  else
    for place, field in ipairs(updating.changed_fields(self) or {}) do
      names[place] = field.name
    end
  end
  return names
end

-- Where the key stands in the plan of an object; found once for each set of columns.
local function key_places(meta)
  local places = meta.key_places
  if places == nil then
    places = {}
    for i, field in ipairs(meta.class.model.key) do
      for place, name in ipairs(meta.plan.names) do
        if name == field.attribute then
          places[i] = place
        end
      end
    end
    meta.key_places = places
  end
  return places
end

--- Add the key by which the database knows the row, whatever the object says now.
---@return integer n
function updating.key_values(self, params, n)
  local meta = getmetatable(self)
  local original = state.original(self)
  for _, place in ipairs(key_places(meta)) do
    n = n + 1
    params[n] = original:value(place, meta.plan)
  end
  return n
end

local add_key = updating.key_values

local function chosen(class, fields, only)
  local wanted, kept = {}, {}
  for _, name in ipairs(only) do
    wanted[class.model:field(name)] = true
  end
  for _, field in ipairs(fields) do
    if wanted[field] then
      kept[#kept + 1] = field
    end
  end
  return kept[1] and kept or nil
end

local function update_statement(class, dialect, fields)
  local names = {}
  for place, field in ipairs(fields) do
    names[place] = field.attribute
  end
  return row.update_row(class.model, dialect, names)
end

--- Only these columns were written: others that were changed stay so.
---@param names string[]
function updating.wrote(self, names)
  local original, plan = state.original(self), getmetatable(self).plan
  local values, new = {}, {}
  for _, name in ipairs(names) do
    new[name] = true
  end
  for place, name in ipairs(plan.names) do
    if new[name] then
      values[name] = rawget(self, name)
    else
      values[name] = original:value(place, plan)
    end
  end
  state.adopt(self, values, plan)
end

--- Write the changed columns of an object that was loaded or saved.
---@param only string[]? of these fields
--- Raises validation, stale, integrity and the other errors of a statement.
function updating.update(self, class, database, only)
  state.write_next(self)
  validation.settle_relations(self, class)
  local meta = getmetatable(self)
  local fields = updating.changed_fields(self)
  if fields == nil then
    return self
  end
  if rawget(class.entity, "before_update") then
    hooks.run(class, self, "before_update")
    validation.settle_relations(self, class)
    fields = updating.changed_fields(self)
  end
  if fields and only then
    fields = chosen(class, fields, only)
  end
  if fields == nil then
    return self
  end
  local params, problems = {}, nil
  for place, field in ipairs(fields) do
    local value = rawget(self, field.attribute)
    local taken, why = field:check(value, self)
    if why then
      problems = problems or {}
      problems[field.name] = why
    else
      rawset(self, field.attribute, taken)
    end
    params[place] = taken
  end
  if problems then
    return validation.refuse(class, problems)
  end
  local n = add_key(self, params, #fields)
  local st = update_statement(class, loading.dialect_of(database), fields)
  state.note(self, database)
  local affected = run(database, nil, st.sql, "write", params, n, loading.options(database, st), core.take)
  if affected == 0 then
    return errors.raise("stale", tostring(self)
      .. " is not in the database any more: it was deleted, or its key changed")
  end
  if only then
    local names = {}
    for place, field in ipairs(fields) do
      names[place] = field.attribute
    end
    updating.wrote(self, names)
  else
    state.written(self, meta.plan, state.batch_of(self))
  end
  hooks.run(class, self, "after_update")
  return self
end

return updating
