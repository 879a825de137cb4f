-- Rows that come while they are read: for row in db:stream(...). Memory stays flat, leaving the loop early stops
-- the statement and frees the connection. A stream holds a lease, so that its loop's body can run
-- statements on the same connection where there is only one.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local event = require "moonpool.database.event"
local holding = require "moonpool.database.holding"
local runtime = require "moonpool.runtime"
local statement = require "moonpool.database.statement"

local stream = {}

local await, current = runtime.await, runtime.current

---@class moonpool.stream
local Stream = { __name = "moonpool stream", __json = "a stream: iterate over it" }
Stream.__index = Stream

-- What a stream has of the database. Apart from the stream, so that it can be given back when that is lost.
local Parts = {}
Parts.__index = Parts

-- forget: the operation is still there
local function give_back(parts, forget)
  if parts.over then
    return
  end
  parts.over = true
  if forget then
    core.forget(parts.op)
  end
  local held = parts.held
  if held then
    held.streams = held.streams - 1
    holding.release(held.database, parts.lease)
    holding.unwatch(held.task, parts)
    holding.tidy(held)
  end
end

function Parts:abandon()
  give_back(self, true)
end

local function finish(self, forget, err)
  give_back(self.parts, forget)
  local record = self.record
  if record then
    self.record = nil
    record.error, record.rows = err, self.count
    event.finish(self.database, record)
  end
end

--- Open one.
---@param database table
---@param lease userdata? nil: where the calling task's statements go
---@param decode fun(op: integer, a: any, b: any, c: any): table[]|false|nil, any core.rows, core.objects ...
---@return moonpool.stream
--- Raises what running a statement raises.
---@param way "stream"|"copy_out"|nil
function stream.open(database, lease, sql, access, params, n, options, decode, a, b, c, way)
  local task = current()
  local parts = setmetatable({ lease = lease }, Parts)
  if not lease then
    parts.lease, parts.frame = statement.place(database, access, options and options.reads)
  end
  local own = parts.lease == nil
  parts.lease = parts.lease or holding.acquire(database, access or "read")
  way = way or "stream"
  local ok, op = pcall(parts.lease[way], parts.lease, sql, access, params, n, options)
  if not ok then
    if own then
      parts.lease:release()
    end
    return error(op, 0)
  end
  parts.op = op
  if own then
    holding.hold(database, parts.lease, access or "read", "a stream")
    parts.held = holding.open(database, task)
    parts.held.streams = parts.held.streams + 1
  end
  holding.watch(task, parts)
  return setmetatable({
    database = database, task = task, sql = sql, parts = parts,
    request = { access = access, params = params, n = n, options = options, attempt = 1, way = way },
    decode = decode, a = a, b = b, c = c,
    rows = {}, at = 0, count = 0,
    record = database.observers and event.start(database, sql, n) or nil,
    -- its loop was left without an end: the only way out on LuaJIT, whose loops do not close
    guard = runtime.on_collected(function()
      give_back(parts, true)
    end),
  }, Stream)
end

-- Nothing of it was sent: run it on another connection, as the option retry says. False: that is not to be.
local function again(self, problem)
  local parts, database, request = self.parts, self.database, self.request
  local pause = parts.held and not self.asked and holding.pause(database, problem, request.attempt)
  if not pause then
    return false
  end
  request.attempt = request.attempt + 1
  holding.release(database, parts.lease)
  local ok, err = pcall(function()
    runtime.sleep(pause)
    parts.lease = holding.acquire(database, request.access or "read")
    holding.hold(database, parts.lease, request.access or "read", "a stream")
    parts.op = parts.lease[request.way](parts.lease, self.sql, request.access, request.params, request.n, request.options)
  end)
  if not ok then
    finish(self, false, err)
    return error(err, 0)
  end
  return true
end

local ENDED = "the transaction of the stream has ended"

-- The next chunk's first row; nil at the end.
local function advance(self)
  local parts, options = self.parts, self.request.options
  if parts.over then
    if self.ended then
      return nil
    end
    return errors.raise("stale_handle", "the stream was closed")
  end
  holding.owned(self, "a stream")
  if parts.frame and parts.frame.over and options and options.cursor then
    return errors.raise("stale_handle", ENDED)
  end
  if self.asked then
    core.more(parts.op)
  end
  local ok, err = pcall(await, parts.op)
  if not ok then
    finish(self, false, err) -- await has forgotten the operation
    return error(err, 0)
  end
  local rows, problem = self.decode(parts.op, self.a, self.b, self.c)
  if not rows and problem and again(self, problem) then
    return advance(self)
  elseif not rows then
    self.ended = true
    local failure = problem and statement.fail(self.database, self.sql, problem)
    if failure and failure.kind == "cancelled" and parts.frame and parts.frame.over then -- stopped with it, and not with its task
      failure = errors.new("stale_handle", ENDED)
    elseif failure then
      statement.blame(parts.frame, failure)
    end
    finish(self, false, failure)
    if failure then
      return error(failure, 0)
    end
    return nil
  end
  self.asked = true
  self.rows, self.at = rows, 1
  self.count = self.count + #rows
  if rows[1] == nil then
    return advance(self)
  end
  return rows[1]
end

function Stream:__call()
  local at = self.at + 1
  local row = self.rows[at]
  if row ~= nil then
    self.at = at
    return row
  end
  return advance(self)
end

-- Stop the statement and wait until it has: the connection is free when close returns.
local function stop(self)
  local op = self.parts.op
  if self.asked then
    core.more(op) -- while a chunk is there, the operation has not got another end
  end
  core.cancel(op, "cancelled")
  runtime.await_cleanup(op)
end

--- Stop it: what is left of the statement is not run. May be called twice.
--- Raises concurrency in another task than its own, which may be waiting for the next row.
function Stream:close()
  if not self.parts.over then
    holding.owned(self, "a stream")
    local stopped = pcall(stop, self)
    finish(self, stopped) -- where nothing can wait, as in coroutine.close, the wait has forgotten it: it ends by itself
  end
  self.rows, self.at = {}, 0
end

Stream.__close = Stream.close

--- What a generic for takes: the closing value ends the stream when the loop is left early.
function stream.loop(self)
  return self, nil, nil, self
end

return stream
