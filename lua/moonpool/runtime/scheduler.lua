-- The scheduler: which tasks may run, which operations wake whom, and one turn of the loop.
-- It resumes; the only place that yields is await.lua. It knows nothing of results, errors or cancelling.
--
-- A context is a task, or the main context: whatever runs outside any task. What it waits for is in `waits`: the
-- id of an operation, `scheduler.PARKED` until somebody wakes it, or false when it runs or may run.

local core = require "moonpool.core"

local resume, status = coroutine.resume, coroutine.status
local step = core.step

local scheduler = {}

-- What a suspended task yields, so that no value of a user is ever taken for it.
scheduler.WAIT = setmetatable({}, { __name = "moonpool.wait" })
scheduler.PARKED = true

local WAIT, PARKED = scheduler.WAIT, scheduler.PARKED

local waiting = {} -- operation -> the context, which has it in `waits`, or watcher that it wakes
local queue, first, last = {}, 1, 0 -- tasks that may run, oldest first
local ready = {} -- what the loop gave back in this turn
local driving = false

-- What every context has. The main context is no task: it has no coroutine, and waits by driving the loop.
local function new_context(number)
  return {
    number = number,
    co = false, -- the task's coroutine; false for the main context and for ended tasks
    fire = false, -- watchers have a function here, which is called instead of resuming a coroutine
    waits = false,
    stop = false, -- the next wait raises `cancelled` (kept by scope.lua)
    interrupted = false, -- woken by being cancelled
    cleanup = false, -- what it is waiting for cannot be cancelled
    scope = nil, -- the innermost mp.timeout or mp.shield
    locals = {}, -- what other modules keep for each context: transactions
    session = false, -- the session that the context is in (moonpool.session)
    holds = nil, -- key -> how often (holders.lua)
  }
end
scheduler.new_context = new_context

scheduler.main = new_context(0)
scheduler.main.group = { live = 0 }
scheduler.main.fire = function(main)
  main.waits = false
end
scheduler.current = scheduler.main -- the context whose code runs
scheduler.top = nil -- its coroutine that runs: the task's own, or a generator inside it
scheduler.tasks = {} -- set of the tasks that have not ended
scheduler.waiting = waiting -- a context that waits for nothing puts itself here

--- A task's own bookkeeping failed (no memory, no stack). Set by task.lua, which ends the task.
function scheduler.broken(_, err)
  error(err, 0)
end

--- Let a task run in the next turn.
function scheduler.push(task)
  last = last + 1
  queue[last] = task
end

--- Wake a context that is parked. One that is not stays as it is.
function scheduler.wake(context)
  if context.waits ~= PARKED then
    return
  end
  context.waits = false
  if context.co then
    last = last + 1
    queue[last] = context
  end
end

--- Wake a context that waits for anything, to tell it that it is cancelled.
function scheduler.interrupt(context)
  local waits = context.waits
  if waits ~= PARKED then
    waiting[waits] = nil
    context.waits = PARKED
  end
  context.interrupted = true
  scheduler.wake(context)
end

--- Call watcher.fire(watcher, id) when the operation is ready. For a stream or signal: watch it again each time.
function scheduler.watch(id, watcher)
  waiting[id] = watcher
end

--- The operation shall wake nobody any more.
function scheduler.unwatch(id)
  waiting[id] = nil
end

local function run(task)
  scheduler.current, scheduler.top = task, task.co
  local ok, token = resume(task.co)
  if token == WAIT then
    return
  elseif not ok then
    scheduler.broken(task, token)
  elseif task.co and status(task.co) ~= "dead" then
    scheduler.push(task) -- a coroutine.yield outside any generator: the others run first
  end
end

--- One turn of the loop, then what may run: first those that could run before, then those that the loop has woken. Waits at
--- most `wait` seconds for something to happen; nil: as long as it takes, but never when there is nothing to wait for.
---@param wait number?  ---@return boolean  false: nothing ran and nothing ever will
function scheduler.turn(wait)
  local outer, top = scheduler.current, scheduler.top
  local busy = first <= last
  local n, alive = step(busy and 0 or wait, ready)
  local stop = last -- those that become runnable from here on are for the next turn
  while first <= stop do
    local task = queue[first]
    queue[first] = nil
    first = first + 1
    run(task)
  end
  for i = 1, n do
    local id = ready[i]
    local context = waiting[id]
    if context then
      waiting[id] = nil
      if context.fire then
        context.fire(context, id)
      else
        context.waits = false
        run(context)
      end
    end
  end
  scheduler.current, scheduler.top = outer, top
  return busy or alive or first <= last
end

local function turn_until_woken(context)
  while context.waits do
    if not scheduler.turn() then
      return false
    end
  end
  return true
end

--- For a context without a coroutine: turn the loop until it is woken.
---@return boolean ok, any woken  false, error: interrupted from outside; woken is false when nothing will ever wake it
function scheduler.drive(context)
  local top = scheduler.top
  driving = true
  local ok, woken = pcall(turn_until_woken, context)
  driving = false
  scheduler.current, scheduler.top = context, top
  return ok, woken
end

--- Is the loop being driven by somebody, so that nobody else may?
function scheduler.is_driving()
  return driving
end

--- Is there a task that may run at once?
function scheduler.has_runnable()
  return first <= last
end

--- A context stops waiting without having been woken.
function scheduler.give_up(context)
  local waits = context.waits
  if waits and waits ~= PARKED then
    waiting[waits] = nil
  end
  context.waits = false
end

return scheduler
