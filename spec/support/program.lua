-- Runs the program that runs the specs as a process of its own, for specs about its behaviour from outside.

local program = {}

-- `build/moonpool`, or the one of another build directory whose specs run now.
local function path()
  local pipe = assert(io.popen "readlink /proc/$PPID/exe; pwd")
  local exe, directory = pipe:read("l", "l")
  pipe:close()
  return exe and exe:find "/moonpool$" and exe or directory .. "/build/moonpool"
end

program.path = path()

local function quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end
program.quote = quote

local function read(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read "a"
  file:close()
  os.remove(name)
  return text
end

--- Run it with these words as its command line.
---@param words string[]  ---@param shell string?  what the shell does instead of just running it, with %s in its place
---@return { code: integer, out: string, err: string }
function program.run(words, shell)
  local command = { quote(program.path) }
  for _, word in ipairs(words) do
    command[#command + 1] = quote(word)
  end
  local out, err = os.tmpname(), os.tmpname()
  local line = (shell or "%s"):gsub("%%s", function()
    return table.concat(command, " ")
  end)
  local _, _, code = os.execute(("{ %s; } >%s 2>%s </dev/null"):format(line, out, err))
  return { code = code, out = read(out), err = read(err) }
end

--- Run code with -e.
---@param code string
function program.code(code, ...)
  return program.run { "-e", code, ... }
end

--- Run a script with this text; %s in the result's err is the script's path.
---@return { code: integer, out: string, err: string, path: string }
function program.script(text, ...)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write(text)
  file:close()
  local result = program.run { name, ... }
  result.path = name
  os.remove(name)
  return result
end

return program
