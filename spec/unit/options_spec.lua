-- What a database may be configured with: each option checked, what does not fit the dialect refused, URLs read as
-- their users know them. Nothing is connected.

local options = require "moonpool.database.options"
local mp = require "moonpool"

local function refused(kind, words, ...)
  local ok, err = pcall(options.read, ...)
  assert.is_false(ok, "it was taken")
  assert.equal(kind, err.kind, tostring(err))
  assert.truthy(err.message:find(words, 1, true), err.message)
  assert.falsy(err.message:find("s3cret", 1, true), err.message)
end

describe("a PostgreSQL database", function()
  it("is configured with a URL", function()
    local read = options.read "postgres://app:s3cret@db:6543/shop?application_name=till&pool.max=3&connect_timeout=2"
    assert.same({ "postgres", "db", 6543, "app", "s3cret", "shop" },
      { read.dialect, read.host, read.port, read.user, read.password, read.database })
    assert.equal("till", read.application_name)
    assert.equal(3, read.pool.max)
    assert.equal(2, read.connect_timeout)
  end)

  it("leaves to PostgreSQL's own rules what is not given", function()
    local read = options.read "postgres://"
    assert.same({}, { read.host, read.port, read.user, read.database, read.tls })
    assert.equal(5433, options.read("yugabyte://db").port)
  end)

  it("has a pipeline, unless it is told not to", function()
    assert.is_true(options.read("postgres://").pool.pipeline)
    assert.is_false(options.read("postgres://?pool.pipeline=false").pool.pipeline)
    assert.is_nil(options.read("sqlite::memory:").pool.pipeline)
    refused("unsupported", "only PostgreSQL has a pipeline", "sqlite::memory:", { pool = { pipeline = true } })
  end)

  it("keeps nothing in a session behind a pooler", function()
    local read = options.read("postgres://db", { pooler = true })
    assert.is_false(read.pool.pipeline)
    assert.equal(0, read.statement_cache)
    assert.equal(100, options.read("postgres://db").statement_cache)
    refused("configuration", "option pool.pipeline", "postgres://db", { pooler = true, pool = { pipeline = true } })
    refused("configuration", "option statement_cache", "postgres://db", { pooler = true, statement_cache = 5 })
    refused("configuration", "option pooler", "postgres://db", { pooler = "yes" })
    refused("unsupported", "SQLite has no pooler", "sqlite::memory:", { pooler = true })
  end)

  it("may have several hosts", function()
    local read = options.read "postgres://app@a:5433,b,[::1]:5434/shop?target_session_attrs=read-write"
    assert.equal("a:5433,b,[::1]:5434", read.host)
    assert.is_nil(read.port)
    assert.equal("read-write", read.target_session_attrs)
    refused("configuration", "(did you mean standby?)", "postgres://a,b/shop?target_session_attrs=standy")
    refused("unsupported", "target_session_attrs", "sqlite::memory:", { target_session_attrs = "any" })
  end)

  it("may be reached by a unix socket, in a URL or by the option host", function()
    assert.equal("/var/run/postgresql", options.read("postgres://%2Fvar%2Frun%2Fpostgresql/shop").host)
    assert.equal("/var/run/postgresql", options.read("postgres:///shop?host=/var/run/postgresql").host)
  end)

  it("takes in a URL's query what may stand in its other parts, but once", function()
    local read = options.read "postgres:///?host=db&port=6543&user=app&password=s3cret&dbname=shop"
    assert.same({ "db", 6543, "app", "s3cret", "shop" },
      { read.host, read.port, read.user, read.password, read.database })
    refused("configuration", "the option host is given twice", "postgres://app:s3cret@db/shop?host=other")
    refused("configuration", "the option dbname is given twice", "postgres://db/shop?dbname=other")
    refused("unknown_option", "no option dialect", "postgres://db/shop?dialect=sqlite")
  end)

  it("takes a MariaDB server's unix socket as a host, or as an option", function()
    assert.equal("/run/my.sock", options.read("mariadb://app@%2Frun%2Fmy.sock/shop").host)
    assert.equal("/run/my.sock", options.read("mysql://app@localhost/shop?socket=/run/my.sock").socket)
    refused("unsupported", "option socket: only MariaDB", "postgres://db/shop?socket=/run/my.sock")
    local ok, err = pcall(mp.open, "mariadb://db/shop?socket=/run/my.sock")
    assert.is_false(ok)
    assert.truthy(err.message:find("leads elsewhere", 1, true), err.message)
    ok, err = pcall(mp.open, "mariadb://a,b/shop")
    assert.is_false(ok)
    assert.equal("unsupported", err.kind)
  end)

  it("checks ports", function()
    for _, port in ipairs{ 0, 65536, 5432.5, -1, "abc" } do
      refused("configuration", "option port takes a whole number from 1 to 65535", { dialect = "postgres", port = port })
    end
  end)
end)

describe("tls", function()
  it("is a table of a mode and files", function()
    local tls = { mode = "verify_ca", ca = "ca.crt", cert = "c.crt", key = "c.key" }
    assert.same(tls, options.read("postgres://db", { tls = tls }).tls)
    assert.same({ mode = "require" }, options.read("postgres://db?tls.mode=require").tls)
    refused("configuration", "option tls takes a table", "postgres://db", { tls = true })
    refused("configuration", "option tls.mode: no \"verify-full\" (did you mean verify_full?)", "postgres://db",
      { tls = { mode = "verify-full" } })
    refused("unknown_option", "no option tls.cert_file", "postgres://db", { tls = { cert_file = "x" } })
    refused("unsupported", "SQLite has no connection to encrypt", "sqlite::memory:", { tls = { mode = "off" } })
  end)

  it("is what a PostgreSQL URL says by the names of libpq", function()
    local modes = { disable = "off", prefer = "prefer", require = "require", ["verify-ca"] = "verify_ca",
      ["verify-full"] = "verify_full" }
    for libpq, ours in pairs(modes) do
      assert.same({ mode = ours }, options.read("postgresql://db/shop?sslmode=" .. libpq).tls)
    end
    assert.same({ ca = "a", cert = "b", key = "c" },
      options.read("postgres://db?sslrootcert=a&sslcert=b&sslkey=c").tls)
    refused("unsupported", "sslmode=prefer", "postgres://db?sslmode=allow")
    refused("configuration", "no sslmode \"verify_full\"", "postgres://db?sslmode=verify_full")
    refused("unsupported", "leave it out", "postgres://db?sslrootcert=system")
    refused("configuration", "the option sslmode is given twice", "postgres://db?tls.mode=off&sslmode=require")
    refused("unknown_option", "no option sslmod (did you mean sslmode?)", "postgres://app:s3cret@db?sslmod=require")
    refused("unknown_option", "no option sslmode", "sqlite:x.db?sslmode=require")
  end)

  it("is checked as a whole when the database is opened", function()
    for words, tls in pairs{
      ["option tls.ca: with tls.mode \"require\" nothing is verified"] = { mode = "require", ca = "ca.crt" },
      ["tls.cert and tls.key"] = { cert = "c.crt" },
      ["no certificate is sent"] = { mode = "off", cert = "c.crt", key = "c.key" },
    } do
      local ok, err = pcall(mp.open, "postgres://db/shop", { tls = tls })
      assert.is_false(ok)
      assert.equal("configuration", err.kind)
      assert.truthy(err.message:find(words, 1, true), err.message)
    end
  end)
end)

describe("a database's name in messages", function()
  it("is its URL without the password", function()
    for url, shown in pairs{
      ["postgres://app:s3cret@db:6543/shop?sslmode=disable"] = "postgres://app@db:6543/shop",
      ["postgresql://app:s3cret@a:1,b,[::1]:2/shop"] = "postgres://app@a:1,b,[::1]:2/shop",
      ["postgres://app:s3cret@[::1]:6543/shop"] = "postgres://app@[::1]:6543/shop",
      ["postgres://%2Frun%2Fpg:6543/shop"] = "postgres://%2Frun%2Fpg:6543/shop",
      ["postgres://"] = "postgres:///",
    } do
      local db = mp.open(url)
      assert.equal(shown, tostring(db))
      db:close()
    end
  end)
end)

describe("an option by the name that another library has for it", function()
  it("is refused with ours", function()
    for name, ours in pairs{
      dbname = "database", db = "database", username = "user", provider = "dialect", minsize = "pool.min",
      pool_max = "pool.max", pool_timeout = "pool.timeout", ssl = "tls.mode",
    } do
      refused("unknown_option", ("no option %s (did you mean %s?)"):format(name, ours), { dialect = "postgres", [name] = 1 })
    end
    refused("unknown_option", "no option pool.min_size (did you mean pool.min?)", { dialect = "postgres", pool = { min_size = 1 } })
    refused("unknown_option", "no option pool.maxx (did you mean pool.max?)", "postgres://db/shop?pool.maxx=3")
    refused("unknown_option", "no option tls.mod (did you mean tls.mode?)", "mariadb://db/shop?tls.mod=off")
    local _, err = pcall(options.read, { dialect = "postgres", pool = { dbname = "x" } })
    assert.equal("no option pool.dbname", err.message) -- no option of a pool is meant
  end)
end)
