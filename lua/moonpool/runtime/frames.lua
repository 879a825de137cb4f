-- Why a coroutine cannot yield: the C function that stands in the way, and what to do instead.
-- Looks at the stack only when a wait has been refused.

local frames = {}

-- Calls that a coroutine can be suspended in.
local passes = {
  [pcall] = true,
  [xpcall] = true,
  [error] = true,
  [dofile or false] = true,
}

local ways_out = {
  [table.sort] = { "a table.sort comparator", "load the rows before sorting" },
  [string.gsub] = { "a string.gsub callback", "collect the matches first, then load what they name" },
  [table.concat] = { "table.concat", "load what it joins first" },
  [tostring] = { "__tostring", "load what it shows first" },
  [print] = { "__tostring", "load what it shows first" },
  [require] = { "require", "a module can wait at load time when the program runs under the host: moonpool script.lua" },
  [load] = { "a reader function of load", "read the text first" },
  [ipairs] = { "ipairs", "load the array first" },
  [select] = { "select", "load its arguments first" },
}
if coroutine.close then
  ways_out[coroutine.close] = { "coroutine.close", "let the coroutine run to its end" }
end

local function of_info(info)
  if info.namewhat == "metamethod" and (info.name == "__gc" or info.name == "gc") then
    return { "__gc", "close what must be closed with <close> or :close()" }
  elseif info.what == "C" and not passes[info.func] then
    local known = ways_out[info.func]
    if known then
      return known
    elseif info.name == "__gc" then
      return { "__gc", "close what must be closed with <close> or :close()" }
    end
    return { info.name and "a function called by " .. info.name or "a C function", "load what it needs first" }
  end
end

--- The message for a wait that is refused in the running coroutine.
---@return string  "database call inside a table.sort comparator: load the rows before sorting"
function frames.refusal()
  local level = 2
  local info = debug.getinfo(level, "Snf")
  while info do
    local found = of_info(info)
    if found then
      return ("database call inside %s: %s"):format(found[1], found[2])
    end
    level = level + 1
    info = debug.getinfo(level, "Snf")
  end
  return "database call inside a function that cannot wait (a message handler, a debug hook, a coroutine that is being closed): load what it needs first"
end

--- The message for a coroutine that somebody resumed behind our back.
function frames.foreign_resume()
  return "database call inside a coroutine that was resumed by a copy of coroutine.resume or coroutine.wrap"
    .. " taken before moonpool was loaded: require moonpool first"
end

return frames
