-- Where the time of one workload goes: Lua lines by a count hook, C functions by perf and by
-- callgrind, whichever of them works here.

local process = require "process"

local profile = {}

local function show(title, lines, most)
  print("\n" .. title)
  for i = 1, math.min(most, #lines) do
    print(lines[i])
  end
end

local function append(words, more)
  return table.move(more, 1, #more, #words + 1, words)
end

-- Where the processor was, by library and by function. Libraries without symbols give addresses only.
local function perf(file, command)
  if not process.run(append({ "perf", "record", "-o", file, "-F", "4000", "--" }, command)) then return false end
  for _, sort in ipairs{ "dso", "dso,symbol" } do
    local ok, output = process.run{ "perf", "report", "-i", file, "--stdio", "--percent-limit", "0.4", "-s", sort }
    if not ok then return false end
    local lines = {}
    for line in output:gmatch("\n( +[%d.]+%%[^\n]*)") do
      if not line:find(" 0x%x+") then table.insert(lines, (line:gsub("%s+[-%s]*$", ""))) end
    end
    show(sort == "dso" and "share of the time by library (perf)" or "by function", lines, 30)
  end
  return true
end

-- How many instructions functions and all that they call take: the only way to see what a library without symbols costs.
local function callgrind(file, command)
  local ok, output = process.run(append({ "valgrind", "--tool=callgrind", "--callgrind-out-file=" .. file }, command))
  if not ok then return false, output end
  ok, output = process.run{ "callgrind_annotate", "--auto=no", "--inclusive=yes", "--threshold=100", file }
  if not ok then return false, output end
  local lines = {}
  for count, rest in output:gmatch("\n%s*([%d,]+ %(%s*[%d.]+%%%))%s+(%S[^\n]*)") do
    if rest:find("%[") and not rest:find("0x%x+") and not rest:find("'%d") then
      table.insert(lines, count .. "  " .. rest:gsub(" %[.*/", " ["):gsub("^%S*/(%w[^/]*:)", "%1"))
    end
  end
  show("functions with all they call (callgrind: instructions, the program's start included)", lines, 60)
  return true
end

--- Print the profiles of a program of moonpool.
---@param command string[]  how it is run
---@param small string[]    the same with a size that callgrind can bear
---@param file string       for the tools' data; made and removed
---@return boolean ok, string? why
function profile.show(command, small, file)
  local ok, output = process.run(append({ table.unpack(command) }, { "profile=1" }))
  if not ok then return false, output end
  print("\nLua lines (each 101st VM instruction)\n" .. output)
  local seen = perf(file, command)
  local counted, why = callgrind(file, small)
  os.remove(file)
  return seen or counted, why
end

return profile
