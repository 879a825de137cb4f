-- Many rows at once: bulk_create, bulk_update, upsert. They run no hooks, check every row before the first is sent,
-- and write all or nothing.

local building = require "moonpool.entity.building"
local bulk_insert = require "moonpool.entity.bulk_insert"
local bulk_update = require "moonpool.entity.bulk_update"
local conflicts = require "moonpool.entity.conflicts"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local failing = require "moonpool.entity.failing"
local grouping = require "moonpool.entity.grouping"
local inserting = require "moonpool.entity.inserting"
local loading = require "moonpool.entity.loading"
local row = require "moonpool.sql.row"
local runtime = require "moonpool.runtime"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"
local transaction = require "moonpool.database.transaction"
local validation = require "moonpool.entity.validation"
local vocabulary = require "moonpool.vocabulary"

local bulk = {}

local place_of = loading.place_of

local function bad(message)
  return errors.raise("bad_argument", message)
end

local CREATE = {
  batch = true, on_conflict = true, conflict = true, update = true, on_progress = true, returning = true,
}
local UPSERT = { conflict = true, update = true }

local function check(name, options, known)
  if type(options) ~= "table" then
    return bad(name .. " takes a table of options, not " .. vocabulary.quoted(options))
  end
  for key in pairs(options) do
    if not known[key] then
      return errors.raise("unknown_option", name .. " takes no option " .. tostring(key)
        .. vocabulary.suggest(tostring(key), known))
    end
  end
  local batch = options.batch
  if batch ~= nil and (type(batch) ~= "number" or batch < 1 or batch % 1 ~= 0) then
    return bad(name .. ": batch is a number of rows, not " .. vocabulary.quoted(batch))
  elseif options.returning ~= nil and type(options.returning) ~= "boolean" then
    return bad(name .. ": returning is true or false")
  elseif options.on_progress ~= nil and type(options.on_progress) ~= "function" then
    return bad(name .. ": on_progress is a function")
  end
end

--- Insert objects that are new, in order, inside the transaction that there is, which a failure fails. They are checked
--- here; their hooks are the caller's.
---@param flight moonpool.flight they are written when it ends
--- Raises validation, integrity and the other errors of a statement.
function bulk.insert(class, database, objects, flight)
  local groups = grouping.objects(class, objects)
  for _, some in ipairs(groups) do
    bulk_insert.objects(some, class, database, nil, {}, nil, flight)
    inserting.follow_key(class, database, validation.columns(class, some.omitted), some.params, some.n)
  end
end

--- Insert many rows, all or nothing.
---@param q table the query set of all rows
---@param rows table[] tables of values, or objects that are not saved
---@param options {batch: integer?, on_conflict: string?, conflict: string[]?, update: string[]?, on_progress: function?, returning: boolean?}?
---@return table[]|integer objects with their keys, in order; with returning = false the number of rows
--- Raises validation, integrity, data (err.row is the place of the row) and the other errors of a statement.
function bulk.create(q, rows, options)
  options = options or {}
  check("bulk_create", options, CREATE)
  local class, database, other = place_of(q)
  if not vocabulary.is_array(rows) then
    return bad("bulk_create takes an array of rows, such as { { name = \"x\" } }, not " .. vocabulary.quoted(rows))
  end
  local conflict = conflicts.read(class, options, options.on_conflict, rows)
  state.write_next(nil, rows)
  local groups, objects = grouping.rows(class, rows, options.returning ~= false)
  local done, total, count = 0, #rows, 0
  local function progress(n)
    done = done + n
    if options.on_progress then
      options.on_progress(done, total)
    end
  end
  if groups[1] then
    transaction.whole(database, function()
      for _, some in ipairs(groups) do
        if options.returning ~= false and conflict then
          failing.name(some, conflicts.objects, class, database, other, conflict, progress)
        elseif options.returning ~= false then
          failing.name(some, bulk_insert.objects, class, database, other, options, progress)
        elseif conflict then
          count = count + failing.name(some, conflicts.rows, class, database, conflict, options, progress)
        else
          count = count + failing.name(some, bulk_insert.rows, class, database, options, progress)
        end
        inserting.follow_key(class, database, validation.columns(class, some.omitted), some.params, some.n)
      end
    end)
  end
  if options.returning == false then
    return count
  end
  return objects
end

--- Insert a row, or change the one that is there.
---@param values table
---@param options {conflict: string[]?, update: string[]?}?
---@return table object
--- Raises validation, integrity and the other errors of a statement.
function bulk.upsert(q, values, options)
  options = options or {}
  check("upsert", options, UPSERT)
  local class, database, other = place_of(q)
  local conflict = conflicts.read(class, options, "update", { values })
  local one = building.build(class, values, false)
  local params, n, omitted = validation.values(one, class, {}, 0)
  local names = validation.columns(class, omitted)
  local all = class.meta.plan.names
  local st = row.upsert(class.model, loading.dialect_of(database), names, 1, conflict.conflict, conflict.update, all)
  state.note(one, database)
  local made = statement.run(database, nil, st.sql, "write", params, n, loading.options(database, st), core.rows,
    st.plan)[1]
  if made == nil and class.model.kinds then
    return conflicts.other_kind(class, conflict)
  end
  inserting.follow_key(class, database, names, params, 1)
  bulk_insert.written(class, one, made, all, other)
  local session, objects = runtime.current().session, { one }
  if session then -- may know an object of the row that was there
    session:identify(class, database, objects)
  end
  return objects[1]
end

bulk.update = bulk_update.run

return bulk
