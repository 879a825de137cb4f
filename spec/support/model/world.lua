-- What a program has of the world, in plain Lua: two databases, the session it is in, the objects in its hands, and the steps that
-- it noted. What each operation means is in meaning.lua and sessions.lua.

local store = require "spec.support.model.store"

local world = {}

local World = {}
world.methods = World
World.__index = World
world.raise = store.raise

--- can: what the database is able to do (see store.lua); the second one is SQLite in a file, always.
function world.new(can)
  local self = setmetatable({ objects = {}, trace = {}, scopes = {}, done = {}, begun = {} }, World)
  self.home, self.far = store.new(self, can), store.new(self, {})
  return self
end

function World:note(text)
  self.trace[#self.trace + 1] = text
end

function World:hear(tags)
  for _, tag in ipairs(tags) do
    self:note("hook " .. tag)
  end
end

--- The frame that was begun last of those that are open, on any database.
function World:latest()
  while self.begun[1] and self.begun[#self.begun].over do
    self.begun[#self.begun] = nil
  end
  return self.begun[#self.begun]
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
    store.raise "cancelled"
  end
end

--- Run fn in a deadline that has passed, or shielded.
function World:within(scope, fn, ...)
  table.insert(self.scopes, scope)
  local ok, err = pcall(fn, ...)
  table.remove(self.scopes)
  if not ok then
    error(err, 0)
  end
end

-- ---- objects ----

--- An object that the program has in its hands, unless it is said that it has not.
function World:new(name, at, hidden)
  local one = { name = name, age = 0, saved = false, store = at or self.home }
  self.objects[#self.objects + 1] = not hidden and one or nil
  return one
end

--- One that was made of a row.
function World:loaded(at, name, row)
  local one = self:new(name, at, true)
  one.age, one.known, one.row, one.saved = row.age, row.age, row.id, true
  return one
end

--- It was written, or read.
function World:noted(one)
  if self.session then
    self.session:add_known(one)
  end
end

-- ---- statements ----

--- A statement is about to run there. reads: what of the session's is written before; nil: all.
function World:send(at, reads, writes)
  local session = self.session
  if session then
    session:arrive(at)
    if session.autoflush then
      session:flush(reads)
    end
  end
  at:check(writes)
end

return world
