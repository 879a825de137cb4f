-- Whom a connection to MariaDB believes: servers with the wrong certificate, with none, and passwords that are wrong.
-- The certificate of the server is changed under way; scripts/databases puts it back.

local mp = require "moonpool"
local servers = require "spec.support.servers"

local certificates, verified = servers.certificates, servers.verified.mariadb

if not verified then
  return -- there is no server of ours
end

local plain = verified:gsub("%?.*", "")
local ca = certificates .. "/ca.crt"

local CIPHER = "select variable_value from information_schema.session_status where variable_name = 'Ssl_cipher'"

-- Whether the session is encrypted; or nil and the error.
local function dial(url, options)
  options = options or {}
  options.pool = { min = 0, max = 1 }
  options.retry = { attempts = 1 }
  local db = mp.open(url, options)
  local cipher, err = mp.try(db.fetch_val, db, CIPHER)
  db:close()
  if cipher then
    return cipher ~= ""
  end
  return nil, err
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
  end)

  it("is encrypted with, but not believed, where nobody asks for more", function()
    assert.is_true(dial(plain, { tls = { mode = "require" } }))
    assert.is_true(dial(plain)) -- the loopback: TLS is preferred
    assert.is_false(dial(plain, { tls = { mode = "off" } }))
  end)

  it("is not believed on the word of another CA, or of those of the system", function()
    refused("tls", "certificate in certificate chain", plain, { tls = { ca = certificates .. "/other-ca.crt" } })
    refused("tls", "tls = { ca =", plain, { tls = { mode = "verify_full" } })
  end)

  it("is not asked when the file of the CA is not there", function()
    refused("tls", "/nowhere/ca.crt", plain, { tls = { ca = "/nowhere/ca.crt" } })
  end)

  it("believes a client by his certificate", function()
    local url = plain:gsub("//[^@]+@", "//moonpool_cert@") .. "?tls.ca=" .. ca
    assert.is_true(dial(url, { tls = { cert = certificates .. "/client.crt", key = certificates .. "/client.key" } }))
    refused("auth_failed", "moonpool_cert", url)
  end)

  it("refuses a wrong password, and a database that is not there", function()
    local err = refused("auth_failed", "moonpool", (plain:gsub(":[^:@/]+@", ":wrong@")))
    assert.equal(1045, err.code)
    refused("unknown_database", "moonpool_is_not_here", (plain:gsub("[^/]*$", "moonpool_is_not_here")))
  end)
end)

describe("a server with", function()
  after_each(servers.mend)

  it("another host's certificate is refused, unless only the CA counts", function()
    servers.tls("wronghost", "mariadb")
    refused("tls", "Validation of SSL server certificate failed", verified)
    assert.is_true(dial(plain, { tls = { mode = "verify_ca", ca = ca } }))
  end)

  it("an expired certificate is refused", function()
    servers.tls("expired", "mariadb")
    refused("tls", "has expired", verified)
    refused("tls", "has expired", plain, { tls = { mode = "verify_ca", ca = ca } })
  end)

  it("another CA's certificate is refused", function()
    servers.tls("otherca", "mariadb")
    refused("tls", "unable to get local issuer certificate", verified)
    refused("tls", "unable to get local issuer certificate", plain, { tls = { mode = "verify_ca", ca = ca } })
    assert.is_true(dial(plain, { tls = { mode = "require" } }))
  end)

  it("no TLS is refused where TLS is asked for, and told how to go on", function()
    servers.tls("off", "mariadb")
    for _, mode in ipairs{ "require", "verify_ca", "verify_full" } do
      refused("tls", "tls = { mode = \"off\" }", plain, { tls = { mode = mode } })
    end
    assert.is_false(dial(plain, { tls = { mode = "prefer" } }))
    assert.is_false(dial(plain))
  end)
end)
