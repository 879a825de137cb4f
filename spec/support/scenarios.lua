-- What a program may be doing when it is killed: one short function for each way to use a database. They are run whole once,
-- and then again, killed at each place where they wait (spec/adversity/kill_points_spec.lua).
-- Each gets the world: db, the entities, and here(), a place of its own at which it may be killed too.

-- luacheck: ignore 512 (a loop that is left at once is what some of them are about)

local mp = require "moonpool"
local errors = require "moonpool.errors"
local f = mp.field

local scenarios = { list = {} }

local LONG = "with recursive c(x) as (select 1 union all select x + 1 from c where x < %d) select x from c"
local PUT = "insert into item (name, n) values (?, ?)"

-- rows: how many the scenario leaves in `item` when it has come to its end; killed, it has left these or fewer. whole: these
-- or none. only: the dialect that can do it.
local function scenario(name, rows, fn, more)
  local one = { name = name, rows = rows, run = fn }
  for key, value in pairs(more or {}) do
    one[key] = value
  end
  scenarios.list[#scenarios.list + 1] = one
end

local WHOLE = { whole = true }
local ALONE = { whole = "alone" } -- inside of a transaction, its statements are that one's
local function fail()
  error("boom", 0)
end

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
  db:create_all()
  world.Author:bulk_create{ { name = "ada" }, { name = "bob" } }
  world.Tag:bulk_create{ { label = "lua" }, { label = "sql" } }
  local ada, bob = world.Author:get{ name = "ada" }, world.Author:get{ name = "bob" }
  world.Book:bulk_create{ { title = "one", author = ada }, { title = "two", author = ada }, { title = "three", author = bob } }
  function world.put(name, on)
    return (on or db):execute(PUT, name, 1)
  end
  return world
end

-- ---- statements ----

scenario("execute", 1, function(w) w.put "a" end)
scenario("two statements", 2, function(w) w.put "a" w.put "b" end)
scenario("fetch_all", 0, function(w) w.db:fetch_all(LONG:format(50)) end)
scenario("fetch_one, fetch_val and fetch_arrays", 0, function(w)
  w.db:fetch_one(LONG:format(5))
  w.db:fetch_val(LONG:format(5))
  w.db:fetch_arrays(LONG:format(5))
end)
scenario("execute_many", 3, function(w) w.db:execute_many(PUT, { { "a", 1 }, { "b", 2 }, { "c", 3 } }) end, WHOLE)
scenario("execute_many with a row that fails", 0, function(w)
  pcall(w.db.execute_many, w.db, PUT, { { "a", 1 }, { "b", 2 }, { "a", 3 } })
end)
scenario("a statement that fails", 1, function(w)
  pcall(w.db.execute, w.db, "insert into nowhere values (1)")
  w.put "a"
end)
scenario("a long statement", 0, function(w) w.db:fetch_val("select count(*) from (" .. LONG:format(900) .. ") as q") end)
scenario("ping and health", 0, function(w) w.db:ping() w.db:health() end)

-- ---- entities ----

scenario("create", 1, function(w) w.Item:create{ name = "a" } end)
scenario("create, change, save, refresh, delete", 0, function(w)
  local one = w.Item:create{ name = "a" }
  one.n = 5
  one:save()
  one:refresh()
  one:delete()
end, { most = 1 })
scenario("get, first, count", 0, function(w)
  w.Author:get{ name = "ada" }
  w.Author:order_by("name"):first()
  w.Author:filter{ name = "bob" }:count()
end)
scenario("update and delete of a query set", 1, function(w)
  w.put "a"
  w.put "b"
  w.Item:filter{ name = "a" }:update{ n = mp.F.n + 1 }
  w.Item:filter{ name = "b" }:delete()
end, { most = 2 })
scenario("get_or_create", 1, function(w)
  w.Item:get_or_create({ name = "a" }, { n = 1 })
  w.Item:get_or_create({ name = "a" }, { n = 2 })
end)
scenario("update_or_create", 1, function(w)
  w.Item:update_or_create({ name = "a" }, { n = 1 })
  w.Item:update_or_create({ name = "a" }, { n = 2 })
end)
scenario("upsert", 1, function(w)
  w.Item:upsert({ name = "a", n = 1 }, { conflict = { "name" } })
  w.Item:upsert({ name = "a", n = 2 }, { conflict = { "name" } })
end)
scenario("prefetch", 0, function(w)
  for _, author in ipairs(w.Author:prefetch("books"):all()) do
    author.books:all()
    w.here()
  end
end)
scenario("prefetch of prefetch", 0, function(w) w.Author:prefetch("books__tags"):all() end)
scenario("select_related", 0, function(w) w.Book:select_related("author"):all() end)
scenario("a relation loaded when touched", 0, function(w)
  for _, book in ipairs(w.Book:all()) do
    assert(book.author.name)
  end
end)
scenario("many to many", 0, function(w)
  local book, tags = w.Book:get{ title = "one" }, w.Tag:all()
  book.tags:set(tags)
  book.tags:remove(tags[1])
  book.tags:add(tags[1])
  book.tags:clear()
end)
scenario("pages", 0, function(w)
  local ordered = w.Book:order_by("id")
  ordered:page(1, 2)
  ordered:after(ordered:after(nil, 2).next, 2)
end)
scenario("in_bulk and aggregates", 0, function(w)
  w.Book:in_bulk{ 1, 2 }
  w.Book:aggregate{ n = mp.fn.count() }
  w.Book:values("author__name"):annotate{ n = mp.fn.count() }:all()
end)

-- ---- bulk and copy ----

local function items(from, to)
  local rows = {}
  for i = from, to do
    rows[#rows + 1] = { name = "i" .. i, n = i }
  end
  return rows
end

scenario("bulk_create", 20, function(w) w.Item:bulk_create(items(1, 20)) end, WHOLE)
scenario("bulk_create in batches", 20, function(w)
  w.Item:bulk_create(items(1, 20), { batch = 5, on_progress = function() w.here() end })
end, ALONE)
scenario("bulk_create over what is there", 20, function(w)
  w.Item:bulk_create(items(1, 10))
  w.Item:bulk_create(items(1, 20), { batch = 7, on_conflict = "ignore" })
end)
scenario("bulk_create that fails", 10, function(w)
  w.Item:bulk_create(items(1, 10))
  pcall(w.Item.bulk_create, w.Item, items(5, 20), { batch = 5 })
end, WHOLE)
scenario("bulk_update", 10, function(w)
  local made = w.Item:bulk_create(items(1, 10))
  for _, one in ipairs(made) do
    one.n = one.n + 1
  end
  w.Item:bulk_update(made, { "n" })
end, WHOLE)
scenario("copy_in", 30, function(w)
  local rows = {}
  for i = 1, 30 do
    rows[i] = { "c" .. i, i }
  end
  w.db:copy_in("item", { "name", "n" }, rows)
end, WHOLE)
scenario("copy_in from what waits", 5, function(w)
  local i = 0
  w.db:copy_in("item", { "name", "n" }, function()
    w.here()
    i = i + 1
    if i <= 5 then
      return { "c" .. i, i }
    end
  end)
end, WHOLE)
scenario("copy_in from what fails", 0, function(w)
  pcall(w.db.copy_in, w.db, "item", { "name", "n" }, function() w.here() fail() end)
end)
scenario("copy_in inside a block", 2, function(w)
  w.db:atomic(function()
    w.db:copy_in("item", { "name", "n" }, { { "a", 1 } })
    w.put "b"
  end)
end, WHOLE)
scenario("copy_out", 0, function(w)
  for _ in w.db:copy_out("book") do
    w.here()
  end
end)
scenario("copy_out left early", 0, function(w)
  for _ in w.db:copy_out("book") do
    break
  end
end)

-- ---- blocks ----

scenario("a block", 2, function(w)
  w.db:atomic(function() w.put "a" w.here() w.put "b" end)
end, WHOLE)
scenario("a block that fails", 0, function(w)
  w.db:atomic(function() w.put "a" fail() end)
end)
scenario("a block that quits", 0, function(w)
  w.db:atomic(function(tx) w.put "a" tx:rollback() end)
end)
scenario("a block in a block", 2, function(w)
  w.db:atomic(function()
    w.put "a"
    w.db:atomic(function() w.put "b" w.here() end)
  end)
end, WHOLE)
scenario("blocks, six deep", 6, function(w)
  local function deeper(n)
    if n > 0 then
      w.db:atomic(function()
        w.put("d" .. n)
        deeper(n - 1)
      end)
    end
  end
  deeper(6)
end, WHOLE)
scenario("a block whose inner one fails", 2, function(w)
  w.db:atomic(function()
    w.put "a"
    pcall(w.db.atomic, w.db, function() w.put "a" end)
    w.put "b"
  end)
end, WHOLE)
scenario("a block that swallows what it must not", 0, function(w)
  w.db:atomic(function()
    w.put "a"
    pcall(w.put, "a")
  end)
end)
scenario("on_commit and on_rollback that ask", 1, function(w)
  w.db:atomic(function(tx)
    tx:on_commit(function() w.Author:count() end)
    tx:on_rollback(function() w.Author:count() end)
    pcall(w.db.atomic, w.db, function(inner)
      inner:on_rollback(function() w.Author:count() end)
      w.put "b"
      fail()
    end)
    w.put "a"
  end)
end, WHOLE)
scenario("a block that is run again", 1, function(w)
  local n = 0
  w.db:atomic({ retry = 3 }, function()
    n = n + 1
    w.put "a"
    if n < 3 then
      errors.raise("serialization", "as if another one had been first", { retryable = "transaction" })
    end
  end)
end, WHOLE)
scenario("a block that reads only", 0, function(w)
  w.db:atomic({ read_only = true }, function() w.Author:all() w.Book:count() end)
end)
scenario("a serializable block", 1, function(w)
  w.db:atomic({ isolation = "serializable" }, function() w.Author:count() w.put "a" end)
end, WHOLE)
scenario("a durable block", 1, function(w)
  w.db:atomic({ durable = true }, function() w.put "a" end)
end, WHOLE)
scenario("a stream inside a block", 1, function(w)
  w.db:atomic(function()
    for row in w.db:stream(LONG:format(30)) do
      if row.x == 5 then
        w.put "a"
      end
    end
  end)
end, WHOLE)
scenario("branches of one transaction", 2, function(w)
  w.db:atomic(function(tx)
    tx:gather(function() w.put "a" w.here() end, function() w.put "b" end)
  end)
end, WHOLE)
scenario("objects in a block that fails", 0, function(w)
  local one
  pcall(w.db.atomic, w.db, function()
    one = w.Item:create{ name = "a" }
    one.n = 3
    one:save()
    fail()
  end)
  assert(one == nil or one.id == nil)
end)
scenario("bulk and prefetch in a block", 10, function(w)
  w.db:atomic(function()
    w.Item:bulk_create(items(1, 10), { batch = 4 })
    w.Author:prefetch("books"):all()
  end)
end, WHOLE)

-- ---- by hand ----

scenario("by hand, committed", 2, function(w)
  local tx = w.db:begin()
  w.put "a"
  w.here()
  w.put "b"
  tx:commit()
end, WHOLE)
scenario("by hand, rolled back", 0, function(w)
  local tx = w.db:begin()
  w.put "a"
  tx:rollback()
end)
scenario("by hand, closed", 0, function(w)
  local _ <close> = w.db:begin()
  w.put "a"
  w.here()
end)
scenario("by hand, left open", 0, function(w)
  w.db:begin()
  w.put "a"
  w.here()
end)
scenario("by hand, with savepoints", 2, function(w)
  local tx <close> = w.db:begin()
  w.put "a"
  local one = tx:savepoint()
  w.put "b"
  one:rollback()
  local two = tx:savepoint()
  w.put "c"
  two:release()
  tx:commit()
end, WHOLE)
scenario("by hand, one inside the other, left open", 0, function(w)
  w.db:begin()
  w.put "a"
  w.db:begin()
  w.put "b"
  w.here()
end)

-- ---- sessions ----

scenario("a session", 2, function(w)
  w.db:session(function()
    w.Item{ name = "a" }
    w.Item{ name = "b" }
    w.here()
  end)
end, WHOLE)
scenario("a session that flushes, changes and deletes", 1, function(w)
  w.db:session(function(s)
    local one, two = w.Item{ name = "a" }, w.Item{ name = "b" }
    s:flush()
    one.n = 7
    s:delete(two)
    w.Item:count()
  end)
end, WHOLE)
scenario("a session that fails", 0, function(w)
  w.db:session(function(s)
    w.Item{ name = "a" }
    s:flush()
    fail()
  end)
end)
scenario("a session in a session", 2, function(w)
  w.db:session(function()
    w.Item{ name = "a" }
    w.db:session(function() w.Item{ name = "b" } end)
  end)
end, WHOLE)
scenario("a session with a savepoint", 1, function(w)
  w.db:session(function(s)
    w.Item{ name = "a" }
    local point = s:begin_nested()
    w.Item{ name = "b" }
    s:flush()
    point:rollback()
  end)
end, WHOLE)
scenario("a session inside a block", 2, function(w)
  w.db:atomic(function()
    w.put "a"
    w.db:session(function() w.Item{ name = "b" } end)
  end)
end, WHOLE)
scenario("a block inside a session", 2, function(w)
  w.db:session(function()
    w.Item{ name = "a" }
    w.db:atomic(function() w.Item:create{ name = "b" } end)
  end)
end, WHOLE)
scenario("a session by hand", 2, function(w)
  local s <close> = w.db:session()
  s:add(w.Item:build{ name = "a" })
  s:commit()
  s:add(w.Item:build{ name = "b" })
  s:commit()
end)
scenario("a session by hand, left open", 0, function(w)
  local s = w.db:session()
  s:add(w.Item:build{ name = "a" })
  s:flush()
  w.here()
end)
scenario("a session of raw statements", 2, function(w)
  w.db:session(function(s)
    s:execute(PUT, "a", 1)
    w.here()
    w.put "b"
  end)
end, WHOLE)
scenario("a session that reads", 0, function(w)
  w.db:session(function(s)
    for _, author in ipairs(s:scalars(w.Author:order_by("id"))) do
      author.books:all()
      s:refresh(author)
    end
  end)
end)

-- ---- streams ----

scenario("a stream", 0, function(w)
  for row in w.db:stream(LONG:format(300)) do
    if row.x % 100 == 0 then
      w.here()
    end
  end
end)
scenario("a stream left early", 0, function(w)
  for _ in w.db:stream(LONG:format(5000)) do
    break
  end
end)
scenario("a stream that nobody ends", 0, function(w)
  local rows = w.db:stream(LONG:format(5000))
  rows()
  w.here()
  rows()
end)
scenario("two streams", 0, function(w)
  local one <close> = w.db:stream(LONG:format(40))
  one()
  local other <close> = w.db:stream(LONG:format(40))
  other()
  one()
end)
scenario("a stream whose body fails", 0, function(w)
  for _ in w.db:stream(LONG:format(5000)) do
    fail()
  end
end)
scenario("iter whose body asks", 0, function(w)
  for book in w.Book:iter{ chunk = 1 } do
    w.Author:get(book.author_id)
  end
end)
scenario("iter in a block, left early", 1, function(w)
  w.db:atomic(function()
    for _ in w.Book:iter{ chunk = 1 } do
      w.put "a"
      break
    end
  end)
end, WHOLE)

-- ---- connections ----

scenario("a connection", 1, function(w)
  local conn <close> = w.db:connect()
  w.put("a", conn)
  w.here()
end)
scenario("a transaction of a connection", 2, function(w)
  local conn <close> = w.db:connect()
  conn:begin()
  w.put("a", conn)
  w.put("b", conn)
  conn:commit()
end, WHOLE)
scenario("a connection left open in a transaction", 0, function(w)
  local conn = w.db:connect()
  conn:begin()
  w.put("a", conn)
  w.here()
end)
scenario("a prepared statement", 2, function(w)
  local conn <close> = w.db:connect()
  local put = conn:prepare(PUT)
  put:execute("a", 1)
  put:execute("b", 2)
end)
scenario("a stream of a connection", 0, function(w)
  local conn <close> = w.db:connect()
  for _ in conn:stream(LONG:format(2000)) do
    w.here()
    break
  end
  conn:fetch_val("select 1")
end)

-- ---- tasks ----

scenario("gather", 2, function(w)
  mp.gather(function() w.put "a" end, function() w.put "b" end, function() w.Author:all() end)
end)
scenario("gather of blocks", 4, function(w)
  mp.gather(
    function() w.db:atomic(function() w.put "a" w.put "b" end) end,
    function() w.db:atomic(function() w.put "c" w.put "d" end) end)
end)
scenario("gather where one fails", 0, function(w)
  mp.gather(
    function() w.db:atomic(function() w.put "a" mp.sleep(3600) end) end,
    function() w.here() fail() end)
end)
scenario("map", 0, function(w)
  mp.map({ 1, 2, 3, 4, 5 }, function(x) return w.db:fetch_val(LONG:format(x)) end, { limit = 2 })
end)
scenario("a deadline that is kept", 1, function(w)
  mp.timeout(3600, w.db.atomic, w.db, function() w.put "a" end)
end)
scenario("a deadline that passes in a block", 0, function(w)
  mp.timeout(0.001, w.db.atomic, w.db, function() w.put "a" mp.sleep(3600) end)
end)
scenario("a deadline inside a block", 1, function(w)
  w.db:atomic(function()
    pcall(mp.timeout, 0.001, w.db.atomic, w.db, function() w.put "b" mp.sleep(3600) end)
    w.put "a"
  end)
end, WHOLE)
scenario("what is shielded", 1, function(w)
  mp.shield(function()
    w.db:atomic(function() w.put "a" w.here() end)
  end)
end)
scenario("a task that is waited for", 1, function(w)
  mp.spawn(w.put, "a"):wait()
end)
scenario("a task that is cancelled", 0, function(w)
  local task = mp.spawn(w.db.atomic, w.db, function() w.put "a" mp.sleep(3600) end)
  w.here()
  task:cancel()
  pcall(task.wait, task)
end)
scenario("waiting for a connection", 0, function(w)
  local conns <close> = setmetatable({}, { __close = function(list)
    for _, conn in ipairs(list) do
      conn:close()
    end
  end })
  local waits = mp.spawn(function()
    w.here()
    return w.db:connect():close()
  end)
  for i = 1, w.room do
    conns[i] = w.db:connect()
    w.here()
  end
  w.here()
  conns[1]:close()
  waits:wait()
end)
scenario("a generator", 1, function(w)
  local rows = coroutine.wrap(function()
    for row in w.db:stream(LONG:format(20)) do
      coroutine.yield(row.x)
    end
  end)
  rows()
  w.put "a"
  rows()
end)

-- ---- notes ----

scenario("listen", 0, function(w)
  local teller = mp.spawn(function()
    while true do
      w.db:notify("jobs", "one")
      mp.sleep(0.002)
    end
  end)
  for _ in w.db:listen("jobs", { timeout = 3600 }) do
    break
  end
  teller:cancel()
end, { only = "postgres" })
scenario("listen, left", 0, function(w)
  w.db:notify("jobs", "one")
  for _ in w.db:listen("jobs", { timeout = 0.002 }) do
    w.here()
  end
end, { only = "postgres" })
scenario("notify in a block", 1, function(w)
  w.db:atomic(function() w.db:notify("jobs", "x") w.put "a" end)
end, { only = "postgres", whole = true })

return scenarios
