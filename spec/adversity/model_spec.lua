-- Programs made by chance out of blocks, sessions, savepoints, hooks, tasks and statements that raise, catch, quit, fail, meet in
-- a deadlock and are killed, run on a database and on a reference in plain Lua (spec/support/model): each step answers the
-- same, the rows that are left are the same, and the objects in the program's hands say what the database has. A program that
-- differs is printed with its seed: MOONPOOL_SEED=n runs that one alone; MOONPOOL_LONG=model runs tens of thousands.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local meaning = require "spec.support.model.meaning"
require "spec.support.model.sessions" -- more of it
local programs = require "spec.support.model.programs"
local real = require "spec.support.model.real"
local rival_of = require "spec.support.model.rival"
local writer_of = require "spec.support.model.writer"
local block = require "moonpool.atomic.block"
local handover = require "moonpool.session.handover"
local servers = require "spec.support.servers"
local transaction = require "moonpool.database.transaction"
local unit = require "moonpool.session.unit"
local f = mp.field

local long, under, seed = os.getenv "MOONPOOL_LONG" == "model", os.getenv "MOONPOOL_UNDER", tonumber(os.getenv "MOONPOOL_SEED")

local function size(database)
  local n = database.server and 60 or database.single and 300 or 100
  return long and n * 100 or under and n // 10 or n
end

-- What is different about a database; see spec/support/model/store.lua.
local function abilities(database, rival)
  local deadlock = { postgres = "statement", mariadb = "transaction" }
  return {
    ddl = database.dialect == "mariadb" and "commits" or "undone", deadlock = rival and deadlock[database.dialect],
    apart = not database.single, blocked = database.file,
  }
end

local function text_of(rows)
  local list = {}
  for name, age in pairs(rows) do
    list[#list + 1] = name .. "=" .. age
  end
  table.sort(list)
  return table.concat(list, " ")
end

local function rows_of(store)
  local ages = {}
  for name, row in pairs(store.rows) do
    ages["n" .. name] = row.age
  end
  return text_of(ages)
end

local function found_in(entity)
  local ages = {}
  for _, one in ipairs(entity:all()) do
    ages[one.name] = one.age
  end
  return text_of(ages)
end

-- What differs between the program for real and on the reference, as text; nil: nothing.
local function difference(place, program)
  local world = meaning.new(place.can)
  world:run(program)
  if place.rival then
    place.rival:begin()
  end
  local one = real.new(place)
  one:run(program)

  local parts = {}
  local function compare(what, wanted, got)
    if wanted ~= got then
      parts[#parts + 1] = ("%s: %s expected, not %s"):format(what, wanted, got)
    end
  end
  compare("steps", table.concat(world.trace, ", "), table.concat(one.trace, ", "))
  compare("rows", rows_of(world.home), found_in(place.Item))
  compare("rows of the other", rows_of(world.far), found_in(place.Far))
  for at, object in ipairs(world.objects) do
    local item = one.objects[at]
    compare("object " .. at, ("%s age %s"):format(object.saved and "saved" or "new", object.unread and "unread" or object.age),
      item and ("%s age %s"):format(item.id and "saved" or "new", rawget(item, "age") or "unread") or "none")
  end
  for n = 1, one.tables do
    place.db:execute("drop table if exists made_" .. n)
  end
  place.Item:all_rows():delete()
  place.Far:all_rows():delete()
  return parts[1] and table.concat(parts, "\n") or nil
end

-- How long a writer waits for another process. Under valgrind and the sanitizers a connection is not made in less.
local WAIT = os.getenv "MOONPOOL_UNDER" and 2 or 0.05

local function entity(name, db)
  local made = mp.entity(name, { name = f.string{ max = 20, unique = true }, age = f.integer{ default = 0 } }, { database = db })
  made:create_table()
  return made
end

local function settle(open, database)
  local db, url = open(database.file and { pool = { timeout = WAIT } } or nil)
  local far, give_back = databases.file.open()
  local rival = rival_of.new(database, db, url)
  local place = {
    db = db, Item = entity("Item", db), far = far, Far = entity("Far", far), can = abilities(database, rival), rival = rival,
    give_back = give_back,
  }
  far:execute "create table doomed (parent integer references far (id) deferrable initially deferred)"
  if database.file then
    databases.fill(db, 4)
    place.writer = writer_of.new(url)
    db:on("query", function(event) -- who has met it may have it
      if event.error and event.error.kind == "busy" then
        place.writer:give()
      end
    end)
  end
  return place
end

local function leave(place)
  if place.rival then
    place.rival:close()
  end
  if place.writer then
    place.writer:close()
  end
  databases.quiet(place.db)
  databases.quiet(place.far)
  place.give_back()
end

databases.each("a program by chance", function(open, database)
  local place

  before_each(function()
    place = settle(open, database)
  end)

  after_each(function()
    leave(place)
  end)

  it("does on the database what it means", function()
    local base = seed or long and os.time() or 1
    local last = seed or base + size(database) - 1
    local counts, met = {}, 0
    for each = base, last do
      local program = programs.of(each)
      local differs = difference(place, program)
      if differs then
        program = programs.shrink(program, function(shorter)
          return difference(place, shorter) ~= nil
        end)
        error(("seed %d, with no more than this: %s\n%s"):format(each, difference(place, program) or differs, programs.show(program)), 0)
      end
      programs.count(program, counts)
      met = met + (place.rival and place.rival.place // 2 or 0)
    end
    local words = {}
    for op, n in pairs(counts) do
      words[#words + 1] = op .. " " .. n
    end
    table.sort(words)
    print(("# seeds %d to %d; %d deadlocks; of operations there are %s"):format(base, last, met, table.concat(words, ", ")))
    assert.truthy(seed or under or not place.rival or met > 0)
  end)

  -- The rules that protect a program, each switched off: put_out() does it, and gives how to put it right.
  local function must_differ(put_out)
    if seed or under and database.server then
      return
    end
    local put_right = put_out()
    local ok, n = pcall(function()
      for each = 1, 2000 do
        if difference(place, programs.of(each)) then
          return each
        end
      end
    end)
    put_right()
    assert(ok, n)
    assert(n, "nothing differs although the rule was switched off")
  end

  local function instead(of, name, fn)
    return function()
      local before = of[name]
      of[name] = fn(before)
      return function() of[name] = before end
    end
  end

  if not database.server then
    it("is found out when objects are not put right after a rollback", function()
      must_differ(instead(transaction, "restore", function() return function() end end))
    end)

    it("is found out when a savepoint of a session is kept without its pending objects", function()
      must_differ(instead(unit.methods, "before_frame", function()
        return function(self, db) self:enter(db) end
      end))
    end)

    it("is found out when the hooks of a block that was undone are heard", function()
      must_differ(instead(transaction, "rollback", function(rollback)
        return function(frame)
          local outer, hooks = frame.parent, frame.committed or {}
          frame.undone = not outer and hooks[1] and hooks or frame.undone
          for _, hook in ipairs(outer and hooks or {}) do
            outer.committed = outer.committed or {}
            table.insert(outer.committed, hook)
          end
          return rollback(frame)
        end
      end))
    end)
  end

  if database.single then
    it("is found out when a row that gives its name to a new one is deleted after it", function()
      must_differ(instead(handover, "steps", function() return function() end end))
    end)

    it("is found out when a session has several objects of a row", function()
      must_differ(instead(unit.methods, "identify", function()
        return function(_, _, _, objects) return objects end
      end))
    end)

    it("is found out when a session that has committed on its way does not undo what failed at its end", function()
      must_differ(instead(unit.methods, "rollback", function(rollback)
        return function(self)
          if not self.kept then
            return rollback(self)
          end
        end
      end))
    end)

    it("is found out when an expunged object is written", function()
      must_differ(instead(unit.methods, "expunge", function() return function() end end))
    end)

    it("is found out when objects are not read again after a commit that expires them", function()
      must_differ(instead(unit.methods, "commit", function(commit)
        return function(self)
          self.options.expire_on_commit = nil
          return commit(self)
        end
      end))
    end)

    it("is found out when the database that was touched last is committed first", function()
      must_differ(instead(unit.methods, "commit", function(commit)
        return function(self)
          self.frames[1], self.frames[2] = self.frames[2] or self.frames[1], self.frames[2] and self.frames[1]
          return commit(self)
        end
      end))
    end)

    it("is found out when a session does not say that one of its databases refused to commit", function()
      must_differ(instead(unit.methods, "commit", function(commit)
        return function(self)
          local ok, err = pcall(commit, self)
          if not ok and not mp.is(err, "partial_commit") then
            error(err, 0)
          end
        end
      end))
    end)
  elseif database.file then
    it("is found out when a block that met another process's writer is not run again", function()
      must_differ(instead(block, "with_retry", function(with_retry)
        return function(_, ...) return with_retry(0, ...) end
      end))
    end)
  elseif servers.set and not database.pooler then
    it("is found out when a block that met a deadlock is not run again", function()
      must_differ(instead(block, "with_retry", function(with_retry)
        return function(_, ...) return with_retry(0, ...) end
      end))
    end)

    it("is found out when a block that caught a deadlock says that it has committed", function()
      must_differ(instead(transaction, "commit", function(commit)
        return function(frame)
          local ok, err = pcall(commit, frame)
          if not ok and not (mp.is(err, "deadlock") or err.cause and mp.is(err.cause, "deadlock")) then
            error(err, 0)
          end
        end
      end))
    end)
  end
end)
