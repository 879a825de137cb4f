-- A database in plain Lua: its rows, and the transaction and savepoints that the program has open on it. What differs between
-- databases is said in `can`:
-- ddl: "undone" where a table that is made in a transaction goes with it, "commits" where making it commits what is open.
-- deadlock: "statement" where it fails the statement, as a constraint does; "transaction" where the server undoes all; nil where
-- there is none (SQLite lets one write at a time, and who would wait for himself is told before).
-- apart: whether another task finds a connection while a transaction is open.
-- blocked: whether another process may hold the only writer.

local store = {}

local Store = {}
Store.__index = Store

--- helps: to run the outermost block again.
local function raise(kind, helps)
  return error({ kind = kind, helps = helps }, 0)
end
store.raise = raise

local function copy(from)
  local to = {}
  for key, value in pairs(from) do
    to[key] = value
  end
  return to
end
store.copy = copy

function store.new(world, can)
  return setmetatable({ world = world, can = can, rows = {}, frames = {}, ids = 0 }, Store)
end

function Store:frame()
  return self.frames[#self.frames]
end

function Store:size()
  local n = 0
  for _ in pairs(self.rows) do
    n = n + 1
  end
  return n
end

--- The row of an object, if it is there.
function Store:row_of(one)
  local row = self.rows[one.name]
  return row and row.id == one.row and row or nil
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

-- Another process has the writer, and gives it back when it has been met.
function Store:check_writer()
  if self.blocked then
    self.blocked = nil
    raise("busy", true)
  end
end

--- Begin a frame; raises where the one around it has failed.
---@param own boolean? it is the transaction of the session that the program is in
function Store:push(options, own)
  local world = self.world
  local session = world.session
  if session and not own then
    session:arrive(self)
    session:flush()
  end
  local around, root = self:frame(), self.frames[1]
  if root and options then
    check_options(root, options)
  end
  world:check_cancelled()
  if around and (around.failed or self.broken) then
    refused(around)
  elseif not (root or options and options.read_only) then
    self:check_writer()
  end
  local frame = {
    store = self, rows = copy(self.rows), doomed = self.doomed, before = {}, committed = {}, undone = {},
    isolation = not root and options and options.isolation or nil, inside = not own and session or nil,
    knew = session and session.n, inner = root ~= nil,
  }
  if root then
    frame.read_only = root.read_only
  else
    frame.read_only = options and options.read_only
  end
  self.frames[#self.frames + 1] = frame
  world.begun[#world.begun + 1] = frame
  return frame
end

-- The objects that were written in the frame are as they were before it.
local function restore(frame)
  for one, was in pairs(frame.before) do
    one.age = was.saved and was.known or one.age
    one.saved, one.known, one.row, one.unread = was.saved, was.known, was.row, was.unread
  end
end

function Store:undo(frame)
  while self:frame() ~= frame do
    self:undo(self:frame())
  end
  self.frames[#self.frames], frame.over = nil, true
  local outer = self.frames[#self.frames]
  if self.broken and outer then -- what ended all of it is the cause of what fails around it, too
    outer.failure = outer.failure or frame.failure
  end
  if not self.broken then
    self.rows, self.doomed = frame.rows, frame.doomed
  elseif not self.frames[1] then
    self.broken = nil
  end
  restore(frame)
  if frame.inside then
    frame.inside:undone(frame)
  end
  self.world:hear(frame.undone)
end

local function append(to, from)
  for _, one in ipairs(from) do
    to[#to + 1] = one
  end
end
store.append = append

function Store:keep(frame)
  local function attempt(fn, ...)
    local ok, err = pcall(fn, ...)
    if not ok then
      self:undo(frame)
      return error(err, 0)
    end
  end
  attempt(self.world.check_cancelled, self.world) -- a commit is one more wait
  if frame.inside then
    attempt(frame.inside.flush, frame.inside)
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
  elseif self.doomed and not outer then
    self:undo(frame)
    raise "foreign_key" -- of a constraint that is checked at the end
  end
  self.frames[#self.frames], frame.over = nil, true
  if outer then
    for one, was in pairs(frame.before) do
      outer.before[one] = outer.before[one] or was
    end
    append(outer.committed, frame.committed)
    append(outer.undone, frame.undone)
  else
    self.world:hear(frame.committed)
  end
end

--- The whole transaction is gone, on the server: what was in it, or else what is there from now on, is `rows`.
function Store:break_off(kind, rows)
  local frame = self:frame()
  self.broken, self.rows = kind, rows
  frame.failure = frame.failure or { kind = kind, helps = kind == "deadlock" }
  raise(kind, kind == "deadlock")
end

--- How many rows another connection sees.
function Store:committed_size()
  if self.broken or not self.frames[1] then
    return self:size()
  end
  return Store.size(self.frames[1])
end

-- ---- statements ----

--- A statement runs here now.
function Store:check(writes)
  local frame = self:frame()
  self.world:check_cancelled()
  if frame and (frame.failed or self.broken) then
    local ok, err = pcall(refused, frame)
    frame.failure = frame.failure or not ok and err
    error(err, 0)
  elseif writes and frame and frame.read_only then
    self:fail "read_only"
  elseif writes and not frame then
    self:check_writer()
  end
end

function Store:fail(kind, helps)
  local frame = self:frame()
  if frame then
    frame.failed = true
    frame.failure = frame.failure or { kind = kind, helps = helps }
  end
  raise(kind, helps)
end

--- The object is about to be written, or read: how it is now is what it is put back to.
function Store:wrote(one)
  local frame = self:frame()
  if frame then
    frame.before[one] = frame.before[one] or copy(one)
  end
end

--- The rows of new objects: all of them, or none.
function Store:insert(objects)
  local rows = copy(self.rows)
  for _, one in ipairs(objects) do
    if rows[one.name] then
      self:fail "unique"
    end
    rows[one.name] = true
  end
  for _, one in ipairs(objects) do
    self.ids = self.ids + 1
    self:wrote(one)
    one.saved, one.known, one.row = true, one.age, self.ids
    self.rows[one.name] = { id = self.ids, age = one.age }
    self.world:noted(one)
  end
end

--- The changed ages of objects that are in the database. One that is not there, or not as it was read, fails them, and no more.
function Store:update(objects, optimistic)
  for _, one in ipairs(objects) do
    self:wrote(one) -- whatever becomes of the statement
  end
  self:check(true)
  local stale = false
  for _, one in ipairs(objects) do
    local row = self:row_of(one)
    if row and not (optimistic and row.age ~= one.known) then
      self.rows[one.name] = { id = row.id, age = one.age }
    else
      stale = true
    end
  end
  if stale then
    raise "stale"
  end
  for _, one in ipairs(objects) do
    one.known = one.age
    self.world:noted(one)
  end
end

--- The rows of objects go, which are new again then.
function Store:delete(objects)
  for _, one in ipairs(objects) do
    self:wrote(one)
  end
  self:check(true)
  for _, one in ipairs(objects) do
    if self:row_of(one) then
      self.rows[one.name] = nil
    end
    one.saved, one.row = false, nil
  end
end

return store
