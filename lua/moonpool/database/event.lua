-- The record of a statement: text, rows, error, who called, and where the time went. Echo, slow log and
-- db:on("query") are readers of it; nobody else measures. Costs nothing while nobody reads.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local runtime = require "moonpool.runtime"

local event = {}

---@class moonpool.event
---@field sql string
---@field parameters integer how many; their values are nobody's business here
---@field rows integer? rows that came back, or rows affected
---@field error table?
---@field caller string? "file:line" of the program's own code
---@field wait number seconds waiting for a connection
---@field execute number seconds in the database
---@field decode number seconds making Lua values
---@field task table
---@field database table

--- The program's own line that is running: "file:line", or nil where only the library runs.
---@return string?
function event.caller()
  return errors.traceback():match("^%s*(.-:%d+):")
end

--- A record that is about to be filled.
---@return moonpool.event
function event.start(database, sql, n)
  return {
    sql = sql,
    parameters = n,
    caller = event.caller(),
    task = runtime.current(),
    database = database,
    wait = 0,
    execute = 0,
    decode = 0,
    began = core.now(),
  }
end

--- Note the times of a finished operation whose answer was not taken yet.
function event.times(record, op)
  local wait, execute = core.times(op)
  record.wait, record.execute = wait or 0, execute or 0
end

--- Take the answer of an operation, noting its times.
function event.take(record, op, take, a, b, c)
  event.times(record, op)
  local before = core.now()
  local value, extra = take(op, a, b, c)
  record.decode = core.now() - before
  if type(value) == "table" and not getmetatable(value) then
    record.rows = #value
  elseif type(value) == "number" and take == core.take then
    record.rows = value
  end
  return value, extra
end

--- Tell the readers. What a reader raises goes to whoever ran the statement.
---@param record moonpool.event
function event.finish(database, record)
  record.elapsed = core.now() - record.began
  local readers = database.observers
  if readers then
    -- a copy: a reader may remove itself
    for _, reader in ipairs({ (unpack or table.unpack)(readers) }) do
      reader(record)
    end
  end
end

local function milliseconds(seconds)
  return ("%.1f ms"):format(seconds * 1000)
end

--- One line about a statement, without the values of its parameters.
---@param record moonpool.event
---@return string
function event.line(record)
  local outcome = record.error and (record.error.kind or "error") or record.rows and record.rows .. " rows" or "done"
  return ("[%s] %s (%s, %s)%s"):format(record.database.name or "moonpool", (record.sql:gsub("%s+", " ")), outcome,
    milliseconds(record.elapsed), record.caller and " at " .. record.caller or "")
end

--- The reader behind the option `echo`.
---@param echo true|fun(line: string)
function event.echo(echo)
  return function(record)
    local line = event.line(record)
    if echo == true then
      io.stderr:write(line, "\n")
    else
      echo(line)
    end
  end
end

--- The reader behind the option `slow_ms`.
---@param limit_ms number
function event.slow(limit_ms)
  return function(record)
    -- waiting for a connection is the pool's business, not the statement's
    if (record.execute + record.decode) * 1000 >= limit_ms then
      io.stderr:write("slow query ", event.line(record), ": wait ", milliseconds(record.wait), ", execute ",
        milliseconds(record.execute), ", decode ", milliseconds(record.decode), "\n")
    end
  end
end

--- Add a reader.
---@return fun() remove
function event.add(database, reader)
  local readers = database.observers or {}
  readers[#readers + 1] = reader
  database.observers = readers
  return function()
    for place, one in ipairs(readers) do
      if one == reader then
        table.remove(readers, place)
        break
      end
    end
    if #readers == 0 and database.observers == readers then
      database.observers = nil
    end
  end
end

return event
