-- Rows that come while they are read, by a cursor of the task's transaction: for servers whose connection can do nothing
-- else while it streams. A chunk is fetched when it is wanted, and in between the loop's body runs statements.
-- A cursor ends with its transaction, or with the savepoint that it was declared in. MariaDB has no cursors in its SQL: there
-- all rows are read first, so that within a transaction the memory grows with the result.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local holding = require "moonpool.database.holding"
local statement = require "moonpool.database.statement"

local cursor = {}

local run = statement.run

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

-- Rows that are all there already.
local Kept = { __name = Cursor.__name, __json = Cursor.__json }
Kept.__index = Kept

local function keep(database, frame, sql, params, n, options, take, a)
  local rows = run(database, nil, sql, "read", params, n, options, take, a)
  return setmetatable({ database = database, frame = frame, task = frame.task, rows = rows, at = 0 }, Kept)
end

function Kept:__call()
  if self.ended then
    return nil
  end
  holding.owned(self, "a stream")
  if self.over or self.frame.over then
    return errors.raise("stale_handle", self.over and "the stream was closed" or "the transaction of the stream has ended")
  end
  local at = self.at + 1
  local row = self.rows[at]
  self.rows[at], self.at = nil, at
  self.ended = row == nil
  return row
end

--- May be called twice.
--- Raises concurrency in another task than its own.
function Kept:close()
  if not self.over then
    holding.owned(self, "a stream")
    self.over = true
  end
  self.rows = {}
end

Kept.__close = Kept.close

--- Declare one in the task's transaction.
---@param frame moonpool.frame the innermost
---@param options table? of the core's query
---@param chunk integer rows that are fetched at once
---@param take function as for statement.run, with a
---@return moonpool.cursor
--- Raises what running a statement raises.
function cursor.open(database, frame, sql, params, n, options, chunk, take, a)
  if database.dialect == "mariadb" then
    return keep(database, frame, sql, params, n, options, take, a)
  end
  local declared, fetched = {}, {}
  for name, value in pairs(options or {}) do
    declared[name] = value
    fetched[name] = name ~= "kinds" and value or nil
  end
  declared.no_cache, fetched.no_cache = true, true -- a text that is the same may mean other columns the next time
  local name = new_name(frame)
  run(database, nil, "DECLARE " .. name .. " NO SCROLL CURSOR FOR " .. sql, "read", params, n, declared, core.take)
  return setmetatable({
    database = database, frame = frame, task = frame.task, name = name, options = fetched,
    fetch = ("FETCH %d FROM %s"):format(chunk, name), chunk = chunk, take = take, a = a, rows = {}, at = 0, count = 0,
  }, Cursor)
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
