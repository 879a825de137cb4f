local runtime = require "moonpool.runtime"

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

for _, case in ipairs { { "inside a task", runtime.run }, { "outside any task", function(fn) fn() end } } do
  describe("gather " .. case[1], function()
    it("gives the first value of each function in order, nils included", function()
      case[2](function()
        local n = select("#", runtime.gather(function() end, function() end))
        assert.equal(2, n)
        assert.same({ 1, nil, 3 }, { runtime.gather(function()
          runtime.sleep(0.002)
          return 1, "more"
        end, function() end, function() return 3 end) })
      end)
    end)

    it("runs all at once", function()
      case[2](function()
        local together, most = 0, 0
        local function branch()
          together = together + 1
          most = math.max(most, together)
          runtime.sleep(0.001)
          together = together - 1
        end
        runtime.gather(branch, branch, branch)
        assert.equal(3, most)
      end)
    end)

    it("raises the first error when the rest has been cancelled and has ended", function()
      case[2](function()
        local mine, log = {}, {}
        local err = raised(runtime.gather, function()
          log[1] = raised(runtime.sleep, 30).kind
          runtime.shield(runtime.sleep, 0.002)
          log[2] = "ended"
        end, function()
          runtime.sleep(0)
          error(mine)
        end)
        assert.equal(mine, err)
        assert.same({ "cancelled", "ended" }, log)
      end)
    end)
  end)
end

describe("gather", function()
  it("keeps further errors in err.suppressed", function()
    local errors = require "moonpool.errors"
    local err = raised(runtime.gather, function()
      runtime.sleep(0)
      errors.raise("busy", "first")
    end, function()
      pcall(runtime.sleep, 30)
      error("second", 0)
    end)
    assert.equal("busy", err.kind)
    assert.same({ "second" }, err.suppressed)
  end)

  it("of nothing gives nothing", function()
    assert.equal(0, select("#", runtime.gather()))
  end)

  it("refuses what is no function, before it starts anything", function()
    local ran = false
    assert.equal("bad_argument", raised(runtime.gather, function() ran = true end, 7).kind)
    runtime.sleep(0)
    assert.is_false(ran)
  end)

  it("tells each branch who waits for it; a spawned task is nobody's branch", function()
    runtime.run(function()
      local me = runtime.current()
      runtime.gather(function()
        assert.equal(me, runtime.current().branch_of)
        runtime.spawn(function()
          assert.is_nil(runtime.current().branch_of)
        end):wait()
      end)
    end)
  end)
end)

describe("map", function()
  it("gives the first values in order, with their number", function()
    local result = runtime.map({ 3, 1, 2 }, function(item, index)
      runtime.sleep(item * 0.001)
      if item ~= 1 then
        return item * 10 + index
      end
    end)
    assert.same({ 31, nil, 23, n = 3 }, result)
  end)

  it("runs at most limit at once, and all of them in the end", function()
    local together, most, count = 0, 0, 0
    runtime.map({ 1, 2, 3, 4, 5, 6, 7 }, function()
      together, count = together + 1, count + 1
      most = math.max(most, together)
      runtime.sleep(0)
      together = together - 1
    end, { limit = 3 })
    assert.equal(3, most)
    assert.equal(7, count)
  end)

  it("starts nothing more after an error", function()
    local started = 0
    assert.equal("x", raised(runtime.map, { 1, 2, 3, 4 }, function(item)
      started = started + 1
      runtime.sleep(0)
      if item == 2 then
        error("x", 0)
      end
    end, { limit = 2 }))
    assert.is_true(started < 4)
  end)

  it("starts nothing more when its task is cancelled", function()
    runtime.run(function()
      local started = 0
      local task = runtime.spawn(runtime.map, { 1, 2, 3 }, function()
        started = started + 1
        runtime.sleep(30)
      end, { limit = 1 })
      runtime.sleep(0.001)
      task:cancel()
      assert.equal("cancelled", raised(task.wait, task).kind)
      assert.equal(1, started)
    end)
  end)

  it("of an empty array is empty", function()
    assert.same({ n = 0 }, runtime.map({}, error))
  end)

  it("refuses what it does not know", function()
    assert.equal("bad_argument", raised(runtime.map, 7, print).kind)
    assert.equal("bad_argument", raised(runtime.map, {}, 7).kind)
    assert.equal("bad_argument", raised(runtime.map, {}, print, { limit = 0 }).kind)
    assert.equal("unknown_option", raised(runtime.map, {}, print, { limits = 1 }).kind)
  end)
end)
