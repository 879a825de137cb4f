-- Tasks: starting one, how it ends, waiting for its end, cancelling it.
-- A task's body runs inside an xpcall in a coroutine of its own, so that everything in it, also what runs while an
-- error unwinds, may wait.

local errors = require "moonpool.errors"
local await = require "moonpool.runtime.await"
local holders = require "moonpool.runtime.holders"
local scheduler = require "moonpool.runtime.scheduler"
local scope = require "moonpool.runtime.scope"
local unobserved = require "moonpool.runtime.unobserved"

local create, resume = coroutine.create, coroutine.resume
local pack, unpack = scope.pack, scope.unpack

local task = {}

---@class moonpool.task
---@field status "running"|"waiting"|"done"|"failed"|"cancelled"
---@field locals table            what other modules keep for this task; children start with an empty one
---@field branch_of moonpool.task?  the task that waits for this one in gather or map
---@field number integer
local Task = {}

local last_number = 0

-- ---- the end ----

-- Each end handler runs in the task's own coroutine; its wait points are clean-up.
local function run_end_handlers(self)
  local handlers = self.end_handlers
  while handlers and #handlers > 0 do
    local handler = table.remove(handlers)
    local ok, err = pcall(handler)
    if not ok then
      if self.err ~= nil then
        errors.suppress(self.err, err)
      else
        self.failed, self.err = true, err
      end
    end
  end
end

local function outcome(self)
  if not self.failed then
    return "done"
  elseif self.cancelled and errors.is_error(self.err) and self.err.kind == "cancelled" then
    return "cancelled"
  end
  return "failed"
end

local function tell(self)
  local group = self.group
  scheduler.tasks[self] = nil
  if task.gone then
    task.gone(self)
  end
  group.live = group.live - 1
  if group.live == 0 and group.waiter then
    scheduler.wake(group.waiter)
  end
  local waiters = self.waiters
  for i = 1, waiters and #waiters or 0 do
    scheduler.wake(waiters[i])
  end
  if self.on_done then
    self.on_done(self)
  elseif self.outcome == "failed" and waiters == nil then
    unobserved.note(self, holders.name_of(self))
  end
end

local function finish(self, ok, ...)
  if ok then
    self.values = pack(...)
  else
    self.failed, self.err = true, (...)
  end
  if self.end_handlers then
    scope.shield(run_end_handlers, self)
  end
  holders.forget(self)
  self.outcome = outcome(self)
  self.ended = true
  tell(self)
  self.co, self.waiters, self.end_handlers, self.scope, self.body = false, nil, nil, nil, nil
end

function scheduler.broken(self, err)
  if not self.ended then
    local handlers = self.end_handlers
    self.co, self.waits, self.scope, self.end_handlers = false, false, nil, nil
    finish(self, false, err)
    if handlers then -- its own coroutine is dead
      task.daemon(run_end_handlers, { end_handlers = handlers, err = err })
    end
  end
end

task.run_end_handlers = run_end_handlers

-- ---- the beginning ----

-- Where an error that is no object of ours was raised is known only now.
local function remember_traceback(err)
  local context = scheduler.current
  if not errors.is_error(err) and (err == nil or context.raised ~= err) then
    context.traceback = errors.traceback()
  end
  return err
end

local function body(self, fn, ...)
  await.start()
  if self.stop then
    return finish(self, pcall(scope.raise_cancelled, self))
  end
  return finish(self, xpcall(fn, remember_traceback, ...))
end

--- Start fn as a task; it runs from the next turn of the loop on.
---@param group table  the tasks that mp.run waits for together
---@param fn function
---@return moonpool.task
function task.start(group, fn, ...)
  last_number = last_number + 1
  local self = scheduler.new_context(last_number)
  self.co = create(body)
  self.group, self.body = group, fn
  setmetatable(self, Task)
  assert(resume(self.co, self, fn, ...)) -- up to await.start, which keeps the arguments
  group.live = group.live + 1
  scheduler.tasks[self] = true
  if task.born then
    task.born(self)
  end
  scheduler.push(self)
  return self
end

--- mp.spawn
---@param fn function  ---@return moonpool.task
function task.spawn(fn, ...)
  scope.check_function("mp.spawn", fn)
  return task.start(scheduler.current.group, fn, ...)
end

-- The host is told of each task that starts and ends (task.born, task.gone), to stop those that compute too long.

local daemons = { live = 0 }

--- A task that the program does not wait for when it ends.
---@param fn function  ---@return moonpool.task
function task.daemon(fn, ...)
  return task.start(daemons, fn, ...)
end

--- Is it one that nobody waits for?
function task.is_daemon(self)
  return self.group == daemons
end

-- ---- what may be asked of it ----

function Task:__index(key)
  if key == "status" then
    if self.ended then
      return self.outcome
    end
    return self.waits and "waiting" or "running"
  end
  return Task[key]
end

function Task:__tostring()
  return ("task %d (%s)"):format(self.number, self.status)
end

Task.__name = "moonpool.task"

--- Raise in the running context what the task raised; the traceback stays the task's.
function task.raise(self)
  local context = scheduler.current
  context.traceback, context.raised = self.traceback, self.err
  return error(self.err, 0)
end

--- Raise what the task raised, or give its values.
function task.result(self)
  unobserved.observe(self)
  if self.failed then
    return task.raise(self)
  end
  return unpack(self.values, 1, self.values.n)
end

local function forget_waiter(self, context)
  for i, waiter in ipairs(self.waiters or {}) do
    if waiter == context then
      table.remove(self.waiters, i)
      break
    end
  end
  if self.waiters and #self.waiters == 0 then
    self.waiters = nil
  end
end

--- Wait for its end.
---@return any ...  its values. Raises its error, `cancelled`, `pool_deadlock` when neither could go on
function Task:wait()
  if not self.ended then
    local context = scheduler.current
    context.waits_task = self
    holders.check(context)
    self.waiters = self.waiters or {}
    self.waiters[#self.waiters + 1] = context
    local ok, err = pcall(await.park)
    context.waits_task = nil
    if not ok then
      forget_waiter(self, context)
      return error(err, 0)
    end
  end
  return task.result(self)
end

--- Cancel it: its wait raises `cancelled`, and every later one. Returns at once; twice is fine.
function Task:cancel()
  if not self.ended then
    scope.cancel(self)
  end
end

--- Where it stands now, as text; empty when it runs or has ended.
---@return string
function Task:stack()
  return self.co and self ~= scheduler.current and errors.traceback_of(self.co) or ""
end

--- fn() when the context ends in any way, the latest first; waits inside it are not cancelled.
---@param context table  ---@param fn function
function task.on_end(context, fn)
  context.end_handlers = context.end_handlers or {}
  table.insert(context.end_handlers, fn)
end

return task
