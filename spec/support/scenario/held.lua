-- What a program may be doing when it is killed: sessions, streams, connections, tasks and notes.
-- luacheck: ignore 512 (a loop that is left at once is what some of them are about)

local mp = require "moonpool"
local scenarios = require "spec.support.scenarios"

local scenario, LONG, PUT, WHOLE, fail = scenarios.add, scenarios.LONG, scenarios.PUT, scenarios.WHOLE, scenarios.fail

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
scenario("a session that writes several entities at once", 4, function(w)
  w.noted = true
  w.db:session(function(s)
    local first, gone = w.Item{ name = "i0" }, w.Note{ text = "gone" }
    s:flush()
    for i = 1, 3 do
      w.Item{ name = "i" .. i }
    end
    local note = w.Note{ text = "kept" }
    w.Part{ name = "a", note = note }
    first.n = 7
    s:delete(gone)
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
  local heard = false
  mp.gather(function() -- so that nobody goes on listening when the other one was killed
    for _ in w.db:listen("jobs", { timeout = 3600 }) do
      break
    end
    heard = true
  end, function()
    while not heard do
      w.db:notify("jobs", "one")
      mp.sleep(0.002)
    end
  end)
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
