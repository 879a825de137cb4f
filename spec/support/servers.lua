-- The database servers of scripts/databases as specs see them: where they are, databases of one's own on them, and
-- stopping, starting and killing them. The environment says which there are; a server that the user named
-- (MOONPOOL_TEST_POSTGRES, MOONPOOL_TEST_MARIADB) has databases only: nobody may stop it.
-- A database is emptied and lent again: that takes 5 ms, a new one on PostgreSQL 50 to 100.

local busted = require "busted"
local mp = require "moonpool"

local function environment(name)
  return os.getenv("MOONPOOL_TEST_" .. name)
end

local servers = {
  postgres = environment "POSTGRES",
  admin = environment "POSTGRES_ADMIN" or environment "POSTGRES", -- a superuser, if there is one
  pgbouncer = environment "PGBOUNCER",
  mariadb = environment "MARIADB",
  mariadb_admin = environment "MARIADB_ADMIN" or environment "MARIADB",
  -- The same servers over TLS, verified; with the query part. Only of servers that are ours.
  verified = { postgres = environment "POSTGRES_TLS", mariadb = environment "MARIADB_TLS" },
  certificates = environment "CERTS", -- a directory; see make_certificates in scripts/databases
  set = environment "SET", -- nil: no server is ours
}

--- The URL with another database in it.
---@param url string
---@param database string
---@return string
function servers.on(url, database)
  local server, query = url:match "^(%a[%w+]*://[^/?]*)[^?]*(.*)$"
  return ("%s/%s%s"):format(server, database, query)
end

-- ---- databases ----

local function run_on(url, statements)
  local db = mp.open(url, { pool = { max = 1 } })
  for _, sql in ipairs(statements) do
    local ok, err = mp.try(db.execute, db, sql)
    if not ok then
      db:close()
      error(err, 0)
    end
  end
  db:close()
end

-- How a server makes, empties and drops a database.
local kinds = {}

local postgres = {}
kinds.postgres, kinds.pgbouncer = postgres, postgres

-- Everything that a spec may have made in a database. `public` is as in a new one.
local EMPTY = [[
do $$
declare
  made record;
begin
  perform set_config('client_min_messages', 'warning', true);
  perform pg_terminate_backend(pid, 5000) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend' and %s;
  for made in select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' loop
    execute format('drop schema %%I cascade', made.nspname);
  end loop;
  perform lo_unlink(oid) from pg_largeobject_metadata;
  execute format('alter database %%I reset all', current_database());
  create schema public authorization pg_database_owner;
  grant usage on schema public to public;
end $$]]

-- The sessions of a pooler that do nothing hold nothing; ending them would only surprise it.
local others = { postgres = "true", pgbouncer = "state <> 'idle'" }

function postgres.make(name)
  local owner = servers.postgres:match "^%a[%w+]*://([^:@/]+)[^@/]*@"
  run_on(servers.on(servers.admin, "postgres"), { ("create database %s template template0%s"):format(name,
    owner and (" owner \"%s\""):format(owner) or "") })
end

function postgres.empty(name, server)
  run_on(servers.on(servers.admin, name), { EMPTY:format(others[server]) })
end

function postgres.drop(name)
  run_on(servers.on(servers.admin, "postgres"), { ("drop database %s with (force)"):format(name) })
end

local mariadb = {}
kinds.mariadb = mariadb

function mariadb.make(name)
  run_on(servers.mariadb_admin, { "create database " .. name })
end

-- Who is still there may hold locks, even without a statement.
local function end_sessions(name)
  local admin <close> = mp.open(servers.mariadb_admin, { pool = { max = 1 } })
  local found = admin:fetch_all("select id from information_schema.processlist where db = ? and id <> connection_id()", name)
  for _, session in ipairs(found) do
    local ended, err = mp.try(admin.execute, admin, ("kill %d"):format(session.id))
    if not ended and err.code ~= 1094 then -- it has gone by itself
      error(err, 0)
    end
  end
end

function mariadb.empty(name)
  mariadb.drop(name)
  mariadb.make(name)
end

function mariadb.drop(name)
  end_sessions(name)
  run_on(servers.mariadb_admin, { "drop database " .. name })
end

local made = {} -- databases, all that this process has made
local spare = { postgres = {}, pgbouncer = {}, mariadb = {} } -- empty ones; PgBouncer keeps sessions in its own
local prefix

local function name()
  if not prefix then
    local random <close> = assert(io.open("/dev/urandom", "rb"))
    prefix = "moonpool_spec_" .. random:read(6):gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
  end
  return ("%s_%d"):format(prefix, #made + 1)
end

local Database = {}
Database.__index = Database

--- Empties it for the next one, whatever is in it and whoever is still there. Close your handles first.
function Database:give_back()
  kinds[self.server].empty(self.name, self.server)
  table.insert(spare[self.server], self)
end

--- An empty database: its name and its url. It must be given back.
---@param server string? "postgres", "pgbouncer" or "mariadb"
function servers.database(server)
  server = server or "postgres"
  local database = table.remove(spare[server])
  if database then
    return database
  end
  database = setmetatable({ name = name(), server = server }, Database)
  database.url = servers.on(servers[server], database.name)
  kinds[server].make(database.name)
  made[#made + 1] = database
  return database
end

busted.subscribe({ "suite", "end" }, function()
  for _, database in ipairs(made) do
    kinds[database.server].drop(database.name)
  end
  made, spare = {}, { postgres = {}, pgbouncer = {}, mariadb = {} }
end)

-- ---- servers ----

--- Run scripts/databases on the servers that this process uses. Waits for its end; other tasks go on meanwhile.
---@param ... string words: "restart", "postgres"
function servers.command(...)
  assert(servers.set, "the servers are not ours: scripts/databases has not started them")
  local report = os.tmpname()
  local command = ("scripts/databases --set %s %s"):format(servers.set, table.concat({ ... }, " "))
  assert(os.execute(("{ %s; echo $? >%s.end; } >%s 2>&1 </dev/null &"):format(command, report, report)))
  local code
  repeat
    mp.sleep(0.01)
    local ended = io.open(report .. ".end")
    if ended then
      code = ended:read "n"
      ended:close()
    end
  until code
  local output = assert(io.open(report))
  local text = output:read "a"
  output:close()
  os.remove(report)
  os.remove(report .. ".end")
  assert(code == 0, ("%s: %s"):format(command, text))
end

for _, word in ipairs{ "restart", "stop", "start", "kill", "tls" } do
  --- servers.restart "postgres", servers.tls("expired", "mariadb")
  servers[word] = function(...)
    servers.command(word, ...)
  end
end

--- All of them as they were: for an after_each of specs that stop servers or change their certificate.
function servers.mend()
  servers.command("up", environment "SERVERS")
end

return servers
