-- The command line of the program: words become a table that says what to do.
-- Everything behind the script's name belongs to the script, untouched.

local vocabulary = require "moonpool.vocabulary"

local arguments = {}

arguments.help = [[
usage: moonpool [options] script.lua [arguments]
       moonpool -e "code" [arguments]
       moonpool -                          read the script from standard input
       moonpool repl [--database URL] [--sandbox] [--read-only] [models.lua]
       moonpool types script.lua

options:
  -e CODE       run CODE; further words are its arguments
  --dry-run     show what the script would write
  --version     the versions of moonpool and of the libraries in use
  --help        this text

The script's main chunk is a task: whatever it asks of a database suspends it alone.
Exit codes: 0 fine, 1 the script failed, 2 wrong usage, 130 after SIGINT, 143 after SIGTERM.
]]

-- The global `arg`: the script at 0, its arguments behind it, what stood before it at -1, -2 ...
local function rest(words, script)
  local arg = { n = #words - script }
  for i = 0, #words do
    arg[i - script] = words[i]
  end
  return arg
end

local function wrong(message)
  return { action = "wrong", message = message }
end

local OPTIONS = { "-e", "--dry-run", "--version", "--help" }

local not_built = {
  repl = "the interactive mode (moonpool repl)",
  ["--dry-run"] = "moonpool --dry-run",
}

--- Read the words of the command line.
---@param words string[]  words[0] is the program
---@return table what  action: "script" "types" (path, arg) "code" (code, arg) "version" "help" "wrong" "unsupported" (message)
function arguments.read(words)
  local first = words[1]
  if first == nil then
    return { action = "unsupported", message = not_built.repl }
  elseif not_built[first] then
    return { action = "unsupported", message = not_built[first] }
  elseif first == "types" then
    if words[2] == nil or words[2]:find "^%-" then
      return wrong(words[2] and "moonpool types takes a script, not " .. words[2] or "moonpool types: of which script?")
    end
    return { action = "types", path = words[2], arg = rest(words, 2) }
  elseif first == "-h" and words[2] == nil then
    return { action = "help" }
  elseif first == "--version" or first == "--help" then
    if words[2] then
      return wrong(first .. " takes no arguments")
    end
    return { action = first:sub(3) }
  elseif first == "-e" then
    if words[2] == nil then
      return wrong "-e needs the code to run"
    end
    return { action = "code", code = words[2], arg = rest(words, 2) }
  elseif first == "--" then
    if words[2] == nil then
      return wrong "which script?"
    end
    return { action = "script", path = words[2], arg = rest(words, 2) }
  elseif first ~= "-" and first:sub(1, 1) == "-" then
    return wrong("unknown option " .. first .. vocabulary.suggest(first, OPTIONS))
  end
  return { action = "script", path = first ~= "-" and first or nil, arg = rest(words, 1) }
end

return arguments
