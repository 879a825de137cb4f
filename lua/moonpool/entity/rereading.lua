-- Reading the row of an object again.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local loading = require "moonpool.entity.loading"
local row = require "moonpool.sql.row"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"
local updating = require "moonpool.entity.updating"

local rereading = {}

local getmetatable, rawset, ipairs = getmetatable, rawset, ipairs
local run = statement.run

--- Read the row again; what was changed and not saved is gone.
--- Raises not_found when the row is.
function rereading.refresh(self, class, database)
  if state.is_new(self) then
    return errors.raise("bad_argument", tostring(self) .. " is not in the database: there is nothing to read")
  end
  state.original(self):restore(self, getmetatable(self).plan) -- a session has nothing of it to write first
  local params = {}
  local n = updating.key_values(self, params, 0)
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

return rereading
