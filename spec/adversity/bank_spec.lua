-- A bank whose sessions are killed by the server, at random, while it transfers: money is neither made nor lost, whatever was
-- acknowledged is there as a whole, a COMMIT whose answer was lost did all or nothing, and everybody comes to an end.
-- MOONPOOL_LONG=bank kills 2,000 sessions of each server; otherwise 60.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local servers = require "spec.support.servers"

local KILLS = os.getenv "MOONPOOL_LONG" == "bank" and 2000 or os.getenv "MOONPOOL_UNDER" and 15 or 60
local ACCOUNTS, TASKS, EACH = 20, 12, 100

local kinds = {
  postgres = {
    admin = servers.admin, end_one = "select pg_terminate_backend(%d)",
    sessions = "select pid as id from pg_stat_activity where datname = ? and backend_type = 'client backend'",
  },
  mariadb = {
    admin = servers.mariadb_admin, end_one = "kill %d",
    sessions = "select id from information_schema.processlist where db = ?",
  },
}

-- What may become of a transfer whose session ends.
local expected = { connection_lost = true, connect_failed = true, commit_unknown = true, deadlock = true, serialization = true,
  admin_shutdown = true }

local function transfer(bank, token, random)
  local from, to, amount = random(ACCOUNTS), random(ACCOUNTS), random(10)
  local db = bank.db
  local ok, err = pcall(bank.atomic, { durable = token % 2 == 0 }, function()
    db:execute("insert into transfer (token, source, target, amount) values (?, ?, ?, ?)", token, from, to, amount)
    db:execute("update account set balance = balance - ? where id = ?", amount, from)
    db:execute("update account set balance = balance + ? where id = ?", amount, to)
  end)
  if ok then
    bank.fate[token] = "committed"
  elseif type(err) == "table" and err.kind == "commit_unknown" then
    bank.fate[token], bank.errors[token] = "unknown", err
  else
    bank.fate[token] = "aborted"
    local family = type(err) == "table" and (expected[err.kind] or mp.is(err, "connection"))
    bank.foreign[#bank.foreign + 1] = not family and tostring(err) or nil
  end
end

-- Transfers until so many sessions were killed.
local function run(bank, admin, kind, name, kills)
  bank.fate, bank.errors, bank.foreign, bank.tokens = {}, {}, {}, 0
  local killed, tasks = 0, {}
  for place = 1, TASKS do
    tasks[place] = mp.spawn(function()
      while killed < kills do
        bank.tokens = bank.tokens + 1
        transfer(bank, bank.tokens, math.random)
      end
    end)
  end
  while killed < kills do
    local list = admin:fetch_all(kind.sessions, name)
    local one = list[1] and list[math.random(#list)]
    if one and pcall(admin.execute, admin, kind.end_one:format(one.id)) then
      killed = killed + 1
    end
    mp.sleep(math.random() / 200)
  end
  for _, task in ipairs(tasks) do
    mp.timeout(60, task.wait, task)
  end
end

-- What is wrong with the books, as a list of texts; and how the lost COMMITs ended.
local function audit(bank)
  local db, found, there = bank.db, {}, {}
  local balance, unknown = {}, { committed = 0, aborted = 0 }
  for id = 1, ACCOUNTS do
    balance[id] = EACH
  end
  for _, row in ipairs(db:fetch_all "select token, source, target, amount from transfer") do
    there[row.token] = true
    balance[row.source] = balance[row.source] - row.amount
    balance[row.target] = balance[row.target] + row.amount
  end
  for _, row in ipairs(db:fetch_all "select id, balance from account order by id") do
    if row.balance ~= balance[row.id] then
      found[#found + 1] = ("account %d has %d, its transfers say %d"):format(row.id, row.balance, balance[row.id])
    end
  end
  for token = 1, bank.tokens do
    local fate, is = bank.fate[token], there[token] and "committed" or "aborted"
    if fate == "unknown" then
      unknown[is] = unknown[is] + 1
      local says = bank.errors[token]:resolve()
      if says ~= "unknown" and says ~= is then
        found[#found + 1] = ("transfer %d is %s, resolve() says %s"):format(token, is, says)
      end
    elseif fate ~= is then
      found[#found + 1] = ("transfer %d is %s, its task was told %s"):format(token, is, tostring(fate))
    end
  end
  return found, unknown
end

databases.each("a bank whose sessions are killed", function(open, database)
  local kind = not database.pooler and kinds[database.dialect]
  if not kind then
    return
  end
  local bank, admin, name

  before_each(function()
    math.randomseed(tonumber(os.getenv "MOONPOOL_SEED") or os.time())
    local db, url = open{ pool = { min = 0, max = 6, timeout = 60 }, retry = { attempts = 8, backoff = 0.01 } }
    name = url:match "/([%w_]+)$"
    admin = mp.open(kind.admin, { pool = { max = 1 } })
    db:execute "create table account (id integer primary key, balance integer not null)"
    db:execute "create table transfer (token integer primary key, source integer, target integer, amount integer)"
    for id = 1, ACCOUNTS do
      db:execute("insert into account values (?, ?)", id, EACH)
    end
    bank = { db = db, atomic = function(options, fn) return db:atomic(options, fn) end }
  end)

  after_each(function()
    admin:close()
  end)

  it("loses no money and breaks no promise", function()
    run(bank, admin, kind, name, KILLS)
    assert.same({}, bank.foreign)
    local found, unknown = audit(bank)
    assert.same({}, found)
    local n = { committed = 0, aborted = 0, unknown = 0 }
    for _, fate in pairs(bank.fate) do
      n[fate] = n[fate] + 1
    end
    print(("# %d killed; %d committed, %d aborted, %d unknown (of these %d are there, %d are not)"):format(KILLS, n.committed,
      n.aborted, n.unknown, unknown.committed, unknown.aborted))
    assert.truthy(n.committed > 0 and n.aborted > 0)
    databases.quiet(bank.db)
  end)

  it("is found out when transfers are no transactions", function()
    bank.atomic = function(_, fn) return fn() end
    local found = {}
    for _ = 1, 20 do
      run(bank, admin, kind, name, 10)
      found = audit(bank)
      if #found > 0 then
        break
      end
      bank.db:execute "delete from transfer"
    end
    assert.truthy(#found > 0)
  end)
end)
