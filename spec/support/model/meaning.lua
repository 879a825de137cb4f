-- What the programs of programs.lua mean: each operation on the reference of world.lua. real.lua runs the same for real, and each
-- notes the same there.

local world = require "spec.support.model.world"

local meaning = {}

local World, raise, append = world.methods, world.raise, world.append

local run = {}

function run.create(self, node)
  local one = self:new(node.name)
  self:send(true)
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
  self:send(true)
  local row = self.rows[node.name]
  if row then
    self.rows[node.name] = { id = row.id, age = node.age }
  end
  self:note(row and 1 or 0)
end

function run.delete(self, node)
  self:send(true)
  self:note(self.rows[node.name] and 1 or 0)
  self.rows[node.name] = nil
end

local function size(rows)
  local n = 0
  for _ in pairs(rows) do
    n = n + 1
  end
  return n
end

function run.count(self)
  self:send()
  self:note(size(self.rows))
end

run.iterate = run.count

-- Both rows or none, in a savepoint where there is a transaction.
local function bulk(self, node)
  self:check(true)
  if self.rows[node.name] or self.rows[node.other] or node.name == node.other then
    self:fail "unique"
  end
  for _, name in ipairs{ node.name, node.other } do
    self.ids = self.ids + 1
    self.rows[name] = { id = self.ids, age = 0 }
  end
end

function run.bulk(self, node)
  self:arrive()
  self:auto_flush()
  local frame = self.frames[1] and self:push()
  local ok, err = pcall(bulk, self, node)
  if frame and ok then
    return self:keep(frame)
  elseif frame then
    self:undo(frame)
  end
  if not ok then
    error(err, 0)
  end
end

function run.flush(self)
  self:flush()
end

-- A save of an object that is in the database, where its age changes.
local function save(self, one)
  self:auto_flush()
  if one.age == one.known then
    return
  end
  self:arrive()
  self:wrote(one) -- whatever becomes of the statement
  self:check(true)
  local row = self.rows[one.name]
  if not row or row.id ~= one.row or self.session and self.session.optimistic and row.age ~= one.known then
    raise "stale"
  end
  self.rows[one.name] = { id = row.id, age = one.age }
  one.known = one.age
end

function run.save(self, node)
  local one = self.objects[node.object]
  if one and one.saved then
    local before = one.age
    one.age = node.age
    local ok, err = pcall(save, self, one)
    if not ok then
      one.age = before
      error(err, 0)
    end
  end
end

-- Of an entity: refused where it would commit what is open.
function run.table(self)
  if self.can.ddl == "commits" and (self.frames[1] or self.session) then
    self:arrive()
    raise "implicit_commit"
  end
  self:send(true)
end

function run.raw_table(self)
  self:send(true)
  if self.can.ddl == "commits" and self.frames[1] then
    self:break_off("implicit_commit", self.rows)
  end
end

-- Only the first time that it is come by, so that running the block again helps.
function run.deadlock(self, node)
  if not self.can.deadlock or self.done[node] or not (self.session or self.frames[1]) then
    return
  end
  self:send(true)
  self.done[node] = true
  if self.can.deadlock == "statement" then
    self:fail("deadlock", true)
  end
  self:break_off("deadlock", self.frames[1].rows)
end

-- A task beside this one sees what is committed.
function run.apart(self)
  self:check_cancelled()
  if self.frames[1] and not self.can.apart then
    raise "pool_deadlock"
  end
  self:note(size(self:committed()))
end

-- A task that this one waits for may not go round its transaction.
function run.branch(self)
  self:check_cancelled()
  if self.frames[1] then
    raise "concurrency"
  end
  self:note(size(self.rows))
end

function run.raise()
  return error("boom", 0)
end

function run.kill(self)
  self.killed = true
end

local QUIT = {}

function run.quit(self)
  self.tx.quit = true
  return error(QUIT, 0)
end

-- ---- hooks ----

function run.on_commit(self, node)
  local session, frame = self.session, self:frame()
  local hooks = frame and frame.committed
  if session and not session.frame then
    hooks = session.hooks
  end
  if hooks then
    hooks[#hooks + 1] = node.tag
  else
    self:hear{ node.tag }
  end
end

function run.hook(self, node)
  if self.tx then
    local hooks = node.way == 1 and self.tx.committed or self.tx.undone
    hooks[#hooks + 1] = node.tag
  end
end

-- ---- what has a sequence inside ----

-- Run it in a frame: undone where it raises.
function World:framed(frame, list)
  local ok, err = pcall(self.sequence, self, list)
  if ok then
    return self:keep(frame)
  end
  self:undo(frame)
  return error(err, 0)
end

local function again(self, times, fn, ...)
  for attempt = 1, times + 1 do
    local ok, err = pcall(fn, self, ...)
    if ok then
      return
    elseif attempt > times or type(err) ~= "table" or not err.helps then
      error(err, 0)
    end
    self:check_cancelled() -- there is a pause before the next one
  end
end

local function atomic(self, node)
  local frame = self:push(node)
  local around = self.tx
  self.tx = frame
  local ok, err = pcall(self.sequence, self, node[1])
  self.tx = around
  if ok and not frame.quit then
    return self:keep(frame)
  end
  self:undo(frame)
  if not ok and err ~= QUIT then
    return error(err, 0)
  end
end

function run.atomic(self, node)
  if node.retry then
    self:arrive()
  end
  return again(self, not self.frames[1] and node.retry or 0, atomic, node)
end

-- By hand, as db:begin() gives it.
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

-- By hand, of the innermost block. way 3: nobody ends it.
function run.point(self, node)
  if not self.tx then
    return self:sequence(node[1])
  end
  self:arrive()
  if self:frame() ~= self.tx then
    raise "bad_argument"
  end
  local frame = self:push()
  local ok, err = pcall(self.sequence, self, node[1])
  if node.way == 2 or not ok and node.way == 1 then
    self:undo(frame)
  elseif ok and node.way == 1 then
    self:keep(frame)
  end
  if not ok then
    return error(err, 0)
  end
end

function run.gather(self, node)
  for _, list in ipairs(node) do
    if self.tx then
      self:framed(self:push(), list)
    else
      self:sequence(list)
    end
  end
end

function run.nested(self, node)
  if not self.session then
    return self:sequence(node[1])
  end
  self:arrive()
  return self:framed(self:push(), node[1])
end

local function name_of(err)
  return type(err) == "table" and err.kind or tostring(err)
end

function run.catch(self, node)
  local ok, err = pcall(self.sequence, self, node[1])
  self:note(ok and "fine" or "caught " .. name_of(err))
end

function run.try(self, node)
  local ok, err = pcall(self.sequence, self, node[1])
  if not ok and name_of(err) == "cancelled" then
    error(err, 0)
  end
  self:note(ok and "fine" or "tried " .. name_of(err))
end

local function scoped(self, node)
  local scope = { op = node.op }
  table.insert(self.scopes, scope)
  local ok, err = pcall(self.sequence, self, node[1])
  table.remove(self.scopes)
  if scope.told then
    raise("timeout", not ok and name_of(err) ~= "cancelled" and type(err) == "table" and err.helps)
  elseif not ok then
    error(err, 0)
  end
end

run.expired, run.shield = scoped, scoped

-- ---- sessions ----

local function new_session(options)
  return { pending = {}, hooks = {}, autoflush = options.autoflush ~= false, optimistic = options.optimistic,
    isolation = options.isolation }
end

-- What came before its first statement waits for what is around it.
local function commit_session(self, session)
  self:flush()
  local frame, outer = session.frame, self:frame()
  if not frame then
    if outer then
      append(outer.committed, session.hooks)
    else
      self:hear(session.hooks)
    end
    session.hooks = {}
    return
  end
  session.frame = nil
  local ok, err = pcall(self.keep, self, frame)
  if not ok then
    session.pending = {}
    error(err, 0)
  end
end

local function undo_session(self, session)
  local frame = session.frame
  session.frame, session.pending, session.hooks = nil, {}, {}
  if frame then
    self:undo(frame)
  end
end

local function check_top(self, session)
  if session.frame and self:frame() ~= session.frame then
    raise "bad_argument" -- inside a block or savepoint
  end
end

function run.session_commit(self)
  local session = self.session
  if session then
    check_top(self, session)
    commit_session(self, session)
  end
end

function run.session_rollback(self)
  local session = self.session
  if session then
    check_top(self, session)
    undo_session(self, session)
  end
end

-- A session in a session is the same one.
local function join(self, outer, node)
  if node.isolation and node.isolation ~= outer.isolation then
    raise "durable"
  elseif node.optimistic and not outer.optimistic then
    raise "bad_argument"
  end
  local before = outer.autoflush
  if node.autoflush ~= nil then
    outer.autoflush = node.autoflush
  end
  local ok, err = pcall(self.sequence, self, node[1])
  outer.autoflush = before
  if not ok then
    error(err, 0)
  end
end

local function session_once(self, node, by_hand)
  local session = new_session(node)
  self.session = session
  local ok, err = pcall(self.sequence, self, node[1])
  if ok and not (by_hand and node.way == 2) then
    ok, err = pcall(commit_session, self, session)
  end
  self.session = nil
  undo_session(self, session)
  if not ok then
    return error(err, 0)
  end
end

function run.session(self, node)
  if self.session then
    return join(self, self.session, node)
  end
  return again(self, not self.frames[1] and node.retry or 0, session_once, node)
end

function run.by_hand(self, node)
  if self.session then
    raise "bad_argument"
  end
  return session_once(self, node, true)
end

function World:sequence(list)
  for _, node in ipairs(list) do
    run[node.op](self, node)
  end
end

--- A world in which nothing has happened yet.
---@param can { ddl: string, deadlock: string?, apart: boolean }
function meaning.new(can)
  return world.new(can)
end

--- Run a program on the reference. Its trace, and how it ended.
function World:run(program)
  local ok, err = pcall(self.sequence, self, program)
  self:note(ok and "ended" or "failed " .. name_of(err))
end

return meaning
