-- What libpq takes from the environment: the server, the user and the password; none of it makes a connection weaker.

local program = require "spec.support.program"
local servers = require "spec.support.servers"

local certificates, verified = servers.certificates, servers.verified.postgres

if not verified then
  return -- there is no server of ours
end

local plain = verified:gsub("%?.*", "")

describe("the environment", function()
  local quote = program.quote

  -- What the other process says: "true", "false" or the error's kind.
  local function dial_with(environment, url)
    local code = ([[
      local mp = require "moonpool"
      local db = mp.open(%q, { pool = { min = 0, max = 1 }, retry = { attempts = 1 } })
      local encrypted, err = mp.try(db.fetch_val, db, "select ssl from pg_stat_ssl where pid = pg_backend_pid()")
      io.write(tostring(err and err.kind or encrypted))
      db:close()]]):format(url)
    local result = program.run({ "-e", code }, environment .. " %s")
    assert.equal(0, result.code, result.err)
    return result.out
  end

  local service

  setup(function()
    service = os.tmpname()
    local file <close> = assert(io.open(service, "w"))
    file:write("[weak]\nsslmode=disable\nsslrootcert=", certificates, "/other-ca.crt\n")
  end)

  teardown(function()
    os.remove(service)
  end)

  after_each(servers.mend)

  local function weaker()
    return {
      "PGSSLMODE=disable", "PGSSLMODE=allow PGREQUIRESSL=0", "PGSSLMODE=prefer PGSSLROOTCERT=" .. quote(certificates .. "/other-ca.crt"),
      "PGSERVICE=weak PGSERVICEFILE=" .. quote(service), "PGGSSENCMODE=prefer PGSSLMODE=disable",
    }
  end

  it("makes nothing less encrypted or verified than it is without", function()
    for _, environment in ipairs(weaker()) do
      assert.equal("true", dial_with(environment, verified), environment)
      assert.equal("true", dial_with(environment, plain), environment)
    end
  end)

  it("makes no wrong certificate right", function()
    servers.tls "wronghost"
    for _, environment in ipairs(weaker()) do
      assert.equal("tls", dial_with(environment, verified), environment)
    end
    servers.tls "otherca"
    for _, environment in ipairs(weaker()) do
      assert.equal("tls", dial_with(environment, verified), environment)
    end
    servers.tls "off"
    for _, environment in ipairs(weaker()) do
      assert.equal("tls", dial_with(environment, verified), environment)
    end
  end)
end)

describe("the environment of PostgreSQL's programs", function()
  local quote = program.quote
  local user, password, host, port, database = plain:match "//([^:]+):([^@]+)@([^:]+):(%d+)/(.+)$"
  local service, passwords

  local function write(text)
    local name = os.tmpname()
    local file <close> = assert(io.open(name, "w"))
    file:write(text)
    return name
  end

  setup(function()
    service = write(("[shop]\nhost=%s\nport=%s\nuser=%s\ndbname=%s\n"):format(host, port, user, database))
    passwords = write(("# ours\n%s:%s:*:%s:%s\n"):format(host, port, user, password))
    assert(os.execute("chmod 600 " .. quote(passwords)))
  end)

  teardown(function()
    os.remove(service)
    os.remove(passwords)
  end)

  -- What the other process prints: user and database, or the error.
  local function dial_with(environment, url)
    local code = ([[
      local mp = require "moonpool"
      local db = mp.open(%q, { pool = { min = 0, max = 1 }, retry = { attempts = 1 } })
      local row, err = mp.try(db.fetch_one, db, "select current_user as u, current_database() as d")
      io.write(row and row.u .. " " .. row.d or tostring(err))]]):format(url)
    local result = program.run({ "-e", code }, "HOME=/nowhere " .. environment .. " %s")
    assert.equal(0, result.code, result.err)
    return result.out
  end

  it("fills in what the URL leaves out", function()
    local ours = user .. " " .. database
    local where = ("PGHOST=%s PGPORT=%s PGUSER=%s PGDATABASE=%s "):format(host, port, user, database)
    assert.equal(ours, dial_with(where .. "PGPASSWORD=" .. password, "postgres://"))
    assert.equal(ours, dial_with(where .. "PGPASSFILE=" .. quote(passwords), "postgres://"))
    local named = ("PGSERVICE=shop PGSERVICEFILE=%s PGPASSFILE=%s"):format(quote(service), quote(passwords))
    assert.equal(ours, dial_with(named, "postgres://"))
    assert.equal(ours, dial_with("PGHOST=nowhere PGPORT=1 PGUSER=nobody PGDATABASE=none PGPASSWORD=wrong", plain))
  end)

  it("is refused with its own words where it is wrong", function()
    assert.matches("^configuration: .*\"port\"", dial_with("PGPORT=abc", "postgres://app@127.0.0.1/shop"))
    assert.matches("^configuration: .*\"shoop\"", dial_with("PGSERVICE=shoop PGSERVICEFILE=" .. quote(service), "postgres://"))
    assert.matches("^configuration: .*\"/nowhere/services\"", dial_with("PGSERVICE=shop PGSERVICEFILE=/nowhere/services", "postgres://"))
    local unknown = ("PGHOST=%s PGPORT=%s PGUSER=%s PGPASSFILE=/nowhere/passwords"):format(host, port, user)
    assert.matches("^auth_failed: .*password file%)$", dial_with(unknown, "postgres://"))
  end)
end)
