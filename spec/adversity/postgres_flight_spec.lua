-- The flush of a session over a line whose answers are held back: how many of its statements are under way then, counted by
-- the line itself.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local line = require "spec.support.line"
local servers = require "spec.support.servers"
local f = mp.field

if not servers.verified.postgres then
  return -- there is no server of ours
end

describe("a flush to a server that is far away", function()
  local world

  before_each(function()
    local near, close, url = databases.postgres.open()
    local plain = servers.verified.postgres:gsub("%?.*", "?tls.mode=off")
    world = { near = near, close = close, url = servers.on(plain, url:match "/([%w_]+)$") }
  end)

  after_each(function()
    world.db:close()
    world.far:close()
    world.close()
  end)

  -- A session on one connection that knows its statements already.
  ---@param pool table?
  local function open(pool)
    pool = pool or {}
    pool.max = 1
    world.far = line.to(world.url)
    world.db = mp.open(world.far.url, { pool = pool })
    world.Author = mp.entity("Author", { name = f.string{ max = 20, unique = true } }, { database = world.db })
    world.Book = mp.entity("Book", { title = f.string{ max = 20 }, author = f.belongs_to("Author") }, { database = world.db })
    world.Tag = mp.entity("Tag", { label = f.string{ max = 20 } }, { database = world.db })
    world.Note = mp.entity("Note", { text = f.string{ max = 20 } }, { database = world.db })
    world.db:create_all()
  end

  -- Statements of four kinds that need nothing of each other.
  ---@param name string? of the author, which is unique
  local function write(number, name)
    world.Note:bulk_create{ { text = "first" }, { text = "old" } }
    return function(s)
      local note, old = world.Note:get{ text = "first" }, world.Note:get{ text = "old" }
      world.Author{ name = name or "ada" .. number }
      world.Tag{ label = "lua" .. number }
      note.text = "second" .. number
      s:delete(old)
    end
  end

  -- Sessions before it, until all that they send is prepared.
  local function warm_up(fn)
    for number = 1, 3 do
      world.db:session(fn(number))
    end
  end

  -- Runs fn in a session; most: so many statements are to be under way while no answer comes, although the server has answered.
  local function held(fn, most)
    local before, holds
    local task = mp.spawn(function()
      world.db:session(function(s)
        fn(s)
        before = world.far:counts().requests
        world.far:hold()
        holds = true -- from here on the line is asked by one task only
        s:flush()
      end)
    end)
    local seen, answered = 0, 0
    pcall(mp.timeout, 60, function()
      while seen < most or answered == 0 do
        mp.sleep(0.002)
        local counts = holds and world.far:counts() or { requests = 0, answers = 0 }
        seen, answered = counts.requests - (before or 0), counts.answers - (before or 0)
      end
    end)
    world.far:flow()
    task:wait()
    return seen
  end

  it("has sent all that needs no answer before the first one comes", function()
    open()
    warm_up(write)
    assert.equal(4, held(write(4), 4))
    assert.same({ "ada1", "ada2", "ada3", "ada4" }, world.Author:order_by("name"):pluck("name"))
    assert.same({ "second1", "second2", "second3", "second4" }, world.Note:order_by("text"):pluck("text"))
    assert.same({ "lua1", "lua2", "lua3", "lua4" }, world.Tag:order_by("label"):pluck("label"))
  end)

  it("sends what needs a key when that is there, and before it all that needs none", function()
    open()
    local function family(number)
      return function()
        local ada = world.Author{ name = "ada" .. number }
        world.Book{ title = "one" .. number, author = ada }
        world.Tag{ label = "lua" .. number }
        world.Note{ text = "n" .. number }
      end
    end
    warm_up(family)
    assert.equal(3, held(family(4), 3))
    assert.equal(4, world.Book:filter{ author__name__startswith = "ada" }:count())
  end)

  it("sends one statement at a time where pipelining is switched off", function()
    open{ pipeline = false }
    warm_up(write)
    assert.equal(1, held(write(4), 1))
    assert.equal(4, world.Author:count())
  end)

  it("raises of what is under way the error that came first, and the connection goes on", function()
    open()
    warm_up(write)
    local ok, err = pcall(held, write(4, "ada1"), 4)
    assert.is_false(ok)
    assert.is_true(mp.is(err, "unique"), tostring(err))
    assert.is_nil(err.suppressed)
    assert.equal(3, world.Author:count())
    assert.equal(3, world.Tag:count())
    assert.same({ "first", "old", "second1", "second2", "second3" }, world.Note:order_by("text"):pluck("text"))
    assert.equal(1, world.db:pool_stats().size)
  end)

  it("is cancelled with all that is under way, and nothing of it stays", function()
    open()
    warm_up(write)
    local locked = world.near:begin()
    world.near:execute "lock table tag in exclusive mode"
    local writes = write(4)
    local task = mp.spawn(function()
      world.db:session(function(s)
        writes(s)
        s:flush()
      end)
    end)
    mp.timeout(60, function()
      repeat
        mp.sleep(0.002)
      until world.near:fetch_val "select count(*) from pg_locks where not granted" > 0
    end)
    task:cancel()
    local ok, err = pcall(task.wait, task)
    assert.is_false(ok)
    assert.is_true(mp.is(err, "cancelled"), tostring(err))
    locked:rollback()
    assert.equal(3, world.Author:count())
    assert.equal(3, world.Tag:count())
    assert.same({ "first", "old", "second1", "second2", "second3" }, world.Note:order_by("text"):pluck("text"))
  end)
end)
