-- How busted reports: TAP, as the C tests do, written as it happens, so that one reader counts both and a test
-- that hangs or crashes is known by name. A skipped test says why.

local busted = require "busted"

local function place(trace)
  if not (trace and trace.short_src) then
    return "?"
  end
  return trace.short_src .. ":" .. tostring(trace.currentline or "?")
end

local function comment(text)
  io.write("# ", (tostring(text):gsub("\n", "\n# ")), "\n")
end

return function(options)
  local handler = require "busted.outputHandlers.base"()
  local count = 0

  local function result(verdict, name, directive)
    count = count + 1
    io.write(verdict, " ", count, " - ", (name:gsub("[#\n]", " ")), directive or "", "\n")
    io.flush()
  end

  local function failed(failure)
    result("not ok", failure.name)
    comment("at " .. place(failure.element.trace))
    comment(failure.message == nil and "error without a message" or failure.message)
    if failure.trace and failure.trace.traceback and (options.verbose or failure.isError) then
      comment(failure.trace.traceback)
    end
    io.flush()
  end

  local function test_start(element)
    comment(place(element.trace) .. " " .. handler.getFullName(element))
    io.flush()
    return nil, true
  end

  local function test_end(_, _, status)
    if status == "success" then
      result("ok", handler.successes[#handler.successes].name)
    elseif status == "pending" then
      local skipped = handler.pendings[#handler.pendings]
      if skipped.message ~= nil then
        comment("skipped because " .. tostring(skipped.message))
      end
      result("ok", skipped.name, " # SKIP")
    elseif status == "failure" then
      failed(handler.failures[#handler.failures])
    else
      failed(handler.errors[#handler.errors])
    end
    return nil, true
  end

  -- A file that does not load, a setup that fails: no test began, so none ends.
  local function error_outside(element)
    if element.descriptor ~= "it" then
      failed(handler.errors[#handler.errors])
    end
    return nil, true
  end

  local function suite_end()
    io.write("1..", count, "\n")
    io.flush()
    return nil, true
  end

  busted.subscribe({ "test", "start" }, test_start)
  busted.subscribe({ "test", "end" }, test_end)
  busted.subscribe({ "failure" }, error_outside)
  busted.subscribe({ "error" }, error_outside)
  busted.subscribe({ "suite", "end" }, suite_end)
  return handler
end
