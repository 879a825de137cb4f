-- Waiting: the one place that yields.
-- A task yields to the scheduler; outside any task the loop is driven until the answer is there. A wait inside a
-- user's generator passes up through generators.lua, which suspends each coroutine on the way with `pass_up`.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local frames = require "moonpool.runtime.frames"
local scheduler = require "moonpool.runtime.scheduler"
local scope = require "moonpool.runtime.scope"

local yield, running, isyieldable = coroutine.yield, coroutine.running, coroutine.isyieldable
local done, forget = core.done, core.forget
local wait_for = scheduler.wait_for
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

-- Suspend a context until what it waits for wakes it; id: the operation, if it is one.
local function suspend(context, id)
  if not context.co then
    return drive(context, id)
  elseif running() ~= scheduler.top then
    return refuse(context, id, "not_yieldable", frames.foreign_resume())
  elseif not isyieldable() then
    return refuse(context, id, "not_yieldable", frames.refusal())
  end
  local refusal = yield(WAIT)
  if refusal then
    return refuse(context, id, "not_yieldable", refusal)
  end
end

--- Raise `not_yieldable` if the context that runs could not wait now: before something is begun that must be waited for.
function await.check()
  if not scheduler.current.co then
    if scheduler.is_driving() then
      return errors.raise("not_yieldable", frames.refusal())
    end
  elseif running() ~= scheduler.top then
    return errors.raise("not_yieldable", frames.foreign_resume())
  elseif not isyieldable() then
    return errors.raise("not_yieldable", frames.refusal())
  end
end

--- Wait until the operation is ready; its answer is still to be taken.
--- Raises `cancelled` or `not_yieldable`; the operation is forgotten then.
---@param id integer
function await.await(id)
  local context = scheduler.current
  if context.stop then
    forget(id)
    return scope.raise_cancelled(context)
  elseif done(id) then
    return
  end
  wait_for(context, id)
  suspend(context, id)
  if context.interrupted then
    context.interrupted = false
    forget(id)
    return scope.raise_cancelled(context)
  end
end

--- The same for moonpool's own clean-up: it is not cancelled.
---@param id integer
function await.await_cleanup(id)
  if done(id) then
    return
  end
  local context = scheduler.current
  context.cleanup = true
  wait_for(context, id)
  suspend(context, id)
  context.cleanup = false
end

--- Wait until somebody calls scheduler.wake(context) for the context that runs. Raises like await.
function await.park()
  local context = scheduler.current
  if context.stop then
    return scope.raise_cancelled(context)
  end
  context.waits = PARKED
  suspend(context)
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
  suspend(context)
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
