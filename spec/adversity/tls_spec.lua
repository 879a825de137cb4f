-- Whom a connection believes: servers with the wrong certificate, with none, and passwords that are wrong.
-- The certificate of the server is changed under way; scripts/databases puts it back.

local mp = require "moonpool"
local servers = require "spec.support.servers"

-- encrypted: what a session says of itself. The others are words of the refusals, which are the libraries' own.
local kinds = {
  {
    name = "postgres", title = "PostgreSQL", encrypted = "select ssl from pg_stat_ssl where pid = pg_backend_pid()",
    untrusted = "certificate verify failed", no_certificate = "certificate", wrong_password = "password authentication failed",
    state = "28P01", other_host = "does not match host name", expired = "certificate verify failed",
    other_ca = "certificate verify failed", query = "?sslmode=verify-full&sslrootcert=",
  },
  {
    name = "mariadb", title = "MariaDB",
    encrypted = "select variable_value <> '' from information_schema.session_status where variable_name = 'Ssl_cipher'",
    untrusted = "certificate in certificate chain", no_certificate = "moonpool_cert", wrong_password = "moonpool",
    state = "28000", other_host = "Validation of SSL server certificate failed", expired = "has expired",
    other_ca = "unable to get local issuer certificate", query = "?tls.mode=verify_full&tls.ca=",
  },
}

local certificates = servers.certificates

local function describe_server(kind, verified)
  local plain = verified:gsub("%?.*", "")
  local ca = certificates .. "/ca.crt"


  -- Whether the session is encrypted; or nil and the error.
  local function dial(url, options)
    options = options or {}
    options.pool = { min = 0, max = 1 }
    options.retry = { attempts = 1 }
    local db = mp.open(url, options)
    local encrypted, err = mp.try(db.fetch_val, db, kind.encrypted)
    db:close()
    if err then
      return nil, err
    end
    return encrypted == true or encrypted == 1
  end

  local function refused(what, words, url, options)
    local encrypted, err = dial(url, options)
    assert.is_nil(encrypted)
    assert.equal(what, err.kind, tostring(err))
    local text = tostring(err)
    assert.truthy(text:find(words, 1, true), text)
    assert.falsy(text:find(plain:match ":([^:@/]+)@", 1, true), "the password is shown")
    return err
  end

  describe(kind.title .. " with a good certificate", function()
    it("is believed", function()
      assert.is_true(dial(verified))
      assert.is_true(dial(plain, { tls = { mode = "verify_ca", ca = ca } }))
      assert.is_true(dial(plain, { tls = { ca = ca } }))
      assert.is_true(dial(plain .. kind.query .. ca))
    end)

    it("is encrypted with, but not believed, where nobody asks for more", function()
      assert.is_true(dial(plain, { tls = { mode = "require" } }))
      assert.is_true(dial(plain)) -- the loopback: TLS is preferred
      assert.is_false(dial(plain, { tls = { mode = "off" } }))
    end)

    it("is not believed on the word of another CA, or of those of the system", function()
      refused("tls", kind.untrusted, plain, { tls = { ca = certificates .. "/other-ca.crt" } })
      refused("tls", "tls = { ca =", plain, { tls = { mode = "verify_full" } })
    end)

    it("is not asked when the file of the CA is not there", function()
      refused("tls", "/nowhere/ca.crt", plain, { tls = { ca = "/nowhere/ca.crt" } })
      refused("tls", "is a file of certificates in PEM form", plain, { tls = { ca = "/etc/passwd" } })
    end)

    it("is not shown a certificate that is not there", function()
      refused("tls", "option tls.cert: the file \"/nowhere/me.crt\" cannot be read", verified,
        { tls = { cert = "/nowhere/me.crt", key = certificates .. "/client.key" } })
      refused("tls", "option tls.key: the file \"/nowhere/me.key\" cannot be read", verified,
        { tls = { cert = certificates .. "/client.crt", key = "/nowhere/me.key" } })
    end)

    it("believes a client by his certificate", function()
      local url = plain:gsub("//[^@]+@", "//moonpool_cert@") .. "?tls.ca=" .. ca
      assert.is_true(dial(url, { tls = { cert = certificates .. "/client.crt", key = certificates .. "/client.key" } }))
      refused("auth_failed", kind.no_certificate, url)
    end)

    it("refuses a wrong password, and a database that is not there", function()
      local err = refused("auth_failed", kind.wrong_password, (plain:gsub(":[^:@/]+@", ":wrong@")))
      assert.equal(kind.state, err.sqlstate)
      refused("unknown_database", "moonpool_is_not_here", (plain:gsub("[^/]*$", "moonpool_is_not_here")))
    end)
  end)

  describe(kind.title .. " with", function()
    after_each(servers.mend)

    it("another host's certificate is refused, unless only the CA counts", function()
      servers.tls("wronghost", kind.name)
      refused("tls", kind.other_host, verified)
      assert.is_true(dial(plain, { tls = { mode = "verify_ca", ca = ca } }))
    end)

    it("an expired certificate is refused", function()
      servers.tls("expired", kind.name)
      refused("tls", kind.expired, verified)
      refused("tls", kind.expired, plain, { tls = { mode = "verify_ca", ca = ca } })
    end)

    it("another CA's certificate is refused", function()
      servers.tls("otherca", kind.name)
      refused("tls", kind.other_ca, verified)
      refused("tls", kind.other_ca, plain, { tls = { mode = "verify_ca", ca = ca } })
      assert.is_true(dial(plain, { tls = { mode = "require" } }))
    end)

    it("no TLS is refused where TLS is asked for, and told how to go on", function()
      servers.tls("off", kind.name)
      for _, mode in ipairs{ "require", "verify_ca", "verify_full" } do
        refused("tls", "tls = { mode = \"off\" }", plain, { tls = { mode = mode } })
      end
      assert.is_false(dial(plain, { tls = { mode = "prefer" } }))
      assert.is_false(dial(plain))
    end)
  end)
end

for _, kind in ipairs(kinds) do
  if servers.verified[kind.name] then -- one of ours
    describe_server(kind, servers.verified[kind.name])
  end
end
