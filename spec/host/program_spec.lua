local program = require "spec.support.program"

local run, code = program.run, program.code

describe("the program", function()
  it("runs a script with its arguments, untouched", function()
    local result = program.script("print(arg[0], arg[1], arg[2], select('#', ...), ...)", "-x", "--version")
    assert.equal(0, result.code)
    assert.equal(result.path .. "\t-x\t--version\t2\t-x\t--version\n", result.out)
    assert.equal("", result.err)
  end)

  it("runs code, and a script from standard input", function()
    assert.equal("7 a\n", code("print(7 .. ' ' .. ...)", "a").out)
    assert.equal("stdin 5\n", run({ "-", "5" }, "echo 'print(\"stdin \" .. ...)' | %s").out)
  end)

  it("skips the first line of a script that begins with #", function()
    assert.equal("fine\n", program.script("#!/usr/bin/env moonpool\nprint 'fine'").out)
  end)

  it("tells the versions of what it runs with", function()
    local result = run { "--version" }
    assert.equal(0, result.code)
    for _, name in ipairs { "moonpool %d", "libuv +%d", "sqlite +%d", "lua +Lua 5.4", "openssl +%d", "pcre2 +%d", "jansson +%d" } do
      assert.truthy(result.out:find(name), name)
    end
  end)

  it("explains itself", function()
    local result = run { "--help" }
    assert.equal(0, result.code)
    assert.truthy(result.out:find("usage: moonpool", 1, true))
  end)

  it("ends with 2 and an explanation when it is called wrongly", function()
    for _, words in ipairs { { "--nonsense" }, { "-e" }, { "--version", "x" }, { "--" } } do
      local result = run(words)
      assert.equal(2, result.code)
      assert.truthy(result.err:find("usage: moonpool", 1, true))
    end
  end)

  it("says what is not built yet", function()
    for _, words in ipairs { {}, { "repl" }, { "--dry-run", "x.lua" } } do
      local result = run(words)
      assert.equal(2, result.code)
      assert.truthy(result.err:find("unsupported", 1, true))
    end
  end)

  it("works whatever the current directory is", function()
    local result = run({ "-e", "print(require('moonpool.errors').new('busy', 'x').kind)" },
      "real=$(readlink -f " .. program.quote(program.path) .. "); cd / && \"$real\" -e \"print(require('moonpool.errors').new('busy', 'x').kind)\"")
    assert.equal("busy\n", result.out)
  end)
end)

describe("an exit code", function()
  it("is 0 when all went well, 1 when the script failed", function()
    assert.equal(0, code("local x = 1").code)
    assert.equal(1, code("error 'x'").code)
  end)

  it("is 1 when the script cannot be read or compiled, and the message says why", function()
    local result = run { "/nowhere/x.lua" }
    assert.equal(1, result.code)
    assert.truthy(result.err:find("/nowhere/x.lua", 1, true))
    result = program.script("x = = 1")
    assert.equal(1, result.code)
    assert.truthy(result.err:find(result.path .. ":1:", 1, true))
  end)

  it("is the script's own with os.exit, from any task, with or without closing the state", function()
    assert.equal(3, code("os.exit(3)").code)
    assert.equal(4, code("require('moonpool.runtime').run(function() os.exit(4, true) end)").code)
    assert.equal(0, code("os.exit(true)").code)
    assert.equal(1, code("os.exit(false)").code)
  end)
end)

describe("an error of the script", function()
  it("is shown with a traceback that starts at the user's line and ends with the main chunk", function()
    local result = program.script("local function f()\n  error 'oops'\nend\nf()\n")
    assert.equal(("moonpool: %s:2: oops\nstack traceback:\n\t%s:2: in function 'f'\n\t%s:4: in main chunk\n"):format(
      result.path, result.path, result.path), result.err)
  end)

  it("that the library raised is shown the same way", function()
    local result = program.script("local runtime = require 'moonpool.runtime'\n\nruntime.sleep(-1)\n")
    assert.equal(("moonpool: bad_argument: mp.sleep: seconds are a number from 0 on, not -1\nstack traceback:\n\t%s:3: in main chunk\n")
      :format(result.path), result.err)
  end)

  it("that nobody waits for goes to standard error with its traceback, and the code is 1", function()
    local result = program.script([[
local runtime = require "moonpool.runtime"
runtime.spawn(function()
  error "nobody"
end)
runtime.sleep(0.001)
print "went on"
]])
    assert.equal(1, result.code)
    assert.equal("went on\n", result.out)
    assert.truthy(result.err:find("nobody waited for", 1, true))
    assert.truthy(result.err:find(result.path .. ":3: nobody\nstack traceback:\n\t" .. result.path .. ":3: in", 1, true), result.err)
  end)

  it("that somebody waited for later is not shown", function()
    local result = code [[
      local runtime = require "moonpool.runtime"
      local task = runtime.spawn(error, "x")
      runtime.sleep(0.001)
      print(pcall(task.wait, task))
    ]]
    assert.same({ code = 0, out = "false\tx\n", err = "" }, result)
  end)

  it("of a task whose object is garbage is shown while the program goes on", function()
    local result = code [[
      local runtime = require "moonpool.runtime"
      runtime.spawn(error, "x")
      runtime.sleep(0.001)
      collectgarbage() collectgarbage()
      io.stderr:write "later\n"
    ]]
    assert.equal(1, result.code)
    assert.truthy(result.err:find "nobody waited for: x\n.*later\n$", result.err)
  end)

  it("that is no text and has no text is shown too", function()
    local result = code "error(nil)"
    assert.equal(1, result.code)
    assert.truthy(result.err:find("moonpool: nil", 1, true))
  end)
end)

describe("the script", function()
  it("is a task, and ends when all its tasks have ended", function()
    local result = code [[
      local runtime = require "moonpool.runtime"
      assert(runtime.current().number == 1)
      runtime.spawn(function()
        runtime.sleep(0.005)
        print "late"
      end)
      print "main"
    ]]
    assert.same({ code = 0, out = "main\nlate\n", err = "" }, result)
  end)

  it("shows its error at once although other tasks go on", function()
    local result = code [[
      local runtime = require "moonpool.runtime"
      runtime.spawn(function()
        runtime.sleep(0.005)
        io.stderr:write "late\n"
      end)
      error("early", 0)
    ]]
    assert.equal(1, result.code)
    assert.truthy(result.err:find "early.*late\n$")
  end)
end)

describe("require under the host", function()
  -- Modules in a directory of their own; the code runs there.
  local function with_modules(modules, text)
    local dir = os.tmpname()
    os.remove(dir)
    assert(os.execute("mkdir " .. dir))
    for name, module in pairs(modules) do
      local file = assert(io.open(dir .. "/" .. name .. ".lua", "w"))
      file:write(module)
      file:close()
    end
    local result = run { "-e", ("package.path = %q .. package.path\n"):format(dir .. "/?.lua;") .. text }
    os.execute("rm -r " .. dir)
    return result
  end

  it("gives what Lua's own gives", function()
    local result = with_modules({ a = "print(...) return { 1 }", b = "", c = "package.loaded.c = 'set'" }, [[
      local a, where = require "a"
      print(a[1], where:match "[^/]*$", require "a" == a, package.loaded.a == a)
      print(require "b", require "c")
    ]])
    assert.equal("", result.err)
    local lines = {}
    for line in result.out:gmatch "[^\n]+" do
      lines[#lines + 1] = line
    end
    assert.truthy(lines[1]:find "^a\t.*/a.lua$")
    assert.equal("1\ta.lua\ttrue\ttrue", lines[2])
    assert.truthy(lines[3]:find "^true\tset")
  end)

  it("says what it tried when there is no such module", function()
    local result = code "require 'no.such.module'"
    assert.equal(1, result.code)
    assert.truthy(result.err:find("module 'no.such.module' not found:\n\tno field package.preload['no.such.module']", 1, true))
  end)

  it("lets a module wait while it loads, and others wait for the module", function()
    local result = with_modules({ slow = [[
      print "loading"
      require("moonpool.runtime").sleep(0.005)
      return "loaded"
    ]] }, [[
      local runtime = require "moonpool.runtime"
      local function load() return require "slow" end
      print(runtime.gather(load, load, load))
    ]])
    assert.same({ code = 0, out = "loading\nloaded\tloaded\tloaded\n", err = "" }, result)
  end)

  it("loads again after a failure, also for those who waited", function()
    local result = with_modules({ failing = [[
      count = (count or 0) + 1
      require("moonpool.runtime").sleep(0.002)
      error("try " .. count, 0)
    ]] }, [[
      local runtime = require "moonpool.runtime"
      local function load() return select(2, pcall(require, "failing")) end
      print(runtime.gather(load, load))
    ]])
    assert.equal("try 1\ttry 2\n", result.out)
  end)

  it("refuses a module that requires itself", function()
    local result = with_modules({ me = "require 'me'" }, "require 'me'")
    assert.equal(1, result.code)
    assert.truthy(result.err:find("loop while loading module 'me'", 1, true), result.err)
  end)

  it("refuses modules of two tasks that wait for each other", function()
    local result = with_modules({
      x = "require('moonpool.runtime').sleep(0.002) require 'y'",
      y = "require('moonpool.runtime').sleep(0.002) require 'x'",
    }, [[
      local runtime = require "moonpool.runtime"
      local function load(name)
        return function()
          local ok, err = pcall(require, name)
          return ok or err.kind or err
        end
      end
      print(runtime.gather(load "x", load "y"))
    ]])
    assert.equal(0, result.code)
    assert.truthy(result.out:find("pool_deadlock", 1, true), result.out .. result.err)
  end)
end)

describe("the specs' own runner", function()
  it("runs under the program, with waits in every kind of block", function()
    local name = os.tmpname() .. ".lua"
    local file = assert(io.open(name, "w"))
    file:write [[
      local runtime = require "moonpool.runtime"
      runtime.sleep(0)
      describe("blocks", function()
        runtime.sleep(0)
        setup(function() runtime.sleep(0) end)
        before_each(function() runtime.sleep(0) end)
        after_each(function() runtime.sleep(0) end)
        it("waits", function()
          runtime.sleep(0)
          assert.has_error(function() runtime.sleep(0) error "x" end)
          finally(function() runtime.sleep(0) end)
        end)
        it("fails", function() runtime.sleep(0) assert.equal(1, 2) end)
      end)
    ]]
    file:close()
    local result = run({ "/usr/bin/busted", "-o", "TAP", name },
      "cd /tmp && %s")
    os.remove(name)
    os.remove((name:gsub("%.lua$", "")))
    assert.equal(1, result.code)
    assert.truthy(result.out:find("ok 1 - blocks waits", 1, true), result.out .. result.err)
    assert.truthy(result.out:find("not ok 2 - blocks fails", 1, true))
  end)
end)
