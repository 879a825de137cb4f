-- Waiting inside a user's coroutine: the wait passes through to the scheduler, its consumer never sees it.
-- Replaces coroutine.resume, wrap, status and close by functions that mean the same. What was copied before the
-- replacement is told from ours by scheduler.top, which only ours keep (await.lua raises not_yieldable).

local await = require "moonpool.runtime.await"
local scheduler = require "moonpool.runtime.scheduler"
local scope = require "moonpool.runtime.scope"

local create, resume, status, close = coroutine.create, coroutine.resume, coroutine.status, coroutine.close
local WAIT = scheduler.WAIT

local generators = {}

-- Coroutines through which a wait has passed: to everybody but their own task they are running.
local passing = setmetatable({}, { __mode = "k" })

-- The mp.timeout and mp.shield that a suspended coroutine is inside of: they are not its consumer's.
local blocks = setmetatable({}, { __mode = "k" })

-- What a resume gave back. A wait is none of the consumer's business: suspend the consumer too, then go on.
local function deliver(co, outer, block, ok, first, ...)
  scheduler.top = outer
  if first == WAIT and ok then
    passing[co] = true
    local refusal = await.pass_up()
    passing[co] = nil
    scheduler.top = co
    return deliver(co, outer, block, resume(co, refusal))
  end
  local context = scheduler.current
  if context.scope ~= block then
    blocks[co] = scope.suspend(context, block)
  end
  return ok, first, ...
end

local function resume_passing(co, ...)
  if type(co) ~= "thread" then
    return resume(co, ...)
  elseif passing[co] then
    return false, "cannot resume non-suspended coroutine"
  end
  local context = scheduler.current
  local outer, block, inner = scheduler.top, context.scope, blocks[co]
  if inner and status(co) == "suspended" then
    blocks[co] = nil
    scope.resume(context, inner)
  end
  scheduler.top = co
  return deliver(co, outer, block, resume(co, ...))
end

local function closed(outer, ...)
  scheduler.top = outer
  return ...
end

-- Its <close> variables run in it.
local function close_in_place(co)
  local outer = scheduler.top
  scheduler.top = co
  return closed(outer, close(co))
end

local function values_or_raise(co, ok, ...)
  if ok then
    return ...
  end
  local err = ...
  if close and not passing[co] and status(co) == "dead" then
    local _, closing_err = close_in_place(co) -- runs its <close> variables, as coroutine.wrap does
    if closing_err ~= nil then
      err = closing_err
    end
  end
  error(err, close and 2 or 0) -- Lua 5.4 says in front of a text where the generator was called
end

local function wrap_passing(fn)
  local co = create(fn)
  return function(...)
    return values_or_raise(co, resume_passing(co, ...))
  end
end

local function status_passing(co)
  if passing[co] then
    return "normal"
  end
  return status(co)
end

local function close_passing(co)
  if passing[co] then
    return error("cannot close a normal coroutine", 2)
  end
  return close_in_place(co)
end

--- Replace the functions of the coroutine library.
function generators.install()
  coroutine.resume, coroutine.wrap, coroutine.status = resume_passing, wrap_passing, status_passing
  if close then
    coroutine.close = close_passing
  end
end

return generators
