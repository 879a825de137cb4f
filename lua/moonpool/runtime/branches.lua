-- gather and map: several tasks whose end the caller waits for.
-- The first error cancels the rest; it is raised when all have ended, so nothing runs on behind the caller's back.

local errors = require "moonpool.errors"
local await = require "moonpool.runtime.await"
local scheduler = require "moonpool.runtime.scheduler"
local scope = require "moonpool.runtime.scope"
local task = require "moonpool.runtime.task"

local branches = {}

local function cancel_all(set)
  for branch in pairs(set.running) do
    branch:cancel()
  end
end

-- A branch has ended (still in its own coroutine).
local function on_done(branch)
  local set = branch.set
  set.running[branch] = nil
  set.left = set.left - 1
  if branch.failed then
    if set.first == nil then
      set.first = branch
      cancel_all(set)
    else
      set.others[#set.others + 1] = branch
    end
  else
    set.values[branch.place] = branch.values[1]
  end
  if set.next and not set.first and not set.stopping then
    set.next(set)
  end
  if set.left == 0 then
    scheduler.wake(set.parent)
  end
end

local function start(set, place, fn, ...)
  local branch = task.start(set.parent.group, fn, ...)
  branch.branch_of, branch.set, branch.place, branch.on_done = set.parent, set, place, on_done
  set.running[branch] = true
  set.left = set.left + 1
end

local function new_set()
  local parent = scheduler.current
  if parent.stop then
    scope.raise_cancelled(parent)
  end
  return { parent = parent, running = {}, values = {}, others = {}, left = 0 }
end

-- Wait until no branch is left; when the caller is cancelled, so are they.
local function join(set)
  local parent = set.parent
  local cancelled
  parent.waits_tasks = set.running
  while set.left > 0 do
    local ok, err = true, nil
    if cancelled then
      await.park_cleanup()
    else
      ok, err = pcall(await.park)
    end
    if not ok then
      cancelled = err
      set.stopping = true
      cancel_all(set)
    end
  end
  parent.waits_tasks = nil
  if cancelled then
    return error(cancelled, 0)
  end
  local first = set.first
  if first then
    for _, other in ipairs(set.others) do
      if other.outcome ~= "cancelled" then
        errors.suppress(first.err, other.err)
      end
    end
    return task.raise(first)
  end
  return set.values
end

--- mp.gather: each function a task, all at once; the first value of each, in order.
---@param ... function
---@return any ...  raises the first error
function branches.gather(...)
  local n = select("#", ...)
  for i = 1, n do
    scope.check_function("mp.gather", (select(i, ...)))
  end
  local set = new_set()
  for i = 1, n do
    start(set, i, (select(i, ...)))
  end
  return scope.unpack(join(set), 1, n)
end

local map_options = { limit = true }

local function read_limit(options)
  if options == nil then
    return math.huge
  elseif type(options) ~= "table" then
    errors.raise("bad_argument", "mp.map: options are a table, not a " .. type(options))
  end
  for key in pairs(options) do
    if not map_options[key] then
      errors.raise("unknown_option", "mp.map has no option " .. tostring(key) .. " (did you mean limit?)")
    end
  end
  local limit = options.limit
  if limit ~= nil and (type(limit) ~= "number" or limit < 1 or limit % 1 ~= 0) then
    errors.raise("bad_argument", "mp.map: limit is a whole number from 1 on, not " .. tostring(limit))
  end
  return limit or math.huge
end

-- An entity or a query set is a table too, and says itself how its rows are had.
local function length(list)
  local n = rawget(list, "n")
  if n == nil then
    return list[1] == nil and 0 or #list -- on LuaJIT only the index raises
  elseif type(n) ~= "number" or n < 0 or n % 1 ~= 0 then
    errors.raise("bad_argument", "mp.map: the field n of an array is how many items it has, not " .. tostring(n))
  end
  return n
end

--- mp.map: the first values of fn(item, index), in order, with the field n; at most options.limit at once.
---@param list any[]  ---@param fn function  ---@param options { limit: integer? }?
---@return any[]  raises the first error
function branches.map(list, fn, options)
  if type(list) ~= "table" then
    errors.raise("bad_argument", "mp.map: expected an array, not a " .. type(list))
  end
  scope.check_function("mp.map", fn)
  local limit = read_limit(options)
  local set = new_set()
  local n, started = length(list), 0
  function set.next()
    if started < n then
      started = started + 1
      start(set, started, fn, list[started], started)
    end
  end
  while started < n and started < limit do
    set.next()
  end
  local values = join(set)
  values.n = n
  return values
end

return branches
