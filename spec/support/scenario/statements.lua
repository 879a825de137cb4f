-- What a program may be doing when it is killed: statements, entities, bulk writes and copying.
-- luacheck: ignore 512 (a loop that is left at once is what some of them are about)

local mp = require "moonpool"
local scenarios = require "spec.support.scenarios"

local scenario, LONG, PUT, WHOLE, ALONE, fail, items = scenarios.add, scenarios.LONG, scenarios.PUT, scenarios.WHOLE, scenarios.ALONE, scenarios.fail, scenarios.items

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
