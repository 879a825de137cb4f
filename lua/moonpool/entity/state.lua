-- What moonpool knows of an object beyond its columns: what the database holds of it, the result it came with, the
-- objects its relations lead to. Objects are plain tables: all of it is kept here, beside them, and goes
-- when they go.

local core = require "moonpool.core"
local runtime = require "moonpool.runtime"
local transaction = require "moonpool.database.transaction"

local on_sheet, own_original, changed_on_sheet = core.on_sheet, core.own_original, core.changed_on_sheet

local state = {}

local ipairs, pairs, getmetatable, rawget, rawset = ipairs, pairs, getmetatable, rawget, rawset

local NONE = {}

local weak_keys, weak_values = { __mode = "k" }, { __mode = "v" }

-- object -> original; an object without one is new, unless it is on a sheet: core.objects makes those of many in one
local originals = setmetatable({}, weak_keys)
-- object -> relation -> object
local related = setmetatable({}, weak_keys)

--- For core.objects, which enters what it makes. What is in it is asked with state.original.
state.originals = originals

-- ---- results: objects that came together ----

---@class moonpool.batch
---@field database table? when it is not the entity's own
---@field objects table? weak: for relations that are loaded for all of them

--- The batch of a result that is about to be read.
---@param class table
---@param database table? when it is not the entity's own
---@param partial any whether its objects lack columns
function state.new_batch(class, database, partial)
  if class.batched or partial then
    return { database = database }
  elseif database then
    database.batch = database.batch or { database = database }
    return database.batch
  end
  return nil
end

local move = table.move

--- The objects of the result are there. They are remembered only where something can be loaded for all of them.
function state.fill_batch(class, batch, objects, partial)
  if not (class.batched or partial) then
    return
  end
  local list = setmetatable({}, weak_values)
  if move then
    move(objects, 1, #objects, 1, list)
  else
    for place = 1, #objects do
      list[place] = objects[place]
    end
  end
  batch.objects, batch.count = list, #objects
end

function state.batch_of(object)
  local original = originals[object]
  if original then
    return original.batch
  end
  local _, batch = on_sheet(object)
  return batch
end

-- ---- originals ----

function state.is_new(object)
  return originals[object] == nil and not on_sheet(object)
end

--- From then on the object has an original of its own, and the metatable of its plan may be replaced.
function state.original(object)
  return originals[object] or own_original(object, originals)
end

--- The places of the plan whose value is another one than the database's; nil: none.
---@return integer[]?
function state.changed(object, plan)
  local original = originals[object]
  if original then
    return original:changed(object, plan)
  end
  return changed_on_sheet(object, plan)
end

--- The database holds now what the object has.
function state.written(object, plan, batch)
  own_original(object, originals)
  originals[object] = core.original(object, plan, batch)
  local session = runtime.current().session
  if session then
    session:noted(object)
  end
end

--- The database holds these values; the object may have others.
function state.adopt(object, values, plan)
  local before = state.original(object)
  originals[object] = core.original(values, plan, before and before.batch)
  local session = runtime.current().session
  if session then
    session:noted(object)
  end
end

--- The database holds of one object what it held of another.
function state.take_over(object, other)
  own_original(object, originals)
  originals[object] = state.original(other)
end

--- The row is gone.
function state.deleted(object)
  own_original(object, originals)
  originals[object] = nil
  local session = runtime.current().session
  if session then
    session:noted(object)
  end
end

-- ---- relations ----

function state.related(object, name)
  local all = related[object]
  return all and all[name]
end

function state.relate(object, name, other)
  local all = related[object]
  if all == nil then
    if other == nil then
      return
    end
    all = {}
    related[object] = all
  end
  all[name] = other
end

function state.unrelate(object)
  related[object] = nil
end

--- An object assigned to a relation before it had a key. Field names have no "+".
function state.pending(object, name)
  return state.related(object, "+" .. name)
end

function state.set_pending(object, name, other)
  state.relate(object, "+" .. name, other)
end

function state.has_relations(object)
  return related[object] ~= nil
end

--- The keys that were to be taken over are not any more.
function state.forget_pending(object)
  local all = related[object]
  for name in pairs(all or NONE) do
    if name:byte() == 43 then
      all[name] = nil
    end
  end
end

--- Of a new object: the keys of others that are new again, and have none any more, are still to be taken over.
function state.await_keys(object)
  for _, field in ipairs(related[object] and getmetatable(object).class.model.references or NONE) do
    local other = related[object][field.name]
    if other and getmetatable(other) and state.is_new(other) then
      for _, key in ipairs(field:keys()) do
        if rawget(other, key.attribute) == nil then
          for _, one in ipairs(field:locals()) do
            rawset(object, one.attribute, nil)
          end
          state.relate(object, field.name, nil)
          state.set_pending(object, field.name, other)
          break
        end
      end
    end
  end
end

-- ---- rollback ----

local NEW = {} -- it was new, with the key it has
local KEYLESS = {} -- it was new, its key was made by the database

--- The task is about to write the object by itself. In a session what is scheduled is written before; the object is not
--- scheduled any more.
---@param objects table[]? several of them, among values that are none
function state.write_next(object, objects)
  local session = runtime.current().session
  if session then
    session:before_write(objects or { object })
  end
end

--- The object's key is wanted: in a session that writes it later it is written now.
function state.write_scheduled(object)
  local session = runtime.current().session
  if session then
    session:write_scheduled(object)
  end
end

--- The same for objects of one class that are to be inserted, from the first to the last of a list.
function state.note_inserts(objects, first, last, class, database)
  local frame = transaction.current(database) or transaction.innermost(database)
  local before, key = frame and transaction.notes(frame), class.generated_key
  for place = first, frame and last or 0 do
    local one = objects[place]
    if not state.is_new(one) then
      state.note(one, database)
    elseif before[one] == nil then
      before[one] = key and rawget(one, key) == nil and KEYLESS or NEW
    end
  end
end

--- The task is about to write the object to that database: remember how it was, in case that is undone.
function state.note(object, database)
  local frame = transaction.current(database) or transaction.innermost(database)
  if frame then
    local was = state.original(object)
    if was then
      was = { original = was, meta = getmetatable(object) }
    else
      local key = getmetatable(object).class.generated_key
      was = key and rawget(object, key) == nil and KEYLESS or NEW
    end
    transaction.note(frame, object, was)
  end
end

local function restore(object, was)
  local meta = getmetatable(object)
  if was == NEW or was == KEYLESS then
    originals[object] = nil
    if was == KEYLESS then
      rawset(object, meta.class.generated_key, nil)
    end
  else
    for _, name in ipairs(meta ~= was.meta and meta.plan.names or {}) do
      rawset(object, name, nil) -- loaded since then
    end
    for name in pairs(was.meta.missing or {}) do
      rawset(object, name, nil) -- assigned while it was new
    end
    setmetatable(object, was.meta)
    was.original:restore(object, was.meta.plan)
    originals[object] = was.original
    state.forget_pending(object)
  end
end

function transaction.restore(before)
  for object, was in pairs(before) do
    restore(object, was)
  end
  for object in pairs(before) do
    if state.is_new(object) then
      state.await_keys(object)
    end
  end
end

return state
