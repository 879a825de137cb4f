-- mp.session, mp.session.wrap, mp.session.current and db:session: the ways to open a session. A function's end commits
-- or rolls it back; inside another session of the task it joins that one.

local begin_options = require "moonpool.database.begin_options"
local block = require "moonpool.atomic.block"
local database_of = require "moonpool.database.database"
local errors = require "moonpool.errors"
local handle = require "moonpool.session.handle"
local registry = require "moonpool.database.registry"
local runtime = require "moonpool.runtime"
local transaction = require "moonpool.database.transaction"
local unit_of = require "moonpool.session.unit"
local vocabulary = require "moonpool.vocabulary"

local session = {}

local pcall, error = pcall, error

local function bad(message)
  return errors.raise("bad_argument", message)
end

-- ---- options ----

local checks = {
  retry = begin_options.checks.retry, isolation = begin_options.checks.isolation, database = registry.db,
}

for _, name in ipairs { "optimistic", "autoflush", "expire_on_commit" } do
  checks[name] = function(value)
    if type(value) ~= "boolean" then
      return bad(name .. " is true or false, not " .. vocabulary.quoted(value))
    end
    return value
  end
end

local FOR_SESSION = {
  retry = true, isolation = true, optimistic = true, autoflush = true, expire_on_commit = true, database = true,
}
local FOR_DATABASE = { retry = true, isolation = true, optimistic = true, autoflush = true, expire_on_commit = true }
local BY_HAND = { isolation = true, optimistic = true, autoflush = true, expire_on_commit = true }

-- The names of a wrapped function's databases may come to be known later.
local function check(options, allowed, later)
  local found = {}
  if type(options) ~= "table" or getmetatable(options) ~= nil then
    return bad("a session takes a table of options, not " .. vocabulary.quoted(options)
      .. ": mp.session({ database = \"name\" }, fn), or db:session(fn)")
  end
  for name, value in pairs(options) do
    if not allowed[name] and FOR_SESSION[name] then
      return errors.raise("unknown_option", "the option " .. name .. " is not for this kind of session: db:session is of its own"
        .. " database, and by hand it has no function that could be run again; mp.session(options, fn) takes it")
    elseif not allowed[name] then
      return errors.raise("unknown_option", "no option " .. tostring(name) .. " for a session"
        .. vocabulary.suggest(tostring(name), allowed))
    end
    if not (later and name == "database" and type(value) == "string") then
      found[name] = checks[name](value)
    end
  end
  return found
end

local function check_function(fn)
  local meta = getmetatable(fn)
  if type(fn) ~= "function" and not (type(meta) == "table" and meta.__call) then
    return bad("mp.session takes a function, not " .. (fn == nil and "nil" or "a " .. type(fn))
      .. ": mp.session(function(s) ... end); a session by hand is db:session()")
  end
end

-- ---- running ----

-- Roll back because of an error, which notes what that raises.
local function undo(unit, err)
  local undone, problem = pcall(unit.rollback, unit)
  if not undone then
    errors.suppress(err, problem)
  end
end

local function finish(unit, ok, ...)
  if ok then
    unit.ending = true
    local fine, err = pcall(unit.commit, unit)
    unit:finish()
    if fine then
      return ...
    elseif unit.frames[1] or not unit.kept then -- what was committed before stays so
      undo(unit, err)
    end
    return error(err, 0)
  end
  unit:finish()
  undo(unit, (...))
  return error((...), 0)
end

local function run_once(progress, database, options, fn, with_session, ...)
  local unit = unit_of.new(runtime.current(), database, options, true)
  progress.frame = unit
  unit:start()
  local s = handle.new(unit)
  if with_session then
    return finish(unit, pcall(fn, s))
  end
  return finish(unit, pcall(fn, ...))
end

local SHARED = { "optimistic", "expire_on_commit" }

-- A session inside a session is the same one: what it asks for must be what there is.
local function check_joined(outer, options)
  if options.isolation and options.isolation ~= outer.options.isolation then
    return errors.raise("durable", "a session inside a session cannot have an isolation of its own: " .. options.isolation
      .. " inside " .. (outer.options.isolation or "the default"))
  end
  for _, name in ipairs(SHARED) do
    if options[name] ~= nil and options[name] ~= (outer.options[name] or false) then
      return bad("a session inside a session joins it: " .. name .. " is said where the outer one begins")
    end
  end
end

local function joined(outer, ...)
  if outer.over then -- one of the two was in a generator
    return errors.raise("stale_handle", "the session around this one has ended before it: what followed was in no session")
  end
  return ...
end

local function finish_joined(outer, autoflush, s, ok, ...)
  outer.autoflush, outer.handle = autoflush, s
  if not ok then
    return error((...), 0)
  end
  return joined(outer, ...)
end

local function join(outer, database, options, fn, with_session, ...)
  check_joined(outer, options)
  local autoflush, s, inner = outer.autoflush, outer.handle, handle.joined(outer, database)
  if inner == s and (options.autoflush == nil or options.autoflush == autoflush) then
    if with_session then
      return joined(outer, fn(s))
    end
    return joined(outer, fn(...))
  end
  outer.handle = inner
  if options.autoflush ~= nil then
    outer.autoflush = options.autoflush
  end
  if with_session then
    return finish_joined(outer, autoflush, s, pcall(fn, inner))
  end
  return finish_joined(outer, autoflush, s, pcall(fn, ...))
end

local function run(database, options, fn, with_session, ...)
  local task = runtime.current()
  if task.session and task.session.handle then
    return join(task.session, database, options, fn, with_session, ...)
  elseif options.retry and not transaction.current(database) then
    return block.with_retry(options.retry, run_once, database, options, fn, with_session, ...)
  end
  return run_once({}, database, options, fn, with_session, ...)
end

--- Run fn in a session: flushes and commits at its end, rolls back on an error.
---@param first function|table fn, or options: retry isolation optimistic autoflush expire_on_commit database
---@param second function?
---@return any ... what fn returns
--- Raises what fn raises, and what flushing and committing can raise; partial_commit.
function session.run(_, first, second)
  if second == nil then
    check_function(first)
    return run(registry.db(), {}, first, true)
  end
  check_function(second)
  local options = check(first, FOR_SESSION)
  return run(options.database or registry.db(), options, second, true)
end

--- A function that runs fn in a session, with the arguments it is given.
---@param first function|table
---@param second function?
---@return function
function session.wrap(first, second)
  local fn = second or first
  check_function(fn)
  if second ~= nil then
    check(first, FOR_SESSION, true) -- a wrong option is told here, where it is written
  end
  return function(...)
    local options = second ~= nil and check(first, FOR_SESSION) or {}
    return run(options.database or registry.db(), options, fn, false, ...)
  end
end

--- The session that the calling task is in, or nil.
---@return moonpool.session?
function session.current()
  local unit = runtime.current().session
  return unit and unit.handle or nil
end

--- db:session(fn), db:session(options, fn); db:session(options) is one by hand: s:commit() as you go, rolled back at its
--- close unless committed.
---@return any ... what fn returns, or the session
--- Raises what fn raises, and what flushing and committing can raise; bad_argument by hand inside a session.
function database_of.methods:session(first, second)
  if second ~= nil or type(first) == "function" then
    local fn = second or first
    check_function(fn)
    return run(self, second ~= nil and check(first, FOR_DATABASE) or {}, fn, true)
  end
  local options = first ~= nil and check(first, BY_HAND) or {}
  local task = runtime.current()
  if task.session and task.session.handle then
    return bad("the task is in a session already, which a session by hand cannot be part of: use that one"
      .. " (mp.session.current()), s:begin_nested() for a part that can be undone, or db:session(fn), which joins it")
  end
  local unit = unit_of.new(task, self, options, false)
  unit:start()
  return handle.new(unit)
end

session.session = setmetatable({ wrap = session.wrap, current = session.current }, {
  __call = session.run, __name = "mp.session",
})

return session
