-- Writing one object: building it, insert, update, delete, and reading it again. Validation runs before any SQL and
-- says everything that is wrong at once. What is written is noted, so that a rollback can put it right.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local loading = require "moonpool.entity.loading"
local object = require "moonpool.entity.object"
local row = require "moonpool.sql.row"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"
local vocabulary = require "moonpool.vocabulary"

local writing = {}

local rawget, rawset, ipairs, pairs = rawget, rawset, ipairs, pairs
local null = core.null
local run = statement.run

-- ---- building ----

local function take_default(self, field)
  local value = field:initial(self)
  if value ~= nil then
    rawset(self, field.attribute, value)
  end
end

--- A new object from a table of values, which is left alone. A nil takes the default, mp.null is NULL.
---@param convert boolean texts become values now, rather than when it is written
--- Raises unknown_field, bad_argument.
function writing.build(class, values, convert)
  if type(values) ~= "table" then
    return errors.raise("bad_argument", class.name .. " is made from a table of values, not from "
      .. vocabulary.quoted(values))
  end
  local by_name = class.model.by_name
  local self = setmetatable({}, class.meta)
  for name, value in pairs(values) do
    local field = by_name[name]
    if field == nil or field.relation then
      object.set(self, name, value)
    elseif value ~= null then
      if convert then
        local taken = field:take(value)
        if taken ~= nil then
          value = taken
        end
      end
      rawset(self, name, value)
    end
  end
  for _, field in ipairs(class.defaults) do
    local attribute = field.attribute
    if rawget(self, attribute) == nil and values[attribute] == nil and values[field.name] == nil then
      take_default(self, field)
    end
  end
  return self
end

-- ---- validation ----

local function refuse(class, problems)
  local parts, known = {}, {}
  for _, field in ipairs(class.model.fields) do
    local why = problems[field.name]
    if why then
      parts[#parts + 1] = field.name .. " " .. why
      known[field.name] = why
    end
  end
  return errors.raise("validation", class.name .. ": " .. table.concat(parts, "; "), { errors = known })
end

-- A relation that was given an object without a key: it may have one by now.
local function settle_relations(self, class)
  if not class.has_relations or not state.has_relations(self) then
    return
  end
  for name, field in pairs(class.model.relations) do
    local other = state.pending(self, name)
    if other then
      local key = rawget(other, field:key_field().attribute)
      if key == nil then
        return errors.raise("bad_argument", field:title() .. " is an object that is not saved: save it first")
      end
      rawset(self, field.attribute, key)
      state.set_pending(self, name, nil)
      state.relate(self, name, other)
    end
  end
end

--- The values of a new row, checked: what the database makes itself is left out.
---@return any[] params, integer n, integer omitted which fields were left out, as a number for each combination
--- Raises validation.
function writing.values(self, class, params, n)
  local omitted, problems = 0, nil
  local list = class.columns
  for place = 1, #list do
    local column = list[place]
    local attribute = column.attribute
    local value = rawget(self, attribute)
    local accepts = column.accepts
    if accepts and value ~= nil and accepts(value) then
      n = n + 1
      params[n] = value
    elseif value == nil and column.bit then
      omitted = omitted + column.bit
    else
      local field = column.field
      local taken, why = field:check(value, self)
      if why then
        problems = problems or {}
        problems[field.name] = why
      elseif value ~= nil then
        rawset(self, attribute, taken)
      end
      n = n + 1
      params[n] = taken
    end
  end
  if problems then
    return refuse(class, problems)
  end
  return params, n, omitted
end

-- Does something of the program's own have to see the object before it is written?
local function needs_object(class)
  return class.has_validate or rawget(class.entity, "before_insert") ~= nil
end

--- The same as build and values in one go, for tables of values that only need to be checked.
---@param self table? is filled with the values; it becomes an object later
---@return any[]|nil params nil: take the long way
--- Raises validation.
function writing.read(class, values, self, params, n)
  if type(values) ~= "table" or needs_object(class) then
    return nil
  end
  local by_name = class.model.by_name
  for name in next, values do
    if by_name[name] == nil then
      return nil -- pk, a name of the program's own, or none at all
    end
  end
  local omitted, problems = 0, nil
  local list = class.columns
  for place = 1, #list do
    local column = list[place]
    local attribute, accepts = column.attribute, column.accepts
    local value = values[attribute]
    if accepts and value ~= nil and accepts(value) then
      n = n + 1
      params[n] = value
      if self then
        self[attribute] = value
      end
    else
      local field = column.field
      if value == nil and field.relation then
        value = values[field.name]
        if type(value) == "table" then
          return nil -- an object, which is remembered as the related one
        end
      end
      if value == nil and field.default ~= nil then
        value = field:initial()
      end
      if column.bit and (value == nil or value == null and field.generated) then
        omitted = omitted + column.bit
      else
        local taken, why = field:check(value)
        if why then
          problems = problems or {}
          problems[field.name] = why
        elseif self then
          self[attribute] = taken
        end
        n = n + 1
        params[n] = taken
      end
    end
  end
  if problems then
    return refuse(class, problems)
  end
  return params, n, omitted
end

--- The attributes that are written and those that come back for a combination of omitted fields.
---@return string[] names, string[] returned
function writing.columns(class, omitted)
  local names, returned = {}, {}
  for _, column in ipairs(class.columns) do
    local bit = column.bit
    if bit and omitted % (bit * 2) >= bit then
      returned[#returned + 1] = column.attribute
    else
      names[#names + 1] = column.attribute
    end
  end
  return names, returned
end

local function call(class, self, hook)
  local fn = rawget(class.entity, hook)
  if fn then
    fn(self)
  end
end
writing.call = call

-- ---- insert ----

-- Statements of a class for a dialect: what makes a text from a list of names is done once.
local function cache_of(class, dialect)
  local cache = class.statements[dialect]
  if cache == nil then
    cache = { inserts = {}, updates = {} }
    class.statements[dialect] = cache
  end
  return cache
end

local function insert_entry(class, dialect, omitted)
  local inserts = cache_of(class, dialect).inserts
  local entry = inserts[omitted]
  if entry == nil then
    local names, returned = writing.columns(class, omitted)
    entry = {}
    -- the generated key alone comes back with the answer; RETURNING would cost a result
    if #returned == 1 and returned[1] == class.generated_key and dialect.tells_key then
      entry.last_id, returned = returned[1], {}
    end
    entry.returned = returned
    entry.gives_key = dialect.follow_key and class.generated_key and returned[1] ~= class.generated_key and names
    entry.st = row.insert(class.model, dialect, names, 1, returned[1] and returned or nil)
    inserts[omitted] = entry
  end
  return entry
end

--- Rows were inserted with a key that the program gave where the database makes them: it has to go on behind it.
--- names: the columns that were written; params: the values of n rows, from the first on.
function writing.follow_key(class, database, names, params, n)
  local dialect, width, place = loading.dialect_of(database), #names, nil
  if class.generated_key == nil or dialect.follow_key == nil then
    return
  end
  for column, name in ipairs(names) do
    if name == class.generated_key then
      place = column
    end
  end
  if place == nil or n == 0 then
    return
  end
  local greatest = params[place]
  for i = 1, n - 1 do
    local key = params[i * width + place]
    if key > greatest then
      greatest = key
    end
  end
  local st = row.follow_key(class.model, dialect, class.generated_key)
  run(database, nil, st.sql, "write", { greatest }, 1, loading.options(database, st), core.take)
end

-- Only RAISE(IGNORE), RETURN NULL and the like, in a trigger of the program's own, let an insert succeed without a row.
local function not_written(class)
  return errors.raise("other_integrity", class.name .. " was not inserted: a trigger of the table " .. class.model.table
    .. " skipped the row")
end

local function insert_values(self, class, database, other, params, n, omitted)
  local entry = insert_entry(class, loading.dialect_of(database), omitted)
  local st = entry.st
  state.note(self, database)
  local options = loading.options(database, st)
  if entry.last_id then
    local affected, id = run(database, nil, st.sql, "write", params, n, options, core.take)
    if affected == 0 then
      return not_written(class)
    end
    rawset(self, entry.last_id, id)
  elseif entry.returned[1] then
    local made = run(database, nil, st.sql, "write", params, n, options, core.rows, st.plan)[1]
    if made == nil then
      return not_written(class)
    end
    for _, attribute in ipairs(entry.returned) do
      rawset(self, attribute, made[attribute])
    end
  elseif run(database, nil, st.sql, "write", params, n, options, core.take) == 0 then
    return not_written(class)
  end
  if entry.gives_key then
    writing.follow_key(class, database, entry.gives_key, params, 1)
  end
  state.written(self, class.meta.plan, state.new_batch(class, other))
  call(class, self, "after_insert")
  return self
end

--- Insert a new object.
---@param other table? the database, when it is not the entity's own
---@return table self
--- Raises validation, integrity and the other errors of a statement.
function writing.insert(self, class, database, other)
  call(class, self, "before_insert")
  settle_relations(self, class)
  return insert_values(self, class, database, other, writing.values(self, class, {}, 0))
end

--- A new object from a table of values, inserted.
---@return table
--- Raises like insert.
function writing.create(class, values, database, other)
  local self = {}
  local params, n, omitted = writing.read(class, values, self, {}, 0)
  if params == nil then
    return writing.insert(writing.build(class, values, false), class, database, other)
  end
  return insert_values(setmetatable(self, class.meta), class, database, other, params, n, omitted)
end
-- ---- update ----

-- The fields whose value is another one than the database's, in order of declaration.
local function changed_fields(self, meta)
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

--- The names of the fields that differ from the database.
---@return string[]
function writing.dirty_fields(self)
  local meta = getmetatable(self)
  local names = {}
  if state.is_new(self) then
    for _, field in ipairs(meta.class.model.fields) do
      if rawget(self, field.attribute) ~= nil then
        names[#names + 1] = field.name
      end
    end
  else
    for place, field in ipairs(changed_fields(self, meta) or {}) do
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
function writing.key_values(self, params, n)
  local meta = getmetatable(self)
  local original = state.original(self)
  for _, place in ipairs(key_places(meta)) do
    n = n + 1
    params[n] = original:value(place, meta.plan)
  end
  return n
end

local add_key = writing.key_values

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
  local updates, key = cache_of(class, dialect).updates, table.concat(names, ",")
  local st = updates[key]
  if st == nil then
    st = row.update_row(class.model, dialect, names)
    updates[key] = st
  end
  return st
end

--- Only these columns were written: others that were changed stay so.
---@param names string[]
function writing.wrote(self, names)
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
function writing.update(self, class, database, only)
  settle_relations(self, class)
  local meta = getmetatable(self)
  local fields = changed_fields(self, meta)
  if fields == nil then
    return self
  end
  if rawget(class.entity, "before_update") then
    call(class, self, "before_update")
    settle_relations(self, class)
    fields = changed_fields(self, meta)
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
    return refuse(class, problems)
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
    writing.wrote(self, names)
  else
    state.written(self, meta.plan, state.batch_of(self))
  end
  call(class, self, "after_update")
  return self
end

-- ---- delete ----

--- Delete the row of an object, which is new again then.
---@return integer rows 0 when it was gone already
function writing.delete(self, class, database)
  if state.is_new(self) then
    return errors.raise("bad_argument", tostring(self) .. " is not in the database: there is nothing to delete")
  end
  call(class, self, "before_delete")
  local params = {}
  local n = add_key(self, params, 0)
  local st = row.delete_row(class.model, loading.dialect_of(database))
  state.note(self, database)
  local affected = run(database, nil, st.sql, "write", params, n, loading.options(database, st), core.take)
  state.deleted(self)
  if class.generated_key then
    rawset(self, class.generated_key, nil)
  end
  call(class, self, "after_delete")
  return affected
end

-- ---- refresh ----

--- Read the row again; what was changed and not saved is gone.
--- Raises not_found when the row is.
function writing.refresh(self, class, database)
  if state.is_new(self) then
    return errors.raise("bad_argument", tostring(self) .. " is not in the database: there is nothing to read")
  end
  local params = {}
  local n = add_key(self, params, 0)
  local st = row.get(class.model, loading.dialect_of(database))
  local found = run(database, nil, st.sql, "read", params, n, loading.options(database, st), core.rows, st.plan)[1]
  if found == nil then
    return errors.raise("not_found", tostring(self) .. " is not in the database any more")
  end
  for _, name in ipairs(st.plan.names) do
    rawset(self, name, found[name])
  end
  local batch = state.batch_of(self)
  setmetatable(self, class.meta)
  state.written(self, class.meta.plan, batch)
  state.unrelate(self)
  return self
end

return writing
