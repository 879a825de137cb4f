-- Who holds what and who waits for what: finds waits that would never end, before they begin.
-- A key is anything that only so many contexts can hold at once: a pool, the writer of a file, a module that
-- is being loaded. A context makes progress unless it waits for a task that does not, or for a key of
-- which every holder does not. Looked at only when somebody is about to wait.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local scheduler = require "moonpool.runtime.scheduler"

local done = core.done
local PARKED = scheduler.PARKED

local holders = {}

local held = setmetatable({}, { __mode = "k" }) -- key -> { n = how often, by = { context -> how often } }
local waiters = setmetatable({}, { __mode = "k" }) -- key -> set of contexts that wait for it

--- The running context holds the key (once more).
---@param key table
function holders.hold(key)
  local context = scheduler.current
  local of_key = held[key]
  if of_key == nil then
    of_key = { n = 0, by = {} }
    held[key] = of_key
  end
  of_key.n = of_key.n + 1
  local by = of_key.by
  local before = by[context]
  by[context] = before and before + 1 or 1
  if not before then
    context.holds = context.holds or {}
    context.holds[key] = true
  end
end

local function drop(context, key, times)
  local of_key = held[key]
  local left = of_key and of_key.by[context]
  if left == nil then
    return
  elseif left > times then
    of_key.by[context] = left - times
    of_key.n = of_key.n - times
    return
  end
  of_key.by[context] = nil
  of_key.n = of_key.n - left
  context.holds[key] = nil
end

--- The context that held the key gives it back (one time). Holding nothing is fine.
---@param key table  ---@param context table?  the holder; nil: the running one
function holders.unhold(key, context)
  drop(context or scheduler.current, key, 1)
end

--- A context has ended: it holds nothing any more.
function holders.forget(context)
  for key in pairs(context.holds or {}) do
    drop(context, key, math.huge)
  end
end

-- ---- the graph ----

local NONE = {}

-- Calls see(other) for each context that this one's progress may depend on. Who waits for the same key is not among
-- them: that frees nothing, and there may be tens of thousands.
local function each_dependency(context, see)
  if context.waits_task then
    see(context.waits_task)
  end
  for task in pairs(context.waits_tasks or NONE) do
    see(task)
  end
  if context.waits_group then
    for task in pairs(scheduler.tasks) do
      if task.group == context.waits_group then
        see(task)
      end
    end
  end
  local of_key = context.waits_key ~= nil and held[context.waits_key]
  for holder in pairs(of_key and of_key.by or NONE) do
    see(holder)
  end
end

-- Has the wait of this context been answered already, although it has not run since?
local function is_granted(context)
  return context.waits and context.waits ~= PARKED and done(context.waits)
end

-- Has somebody been given the key who has not run since, and is not counted as its holder yet? Who was refused frees nothing.
local function is_on_its_way(key)
  for waiter in pairs(waiters[key] or NONE) do
    if is_granted(waiter) and select(2, done(waiter.waits)) then
      return true
    end
  end
  return false
end

-- Fewer hold it than may: those who have it hold it for one statement only, and that ends.
local function has_room(context)
  local of_key = held[context.waits_key]
  return of_key == nil or of_key.n < context.waits_limit
end

local function key_comes_free(context, live)
  if has_room(context) or live[context.waits_key] then
    return true
  end
  for holder in pairs(held[context.waits_key].by) do
    if live[holder] then
      return true
    end
  end
  return false
end

local function all_live(context, live)
  for task in pairs(context.waits_tasks or scheduler.tasks) do
    if not live[task] and (context.waits_tasks or task.group == context.waits_group) then
      return false
    end
  end
  return true
end

-- Does it go on, given the contexts and keys that do?
local function progresses(context, live)
  local joins = context.waits_group or context.waits_tasks and not context.waits_what
  if context.ended or is_granted(context) then
    return true
  elseif joins then
    return all_live(context, live) -- also when it was woken to be cancelled: it waits until all have ended
  elseif not context.waits then
    return true
  elseif context.waits_task then
    return live[context.waits_task]
  elseif context.waits_tasks then
    return all_live(context, live)
  elseif context.waits_key ~= nil then
    return key_comes_free(context, live)
  end
  return true -- a timer, a statement: the loop wakes it
end

-- The cheap answer first, which is nearly always right: there is room, or one that holds the key just works.
local function is_simple(context)
  if context.waits_key == nil then
    return false
  elseif has_room(context) then
    return true
  end
  for holder in pairs(held[context.waits_key].by) do
    if holder ~= context and not holder.waits_key and progresses(holder, NONE) then
      return true
    end
  end
  return false
end

-- This context and all whose progress its own may depend on.
local function reach(context)
  local seen, all = { [context] = true }, { context }
  local function see(other)
    if not seen[other] then
      seen[other] = true
      all[#all + 1] = other
    end
  end
  local at = 1
  while all[at] do
    each_dependency(all[at], see)
    at = at + 1
  end
  return all
end

-- Adds to live those of all that go on, until nothing changes or the first of them does.
local function spread(all, live)
  local changed = true
  while changed and not live[all[1]] do
    changed = false
    for _, context in ipairs(all) do
      if not live[context] and progresses(context, live) then
        live[context], changed = true, true
      end
    end
  end
  return live[all[1]]
end

-- The contexts that can never go on if this one waits, it first; nil when it will be woken.
local function find_stuck(context)
  if is_simple(context) then
    return nil
  end
  local all, live = reach(context), {}
  if spread(all, live) then
    return nil
  end
  for _, other in ipairs(all) do
    local key = other.waits_key
    if key ~= nil and live[key] == nil then
      live[key] = is_on_its_way(key)
    end
  end
  if spread(all, live) then
    return nil
  end
  local stuck = {}
  for _, other in ipairs(all) do
    if not live[other] then
      stuck[#stuck + 1] = other
    end
  end
  return stuck
end

function holders.name_of(context)
  return context.number == 0 and "the main chunk" or "task " .. context.number
end

local function described(key)
  local meta = getmetatable(key)
  return type(meta) == "table" and rawget(meta, "__tostring") and tostring(key) or "a connection"
end

local function wait_text(context)
  if context.waits_task then
    return "for " .. holders.name_of(context.waits_task)
  elseif context.waits_tasks or context.waits_group then
    return "for " .. (context.waits_what or "its tasks")
  end
  return "for " .. described(context.waits_key)
end

local function traceback_of(context)
  if context == scheduler.current then
    return errors.traceback()
  end
  return context.co and errors.traceback_of(context.co) or ""
end

local function raise_deadlock(stuck)
  local parts, tasks = {}, {}
  for i, context in ipairs(stuck) do
    parts[i] = holders.name_of(context) .. " waits " .. wait_text(context)
    tasks[i] = { name = parts[i], traceback = traceback_of(context) }
  end
  local message = table.concat(parts, ", ") .. ": nobody can go on. Finish what holds it (a transaction, a connection)"
    .. " before waiting, or allow more connections (pool = { max = n })"
  return errors.raise("pool_deadlock", message, { tasks = tasks })
end

-- ---- waiting with the check ----

-- A key may have a function recount, for holders that have lost what they hold and do not know yet.
local function recount(stuck)
  local counted = false
  for _, context in ipairs(stuck) do
    local key = context.waits_key
    if key ~= nil and key.recount then
      key.recount()
      counted = true
    end
  end
  return counted
end

local function clear(context)
  context.waits_task, context.waits_tasks, context.waits_key, context.waits_limit = nil, nil, nil, nil
  context.waits_what = nil
end

--- The running context is about to wait as its fields waits_task, waits_tasks or waits_key and waits_limit say.
--- Raises `pool_deadlock` when that wait could never end; the fields are empty again then.
function holders.check(context)
  context.waits = PARKED
  local stuck = find_stuck(context)
  if stuck and recount(stuck) then
    stuck = find_stuck(context)
  end
  context.waits = false
  if stuck then
    local ok, err = pcall(raise_deadlock, stuck)
    clear(context)
    return error(ok or err, 0)
  end
end

--- Note that the running context waits for the key, of which `limit` contexts may have one. Raises `pool_deadlock`.
---@param key table  ---@param limit integer
function holders.begin_wait(key, limit)
  local context = scheduler.current
  context.waits_key, context.waits_limit = key, limit
  holders.check(context)
  waiters[key] = waiters[key] or {}
  waiters[key][context] = true
end

--- It does not wait any more, whatever came of it.
function holders.end_wait(context)
  local key = context.waits_key
  clear(context)
  if key ~= nil and waiters[key] then
    waiters[key][context] = nil
    if next(waiters[key]) == nil then
      waiters[key] = nil
    end
  end
end

return holders
