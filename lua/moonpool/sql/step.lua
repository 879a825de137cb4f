-- From one query set to the next. A query set is a small table: its shape (shared by all query sets of that
-- form), the values of its slots, converted, and its limits. What a method adds becomes templates and is resolved
-- once, when its shape is made, so that a wrong name is an error at the line that wrote it.
--
-- Raw keys: model shape slots top skip extra. None is called like a method. What is not there is false, so that
-- reading it asks no metamethod.

local errors = require "moonpool.errors"
local models = require "moonpool.resolve.model"
local shape_room = require "moonpool.sql.shape"
local template = require "moonpool.resolve.template"

local getmetatable, setmetatable = getmetatable, setmetatable

local step = {}

--- A query set like q but for its shape and slots.
function step.derived(q, shape, slots)
  return setmetatable({
    model = q.model, shape = shape, slots = slots, top = q.top, skip = q.skip, extra = q.extra,
  }, getmetatable(q))
end

--- All rows of a model.
---@param model table
---@param metatable table?  that of the query set and of all made from it
---@param extra any         carried along
function step.root(model, metatable, extra)
  local root = model.root
  if not root then
    root = shape_room.root(model)
    model.root = root
  end
  return setmetatable({
    model = model, shape = root, slots = {}, top = false, skip = false, extra = extra or false,
  }, metatable)
end

--- The same query set with something else carried along.
function step.with(q, extra)
  local other = step.derived(q, q.shape, q.slots)
  other.extra = extra
  return other
end

--- The same query set with these limits instead of its own; nil is none.
function step.limited(q, top, skip)
  return setmetatable({
    model = q.model, shape = q.shape, slots = q.slots, top = top or false, skip = skip or false, extra = q.extra,
  }, getmetatable(q))
end

models.on_replace(function(model)
  if model.root then shape_room.forget(model.root) end
end)

--- Follow a walk from q's shape: the shape that it leads to, made if there was none, and its slots.
-- change(walk) is asked for new shapes only: it walks again, building, and gives the changes.
function step.advance(q, walk, prefix, change)
  local from = q.shape
  local key = prefix .. template.key(walk)
  local to = from.next[key]
  if not to then
    local building = template.walk(from.context, {}, from.count, true)
    local takes = {}
    local changes = change(building, takes)
    to = shape_room.follow(from, key, shape_room.derive(from, changes, building.count, takes))
  end
  if to.count == from.count then return step.derived(q, to, q.slots) end
  local slots, given = {}, q.slots
  for i = 1, from.count do slots[i] = given[i] end
  local values, takes = walk.values, to.takes
  for i = from.count + 1, to.count do slots[i] = takes[i]:convert(values[i]) end
  return step.derived(q, to, slots)
end

--- A walk over what is added to q.
function step.walk(q)
  return template.walk(q.shape.context, {}, q.shape.count, false)
end

--- The query set behind a change without values, known by `key`. make: gives the changes, for a new shape.
function step.changed(q, key, make)
  local from = q.shape
  local to = from.next[key] or shape_room.follow(from, key, shape_room.derive(from, make()))
  return step.derived(q, to, q.slots)
end

--- What would apply to the rows that a limit has left is refused.
function step.refuse_limited(q, method)
  if q.shape.distinct_on then
    errors.raise("bad_argument", ("%s after distinct of columns: narrow first, then say which rows are one"):format(method))
  end
  if q.top or q.skip then
    errors.raise("bad_argument", ("%s after limit or offset: narrow first, then cut"):format(method))
  end
end

return step
