-- Programs made by chance out of blocks, sessions, savepoints and statements, and what they mean: a reference in plain Lua
-- that knows rows, frames and pending objects, but no database. spec/adversity/model_spec.lua runs the same programs for real.

local model = {}

local NAMES = 6 -- few, so that they collide
local DEEPEST = 6

--- Chance that depends on its seed alone.
function model.chance(seed)
  local state = seed * 7919 % 2147483646 + 1
  return function(n)
    state = state * 48271 % 2147483647
    return (state // 7) % n + 1
  end
end

-- ---- programs ----

local leaves = {
  function(random) return { op = "create", name = random(NAMES) } end,
  function(random) return { op = "create", name = random(NAMES) } end,
  function(random) return { op = "build", name = random(NAMES) } end,
  function(random) return { op = "build", name = random(NAMES) } end,
  function(random) return { op = "update", name = random(NAMES), age = random(5) } end,
  function(random) return { op = "delete", name = random(NAMES) } end,
  function(random) return { op = "save", object = random(4), age = random(5) } end,
  function() return { op = "count" } end,
  function() return { op = "flush" } end,
  function() return { op = "table" } end,
}

local sequence

local branches = {
  function(random, at)
    return { op = "atomic", sequence(random, { depth = at.depth + 1, block = true, caught = at.caught }) }
  end,
  function(random, at)
    return { op = "atomic", sequence(random, { depth = at.depth + 1, block = true, caught = at.caught }) }
  end,
  function(random, at) return { op = "catch", sequence(random, { depth = at.depth + 1, caught = true }) } end,
  function(random, at) return { op = "catch", sequence(random, { depth = at.depth + 1, caught = true }) } end,
  function(random, at) return { op = "session", sequence(random, { depth = at.depth + 1, caught = at.caught }) } end,
  function(random, at)
    return { op = "savepoint", way = random(3), sequence(random, { depth = at.depth + 1, caught = at.caught }) }
  end,
}

function sequence(random, at)
  local list = {}
  for place = 1, random(4) do
    local way = random(20)
    if at.depth < DEEPEST and way <= 9 then
      list[place] = branches[random(#branches)](random, at)
    elseif way == 10 then
      list[place] = { op = "raise" }
    elseif way == 11 and at.block then
      list[place] = { op = "quit" }
    elseif way == 12 and random(4) == 1 and not at.caught then
      list[place] = { op = "kill" }
    else
      list[place] = leaves[random(#leaves)](random)
    end
  end
  return list
end

--- A program: a tree of operations.
function model.program(seed)
  return sequence(model.chance(seed), { depth = 0 })
end

--- The same as text, for a report.
function model.show(list, indent)
  indent = indent or "  "
  local lines = {}
  for _, node in ipairs(list) do
    local words = { node.op }
    for _, name in ipairs{ "name", "age", "object", "way" } do
      words[#words + 1] = node[name] and name .. "=" .. node[name]
    end
    lines[#lines + 1] = indent .. table.concat(words, " ")
    if node[1] then
      lines[#lines + 1] = model.show(node[1], indent .. "  ")
    end
  end
  return table.concat(lines, "\n")
end

-- ---- the reference ----

local World = {}
World.__index = World

local function raise(kind)
  return error({ kind = kind }, 0)
end

local function copy(from)
  local to = {}
  for key, value in pairs(from) do
    to[key] = value
  end
  return to
end

-- An object as it is now: whether it is in the database, its age, and what it knows of the row's.
local function copy_objects(objects)
  local to = {}
  for place, one in ipairs(objects) do
    to[place] = copy(one)
  end
  return to
end

--- ddl: "undone" where a table that is made in a transaction goes with it, "refused" where it cannot be made there.
function model.world(ddl)
  return setmetatable({ rows = {}, objects = {}, frames = {}, trace = {}, ids = 0, tables = 0, ddl = ddl, log = {} }, World)
end

function World:note(text)
  self.trace[#self.trace + 1] = text
end

function World:frame()
  return self.frames[#self.frames]
end

-- Begin a frame; raises where the one around it has failed.
function World:push()
  self:arrive()
  self:flush()
  local around = self:frame()
  if self.killed then
    raise "cancelled"
  elseif around and around.failed then
    raise "in_failed_transaction"
  end
  local frame = {
    rows = copy(self.rows), count = #self.objects, was = copy_objects(self.objects), tables = self.tables,
    inside = self.session,
  }
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

function World:undo(frame)
  while self.frames[#self.frames] ~= frame do
    self.frames[#self.frames] = nil
  end
  self.frames[#self.frames] = nil
  self.rows, self.tables = frame.rows, frame.tables
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
end

function World:keep(frame)
  if frame.inside and not frame.of_session then
    local ok, err = pcall(self.flush, self)
    if not ok then
      self:undo(frame)
      return error(err, 0)
    end
  end
  if self.killed or frame.failed then -- a commit is one more wait
    self:undo(frame)
    raise(self.killed and "cancelled" or "in_failed_transaction")
  end
  self.frames[#self.frames] = nil
end

-- In a session each statement belongs to its transaction, which begins with the first.
function World:arrive()
  local session = self.session
  if session and not session.frame then
    session.frame = {} -- being begun
    self.session = nil
    local ok, frame = pcall(self.push, self)
    self.session = session
    if not ok then
      session.frame = nil
      return error(frame, 0)
    end
    frame.inside, frame.of_session = session, true
    session.frame = frame
  end
end

-- A statement is about to run.
function World:send()
  self:arrive()
  self:flush()
  self:check()
end

function World:check()
  local frame = self:frame()
  if self.killed then
    raise "cancelled"
  elseif frame and frame.failed then
    raise "in_failed_transaction"
  end
end

function World:fail(kind)
  local frame = self:frame()
  if frame then
    frame.failed = true
  end
  raise(kind)
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
  self:check()
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

local run = {}

function run.create(self, node)
  local one = self:new(node.name)
  self:send()
  if not self:insert(one) then
    self:fail "unique"
  end
end

function run.build(self, node)
  local one = self:new(node.name)
  if self.session then
    table.insert(self.session.pending, one)
  end
end

function run.update(self, node)
  self:send()
  local row = self.rows[node.name]
  if row then
    self.rows[node.name] = { id = row.id, age = node.age }
  end
  self:note(row and 1 or 0)
end

function run.delete(self, node)
  self:send()
  self:note(self.rows[node.name] and 1 or 0)
  self.rows[node.name] = nil
end

function run.count(self)
  self:send()
  local n = 0
  for _ in pairs(self.rows) do
    n = n + 1
  end
  self:note(n)
end

function run.flush(self)
  if self.session then
    self:flush()
  end
end

-- A save of an object that is in the database, where its age changes.
function run.save(self, node)
  local one = self.objects[node.object]
  if not one or not one.saved then
    return
  end
  one.age = node.age
  self:flush()
  if one.age == one.known then
    return
  end
  self:arrive()
  self:wrote(one) -- whatever becomes of the statement
  self:check()
  local row = self.rows[one.name]
  if not row or row.id ~= one.row then
    one.age = one.known -- as the program below puts it right
    raise "stale"
  end
  self.rows[one.name] = { id = row.id, age = one.age }
  one.known = one.age
end

function run.table(self)
  if self.ddl == "refused" and (self.frames[1] or self.session) then
    self:arrive()
    raise "implicit_commit"
  end
  if self.ddl ~= "refused" then
    local frame = self:push()
    self.tables = self.tables + 1
    return self:keep(frame)
  end
  self:send()
  self.tables = self.tables + 1
end

function run.raise()
  return error("boom", 0)
end

function run.kill(self)
  self.killed = true
end

local QUIT = {}

function run.quit()
  return error(QUIT, 0)
end

function run.atomic(self, node)
  local frame = self:push()
  local ok, err = pcall(self.sequence, self, node[1])
  if ok then
    return self:keep(frame)
  end
  self:undo(frame)
  if err ~= QUIT then
    return error(err, 0)
  end
end

function run.savepoint(self, node)
  local frame = self:push()
  local ok, err = pcall(self.sequence, self, node[1])
  if not ok or node.way == 1 then
    self:undo(frame)
  else
    self:keep(frame)
  end
  if not ok then
    return error(err, 0)
  end
end

function run.catch(self, node)
  local ok, err = pcall(self.sequence, self, node[1])
  if not ok and err == QUIT then
    return error(err, 0)
  end
  self:note(ok and "fine" or "caught " .. (type(err) == "table" and err.kind or tostring(err)))
end

function run.session(self, node)
  if self.session then
    return self:sequence(node[1])
  end
  local session = { pending = {} }
  self.session = session
  local ok, err = pcall(self.sequence, self, node[1])
  if ok then
    ok, err = pcall(self.flush, self)
  end
  self.session = nil
  local frame = session.frame
  if ok and frame then
    ok, err = pcall(self.keep, self, frame)
  elseif frame then
    self:undo(frame)
  end
  if not ok then
    return error(err, 0)
  end
end

function World:sequence(list)
  for _, node in ipairs(list) do
    run[node.op](self, node)
  end
end

--- Run a program on the reference. Its trace, and how it ended.
function World:run(program)
  local ok, err = pcall(self.sequence, self, program)
  self:note(ok and "ended" or "failed " .. (type(err) == "table" and err.kind or tostring(err)))
end

model.QUIT = QUIT

return model
