-- Waiting: the one place that yields.
-- A task yields to the scheduler; outside any task the loop is driven until the answer is there. A wait inside a
-- user's generator passes up through generators.lua, which suspends each coroutine on the way with `pass_up`.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local frames = require "moonpool.runtime.frames"
local scheduler = require "moonpool.runtime.scheduler"
local scope = require "moonpool.runtime.scope"

local yield, running, isyieldable = coroutine.yield, coroutine.running, coroutine.isyieldable
local waits, can_yield, forget = core.waits, core.can_yield, core.forget
local waiting = scheduler.waiting
local WAIT, PARKED = scheduler.WAIT, scheduler.PARKED

local await = {}

-- The wait of this context cannot be: nothing of it is left.
local function refuse(context, id, kind, message)
  scheduler.give_up(context)
  context.cleanup = false
  if id then
    forget(id)
  end
  return errors.raise(kind, message)
end

local function drive(context, id)
  if scheduler.is_driving() then
    return refuse(context, id, "not_yieldable", frames.refusal())
  end
  local ok, woken = scheduler.drive(context)
  if not ok then
    scheduler.give_up(context)
    context.cleanup = false
    if id then
      forget(id)
    end
    return error(woken, 0)
  elseif not woken then
    return refuse(context, id, "internal", "this wait would never end: nothing is left that could wake it")
  end
end

-- Why the running code, which cannot yield, is not able to wait.
local function why_not()
  if scheduler.current.co and running() ~= scheduler.top then
    return frames.foreign_resume()
  end
  return frames.refusal()
end

-- Suspend a context until what it waits for wakes it; id: the operation, if it is one. able: it can yield.
local function suspend(context, id, able)
  local refusal
  if able then
    refusal = yield(WAIT)
  elseif context.co then
    refusal = why_not()
  else
    return drive(context, id)
  end
  if refusal then
    return refuse(context, id, "not_yieldable", refusal)
  end
end

--- Raise `not_yieldable` if the context that runs could not wait now: before something is begun that must be waited for.
---@return table context
function await.check()
  local context = scheduler.current
  if not can_yield(context.co and scheduler.top) and (context.co or scheduler.is_driving()) then
    return errors.raise("not_yieldable", why_not())
  end
  return context
end

--- Wait until the operation is ready; its answer is still to be taken.
--- Raises `cancelled` or `not_yieldable`; the operation is forgotten then.
---@param id integer
function await.await(id)
  local context = scheduler.current
  if context.stop then
    forget(id)
    return scope.raise_cancelled(context)
  end
  local able = waits(id, context.co and scheduler.top)
  if able == nil then
    return
  end
  waiting[id], context.waits = context, id
  if not able then
    suspend(context, id, able)
  else -- nearly every wait: suspend says the same, at the price of one more call
    local refusal = yield(WAIT)
    if refusal then
      return refuse(context, id, "not_yieldable", refusal)
    end
  end
  if context.interrupted then
    context.interrupted = false
    forget(id)
    return scope.raise_cancelled(context)
  end
end

--- The same for moonpool's own clean-up: it is not cancelled.
---@param id integer
function await.await_cleanup(id)
  local context = scheduler.current
  local able = waits(id, context.co and scheduler.top)
  if able == nil then
    return
  end
  context.cleanup = true
  waiting[id], context.waits = context, id
  suspend(context, id, able)
  context.cleanup = false
end

--- Wait until somebody calls scheduler.wake(context) for the context that runs. Raises like await.
function await.park()
  local context = scheduler.current
  if context.stop then
    return scope.raise_cancelled(context)
  end
  context.waits = PARKED
  suspend(context, nil, can_yield(context.co and scheduler.top))
  if context.interrupted then
    context.interrupted = false
    return scope.raise_cancelled(context)
  end
end

--- The same for clean-up: it is not cancelled.
function await.park_cleanup()
  local context = scheduler.current
  context.cleanup = true
  context.waits = PARKED
  suspend(context, nil, can_yield(context.co and scheduler.top))
  context.cleanup = false
end

--- Suspend the coroutine that runs because one that it resumed waits. Not for anything else.
---@return string? refusal  nil: go on; otherwise why the wait is not possible
function await.pass_up()
  if not isyieldable() then
    return frames.refusal()
  end
  return yield(WAIT)
end

--- The first thing that a task's coroutine does: keep its arguments until it may run.
function await.start()
  yield(WAIT)
end

return await
