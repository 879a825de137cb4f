-- Error objects: tables with kind, message and the traceback of the place where they were raised.
-- Knows the kinds and their families (the core's table), not who raises what.

local core = require "moonpool.core"

local errors = {}

---@class moonpool.error
---@field kind string            one word, as in api.md section 8
---@field message string         names the thing, the value and the way out
---@field retryable false|"transaction"|"connect"|"statement"
---@field sent boolean           false: certainly nothing was executed
---@field row integer?           of many rows (bulk_create, execute_many ...) the one that failed, from 1, where that is known
---@field traceback string       starts at the user's line
---@field cause any              the error behind this one
---@field suppressed any[]?      errors that were met while this one was on its way
local Error = { __name = "moonpool.error" }
errors.metatable = Error

local kinds = {} -- kind -> set of every name that mp.is answers for it
local families = {} -- every name that mp.is knows
for _, kind in ipairs(core.error_kinds()) do
  kinds[kind.name] = { [kind.name] = true, [kind.family] = true, [kind.parent] = true }
  families[kind.name], families[kind.family], families[kind.parent] = true, true, true
end
families[""] = nil
errors.kinds = kinds

-- ---- tracebacks ----

-- Every file of the library lies below this; its frames at either end are of no interest to its user.
local own_source = debug.getinfo(1, "S").source:match "^(@.*)errors%.lua$" or "@moonpool/"

local function is_own(info)
  return info.what == "C" or info.source:sub(1, #own_source) == own_source
end

local function place(info)
  if info.what == "C" then
    return "[C]"
  end
  return info.source:match "^[@=](.*)" or info.short_src
end

local function line_of(info)
  local what
  if info.what == "main" then
    what = "main chunk"
  elseif info.name then
    what = (info.namewhat == "method" and "method '" or "function '") .. info.name .. "'"
  elseif info.what == "C" then
    what = "?"
  else
    what = "function <" .. place(info) .. ":" .. info.linedefined .. ">"
  end
  if info.currentline > 0 then
    return "\t" .. place(info) .. ":" .. info.currentline .. ": in " .. what
  end
  return "\t" .. place(info) .. ": in " .. what
end

local function text_of(frames)
  local lines = {}
  local first, last = 1, #frames
  while first <= last and is_own(frames[first]) do
    first = first + 1
  end
  while last >= first and is_own(frames[last]) do
    last = last - 1
  end
  for i = first, last do
    if last - first < 22 or i < first + 11 or i > last - 11 then
      lines[#lines + 1] = line_of(frames[i])
    elseif i == first + 11 then
      lines[#lines + 1] = "\t..."
    end
  end
  return table.concat(lines, "\n")
end

local DEEPEST = 1000 -- a recursion without end has no more to tell

--- The stack of the caller as text, from the user's first line to the user's last.
---@return string  one line for each function, `\tfile:line: in ...`; empty when no user's function runs
function errors.traceback()
  local frames = {}
  local level = 2
  local info = debug.getinfo(level, "Sln")
  while info and level < DEEPEST do
    frames[#frames + 1] = info
    level = level + 1
    info = debug.getinfo(level, "Sln")
  end
  return text_of(frames)
end

--- Is the function at this level (1: the caller) the library's own, or a C function?
---@param level integer  ---@return boolean
function errors.is_own_level(level)
  local info = debug.getinfo(level + 1, "S")
  return info ~= nil and is_own(info)
end

--- The same for a coroutine that does not run.
---@param thread thread  ---@return string
function errors.traceback_of(thread)
  local frames = {}
  local level = 0
  local info = debug.getinfo(thread, level, "Sln")
  while info and level < DEEPEST do
    frames[#frames + 1] = info
    level = level + 1
    info = debug.getinfo(thread, level, "Sln")
  end
  return text_of(frames)
end

--- Where a function of the program is written, as file:line; nil for others.
---@param fn any  ---@return string?
function errors.line_of_function(fn)
  local info = type(fn) == "function" and debug.getinfo(fn, "S")
  return info and not is_own(info) and place(info) .. ":" .. info.linedefined or nil
end

-- ---- making and raising ----

function Error:__tostring()
  return (tostring(self.kind) .. ": " .. tostring(self.message)):gsub("%s*[\r\n]+%s*", " ")
end

local function finish(err)
  err.retryable = err.retryable or false
  err.traceback = err.traceback or errors.traceback()
  return setmetatable(err, Error)
end

--- An error object whose traceback is that of the caller.
---@param kind string  ---@param message string  ---@param fields table?  further fields, taken over
---@return moonpool.error
function errors.new(kind, message, fields)
  if kinds[kind] == nil then
    error("no error kind " .. tostring(kind), 2)
  end
  local err = {}
  for key, value in pairs(fields or err) do
    err[key] = value
  end
  err.kind, err.message = kind, message
  err.sent = err.sent or false
  return finish(err)
end

--- Raise a new error object.
---@param kind string  ---@param message string  ---@param fields table?
---@return any  never
function errors.raise(kind, message, fields)
  return error(errors.new(kind, message, fields), 0)
end

--- Make the plain table that a function of the core gave back an error object.
---@param err table  ---@return moonpool.error
function errors.from_core(err)
  return finish(err)
end

--- Raise what a function of the core gave back.
---@param err table  ---@return any  never
function errors.raise_core(err)
  return error(finish(err), 0)
end

--- Is it one of our errors?
---@param err any  ---@return boolean
function errors.is_error(err)
  return type(err) == "table" and type(rawget(err, "kind")) == "string" and kinds[rawget(err, "kind")] ~= nil
end

--- mp.is: is it an error of this kind, or of a kind of this family?
---@param err any  ---@param name string  a kind or a family
---@return boolean  raises bad_argument for a name that is neither
function errors.is(err, name)
  if not families[name] then
    errors.raise("bad_argument", "mp.is: " .. tostring(name) .. " is neither a kind nor a family of errors")
  end
  return errors.is_error(err) and kinds[err.kind][name] == true
end


-- ---- steps that are all taken ----

---@class moonpool.attempts  Steps of which each is taken, whatever another one raised.
local Attempts = {}
Attempts.__index = Attempts

---@return moonpool.attempts
function errors.attempts() return setmetatable({ failed = false }, Attempts) end

--- Call fn. What it raises waits for raise(); what is not the first is in that one's `suppressed`.
---@param fn function  ---@param ... any
function Attempts:try(fn, ...)
  local ok, err = pcall(fn, ...)
  if not ok and self.failed then
    errors.suppress(self.err, err)
  elseif not ok then
    self.failed, self.err = true, err
  end
end

--- Raises what the first one raised that failed, if one did.
function Attempts:raise()
  if self.failed then
    return error(self.err, 0)
  end
end

--- A __close of a close: what closing raises does not take the place of the error that leaves the scope.
---@param close fun(self: any)
---@return fun(self: any, err: any)
function errors.closing(close)
  return function(self, err)
    if err == nil then
      return close(self)
    end
    local ok, problem = pcall(close, self)
    if not ok then
      errors.suppress(err, problem)
    end
  end
end

-- What a program raises may be anything, also what cannot be shown.
local function shown(err)
  local meta = getmetatable(err)
  local plain = type(err) == "table" and not (type(meta) == "table" and meta.__tostring)
  local ok, text = pcall(plain and core.show or tostring, err)
  return ok and text or "(error object is a " .. type(err) .. " value that cannot be shown)"
end

--- The whole story for standard error: the line, the traceback, causes and suppressed errors.
---@param err any  ---@param traceback string?  where an error that is no error object was raised
---@return string
function errors.report(err, traceback)
  local lines = {}
  local function add(what, indent)
    local where = traceback
    lines[#lines + 1] = indent .. shown(what)
    if errors.is_error(what) then
      where = what.traceback
    end
    if where and where ~= "" then
      lines[#lines + 1] = indent .. "stack traceback:"
      lines[#lines + 1] = where
    end
    if errors.is_error(what) then
      if what.cause ~= nil then
        lines[#lines + 1] = indent .. "caused by"
        add(what.cause, indent .. "  ")
      end
      for _, other in ipairs(what.suppressed or {}) do
        lines[#lines + 1] = indent .. "meanwhile"
        add(other, indent .. "  ")
      end
    end
    traceback = nil -- of the first only
  end
  add(err, "")
  return table.concat(lines, "\n")
end

--- Note an error that was met while err was on its way. Only error objects can keep it: beside what else a program
--- raises it is written to standard error, so that nobody misses it.
---@param err any  ---@param other any
function errors.suppress(err, other)
  if errors.is_error(err) and err ~= other then
    err.suppressed = err.suppressed or {}
    err.suppressed[#err.suppressed + 1] = other
  elseif err ~= other then
    io.stderr:write("moonpool: while an error was on its way: ", errors.report(other), "\n")
  end
end

core.set_error_maker(errors.new)

return errors
