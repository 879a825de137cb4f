-- Somebody to meet in a deadlock, who always survives: on PostgreSQL because he is not the one who looks for it, on MariaDB
-- because he has done so much more that the server picks the other one. SQLite has none.

local mp = require "moonpool"
local servers = require "spec.support.servers"

local rival = {}

local Rival = {}
Rival.__index = Rival

local ROWS = 400 -- each meeting has two of its own, because a snapshot may not be older than the last one's writes
local TAKE = "update rival set n = n + 1 where id = ?"

local kinds = {
  postgres = {
    "create table rival (id integer primary key, n integer not null)",
    ("insert into rival select i, 0 from generate_series(1, %d) i"):format(ROWS),
  },
  mariadb = {
    "create table rival (id integer primary key, n integer not null)",
    ("insert into rival select seq, 0 from seq_1_to_%d"):format(ROWS),
    "create table weight (n integer)",
  },
}

--- On the database of that URL; nil where there are no deadlocks, or where the server is not ours: who looks for one is a
--- superuser's to say.
---@param database table an entry of spec.support.databases
---@param db table
---@param url string
function rival.new(database, db, url)
  local statements = kinds[database.dialect]
  if not statements or not servers.set then
    return nil
  end
  for _, sql in ipairs(statements) do
    db:execute(sql)
  end
  local self = setmetatable({ db = mp.open(url, { pooler = database.pooler, pool = { max = 1 } }), place = 0 }, Rival)
  if database.dialect == "postgres" then
    self.name = url:match "/([%w_]+)$"
    self.admin = mp.open(servers.admin, { pool = { max = 1 } })
    self.admin:execute "grant set on parameter deadlock_timeout to public"
  end
  return self
end

--- Everybody begins with rows that nobody has written since.
function Rival:begin()
  self:wait()
  self.place = 0
end

--- Wait until he has come to his end, which he does when the other one has given up.
function Rival:wait()
  if self.task then
    mp.shield(self.task.wait, self.task)
    self.task = nil
  end
end

-- He has his row, and waits for the other one's, or soon will.
local function take_rows(self, mine, its)
  local ready = false
  self.task = mp.spawn(function()
    self.db:atomic(function(tx)
      if self.admin then
        self.db:execute "set local deadlock_timeout = '1h'"
      else
        self.db:execute "insert into weight select seq from seq_1_to_200"
      end
      self.db:execute(TAKE, mine)
      ready = true
      self.db:execute(TAKE, its)
      tx:rollback()
    end)
  end)
  while not ready or self.admin and self.admin:fetch_val([[select count(*) from pg_stat_activity
    where datname = ? and wait_event_type = 'Lock']], self.name) == 0 do
    mp.sleep(0)
  end
end

--- Meet him in the transaction that the calling task has on that handle. before: called when nothing else can happen any more.
--- Raises deadlock.
function Rival:meet(db, before)
  self:wait()
  local first, second = self.place + 1, self.place + 2
  db:execute(TAKE, first)
  self.place = second
  before()
  mp.shield(take_rows, self, second, first)
  if self.admin then
    db:execute "set local deadlock_timeout = '1ms'"
  end
  db:execute(TAKE, second)
end

function Rival:close()
  self:wait()
  self.db:close()
  if self.admin then
    self.admin:close()
  end
end

return rival
