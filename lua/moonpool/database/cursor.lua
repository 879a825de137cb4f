-- Rows that come while they are read within a transaction, by a cursor: for servers whose connection can do nothing
-- else while it streams. A chunk is fetched when it is wanted, and in between the loop's body runs statements.
-- A cursor ends with its transaction, or with the savepoint that it was declared in. PostgreSQL's is declared and fetched
-- by statements; MariaDB's is a matter of the protocol, so that there a stream of the core's does it.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local holding = require "moonpool.database.holding"
local statement = require "moonpool.database.statement"
local stream = require "moonpool.database.stream"

local cursor = {}

local run = statement.run

local CHUNK = 1000 -- rows that a stream inside a transaction fetches at once

---@class moonpool.cursor : moonpool.stream
local Cursor = { __name = "moonpool stream", __json = "a stream: iterate over it" }
Cursor.__index = Cursor

-- A name that no open cursor of the transaction has.
local function new_name(frame)
  while frame.parent do
    frame = frame.parent
  end
  frame.cursors = (frame.cursors or 0) + 1
  return "mp_cursor_" .. frame.cursors
end

local function copy_of(options)
  local copy = {}
  for name, value in pairs(options or {}) do
    copy[name] = value
  end
  return copy
end

local function declare(database, frame, sql, params, n, options, chunk, take, a)
  local declared, fetched = copy_of(options), copy_of(options)
  fetched.kinds = nil
  declared.no_cache, fetched.no_cache = true, true -- a text that is the same may mean other columns the next time
  local name = new_name(frame)
  run(database, nil, "DECLARE " .. name .. " NO SCROLL CURSOR FOR " .. sql, "read", params, n, declared, core.take)
  return setmetatable({
    database = database, frame = frame, task = frame.task, name = name, options = fetched,
    fetch = ("FETCH %d FROM %s"):format(chunk, name), chunk = chunk, take = take, a = a, rows = {}, at = 0, count = 0,
  }, Cursor)
end

--- A stream of a SELECT, by a cursor where the task has a transaction whose connection needs one.
---@param database table
---@param options table? of the core's query
---@param chunk integer? rows that are fetched at once; nil: as many as suit
---@param take function as for statement.run, with a
---@param way "stream"|"copy_out"|nil how, where it needs no cursor
---@return moonpool.stream
--- Raises what running a statement raises.
function cursor.open(database, sql, access, params, n, options, chunk, take, a, way)
  local _, frame
  if database.dialect ~= "sqlite" then
    _, frame = statement.place(database, access, options and options.reads)
  end
  if frame and database.dialect == "postgres" then
    return declare(database, frame, sql, params, n, options, chunk or CHUNK, take, a)
  elseif frame then
    options = copy_of(options)
    options.cursor, options.chunk = true, chunk or CHUNK
  elseif chunk then
    options = copy_of(options)
    options.chunk = chunk
  end
  return stream.open(database, nil, sql, access, params, n, options, take, a, nil, nil, way)
end

-- Where the transaction has failed, or the savepoint is gone, there is nothing to close.
local function finish(self)
  self.over = true
  if not self.frame.over and self.frame.lease:state() == "open" then
    run(self.database, nil, "CLOSE " .. self.name, "read", {}, 0, self.options, core.take)
  end
end

local function advance(self)
  if self.ended then
    return nil
  end
  holding.owned(self, "a stream")
  if self.over or self.frame.over then
    return errors.raise("stale_handle", self.over and "the stream was closed" or "the transaction of the stream has ended")
  end
  local rows = run(self.database, nil, self.fetch, "read", {}, 0, self.options, self.take, self.a)
  local limit = self.options.max_rows
  self.count = self.count + #rows
  self.rows, self.at = rows, 1
  if limit and self.count > limit then
    finish(self)
    return errors.raise("result_too_large", "the result is larger than max_rows allows")
  elseif #rows < self.chunk then
    self.ended = true
    finish(self)
  end
  return rows[1]
end

function Cursor:__call()
  local at = self.at + 1
  local row = self.rows[at]
  if row ~= nil then
    self.at = at
    return row
  end
  return advance(self)
end

--- May be called twice.
--- Raises concurrency in another task than its own.
function Cursor:close()
  if not self.over then
    holding.owned(self, "a stream")
    pcall(finish, self) -- what fails here has failed the transaction, which tells
  end
  self.rows, self.at = {}, 0
end

Cursor.__close = Cursor.close

return cursor
