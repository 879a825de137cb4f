local core = require "moonpool.core"
local runtime = require "moonpool.runtime"

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

-- Something of which `limit` contexts can have one at a time, made of keys and parking.
local function resource(limit)
  local key = setmetatable({}, { __tostring = function() return "the spanner" end })
  local free, waiters = limit, {}
  local this = {}

  function this.take()
    while free == 0 do
      -- an operation that never ends by itself stands for the place in the queue
      local id = core.timer(math.huge)
      waiters[#waiters + 1] = id
      local ok, err = pcall(runtime.await_for, id, key, limit)
      if ok then
        core.take(id)
      else
        for i, waiter in ipairs(waiters) do
          if waiter == id then
            table.remove(waiters, i)
          end
        end
        error(err, 0)
      end
    end
    free = free - 1
    runtime.hold(key)
  end

  function this.give()
    free = free + 1
    runtime.unhold(key)
    local id = table.remove(waiters, 1)
    if id then
      core.cancel(id, "cancelled") -- ready now
    end
  end

  return this
end

describe("waiting for what is held", function()
  it("goes on when the holder gives it back", function()
    runtime.run(function()
      local spanner, log = resource(1), {}
      spanner.take()
      local other = runtime.spawn(function()
        spanner.take()
        log[#log + 1] = "other"
        spanner.give()
      end)
      runtime.sleep(0.002)
      log[#log + 1] = "me"
      spanner.give()
      other:wait()
      assert.same({ "me", "other" }, log)
    end)
  end)

  it("by its only holder raises pool_deadlock at once, naming what and who, with the stacks", function()
    runtime.run(function()
      local spanner = resource(1)
      spanner.take()
      local err = raised(spanner.take)
      assert.equal("pool_deadlock", err.kind)
      assert.truthy(err.message:find("the spanner", 1, true), err.message)
      assert.equal(1, #err.tasks)
      assert.truthy(err.tasks[1].traceback:find "runtime_deadlock_spec.lua:%d+")
      spanner.give()
      spanner.take() -- nothing of it is left
      spanner.give()
    end)
  end)

  it("in the main chunk is found as well", function()
    local spanner = resource(1)
    spanner.take()
    assert.equal("pool_deadlock", raised(spanner.take).kind)
    spanner.give()
  end)

  it("in a branch that the holder waits for raises in that branch", function()
    runtime.run(function()
      local spanner = resource(1)
      spanner.take()
      local met
      runtime.gather(function()
        met = raised(spanner.take)
      end, function()
        runtime.sleep(0.002)
      end)
      assert.equal("pool_deadlock", met.kind)
      assert.equal(2, #met.tasks)
      spanner.give()
    end)
  end)

  it("in a task that the holder waits for raises, whichever waits last", function()
    runtime.run(function()
      local spanner = resource(1)
      spanner.take()
      local task
      task = runtime.spawn(function()
        return raised(spanner.take)
      end)
      assert.equal("pool_deadlock", task:wait().kind)
      local late = runtime.spawn(function()
        spanner.take()
        spanner.give()
      end)
      runtime.sleep(0) -- late waits by now, which is fine: we could still give it back
      runtime.sleep(0)
      assert.equal("pool_deadlock", raised(late.wait, late).kind)
      spanner.give()
      late:wait()
    end)
  end)

  it("of a mp.run in the main chunk raises in the task", function()
    local spanner = resource(1)
    spanner.take()
    local err = runtime.run(function()
      return raised(spanner.take)
    end)
    assert.equal("pool_deadlock", err.kind)
    spanner.give()
  end)

  it("is no deadlock while another holder goes on", function()
    runtime.run(function()
      local spanner = resource(2)
      spanner.take()
      local other = runtime.spawn(function()
        spanner.take()
        runtime.sleep(0.003)
        spanner.give()
      end)
      runtime.sleep(0)
      spanner.take() -- the other gives its one back
      spanner.give()
      spanner.give()
      other:wait()
    end)
  end)

  it("raises when all of several holders wait for it once more", function()
    runtime.run(function()
      local spanner = resource(2)
      local refused = 0
      local function greedy()
        spanner.take()
        runtime.sleep(0.001)
        local ok, err = pcall(spanner.take)
        if ok then
          spanner.give()
        else
          assert.equal("pool_deadlock", err.kind)
          refused = refused + 1
        end
        spanner.give()
      end
      runtime.gather(greedy, greedy)
      assert.equal(1, refused)
    end)
  end)

  it("crosswise on two things raises in the second", function()
    runtime.run(function()
      local a, b, refused = resource(1), resource(1), 0
      local function cross(first, second)
        first.take()
        runtime.sleep(0.001)
        local ok = pcall(second.take)
        if ok then
          second.give()
        else
          refused = refused + 1
        end
        first.give()
      end
      runtime.gather(function() cross(a, b) end, function() cross(b, a) end)
      assert.equal(1, refused)
    end)
  end)
end)

describe("waiting for a task", function()
  it("that is oneself raises", function()
    runtime.run(function()
      local me = runtime.current()
      assert.equal("pool_deadlock", raised(me.wait, me).kind)
    end)
  end)

  it("in a ring raises in the one that closes it", function()
    runtime.run(function()
      local a, b, c
      a = runtime.spawn(function() return b:wait() end)
      b = runtime.spawn(function() return c:wait() end)
      c = runtime.spawn(function() return raised(a.wait, a) end)
      local err = a:wait()
      assert.equal("pool_deadlock", err.kind)
      assert.equal(3, #err.tasks)
    end)
  end)
end)

describe("what a task held", function()
  it("counts no more when it has ended", function()
    runtime.run(function()
      local key = {}
      runtime.spawn(function() runtime.hold(key) end):wait()
      local id = core.timer(0)
      runtime.await_for(id, key, 1)
      core.take(id)
    end)
  end)
end)
