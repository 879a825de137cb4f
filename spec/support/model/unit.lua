-- A session in plain Lua: one object for each row, what is to be written of them, and the transactions on the databases that were
-- touched. What the program does with it is in sessions.lua.

local store = require "spec.support.model.store"

local unit = {}

local Unit = {}
Unit.__index = Unit

function unit.new(world, options)
  local self = setmetatable({
    world = world, autoflush = options.autoflush ~= false, optimistic = options.optimistic, isolation = options.isolation,
    expire = options.expire_on_commit, hooks = {}, frames = {}, frame_of = {},
  }, Unit)
  self:forget()
  return self
end

--- Know nothing, and have nothing to write.
function Unit:forget()
  self.pending, self.gone, self.is_gone = {}, {}, {}
  self.known, self.by_row, self.place, self.n = {}, {}, {}, 0
  self.expired, self.removed = {}, {}
end

-- ---- transactions ----

--- A statement on that database belongs to the session's transaction there, which begins with the first.
function Unit:arrive(at)
  if self.frame_of[at] == nil then
    self.frame_of[at] = false -- being begun
    local ok, frame = pcall(at.push, at, { isolation = self.isolation }, true)
    if not ok then
      self.frame_of[at] = nil
      return error(frame, 0)
    end
    frame.committed, self.hooks = self.hooks, {}
    self.frame_of[at] = frame
    self.frames[#self.frames + 1] = frame
  end
end

-- ---- the objects that are known ----

local function is_known(self, one)
  return self.place[one] ~= nil
end

local function remove(self, one)
  if is_known(self, one) then
    self.known[self.place[one]] = false
    self.place[one] = nil
    local rows = self.by_row[one.store]
    for id, other in pairs(rows) do
      if other == one then
        rows[id] = nil
      end
    end
  end
end

--- Know an object that is in the database, unless there is another one for its row.
function Unit:add_known(one)
  local rows = self.by_row[one.store] or {}
  self.by_row[one.store] = rows
  local known = rows[one.row]
  if known == nil then
    self.n = self.n + 1
    self.known[self.n], self.place[one], rows[one.row] = one, self.n, one
  end
  return known == nil or known == one
end

--- The object of a row, if it need not be asked for.
function Unit:find(at, row)
  local one = self.by_row[at] and self.by_row[at][row]
  return one and not self.expired[one] and not self.is_gone[one] and one or nil
end

--- The object for a row that was read: the one that is known, or a fresh one.
function Unit:identify(at, name, row)
  local one = self.by_row[at] and self.by_row[at][row.id]
  if one == nil then
    one = self.world:loaded(at, name, row)
    self:add_known(one)
  else
    self.expired[one] = nil
    if one.unread or one.age == one.known then
      at:wrote(one)
      one.age, one.known, one.unread = row.age, row.age, nil
    end
  end
  return one
end

function Unit:expunge(one)
  self:unschedule(one)
  self.is_gone[one], self.removed[one] = nil, nil
  remove(self, one)
end

local function put_back_one(one)
  if one and one.saved and not one.unread then
    one.age = one.known
  end
end

-- What is known, and what is to be deleted.
local function put_back(self)
  for place = 1, self.n do
    put_back_one(self.known[place])
  end
  for one in pairs(self.is_gone) do
    put_back_one(one)
  end
end

--- A savepoint was undone: what was to be written belonged to it.
function Unit:undone(frame)
  put_back(self)
  self.pending, self.gone, self.is_gone = {}, {}, {}
  for one in pairs(self.removed) do
    if one.saved then -- its deletion is undone
      self.removed[one] = nil
      self:add_known(one)
    end
  end
  for place = 1, self.n do
    local one = self.known[place]
    if one and not one.saved then
      remove(self, one)
    elseif one and place > frame.knew then
      self.expired[one] = true
    end
  end
  put_back(self)
end

--- A savepoint of the session was undone: so is, as a whole, what was first touched inside of it.
function Unit:undo_since(n, knew)
  for place = #self.frames, n + 1, -1 do
    local frame = self.frames[place]
    self.frames[place], self.frame_of[frame.store] = nil, nil
    frame.inside, frame.knew = self, knew
    frame.store:undo(frame)
  end
end

-- ---- writing ----

function Unit:schedule(one)
  self:unschedule(one)
  self.pending[#self.pending + 1] = one
end

function Unit:unschedule(one)
  for place = #self.pending, 1, -1 do
    if self.pending[place] == one then
      table.remove(self.pending, place)
    end
  end
end

function Unit:is_scheduled(one)
  for _, other in ipairs(self.pending) do
    if other == one then
      return true
    end
  end
  return false
end

function Unit:delete(one)
  if not self.is_gone[one] then
    self.is_gone[one] = true
    self.gone[#self.gone + 1] = one
  end
end

function Unit:is_dirty(one)
  if not one.saved then
    return self:is_scheduled(one)
  end
  return self.is_gone[one] == true or not one.unread and one.age ~= one.known
end

-- Objects by their databases, in the order in which the first of each came.
local function by_store(objects)
  local groups, of = {}, {}
  for _, one in ipairs(objects) do
    if of[one.store] == nil then
      of[one.store] = { store = one.store }
      groups[#groups + 1] = of[one.store]
    end
    table.insert(of[one.store], one)
  end
  return groups
end

local function changed(self, reads)
  local list = {}
  for place = 1, self.n do
    local one = self.known[place]
    if one and not self.is_gone[one] and not one.unread and one.age ~= one.known and (reads == nil or reads[one.store]) then
      list[#list + 1] = one
    end
  end
  return list
end

local function delete(self, objects)
  local groups = by_store(objects)
  for place = #groups, 1, -1 do
    local group = groups[place]
    self:arrive(group.store)
    group.store:delete(group)
    for _, one in ipairs(group) do
      self.is_gone[one] = nil
      self.removed[one] = is_known(self, one) or nil
      remove(self, one)
    end
  end
end

-- Those to be deleted whose name another one takes go first; of several for one row the last, which is enough.
local function givers(self, takers)
  local list, rest, last = {}, {}, {}
  for _, one in ipairs(self.gone) do
    if one.saved and self.is_gone[one] then
      last[one.store] = last[one.store] or {}
      last[one.store][one.name] = one
    end
  end
  for _, one in ipairs(self.gone) do
    local wanted = false
    for _, taker in ipairs(last[one.store] and last[one.store][one.name] == one and takers or {}) do
      wanted = wanted or taker ~= one and taker.store == one.store and taker.name == one.name
    end
    table.insert(wanted and list or rest, one)
  end
  return list, rest
end

local function alive(self, gone)
  local list = {}
  for _, one in ipairs(gone) do
    if one.saved and self.is_gone[one] then
      list[#list + 1] = one
    end
  end
  return list
end

-- Which of them go first depends on what is read for it, if they lack it.
local function complete(self, gone)
  for _, one in ipairs(gone) do
    if one.unread then
      self:arrive(one.store)
      one.store:check()
      local row = one.store:row_of(one)
      if row then
        one.store:wrote(one)
        one.age, one.known, one.unread = row.age, row.age, nil
      end
    end
  end
end

local function write(self, reads)
  local gone = alive(self, self.gone)
  if #gone > 0 and #gone + #self.pending > 1 then
    complete(self, gone)
  end
  if reads then
    reads = store.copy(reads)
    for _, one in ipairs(self.pending) do
      reads[one.store] = true
    end
  end
  local takers = changed(self, reads)
  store.append(takers, self.pending)
  local first, rest = givers(self, takers)
  delete(self, first)
  for _, group in ipairs(by_store(self.pending)) do
    self:arrive(group.store)
    group.store:check(true)
    group.store:insert(group)
  end
  for _, group in ipairs(by_store(changed(self, reads))) do
    self:arrive(group.store)
    group.store:update(group, self.optimistic)
  end
  delete(self, alive(self, rest))
end

--- Write what is new and to be deleted, and what is changed of these databases' objects; nil: of all.
function Unit:flush(reads)
  local ok, err = pcall(write, self, reads)
  local pending = {}
  for _, one in ipairs(self.pending) do
    if not one.saved then
      pending[#pending + 1] = one
    end
  end
  self.pending, self.gone = pending, alive(self, self.gone)
  self.is_gone = {}
  for _, one in ipairs(self.gone) do
    self.is_gone[one] = true
  end
  if not ok then
    error(err, 0)
  end
end

-- ---- the end ----

local function take_hooks(self)
  local list, root = {}, self.world:latest()
  if not self.frames[1] and root then -- no database was touched: they wait for what is around the session
    store.append(root.committed, self.hooks)
  else
    store.append(list, self.hooks)
  end
  for _, frame in ipairs(self.frames) do
    if frame.store.frames[1] == frame then
      frame.waiting, frame.committed = frame.committed, {}
    end
  end
  self.hooks = {}
  return list
end

-- What is known to fail goes first: nothing is kept then.
local function in_order(frames)
  for place = 2, #frames do
    if frames[place].failed or frames[place].store.broken then
      table.insert(frames, 1, table.remove(frames, place))
      return
    end
  end
end

-- The columns that are no key are read again when they are touched; but not of what is part of a transaction around the session.
local function expire(self, frame_of)
  for place = 1, self.n do
    local one = self.known[place]
    local frame = one and frame_of[one.store]
    if one and not (frame and frame.inner) then
      self.expired[one], one.unread = true, true
    end
  end
end

-- Whoever cancels the program after the first commit comes too late.
local function commit_one(self, place, frame)
  if place == 1 then
    return frame.store:keep(frame)
  end
  return self.world:within({ op = "shield" }, frame.store.keep, frame.store, frame)
end

--- Flush all, then commit all; the first one touched first, whose failure undoes the others. Hooks are those of what is kept.
function Unit:commit()
  self:flush()
  local frames, failed = self.frames, false
  local hooks = take_hooks(self)
  in_order(frames)
  for place, frame in ipairs(frames) do
    local ok, err = pcall(commit_one, self, place, frame)
    if not ok and place == 1 then
      self.frames, self.frame_of = {}, {}
      for other = 2, #frames do
        frames[other].store:undo(frames[other])
      end
      self:forget()
      return error(err, 0)
    end
    self.kept = self.kept or ok and not frame.inner
    store.append(hooks, ok and frame.waiting or {})
    if not ok then
      failed = true
      for one in pairs(self.place) do
        if one.store == frame.store then
          remove(self, one)
        end
      end
    end
  end
  local frame_of = self.frame_of
  self.frames, self.frame_of, self.removed = {}, {}, {}
  if self.expire then
    expire(self, frame_of)
  end
  self.world:hear(hooks)
  if failed then
    store.raise "partial_commit"
  end
end

--- Undo all.
function Unit:rollback()
  put_back(self)
  self:forget()
  local frames = self.frames
  self.frames, self.frame_of, self.hooks = {}, {}, {}
  for place = #frames, 1, -1 do
    frames[place].store:undo(frames[place])
  end
end

return unit
