local runtime = require "moonpool.runtime"

local has_close = coroutine.close ~= nil

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

local function numbers(n)
  return coroutine.wrap(function()
    for i = 1, n do
      runtime.sleep(0)
      coroutine.yield(i)
    end
  end)
end

describe("a wait inside a generator", function()
  it("is not seen by its consumer", function()
    runtime.run(function()
      local seen = {}
      for i in numbers(3) do
        seen[#seen + 1] = i
      end
      assert.same({ 1, 2, 3 }, seen)
    end)
  end)

  it("passes through generators inside generators", function()
    runtime.run(function()
      local outer = coroutine.wrap(function()
        for i in numbers(3) do
          runtime.sleep(0)
          coroutine.yield(i * 10)
        end
      end)
      assert.same({ 10, 20, 30 }, { outer(), outer(), outer() })
    end)
  end)

  it("passes values both ways around it", function()
    runtime.run(function()
      local co = coroutine.create(function(a)
        runtime.sleep(0)
        local b, c = coroutine.yield(a, nil, 3)
        runtime.sleep(0)
        return b, c
      end)
      assert.same({ true, 1, nil, 3 }, { coroutine.resume(co, 1) })
      assert.same({ true, "b", "c" }, { coroutine.resume(co, "b", "c") })
      assert.same({ false, "cannot resume dead coroutine" }, { coroutine.resume(co) })
    end)
  end)

  it("lets other tasks run meanwhile, each with its own generator", function()
    runtime.run(function()
      local sums = { runtime.gather(function()
        local sum = 0
        for i in numbers(10) do
          sum = sum + i
        end
        return sum
      end, function()
        local sum = 0
        for i in numbers(20) do
          sum = sum + i
        end
        return sum
      end) }
      assert.same({ 55, 210 }, sums)
    end)
  end)

  it("makes the generator running for everybody else", function()
    runtime.run(function()
      local co = coroutine.create(function()
        runtime.sleep(0.001)
      end)
      local task = runtime.spawn(coroutine.resume, co)
      runtime.sleep(0)
      assert.equal("normal", coroutine.status(co))
      assert.same({ false, "cannot resume non-suspended coroutine" }, { coroutine.resume(co) })
      if has_close then
        assert.has_error(function() coroutine.close(co) end)
      end
      assert.is_true((task:wait()))
      assert.equal("dead", coroutine.status(co))
    end)
  end)

  it("belongs to the task that consumes it, which may change", function()
    runtime.run(function()
      local task_of_wait = {}
      local co = coroutine.wrap(function()
        while true do
          runtime.sleep(0)
          task_of_wait[#task_of_wait + 1] = runtime.current()
          coroutine.yield()
        end
      end)
      local a = runtime.spawn(co)
      a:wait()
      local b = runtime.spawn(co)
      b:wait()
      assert.same({ a, b }, task_of_wait)
    end)
  end)

  it("is cancelled with its task", function()
    runtime.run(function()
      local met
      local task = runtime.spawn(coroutine.wrap(function()
        met = raised(runtime.sleep, 30)
        error(met, 0)
      end))
      runtime.sleep(0)
      task:cancel()
      pcall(task.wait, task)
      assert.equal("cancelled", met.kind)
      assert.equal("cancelled", task.status)
    end)
  end)

  it("works outside any task too", function()
    local seen = {}
    for i in numbers(3) do
      seen[#seen + 1] = i
    end
    assert.same({ 1, 2, 3 }, seen)
  end)
end)

describe("the coroutine library", function()
  it("raises a generator's error in its consumer", function()
    local mine = {}
    assert.equal(mine, raised(coroutine.wrap(function() error(mine) end)))
    assert.truthy(raised(coroutine.wrap(function() error "text" end)):find "text$")
  end)

  it("says where a generator's text error came from, as before", function()
    local err = raised(function()
      coroutine.wrap(function() error("text", 0) end)() -- this line
    end)
    if has_close then
      assert.truthy(err:find("^[^:]*runtime_generator_spec.lua:%d+: text$"), err)
    else
      assert.equal("text", err)
    end
  end)

  it("refuses what is no coroutine, and goes on working", function()
    assert.is_false(pcall(coroutine.resume, "x"))
    assert.is_false(pcall(coroutine.status, "x"))
    assert.same({ true, 1 }, { coroutine.resume(coroutine.create(function() return 1 end)) })
  end)
end)

describe("a wait where Lua cannot yield", function()
  local function refused(fn, ...)
    local n = select("#", ...)
    local args = { ... }
    return runtime.run(function()
      local err = raised(fn, (table.unpack or unpack)(args, 1, n))
      runtime.sleep(0) -- the task is as good as before
      return err
    end)
  end

  local function wait()
    runtime.sleep(0)
  end

  it("in a sort comparator is named", function()
    local err = refused(table.sort, { 3, 2, 1 }, wait)
    assert.equal("not_yieldable", err.kind)
    assert.equal("database call inside a table.sort comparator: load the rows before sorting", err.message)
  end)

  it("in a gsub callback is named", function()
    local err = refused(string.gsub, "abc", "b", wait)
    assert.equal("not_yieldable", err.kind)
    assert.truthy(err.message:find("string.gsub callback", 1, true))
  end)

  it("in a generator that a sort comparator consumes is named", function()
    local err = refused(table.sort, { 3, 2, 1 }, coroutine.wrap(wait))
    assert.equal("not_yieldable", err.kind)
    assert.truthy(err.message:find("table.sort comparator", 1, true))
  end)

  if has_close then -- LuaJIT yields in a __tostring that tostring calls
    it("in __tostring is named", function()
      local err = refused(tostring, setmetatable({}, { __tostring = wait }))
      assert.equal("not_yieldable", err.kind)
      assert.truthy(err.message:find("__tostring", 1, true))
    end)

    it("in __gc is named", function()
      runtime.run(function()
        local err
        setmetatable({}, { __gc = function()
          err = raised(wait)
        end })
        collectgarbage()
        collectgarbage()
        assert.equal("not_yieldable", err.kind)
        assert.truthy(err.message:find("__gc", 1, true), err.message)
      end)
    end)
  end

  it("in a message handler is refused", function()
    runtime.run(function()
      local met
      xpcall(error, function()
        met = raised(wait)
      end, "x")
      assert.equal("not_yieldable", met.kind)
    end)
  end)

  if runtime.current().number == 0 then -- under the host each spec runs in a task
    it("does not matter outside any task, where nothing is yielded", function()
      local words = { "b", "a" }
      table.sort(words, function(a, b)
        runtime.sleep(0)
        return a < b
      end)
      assert.same({ "a", "b" }, words)
    end)
  end

  it("leaves no operation behind", function()
    local core = require "moonpool.core"
    local before = core.census().operations
    refused(table.sort, { 2, 1 }, wait)
    refused(string.gsub, "a", "a", coroutine.wrap(wait))
    assert.equal(before, core.census().operations)
  end)
end)
