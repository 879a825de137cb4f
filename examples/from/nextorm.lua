-- NextORM's page "Async Usage", step by step.
-- Run it with: moonpool examples/from/nextorm.lua [URL]
-- On SQLite in memory without a URL. There is one kind of database and one kind of session, for all of it.

local mp = require "moonpool"
local f = mp.field

-- class Post(Entity): id: PK[int]; title: Req[str]; body: Req[str] - and draft and published, which its queries ask for
local Post = mp.entity("Post", {
  id = f.id(),
  title = f.string{ max = 200 },
  body = f.text(),
  draft = f.boolean{ default = true },
  published = f.datetime{ null = true },
})

-- class User(Entity), of the database that is mixed with the first one below
local User = mp.entity("User", { name = f.string{ max = 100 } }, { database = "users" })

-- db = AsyncDatabase(entities=[Post]); await db.bind("sqlite", ":memory:"); await db.generate_mapping(create_tables=True)
mp.configure{ default = arg[1] or "sqlite::memory:", users = "sqlite::memory:" }
local db = mp.db()
db:create_all()

-- async with db_session: p = Post(...): the INSERT runs at the session's end, and p.id is available from then on
local p
mp.session(function()
  p = Post{ title = "Hello", body = "World" }
end)
print(p.id)

-- p2 = Post(...); await db.asave(p2): saved explicitly, outside a session
local p2 = Post{ title = "World", body = "Hello" }
p2:save()
print(p2.id)

-- posts = await db.aselect(Post).filter(Post.title == "Hello").fetch_all()
local posts = Post:filter(Post.title:eq "Hello"):all()
print(#posts, posts[1].body)

-- await db.adelete_instance(posts[0])
posts[1]:delete()
print(Post:count())

---- CRUD methods

-- asave: INSERT of a new entity, UPDATE of a dirty one, which writes what has changed
p2.title = "The world"
print(table.concat(p2:dirty_fields(), " "))
p2:save()

-- ainsert: force INSERT even if the entity already has a key
local p50 = Post{ id = 50, title = "Hello", body = "again" }
p50:save{ insert = true }
print(Post:get(50).body)

-- aflush, acommit, arollback: a session by hand
do
  local s <close> = db:session()
  local kept = Post{ title = "Kept", body = "" }
  s:flush() -- written, not committed
  print(kept.id ~= nil)
  s:commit()
  Post{ title = "Not kept", body = "" }
  s:flush()
  s:rollback() -- ROLLBACK, and the identity map is empty
end
print(Post:filter{ title__in = { "Kept", "Not kept" } }:one().title)

---- Async queries

-- results, first, n, exists = await db.aselect(Post)...fetch_all(), fetch_one(), count(), exists()
local first = Post:filter(Post.id:eq(p2.id)):first()
print(#Post:filter(Post.title:eq "Hello"):all(), first.title, Post:count(), Post:filter(Post.id:eq(99)):exists())

-- deleted = await db.aselect(Post).filter(Post.draft == True).delete()
p50.draft = false
p50:save()
print((Post:filter(Post.draft:eq(true)):delete()))

-- updated = await db.aselect(Post).filter(Post.draft == True).update(draft=False)
Post:create{ title = "Ready", body = "..." }
print(Post:filter(Post.draft:eq(true)):update{ draft = false })

---- Class-level shortcuts

-- results = await Post.aselect().filter(Post.draft == False).fetch_all(): the entity is the query set of all its rows
print(#Post:filter(Post.draft:eq(false)):all())

-- post = await Post.aget(title="Hello"), aget(id=1): nil if there is none, an error if there are several
print(Post:get{ title = "Hello" }.id, Post:get{ id = 1 })
local twin = Post:create{ title = "Hello", body = "a second time" }
print(select(2, mp.try(Post.get, Post, { title = "Hello" })).kind)

-- Post[1], "for sync sessions; use aget for async": the key alone is enough
print(Post:get(50).title)
twin:delete()

---- Async sessions

-- async with db_session: Post(...)
mp.session(function()
  Post{ title = "Draft", body = "..." }
end)

-- @db_session async def create_post(title, body)
local create_post = mp.session.wrap(function(title, body)
  return Post{ title = title, body = body }
end)
print(create_post("Decorated", "...").title, Post:count())

---- Mixing databases

-- async with db_session: User(name="alice"); Post(...): both are flushed, then both committed, the first one touched first
mp.db "users":create_all()
mp.session(function()
  User{ name = "alice" }
  Post{ title = "Hello from alice", body = "..." }
end)
print(User:one().name, Post:filter{ title__contains = "alice" }:count())

-- One that fails is a failure of both.
print(mp.try(mp.session, function()
  User{ name = "bob" }
  Post{ title = "Hello from bob", body = "..." }
  error("changed my mind", 0)
end))
print(User:count(), Post:filter{ title__contains = "bob" }:count())

---- Connection providers and the pool

-- await db.bind("sqlite", ...), ("postgres", host=...), ("mariadb", host=...), (..., pool_min=2, pool_max=10, pool_timeout=30.0)
-- These open nothing before their first use.
for _, options in ipairs{
  { dialect = "sqlite", database = "/tmp/app.db" },
  { dialect = "mariadb", host = "localhost", user = "app", password = "secret", database = "myapp" },
  { dialect = "postgres", host = "localhost", port = 5432, database = "myapp", user = "app", password = "secret",
    pool = { min = 2, max = 10, timeout = 30.0 } },
} do
  local bound <close> = mp.open(options)
  print(bound, bound:pool_stats().max)
end

---- Raw SQL

-- rows_affected = await db.execute("UPDATE post SET draft = FALSE WHERE published < ?", [cutoff])
local cutoff = mp.datetime "2026-01-01T00:00:00Z"
Post:create{ title = "Old", body = "...", published = "2025-12-31T23:59:59Z" }
Post:create{ title = "New", body = "...", published = "2026-06-01T12:00:00Z" }
print(db:execute("UPDATE post SET draft = FALSE WHERE published < ?", cutoff))

-- rows = await db.select_raw("SELECT id, title FROM post WHERE draft = ?", [False])
for _, row in ipairs(db:fetch_all("SELECT id, title FROM post WHERE draft = ? ORDER BY title", false)) do
  print(row.title)
end

---- Context manager

-- async with db: "binds and closes the connection automatically"
do
  local bound <close> = db
  print(#Post:all())
  bound:drop_all()
end
print(select(2, mp.try(Post.all, Post)).kind)
mp.close_all()

-- prints:
-- 1
-- 2
-- 1	World
-- 1
-- title
-- again
-- true
-- Kept
-- 1	The world	3	false
-- 2
-- 1
-- 2
-- 50	nil
-- multiple
-- Hello
-- Decorated	4
-- alice	1
-- nil	changed my mind
-- 1	0
-- sqlite:/tmp/app.db	10
-- mariadb://app@localhost/myapp	10
-- postgres://app@localhost:5432/myapp	10
-- 1
-- Hello
-- Old
-- Ready
-- 7
-- pool_closed
