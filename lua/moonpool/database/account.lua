-- Who holds which connection, since when, and where it was taken: what a program is told when it waited in vain for one,
-- when one is held for too long, and when a task uses what belongs to another one.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local runtime = require "moonpool.runtime"

local account = {}

local MOST = 5 -- holders that a message names

--- What a task is called in messages.
function account.name_of(task)
  return task.number == 0 and "the main chunk" or "task " .. task.number
end

-- The program's own line that the task stands at, or nil: of the main chunk only while it runs. A tail call has left its
-- function, so where none is left the line on which the task's own function begins says which task it is.
local function place_of(task)
  local text
  if task == runtime.current() then
    text = errors.traceback()
  elseif task.co then
    text = errors.traceback_of(task.co)
  end
  return text and text:match("^%s*(.-:%d+):") or task.body and errors.line_of_function(task.body)
end

--- The same, and where it stands now.
function account.standing(task)
  local place = place_of(task)
  return account.name_of(task) .. (place and " (at " .. place .. ")" or "")
end

--- Note where a lease is taken that is to be reported when it is held for longer than leak_after.
---@param hold table
function account.open(database, hold)
  hold.traceback = errors.traceback()
  account.watch(database)
end

-- ---- held for too long ----

local function report(hold, now)
  hold.reported = true
  io.stderr:write(("moonpool: %s is held for %.1f s by %s, taken at\n%s\n"):format(hold.what, now - hold.since,
    account.name_of(hold.task), hold.traceback ~= "" and hold.traceback or "\tan unknown place"))
end

--- Tell, once, of each lease that is held for longer than the option leak_after says.
---@return number? seconds until the next one may be
function account.report_leaks(database)
  local limit, now, least = database.options.pool.leak_after, core.now(), nil
  for _, hold in pairs(database.holds) do
    local left = limit - (now - hold.since)
    if not hold.reported and left <= 0 then
      report(hold, now)
    elseif not hold.reported and (least == nil or left < least) then
      least = left
    end
  end
  return least
end

--- Nothing is held any more: nobody has to look after it.
function account.close(database)
  if database.watcher then
    database.watcher:cancel()
    database.watcher = nil
  end
end

--- While something is held, a task of ours looks after it: nobody else may ask for a connection meanwhile.
function account.watch(database)
  if database.watcher then
    return
  end
  local watcher
  watcher = runtime.daemon(function()
    local pause = database.options.pool.leak_after
    while pause do
      runtime.sleep(pause)
      pause = account.report_leaks(database)
    end
    if database.watcher == watcher then
      database.watcher = nil -- all are reported: what is taken from now on has another one
    end
  end)
  database.watcher = watcher
end

-- ---- waited in vain ----

local function oldest_first(database)
  local list = {}
  for _, hold in pairs(database.holds) do
    list[#list + 1] = hold
  end
  table.sort(list, function(a, b)
    if a.since ~= b.since then
      return a.since < b.since
    end
    return a.task.number < b.task.number
  end)
  return list
end

--- Add to an error pool_timeout who holds what: err.holders, and the message. Nobody may: then connections serve single
--- statements, or there is none yet, of which the message tells already.
function account.explain_timeout(database, err)
  local now, parts = core.now(), {}
  err.holders = {}
  for place, hold in ipairs(oldest_first(database)) do
    local held = ("%s has %s for %.1f s"):format(account.standing(hold.task), hold.what, now - hold.since)
    err.holders[place] = { task = hold.task, what = hold.what, seconds = now - hold.since, taken = hold.traceback }
    if place <= MOST then
      parts[place] = held
    end
  end
  if #err.holders > MOST then
    parts[#parts + 1] = (#err.holders - MOST) .. " more"
  elseif parts[1] == nil and database:pool_stats().busy > 0 then
    parts[1] = "those that are busy run single statements or streams, or are being cleaned"
  end
  if parts[1] then
    err.message = err.message .. ": " .. table.concat(parts, ", ")
  end
  return err
end

return account
