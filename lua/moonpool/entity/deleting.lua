-- Deleting the row of one object, which is new again then.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local hooks = require "moonpool.entity.hooks"
local loading = require "moonpool.entity.loading"
local row = require "moonpool.sql.row"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"
local updating = require "moonpool.entity.updating"

local deleting = {}

local rawset = rawset
local run = statement.run

--- Delete the row of an object, which is new again then.
---@return integer rows 0 when it was gone already
function deleting.delete(self, class, database)
  if state.is_new(self) then
    return errors.raise("bad_argument", tostring(self) .. " is not in the database: there is nothing to delete")
  end
  state.write_next(self)
  hooks.run(class, self, "before_delete")
  local params = {}
  local n = updating.key_values(self, params, 0)
  local st = row.delete_row(class.model, loading.dialect_of(database))
  state.note(self, database)
  local affected = run(database, nil, st.sql, "write", params, n, loading.options(database, st), core.take)
  state.deleted(self)
  if class.generated_key then
    rawset(self, class.generated_key, nil)
  end
  hooks.run(class, self, "after_delete")
  return affected
end

return deleting
