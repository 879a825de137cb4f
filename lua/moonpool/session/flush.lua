-- Writing what a session collected: new objects, those that others need first; then the changed columns of those it
-- knows; then what is to be deleted, in the opposite order. Many rows of one entity are one statement, and statements that need
-- no key of each other's rows go in one flight.

local batching = require "moonpool.entity.batching"
local cascade = require "moonpool.session.cascade"
local errors = require "moonpool.errors"
local flight = require "moonpool.database.flight"
local handover = require "moonpool.session.handover"
local hooks = require "moonpool.entity.hooks"
local loading = require "moonpool.entity.loading"
local order = require "moonpool.session.order"
local relation = require "moonpool.entity.relation"
local state = require "moonpool.entity.state"
local updating = require "moonpool.entity.updating"
local vocabulary = require "moonpool.vocabulary"

local flush = {}

local ipairs, getmetatable, next = ipairs, getmetatable, next

local MOST_PASSES = 100 -- hooks may schedule more, but must come to an end

local function has_hooks(class)
  for name in next, vocabulary.hooks do
    if name ~= "after_load" and hooks.find(class, name) then
      return true
    end
  end
  return false
end

-- Objects of one class and database together, in the order in which the first of each came.
local function add_to(groups, by_class, class, database, one)
  local of_class = by_class[class]
  if of_class == nil then
    of_class = {}
    by_class[class] = of_class
  end
  local group = of_class[database]
  if group == nil then
    group = { class = class, database = database, objects = {} }
    of_class[database] = group
    groups[#groups + 1] = group
  end
  group.objects[#group.objects + 1] = one
end

-- ---- insert ----

-- The cut relations of objects that need each other's key; they are set again when all are written. Gives whether there
-- were any.
local function insert(new, on)
  local later = {}
  local waves = order.waves(new, function(object, field, other)
    later[#later + 1] = { object = object, name = field.name, other = other }
    object[field.name] = nil
  end)
  local answered = 0
  local ok, err = pcall(function()
    for number, wave in ipairs(waves) do
      if wave.after > answered then
        on:finish()
        answered = number - 1
      end
      batching.insert(wave.class, loading.database_of(wave.class), wave.objects, on)
    end
    if later[1] then
      on:finish()
    end
  end)
  for _, one in ipairs(later) do
    one.object[one.name] = one.other
  end
  if not ok then
    return error(err, 0)
  end
  return later[1] ~= nil
end

-- ---- update ----

local function is_changed(one, class)
  return updating.changed_fields(one) ~= nil
    or class.has_relations and state.has_relations(one) and updating.has_pending(one, class)
end

--- The objects that an update would write, by class and database, each in order of their keys where keys have one.
---@param reads table<string, true>? of these tables; nil: of all
function flush.changed(unit, reads)
  local groups, by_class = {}, {}
  for _, rows in ipairs(unit.map.tables) do
    if reads == nil or reads[rows.name] then
      for one in rows:each() do
        local class = getmetatable(one).class
        if not unit.is_deleting[one] and is_changed(one, class) then
          add_to(groups, by_class, class, rows.database, one)
        end
      end
    end
  end
  return groups
end

local function update(unit, groups, on)
  local again = false
  for _, group in ipairs(groups) do
    batching.update(group.class, group.database, group.objects, unit.options.optimistic, on)
    again = again or has_hooks(group.class)
  end
  return again
end

-- ---- delete ----

local function delete(unit, gone, on)
  local cut = {}
  local function told(one)
    unit:deleted(one)
  end
  local waves = order.waves(gone, function(object, field)
    object[field.name] = nil
    cut[#cut + 1] = object
  end)
  for _, one in ipairs(cut) do
    batching.update(getmetatable(one).class, unit:database_of(one), { one }, nil, on)
  end
  local taken = cascade.of(unit, gone)
  for at = #waves, 1, -1 do
    local groups, by_class = {}, {}
    for _, one in ipairs(waves[at].objects) do
      add_to(groups, by_class, waves[at].class, unit:database_of(one), one)
    end
    for _, group in ipairs(groups) do
      batching.delete(group.class, group.database, group.objects, on, told)
    end
  end
  on:finish()
  cascade.done(taken)
end

-- ---- what comes before the inserts ----

-- Those that give up a unique value which others take, in order; rows to be deleted as many together as follow each other.
-- Gives whether hooks have run.
local function hand_over(unit, steps, on)
  local gone, again = {}, false
  for _, one in ipairs(steps) do
    if unit.is_deleting[one] then
      gone[#gone + 1] = one
    else
      if gone[1] then
        delete(unit, gone, on)
        gone = {}
      end
      local class = getmetatable(one).class
      batching.update(class, unit:database_of(one), { one }, unit.options.optimistic, on)
      again = again or has_hooks(class)
    end
  end
  if gone[1] then
    delete(unit, gone, on)
  end
  on:finish()
  return again
end

-- The tables that are read, and those of new objects, which may want a value that a changed one gives up.
local function with_tables_of(new, reads)
  if reads == nil or new[1] == nil then
    return reads
  end
  local all = {}
  for name in next, reads do
    all[name] = true
  end
  for _, one in ipairs(new) do
    all[getmetatable(one).class.model.table] = true
  end
  return all
end

-- What rows are deleted in which order depends on columns that an object may lack, because it was read without them or is
-- expired: they are read now. Whose row is gone already has no place in the order.
local function complete(gone)
  for _, one in ipairs(gone) do
    local missing, model = getmetatable(one).missing, getmetatable(one).class.model
    for _, fields in ipairs(missing and handover.needs(model) or {}) do
      for _, field in ipairs(fields) do
        local ok, err = true, nil
        if getmetatable(one).missing and getmetatable(one).missing[field.attribute] then
          ok, err = pcall(relation.load_column, one, field.attribute)
        end
        if not ok and not errors.is(err, "not_found") then
          return error(err, 0)
        end
      end
    end
  end
end

-- ---- all of it ----

-- Those of a list that are in its set still. What was taken out of that and came again stands in the list twice.
local function still(list, set, is_new, taken_out)
  local some, seen = {}, taken_out and {}
  for _, one in ipairs(list) do
    if set[one] and state.is_new(one) == is_new and not (seen and seen[one]) then
      some[#some + 1] = one
      if seen then
        seen[one] = true
      end
    end
  end
  return some
end

local function new_of(unit)
  return still(unit.scheduled, unit.is_scheduled, true, unit.taken_out)
end

local function gone_of(unit)
  return still(unit.deleting, unit.is_deleting, false, unit.taken_out)
end

-- What was written is scheduled no more; what a failure left unwritten still is. Who ends need not know what was written.
local function settle(unit, ends)
  local scheduled, is_scheduled = new_of(unit), {}
  for _, one in ipairs(scheduled) do
    is_scheduled[one] = true
  end
  unit.scheduled, unit.is_scheduled = scheduled, is_scheduled
  local deleting, is_deleting = gone_of(unit), {}
  for _, one in ipairs(deleting) do
    is_deleting[one] = true
  end
  unit.deleting, unit.is_deleting = deleting, is_deleting
  unit.taken_out = false
  if not ends then
    unit:sync()
  end
end

-- One pass: whether there may be something to write again, because hooks have run.
local function pass(unit, reads, again, on)
  local new, gone = new_of(unit), gone_of(unit)
  if gone[1] and (gone[2] or new[1]) then
    complete(gone)
  end
  local classes = {}
  for _, list in ipairs { new, gone } do
    for _, one in ipairs(list) do
      classes[getmetatable(one).class] = true
    end
  end
  for class in next, classes do
    again = again or has_hooks(class)
  end
  local ends = unit.ending and not (again or unit.options.expire_on_commit)
  for _, one in ipairs(again and new or {}) do
    hooks.run(getmetatable(one).class, one, "before_insert")
  end
  reads = with_tables_of(new, reads)
  local groups = flush.changed(unit, reads)
  local steps = handover.steps(unit, new, gone, groups)
  if steps then
    again = hand_over(unit, steps, on) or again
    gone = gone_of(unit)
  end
  local cut = new[1] and insert(new, on)
  ends = ends and not cut
  if steps or cut or again then
    on:finish()
    unit:sync()
    groups = flush.changed(unit, reads)
  end
  again = update(unit, groups, on) or again
  if gone[1] then
    delete(unit, gone, on)
  end
  on:finish()
  settle(unit, ends and not again)
  return again
end

local function write(on, unit, reads)
  for _ = 1, MOST_PASSES do
    local again = pass(unit, reads, false, on)
    if unit.scheduled[1] == nil and unit.deleting[1] == nil
      and not (again and flush.changed(unit, reads)[1] ~= nil) then
      return
    end
  end
  return errors.raise("bad_argument", "the hooks of a session's objects make something new to write each time it is flushed: "
    .. MOST_PASSES .. " times now")
end

--- Write what is scheduled, to be deleted, and changed in these tables.
---@param unit table
---@param reads table<string, true>? nil: all that is changed
--- Raises validation, stale, integrity and the other errors of statements; what was not written stays as it is.
function flush.run(unit, reads)
  if unit.flushing then
    return
  end
  unit:sync()
  if unit.scheduled[1] == nil and unit.deleting[1] == nil and (reads and next(reads) == nil or unit.map.tables[1] == nil) then
    return
  end
  unit.flushing = true
  local ok, err = pcall(flight.with, write, unit, reads)
  unit.flushing = false
  if not ok then
    settle(unit)
    return error(err, 0)
  end
end

return flush
