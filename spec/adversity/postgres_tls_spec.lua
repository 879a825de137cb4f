-- Whom a connection to PostgreSQL believes: servers with the wrong certificate, with none, and passwords that are wrong.
-- The certificate of the server is changed under way; scripts/databases puts it back.

local mp = require "moonpool"
local program = require "spec.support.program"
local servers = require "spec.support.servers"

local certificates, verified = servers.certificates, servers.verified.postgres

if not verified then
  return -- there is no server of ours
end

local plain = verified:gsub("%?.*", "")
local ca = certificates .. "/ca.crt"

-- Whether the session is encrypted; or nil and the error.
local function dial(url, options)
  options = options or {}
  options.pool = { min = 0, max = 1 }
  options.retry = { attempts = 1 }
  local db = mp.open(url, options)
  local encrypted, err = mp.try(db.fetch_val, db, "select ssl from pg_stat_ssl where pid = pg_backend_pid()")
  db:close()
  return encrypted, err
end

local function refused(kind, words, url, options)
  local encrypted, err = dial(url, options)
  assert.is_nil(encrypted)
  assert.equal(kind, err.kind, tostring(err))
  local text = err.message .. " " .. (err.hint or "")
  assert.truthy(text:find(words, 1, true), text)
  assert.falsy(text:find(plain:match ":([^:@/]+)@", 1, true), "the password is shown")
  return err
end

describe("a server with a good certificate", function()
  it("is believed", function()
    assert.is_true(dial(verified))
    assert.is_true(dial(plain, { tls = { mode = "verify_ca", ca = ca } }))
    assert.is_true(dial(plain, { tls = { ca = ca } }))
    assert.is_true(dial(plain .. "?sslmode=verify-full&sslrootcert=" .. ca))
  end)

  it("is encrypted with, but not believed, where nobody asks for more", function()
    assert.is_true(dial(plain, { tls = { mode = "require" } }))
    assert.is_true(dial(plain)) -- the loopback: TLS is preferred
    assert.is_false(dial(plain, { tls = { mode = "off" } }))
  end)

  it("is not believed on the word of another CA, or of those of the system", function()
    refused("tls", "certificate verify failed", plain, { tls = { ca = certificates .. "/other-ca.crt" } })
    refused("tls", "tls = { ca =", plain, { tls = { mode = "verify_full" } })
  end)

  it("is not asked when the file of the CA is not there", function()
    refused("tls", "/nowhere/ca.crt", plain, { tls = { ca = "/nowhere/ca.crt" } })
  end)

  it("believes a client by his certificate", function()
    local url = plain:gsub("//[^@]+@", "//moonpool_cert@") .. "?tls.ca=" .. ca
    assert.is_true(dial(url, { tls = { cert = certificates .. "/client.crt", key = certificates .. "/client.key" } }))
    refused("auth_failed", "certificate", url)
  end)

  it("refuses a wrong password, and a database that is not there", function()
    local err = refused("auth_failed", "password authentication failed", (plain:gsub(":[^:@/]+@", ":wrong@")))
    assert.equal("28P01", err.sqlstate)
    refused("unknown_database", "\"moonpool_is_not_here\"", (plain:gsub("[^/]*$", "moonpool_is_not_here")))
  end)
end)

describe("a server with", function()
  after_each(servers.mend)

  it("another host's certificate is refused, unless only the CA counts", function()
    servers.tls "wronghost"
    refused("tls", "does not match host name", verified)
    assert.is_true(dial(plain, { tls = { mode = "verify_ca", ca = ca } }))
  end)

  it("an expired certificate is refused", function()
    servers.tls "expired"
    refused("tls", "certificate verify failed", verified)
    refused("tls", "has expired", plain, { tls = { mode = "verify_ca", ca = ca } })
  end)

  it("another CA's certificate is refused", function()
    servers.tls "otherca"
    refused("tls", "certificate verify failed", verified)
    refused("tls", "certificate verify failed", plain, { tls = { mode = "verify_ca", ca = ca } })
    assert.is_true(dial(plain, { tls = { mode = "require" } }))
  end)

  it("no TLS is refused where TLS is asked for, and told how to go on", function()
    servers.tls "off"
    for _, mode in ipairs{ "require", "verify_ca", "verify_full" } do
      refused("tls", "tls = { mode = \"off\" }", plain, { tls = { mode = mode } })
    end
    assert.is_false(dial(plain, { tls = { mode = "prefer" } }))
    assert.is_false(dial(plain))
  end)
end)

-- libpq would listen to these.
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
