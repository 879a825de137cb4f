-- Starts the programs of the bench and reads their one line of figures. Knows no workload.

local process = {}

--- A word for the shell, whatever is in it.
local function quoted(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

--- Run a command to its end.
---@param words string[]
---@return boolean ok, string output  both streams
function process.run(words)
  local line = {}
  for i, word in ipairs(words) do
    line[i] = quoted(word)
  end
  local pipe = assert(io.popen(table.concat(line, " ") .. " 2>&1"))
  local output = pipe:read("a")
  return pipe:close() == true, output
end

--- key=value words in a fixed order.
---@param ... table<string, any>
---@return string[]
function process.arguments(...)
  local words = {}
  for _, map in ipairs{ ... } do
    for key, value in pairs(map) do
      table.insert(words, ("%s=%s"):format(key, value))
    end
  end
  table.sort(words)
  return words
end

--- The figures that a program printed, or nil and why it did not: "unsupported ..." when its library cannot do this yet.
---@param words string[]
---@return table<string, number>?, string? why, boolean? unsupported
function process.figures(words)
  local ok, output = process.run(words)
  if not ok then return nil, output end
  local missing = ("\n" .. output):match("\nunsupported ([^\n]*)")
  if missing then return nil, missing, true end
  local line = ("\n" .. output):match("\nfigures ([^\n]*)")
  if not line then return nil, "no figures in: " .. output end
  local figures = {}
  for key, value in line:gmatch("([%w_]+)=(%S+)") do
    figures[key] = math.tointeger(value) or tonumber(value)
  end
  return figures
end

--- Start the line that takes a while each way. It ends with this program, however that ends.
---@param program string
---@param to string      host:port
---@param delay_ms number
---@param note string     a file for what it says
---@return {port: integer, close: fun()}
function process.proxy(program, to, delay_ms, note)
  os.remove(note)
  local words = { quoted(program), "--to", quoted(to), "--delay", tostring(delay_ms), "--until-eof", ">", quoted(note) }
  local pipe = assert(io.popen(table.concat(words, " "), "w"))
  local port
  repeat
    local file = io.open(note)
    port = file and (file:read("l") or ""):match("^port=(%d+)")
    if file then file:close() end
  until port or not process.run{ "sleep", "0.02" }
  return {
    port = math.tointeger(tonumber(port)),
    close = function()
      pipe:close()
      os.remove(note)
    end,
  }
end

return process
