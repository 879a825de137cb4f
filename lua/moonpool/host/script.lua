-- Running a script: its main chunk as a task, until no task is left; errors, signals and the exit code.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local runtime = require "moonpool.runtime"
local task = require "moonpool.runtime.task"

local script = {}

local signals -- the functions of lua/host/signals.c
local exit_code -- of the signal that came first

-- ---- signals ----

local function stop(signum)
  exit_code = exit_code or 128 + signum
  runtime.cancel_all()
end

local last_signal

local function on_signal(_, id)
  last_signal = core.take(id)
  signals.handled()
  stop(last_signal)
  runtime.watch(signals.wait(), { fire = on_signal })
end

-- A task computes and does not come to a wait point: it is stopped where it is, but not in the library's own code.
local function on_busy(signum)
  if errors.is_own_level(2) then
    return false
  end
  if signum ~= 0 then
    stop(signum)
  end
  if runtime.current().stop then
    errors.raise("cancelled", "interrupted")
  end
  return true
end

local function born(each)
  each.signal_place = signals.add(each.co)
end

local function gone(each)
  if each.signal_place then
    signals.remove(each.signal_place)
    each.signal_place = nil
  end
end

local function install_signals()
  task.born, task.gone = born, gone
  signals.on_busy(on_busy)
  runtime.watch(signals.wait(), { fire = on_signal })
end

-- ---- the end ----

local function close_everything()
  task.born, task.gone = nil, nil
  signals.close()
  core.shutdown()
end

local function install_exit()
  local exit = os.exit
  function os.exit(code, close) -- luacheck: ignore 122
    runtime.unobserved.flush()
    close_everything()
    return exit(code, close)
  end
end

local function report(main)
  local stopped = exit_code and errors.is_error(main.err) and main.err.kind == "cancelled"
  if not stopped then
    io.stderr:write("moonpool: ", errors.report(main.err, main.traceback), "\n")
  end
end

--- Run the chunk as the main task, and the loop until no task is left.
---@param chunk function  ---@param arg table  the script's arguments, with the field n
---@param functions table  of signals
---@param is_end (fun(err: any): boolean)?  whether an error of the chunk is an end like any other
---@return integer exit_code
function script.run(chunk, arg, functions, is_end)
  signals = functions
  install_signals()
  install_exit()
  local failed = false
  runtime.run_main(chunk, function(main)
    failed = main.failed and not (is_end and is_end(main.err))
    if is_end then
      runtime.cancel_all()
    end
    if failed then
      report(main)
    end
  end, arg)
  runtime.unobserved.flush()
  failed = failed or not is_end and runtime.unobserved.count > 0
  runtime.end_main()
  close_everything()
  return exit_code or (failed and 1) or 0
end

return script
