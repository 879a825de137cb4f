-- The runtime: tasks, waiting, cancelling. What the rest of the library, and api.md section 1, use of it.
--
-- There is one for each Lua state, also when the library is loaded again: tasks and operations outlive that.

local core = require "moonpool.core"

if core.runtime then
  return core.runtime
end

local errors = require "moonpool.errors"
local await = require "moonpool.runtime.await"
local branches = require "moonpool.runtime.branches"
local generators = require "moonpool.runtime.generators"
local holders = require "moonpool.runtime.holders"
local scheduler = require "moonpool.runtime.scheduler"
local scope = require "moonpool.runtime.scope"
local task = require "moonpool.runtime.task"
local unobserved = require "moonpool.runtime.unobserved"

local runtime = {}

-- ---- waiting (for database, atomic, entity, session) ----

--- Wait until the operation is ready; its answer is still to be taken. Raises `cancelled` or `not_yieldable`; the
--- operation is stopped and forgotten then.
runtime.await = await.await

--- The same for moonpool's own clean-up (rollbacks, commits): it is not cancelled.
runtime.await_cleanup = await.await_cleanup

--- Raise `not_yieldable` if the next wait would, before something is begun that must be waited for. Gives the context that
--- runs; where its `stop` is set, the next wait raises `cancelled`.
runtime.check_wait = await.check

--- Raise `cancelled` if the next wait would: before clean-up waits for what the program asked for.
runtime.check_cancelled, runtime.on_collected = scope.check_cancelled, scope.on_collected

--- The context that runs: a task, or the main context outside any task. Never nil; both have the same fields, of which
--- `locals` (a table, not inherited), `branch_of` (the task that waits for it in gather or map) and `number` are for all.
---@return table
function runtime.current()
  return scheduler.current
end

--- fn() when the context ends in any way, the latest first. For the main context: when the program ends under the host.
runtime.on_end = task.on_end

--- The running context holds the key, a table of which only so many contexts can have one: a pool, a file's
--- writer. As often as unhold gives it back. unhold(key, context): on behalf of another context.
runtime.hold, runtime.unhold = holders.hold, holders.unhold

--- Like await, for an operation that may have to wait for those who hold the key (at most `limit` at once).
--- Raises `pool_deadlock` at once, and forgets the operation, when none of them can ever give it back.
---@param id integer  ---@param key table  ---@param limit integer
function runtime.await_for(id, key, limit)
  local context = scheduler.current
  local ok, err = pcall(holders.begin_wait, key, limit)
  if not ok then
    core.forget(id)
    return error(err, 0)
  end
  ok, err = pcall(await.await, id)
  holders.end_wait(context)
  if not ok then
    return error(err, 0)
  end
end

--- Like await, for an operation that ends when none of these contexts has any more what it has now. Whoever fills the set
--- empties it as they give it back. Raises `pool_deadlock`, before the operation is started, when one of them never can.
---@param start fun(): integer  gives the operation  ---@param contexts table<table, true>  ---@param what string  for messages
function runtime.await_contexts(start, contexts, what)
  local context = scheduler.current
  context.waits_tasks, context.waits_what = contexts, what
  holders.check(context)
  local ok, err = pcall(function()
    return await.await(start())
  end)
  holders.end_wait(context)
  if not ok then
    return error(err, 0)
  end
end

--- A task that the program does not wait for at its end (a password function's, a listener's).
runtime.daemon = task.daemon

--- Give the context that parks, to whoever shall wake it; park() waits until wake(context). Raises like await.
runtime.park, runtime.wake = await.park, scheduler.wake

--- Park among `set` until wake_all(set), which the context `other` is going to call.
--- Raises `pool_deadlock` at once when that never gets so far, and `cancelled`.
---@param set table  ---@param other table  ---@param what string  for messages
function runtime.park_for(set, other, what)
  local context = scheduler.current
  context.waits_tasks, context.waits_what = { [other] = true }, what
  holders.check(context)
  set[#set + 1] = context
  local ok, err = pcall(await.park)
  holders.end_wait(context)
  if not ok then
    for place = #set, 1, -1 do
      if set[place] == context then
        table.remove(set, place)
      end
    end
    return error(err, 0)
  end
end

function runtime.wake_all(set)
  for place = #set, 1, -1 do
    local context = set[place]
    set[place] = nil
    scheduler.wake(context)
  end
end

-- ---- tasks (api.md section 1) ----

runtime.spawn, runtime.gather, runtime.map = task.spawn, branches.gather, branches.map
runtime.timeout, runtime.shield, runtime.try = scope.timeout, scope.shield, scope.try

--- mp.sleep
---@param seconds number  raises bad_argument, cancelled
function runtime.sleep(seconds)
  scope.check_seconds("mp.sleep", seconds)
  local id = core.timer(seconds)
  await.await(id)
  core.take(id)
end

local function cancel_group(group)
  for other in pairs(scheduler.tasks) do
    if other.group == group then
      other:cancel()
    end
  end
end

-- Wait until the group has no task left. Cancelled: cancel them, and wait for them all the same.
local function join(context, group)
  local cancelled
  group.waiter, context.waits_group = context, group
  while group.live > 0 do
    local ok, err = true, nil
    if cancelled then
      await.park_cleanup()
    else
      ok, err = pcall(await.park)
    end
    if not ok then
      if not errors.is_error(err) or err.kind ~= "cancelled" then
        group.waiter, context.waits_group = nil, nil
        return error(err, 0)
      end
      cancelled = err
      cancel_group(group)
    end
  end
  group.waiter, context.waits_group = nil, nil
  if cancelled then
    return error(cancelled, 0)
  end
end

--- mp.run: run fn as a task, and the loop until no task is left. Inside a task: until fn's task and those that were
--- started in it have ended.
---@param fn function
---@return any ...  fn's values. Raises fn's error
function runtime.run(fn, ...)
  scope.check_function("mp.run", fn)
  local context = scheduler.current
  local group = context.co and { live = 0 } or context.group
  local first = task.start(group, fn, ...)
  first.on_done = function() end -- its error is raised here
  join(context, group)
  if not context.co then
    unobserved.flush()
  end
  return task.result(first)
end

--- The host's program: run fn as the main task, and the loop until no task is left. on_done(task) is called as soon as
--- fn has ended; nothing is raised.
function runtime.run_main(fn, on_done, arg)
  local context = scheduler.main
  local main = task.start(context.group, fn, scope.unpack(arg, 1, arg.n))
  main.on_done = on_done
  join(context, context.group)
end

--- The program has ended: what was to be done at the main context's end.
function runtime.end_main()
  task.run_end_handlers(scheduler.main)
end

--- Cancel every task, oldest first.
function runtime.cancel_all()
  local all = {}
  for each in pairs(scheduler.tasks) do
    all[#all + 1] = each
  end
  table.sort(all, function(a, b)
    return a.number < b.number
  end)
  for _, each in ipairs(all) do
    each:cancel()
  end
end

--- How many tasks have not ended (daemons count).
---@return integer
function runtime.task_count()
  local n = 0
  for _ in pairs(scheduler.tasks) do
    n = n + 1
  end
  return n
end

runtime.watch, runtime.unwatch = scheduler.watch, scheduler.unwatch
runtime.unobserved = unobserved

-- ---- inside other programs ----

runtime.loop = {}

--- Readable when step has something to do.
---@return integer
function runtime.loop.fd()
  return core.fd()
end

--- Seconds until step must be called even if fd is quiet; nil: never.
---@return number?
function runtime.loop.timeout()
  return scheduler.has_runnable() and 0 or core.timeout()
end

--- Run what is ready, without waiting. From outside any task.
---@return boolean  whether anything is left that can happen
function runtime.loop.step()
  if scheduler.current ~= scheduler.main or scheduler.is_driving() then
    errors.raise("concurrency", "mp.loop.step inside a task: the loop runs already; call it from the foreign loop only")
  end
  return scheduler.turn(0)
end

generators.install()
core.runtime = runtime

return runtime
