-- The option `password` as a function: asked each time that a connection needs one, so that short-lived
-- tokens work. The function may wait; it runs in a task of its own.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local runtime = require "moonpool.runtime"

local password = {}

local function answer(pool, ticket, secret)
  local ok, value = pcall(secret)
  if ok and type(value) == "string" then
    pool:answer_password(ticket, value)
  elseif ok then
    pool:answer_password(ticket, nil, "the password function gave a " .. type(value) .. ", not a string")
  else
    pool:answer_password(ticket, nil, "the password function failed: "
      .. (errors.is_error(value) and value.message or "it raised an error"))
  end
end

--- Answer the questions of a database's connections for as long as it is open.
---@param database table
---@param secret fun(): string
function password.serve(database, secret)
  local pool = database.pool
  local op = pool:wants_password() -- before the task runs: the first connection may be opened right now
  runtime.daemon(function()
    while true do
      runtime.await(op)
      local ticket = core.take(op)
      if ticket == nil then
        return -- the pool is closed
      end
      op = pool:wants_password()
      answer(pool, ticket, secret)
    end
  end)
end

return password
