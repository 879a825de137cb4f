-- The SQLAlchemy part of the lecture "Asynchronous Programming", step by step: an engine, a model, a session for each
-- request, tables made at startup.
-- Run it with: moonpool examples/from/sqlalchemy.lua [URL]
-- On SQLite in memory without a URL; the lecture's own is postgresql+asyncpg://...@localhost/fastapi_week9.

local mp = require "moonpool"
local f = mp.field

-- "Load environment variables": the process's own, then those of a file .env
local DB_USER = mp.env("DB_USER", "postgres")
local DB_PASS = mp.env("DB_PASS", "postgres")

-- DATABASE_URL = f'postgresql+asyncpg://{DB_USER}:{DB_PASS}@localhost/fastapi_week9'
-- engine = create_async_engine(DATABASE_URL, echo=True)
-- The driver behind the + is ignored. Statements are echoed on standard error, without their values.
local lecture = mp.open(("postgresql+asyncpg://%s:%s@localhost/fastapi_week9"):format(DB_USER, DB_PASS), { echo = true })
print(lecture)
lecture:close()
local engine = mp.open(arg[1] or "sqlite::memory:", { echo = true })

-- AsyncSessionLocal = sessionmaker(bind=engine, class_=AsyncSession, expire_on_commit=False)
local function AsyncSessionLocal()
  return engine:session{ expire_on_commit = false }
end

-- class User(Base): __tablename__ = "users"; Mapped[...] = mapped_column(...)
-- Fields are NOT NULL unless they say otherwise. What is a key or unique has its index already, so `index` adds none to these.
local User = mp.entity("User", {
  id = f.id{ index = true },
  name = f.string(),
  email = f.string{ unique = true, index = true },
}, { table = "users", database = engine })

-- @app.on_event("startup"): async with engine.begin() as conn: await conn.run_sync(Base.metadata.create_all)
engine:create_all()

-- Depends(get_session): each request has a session, which is closed when the request ends, however it ends.
local function request(endpoint, ...)
  local session <close> = AsyncSessionLocal()
  return endpoint(session, ...)
end

-- @app.post("/users"): async def create_user(user, session)
local function create_user(session, user)
  -- new_user = User(name=user.name, email=user.email); session.add(new_user)
  local new_user = User:build{ name = user.name, email = user.email }
  session:add(new_user)
  -- await session.commit(); await session.refresh(new_user); return new_user
  session:commit()
  session:refresh(new_user)
  return new_user
end

-- @app.get("/users"): result = await session.execute(select(User)); users = result.scalars().all()
local function get_users(session)
  return session:scalars(User:order_by("id"))
end

local ada = request(create_user, { name = "Ada", email = "ada@example.org" })
-- expire_on_commit=False: the object is whole after its session has ended.
print(ada.id, ada.name, ada.email)
local grace = request(create_user, { name = "Grace", email = "grace@example.org" })
print(grace.id, grace.name, grace.email)

-- unique=True: the request fails, its session is rolled back, and the next one has nothing of it.
local _, err = mp.try(request, create_user, { name = "Ada again", email = "ada@example.org" })
print(err.kind, table.concat(err.columns, " "))

-- response_model=List[UserRead]: id, name and email of each.
for _, user in ipairs(request(get_users)) do
  print(mp.json.encode(user:to_table{ only = { "id", "name", "email" } }))
end

-- Many requests at once: each task has its own session.
local counts = mp.map({ 1, 2, 3, 4 }, function()
  return #request(get_users)
end)
print(table.concat(counts, " "))

engine:drop_all()
engine:close()

-- prints:
-- ...
-- 1	Ada	ada@example.org
-- 2	Grace	grace@example.org
-- unique	email
-- {"email":"ada@example.org","id":1,"name":"Ada"}
-- {"email":"grace@example.org","id":2,"name":"Grace"}
-- 2 2 2 2
