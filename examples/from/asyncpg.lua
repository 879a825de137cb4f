-- The asyncpg part of the lecture "Asynchronous Programming", step by step: one connection, raw SQL, rows as tables.
-- Run it with: moonpool examples/from/asyncpg.lua [URL]
-- On SQLite in memory without a URL; the lecture's own is postgresql://user:pass@localhost/db.

local mp = require "moonpool"

-- async def greet(): await asyncio.sleep(1); print(...); asyncio.run(greet())
-- Nothing marks a function as asynchronous: what waits suspends its own task, and no other.
local function greet()
  mp.sleep(0.01)
  print("Hello Async!")
end
mp.run(greet)

-- conn = await asyncpg.connect(DATABASE_URL)
local db = mp.open(arg[1] or "sqlite::memory:")
local conn = db:connect()

-- The lecture's table is there already.
conn:execute("CREATE TABLE users (id integer PRIMARY KEY, name varchar(100) NOT NULL, email varchar(200))")
conn:execute_many("INSERT INTO users VALUES (?, ?, ?)", {
  { 1, "Ada", "ada@example.org" },
  { 2, "Grace", "grace@example.org" },
  { 3, "Margit", nil },
})

local function fetch_users()
  -- rows = await conn.fetch("SELECT * FROM users;")
  local rows = conn:fetch_all("SELECT * FROM users;")
  -- formatted_rows = [dict(row) for row in rows]: a row is a plain table already.
  print("Fetched Users:")
  for _, record in ipairs(rows) do
    print(mp.show(record))
  end
  return rows
end
print(#fetch_users())

-- await conn.close()
conn:close()

-- "Network calls, DB queries: non-blocking, for high concurrency": a handle has as many connections as its pool allows,
-- and its queries run at the same time as all others.
local function name_of(id)
  return function()
    return db:fetch_val("SELECT name FROM users WHERE id = ?", id)
  end
end
print(mp.gather(name_of(1), name_of(2), name_of(3)))

db:execute("DROP TABLE users")
db:close()

-- prints:
-- Hello Async!
-- Fetched Users:
-- { email = "ada@example.org", id = 1, name = "Ada" }
-- { email = "grace@example.org", id = 2, name = "Grace" }
-- { id = 3, name = "Margit" }
-- 3
-- Ada	Grace	Margit
