-- The program: reads its command line and does what it says.

local arguments = require "moonpool.host.arguments"
local core = require "moonpool.core"

local function complain(...)
  io.stderr:write("moonpool: ", ...)
  io.stderr:write "\n"
end

local function versions()
  local known = core.versions()
  local names = {}
  for name in pairs(known) do
    if name ~= "moonpool" then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  print("moonpool " .. known.moonpool)
  for _, name in ipairs(names) do
    print(("  %-8s %s"):format(name, known[name]))
  end
end

local function run(chunk, message, arg, signals, is_end)
  if not chunk then
    complain(message)
    return 1
  end
  require("moonpool.host.loader").install()
  _G.arg = arg
  return require("moonpool.host.script").run(chunk, arg, signals, is_end)
end

local actions = {
  version = function()
    versions()
    return 0
  end,
  help = function()
    io.write(arguments.help)
    return 0
  end,
  wrong = function(what)
    complain(what.message, "\n", arguments.help)
    return 2
  end,
  unsupported = function(what)
    complain("unsupported: ", what.message, " is not built yet")
    return 2
  end,
  code = function(what, signals)
    local chunk, message = load(what.code, "=(command line)")
    return run(chunk, message, what.arg, signals)
  end,
  types = function(what, signals)
    local definitions = require "moonpool.host.definitions"
    local chunk, message = loadfile(what.path)
    definitions.prepare()
    local code = run(chunk, message, what.arg, signals, definitions.is_stop)
    if code == 0 then
      io.stdout:write(definitions.write(what.path))
    end
    return code
  end,
  script = function(what, signals)
    local chunk, message = loadfile(what.path)
    return run(chunk, message, what.arg, signals)
  end,
}

--- The program's main function.
---@param words string[]  the command line, the program's name at 0
---@param signals table  from lua/host/signals.c
---@return integer exit_code
return function(words, signals)
  local what = arguments.read(words)
  return actions[what.action](what, signals)
end
