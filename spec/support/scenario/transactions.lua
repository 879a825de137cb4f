-- What a program may be doing when it is killed: blocks, and transactions by hand.

local errors = require "moonpool.errors"
local scenarios = require "spec.support.scenarios"

local scenario, LONG, WHOLE, fail, items = scenarios.add, scenarios.LONG, scenarios.WHOLE, scenarios.fail, scenarios.items

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
