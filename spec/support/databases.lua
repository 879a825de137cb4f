-- The databases that the shared cases run on: each spec of spec/db runs once per entry.
-- An entry opens handles on a database of its own, empty, and leaves nothing behind.

local busted = require "busted" -- a module that a spec requires does not see the spec's own `describe`
local mp = require "moonpool"

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

databases.list = { sqlite_file, sqlite_memory }
databases.file = sqlite_file
databases.memory = sqlite_memory
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
