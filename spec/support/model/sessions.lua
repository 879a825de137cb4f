-- What the operations on sessions mean, on the reference in unit.lua; more of meaning.lua.

local meaning = require "spec.support.model.meaning"
local unit = require "spec.support.model.unit"
local world = require "spec.support.model.world"

local raise, run = world.raise, meaning.operations

-- ---- objects ----

function run.flush(self)
  if self.session then
    self.session:flush()
  end
end

-- The place of an object in the program's hands.
local function note_place(self, one)
  local place = 1
  while self.objects[place] ~= one do
    if self.objects[place] == nil then
      self.objects[place] = one
    else
      place = place + 1
    end
  end
  self:note(("object %d age %s"):format(place, one.unread and "unread" or one.age))
end

-- All objects of a name: one row at most.
function run.load(self, node)
  local at = node.far and self.far or self.home
  self:send(at, { [at] = true })
  local row = at.rows[node.name]
  if not row then
    return self:note "none"
  end
  note_place(self, self.session and self.session:identify(at, node.name, row) or self:loaded(at, node.name, row))
end

function run.get(self, node)
  local one, session = self.objects[node.object], self.session
  if not (session and one and one.saved) then
    return
  end
  local known = session:find(one.store, one.row)
  if not known then
    self:send(one.store, { [one.store] = true })
    local row = one.store:row_of(one)
    if not row then
      return self:note "none"
    end
    known = session:identify(one.store, one.name, row)
  end
  note_place(self, known)
end

function run.add(self, node)
  local one, session = self.objects[node.object], self.session
  if not (session and one) then
    return
  elseif not one.saved then
    if not session:is_scheduled(one) then
      session:schedule(one)
    end
  else
    session.is_gone[one] = nil
    if not session:add_known(one) then
      raise "bad_argument"
    end
  end
end

function run.remove(self, node)
  local one, session = self.objects[node.object], self.session
  if session and one then
    if not one.saved then
      raise "bad_argument"
    end
    session:delete(one)
  end
end

-- With what was assigned to it.
function run.expunge(self, node)
  run.assign(self, node)
  local one, session = self.objects[node.object], self.session
  if session and one then
    session:expunge(one)
  end
end

-- One of the same name instead of it.
function run.replace(self, node)
  local one, session = self.objects[node.object], self.session
  if session and one and one.saved then
    session:delete(one)
    session:schedule(self:new(one.name, one.store))
  end
end

function run.dirty(self, node)
  local one, session = self.objects[node.object], self.session
  if session and one then
    self:note(session:is_dirty(one) and "dirty" or "clean")
  end
end

-- A row that the other database will refuse when it is asked to commit.
function run.doom(self)
  if self.session then
    self:send(self.far, nil, true)
    self.far.doomed = true
  end
end

-- ---- blocks ----

local function check_top(session)
  for _, frame in ipairs(session.frames) do
    if frame.store:frame() ~= frame then
      raise "bad_argument" -- inside a block or savepoint
    end
  end
end

function run.session_commit(self)
  local session = self.session
  if session then
    check_top(session)
    session:commit()
  end
end

function run.session_rollback(self)
  local session = self.session
  if session then
    check_top(session)
    session:rollback()
  end
end

-- A savepoint in each database that was touched.
local function nested(self, frames, place, list)
  if frames[place] then
    return self:framed(frames[place].store:push(), nested, frames, place + 1, list)
  end
  return self:sequence(list)
end

function run.nested(self, node)
  local session = self.session
  if not session then
    return self:sequence(node[1])
  end
  session:arrive(self.home)
  session:flush() -- what is pending belongs to what is around it
  local frames, knew = { table.unpack(session.frames) }, session.n
  local ok, err = pcall(nested, self, frames, 1, node[1])
  if not ok then
    session:undo_since(#frames, knew)
    error(err, 0)
  end
end

-- A session in a session is the same one.
local function join(self, outer, node)
  if node.isolation and node.isolation ~= outer.isolation then
    raise "durable"
  elseif node.optimistic and not outer.optimistic or node.expire_on_commit and not outer.expire then
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

local function session_once(self, node, progress, by_hand)
  local session = unit.new(self, node)
  self.session = session
  local ok, err = pcall(self.sequence, self, node[1])
  if ok and not (by_hand and node.way == 2) then
    ok, err = pcall(session.commit, session)
  end
  self.session = nil
  session:rollback()
  progress.kept = session.kept
  if not ok then
    return error(err, 0)
  end
end

function run.session(self, node)
  if self.session then
    return join(self, self.session, node)
  end
  return meaning.again(self, not self.home.frames[1] and node.retry or 0, session_once, node, {})
end

function run.by_hand(self, node)
  if self.session then
    raise "bad_argument"
  end
  return session_once(self, node, {}, true)
end
