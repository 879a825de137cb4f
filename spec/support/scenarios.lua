-- What a program may be doing when it is killed: one short function for each way to use a database. They are run whole once,
-- and then again, killed at each place where they wait (spec/adversity/kill_points_spec.lua).
-- Each gets the world: db, the entities, and here(), a place of its own at which it may be killed too. The scenarios
-- themselves are in spec/support/scenario.

local mp = require "moonpool"
local f = mp.field

local scenarios = { list = {} }

--- The entities of a world on that database, with the rows that scenarios read.
function scenarios.world(db)
  local world = { db = db, here = function() mp.sleep(0) end }
  world.Item = mp.entity("Item", { name = f.string{ max = 50, unique = true }, n = f.integer{ default = 0 } }, { database = db })
  world.Author = mp.entity("Author", { name = f.string{ max = 50 } }, { database = db })
  world.Tag = mp.entity("Tag", { label = f.string{ max = 50 } }, { database = db })
  world.Book = mp.entity("Book", {
    title = f.string{ max = 50 }, author = f.belongs_to("Author", { inverse = "books" }),
    tags = f.many_to_many("Tag", { inverse = "books" }),
  }, { database = db })
  world.Note = mp.entity("Note", { text = f.string{ max = 50 } }, { database = db })
  world.Part = mp.entity("Part", { name = f.string{ max = 50 }, note = f.belongs_to "Note" }, { database = db })
  db:create_all()
  world.Author:bulk_create{ { name = "ada" }, { name = "bob" } }
  world.Tag:bulk_create{ { label = "lua" }, { label = "sql" } }
  local ada, bob = world.Author:get{ name = "ada" }, world.Author:get{ name = "bob" }
  world.Book:bulk_create{ { title = "one", author = ada }, { title = "two", author = ada }, { title = "three", author = bob } }
  --- As before: nothing is in what scenarios write. noted: there is more than items.
  function world.empty()
    for _, name in ipairs(world.noted and { "part", "note", "item" } or { "item" }) do
      db:execute("delete from " .. name)
    end
    world.noted = nil
  end
  function world.put(name, on)
    return (on or db):execute(scenarios.PUT, name, 1)
  end
  return world
end

scenarios.LONG = "with recursive c(x) as (select 1 union all select x + 1 from c where x < %d) select x from c"
scenarios.PUT = "insert into item (name, n) values (?, ?)"

--- rows: how many the scenario leaves in `item` when it has come to its end; killed, it has left these or fewer. whole: these
--- or none. most: so many while it runs. only: the dialect that can do it.
function scenarios.add(name, rows, fn, more)
  local one = { name = name, rows = rows, run = fn }
  for key, value in pairs(more or {}) do
    one[key] = value
  end
  scenarios.list[#scenarios.list + 1] = one
end

scenarios.WHOLE = { whole = true }
scenarios.ALONE = { whole = "alone" } -- inside of a transaction, its statements are that one's

function scenarios.fail()
  error("boom", 0)
end

--- Rows to insert.
function scenarios.items(from, to)
  local rows = {}
  for i = from, to do
    rows[#rows + 1] = { name = "i" .. i, n = i }
  end
  return rows
end

function scenarios.load()
  require "spec.support.scenario.statements"
  require "spec.support.scenario.transactions"
  require "spec.support.scenario.held"
  return scenarios.list
end

return scenarios
