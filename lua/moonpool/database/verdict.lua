-- What became of a COMMIT whose answer was lost: PostgreSQL can be asked afterwards, by the number of the transaction, which
-- has to be known before. A transaction that says durable asks for it when it begins; nobody else pays for it.

local core = require "moonpool.core"
local runtime = require "moonpool.runtime"
local statement = require "moonpool.database.statement"

local verdict = {}

local OWN = { own = true }
local PAUSE, MOST_PAUSES = 0.05, 200 -- while the server still works at it

--- Ask for the number of a transaction that has just begun, where that is of use.
---@param frame moonpool.frame
---@return table? problem
function verdict.prepare(frame)
  if frame.database.dialect ~= "postgres" or frame.read_only then
    return nil
  end
  local op = frame.lease:query("SELECT txid_current()", "read", {}, 0, OWN)
  runtime.await(op)
  local number, problem = core.value(op)
  frame.number = number
  return number == nil and type(problem) == "table" and problem or nil
end

--- What err:resolve() of commit_unknown answers. Another connection is asked, outside of any transaction.
---@param number integer? what prepare found
---@return "committed"|"aborted"|"unknown"
--- Raises pool and connection errors: ask again later.
function verdict.of(database, number)
  if number == nil then
    return "unknown"
  end
  -- a task of its own: the asking one may be inside of another transaction
  return runtime.spawn(function()
    for _ = 1, MOST_PAUSES do
      local found = statement.run(database, nil, "SELECT txid_status($1)", "read", { number }, 1, OWN, core.value)
      if found ~= "in progress" then
        return found or "unknown"
      end
      runtime.sleep(PAUSE)
    end
    return "unknown"
  end):wait()
end

return verdict
