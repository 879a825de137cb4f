-- Notifications: for note in db:listen(channel) do, and db:notify. A listener has a connection of its own, comes back by
-- itself when that is lost, and says that something may have been missed. Only PostgreSQL has them.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local event = require "moonpool.database.event"
local holding = require "moonpool.database.holding"
local runtime = require "moonpool.runtime"
local statement = require "moonpool.database.statement"

local listen = {}

local await, current = runtime.await, runtime.current

local CHANNEL_BYTES, PAYLOAD_BYTES = 63, 7999 -- what the server takes
local LONGEST_PAUSE = 2 -- seconds between two attempts to come back

---@class moonpool.note
---@field channel string
---@field payload string? nil in a note of a gap
---@field pid integer? of the session that notified
---@field gap boolean? the connection was lost and is back: what was sent meanwhile is not known

---@class moonpool.listener
local Listener = { __name = "moonpool listener", __json = "a listener: iterate over it" }
Listener.__index = Listener

-- What a listener has of the database. Apart from it, so that it can be given back when the listener is lost.
local Parts = {}
Parts.__index = Parts

-- forget: the operation is still there
local function let_go(parts, forget)
  local op, lease = parts.op, parts.lease
  parts.op, parts.lease = nil, nil
  if forget and op then
    core.forget(op)
  end
  if lease then
    holding.release(parts.database, lease)
  end
end

local function give_back(parts, forget)
  if not parts.over then
    parts.over = true
    let_go(parts, forget)
    holding.unwatch(parts.task, parts)
  end
end

function Parts:abandon()
  give_back(self, true)
end

local function check(database, name, channel)
  if database.dialect ~= "postgres" then
    return errors.raise("unsupported", ("db:%s: only PostgreSQL has it, and %s is %s"):format(name, tostring(database),
      database.dialect))
  elseif type(channel) ~= "string" or channel == "" or channel:find("\0", 1, true) then
    return errors.raise("bad_argument", ("db:%s takes the channel's name, a non-empty string without NUL"):format(name))
  elseif #channel > CHANNEL_BYTES then
    return errors.raise("bad_argument", ("db:%s: the channel's name has %d bytes, and at most %d are possible"):format(name,
      #channel, CHANNEL_BYTES))
  end
end

local function closed(self)
  give_back(self.parts, true)
  return errors.raise("pool_closed", ("the database was closed while db:listen waited for channel %q"):format(self.channel))
end

-- Wait for what the operation brings: rows, or nil and the problem.
local function answer(self)
  local parts = self.parts
  self.waiting = true
  local ok, err = pcall(await, parts.op)
  self.waiting = false
  if not ok then
    parts.op = nil -- await has forgotten it
    give_back(parts, false)
    return error(err, 0)
  end
  local rows, problem = core.rows(parts.op)
  if not rows then
    parts.op = nil -- and taken
  end
  return rows, problem
end

-- A connection that listens. Raises why there is none.
local function start(self)
  local parts, database = self.parts, self.database
  parts.lease = holding.acquire(database, "read")
  holding.hold(database, parts.lease, "read", "a listener")
  parts.op = parts.lease:listen(self.sql, nil, nil, 0, { own = true, timeout = self.timeout })
  local rows, problem = answer(self)
  if not rows then
    let_go(parts, false)
    if self.shut then
      return closed(self)
    end
    return error(statement.fail(database, self.sql, problem), 0)
  end
end

local passing = { connect_failed = true, connection_lost = true, server_limit = true, pool_timeout = true, timeout = true }

-- The connection was lost: another one, however long that takes; where nothing may come for only so long, as long as that.
local function come_back(self)
  local parts, backoff, attempt = self.parts, self.database.options.retry.backoff, 0
  let_go(parts, false)
  while true do
    local ok, err = pcall(start, self)
    if ok then
      return
    end
    local left = self.timeout and self.since + self.timeout - core.now() or math.huge
    if parts.over or not (errors.is_error(err) and passing[err.kind]) or left <= 0 then
      give_back(parts, true)
      return error(err, 0)
    end
    let_go(parts, true)
    attempt = attempt + 1
    local pause = math.min(LONGEST_PAUSE, backoff * 2 ^ (math.min(attempt, 10) - 1)) * (0.5 + math.random() / 2)
    ok, err = pcall(runtime.sleep, math.min(pause, left))
    if not ok then
      give_back(parts, false)
      return error(err, 0)
    end
  end
end

local function advance(self)
  local parts = self.parts
  if parts.over then
    if self.ended then
      return nil
    end
    return errors.raise("stale_handle", "the listener was closed")
  end
  holding.owned(self, "a listener")
  while true do
    if self.shut then
      return closed(self)
    end
    core.more(parts.op)
    local rows, problem = answer(self)
    if rows and rows[1] then
      self.since = core.now()
      self.rows, self.at = rows, 1
      return rows[1]
    elseif not rows and self.shut then
      return closed(self)
    elseif not rows and problem and problem.kind == "timeout" and not parts.lease:over() then
      self.ended = true
      give_back(parts, false)
      return nil
    elseif not rows and problem and problem.kind ~= "connection_lost" then
      give_back(parts, false)
      return error(statement.fail(self.database, self.sql, problem), 0)
    elseif not rows then
      come_back(self)
      self.since = core.now()
      return { channel = self.channel, gap = true }
    end
  end
end

function Listener:__call()
  local at = self.at + 1
  local note = self.rows[at]
  if note ~= nil then
    self.at = at
    return note
  end
  return advance(self)
end

local function stop(op)
  core.more(op) -- while a chunk is there, the operation has not got another end
  core.cancel(op, "cancelled")
  runtime.await_cleanup(op)
end

--- Listen no more. May be called twice.
--- Raises concurrency in another task than its own.
function Listener:close()
  local parts = self.parts
  if not parts.over then
    holding.owned(self, "a listener")
    local stopped = parts.op and pcall(stop, parts.op)
    give_back(parts, stopped) -- where nothing can wait, as in coroutine.close, the wait has forgotten it: it ends by itself
  end
  self.rows, self.at = {}, 0
end

Listener.__close = Listener.close

--- Begin to listen. When this returns, the server knows: what is sent from now on comes.
---@param channel string
---@param options {timeout: number?}? the loop ends when nothing came for so many seconds
---@return moonpool.listener
--- Raises unsupported (other databases, behind a pooler), bad_argument, pool and connection errors.
function listen.open(database, channel, options)
  check(database, "listen", channel)
  if database.options.pooler then
    return errors.raise("unsupported", "db:listen needs a connection that stays its own, which a pooler does not give: "
      .. "listen on a handle of its own that goes straight to the server, mp.open(url) without pooler")
  elseif options ~= nil and type(options) ~= "table" then
    return errors.raise("bad_argument", "listen takes a table, such as { timeout = 30 }, not a " .. type(options))
  end
  for name, value in pairs(options or {}) do
    if name ~= "timeout" then
      return errors.raise("unknown_option", "listen takes no option " .. tostring(name) .. " (but timeout)")
    elseif type(value) ~= "number" or value ~= value or value <= 0 then
      return errors.raise("bad_argument", "timeout is a number of seconds, more than 0")
    end
  end
  local task = current()
  if task.branch_of then
    holding.guard(database, task)
  end
  local parts = setmetatable({ database = database, task = task }, Parts)
  local self = setmetatable({
    database = database, task = task, channel = channel, parts = parts,
    sql = 'LISTEN "' .. channel:gsub('"', '""') .. '"',
    timeout = options and options.timeout ~= math.huge and options.timeout or nil,
    rows = {}, at = 0,
  }, Listener)
  holding.watch(task, parts)
  local record = database.observers and event.start(database, self.sql, 0)
  local ok, err = pcall(start, self)
  if not ok then
    give_back(parts, true)
  end
  if record then
    record.error = not ok and err or nil
    event.finish(database, record)
  end
  if not ok then
    return error(err, 0)
  end
  self.since = core.now()
  database.listeners = database.listeners or setmetatable({}, { __mode = "k" })
  database.listeners[self] = true
  self.guard = runtime.on_collected(function() -- its loop was left without an end (LuaJIT)
    give_back(parts, true)
  end)
  return self
end

--- What a generic for takes.
function listen.loop(self)
  return self, nil, nil, self
end

--- The database is being closed: whoever listens is told so.
function listen.shut(database)
  for listener in pairs(database.listeners or {}) do
    listener.shut = true
    if listener.waiting and listener.parts.op then
      core.cancel(listener.parts.op, "cancelled")
    end
  end
end

--- Send a notification: at once, or when the transaction around it is committed.
---@param channel string
---@param payload string?
--- Raises unsupported, bad_argument, and the errors of a statement.
function listen.notify(database, channel, payload)
  check(database, "notify", channel)
  if payload ~= nil and (type(payload) ~= "string" or payload:find("\0", 1, true)) then
    return errors.raise("bad_argument", "the payload of a notification is a string without NUL"
      .. (type(payload) == "table" and ": mp.json.encode makes one" or ""))
  elseif payload and #payload > PAYLOAD_BYTES then
    return errors.raise("bad_argument", ("the payload has %d bytes, and a notification carries at most %d: write the rest "
      .. "into a table and send its key"):format(#payload, PAYLOAD_BYTES))
  end
  statement.run(database, nil, "SELECT pg_notify($1, $2)", "write", { channel, payload or "" }, 2,
    database.query_options, core.value)
end

return listen
