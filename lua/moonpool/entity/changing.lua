-- The terminals that write: create, update, delete, restore, purge, get_or_create, update_or_create.

local building = require "moonpool.entity.building"
local compile = require "moonpool.sql.compile"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local inserting = require "moonpool.entity.inserting"
local guard = require "moonpool.entity.guard"
local loading = require "moonpool.entity.loading"
local query = require "moonpool.sql.query"
local query_set = require "moonpool.entity.query"
local statement = require "moonpool.database.statement"
local tables = require "moonpool.sql.table"
local transaction = require "moonpool.database.transaction"
local tree = require "moonpool.tree"
local vocabulary = require "moonpool.vocabulary"

local methods = query_set.methods
local place_of = loading.place_of
local run, options_of = statement.run, loading.options

local function run_update(q, values)
  local _, database = place_of(q)
  local st, params, n = compile.update(q, loading.dialect_of(database), values)
  if st.empty then
    return 0
  end
  return (run(database, nil, st.sql, st.access, params, n, options_of(database, st), core.take))
end

-- With what every update of a row changes: the time of it, the version.
local function with_traits(model, values)
  local stamp, version = model.stamp, model.version
  if not (stamp or version) then
    return values
  end
  local all = {}
  for name, value in pairs(values) do
    all[name] = value
  end
  if stamp and all[stamp.name] == nil then
    all[stamp.name] = core.now_datetime()
  end
  if version then
    if all[version.name] ~= nil then
      return errors.raise("bad_argument", version:title() .. " is counted by moonpool: it cannot be assigned")
    end
    all[version.name] = tree.F[version.name] + 1
  end
  return all
end

--- Change the rows; runs no hooks.
---@param values table<string, any>
---@return integer rows
--- Raises unfiltered, bad_argument, validation, integrity and the other errors of a statement.
function methods:update(values, given)
  if given ~= nil then
    return errors.raise("bad_argument", "update takes one table of values: which rows is said by filter before it")
  elseif type(values) ~= "table" then
    return errors.raise("bad_argument", "update takes a table of values, not " .. vocabulary.quoted(values))
  end
  local model = self.model
  if model.marks_updates and next(values) ~= nil and getmetatable(values) == nil then
    values = with_traits(model, values)
  end
  return run_update(self, values) -- says what is wrong with them
end

-- What it is given would be dropped without a word, and more rows be changed than were meant.
local function takes_nothing(name, given)
  if given ~= nil then
    return errors.raise("bad_argument", name .. " takes no argument: which rows is said by filter before it")
  end
end

-- Deletes them, and counts them before where the server does not count those that went with another one.
local function remove(q, st, database, dialect)
  local params, n = st:bind(q)
  if dialect.counts_cascaded or not guard.takes_own(q.model) then
    return (run(database, nil, st.sql, st.access, params, n, options_of(database, st), core.take))
  end
  return transaction.within(database, function()
    local rows = q:count()
    run(database, nil, st.sql, st.access, params, n, options_of(database, st), core.take)
    return rows
  end)
end

--- Delete the rows for good, also where the entity has soft_delete; runs no hooks.
---@return integer rows, table<string, integer> rows by entity
--- Raises unfiltered, foreign_key and the other errors of a statement.
function methods:purge(given)
  takes_nothing("purge", given)
  local class, database = place_of(self)
  local dialect = loading.dialect_of(database)
  local st = compile.delete(self, dialect)
  local rows = 0
  if not st.empty then
    rows = guard.around(self.model, database, self, true, "rows of " .. class.name, function()
      return remove(self, st, database, dialect)
    end)
  end
  return rows, { [class.name] = rows }
end

local function need_soft_delete(q, method)
  if not q.model.soft_delete then
    return errors.raise("bad_argument", method .. ": " .. q.model.name .. " has no soft_delete: its deleted rows are gone")
  end
end

--- Delete the rows, or mark them as deleted where the entity has soft_delete; runs no hooks.
---@return integer rows, table<string, integer> rows by entity
--- Raises unfiltered, foreign_key and the other errors of a statement.
function methods:delete(given)
  takes_nothing("delete", given)
  local field = self.model.deleted_field
  if field == nil then
    return self:purge()
  elseif self.shape.deleted == "only" then
    return errors.raise("bad_argument", "the rows of only_deleted() are deleted already: purge() removes them for good")
  end
  compile.check_change(self, "delete")
  local _, database = place_of(self)
  local standing = query.with_deleted(self, nil)
  local rows = guard.around_mark(self.model, database, standing, true, "rows of " .. self.model.name, function()
    return run_update(standing, with_traits(self.model, { [field.name] = core.now_datetime() }))
  end)
  return rows, { [self.model.name] = rows }
end

--- Take back that the rows of an entity with soft_delete were deleted; runs no hooks.
---@return integer rows
--- Raises unfiltered, bad_argument, integrity and the other errors of a statement.
function methods:restore(given)
  takes_nothing("restore", given)
  need_soft_delete(self, "restore")
  compile.check_change(self, "restore")
  return run_update(query.with_deleted(self, "only"), with_traits(self.model, { [self.model.deleted_field.name] = core.null }))
end

--- Insert an object and return it.
---@param values table
---@return table
--- Raises validation, unknown_field, integrity and the other errors of a statement.
function methods:create(values, given)
  if given ~= nil then
    return errors.raise("bad_argument", "create takes one table of values; bulk_create takes an array of them")
  end
  local class, database, other = place_of(self)
  if self.extra and self.extra.tries then
    return inserting.try(class, values, database, other)
  end
  return inserting.create(class, values, database, other)
end

--- An object that is not saved.
---@param values table
---@return table
function methods:build(values)
  local class = place_of(self)
  return building.build(class, values, true)
end

-- The values of a new row: those that say which row is meant, but for lookups, and more.
local function merged(match, more)
  local all = {}
  for name, value in pairs(match) do
    if type(name) ~= "string" or not name:find("__", 1, true) then
      all[name] = value
    end
  end
  for name, value in pairs(more or {}) do
    all[name] = value
  end
  return all
end

local function check_match(name, match, more)
  if type(match) ~= "table" or next(match) == nil then
    return errors.raise("bad_argument", name .. " takes a table that says which row is meant")
  elseif more ~= nil and type(more) ~= "table" then
    return errors.raise("bad_argument", name .. " takes a table of values, not " .. vocabulary.quoted(more))
  end
end

-- The row that was in the way of ours. It is locked where there is a transaction: of one that began before the row was
-- there, only that sees it.
local function get_other(q, match, inside)
  return (inside and q:for_update() or q):get(match)
end

-- The same query set, whose create gives nil where a unique column has the value already.
local function trying(q)
  local extra = { tries = true }
  for name, value in pairs(q.extra or {}) do
    extra[name] = value
  end
  return query.with(q, extra)
end

-- A row that is marked as deleted has a unique value still: it is in the way of a new one, and no query finds it.
local function refuse_deleted(q, all)
  local model = q.model
  if not model.soft_delete then
    return
  end
  local _, database = place_of(q)
  local marked = query.with(model.class.root, { database = database }):only_deleted()
  for _, fields in ipairs(tables.uniques(model)) do
    local match, columns = {}, {}
    for place, field in ipairs(fields) do
      match[field.name], columns[place] = all[field.name], field.name
      if match[field.name] == nil then
        match[field.name] = all[field.attribute]
      end
      if match[field.name] == nil or match[field.name] == core.null then
        match = nil
        break
      end
    end
    local one = match and marked:get(match)
    if one then
      return errors.raise("unique", ("%s has this %s already, and is marked as deleted: restore() brings it back, purge() removes it; %s")
        :format(tostring(one), table.concat(columns, ", "), model.name .. ":only_deleted() finds it"),
        { table = model.table, columns = columns })
    end
  end
end

-- Another task may create the row between our look and our insert: then it is there. In a transaction the insert must not
-- fail for that: on some servers it would be over.
local function find_or_create(q, match, values)
  local found = q:get(match)
  if found then
    return found, false
  end
  local all = merged(match, values)
  local _, database = place_of(q)
  local inside = transaction.current(database) ~= nil
  local problem
  if inside then
    found = trying(q):create(all)
  else
    local ok, result = pcall(q.create, q, all)
    if ok then
      found = result
    elseif errors.is_error(result) and result.kind == "unique" then
      problem = result
    else
      return error(result, 0)
    end
  end
  if found then
    return found, true
  end
  found = get_other(q, match, inside)
  if found then
    return found, false
  end
  refuse_deleted(q, all)
  if problem then
    return error(problem, 0)
  end
  -- another unique column has the value: the server says which
  return q:create(all), true
end

--- The object that matches, or a new one.
---@param match table
---@param defaults table? further values of a new one
---@return table object, boolean created
--- Raises multiple, and what create raises.
function methods:get_or_create(match, defaults)
  check_match("get_or_create", match, defaults)
  return find_or_create(self, match, defaults)
end

--- The object that matches, changed to the values; or a new one.
---@param match table
---@param values table
---@return table object, boolean created
--- Raises multiple, and what create and save raise.
function methods:update_or_create(match, values)
  check_match("update_or_create", match, values)
  local found, created = find_or_create(self, match, values)
  if not created then
    for name, value in pairs(values or {}) do
      found[name] = value
    end
    found:save()
  end
  return found, created
end

return methods
