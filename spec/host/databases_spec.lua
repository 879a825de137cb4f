-- The private database servers of scripts/databases, in sets that nobody else uses.

local program = require "spec.support.program"

-- No code of ours runs in a script: a sanitizer has nothing to see.
if os.getenv "MOONPOOL_UNDER" then
  return
end

local quote = program.quote

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

-- Not through a pipe: servers that kept it open would be waited for, and here they are to be seen.
local function shell(command)
  local out = os.tmpname()
  local _, _, code = os.execute(("timeout 120 sh -c %s >%s 2>&1 </dev/null"):format(quote(command), out))
  local text = read(out)
  os.remove(out)
  return { code = code, out = text }
end

local function databases(words)
  return shell("scripts/databases " .. words)
end

local function psql(url, sql)
  return shell(("/usr/lib/postgresql/15/bin/psql -XAtq -v ON_ERROR_STOP=1 %s -c %s"):format(quote(url), quote(sql)))
end

local function unescaped(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- The URL in words of the program `mariadb`; its TLS is always verified.
local function mariadb(url, sql)
  local user, password, host, port, database, query = url:match "^mariadb://([^:]+):([^@]+)@([^:/]+):?(%d*)/([^?]*)(.*)$"
  local place = port == "" and "--socket=" .. unescaped(host) or ("--host=%s --port=%s"):format(host, port)
  local ca = query:match "tls%.ca=([^&]+)"
  local tls = ca and "--ssl-verify-server-cert --ssl-ca=" .. ca or ""
  return shell(("mariadb --no-defaults --batch --skip-column-names --user=%s --password=%s %s %s %s -e %s"):format(
    user, password, place, tls, database, quote(sql)))
end

-- What has ended, but was not asked for its exit code yet, has no command line.
local function runs(pid)
  local file = io.open("/proc/" .. pid .. "/cmdline")
  local line = file and file:read "a"
  if file then
    file:close()
  end
  return line ~= nil and line ~= ""
end

-- The URL as psql takes it.
local function for_psql(url)
  return (url:gsub("tls%.mode=verify_full", "sslmode=verify-full"):gsub("tls%.ca", "sslrootcert"))
end

describe("a set of database servers", function()
  local sets = {}

  local function new_set(only)
    local name = ("spec-%s-%d"):format(read("/proc/sys/kernel/random/uuid"):sub(1, 8), #sets + 1)
    local set = { name = name, place = "build/databases/" .. name }
    function set.run(words)
      return databases("--set " .. name .. " " .. words)
    end
    function set.well(words)
      local result = set.run(words)
      assert.equal(0, result.code, words .. ": " .. result.out)
      return result.out
    end
    function set.urls()
      local urls = {}
      for what, value in set.well("env"):gmatch "export MOONPOOL_TEST_([%u_]+)='([^'\n]*)'\n" do
        urls[what] = value
      end
      return urls
    end
    sets[#sets + 1] = set
    set.well("up " .. (only or ""))
    return set
  end

  local set

  setup(function()
    set = new_set()
  end)

  teardown(function()
    for _, each in ipairs(sets) do
      each.run "down"
    end
  end)

  it("answers where env says", function()
    local urls = set.urls()
    assert.equal("moonpool\n", psql(urls.POSTGRES, "select current_user").out)
    assert.equal("off\n", psql(urls.POSTGRES, "show is_superuser").out)
    assert.equal("on\n", psql(urls.POSTGRES_ADMIN, "show is_superuser").out)
    assert.equal("moonpool\n", psql(urls.PGBOUNCER, "select current_user").out)
    assert.equal("moonpool@%\n", mariadb(urls.MARIADB, "select current_user").out)
    assert.equal("root@localhost\n", mariadb(urls.MARIADB_ADMIN, "select current_user").out)
    assert.equal(set.name, urls.SET)
    assert.equal("postgres pgbouncer mariadb", urls.SERVERS)
    assert.equal("t\n", psql(for_psql(urls.POSTGRES_TLS), "select ssl from pg_stat_ssl where pid = pg_backend_pid()").out)
    assert.equal("TLSv1.3\n", mariadb(urls.MARIADB_TLS,
      "select variable_value from information_schema.session_status where variable_name = 'Ssl_version'").out)
  end)

  it("lets its users do on MariaDB what specs need, and not more", function()
    local urls = set.urls()
    local function run(sql)
      return mariadb(urls.MARIADB, sql).out
    end
    assert.equal("", run "create database moonpool_another; drop database moonpool_another")
    assert.truthy(run "create database other":find("ERROR 1044", 1, true))
    assert.truthy(run "kill connection_id()":find("ERROR 1927", 1, true))
    assert.truthy(run "set global sql_mode = ''":find("ERROR 1227", 1, true))
    assert.equal("0\n", mariadb(urls.MARIADB_ADMIN, "select count(*) from mysql.global_priv where user = ''").out)
  end)

  it("asks for a password, over the socket too", function()
    local urls = set.urls()
    for _, what in ipairs{ "POSTGRES", "PGBOUNCER" } do
      local result = psql((urls[what]:gsub("moonpool:%x+@", "moonpool:wrong@")), "select 1")
      assert.equal(2, result.code)
      assert.truthy(result.out:find("authentication failed", 1, true), result.out)
    end
    for _, what in ipairs{ "MARIADB", "MARIADB_ADMIN", "MARIADB_TLS" } do
      local result = mariadb((urls[what]:gsub(":%x+@", ":wrong@")), "select 1")
      assert.equal(1, result.code)
      assert.truthy(result.out:find("ERROR 1045", 1, true), result.out)
    end
  end)

  it("is left alone by another up", function()
    local pids = read(set.place .. "/pids")
    assert.equal("", set.well "up")
    assert.equal(pids, read(set.place .. "/pids"))
  end)

  it("is where it was, with its data, after a restart and after a crash", function()
    local urls = set.urls()
    assert.equal("", psql(urls.POSTGRES, "create table kept as select 7 as n").out)
    assert.equal("", mariadb(urls.MARIADB, "create table kept as select 7 as n").out)
    for _, server in ipairs{ "postgres", "mariadb" } do
      for _, again in ipairs{ { "restart " }, { "stop ", "start " }, { "kill ", "up " } } do
        local pids = read(set.place .. "/pids")
        for _, word in ipairs(again) do
          set.well(word .. server)
        end
        assert.not_equal(pids, read(set.place .. "/pids"))
        assert.same(urls, set.urls())
        assert.equal("7\n", psql(urls.PGBOUNCER, "select n from kept").out, again[1])
        assert.equal("7\n", mariadb(urls.MARIADB, "select n from kept").out, again[1])
      end
    end
  end)

  it("says which server is missing, and the way out", function()
    set.well "kill pgbouncer"
    local result = set.run "env"
    assert.equal(1, result.code)
    assert.equal("scripts/databases: pgbouncer does not run: scripts/databases --set " .. set.name .. " up\n", result.out)
    assert.equal("starting pgbouncer again\n", set.well "up")
  end)

  it("shows the certificate that it is told to, until the next up", function()
    local urls = set.urls()
    local url = for_psql(urls.POSTGRES_TLS)
    for _, case in ipairs{
      { "wronghost", "does not match host name", "Validation of SSL server certificate failed" },
      { "expired", "certificate verify failed", "certificate has expired" },
      { "otherca", "certificate verify failed", "unable to get local issuer certificate" },
      { "off", "server does not support SSL", "SSL is required, but the server does not support it" },
    } do
      set.well("tls " .. case[1])
      local result = psql(url, "select 1")
      assert.equal(2, result.code, case[1])
      assert.truthy(result.out:find(case[2], 1, true), result.out)
      result = mariadb(urls.MARIADB_TLS, "select 1")
      assert.equal(1, result.code, case[1])
      assert.truthy(result.out:find(case[3], 1, true), result.out)
    end
    set.well "up"
    assert.equal("1\n", psql(url, "select 1").out)
    assert.equal("1\n", mariadb(urls.MARIADB_TLS, "select 1").out)
    set.well "tls expired postgres"
    assert.equal(2, psql(url, "select 1").code)
    assert.equal("1\n", mariadb(urls.MARIADB_TLS, "select 1").out)
    set.well "tls good"
  end)

  it("knows nothing of another set, and leaves nothing behind", function()
    local other = new_set()
    local urls, others = set.urls(), other.urls()
    for _, what in ipairs{ "POSTGRES", "POSTGRES_TLS", "PGBOUNCER", "MARIADB", "MARIADB_TLS", "CERTS" } do
      assert.not_equal(urls[what], others[what])
    end
    assert.equal("f\n", psql(others.POSTGRES, "select to_regclass('kept') is not null").out)
    local pids, directory = read(other.place .. "/pids"), read(other.place .. "/directory"):match "%S+"
    other.well "down"
    assert.equal(2, shell("ls -d " .. directory .. " " .. other.place).code)
    for pid in pids:gmatch "%d+" do
      assert.is_false(runs(pid))
    end
    local result = other.run "env"
    assert.equal(1, result.code)
    assert.truthy(result.out:find("scripts/databases --set " .. other.name .. " up", 1, true), result.out)
    assert.equal("", other.well "down")
    assert.equal("1\n", psql(urls.PGBOUNCER, "select 1").out)
  end)

  it("has only those servers that it was asked for", function()
    local some = new_set "mariadb"
    local urls = some.urls()
    assert.equal("mariadb", urls.SERVERS)
    assert.is_nil(urls.POSTGRES or urls.POSTGRES_TLS or urls.PGBOUNCER)
    assert.equal("1\n", mariadb(urls.MARIADB, "select 1").out)
    local result = some.run "restart postgres"
    assert.equal(1, result.code)
    assert.truthy(result.out:find("there is no postgres in the set " .. some.name .. ": ", 1, true), result.out)
    local pids = read(some.place .. "/pids")
    assert.equal("starting postgres pgbouncer\n", some.well "up pgbouncer")
    assert.truthy(read(some.place .. "/pids"):find(pids, 1, true))
    assert.equal("postgres pgbouncer mariadb", some.urls().SERVERS)
    assert.falsy(some.well("env mariadb"):find("POSTGRES", 1, true))
    some.well "down"
  end)

  it("is made anew where its directory is gone, and no server is left of the old one", function()
    local pids = read(set.place .. "/pids")
    assert.equal(0, shell("rm -rf " .. read(set.place .. "/directory"):match "^/tmp/mpdb%.%w+").code)
    set.well "up"
    assert.equal("1\n", psql(set.urls().PGBOUNCER, "select 1").out)
    assert.equal("1\n", mariadb(set.urls().MARIADB, "select 1").out)
    for pid in pids:gmatch "%d+" do
      assert.is_false(runs(pid))
    end
  end)
end)

describe("scripts/databases", function()
  it("says the whole reason when a server cannot be made, however much is said behind it, and leaves nothing", function()
    local place = os.tmpname()
    os.remove(place)
    local advice = ("echo 'some advice';"):rep(60)
    local result = shell(([[mkdir %s && cd %s && printf '#!/bin/sh\necho "the reason why" >&2\n%%s\nexit 1\n' %s >mariadb-install-db
      chmod 755 . mariadb-install-db; cd - >/dev/null
      PATH=%s:$PATH scripts/databases --set spec-broken up mariadb]]):format(place, place, quote(advice), place))
    os.execute("rm -rf " .. place)
    assert.not_equal(0, result.code)
    assert.truthy(result.out:find("the reason why", 1, true), result.out)
    assert.is_nil(io.open "build/databases/spec-broken")
  end)

  it("explains itself", function()
    local result = databases "--help"
    assert.equal(0, result.code)
    assert.truthy(result.out:find("usage: scripts/databases", 1, true))
  end)

  it("ends with 2 and an explanation when it is called wrongly", function()
    for _, words in ipairs{ "", "nonsense", "up up", "env all", "down mariadb", "restart", "restart mysql", "tls", "tls bad",
      "tls good pgbouncer", "--set", "--set ../x up" } do
      local result = databases(words)
      assert.equal(2, result.code, words)
      assert.truthy(result.out:find("usage: scripts/databases", 1, true), result.out)
    end
  end)
end)
