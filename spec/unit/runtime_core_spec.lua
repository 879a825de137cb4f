local core = require "moonpool.core"
local runtime = require "moonpool.runtime"

local script = [[
select all -> columns id:int, name:text; row 1, "ada"; row 2, null
select twice -> columns id:int, id:int; row 1, 2
select text -> columns t:text; row "12.50"; row "x"
select null -> columns n:int; row null; row 2
select none -> columns n:int
select params -> params
stream -> columns n:int; row # *10
broken stream -> columns n:int; row # *4
insert -> affected 1; id 7
bad -> error unique "duplicate" columns=a,b table=t constraint=c code=2067 detail=d
slow -> delay 3; columns n:int; row 1
hang -> hang
set password "secret"
]]

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

local function take(id)
  runtime.await(id)
  return core.take(id)
end

-- What happens in the background is given time; a failure shows as never having happened.
local function eventually(happened)
  for _ = 1, 5000 do
    if happened() then
      return true
    end
    runtime.sleep(0.001)
  end
  return false
end

describe("the core", function()
  local pool

  before_each(function()
    core.fake("core", script)
    pool = assert(core.pool { backend = "fake", database = "core", max = 2, timeout = 60 })
    pool:set_password "secret"
  end)

  after_each(function()
    take(pool:close(0))
    core.fake("core", nil)
    pool = nil
  end)

  local function query(sql, ...)
    local id = pool:query(sql, nil, { ... }, select("#", ...))
    runtime.await(id)
    return id
  end

  describe("reads rows", function()
    it("by name, NULL absent", function()
      assert.same({ { id = 1, name = "ada" }, { id = 2 } }, core.rows(query "select all"))
    end)

    it("by the names and kinds of a plan", function()
      local plan = { names = { "key", "who" }, kinds = { core.kind.float, core.kind.text } }
      local rows = core.rows(query "select all", plan)
      assert.same({ { key = 1.0, who = "ada" }, { key = 2.0 } }, rows)
    end)

    it("as arrays with their names, NULL leaving its place empty", function()
      local rows, names = core.arrays(query "select all")
      assert.same({ { 1, "ada" }, { 2 } }, rows)
      assert.same({ "id", "name" }, names)
      assert.same({ { 1, 2 } }, (core.arrays(query "select twice")))
    end)

    it("as one value, telling whether there was a row", function()
      assert.same({ 1, true }, { core.value(query "select all") })
      assert.same({ nil, true }, { core.value(query "select null") })
      assert.same({ nil, false }, { core.value(query "select none") })
    end)

    it("as a column, with mp.null for NULL", function()
      assert.same({ core.null, 2 }, core.column(query "select null"))
    end)

    it("as objects with their originals", function()
      local meta, states, batch = {}, setmetatable({}, { __mode = "k" }), {}
      local plan = { names = { "id", "name" }, kinds = { core.kind.int, core.kind.text }, meta = meta }
      local objects = core.objects(query "select all", plan, states, batch)
      assert.equal(meta, getmetatable(objects[1]))
      assert.equal("ada", objects[1].name)
      assert.equal(batch, states[objects[2]].batch)
      assert.is_nil(states[objects[1]]:changed(objects[1], plan))
      objects[1].name = "eve"
      assert.same({ 2 }, states[objects[1]]:changed(objects[1], plan))
    end)

    it("refuses two columns of one name", function()
      local rows, err = core.rows(query "select twice")
      assert.is_nil(rows)
      assert.equal("duplicate_column", err.kind)
      assert.truthy(err.message:find('"id"', 1, true))
    end)

    it("refuses a plan that does not fit", function()
      local rows, err = core.rows(query "select all", { names = { "id" }, kinds = {} })
      assert.is_nil(rows)
      assert.equal("undefined_column", err.kind)
    end)

    it("names the column and the row of a cell that is not of its kind, never the value", function()
      local rows, err = core.rows(query "select text", { names = { "t" }, kinds = { core.kind.decimal } })
      assert.is_nil(rows)
      assert.equal("type_mismatch", err.kind)
      assert.truthy(err.message:find('column "t", row 2', 1, true), err.message)
      assert.is_nil(err.message:find "x$")
    end)
  end)

  it("gives affected rows and the generated id", function()
    assert.same({ 1, 7 }, { core.take(query "insert") })
  end)

  it("gives a failure as a plain table with what the database said", function()
    local affected, err = core.take(query "bad")
    assert.is_nil(affected)
    assert.equal("unique", err.kind)
    assert.equal("duplicate", err.message)
    assert.same({ "a", "b" }, err.columns)
    assert.equal("t", err.table)
    assert.equal("c", err.constraint)
    assert.equal(2067, err.code)
    assert.equal("d", err.detail)
    assert.is_true(err.sent)
    assert.is_false(err.retryable)
    assert.is_nil(getmetatable(err))
  end)

  it("measures waiting and running", function()
    local id = query "slow"
    local waited, ran = core.times(id)
    assert.is_true(waited >= 0)
    assert.is_true(ran >= 0.002)
    core.take(id)
  end)

  describe("an operation", function()
    it("that was taken or forgotten is stale", function()
      local id = query "insert"
      core.take(id)
      assert.equal("stale_handle", raised(core.take, id).kind)
      assert.equal("stale_handle", raised(core.cancel, id, "cancelled").kind)
      id = pool:query("insert", nil, {}, 0)
      core.forget(id)
      assert.equal("stale_handle", raised(core.done, id).kind)
    end)

    it("does not hit the one that took its place", function()
      local old = core.timer(30)
      core.forget(old)
      local new = core.timer(30)
      assert.not_equal(old, new)
      assert.equal("stale_handle", raised(core.forget, old).kind)
      assert.is_false(core.done(new))
      core.forget(new)
    end)

    it("is told once, in the order of finishing", function()
      local slow = pool:query("slow", nil, {}, 0)
      local late, soon = core.timer(0.002), core.timer(0)
      local order = {}
      for _, id in ipairs { late, soon } do
        runtime.watch(id, { fire = function(_, ready) order[#order + 1] = ready end })
      end
      runtime.await(slow)
      core.forget(slow)
      assert.same({ soon, late }, order)
      core.take(late)
      core.take(soon)
    end)

    it("can be waited for after it has finished", function()
      local id = core.timer(0)
      runtime.sleep(0.002)
      assert.is_true(core.done(id))
      runtime.await(id)
      assert.is_true(core.take(id))
    end)

    it("that has not finished gives no answer", function()
      local id = core.timer(30)
      assert.equal("stale_handle", raised(core.take, id).kind)
      core.forget(id)
    end)

    it("that is cancelled ends with the reason given", function()
      local timer, hang = core.timer(30), pool:query("hang", nil, {}, 0)
      core.cancel(timer, "timeout")
      local _, err = take(timer)
      assert.equal("timeout", err.kind)
      runtime.sleep(0.002)
      core.cancel(hang, "timeout")
      _, err = take(hang)
      assert.equal("timeout", err.kind)
    end)
  end)

  describe("parameters", function()
    it("of every place arrive, nil as NULL, also the last one", function()
      assert.same({ { p1 = "x", p3 = "z" } }, core.rows(query("select params", "x", nil, "z")))
      assert.same({ { p1 = "x" } }, core.rows(query("select params", "x", nil, nil)))
    end)

    it("that no database takes are refused with their place, and nothing is sent", function()
      local err = raised(query, "insert", 1, print)
      assert.equal("bad_parameters", err.kind)
      assert.truthy(err.message:find("parameter 2", 1, true), err.message)
      err = raised(query, "insert", "a\0b")
      assert.equal("encoding", err.kind)
      err = raised(pool.many, pool, "insert", { 1, print }, 1, 2)
      assert.truthy(err.message:find("row 2, parameter 1", 1, true), err.message)
      local asked = core.fake_log "core"
      assert.same({}, asked)
    end)
  end)

  describe("a stream", function()
    local function read(id)
      local sizes = {}
      while true do
        runtime.await(id)
        local rows = core.rows(id)
        if not rows then
          return sizes
        end
        sizes[#sizes + 1] = #rows
        core.more(id)
      end
    end

    it("gives chunks, then false", function()
      assert.same({ 4, 4, 2 }, read(pool:stream("stream", "read", {}, 0, { chunk = 4 })))
    end)

    it("stands still between chunks", function()
      local id = pool:stream("stream", "read", {}, 0, { chunk = 4 })
      runtime.await(id)
      assert.equal(4, #core.rows(id))
      runtime.sleep(0.003)
      core.more(id)
      runtime.await(id)
      assert.equal(4, #core.rows(id))
      core.forget(id)
    end)

    it("that is forgotten frees its connection", function()
      for _ = 1, 5 do
        local id = pool:stream("stream", "read", {}, 0, { chunk = 4 })
        runtime.await(id)
        core.forget(id)
      end
      assert.same({ 1, 7 }, { core.take(query "insert") })
    end)
  end)

  describe("a lease", function()
    local function acquire()
      local lease, id = pool:acquire "write"
      assert.is_boolean(take(id))
      return lease
    end

    it("tells the state of its transaction", function()
      local lease = acquire()
      assert.same({ "none", 0 }, { lease:state() })
      assert.is_true(take(lease:begin("serializable", false)))
      assert.is_true(take(lease:savepoint()))
      assert.same({ "open", 1 }, { lease:state() })
      take(lease:query("bad", "write", {}, 0))
      assert.same({ "failed", 1, "unique" }, { lease:state() })
      local _, err = take(lease:query("insert", "write", {}, 0))
      assert.equal("in_failed_transaction", err.kind)
      assert.is_true(take(lease:rollback_to()))
      assert.is_true(take(lease:commit()))
      assert.same({ "none", 0 }, { lease:state() })
      lease:release()
    end)

    it("is stale after its release, which may be repeated", function()
      local lease = acquire()
      lease:release()
      lease:release()
      assert.is_true(lease:over())
      local _, err = take(lease:query("insert", "write", {}, 0))
      assert.equal("stale_handle", err.kind)
    end)

    it("that is collected with an open transaction rolls it back", function()
      local lease = acquire()
      take(lease:begin())
      take(lease:query("insert", "write", {}, 0))
      lease = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      assert.is_true(eventually(function()
        local asked = core.fake_log "core"
        return asked[#asked]:lower():find "rollback"
      end))
    end)

    it("that is released while it waits ends the wait", function()
      local a, b = acquire(), acquire()
      assert.is_true(pool:would_wait "read")
      local third, id = pool:acquire "read"
      third:release()
      local fresh, err = take(id)
      assert.is_nil(fresh)
      assert.equal("cancelled", err.kind)
      a:release()
      b:release()
    end)

    it("that is not free in time is pool_timeout", function()
      local a, b = acquire(), acquire()
      local third, id = pool:acquire("read", 0.002)
      local fresh, err = take(id)
      assert.is_nil(fresh)
      assert.equal("pool_timeout", err.kind)
      assert.is_true(third:over())
      a:release()
      b:release()
    end)
  end)

  describe("a pool", function()
    it("prepares, pings and counts", function()
      local n, names, kinds = take(pool:prepare "select all")
      assert.equal(0, n)
      assert.same({ "id", "name" }, names)
      assert.same({ core.kind.int, core.kind.text }, kinds)
      assert.is_true(take(pool:ping()))
      local size, idle, busy, waiting, max = pool:stats()
      assert.same({ 1, 1, 0, 0, 2 }, { size, idle, busy, waiting, max })
    end)

    it("that is closed refuses what comes", function()
      take(pool:close())
      local _, err = core.take(query "insert")
      assert.equal("pool_closed", err.kind)
    end)

    it("that nobody refers to closes its connections", function()
      local other = assert(core.pool { backend = "fake", database = "core" })
      other:set_password "secret"
      take(other:ping())
      other = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      assert.is_true(eventually(function()
        local _, counts = core.fake_log "core"
        return counts.sessions == 0
      end))
    end)

    it("asks for its password, connection by connection", function()
      local asking = assert(core.pool { backend = "fake", database = "core" })
      local wanted = asking:wants_password()
      local ping = asking:ping()
      asking:answer_password(take(wanted), "secret")
      assert.is_true(take(ping))
      wanted = asking:wants_password()
      local closing = asking:close(0)
      local _, err = take(wanted)
      assert.equal("pool_closed", err.kind)
      assert.is_true(take(closing))
    end)

    it("that was given a wrong password says so", function()
      pool:set_password "wrong"
      local _, err = take(pool:ping())
      assert.equal("auth_failed", err.kind)
    end)

    it("of an unknown backend is refused", function()
      local none, err = core.pool { backend = "oracle", database = "x" }
      assert.is_nil(none)
      assert.equal("configuration", err.kind)
      assert.truthy(err.message:find("oracle", 1, true))
    end)
  end)

  it("is one for each Lua state, however often it is loaded", function()
    package.loaded["moonpool.core"], package.loaded["moonpool.runtime"] = nil, nil
    assert.equal(core, require "moonpool.core")
    assert.equal(runtime, require "moonpool.runtime")
  end)
end)
