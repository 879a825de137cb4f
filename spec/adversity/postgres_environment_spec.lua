-- What libpq would take from the environment: none of it makes a connection to PostgreSQL weaker.

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
