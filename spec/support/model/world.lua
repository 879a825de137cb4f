-- A database, transactions and sessions in plain Lua: rows, frames, hooks and pending objects. What each operation of a program
-- means on it is in meaning.lua. What differs between databases is said in `can`:
-- ddl: "undone" where a table that is made in a transaction goes with it, "commits" where making it commits what is open.
-- deadlock: "statement" where it fails the statement, as a constraint does; "transaction" where the server undoes all; nil where
-- there is none (SQLite lets one write at a time, and who would wait for himself is told before).
-- apart: whether another task finds a connection while a transaction is open.

local world = {}

local World = {}
world.methods = World
World.__index = World

--- helps: to run the outermost block again.
local function raise(kind, helps)
  return error({ kind = kind, helps = helps }, 0)
end
world.raise = raise

local function copy(from)
  local to = {}
  for key, value in pairs(from) do
    to[key] = value
  end
  return to
end

-- Objects as they are now: whether they are in the database, their age, and what they know of the row's.
local function copy_objects(objects)
  local to = {}
  for place, one in ipairs(objects) do
    to[place] = copy(one)
  end
  return to
end

function world.new(can)
  return setmetatable({ rows = {}, objects = {}, frames = {}, trace = {}, scopes = {}, done = {}, ids = 0, can = can }, World)
end

function World:note(text)
  self.trace[#self.trace + 1] = text
end

function World:frame()
  return self.frames[#self.frames]
end

-- ---- cancelling ----

function World:check_cancelled()
  local stopped, shielded = false, false
  for place = #self.scopes, 1, -1 do
    local scope = self.scopes[place]
    if scope.op == "shield" then
      shielded = true
      break
    end
    scope.told, stopped = true, true -- a deadline that has passed
  end
  if stopped or self.killed and not shielded then
    raise "cancelled"
  end
end

-- ---- frames ----

local function refused(frame)
  return raise("in_failed_transaction", frame and frame.failure and frame.failure.helps)
end

-- A block that begins where a transaction is open must not ask for what only the outermost one can give.
local function check_options(root, options)
  if options.durable or options.isolation and options.isolation ~= root.isolation or options.read_only and not root.read_only then
    raise "durable"
  end
end

-- Begin a frame; raises where the one around it has failed.
function World:push(options)
  self:arrive()
  self:flush()
  local around, root = self:frame(), self.frames[1]
  if root and options then
    check_options(root, options)
  end
  self:check_cancelled()
  if around and (around.failed or self.broken) then
    refused(around)
  end
  local frame = {
    rows = copy(self.rows), was = copy_objects(self.objects), inside = self.session, committed = {}, undone = {},
    isolation = not root and options and options.isolation or nil,
  }
  if root then
    frame.read_only = root.read_only
  else
    frame.read_only = options and options.read_only
  end
  self.frames[#self.frames + 1] = frame
  return frame
end

-- What was assigned to objects that the session knows, and was not written, is undone with it.
local function put_back(self, session)
  for _, one in ipairs(self.objects) do
    if one.saved and one.known_to == session then
      one.age = one.known
    end
  end
end

function World:hear(tags)
  for _, tag in ipairs(tags) do
    self:note("hook " .. tag)
  end
end

function World:undo(frame)
  while self:frame() ~= frame do
    self:undo(self:frame())
  end
  self.frames[#self.frames] = nil
  if not self.broken then
    self.rows = frame.rows
  elseif not self.frames[1] then
    self.broken = nil
  end
  if frame.of_session then
    put_back(self, frame.inside)
  end
  for place, one in ipairs(self.objects) do
    local was = frame.was[place]
    if one.wrote and one.wrote[frame] then
      one.saved = was ~= nil and was.saved
      if was then
        one.age, one.known = was.saved and was.known or one.age, was.known
      end
      one.row = was and was.row
    end
  end
  if frame.inside and not frame.of_session then
    frame.inside.pending = {}
    put_back(self, frame.inside)
  end
  self:hear(frame.undone)
end

function world.append(to, from)
  for _, one in ipairs(from) do
    to[#to + 1] = one
  end
end

function World:keep(frame)
  local function attempt(fn, ...)
    local ok, err = pcall(fn, ...)
    if not ok then
      self:undo(frame)
      return error(err, 0)
    end
  end
  attempt(self.check_cancelled, self) -- a commit is one more wait
  if frame.inside and not frame.of_session then
    attempt(self.flush, self)
  end
  while self:frame() ~= frame do -- a savepoint that nobody ended
    attempt(self.keep, self, self:frame())
  end
  local outer, broken = self.frames[#self.frames - 1], self.broken
  if broken or frame.failed then
    self:undo(frame)
    if broken and not outer then
      raise(broken, broken == "deadlock")
    end
    refused(frame)
  end
  self.frames[#self.frames] = nil
  if outer then
    world.append(outer.committed, frame.committed)
    world.append(outer.undone, frame.undone)
  else
    self:hear(frame.committed)
  end
end

-- The whole transaction is gone, on the server: what was in it, or else what is there from now on, is `rows`.
function World:break_off(kind, rows)
  local frame = self:frame()
  self.broken, self.rows = kind, rows
  frame.failure = frame.failure or { kind = kind, helps = kind == "deadlock" }
  raise(kind, kind == "deadlock")
end

-- What another connection sees.
function World:committed()
  return not self.broken and self.frames[1] and self.frames[1].rows or self.rows
end

-- ---- statements ----

-- In a session each statement belongs to its transaction, which begins with the first.
function World:arrive()
  local session = self.session
  if session and not session.frame then
    session.frame = {} -- being begun
    self.session = nil
    local ok, frame = pcall(self.push, self, { isolation = session.isolation })
    self.session = session
    if not ok then
      session.frame = nil
      return error(frame, 0)
    end
    frame.inside, frame.of_session = session, true
    frame.committed, session.hooks = session.hooks, {}
    session.frame = frame
  end
end

function World:auto_flush()
  if self.session and self.session.autoflush then
    self:flush()
  end
end

-- A statement is about to run.
function World:send(writes)
  self:arrive()
  self:auto_flush()
  self:check(writes)
end

function World:check(writes)
  local frame = self:frame()
  self:check_cancelled()
  if frame and (frame.failed or self.broken) then
    local ok, err = pcall(refused, frame)
    frame.failure = frame.failure or not ok and err
    error(err, 0)
  elseif writes and frame and frame.read_only then
    self:fail "read_only"
  end
end

function World:fail(kind, helps)
  local frame = self:frame()
  if frame then
    frame.failed = true
    frame.failure = frame.failure or { kind = kind, helps = helps }
  end
  raise(kind, helps)
end

-- The object is written: what is undone from here on must put it right.
function World:wrote(one)
  one.wrote = one.wrote or {}
  one.known_to = self.session
  for _, frame in ipairs(self.frames) do
    one.wrote[frame] = true
  end
end

function World:insert(one)
  if self.rows[one.name] then
    return false
  end
  self.ids = self.ids + 1
  self:wrote(one)
  one.saved, one.known, one.row = true, one.age, self.ids
  self.rows[one.name] = { id = self.ids, age = one.age }
  return true
end

-- All that is pending is one statement: it is written as a whole or fails as a whole.
function World:flush()
  local session = self.session
  if not session or session.pending[1] == nil then
    return
  end
  self:arrive()
  self:check(true)
  local before, objects = copy(self.rows), copy_objects(self.objects)
  for _, one in ipairs(session.pending) do
    if not self:insert(one) then
      self.rows = before
      for place, was in ipairs(objects) do
        self.objects[place].saved, self.objects[place].known = was.saved, was.known
        self.objects[place].row = was.row
      end
      self:fail "unique"
    end
  end
  session.pending = {}
end

function World:new(name)
  local one = { name = name, age = 0, saved = false }
  self.objects[#self.objects + 1] = one
  return one
end

return world
