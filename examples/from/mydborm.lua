-- mydborm's page "Async support", step by step.
-- Run it with: moonpool examples/from/mydborm.lua [URL]
-- On SQLite in memory without a URL; the page's own databases are the two that are configured first.

local mp = require "moonpool"
local f = mp.field

-- class AsyncUser(AsyncBaseModel): __tablename__ = "users"; IntField(primary_key=True); StrField(max_length=100, nullable=False)
-- One kind of entity for scripts and servers. A field is NOT NULL unless it says `null = true`.
local AsyncUser = mp.entity("AsyncUser", {
  id = f.id(),
  username = f.string{ max = 100 },
}, { table = "users" })

-- await async_db.configure(dialect="mysql", ...)
-- No connection is opened before the first use, so there is nothing to wait for, and no server behind this one here.
mp.configure{ dialect = "mysql", host = "127.0.0.1", port = 3306, user = "root", password = "root", database = "mydb" }
print(mp.db())

-- "YugabyteDB async: just change the dialect, port and credentials". A second configure replaces the first.
mp.configure{ dialect = "yugabyte", host = "127.0.0.1", port = 5433, user = "yugabyte", password = "yugabyte", database = "yugabyte" }
print(mp.db())

-- "Everything else works identically regardless of which dialect you configured."
mp.configure(arg[1] or "sqlite::memory:")

-- await AsyncUser.create_table()
AsyncUser:create_table()

-- uid = await AsyncUser.create(username="alice")
local uid = AsyncUser:create{ username = "alice" }.id
print(uid)

-- user = await AsyncUser.get(id=uid)
local user = AsyncUser:get{ id = uid }
print(user.username, AsyncUser:get{ id = 99 })

-- all = await AsyncUser.all()
AsyncUser:create{ username = "bob" }
for _, each in ipairs(AsyncUser:order_by("id"):all()) do
  print(each.id, each.username)
end

-- "filter(), update() and delete() all exist with the same names"
print(#AsyncUser:filter{ username = "alice" }:all())
print(AsyncUser:filter{ id = uid }:update{ username = "alicia" }, AsyncUser:get(uid).username)
print((AsyncUser:filter{ username = "bob" }:delete()), AsyncUser:count())

-- "One slow query can stall every other request the server is trying to handle at the same time": not here. The slow request
-- ends after the quick one, and would wait forever if waiting for it stopped the program.
local quick
local slow = mp.spawn(function()
  local found = AsyncUser:get(uid)
  quick:wait()
  print("slow request:", found.username)
end)
quick = mp.spawn(function()
  print("quick request:", AsyncUser:count())
end)
slow:wait()

-- "Call await async_db.close() when you're done." Closing twice is fine; using it is an error that says so.
AsyncUser:drop_table()
mp.db():close()
mp.db():close()
print(select(2, mp.try(AsyncUser.all, AsyncUser)).kind)

-- prints:
-- mariadb://root@127.0.0.1:3306/mydb
-- postgres://yugabyte@127.0.0.1:5433/yugabyte
-- 1
-- alice	nil
-- 1	alice
-- 2	bob
-- 1
-- 1	alicia
-- 1	1
-- quick request:	1
-- slow request:	alicia
-- pool_closed
