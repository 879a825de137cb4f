local program = require "spec.support.program"

-- The script sends itself the signal; the pipe's shell is its child.
local prelude = [[
local runtime = require "moonpool.runtime"
local function signal(name)
  io.popen("kill -" .. name .. " $PPID"):close()
end
]]

local function code(text)
  return program.code(prelude .. text)
end

describe("SIGINT", function()
  it("cancels every task where it waits, and the exit code is 130", function()
    local result = code [[
      runtime.spawn(function()
        print(select(2, pcall(runtime.sleep, 30)).kind)
      end)
      runtime.spawn(function()
        runtime.sleep(0.001)
        signal "INT"
      end)
      print(select(2, pcall(runtime.sleep, 30)).kind)
    ]]
    assert.same({ code = 130, out = "cancelled\ncancelled\n", err = "" }, result)
  end)

  it("lets what runs clean up, waits included in a shield", function()
    local result = code [[
      signal "INT"
      local ok, err = pcall(runtime.sleep, 30)
      runtime.shield(function()
        runtime.sleep(0.001)
        print "cleaned"
      end)
      error(err, 0)
    ]]
    assert.same({ code = 130, out = "cleaned\n", err = "" }, result)
  end)

  it("stops a task that computes without waiting", function()
    local result = code [[
      signal "INT"
      print(select(2, pcall(function() while true do end end)).kind)
    ]]
    assert.same({ code = 130, out = "cancelled\n", err = "" }, result)
  end)

  it("does not stop a task in the middle that comes to a wait soon", function()
    local result = code [[
      signal "INT"
      local sum = 0
      for i = 1, 100 do sum = sum + i end
      print(sum, (select(2, pcall(runtime.sleep, 30))).kind)
    ]]
    assert.same({ code = 130, out = "5050\tcancelled\n", err = "" }, result)
  end)

  it("shows errors that are not the cancelling itself", function()
    local result = code [[
      signal "INT"
      pcall(runtime.sleep, 30)
      error("while cleaning", 0)
    ]]
    assert.equal(130, result.code)
    assert.truthy(result.err:find("while cleaning", 1, true))
  end)

  it("a second time ends the program at once", function()
    local result = code [[
      signal "INT"
      pcall(function() while true do end end)
      io.write "first\n" io.stdout:flush()
      signal "INT"
      print "not reached"
      while true do pcall(function() while true do end end) end
    ]]
    assert.same({ code = 130, out = "first\n", err = "" }, result)
  end)
end)

describe("SIGTERM", function()
  it("cancels every task, and the exit code is 143", function()
    local result = code [[
      signal "TERM"
      print(select(2, pcall(runtime.sleep, 30)).kind)
    ]]
    assert.same({ code = 143, out = "cancelled\n", err = "" }, result)
  end)

  it("stops a task that computes", function()
    assert.equal(143, code("signal 'TERM' while true do end").code)
  end)
end)

describe("SIGPIPE", function()
  it("does not end the program", function()
    local result = code [[
      signal "PIPE"
      runtime.sleep(0)
      print "alive"
    ]]
    assert.same({ code = 0, out = "alive\n", err = "" }, result)
  end)
end)
