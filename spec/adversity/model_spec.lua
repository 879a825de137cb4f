-- Programs made by chance out of blocks, sessions, savepoints and statements that raise, catch, quit, fail and are killed,
-- run on a database and on a reference in plain Lua: each step answers the same, the rows that are left are the same, and the
-- objects in the program's hands say what the database has. A program that differs is printed with its seed:
-- MOONPOOL_SEED=n runs that one alone; MOONPOOL_LONG=model runs tens of thousands.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local model = require "spec.support.model"
local transaction = require "moonpool.database.transaction"
local unit = require "moonpool.session.unit"
local f = mp.field

local long, under, seed = os.getenv "MOONPOOL_LONG" == "model", os.getenv "MOONPOOL_UNDER", tonumber(os.getenv "MOONPOOL_SEED")

local function size(database)
  local n = database.server and 60 or database.single and 300 or 100
  return long and n * 100 or under and n // 10 or n
end

-- ---- a program for real ----

local Real = {}
Real.__index = Real

local run = {}

function Real:note(text)
  self.trace[#self.trace + 1] = text
end

function Real:sequence(list)
  for _, node in ipairs(list) do
    run[node.op](self, node)
  end
end

function Real:keep(name)
  local one = self.Item:build{ name = "n" .. name }
  self.objects[#self.objects + 1] = one
  return one
end

function run.create(self, node)
  self:keep(node.name):save()
end

function run.build(self, node)
  local one = self:keep(node.name)
  local s = mp.session.current()
  if s then
    s:add(one)
  end
end

function run.update(self, node)
  self:note(self.Item:filter{ name = "n" .. node.name }:update{ age = node.age })
end

function run.delete(self, node)
  self:note((self.Item:filter{ name = "n" .. node.name }:delete()))
end

function run.count(self)
  self:note(self.Item:count())
end

function run.flush()
  local s = mp.session.current()
  if s then
    s:flush()
  end
end

function run.save(self, node)
  local one = self.objects[node.object]
  if one and one.id then
    local before = one.age
    one.age = node.age
    local ok, err = pcall(one.save, one)
    if not ok then
      if mp.is(err, "stale") then
        one.age = before -- nothing has undone the assignment
      end
      error(err, 0)
    end
  end
end

function run.table(self)
  self.tables = self.tables + 1
  local Table = mp.entity("Made", { n = f.integer() }, { database = self.db, table = "made_" .. self.tables })
  Table:create_table()
end

function run.raise()
  error("boom", 0)
end

function run.kill(self)
  self.task:cancel()
end

function run.quit(self)
  self.tx:rollback()
end

function run.atomic(self, node)
  local around = self.tx
  local ok, err = pcall(self.db.atomic, self.db, function(tx)
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

function run.catch(self, node)
  local ok, err = pcall(self.sequence, self, node[1])
  self:note(ok and "fine" or "caught " .. (type(err) == "table" and err.kind or tostring(err)))
end

function run.session(self, node)
  self.db:session(function()
    self:sequence(node[1])
  end)
end

-- ---- both ----

local function text_of(rows)
  local list = {}
  for name, age in pairs(rows) do
    list[#list + 1] = name .. "=" .. age
  end
  table.sort(list)
  return table.concat(list, " ")
end

-- What differs between the program for real and on the reference, as text; nil: nothing.
local function difference(db, Item, ddl, program)
  local world = model.world(ddl)
  world:run(program)
  local real = setmetatable({ db = db, Item = Item, trace = {}, objects = {}, tables = 0 }, Real)
  local task
  task = mp.spawn(function()
    real.task = task
    real:sequence(program)
  end)
  local ok, err = pcall(task.wait, task)
  real:note(ok and "ended" or "failed " .. (type(err) == "table" and err.kind or tostring(err)))

  local expected, found = {}, {}
  for name, row in pairs(world.rows) do
    expected["n" .. name] = row.age
  end
  for _, one in ipairs(Item:all()) do
    found[one.name] = one.age
  end
  local parts = {}
  local function compare(what, wanted, got)
    if wanted ~= got then
      parts[#parts + 1] = ("%s: %s expected, not %s"):format(what, wanted, got)
    end
  end
  compare("steps", table.concat(world.trace, ", "), table.concat(real.trace, ", "))
  compare("rows", text_of(expected), text_of(found))
  for place, one in ipairs(world.objects) do
    local object = real.objects[place]
    compare("object " .. place, ("%s age %d"):format(one.saved and "saved" or "new", one.age),
      object and ("%s age %d"):format(object.id and "saved" or "new", object.age or -1) or "none")
  end
  for n = 1, real.tables do
    db:execute("drop table if exists made_" .. n)
  end
  Item:all_rows():delete()
  return parts[1] and table.concat(parts, "\n") or nil
end

local function declare(db)
  local Item = mp.entity("Item", { name = f.string{ max = 20, unique = true }, age = f.integer{ default = 0 } }, { database = db })
  Item:create_table()
  return Item
end

databases.each("a program by chance", function(open, database)
  local ddl = database.dialect == "mariadb" and "refused" or "undone"

  it("does on the database what it means", function()
    local db = open()
    local Item = declare(db)
    local base = seed or long and os.time() or 1
    local last = seed or base + size(database) - 1
    io.stdout:write(("# seeds %d to %d\n"):format(base, last))
    for each = base, last do
      local program = model.program(each)
      local differs = difference(db, Item, ddl, program)
      if differs then
        error(("seed %d: %s\n%s"):format(each, differs, model.show(program)), 0)
      end
    end
    databases.quiet(db)
  end)

  if not database.server and not seed then
    local function must_differ(break_rule)
      local db = open()
      local Item = declare(db)
      local put_right = break_rule()
      local n = 0
      for each = 1, 200 do
        n = n + (difference(db, Item, ddl, model.program(each)) and 1 or 0)
      end
      put_right()
      assert(n > 0, "nothing differs although the rule was switched off")
    end

    it("is found out when objects are not put right after a rollback", function()
      must_differ(function()
        local restore = transaction.restore
        transaction.restore = function() end
        return function() transaction.restore = restore end
      end)
    end)

    it("is found out when a savepoint of a session is kept without its pending objects", function()
      must_differ(function()
        local before = unit.methods.before_frame
        unit.methods.before_frame = function(self, db) self:enter(db) end
        return function() unit.methods.before_frame = before end
      end)
    end)
  end
end)
