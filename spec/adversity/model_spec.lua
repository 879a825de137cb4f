-- Programs made by chance out of blocks, sessions, savepoints, hooks, tasks and statements that raise, catch, quit, fail, meet in
-- a deadlock and are killed, run on a database and on a reference in plain Lua (spec/support/model): each step answers the
-- same, the rows that are left are the same, and the objects in the program's hands say what the database has. A program that
-- differs is printed with its seed: MOONPOOL_SEED=n runs that one alone; MOONPOOL_LONG=model runs tens of thousands.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local meaning = require "spec.support.model.meaning"
local programs = require "spec.support.model.programs"
local real = require "spec.support.model.real"
local rival_of = require "spec.support.model.rival"
local block = require "moonpool.atomic.block"
local servers = require "spec.support.servers"
local transaction = require "moonpool.database.transaction"
local unit = require "moonpool.session.unit"
local f = mp.field

local long, under, seed = os.getenv "MOONPOOL_LONG" == "model", os.getenv "MOONPOOL_UNDER", tonumber(os.getenv "MOONPOOL_SEED")

local function size(database)
  local n = database.server and 60 or database.single and 300 or 100
  return long and n * 100 or under and n // 10 or n
end

-- What is different about a database; see spec/support/model/world.lua.
local function abilities(database, rival)
  local deadlock = { postgres = "statement", mariadb = "transaction" }
  return {
    ddl = database.dialect == "mariadb" and "commits" or "undone", deadlock = rival and deadlock[database.dialect],
    apart = not database.single,
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

-- What differs between the program for real and on the reference, as text; nil: nothing.
local function difference(place, program)
  local world = meaning.new(place.can)
  world:run(program)
  if place.rival then
    place.rival:begin()
  end
  local one = real.new(place.db, place.Item, place.rival)
  one:run(program)

  local expected, found = {}, {}
  for name, row in pairs(world.rows) do
    expected["n" .. name] = row.age
  end
  for _, item in ipairs(place.Item:all()) do
    found[item.name] = item.age
  end
  local parts = {}
  local function compare(what, wanted, got)
    if wanted ~= got then
      parts[#parts + 1] = ("%s: %s expected, not %s"):format(what, wanted, got)
    end
  end
  compare("steps", table.concat(world.trace, ", "), table.concat(one.trace, ", "))
  compare("rows", text_of(expected), text_of(found))
  for at, object in ipairs(world.objects) do
    local item = one.objects[at]
    compare("object " .. at, ("%s age %d"):format(object.saved and "saved" or "new", object.age),
      item and ("%s age %d"):format(item.id and "saved" or "new", item.age or -1) or "none")
  end
  for n = 1, one.tables do
    place.db:execute("drop table if exists made_" .. n)
  end
  place.Item:all_rows():delete()
  return parts[1] and table.concat(parts, "\n") or nil
end

local function settle(open, database)
  local db, url = open()
  local Item = mp.entity("Item", { name = f.string{ max = 20, unique = true }, age = f.integer{ default = 0 } }, { database = db })
  Item:create_table()
  local rival = rival_of.new(database, db, url)
  return { db = db, Item = Item, can = abilities(database, rival), rival = rival }
end

local function leave(place)
  if place.rival then
    place.rival:close()
  end
  databases.quiet(place.db)
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
        error(("seed %d: %s\n%s"):format(each, differs, programs.show(program)), 0)
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
          local outer = frame.parent
          for _, hook in ipairs(outer and frame.committed or {}) do
            outer.committed = outer.committed or {}
            table.insert(outer.committed, hook)
          end
          return rollback(frame)
        end
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
