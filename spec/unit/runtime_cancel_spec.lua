local core = require "moonpool.core"
local runtime = require "moonpool.runtime"

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

-- A task that waits in wait(), cancelled there: the kind of the error that it met.
local function cancelled_in(wait)
  return runtime.run(function()
    local met
    local task = runtime.spawn(function()
      met = raised(wait)
      error(met, 0)
    end)
    runtime.sleep(0.001)
    task:cancel()
    task:cancel()
    pcall(task.wait, task)
    assert.equal("cancelled", task.status)
    return met.kind
  end)
end

describe("cancelling", function()
  it("ends the wait for a timer", function()
    assert.equal("cancelled", cancelled_in(function() runtime.sleep(30) end))
  end)

  it("ends the wait for a task, which goes on", function()
    runtime.run(function()
      local other = runtime.spawn(runtime.sleep, 30)
      assert.equal("cancelled", cancelled_in(function() other:wait() end))
      assert.equal("waiting", other.status)
      other:cancel()
    end)
  end)

  it("ends gather, and its branches with it", function()
    local branches = 0
    assert.equal("cancelled", cancelled_in(function()
      local function branch()
        assert.equal("cancelled", raised(runtime.sleep, 30).kind)
        branches = branches + 1
        runtime.sleep(0)
      end
      runtime.gather(branch, branch)
    end))
    assert.equal(2, branches)
  end)

  it("ends a run inside the task, and its tasks with it", function()
    local inner
    assert.equal("cancelled", cancelled_in(function()
      runtime.run(function()
        inner = runtime.spawn(runtime.sleep, 30)
        runtime.sleep(30)
      end)
    end))
    assert.equal("cancelled", inner.status)
  end)

  describe("a wait for a database", function()
    local pool

    before_each(function()
      core.fake("cancel", "select -> columns n:int; row 1\nslow -> delay 5; columns n:int; row 1\nhang -> hang\nmany -> columns n:int; row # *10\nset settle 1")
      pool = assert(core.pool { backend = "fake", database = "cancel", max = 1 })
    end)

    after_each(function()
      local id = pool:close(0)
      runtime.await(id)
      core.take(id)
      core.fake("cancel", nil)
      pool = nil
    end)

    local function query(sql)
      local id = pool:query(sql, nil, {}, 0)
      runtime.await(id)
      return core.value(id)
    end

    it("cancels the statement that runs, and the connection is used again", function()
      assert.equal("cancelled", cancelled_in(function() query "hang" end))
      assert.equal(1, query "select")
      local _, counts = core.fake_log "cancel"
      assert.equal(1, counts.cancels)
    end)

    it("drops a statement that waits for a connection before it was sent", function()
      runtime.run(function()
        local busy = runtime.spawn(query, "hang")
        assert.equal("cancelled", cancelled_in(function() query "select" end))
        busy:cancel()
      end)
      for _, sql in ipairs((core.fake_log "cancel")) do
        assert.not_equal("select", sql)
      end
    end)

    it("gives up waiting for a connection of its own", function()
      local lease, id = pool:acquire "read"
      runtime.await(id)
      core.take(id)
      assert.equal("cancelled", cancelled_in(function()
        local _, waiting = pool:acquire "read"
        runtime.await(waiting)
      end))
      lease:release()
      assert.equal(1, query "select")
    end)

    it("stops a stream", function()
      assert.equal("cancelled", cancelled_in(function()
        local id = pool:stream("many", "read", {}, 0, { chunk = 3 })
        runtime.await(id)
        assert.equal(3, #core.rows(id))
        core.more(id)
        runtime.await(id)
        core.forget(id)
        runtime.sleep(30)
      end))
      assert.equal(1, query "select")
    end)

    it("does not stop the library's own clean-up", function()
      runtime.run(function()
        local done = false
        local task = runtime.spawn(function()
          local id = pool:query("slow", nil, {}, 0)
          runtime.await_cleanup(id)
          done = core.value(id)
          runtime.sleep(30)
        end)
        runtime.sleep(0)
        task:cancel()
        assert.equal("cancelled", raised(task.wait, task).kind)
        assert.equal(1, done)
      end)
    end)
  end)

  it("goes on at every later wait, although pcall caught it", function()
    runtime.run(function()
      local caught = 0
      local task = runtime.spawn(function()
        for _ = 1, 3 do
          if raised(runtime.sleep, 30).kind == "cancelled" then
            caught = caught + 1
          end
        end
        runtime.gather(function() caught = caught + 100 end)
      end)
      runtime.sleep(0)
      task:cancel()
      assert.equal("cancelled", raised(task.wait, task).kind)
      assert.equal(3, caught)
    end)
  end)

  it("a task that has not begun keeps it from ever running", function()
    runtime.run(function()
      local ran = false
      local task = runtime.spawn(function() ran = true end)
      task:cancel()
      assert.equal("cancelled", raised(task.wait, task).kind)
      assert.is_false(ran)
    end)
  end)

  it("an ended task changes nothing", function()
    runtime.run(function()
      local task = runtime.spawn(function() return 7 end)
      assert.equal(7, task:wait())
      task:cancel()
      assert.equal("done", task.status)
      assert.equal(7, task:wait())
    end)
  end)

  it("a task that catches it and returns leaves it done", function()
    runtime.run(function()
      local task = runtime.spawn(function()
        pcall(runtime.sleep, 30)
        return "caught"
      end)
      runtime.sleep(0)
      task:cancel()
      assert.equal("caught", task:wait())
    end)
  end)
end)

describe("timeout", function()
  it("gives the values of a function that ends in time, and runs it in the calling task", function()
    runtime.run(function()
      local task = runtime.current()
      assert.same({ task, nil, 3 }, { runtime.timeout(30, function()
        runtime.sleep(0)
        return runtime.current(), nil, 3
      end) })
    end)
  end)

  for _, case in ipairs { { "inside a task", runtime.run }, { "outside any task", function(fn) fn() end } } do
    it("raises timeout at the deadline; inside it is cancelled (" .. case[1] .. ")", function()
      case[2](function()
        local inside
        local err = raised(runtime.timeout, 0.001, function()
          inside = raised(runtime.sleep, 30)
          error(inside, 0)
        end)
        assert.equal("cancelled", inside.kind)
        assert.equal("timeout", err.kind)
        runtime.sleep(0) -- the block is over: nothing is cancelled any more
      end)
    end)
  end

  it("raises at every later wait of the block, and at its end although everything was caught", function()
    runtime.run(function()
      local caught = 0
      local err = raised(runtime.timeout, 0.001, function()
        for _ = 1, 3 do
          caught = caught + (raised(runtime.sleep, 30).kind == "cancelled" and 1 or 0)
        end
        return "fine"
      end)
      assert.equal("timeout", err.kind)
      assert.equal(3, caught)
    end)
  end)

  it("keeps another error that the block raises at the deadline as the cause", function()
    local mine = {}
    local err = raised(runtime.timeout, 0.001, function()
      pcall(runtime.sleep, 30)
      error(mine)
    end)
    assert.equal("timeout", err.kind)
    assert.equal(mine, err.cause)
  end)

  it("passes an error through that comes before the deadline", function()
    local mine = {}
    assert.equal(mine, raised(runtime.timeout, 30, function() error(mine) end))
  end)

  it("nested: the inner one wins when it is the tighter", function()
    runtime.run(function()
      local log = {}
      runtime.timeout(30, function()
        log[1] = raised(runtime.timeout, 0.001, runtime.sleep, 30).kind
        runtime.sleep(0)
        log[2] = "went on"
      end)
      assert.same({ "timeout", "went on" }, log)
    end)
  end)

  it("nested: the outer one wins when it is the tighter", function()
    runtime.run(function()
      local inner
      local err = raised(runtime.timeout, 0.001, function()
        inner = raised(runtime.timeout, 30, runtime.sleep, 30)
        error(inner, 0)
      end)
      assert.equal("cancelled", inner.kind)
      assert.equal("timeout", err.kind)
    end)
  end)

  it("of zero seconds cancels the first wait", function()
    assert.equal("timeout", raised(runtime.timeout, 0, runtime.sleep, 0).kind)
    assert.equal(5, runtime.timeout(0, function() return 5 end))
  end)

  it("does not turn the cancelling of the task into a timeout", function()
    assert.equal("cancelled", cancelled_in(function() runtime.timeout(30, runtime.sleep, 30) end))
  end)

  it("refuses what is no number of seconds", function()
    for _, seconds in ipairs { -1, 0 / 0, "1", {} } do
      assert.equal("bad_argument", raised(runtime.timeout, seconds, function() end).kind)
      assert.equal("bad_argument", raised(runtime.sleep, seconds).kind)
    end
  end)
end)

describe("shield", function()
  it("runs its function to the end although the task is cancelled, and the next wait raises", function()
    runtime.run(function()
      local log = {}
      local task = runtime.spawn(function()
        log[1] = runtime.shield(function()
          runtime.sleep(0.003)
          return "whole"
        end)
        log[2] = raised(runtime.sleep, 30).kind
      end)
      runtime.sleep(0)
      task:cancel()
      pcall(task.wait, task)
      assert.same({ "whole", "cancelled" }, log)
    end)
  end)

  it("lets a timeout inside it end what it encloses", function()
    runtime.shield(function()
      assert.equal("timeout", raised(runtime.timeout, 0.001, runtime.sleep, 30).kind)
    end)
  end)

  it("holds off the deadline of a timeout around it until its own end", function()
    local finished = false
    local err = raised(runtime.timeout, 0.001, function()
      runtime.shield(function()
        runtime.sleep(0.005)
        finished = true
      end)
      runtime.sleep(0)
    end)
    assert.equal("timeout", err.kind)
    assert.is_true(finished)
  end)
end)

describe("try", function()
  it("gives the values, or nil and the error", function()
    assert.same({ 1, nil, 3 }, { runtime.try(function() return 1, nil, 3 end) })
    local mine = {}
    assert.same({ nil, mine }, { runtime.try(error, mine) })
  end)

  it("never swallows cancelled", function()
    assert.equal("cancelled", cancelled_in(function() runtime.try(runtime.sleep, 30) end))
  end)
end)
