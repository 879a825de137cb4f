-- The "databases" part of the lecture "Asynchronous Programming", step by step: a URL from the environment, a handle that
-- is opened at startup and closed at shutdown, and raw SQL between them.
-- Run it with: moonpool examples/from/databases.lua [URL]
-- On SQLite in memory without a URL; the lecture's own is made of DB_USER and DB_PASS below.

local mp = require "moonpool"

-- load_dotenv(); DB_USER = os.getenv("DB_USER", "postgres"); DB_PASS = ...
local DB_USER = mp.env("DB_USER", "postgres")
local DB_PASS = mp.env("DB_PASS", "postgres")
-- print(f"DB_USER: {DB_USER}, DB_PASS: {DB_PASS}"), as the lecture does; moonpool itself never shows one
print(("DB_USER: %s, DB_PASS: %s"):format(DB_USER, DB_PASS))

-- DATABASE_URL = f'postgresql://{DB_USER}:{DB_PASS}@localhost/fastapi_week6'; database = databases.Database(DATABASE_URL)
-- Nothing is opened before the first use, and the password is never shown.
local lecture = mp.open(("postgresql://%s:%s@localhost/fastapi_week6"):format(DB_USER, DB_PASS))
print(lecture)
lecture:close()

local database = mp.open(arg[1] or "sqlite::memory:")

-- @app.on_event("startup"): await database.connect()
local function startup()
  print("connected:", database:ping())
  -- The lecture's table is there already.
  database:execute("CREATE TABLE users (id integer PRIMARY KEY, name varchar(100) NOT NULL, email varchar(200))")
  database:execute_many("INSERT INTO users (id, name, email) VALUES (?, ?, ?)", {
    { 1, "Ada", "ada@example.org" },
    { 2, "Grace", "grace@example.org" },
  })
end

-- @app.get("/users"): query = "SELECT * FROM users;"; return await database.fetch_all(query)
local function get_users()
  return database:fetch_all("SELECT * FROM users;")
end

-- @app.on_event("shutdown"): await database.disconnect()
local function shutdown()
  database:execute("DROP TABLE users")
  database:close()
end

startup()
-- Several requests at once, and what the framework sends of them: rows are tables, so there is no conversion by hand.
for number, users in ipairs{ mp.gather(get_users, get_users, get_users) } do
  print(number, mp.json.encode(users))
end
shutdown()
print(select(2, mp.try(get_users)).kind)

-- prints:
-- ...
-- connected:	true
-- 1	[{"email":"ada@example.org","id":1,"name":"Ada"},{"email":"grace@example.org","id":2,"name":"Grace"}]
-- 2	[{"email":"ada@example.org","id":1,"name":"Ada"},{"email":"grace@example.org","id":2,"name":"Grace"}]
-- 3	[{"email":"ada@example.org","id":1,"name":"Ada"},{"email":"grace@example.org","id":2,"name":"Grace"}]
-- pool_closed
