-- A database as the program holds it: mp.open and mp.db. Options, pool, calls with SQL, health and end.
-- Transactions, entities and schemas are added to it by the floors above.

local calls = require "moonpool.database.calls"
local codec = require "moonpool.database.codec"
local connection = require "moonpool.database.connection"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local event = require "moonpool.database.event"
local holding = require "moonpool.database.holding"
local listen = require "moonpool.database.listen"
local options_of = require "moonpool.database.options"
local password = require "moonpool.database.password"
local runtime = require "moonpool.runtime"

local database = {}

---@class moonpool.database
---@field dialect string
---@field name string? as configured
local Database = { __name = "moonpool database", __json = "a database" }
Database.__index = Database
for name, call in pairs(calls) do
  Database[name] = call
end

--- The methods of databases, for the floors above to add to.
database.methods = Database

--- fn(database) for each database that is opened, while it is in here.
database.on_open = {}

local open = setmetatable({}, { __mode = "k" }) -- what close_all and health go through

local function pool_config(options)
  local pool, tls = options.pool, options.tls or {}
  return {
    backend = options.dialect, host = options.host, port = options.port, user = options.user,
    database = options.database, connect_timeout = options.connect_timeout, command_timeout = options.command_timeout,
    statement_cache = options.statement_cache, pipeline = pool.pipeline, pooler = options.pooler,
    inline_reads = options.inline_reads ~= false,
    options = {
      mode = options.mode, tls_mode = tls.mode, tls_ca = tls.ca, tls_cert = tls.cert, tls_key = tls.key,
      application_name = options.application_name, target_session_attrs = options.target_session_attrs,
      options = options.options, socket = options.socket,
    },
    min = pool.min, max = pool.max, timeout = pool.timeout,
    max_idle = pool.max_idle, max_lifetime = pool.max_lifetime, max_uses = pool.max_uses,
  }
end

--- Open a database. Nothing is connected before the first use.
---@param given string|table URL or options
---@param more table? options beside a URL
---@param name string?
---@return moonpool.database
--- Raises configuration, unknown_option, bad_argument, unsupported.
function database.open(given, more, name)
  local options = options_of.read(given, more)
  local pool, problem = core.pool(pool_config(options))
  if pool == nil then
    return errors.raise_core(problem)
  end
  local secret = options.password
  options.password = nil -- nobody keeps it but the pool, or the function that was given
  if type(secret) == "string" then
    pool:set_password(secret)
  end

  local limits = { max_rows = options.max_rows, max_bytes = options.max_bytes, timeout = options.command_timeout }
  local self = setmetatable({
    name = name, dialect = options.dialect, options = options, pool = pool,
    query_options = next(limits) and limits or nil,
  }, Database)
  holding.prepare(self)
  if type(secret) == "function" then
    password.serve(self, secret)
  end
  if options.on_connect then
    -- what sets a connection up is no statement of the program: no record is made of it
    local quiet = setmetatable({ observers = false }, { __index = self, __tostring = Database.__tostring })
    self.on_fresh = function(lease)
      local conn = connection.wrap(quiet, lease)
      options.on_connect(conn)
      conn.closed = true
      if lease:state() ~= "none" then
        errors.raise("bad_argument", "on_connect left a transaction open")
      end
      lease:adopt()
    end
  end
  if options.echo then
    event.add(self, event.echo(options.echo))
  end
  if options.slow_ms then
    event.add(self, event.slow(options.slow_ms))
  end
  open[self] = true
  for _, fn in ipairs(database.on_open) do
    fn(self)
  end
  return self
end

--- All databases that are open, by whatever way.
---@return moonpool.database[]
function database.all()
  local list = {}
  for one in pairs(open) do
    list[#list + 1] = one
  end
  return list
end

function database.is(value)
  return getmetatable(value) == Database
end

--- Where calls run (see calls.lua).
function Database:place()
  return self, nil
end

--- One pinned connection, for the calls made on it. Close it.
---@return moonpool.connection
--- Raises pool and connection errors, pool_deadlock.
function Database:connect()
  return connection.open(self)
end

--- One round trip to the database.
---@return boolean true
--- Raises pool and connection errors.
function Database:ping()
  local attempt = 1
  while true do
    local lease = self.on_fresh and holding.acquire(self, "read")
    local waits = not lease and holding.would_wait(self, "read")
    local op = (lease or self.pool):ping()
    local ok, err = pcall(holding.await, self, op, "read", waits)
    if lease then
      lease:release()
    end
    if not ok then
      return error(err, 0)
    end
    local alive, problem = core.take(op)
    if alive then
      return true
    end
    local pause = holding.pause(self, problem, attempt)
    if not pause then
      return errors.raise_core(problem)
    end
    attempt = attempt + 1
    runtime.sleep(pause)
  end
end

--- How the database is. Never raises, but when the task is cancelled.
---@return {status: "ok"|"error", database: string, elapsed_ms: number, error: table?}
function Database:health()
  local before = core.now()
  local ok, err = runtime.try(self.ping, self)
  return {
    status = ok and "ok" or "error", database = self.name or tostring(self),
    elapsed_ms = (core.now() - before) * 1000, error = not ok and err or nil,
  }
end

---@return {size: integer, idle: integer, busy: integer, waiting: integer, max: integer, control: integer}
function Database:pool_stats()
  local size, idle, busy, waiting, max, control = self.pool:stats()
  return { size = size, idle = idle, busy = busy, waiting = waiting, max = max, control = control }
end

--- Close it: refuses what comes, waits for running work. May be called twice.
---@param options {drain: number?}? after so many seconds what still runs is cancelled
--- Raises concurrency when the calling task itself has a transaction or a stream open there.
function Database:close(options)
  local drain
  if options ~= nil and type(options) ~= "table" then
    return errors.raise("bad_argument", "close takes a table, such as { drain = 5 }, not a " .. type(options))
  end
  for name, value in pairs(options or {}) do
    if name ~= "drain" then
      return errors.raise("unknown_option", "close takes no option " .. tostring(name) .. " (but drain)")
    elseif type(value) ~= "number" or value < 0 then
      return errors.raise("bad_argument", "drain is a number of seconds, 0 or more")
    end
    drain = value
  end
  if self.closed and drain == nil then
    return
  end
  local task = runtime.current()
  if drain == nil and not self.closed then
    for _, hold in pairs(self.holds) do
      if hold.task == task then
        return errors.raise("concurrency", tostring(self) .. " cannot be closed while the task that closes it has "
          .. hold.what
          .. " open there: it would wait for itself; end that first, or close{ drain = 0 }")
      end
    end
  end
  local op
  local function start()
    listen.shut(self)
    self.closed = true
    open[self] = nil
    op = self.pool:close(drain)
    return op
  end
  if drain then
    runtime.await(start())
  else
    self.closing = holding.users(self, self.closing or {})
    runtime.await_contexts(start, self.closing, "everybody who uses " .. tostring(self))
  end
  core.take(op)
end

function Database:__close()
  return self:close()
end

--- An event for each statement of the program.
---@param name "query"
---@param reader fun(record: moonpool.event)
---@return fun() remove
function Database:on(name, reader)
  if name ~= "query" then
    return errors.raise("bad_argument", "a database has no event " .. tostring(name) .. ": there is \"query\"")
  elseif type(reader) ~= "function" then
    return errors.raise("bad_argument", "db:on takes a function, not a " .. type(reader))
  end
  return event.add(self, reader)
end

--- Notifications of a channel, one after the other: for note in db:listen("jobs") do. It has a connection of its own; when that
--- is lost it comes back by itself, and a note with gap = true says that something may have been missed.
---@param channel string
---@param options {timeout: number?}? the loop ends when nothing came for so many seconds
---@return moonpool.listener
--- Raises unsupported (other databases, behind a pooler), bad_argument, pool and connection errors; pool_closed from the loop.
function Database:listen(channel, options)
  return listen.loop(listen.open(self, channel, options))
end

--- Send a notification: at once, or when the transaction around it is committed.
---@param channel string
---@param payload string? at most 7999 bytes
--- Raises unsupported (other databases), bad_argument, and the errors of a statement.
function Database:notify(channel, payload)
  return listen.notify(self, channel, payload)
end

--- What values of a type are in Lua, for raw SQL on this database: decode is given what would come otherwise (of a type that is
--- not built in: the server's text), encode gives the text that the server reads. A domain counts as the type under it.
---@param type_name string as SQL has it: "mood", "public.mood", "point", "mood[]"
---@param functions {encode: (fun(value: any): string?)?, decode: (fun(value: any): any)?}
--- Raises unsupported (other databases), bad_argument, unknown_option.
function Database:codec(type_name, functions)
  return codec.add(self, type_name, functions)
end

function Database:reads() -- luacheck: no self
  return errors.raise("unsupported", "db:reads is not built yet")
end

-- As a URL has it: a directory of sockets is escaped, an IPv6 address stands in brackets.
local function shown_host(host)
  if host:find("[,%[]") then
    return host
  elseif host:find("^[/@]") then
    return (host:gsub("[/@:?#%%]", function(c) return ("%%%02X"):format(c:byte()) end))
  end
  return host:find(":.*:") and "[" .. host .. "]" or host
end

--- Where it is, never with the password.
function Database:__tostring()
  local options = self.options
  if options.dialect == "sqlite" then
    return "sqlite:" .. options.database
  end
  return options.dialect .. "://" .. (options.user and options.user .. "@" or "")
    .. (options.host and shown_host(options.host) or "") .. (options.port and ":" .. options.port or "") .. "/"
    .. (options.database or "")
end

return database
