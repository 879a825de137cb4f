-- The databases that the shared cases run on: each spec of spec/db runs once per entry.
-- An entry opens handles on a database of its own, empty, and leaves nothing behind. An entry with `server` is there
-- where the environment says so (scripts/databases env); one with `file` or `single` is SQLite's.

local busted = require "busted" -- a module that a spec requires does not see the spec's own `describe`
local mp = require "moonpool"
local servers = require "spec.support.servers"
local waiting = require "spec.support.waiting"

local databases = {}

local function fresh_path()
  local path = os.tmpname()
  os.remove(path)
  return path .. ".db"
end

local function remove(path)
  for _, suffix in ipairs{ "", "-wal", "-shm", "-journal" } do
    os.remove(path .. suffix)
  end
end

local sqlite_file = { name = "SQLite in a file", dialect = "sqlite", file = true }

function sqlite_file.open(options)
  local path = fresh_path()
  local db = mp.open("sqlite:" .. path, options)
  return db, function()
    db:close()
    remove(path)
  end, path
end

local sqlite_memory = { name = "SQLite in memory", dialect = "sqlite", single = true }

function sqlite_memory.open(options)
  local db = mp.open("sqlite::memory:", options)
  return db, function()
    db:close()
  end
end

-- The options of a handle on a server, and more of them. Connecting may take long beside other work.
local function with(options, more)
  local all = { connect_timeout = 60 }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  for name, value in pairs(more or {}) do
    all[name] = value
  end
  return all
end

local postgres = { name = "PostgreSQL", dialect = "postgres", server = true }

function postgres.open(options)
  local database = servers.database()
  local db = mp.open(database.url, with(options))
  return db, function()
    db:close()
    database:give_back()
  end, database.url
end

local pgbouncer = { name = "PostgreSQL behind PgBouncer", dialect = "postgres", server = true, pooler = true }

function pgbouncer.open(options)
  local database = servers.database "pgbouncer"
  local db = mp.open(database.url, with(options, { pooler = true }))
  return db, function()
    db:close()
    database:give_back()
  end, database.url
end

local mariadb = { name = "MariaDB", dialect = "mariadb", server = true }

function mariadb.open(options)
  local database = servers.database "mariadb"
  local db = mp.open(database.url, with(options))
  return db, function()
    db:close()
    database:give_back()
  end, database.url
end

databases.list = { sqlite_file, sqlite_memory }
databases.file = sqlite_file
databases.memory = sqlite_memory
if servers.postgres then
  databases.postgres = postgres
  table.insert(databases.list, postgres)
end
if servers.pgbouncer then
  databases.pgbouncer = pgbouncer
  table.insert(databases.list, pgbouncer)
end
if servers.mariadb then
  databases.mariadb = mariadb
  table.insert(databases.list, mariadb)
end
databases.fresh_path = fresh_path
databases.remove = remove

--- Describe `claim` once per database. body(open): open(options) gives a handle that is closed, and its
--- database removed, after the spec.
function databases.each(claim, body)
  for _, database in ipairs(databases.list) do
    busted.describe(claim .. " (" .. database.name .. ")", function()
      local closers = {}
      busted.after_each(function()
        for i = #closers, 1, -1 do
          closers[i]()
        end
        closers = {}
      end)
      body(function(options)
        local db, close, path = database.open(options)
        closers[#closers + 1] = close
        return db, path
      end, database)
    end)
  end
end

--- All connections of the handle are free: on SQLite at once, elsewhere by themselves, because what was left behind on one
--- (a transaction, a cancel under way) is cleaned in the background, by round trips to the server.
function databases.quiet(db)
  if db.dialect == "sqlite" then
    assert(db:pool_stats().busy == 0, "a connection is busy")
    return
  end
  waiting.until_equal(0, function() return db:pool_stats().busy end)
end

--- Open the one connection of a handle whose pool gives up soon: however long that takes here, it is not what pool.timeout
--- ends afterwards. Gives the handle.
function databases.warm(db)
  waiting.until_true(function()
    local open, err = mp.try(db.ping, db)
    assert(open or err.kind == "pool_timeout", err) -- it goes on being opened
    return open
  end)
  return db
end

--- n connections of the handle are made, and idle.
function databases.fill(db, n)
  local conns = {}
  for i = 1, n do
    conns[i] = db:connect()
  end
  for _, conn in ipairs(conns) do
    conn:close()
  end
  waiting.until_equal(n, function() return db:pool_stats().idle end)
end

--- What the pool counts, without what it was given (max).
function databases.stats(db)
  local all = db:pool_stats()
  return { size = all.size, idle = all.idle, busy = all.busy, waiting = all.waiting, control = all.control }
end

--- The texts of the statements that fn runs on the handle. What fn raises is raised on.
function databases.statements(db, fn)
  local texts = {}
  local off = db:on("query", function(event)
    texts[#texts + 1] = event.sql
  end)
  local ok, err = pcall(fn)
  off()
  if not ok then
    error(err, 0)
  end
  return texts
end

local OF_TRANSACTIONS = { BEGIN = true, START = true, COMMIT = true, ROLLBACK = true, SAVEPOINT = true, RELEASE = true }

--- The same as their first words with spaces between, and as an array of texts; without those of transactions.
function databases.words(db, fn)
  local words, texts = {}, {}
  for _, text in ipairs(databases.statements(db, fn)) do
    local word = text:match("^%a+"):upper()
    if not OF_TRANSACTIONS[word] then
      words[#words + 1], texts[#texts + 1] = word, text
    end
  end
  return table.concat(words, " "), texts
end

--- fn must raise what the program raises in it, error "undone": nothing before that has failed.
function databases.undone(fn, ...)
  local ok, err = pcall(fn, ...)
  assert(not ok, "what was to be undone was kept")
  if type(err) ~= "string" or not err:find ": undone$" then
    error(err, 0)
  end
end

--- For it(): fn in a task. A main chunk without a host is none: it drives the loop where a task could not wait.
function databases.in_a_task(fn)
  return function() return mp.spawn(fn):wait() end
end

--- What fn writes to standard error.
function databases.told(fn)
  local real, parts = io.stderr, {}
  io.stderr = { write = function(_, ...) -- luacheck: ignore
    for _, part in ipairs{ ... } do
      parts[#parts + 1] = part
    end
  end }
  local ok, err = pcall(fn)
  io.stderr = real -- luacheck: ignore
  assert(ok, err)
  return table.concat(parts)
end

--- fn must raise an error of the library of that kind or family; gives the error.
function databases.raises(kind, fn, ...)
  local result = table.pack(pcall(fn, ...))
  local err = result[2]
  assert(not result[1], "no error; " .. kind .. " was expected")
  assert(type(err) == "table" and err.kind, "not an error of the library: " .. tostring(err))
  assert(mp.is(err, kind), kind .. " was expected, not " .. tostring(err.kind) .. ": " .. tostring(err))
  return err
end

return databases
