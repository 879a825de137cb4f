-- Where the time of one workload goes: Lua lines by a count hook, C functions by perf, or by
-- callgrind where perf may not count.

local process = require "process"

local profile = {}

local function show(title, output, lines)
  print("\n" .. title)
  for line in output:gmatch("[^\n]+") do
    if lines == 0 then break end
    print(line)
    lines = lines - 1
  end
end

local function perf(file, command)
  local words = { "perf", "record", "-o", file, "-F", "2000", "--" }
  local ok = process.run(table.move(command, 1, #command, #words + 1, words))
  if not ok then return false end
  local reported, output = process.run{ "perf", "report", "-i", file, "--stdio", "--percent-limit", "0.5", "-s", "symbol,dso" }
  if reported then show("C functions (perf)", output:gsub("\n#[^\n]*", ""), 40) end
  return reported
end

local function callgrind(file, command)
  local words = { "valgrind", "--tool=callgrind", "--callgrind-out-file=" .. file }
  local ok, output = process.run(table.move(command, 1, #command, #words + 1, words))
  if not ok then return false, output end
  ok, output = process.run{ "callgrind_annotate", "--auto=no", "--threshold=95", file }
  if ok then
    local shown = {}
    for count, rest in output:gmatch("\n%s*([%d,]+ %(%s*[%d.]+%%%))%s+(%S[^\n]*)") do
      table.insert(shown, count .. "  " .. rest:gsub("^.*/(%w[^/]*:)", "%1"))
    end
    show("C functions (callgrind, instructions; start of the program included)", table.concat(shown, "\n"), 45)
  end
  return ok, output
end

--- Print the profiles of a program of moonpool.
---@param command string[]  how it is run
---@param small string[]    the same with a size that callgrind can bear
---@param file string       for the tools' data; made and removed
---@return boolean ok, string? why
function profile.show(command, small, file)
  local hooked = table.move(command, 1, #command, 1, {})
  table.insert(hooked, "profile=1")
  local ok, output = process.run(hooked)
  if not ok then return false, output end
  show("Lua lines (each 1000th VM instruction)", output, 30)
  ok = perf(file, command)
  local why
  if not ok then
    ok, why = callgrind(file, small)
  end
  os.remove(file)
  return ok, why
end

return profile
