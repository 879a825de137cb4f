-- Which savepoints a server has open in a transaction, by its own word: it is asked to release them by name. A program cannot
-- say RELEASE; here it goes the way of statements that were read already.

local core = require "moonpool.core"
local statement = require "moonpool.database.statement"
local transaction = require "moonpool.database.transaction"

local savepoints = {}

-- How many frames were begun so far, each of them a transaction or a savepoint.
local begun, begin = 0, transaction.begin

function transaction.begin(...)
  begun = begun + 1
  return begin(...)
end

-- Raises `savepoint` where there is none of that name.
local function release(database, lease, name)
  return statement.run(database, lease, "RELEASE SAVEPOINT " .. name, "write", {}, 0, database.query_options, core.take)
end

--- Whether the transaction of a connection knows a savepoint of that name. It is rolled back afterwards, by the caller.
---@param conn table a connection with a transaction open
---@param name string
---@return boolean
function savepoints.known(conn, name)
  local database, lease = conn:place()
  local ok, err = pcall(release, database, lease, name)
  if not ok and err.kind ~= "savepoint" then
    error(err, 0)
  end
  return ok
end

--- Run fn inside a transaction, which goes on. Gives a savepoint that is open after it although the program has none, as text;
--- nil: there is none, or the program has left one open.
---@param tx moonpool.transaction the outermost
---@param fn fun()
---@return string?
function savepoints.left(tx, fn)
  local database, before = tx.frame.database, begun
  fn()
  if transaction.innermost(database) ~= tx.frame then
    return nil
  end
  local names = { "moonpool_stream" } -- PostgreSQL's, around a stream
  for n = 1, begun - before do
    names[#names + 1] = "mp_" .. n -- in the order in which they were made
  end
  for _, name in ipairs(names) do
    local known = false
    local _, err = pcall(database.atomic, database, function()
      release(database, nil, name)
      known = true -- and the block's own savepoint, which came later, is gone with it
    end)
    if known then
      return "savepoint " .. name .. " is open on the server"
    elseif err.kind ~= "savepoint" then
      error(err, 0)
    end
  end
end

return savepoints
