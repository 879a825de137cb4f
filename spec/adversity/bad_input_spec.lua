-- Bad input: a clear error, and nothing has changed.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local program = require "spec.support.program"
local raises = databases.raises
local f = mp.field

describe("bad input", function()
  local db, close, path, User

  before_each(function()
    db, close, path = databases.file.open()
    User = mp.entity("User", { name = f.string{ max = 20 }, age = f.integer{ null = true } }, { database = db })
    db:create_all()
    User:create{ name = "ada", age = 36 }
  end)

  after_each(function()
    assert.equal(1, User:count())
    assert.equal(36, User:get(1).age)
    close()
  end)

  it("is an unknown field, named with the nearest one", function()
    for _, use in ipairs{
      function() return User:filter{ agee = 1 }:all() end,
      function() return User:order_by("agee"):all() end,
      function() return User:values("agee"):all() end,
      function() return User:create{ name = "x", agee = 1 } end,
      function() return User:filter{ id = 1 }:update{ agee = 1 } end,
      function() return User.c.agee end,
    } do
      local err = raises("unknown_field", use)
      assert.truthy(err.message:find("age", 1, true), err.message)
    end
  end)

  it("is an unknown lookup, named with the nearest one", function()
    local err = raises("unknown_lookup", function() return User:filter{ name__containz = "x" }:all() end)
    assert.truthy(err.message:find("contains", 1, true), err.message)
  end)

  it("is hostile text where a name is expected", function()
    for _, text in ipairs{ "name; drop table user", "name\"", "name desc", "--name", "name\0", "1", "", "*", "a.b", "name__" } do
      raises("usage", function() return User:order_by(text):all() end)
      raises("usage", function() return User:filter{ [text] = 1 }:all() end)
      raises("usage", function() return User:values(text):all() end)
    end
  end)

  it("is hostile text as a value, which stays data", function()
    for _, text in ipairs{ "'; drop table user; --", "\"", "\\", "%", "_", "?", ":name", "$1", "--" } do
      assert.equal(0, User:filter{ name = text }:count())
      assert.equal(0, User:filter{ name__contains = text }:count())
    end
  end)

  it("is a value of the wrong type", function()
    for _, age in ipairs{ "old", true, 1.5, {}, print, 2 ^ 63, 0 / 0 } do
      raises("validation", User.create, User, { name = "x", age = age })
      raises("usage", function() return User:filter{ age = age }:all() end)
    end
    raises("validation", User.create, User, { name = 5 })
    local err = raises("usage", function() return User:filter{ age = "old" }:all() end)
    assert.truthy(err.message:find("User.age", 1, true), err.message)
  end)

  it("is a boolean handed to filter", function()
    for _, condition in ipairs{ User.age == 3, not User.age } do
      local err = raises("bad_argument", User.filter, User, condition)
      assert.truthy(err.message:find("eq", 1, true), err.message)
    end
  end)

  it("is update or delete without a condition", function()
    local err = raises("unfiltered", User.delete, User)
    assert.truthy(err.message:find("all_rows", 1, true), err.message)
    raises("unfiltered", User.update, User, { age = 1 })
  end)

  it("is NUL or invalid UTF-8 in text", function()
    for _, text in ipairs{ "a\0b", "\xff", "\xed\xa0\x80" } do
      raises("validation", User.create, User, { name = text })
      raises("encoding", db.fetch_all, db, "select ?", text)
    end
  end)

  it("is a wrong number of parameters", function()
    raises("bad_parameters", db.fetch_all, db, "select ?")
    raises("bad_parameters", User.raw, User, "select * from user where id = ?")
  end)

  it("is a query after close", function()
    local other = mp.open("sqlite:" .. path)
    other:fetch_val("select 1")
    other:close()
    raises("pool_closed", other.fetch_val, other, "select 1")
  end)
end)

describe("a bad file", function()
  local function fails(kind, url, check)
    local db = mp.open(url)
    local err = raises(kind, db.fetch_val, db, "select count(*) from sqlite_master")
    if check then
      check(err)
    end
    db:close()
  end

  it("in a folder that is not there is named", function()
    fails("connect_failed", "sqlite:/nowhere/at/all/x.db", function(err)
      assert.truthy(err.message:find("/nowhere/at/all/x.db", 1, true), err.message)
    end)
  end)

  it("that is no database is left as it was", function()
    local path = databases.fresh_path()
    local file = assert(io.open(path, "wb"))
    file:write(("this is not a database. "):rep(100))
    file:close()
    fails("corruption", "sqlite:" .. path)
    assert.equal(2400, assert(io.open(path, "rb")):seek("end"))
    databases.remove(path)
  end)

  it("with damaged pages raises corrupt", function()
    local db, close, path = databases.file.open()
    db:execute("create table t (x)")
    db:execute_many("insert into t values (?)", (function()
      local rows = {}
      for i = 1, 2000 do
        rows[i] = { ("x"):rep(100) .. i }
      end
      return rows
    end)())
    db:close()
    local file = assert(io.open(path, "r+b"))
    for page = 2, 40 do
      file:seek("set", page * 4096)
      file:write(("\255"):rep(64))
    end
    file:close()
    local again = mp.open("sqlite:" .. path)
    raises("corruption", again.fetch_val, again, "select sum(length(x)) from t")
    again:close()
    close()
  end)

  it("that may only be read refuses writes", function()
    local db, close, path = databases.file.open()
    db:execute("create table t (x)")
    db:close()
    local reader = mp.open("sqlite:" .. path .. "?mode=ro")
    assert.equal(0, reader:fetch_val("select count(*) from t"))
    local err = raises("read_only_database", reader.execute, reader, "insert into t values (1)")
    assert.truthy(mp.is(err, "permission"))
    reader:close()
    close()
  end)

  it("locked by another process makes a writer wait, then raises busy at the deadline", function()
    local db, close, path = databases.file.open()
    db:execute("create table t (x)")
    local hasty = databases.warm(mp.open("sqlite:" .. path, { pool = { max = 1, timeout = 0.3 } }))
    local ready = os.tmpname()
    os.remove(ready)
    -- The other process holds the write lock until its standard input ends.
    local code = ([[
      local tx = require "moonpool".open("sqlite:%s"):begin()
      require "moonpool".open("sqlite:%s"):fetch_val("select 1")
      tx:savepoint()
      assert(io.open("%s", "w")):close()
      io.read "a"
      tx:rollback()
    ]]):format(path, path, ready)
    local holder = io.popen(program.quote(program.path) .. " -e " .. program.quote(code), "w")
    mp.timeout(60, function()
      while not io.open(ready) do
        mp.sleep(0.01)
      end
    end)
    local turns = 0
    local ticker = mp.spawn(function()
      while true do
        mp.sleep(0.001)
        turns = turns + 1
      end
    end)
    local err = raises("busy", hasty.execute, hasty, "insert into t values (1)")
    assert.equal("transaction", err.retryable)
    local before = turns
    raises("busy", hasty.atomic, hasty, function() end)
    assert.truthy(turns > before, "nobody else had a turn")
    hasty:close()
    assert.equal(0, db:fetch_val("select count(*) from t"))
    local waiting = mp.spawn(db.execute, db, "insert into t values (2)")
    mp.sleep(0.02)
    holder:close()
    waiting:wait()
    assert.equal(1, db:fetch_val("select count(*) from t"))
    ticker:cancel()
    os.remove(ready)
    close()
  end)
end)
