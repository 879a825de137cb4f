-- What the programs of programs.lua mean: each operation on the reference of world.lua. real.lua runs the same for real, and each
-- notes the same there.

local world = require "spec.support.model.world"

local meaning = {}

local World, raise = world.methods, world.raise

local run = {}
meaning.operations = run

local NOTHING = {} -- what an insert reads

-- An object is written by itself: what the session has to write goes before it.
local function before_write(self, one)
  if self.session then
    self.session:unschedule(one)
    if self.session.autoflush then
      self.session:flush(NOTHING)
    end
  end
end

function run.create(self, node)
  local one = self:new(node.name)
  before_write(self, one)
  self:send(self.home, NOTHING, true)
  self.home:insert{ one }
end

function run.build(self, node)
  local one = self:new(node.name, node.far and self.far)
  if self.session then
    self.session:schedule(one)
  end
end

local function store_of(self, node)
  return node.far and self.far or self.home
end

function run.update(self, node)
  local at = store_of(self, node)
  self:send(at, { [at] = true }, true)
  local row = at.rows[node.name]
  if row then
    at.rows[node.name] = { id = row.id, age = node.age }
  end
  self:note(row and 1 or 0)
end

function run.delete(self, node)
  self:send(self.home, { [self.home] = true }, true)
  self:note(self.home.rows[node.name] and 1 or 0)
  self.home.rows[node.name] = nil
end

function run.count(self, node)
  local at = store_of(self, node)
  self:send(at, { [at] = true })
  self:note(at:size())
end

run.iterate = run.count

-- Both rows or none, in a savepoint where there is a transaction.
local function bulk(self, node)
  local home = self.home
  home:check(true)
  home:insert{ self:new(node.name, home, true), self:new(node.other, home, true) } -- which only a session knows
end

function run.bulk(self, node)
  local session, home = self.session, self.home
  if session then
    if session.autoflush then
      session:flush(NOTHING)
    end
    session:arrive(home)
  end
  local frame = home.frames[1] and home:push()
  local ok, err = pcall(bulk, self, node)
  if frame and ok then
    return home:keep(frame)
  elseif frame then
    home:undo(frame)
  end
  if not ok then
    error(err, 0)
  end
end

-- ---- objects ----

--- The object in the program's hands with its columns, which may have to be read.
---@param saved boolean? only one that is in the database
local function held(self, node, saved)
  local one = self.objects[node.object]
  if not one or saved and not one.saved then
    return nil
  end
  if one.unread and one.saved then
    self:send(one.store, { [one.store] = true })
    local row = one.store:row_of(one)
    if not row then
      raise "not_found"
    end
    if self.session then
      one.store:wrote(one)
    end
    one.age, one.known, one.unread = row.age, row.age, nil
    self:noted(one)
  end
  return one
end
meaning.held = held

-- A save of an object that is in the database, where its age changes.
local function save(self, one)
  before_write(self, one)
  if not one.saved then
    raise "stale"
  elseif one.age == one.known then
    return
  end
  if self.session then
    self.session:arrive(one.store)
  end
  one.store:update({ one }, self.session and self.session.optimistic)
end

function run.save(self, node)
  local one = held(self, node, true)
  if one then
    local before = one.age
    one.age = node.age
    local ok, err = pcall(save, self, one)
    if not ok then
      one.age = before
      error(err, 0)
    end
  end
end

function run.assign(self, node)
  local one = held(self, node)
  if one then
    one.age, one.unread = node.age, nil
  end
end

-- Whatever was assigned is gone, also where nothing can be read.
function run.refresh(self, node)
  local one = self.objects[node.object]
  if not one then
    return
  elseif not one.saved then
    raise "bad_argument"
  end
  local at = one.store
  if not one.unread then
    one.age = one.known
  end
  self:send(at, { [at] = true })
  local row = at:row_of(one)
  if not row then
    raise "not_found"
  end
  at:wrote(one)
  one.age, one.known, one.unread = row.age, row.age, nil
  self:noted(one)
end

-- ---- tables and locks ----

-- Of an entity: refused where it would commit what is open.
function run.table(self)
  local home = self.home
  if home.can.ddl == "commits" and (home.frames[1] or self.session) then
    if self.session then
      self.session:arrive(home)
    end
    raise "implicit_commit"
  end
  self:send(home, nil, true)
end

function run.raw_table(self)
  local home = self.home
  self:send(home, nil, true)
  if home.can.ddl == "commits" and home.frames[1] then
    home:break_off("implicit_commit", home.rows)
  end
end

-- Only the first time that it is come by, so that running the block again helps.
function run.deadlock(self, node)
  local home = self.home
  if not home.can.deadlock or self.done[node] or not (self.session or home.frames[1]) then
    return
  end
  self:send(home, nil, true)
  self.done[node] = true
  if home.can.deadlock == "statement" then
    home:fail("deadlock", true)
  end
  home:break_off("deadlock", home.frames[1].rows)
end

-- Another process has the writer, until it was met.
function run.blocked(self, node)
  local home = self.home
  local mine = home.can.blocked and not home.blocked and not home.frames[1]
  home.blocked = home.blocked or mine or nil
  local ok, err = pcall(self.sequence, self, node[1])
  if mine then
    home.blocked = nil
  end
  if not ok then
    error(err, 0)
  end
end

-- ---- tasks ----

-- A task beside this one sees what is committed.
function run.apart(self)
  self:check_cancelled()
  if self.home.frames[1] and not self.home.can.apart then
    raise "pool_deadlock"
  end
  self:note(self.home:committed_size())
end

-- A task that this one waits for may not go round its transaction.
function run.branch(self)
  self:check_cancelled()
  if self.home.frames[1] then
    raise "concurrency"
  end
  self:note(self.home:size())
end

function run.raise()
  return error("boom", 0)
end

function run.kill(self)
  self.killed = true
end

local QUIT = setmetatable({}, { __tostring = function()
  return "tx:rollback() ends its block; let this pass"
end })

function run.quit(self)
  if self.tx then -- else it was left over when the program was made smaller
    self.tx.quit = true
    return error(QUIT, 0)
  end
end

-- ---- hooks ----

function run.on_commit(self, node)
  local session, frame = self.session, self:latest()
  local hooks = frame and frame.committed
  if session and not session.frames[1] then
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
function World:framed(frame, fn, ...)
  local ok, err = pcall(fn, self, ...)
  if ok then
    return frame.store:keep(frame)
  end
  frame.store:undo(frame)
  return error(err, 0)
end

-- progress.kept: a part of it is committed, and would be done twice.
local function again(self, times, fn, node, progress)
  for attempt = 1, times + 1 do
    local ok, err = pcall(fn, self, node, progress)
    if ok then
      return
    elseif attempt > times or progress and progress.kept or type(err) ~= "table" or not err.helps then
      error(err, 0)
    end
    self:check_cancelled() -- there is a pause before the next one
  end
end
meaning.again = again

local function atomic(self, node)
  local home = self.home
  local frame = home:push(node)
  local around = self.tx
  self.tx = frame
  local ok, err = pcall(self.sequence, self, node[1])
  self.tx = around
  if ok and not frame.quit then
    return home:keep(frame)
  end
  home:undo(frame)
  if not ok and err ~= QUIT then
    return error(err, 0)
  end
end

function run.atomic(self, node)
  if node.retry and self.session then
    self.session:arrive(self.home)
  end
  return again(self, not self.home.frames[1] and node.retry or 0, atomic, node)
end

-- By hand, as db:begin() gives it.
function run.savepoint(self, node)
  local home = self.home
  local frame = home:push()
  local ok, err = pcall(self.sequence, self, node[1])
  if not ok or node.way == 1 then
    home:undo(frame)
  else
    home:keep(frame)
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
  local home = self.home
  if self.session then
    self.session:arrive(home)
  end
  if home:frame() ~= self.tx then
    raise "bad_argument"
  end
  local frame = home:push()
  local ok, err = pcall(self.sequence, self, node[1])
  if node.way == 2 or not ok and node.way == 1 then
    home:undo(frame)
  elseif ok and node.way == 1 then
    home:keep(frame)
  end
  if not ok then
    return error(err, 0)
  end
end

function run.gather(self, node)
  for _, list in ipairs(node) do
    if self.tx then
      self:framed(self.home:push(), self.sequence, list)
    else
      self:sequence(list)
    end
  end
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
  local ok, err = pcall(self.within, self, scope, self.sequence, self, node[1])
  if scope.told then
    raise("timeout", not ok and name_of(err) ~= "cancelled" and type(err) == "table" and err.helps)
  elseif not ok then
    error(err, 0)
  end
end

run.expired, run.shield = scoped, scoped

function World:sequence(list)
  for _, node in ipairs(list) do
    run[node.op](self, node)
  end
end

--- A world in which nothing has happened yet.
---@param can table see store.lua
function meaning.new(can)
  return world.new(can)
end

--- Run a program on the reference. Its trace, and how it ended.
function World:run(program)
  local ok, err = pcall(self.sequence, self, program)
  self:note(ok and "ended" or "failed " .. name_of(err))
end

return meaning
