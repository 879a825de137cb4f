local runtime = require "moonpool.runtime"

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

describe("run", function()
  it("gives the values of its function, nils included", function()
    local values = { n = select("#", runtime.run(function(...) return ... end, 1, nil, 3, nil)) }
    assert.equal(4, values.n)
    assert.same({ 1, nil, 3 }, { (runtime.run(function(...) return ... end, 1, nil, 3)) , nil, 3 })
  end)

  it("raises the very error of its function", function()
    local mine = {}
    assert.equal(mine, raised(runtime.run, function() error(mine) end))
  end)

  it("ends when no task is left", function()
    local log = {}
    runtime.run(function()
      runtime.spawn(function()
        runtime.sleep(0.002)
        runtime.spawn(function()
          runtime.sleep(0)
          log[#log + 1] = "grandchild"
        end)
        log[#log + 1] = "child"
      end)
      log[#log + 1] = "main"
    end)
    assert.same({ "main", "child", "grandchild" }, log)
  end)

  it("inside a task waits for what was started in it, and for nothing else", function()
    local log = {}
    runtime.run(function()
      local outer = runtime.spawn(function()
        runtime.sleep(30)
      end)
      runtime.run(function()
        runtime.spawn(function()
          runtime.sleep(0.001)
          log[#log + 1] = "inner"
        end)
      end)
      assert.equal("waiting", outer.status)
      outer:cancel()
    end)
    assert.same({ "inner" }, log)
  end)

  it("refuses what is no function", function()
    assert.equal("bad_argument", raised(runtime.run, 7).kind)
    assert.equal("bad_argument", raised(runtime.spawn).kind)
  end)
end)

describe("a task", function()
  it("runs from the next turn on, in the order of starting", function()
    local log = {}
    runtime.run(function()
      for i = 1, 3 do
        runtime.spawn(function()
          log[#log + 1] = i
        end)
      end
      log[#log + 1] = "started"
    end)
    assert.same({ "started", 1, 2, 3 }, log)
  end)

  it("gives its values to everybody who waits, also afterwards", function()
    runtime.run(function()
      local task = runtime.spawn(function()
        runtime.sleep(0)
        return "a", nil, "c"
      end)
      local other = runtime.spawn(function()
        return select("#", task:wait())
      end)
      assert.same({ "a", nil, "c" }, { task:wait() })
      assert.equal(3, other:wait())
      assert.same({ "a", nil, "c" }, { task:wait() })
    end)
  end)

  it("raises its very error in everybody who waits", function()
    runtime.run(function()
      local mine = {}
      local task = runtime.spawn(function() error(mine) end)
      assert.equal(mine, raised(task.wait, task))
      assert.equal(mine, raised(task.wait, task))
    end)
  end)

  it("has a status", function()
    runtime.run(function()
      local seen
      local done
      done = runtime.spawn(function() seen = done.status end)
      local failed = runtime.spawn(error, "x")
      local cancelled = runtime.spawn(runtime.sleep, 30)
      runtime.sleep(0)
      assert.equal("waiting", cancelled.status)
      cancelled:cancel()
      done:wait()
      pcall(failed.wait, failed)
      pcall(cancelled.wait, cancelled)
      assert.equal("running", seen)
      assert.equal("done", done.status)
      assert.equal("failed", failed.status)
      assert.equal("cancelled", cancelled.status)
    end)
  end)

  it("has locals of its own, which its children do not inherit", function()
    runtime.run(function()
      runtime.current().locals.x = 1
      runtime.spawn(function()
        assert.is_nil(runtime.current().locals.x)
      end):wait()
      assert.equal(1, runtime.current().locals.x)
    end)
  end)

  it("runs its end handlers, the latest first, before anybody learns of its end", function()
    local log = {}
    runtime.run(function()
      local task = runtime.spawn(function()
        local current = runtime.current()
        runtime.on_end(current, function() log[#log + 1] = "first" end)
        runtime.on_end(current, function()
          runtime.sleep(0.001)
          log[#log + 1] = "second"
        end)
        error "x"
      end)
      pcall(task.wait, task)
      log[#log + 1] = "told"
    end)
    assert.same({ "second", "first", "told" }, log)
  end)

  it("keeps the traceback of an error that is a plain text", function()
    runtime.run(function()
      local task = runtime.spawn(function() error "x" end)
      pcall(task.wait, task)
      assert.truthy(task.traceback:find("runtime_task_spec.lua:%d+: in"))
    end)
  end)

  it("that yields outside a generator lets the others run", function()
    local log = {}
    runtime.run(function()
      runtime.spawn(function()
        log[#log + 1] = "a"
        coroutine.yield()
        log[#log + 1] = "b"
      end)
      runtime.spawn(function() log[#log + 1] = "other" end)
    end)
    assert.same({ "a", "other", "b" }, log)
  end)
end)

describe("outside any task", function()
  it("a wait drives the loop, and other tasks run meanwhile", function()
    local ran = false
    local task = runtime.spawn(function()
      runtime.sleep(0)
      ran = true
    end)
    while not ran do
      runtime.sleep(0.001)
    end
    assert.equal("done", task.status)
  end)

  it("a wait inside a coroutine of the user drives the loop in place", function()
    local co = coroutine.create(function()
      runtime.sleep(0.001)
      coroutine.yield "mine"
      runtime.sleep(0)
      return "end"
    end)
    assert.same({ true, "mine" }, { coroutine.resume(co) })
    assert.same({ true, "end" }, { coroutine.resume(co) })
  end)
end)

describe("a foreign loop", function()
  it("drives the tasks by fd, timeout and step", function()
    if runtime.current().number > 0 then -- under the host each spec runs in a task
      local err = raised(runtime.loop.step)
      assert.equal("concurrency", err.kind)
      return
    end
    local task = runtime.spawn(function()
      runtime.sleep(0.002)
      return "done"
    end)
    assert.is_true(runtime.loop.fd() >= 0)
    assert.equal(0, runtime.loop.timeout())
    runtime.loop.step()
    assert.is_true(runtime.loop.timeout() > 0)
    while not task.ended do
      runtime.loop.step()
    end
    assert.equal("done", task:wait())
  end)
end)

describe("20,000 tasks", function()
  it("all run to their end, each with its own values", function()
    local n = os.getenv "MOONPOOL_UNDER" and 2000 or 20000
    local sum = 0
    runtime.run(function()
      for i = 1, n do
        runtime.spawn(function()
          local ok = pcall(function()
            runtime.sleep(0)
            if i % 3 == 0 then
              error "x"
            end
          end)
          runtime.sleep(0)
          sum = sum + (ok and i or 0)
        end)
      end
    end)
    local expected = 0
    for i = 1, n do
      expected = expected + (i % 3 == 0 and 0 or i)
    end
    assert.equal(expected, sum)
  end)
end)
