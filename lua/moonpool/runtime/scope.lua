-- Cancelling: whole tasks, and the blocks of mp.timeout and mp.shield inside them.
-- A scope is a block that one context runs. Whether the next wait of a context raises `cancelled` is kept in
-- context.stop, so that a wait that is not cancelled costs one look.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local scheduler = require "moonpool.runtime.scheduler"

local pack = table.pack or function(...)
  return { n = select("#", ...), ... }
end
local unpack = table.unpack or unpack

local scope = {}

--- Something that calls fn when the program has lost what it is kept in.
local function on_collected(fn)
  if newproxy then -- luacheck: ignore (LuaJIT)
    local proxy = newproxy(true) -- luacheck: ignore
    getmetatable(proxy).__gc = fn
    return proxy
  end
  return setmetatable({}, { __gc = fn })
end
scope.on_collected = on_collected

-- Look outwards from the innermost block: a shield hides what is cancelled around it.
local function is_stopped(context)
  local block = context.scope
  while block do
    if block.cancelled then
      return true
    elseif block.shield then
      return false
    end
    block = block.outer
  end
  return context.cancelled == true
end

local function refresh(context)
  context.stop = is_stopped(context)
  if context.stop and context.waits and not context.cleanup then
    scheduler.interrupt(context)
  end
end

local function enter(block)
  local context = scheduler.current
  block.context, block.outer = context, context.scope
  context.scope = block
  refresh(context)
  return block
end

-- Blocks of one context end in order, unless one was left inside a generator: so look for it.
local function leave(block)
  local context = block.context
  if context.scope == block then
    context.scope = block.outer
  else
    local inner = context.scope
    while inner and inner.outer ~= block do
      inner = inner.outer
    end
    if inner then
      inner.outer = block.outer
    end
  end
  refresh(context)
end

-- Weak, so that a block in a generator that its consumer has lost is collected.
local by_timer = setmetatable({}, { __mode = "v" })

local function forget_timer(id)
  scheduler.unwatch(id)
  core.forget(id)
end

-- A generator may be lost while it is suspended: then its deadlines go with it.
local function guard(block)
  local timer = { id = block.timer }
  block.guarded = timer
  block.guard = on_collected(function()
    if timer.id then
      forget_timer(timer.id)
    end
  end)
end

local function end_timer(block)
  local id = block.timer
  block.timer = nil
  if block.guarded then
    block.guarded.id = nil
  end
  return id
end

--- A generator yields to its consumer: the blocks that it is inside of do not run until it is resumed. outer: the innermost
--- block when it was resumed.
---@return table? blocks  for scope.resume
function scope.suspend(context, outer)
  local innermost = context.scope
  if innermost == outer then
    return nil
  end
  local block = innermost
  while block and block.outer ~= outer do
    block = block.outer
  end
  if block == nil then
    return nil
  end
  local inside = innermost
  while inside ~= outer do
    if inside.timer and not inside.guard then
      guard(inside)
    end
    inside = inside.outer
  end
  context.scope, block.outer = outer, nil
  refresh(context)
  return innermost
end

--- It is resumed, by whatever context, inside whatever blocks.
function scope.resume(context, blocks)
  local block = blocks
  block.context = context
  while block.outer do
    block = block.outer
    block.context = context
  end
  block.outer = context.scope
  context.scope = blocks
  refresh(context)
end

--- Cancel a task: its wait, and every later one, raises `cancelled`.
function scope.cancel(task)
  task.cancelled = true
  refresh(task)
end

--- Raise `cancelled` in the context that runs, on behalf of every block that is cancelled.
function scope.raise_cancelled(context)
  local block = context.scope
  local what = "the task was cancelled"
  while block do
    if block.cancelled then
      block.told = true
      what = "the deadline of mp.timeout has passed"
    elseif block.shield then
      break
    end
    block = block.outer
  end
  return errors.raise("cancelled", what)
end

--- Raise `cancelled` if the next wait of the context that runs would.
function scope.check_cancelled()
  local context = scheduler.current
  if context.stop then
    return scope.raise_cancelled(context)
  end
end

local function check_seconds(name, seconds)
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then
    local shown = type(seconds) == "number" and tostring(seconds) or "a " .. type(seconds)
    errors.raise("bad_argument", name .. ": seconds are a number from 0 on, not " .. shown)
  end
end
scope.check_seconds = check_seconds

local function check_function(name, fn)
  if type(fn) ~= "function" then
    local meta = getmetatable(fn)
    if type(meta) ~= "table" or meta.__call == nil then
      errors.raise("bad_argument", name .. ": expected a function, not a " .. type(fn))
    end
  end
end
scope.check_function = check_function

local expires = {}

function expires.fire(_, id)
  core.take(id)
  local block = by_timer[id]
  if block == nil then
    return -- nobody is inside of it any more
  end
  end_timer(block)
  block.cancelled = true
  refresh(block.context)
end

local function end_timeout(block, seconds, ok, ...)
  if block.timer then
    forget_timer(end_timer(block))
  end
  leave(block)
  if block.told then
    local cause
    if not ok and not (errors.is_error(...) and (...).kind == "cancelled") then
      cause = ...
    end
    return errors.raise("timeout", ("not finished after %g s"):format(seconds), { cause = cause })
  elseif not ok then
    return error((...), 0)
  end
  return ...
end

--- mp.timeout: run fn in the calling task; what is not finished after the given seconds is cancelled.
---@param seconds number  ---@param fn function
---@return any ...  fn's values. Raises `timeout`, or what fn raises
function scope.timeout(seconds, fn, ...)
  check_seconds("mp.timeout", seconds)
  check_function("mp.timeout", fn)
  local block = { cancelled = seconds == 0 }
  if seconds > 0 and seconds < math.huge then
    block.timer = core.timer(seconds)
    by_timer[block.timer] = block
    scheduler.watch(block.timer, expires)
  end
  return end_timeout(enter(block), seconds, pcall(fn, ...))
end

local function end_shield(block, ok, ...)
  leave(block)
  if not ok then
    return error((...), 0)
  end
  return ...
end

--- mp.shield: run fn to its end although the task is cancelled.
---@return any ...  fn's values. Raises what fn raises
function scope.shield(fn, ...)
  check_function("mp.shield", fn)
  return end_shield(enter { shield = true }, pcall(fn, ...))
end

local function end_try(ok, ...)
  if ok then
    return ...
  end
  local err = ...
  if errors.is_error(err) and err.kind == "cancelled" then
    return error(err, 0)
  end
  return nil, err
end

--- mp.try: fn's values, or nil and its error. Never swallows `cancelled`.
---@return any ...
function scope.try(fn, ...)
  check_function("mp.try", fn)
  return end_try(pcall(fn, ...))
end

scope.pack, scope.unpack = pack, unpack

return scope
