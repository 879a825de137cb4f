-- dorm's page "Async patterns", step by step.
-- Run it with: moonpool examples/from/dorm.lua [URL]
-- On SQLite in memory without a URL.

local mp = require "moonpool"
local f = mp.field

local Author = mp.entity("Author", {
  name = f.string{ max = 100 },
  age = f.integer{ default = 0 },
}, { order_by = { "id" } })
local Book = mp.entity("Book", {
  title = f.string{ max = 200 },
  author = f.belongs_to("Author", { inverse = "books", on_delete = "cascade" }),
})
local Account = mp.entity("Account", { balance = f.integer() })
local Log = mp.entity("Log", { line = f.string{ max = 100 } }, { database = "replica_writer" })

local function names(authors)
  local list = {}
  for i, author in ipairs(authors) do
    list[i] = author.name
  end
  return table.concat(list, " ")
end

---- FastAPI integration: lifespan, startup

-- dorm.configure(DATABASES={"default": {...}}), and the alias that is used below. DORM_RETRY_ATTEMPTS with exponential backoff,
-- disabled inside transactions, are the option `retry`.
local url = arg[1] or "sqlite::memory:"
mp.configure{ default = { url = url, retry = { attempts = 3, backoff = 0.1 } }, replica_writer = url }
mp.db():create_all()
mp.db "replica_writer":create_all()

-- await dorm.ahealth_check(): never an error itself
print(mp.db():health().status)

---- The naming convention: there is none, every call waits by itself

-- await Author.objects.acreate(...)
local ada = Author:create{ name = "Ada", age = 36 }
-- await Author.objects.aget(...)
print(Author:get{ name = "Ada" }.age)
-- await qs.abulk_create(...)
local made = Author:bulk_create{ { name = "Bob", age = 17 }, { name = "Cid", age = 52 }, { name = "Dee", age = 18 } }
print(#made, made[3].id)
-- await Author.objects.filter(...).acount()
print(Author:filter{ age__gte = 18 }:count())
-- [a async for a in Author.objects.all()], or await Author.objects.all()
print(names(Author:all()))
-- async for a in Author.objects.all()
for author in Author:iter() do
  print(author.name, author.age)
end
-- await qs.avalues("name")
print(mp.json.encode(Author:values("name"):all()))
-- await qs.avalues_list("name", flat=True)
print(table.concat(Author:pluck("name"), " "))
-- await qs.afirst() / alast()
print(Author:first().name, Author:last().name)
-- await qs.aexists()
print(Author:filter{ name = "Eve" }:exists())
-- await qs.ain_bulk([...])
print(Author:in_bulk{ ada.id, 99 }[ada.id].name)
-- await qs.aupdate(...)
print(Author:filter{ name = "Bob" }:update{ age = 18 })
-- await qs.abulk_update(...)
for _, author in ipairs(made) do
  author.age = author.age + 1
end
print(Author:bulk_update(made, { "age" }), table.concat(Author:pluck("age"), " "))
-- await qs.aaggregate(...)
local total = Author:aggregate{ n = mp.fn.count(), oldest = mp.fn.max("age") }
print(total.n, total.oldest)
-- qs.aiterator(chunk_size=N)
local streamed = {}
for author in Author:order_by("-age"):iter{ chunk = 2 } do
  streamed[#streamed + 1] = author
end
print(names(streamed))
-- await qs.aexplain(analyze=True); SQLite explains without running
print(#Author:filter{ age = 1 }:explain{ analyze = mp.db().dialect ~= "sqlite" } > 0)
-- await qs.araw(sql, params)
print(names(Author:raw("SELECT * FROM author WHERE age > ? ORDER BY name", 30)))
-- await obj.asave() / adelete()
ada.age = 37
ada:save()
made[1]:delete()
print(Author:get(ada.id).age, Author:count())
-- await qs.adelete()
print((Author:filter{ name = "Cid" }:delete()))

---- Awaiting a queryset directly

-- authors = await Author.objects.all(); await Author.objects.filter(age__gte=18)
print(names(Author:all()), #Author:filter{ age__gte = 18 }:all())
-- rows = await Author.objects.values("name", "age")
for _, row in ipairs(Author:values("name", "age"):all()) do
  print(row.name, row.age)
end
-- "As tuples": await qs.avalues_list("name", "age")
for _, row in ipairs(Author:values_list("name", "age"):all()) do
  print(row[1], row[2])
end
-- names = await Author.objects.values_list("name", flat=True): "both hit the DB exactly once"
print(#mp.testing.queries(function()
  print(table.concat(Author:pluck("name"), " "))
end))
-- "Use aiterator() when you don't want to load everything in memory": its body may query, and memory stays flat.
local function process(author)
  Book:create{ title = author.name .. "'s", author = author }
end
for author in Author:iter{ chunk = 1000 } do
  process(author)
end
print(Book:count())

---- Atomic blocks

-- async with aatomic(): a = await Author.objects.acreate(...); await Book.objects.acreate(title="...", author=a)
mp.atomic(function()
  local alice = Author:create{ name = "Alice", age = 30 }
  Book:create{ title = "...", author = alice }
end)
print(Book:select_related("author"):get{ title = "..." }.author.name)

-- @aatomic async def transfer(src_id, dst_id, amount)
local transfer = mp.atomic.wrap(function(src_id, dst_id, amount)
  Account:filter{ pk = src_id }:update{ balance = mp.F.balance - amount }
  Account:filter{ pk = dst_id }:update{ balance = mp.F.balance + amount }
end)
local src, dst = Account:create{ balance = 100 }, Account:create{ balance = 0 }
transfer(src.id, dst.id, 30)
print(src:refresh().balance, dst:refresh().balance)

-- @aatomic("replica_writer") async def replica_op()
local replica_op = mp.atomic.wrap("replica_writer", function()
  return Log:create{ line = "replicated" }
end)
print(replica_op().line)

-- "Nested aatomic() calls open savepoints so the inner block can fail without rolling back the outer one."
mp.atomic(function()
  Author:create{ name = "Outer" }
  print(mp.try(mp.atomic, function()
    Author:create{ name = "Inner" }
    error("the inner block fails", 0)
  end))
end)
print(Author:filter{ name = "Outer" }:exists(), Author:filter{ name = "Inner" }:exists())

---- Concurrency caveats

-- "Don't share a model instance across coroutines that mutate it: concurrent writers will lose changes." Let the database calculate.
mp.map({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, function()
  Account:filter{ pk = dst.id }:update{ balance = mp.F.balance + 1 }
end)
print(dst:refresh().balance)

-- "Don't mix sync and async on the same alias": a script's main chunk and its tasks have one pool.
print(mp.spawn(function() return Author:count() end):wait() == Author:count())

-- "asyncio.wait_for cancellation is safe: the pool always returns the connection"; what the block wrote is undone.
local before = Author:count()
print(select(2, mp.try(mp.timeout, 0.05, mp.atomic, function()
  Author:create{ name = "Late" }
  mp.sleep(3600)
end)).kind)
print(Author:count() == before)

---- Performance notes

-- "Async pool retries up to 3 times with exponential backoff. Disabled inside transactions": the option `retry` above.
-- "A single event loop is shared, otherwise pools accumulate one stale set of connections per test": there is one loop, and
-- each run of it has the same pool.
local size = mp.db():pool_stats().size
for _ = 1, 3 do
  mp.run(function() return Author:count() end)
end
print(mp.db():pool_stats().size <= size)

---- FastAPI integration: /healthz, and shutdown

-- return await dorm.ahealth_check(): every database by its name
local health = mp.health()
print(health.default.status, health.replica_writer.status)

-- await close_all_async()
mp.db():drop_all()
mp.db "replica_writer":drop_all()
mp.close_all()

-- prints:
-- ok
-- 36
-- 3	4
-- 3
-- Ada Bob Cid Dee
-- Ada	36
-- Bob	17
-- Cid	52
-- Dee	18
-- [{"name":"Ada"},{"name":"Bob"},{"name":"Cid"},{"name":"Dee"}]
-- Ada Bob Cid Dee
-- Ada	Dee
-- false
-- Ada
-- 1
-- 3	36 18 53 19
-- 4	53
-- Cid Ada Dee Bob
-- true
-- Ada Cid
-- 37	3
-- 1
-- Ada Dee	2
-- Ada	37
-- Dee	19
-- Ada	37
-- Dee	19
-- Ada Dee
-- 1
-- 2
-- Alice
-- 70	30
-- replicated
-- nil	the inner block fails
-- true	false
-- 40
-- true
-- timeout
-- true
-- true
-- ok	ok
