-- What of an object is changed, and writing that: the changed columns of one row, known by its key. What is written is
-- noted, so that a rollback can put it right.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local hooks = require "moonpool.entity.hooks"
local loading = require "moonpool.entity.loading"
local row = require "moonpool.sql.row"
local runtime = require "moonpool.runtime"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"
local validation = require "moonpool.entity.validation"

local updating = {}

local getmetatable, rawget, rawset, ipairs, pairs = getmetatable, rawget, rawset, ipairs, pairs
local run = statement.run

--- The fields whose value is another one than the database's, in order of declaration; nil: none.
---@return table[]?
function updating.changed_fields(self)
  local meta = getmetatable(self)
  local places = state.changed(self, meta.plan)
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

--- Add what tells the row in a statement that changes it: its key, and its version.
---@return integer n
function updating.row_values(self, params, n)
  local meta = getmetatable(self)
  n = updating.key_values(self, params, n)
  local version = meta.class.model.version
  if version then
    n = n + 1
    params[n] = updating.version_of(self, version)
  end
  return n
end

--- The version that the database had when the object was read or written.
function updating.version_of(self, version)
  local meta = getmetatable(self)
  local place = meta.version_place
  if place == nil then
    for i, name in ipairs(meta.plan.names) do
      if name == version.attribute then
        place = i
      end
    end
    if place == nil then
      return errors.raise("bad_argument", tostring(self) .. " was read without " .. version:title()
        .. ", by which its changes are told from those of others")
    end
    meta.version_place = place
  end
  return state.original(self):value(place, meta.plan)
end

local function chosen(class, fields, only)
  local wanted, kept = {}, {}
  for _, name in ipairs(only) do
    for _, column in ipairs(class.model:field(name):locals()) do
      wanted[column] = true
    end
  end
  for _, field in ipairs(fields) do
    if wanted[field] then
      kept[#kept + 1] = field
    end
  end
  return kept[1] and kept or nil
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

--- Raised where an object's row is not there any more, or not as the object knows it.
---@param checked boolean? its columns were compared
function updating.stale(self, class, checked)
  return errors.raise("stale", tostring(self) .. ((checked or class.model.version)
    and " is not in the database as it was read: it was changed or deleted since"
    or " is not in the database any more: it was deleted, or its key changed"))
end

--- What an update of an object writes: values of fields, and with them what every update changes: the time of it, the
--- version. They go behind the n that are there.
---@param fields table[]
---@param values any[]
---@return string[] names, integer n
function updating.assignments(self, class, fields, values, params, n)
  local model, names, count = class.model, {}, #fields
  local stamp, version = model.stamp, model.version
  for place, field in ipairs(fields) do
    names[place], params[n + place] = field.attribute, values[place]
    if field == stamp then
      stamp = nil
    end
  end
  if stamp then
    count = count + 1
    names[count], params[n + count] = stamp.attribute, core.now_datetime()
  end
  if version then
    count = count + 1
    names[count], params[n + count] = version.attribute, updating.version_of(self, version) + 1
  end
  return names, n + count
end

--- The row has these values now, which stand behind the n in params.
---@param names string[]
function updating.took(self, names, params, n)
  local missing = getmetatable(self).missing
  for place, name in ipairs(names) do
    if not (missing and missing[name]) then
      rawset(self, name, params[n + place])
    end
  end
end

--- After an update: what the database calculates of the columns that were written.
function updating.read_back(self, class, database)
  local missing, names = getmetatable(self).missing, {}
  for _, name in ipairs(class.computed or names) do
    if not (missing and missing[name]) then -- what an object lacks is read when it is touched
      names[#names + 1] = name
    end
  end
  if names[1] == nil then
    return
  end
  local params = {}
  local st = row.read(class.model, loading.dialect_of(database), names)
  local n = updating.key_values(self, params, 0)
  local made = run(database, nil, st.sql, "read", params, n, loading.options(database, st), core.rows, st.plan)[1] or {}
  for _, name in ipairs(names) do
    rawset(self, name, made[name])
  end
  updating.wrote(self, names)
end

-- Columns that are compared with what was loaded.
local function checked_places(meta)
  local places = meta.checked_places
  if places == nil then
    places = {}
    local model = meta.class.model
    for place, name in ipairs(meta.plan.names) do
      local field = model.by_name[name]
      if field and not field.primary_key then
        places[#places + 1] = place
      end
    end
    meta.checked_places = places
  end
  return places
end

--- What an object's row must still hold in a session with optimistic: the values of columns, which go behind the n in
--- params. An empty column is compared like any other, but for JSON and arrays: those are named apart.
---@return { checked: string[], empty: string[] } checks, integer n
function updating.checks_of(self, params, n)
  local meta = getmetatable(self)
  local model, original, checked, empty = meta.class.model, state.original(self), {}, {}
  for _, place in ipairs(checked_places(meta)) do
    local name, value = meta.plan.names[place], original:value(place, meta.plan)
    local kind = model.by_name[name].kind_name
    if value == nil and (kind == "json" or kind == "array") then
      empty[#empty + 1] = name
    else
      n = n + 1
      checked[#checked + 1], params[n] = name, value
    end
  end
  return { checked = checked, empty = empty }, n
end

--- Write values to columns of an object's row. The object has the values when that is done.
---@param fields table[]
---@param values any[]
---@param live boolean? only where the row is not marked as deleted
---@param optimistic boolean? only where the row still has what was loaded
---@return integer rows 0: the row is gone, or was changed since the object read it
function updating.assign(self, class, database, fields, values, live, optimistic)
  local params = {}
  local names, n = updating.assignments(self, class, fields, values, params, 0)
  n = updating.row_values(self, params, n)
  local st
  if optimistic then
    local checks
    checks, n = updating.checks_of(self, params, n)
    st = row.update_checked(class.model, loading.dialect_of(database), names, checks.checked, checks.empty)
  else
    st = row.update_row(class.model, loading.dialect_of(database), names, live)
  end
  state.note(self, database)
  local affected = run(database, nil, st.sql, "write", params, n, loading.options(database, st), core.take)
  if affected > 0 then
    updating.took(self, names, params, 0)
    updating.wrote(self, names)
    updating.read_back(self, class, database)
  end
  return affected
end

--- Write the changed columns of an object that was loaded or saved.
---@param only string[]? of these fields
--- Raises validation, stale, integrity and the other errors of a statement.
function updating.update(self, class, database, only)
  state.write_next(self)
  if state.is_new(self) then
    return updating.stale(self, class) -- a session has deleted it now, as it was to
  end
  validation.settle_relations(self, class)
  local fields = updating.changed_fields(self)
  if fields == nil then
    return self
  end
  if hooks.find(class, "before_update") then
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
  local values, problems = {}, nil
  for place, field in ipairs(fields) do
    local taken, why = field:check(rawget(self, field.attribute), self)
    if field.version then
      why = "is counted by moonpool: it cannot be assigned"
    end
    if why then
      problems = problems or {}
      problems[field.name] = why
    end
    values[place] = taken
  end
  if problems then
    return validation.refuse(class, problems)
  end
  local session = runtime.current().session
  local optimistic = session and session.options and session.options.optimistic
  if updating.assign(self, class, database, fields, values, nil, optimistic) == 0 then
    return updating.stale(self, class, optimistic)
  end
  hooks.run(class, self, "after_update")
  return self
end

return updating
