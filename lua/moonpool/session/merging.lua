-- An object that a session knows, and a fresh one that a query made of the same row: the known one takes the row's
-- values over, but keeps what the program has changed in it, and what the database held when it was changed.

local class_room = require "moonpool.entity.class"
local loading = require "moonpool.entity.loading"
local state = require "moonpool.entity.state"

local merging = {}

local rawget, rawset, ipairs, getmetatable, setmetatable = rawget, rawset, ipairs, getmetatable, setmetatable

local function set_of(names)
  local set = {}
  for place, name in ipairs(names) do
    set[name] = place
  end
  return set
end

-- A plan with the columns of both: one of the two where that has them all.
local function joined_plan(class, known, fresh)
  local have, more = set_of(known.names), set_of(fresh.names)
  local extra = {}
  for place, name in ipairs(fresh.names) do
    if not have[name] then
      extra[#extra + 1] = place
    end
  end
  if extra[1] == nil then
    return known
  end
  local missing = false
  for _, name in ipairs(known.names) do
    missing = missing or not more[name]
  end
  if not missing then
    return fresh
  end
  local plan = { names = {}, kinds = {} }
  for place, name in ipairs(known.names) do
    plan.names[place], plan.kinds[place] = name, known.kinds[place]
  end
  for _, place in ipairs(extra) do
    plan.names[#plan.names + 1], plan.kinds[#plan.kinds + 1] = fresh.names[place], fresh.kinds[place]
  end
  return loading.plan(class, plan)
end

-- Only some columns came, or some were changed: what the database holds is put together from both.
local function merge_some(known, fresh, changed)
  local meta = getmetatable(known)
  local from, to = getmetatable(fresh).plan, meta.plan
  local original, dirty, values = state.original(known), {}, {}
  for _, place in ipairs(changed or {}) do
    dirty[to.names[place]] = true
  end
  for place, name in ipairs(to.names) do
    values[name] = original:value(place, to)
  end
  for _, name in ipairs(from.names) do
    if not dirty[name] then
      local value = rawget(fresh, name)
      values[name] = value
      rawset(known, name, value)
    end
  end
  local plan = joined_plan(meta.class, to, from)
  state.adopt(known, values, plan)
  state.original(known).batch = state.batch_of(fresh)
  setmetatable(known, class_room.metatable(meta.class, plan))
end

--- Take over what the database holds of the row.
---@param known table the object that stays
---@param fresh table goes
function merging.merge(known, fresh)
  local meta, other = getmetatable(known), getmetatable(fresh)
  local plan = meta.plan
  local changed = state.changed(known, plan)
  if changed or meta ~= other then
    return merge_some(known, fresh, changed)
  end
  for _, name in ipairs(plan.names) do
    rawset(known, name, rawget(fresh, name))
  end
  state.take_over(known, fresh)
end

return merging
