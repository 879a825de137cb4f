-- sqlservice's page "Async Database", step by step.
-- Run it with: moonpool examples/from/sqlservice.lua [URL]
-- On SQLite in memory without a URL, as on the page.

local mp = require "moonpool"
local f = mp.field

-- The page: "You can override the session class using AsyncDatabase(session_class=MySession)". Here its methods are given.
local MySession = {}

function MySession.user_named(session, User, name)
  return session:scalars(User:filter{ name = name })[1]
end

-- db = Database("sqlite+aiosqlite://", model_class=Model)
local db = mp.open(arg[1] or "sqlite+aiosqlite://", { session_methods = MySession })

-- from models import Model: User, UserAbout, UserDevice and UserDeviceKey of its page on models
local User = mp.entity("User", {
  name = f.string{ null = true },
  email = f.string{ unique = true },
  active = f.boolean{ default = true },
}, { table = "users", database = db })
local UserAbout = mp.entity("UserAbout", {
  user = f.one_to_one("User", { inverse = "about", on_delete = "cascade" }),
  nickname = f.string{ null = true },
  hometown = f.string{ null = true },
}, { table = "user_about", database = db })
local UserDevice = mp.entity("UserDevice", {
  user = f.belongs_to("User", { inverse = "devices", on_delete = "cascade" }),
  name = f.string(),
}, { table = "user_devices", database = db })
mp.entity("UserDeviceKey", {
  device = f.belongs_to("UserDevice", { inverse = "keys", on_delete = "cascade" }),
  key = f.string(),
}, { table = "user_device_keys", database = db })

-- await db.create_all(): the statements in the order that their foreign keys ask for; what is there is left alone.
db:create_all()
db:create_all()

-- "The declarative base model has its metadata available at AsyncDatabase.metadata."
print(#db:entities())

-- conn = await db.connect(); session = await db.session()
do
  local conn = db:connect()
  print(conn:fetch_val("SELECT count(*) FROM users"))
  conn:close()
  local session = db:session()
  print(#session:scalars(User))
  session:close()
end

-- async with db.connect() as conn: "high-level DB-API connection"
do
  local conn <close> = db:connect()
  conn:begin()
  print(conn:execute("INSERT INTO users (name, email, active) VALUES (?, ?, ?)", "Ada", "ada@example.org", true))
  print(conn:fetch_one("SELECT name FROM users").name)
  -- What it began and did not commit is rolled back at its end.
end
print(User:count())

-- session = await db.session(); or async with db.session() as session: "commit as you go"
do
  local session <close> = db:session()
  local user = User:build{ name = "Ada", email = "ada@example.org" }
  session:add(user)
  session:commit()
  session:add(User:build{ name = "Nobody", email = "nobody@example.org" })
end
print(User:count(), User:one().name)

-- async with db.begin() as session: "automatic commit when context-manager exits"
db:session(function(session)
  local ada = session:user_named(User, "Ada")
  ada.active = false
  UserAbout{ user = ada, nickname = "Countess", hometown = "London" }
  local device = UserDevice{ user = ada, name = "engine" }
  device.keys:create{ key = "punch card" }
end)
local ada = User:select_related("about"):get{ name = "Ada" }
print(ada.active, ada.about.nickname, ada.devices:one().keys:one().key)

-- "and automatically rollback if an unhandled exception occurs"
print(mp.try(db.session, db, function(session)
  session:add(User:build{ name = "Nobody", email = "nobody@example.org" })
  error("unhandled", 0)
end))
print(User:count())

-- "Engine: nothing fancy here": the pool belongs to the handle.
print(db:pool_stats().waiting)

-- await db.reflect(); print(db.tables): the schema as the database has it, also without any entity
db:reflect()
local names = {}
for name in pairs(db.tables) do
  names[#names + 1] = name
end
table.sort(names)
print(table.concat(names, " "))
print(db.tables)
print(db.tables.users.columns.email.null, db.tables.user_about.foreign_keys[1].table)

-- await db.drop_all()
db:drop_all()
print(next(db:reflect()))
db:close()

-- prints:
-- 4
-- 0
-- 0
-- 1
-- Ada
-- 0
-- 1	Ada
-- false	Countess	punch card
-- nil	unhandled
-- 1
-- 0
-- user_about user_device_keys user_devices users
-- table user_about
-- ...
--   primary key (id)
--   unique (user_id)
--   foreign key (user_id) references users (id) on delete cascade on update restrict
-- table user_device_keys
-- ...
--   primary key (id)
--   foreign key (device_id) references user_devices (id) on delete cascade on update restrict
--   index user_device_keys_device_id_idx (device_id)
-- table user_devices
-- ...
--   primary key (id)
--   foreign key (user_id) references users (id) on delete cascade on update restrict
--   index user_devices_user_id_idx (user_id)
-- table users
-- ...
--   primary key (id)
--   unique (email)
-- false	users
-- nil
