-- Deleting one object. Its row goes, and the object is new again; or, where the entity has soft_delete, the row is marked
-- as deleted, and can be restored.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local guard = require "moonpool.entity.guard"
local hooks = require "moonpool.entity.hooks"
local loading = require "moonpool.entity.loading"
local row = require "moonpool.sql.row"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"
local updating = require "moonpool.entity.updating"

local deleting = {}

local rawset, ipairs = rawset, ipairs
local run = statement.run

local function check_saved(self)
  if state.is_new(self) then
    return errors.raise("bad_argument", tostring(self) .. " is not in the database: there is nothing to delete")
  end
end

-- The row of an object is gone: it is new again.
local function purged(self, class)
  state.deleted(self)
  local ok, err = true, nil
  if hooks.find(class, "after_delete") then -- which may need the key that is gone then
    ok, err = pcall(hooks.run, class, self, "after_delete")
  end
  if class.generated_key and state.is_new(self) then
    rawset(self, class.generated_key, nil)
  end
  if not ok then
    return error(err, 0)
  end
end

--- Delete the row of an object, which is new again then.
---@return integer rows 0 when it was gone already
--- Raises stale where the entity has a version and the row another one.
function deleting.purge(self, class, database)
  check_saved(self)
  state.write_next(self)
  if state.is_new(self) then
    return 0 -- a session has deleted it now, as it was to
  end
  hooks.run(class, self, "before_delete")
  local params = {}
  local n = updating.row_values(self, params, 0)
  local st = row.delete_row(class.model, loading.dialect_of(database))
  local affected = guard.around(class.model, database, self, false, tostring(self), function()
    state.note(self, database)
    return (run(database, nil, st.sql, "write", params, n, loading.options(database, st), core.take))
  end)
  if affected == 0 and class.model.version then
    return updating.stale(self, class)
  end
  purged(self, class)
  return affected
end

--- The same of many objects, by one statement that is run for each row. Only where deletes need nothing else: no version that
--- is checked, no row that must be asked about before.
---@param objects table[]
---@param flight moonpool.flight they are deleted when it ends
---@param told fun(object: table) called for each when it is
function deleting.purge_all(objects, class, database, flight, told)
  local params, n = {}, 0
  if hooks.find(class, "before_delete") then
    flight:finish()
  end
  for _, one in ipairs(objects) do
    check_saved(one)
    hooks.run(class, one, "before_delete")
  end
  for _, one in ipairs(objects) do
    n = updating.row_values(one, params, n)
    state.note(one, database)
  end
  local st = row.delete_row(class.model, loading.dialect_of(database))
  local options = loading.options(database, st)
  local function done()
    for _, one in ipairs(objects) do
      purged(one, class)
      told(one)
    end
  end
  if objects[2] == nil then
    flight:run(done, 1, database, st.sql, params, n, options, core.take)
  else
    flight:many(done, database, st.sql, params, n / #objects, #objects, 0, options)
  end
  if hooks.find(class, "after_delete") then
    flight:finish()
  end
end

--- Delete the row, or mark it as deleted where the entity has soft_delete.
---@return integer rows 0 when it was gone or marked already
function deleting.delete(self, class, database)
  local field = class.model.deleted_field
  if field == nil then
    return deleting.purge(self, class, database)
  end
  check_saved(self)
  state.write_next(self)
  hooks.run(class, self, "before_delete")
  local affected = guard.around_mark(class.model, database, self, false, tostring(self), function()
    return updating.assign(self, class, database, { field }, { core.now_datetime() }, true)
  end)
  if affected == 0 and class.model.version then
    return updating.stale(self, class)
  end
  hooks.run(class, self, "after_delete")
  return affected
end

--- Take back that an object was marked as deleted.
---@return table self
--- Raises stale when the row is gone, bad_argument where the entity has no soft_delete.
function deleting.restore(self, class, database)
  local field = class.model.deleted_field
  if field == nil then
    return errors.raise("bad_argument", class.name .. " has no soft_delete: its deleted rows are gone")
  elseif state.is_new(self) then
    return errors.raise("bad_argument", tostring(self) .. " is not in the database: there is nothing to restore")
  elseif updating.assign(self, class, database, { field }, {}) == 0 then
    return updating.stale(self, class)
  end
  return self
end

return deleting
