-- The programs of programs.lua on a database. Each operation notes what the reference in meaning.lua notes.

local mp = require "moonpool"
local transaction = require "moonpool.database.transaction"
local f = mp.field

local real = {}

local Real = {}
Real.__index = Real

--- place: db and Item, where it runs; far and Far, the second database; rival: who it meets in a deadlock (see rival.lua), and
--- writer: who holds the only writer (see writer.lua), or nil.
function real.new(place)
  return setmetatable({
    db = place.db, Item = place.Item, far = place.far, Far = place.Far, rival = place.rival, writer = place.writer,
    trace = {}, objects = {}, names = {}, done = {}, tables = 0,
  }, Real)
end

local run = {}

function Real:note(text)
  self.trace[#self.trace + 1] = text
end

function Real:sequence(list)
  for _, node in ipairs(list) do
    run[node.op](self, node)
  end
end

local function name_of(err)
  return type(err) == "table" and err.kind or tostring(err)
end

--- Run it as a task of its own, to its end.
function Real:run(program)
  self.task = mp.spawn(self.sequence, self, program)
  local ok, err = pcall(self.task.wait, self.task)
  self:note(ok and "ended" or "failed " .. name_of(err))
end

-- ---- statements ----

-- The objects in the program's hands have numbers. Their names are remembered: reading one may be a statement.
function Real:keep(one)
  self.objects[#self.objects + 1] = one
  self.names[one] = self.names[one] or rawget(one, "name")
  return one
end

function Real:entity(node)
  return node.far and self.Far or self.Item
end

function run.create(self, node)
  self:keep(self.Item:build{ name = "n" .. node.name }):save()
end

function run.build(self, node)
  local one = self:keep(self:entity(node):build{ name = "n" .. node.name })
  local s = mp.session.current()
  if s then
    s:add(one)
  end
end

function run.update(self, node)
  self:note(self:entity(node):filter{ name = "n" .. node.name }:update{ age = node.age })
end

function run.delete(self, node)
  self:note((self.Item:filter{ name = "n" .. node.name }:delete()))
end

function run.count(self, node)
  self:note(self:entity(node):count())
end

function run.iterate(self)
  local n = 0
  for _ in self.Item:values("name"):iter{ chunk = 2 } do
    n = n + 1
  end
  self:note(n)
end

function run.bulk(self, node)
  self.Item:bulk_create{ { name = "n" .. node.name }, { name = "n" .. node.other } }
end

-- ---- objects ----

function run.save(self, node)
  local one = self.objects[node.object]
  if one and one.id then
    local before = one.age
    one.age = node.age
    local ok, err = pcall(one.save, one)
    if not ok then
      one.age = before -- nothing has undone the assignment
      error(err, 0)
    end
  end
end

function run.assign(self, node)
  local one = self.objects[node.object]
  if one then
    one.age = node.age
  end
end

function run.refresh(self, node)
  local one, s = self.objects[node.object], mp.session.current()
  if one and s then
    s:refresh(one)
  elseif one then
    one:refresh()
  end
end

-- ---- tables and locks ----

function Real:new_table()
  self.tables = self.tables + 1
  return "made_" .. self.tables
end

function run.table(self)
  mp.entity("Made", { n = f.integer() }, { database = self.db, table = self:new_table() }):create_table()
end

-- Where it would be refused for its words, as one that has none.
function run.raw_table(self)
  local sql = "create table " .. self:new_table() .. " (n integer)"
  self.db:execute(self.db.dialect == "mariadb" and "execute immediate '" .. sql .. "'" or sql)
end

function run.deadlock(self, node)
  if self.rival and not self.done[node] and (mp.session.current() or transaction.innermost(self.db)) then
    self.rival:meet(self.db, function()
      self.done[node] = true
    end)
  end
end

function run.blocked(self, node)
  local mine = self.writer and not self.writer.taken and not transaction.innermost(self.db)
  if mine then
    self.writer:take()
  end
  local ok, err = pcall(self.sequence, self, node[1])
  if mine then
    self.writer:give()
  end
  if not ok then
    error(err, 0)
  end
end

-- ---- tasks ----

function run.apart(self)
  local task = mp.spawn(self.Item.count, self.Item)
  local ok, n = pcall(task.wait, task)
  if not ok then
    task:cancel()
    error(n, 0)
  end
  self:note(n)
end

function run.branch(self)
  self:note((mp.gather(function() return self.Item:count() end)))
end

function run.raise()
  error("boom", 0)
end

function run.kill(self)
  self.task:cancel()
end

function run.expired(self, node)
  mp.timeout(0, self.sequence, self, node[1])
end

function run.shield(self, node)
  mp.shield(self.sequence, self, node[1])
end

function run.catch(self, node)
  local ok, err = pcall(self.sequence, self, node[1])
  self:note(ok and "fine" or "caught " .. name_of(err))
end

function run.try(self, node)
  local _, err = mp.try(self.sequence, self, node[1])
  self:note(err == nil and "fine" or "tried " .. name_of(err))
end

-- ---- blocks ----

function run.quit(self)
  if self.tx then
    self.tx:rollback()
  end
end

function run.atomic(self, node)
  local around = self.tx
  local options = { isolation = node.isolation, durable = node.durable, read_only = node.read_only, retry = node.retry }
  local ok, err = pcall(self.db.atomic, self.db, options, function(tx)
    self.tx = tx
    self:sequence(node[1])
  end)
  self.tx = around
  if not ok then
    error(err, 0)
  end
end

function run.savepoint(self, node)
  local tx = self.db:begin()
  local ok, err = pcall(self.sequence, self, node[1])
  if not ok then
    tx:close()
    error(err, 0)
  elseif node.way == 1 then
    tx:rollback()
  else
    tx:commit()
  end
end

function run.point(self, node)
  if not self.tx then
    return self:sequence(node[1])
  end
  local point = self.tx:savepoint()
  local ok, err = pcall(self.sequence, self, node[1])
  if node.way == 2 or not ok and node.way == 1 then
    point:rollback()
  elseif ok and node.way == 1 then
    point:release()
  end
  if not ok then
    error(err, 0)
  end
end

function run.gather(self, node)
  local function branch(place)
    return function() self:sequence(node[place]) end
  end
  if self.tx then
    self.tx:gather(branch(1), branch(2))
  else
    self:sequence(node[1])
    self:sequence(node[2])
  end
end

-- ---- hooks ----

function Real:hook(tag)
  return function() self:note("hook " .. tag) end
end

function run.on_commit(self, node)
  mp.on_commit(self:hook(node.tag))
end

function run.hook(self, node)
  if self.tx then
    self.tx[node.way == 1 and "on_commit" or "on_rollback"](self.tx, self:hook(node.tag))
  end
end

-- ---- sessions ----

function run.session(self, node)
  local options = {
    isolation = node.isolation, retry = node.retry, autoflush = node.autoflush, optimistic = node.optimistic,
    expire_on_commit = node.expire_on_commit,
  }
  self.db:session(options, function() self:sequence(node[1]) end)
end

function run.by_hand(self, node)
  local s <close> = self.db:session()
  self:sequence(node[1])
  if node.way == 1 then
    s:commit()
  end
end

function run.nested(self, node)
  local s = mp.session.current()
  if s then
    s:begin_nested(function() self:sequence(node[1]) end)
  else
    self:sequence(node[1])
  end
end

function run.flush()
  local s = mp.session.current()
  if s then
    s:flush()
  end
end

function run.session_commit()
  local s = mp.session.current()
  if s then
    s:commit()
  end
end

function run.session_rollback()
  local s = mp.session.current()
  if s then
    s:rollback()
  end
end

function Real:note_place(one)
  local place = 1
  while self.objects[place] ~= one do
    if self.objects[place] == nil then
      self:keep(one)
    else
      place = place + 1
    end
  end
  self:note(("object %d age %s"):format(place, rawget(one, "age") or "unread"))
end

function run.load(self, node)
  local s, q = mp.session.current(), self:entity(node):filter{ name = "n" .. node.name }
  local list = s and s:scalars(q) or q:all()
  if list[1] then
    self:note_place(list[1])
  else
    self:note "none"
  end
end

function run.get(self, node)
  local one, s = self.objects[node.object], mp.session.current()
  if s and one and one.id then
    local found = s:get(getmetatable(one).class.entity, one.id)
    if found then
      self:note_place(found)
    else
      self:note "none"
    end
  end
end

-- An operation of the session on an object.
local function with_object(name)
  return function(self, node)
    local one, s = self.objects[node.object], mp.session.current()
    if s and one then
      return s[name](s, one)
    end
  end
end

run.add, run.remove = with_object "add", with_object "delete"

function run.expunge(self, node)
  run.assign(self, node)
  with_object "expunge"(self, node)
end

function run.replace(self, node)
  local one, s = self.objects[node.object], mp.session.current()
  if s and one and one.id then
    s:delete(one)
    s:add(self:keep(getmetatable(one).class.entity:build{ name = self.names[one] }))
  end
end

function run.dirty(self, node)
  local dirty = with_object "is_dirty"(self, node)
  if dirty ~= nil then
    self:note(dirty and "dirty" or "clean")
  end
end

function run.doom(self)
  if mp.session.current() then
    self.far:execute "insert into doomed (parent) values (-1)"
  end
end

return real
