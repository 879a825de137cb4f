-- luacheck: std lua54
-- require under the host: the same searchers and results as Lua's own, in Lua, so that a module can wait at load time.
-- While one task loads a module, others that require it wait for it.

local holders = require "moonpool.runtime.holders"
local runtime = require "moonpool.runtime"

local loader = {}

local loading = {} -- name -> key of the module that is being loaded

local Key = {
  __tostring = function(key)
    return "the module '" .. key.name .. "' that is being loaded"
  end,
}

local function find(name)
  local tried = {}
  if type(package.searchers) ~= "table" then
    error("'package.searchers' must be a table", 0)
  end
  for _, searcher in ipairs(package.searchers) do
    local found, where = searcher(name)
    if type(found) == "function" then
      return found, where
    elseif type(found) == "string" then
      tried[#tried + 1] = "\n\t" .. found
    end
  end
  return nil, "module '" .. name .. "' not found:" .. table.concat(tried)
end

local function finish(key, ok, ...)
  loading[key.name] = nil
  holders.unhold(key, key.holder)
  for _, waiter in ipairs(key.waiters) do
    runtime.wake(waiter)
  end
  if not ok then
    return error((...), 0)
  end
  local value, where = ...
  if value ~= nil then
    package.loaded[key.name] = value
  elseif package.loaded[key.name] == nil then
    package.loaded[key.name] = true
  end
  return package.loaded[key.name], where
end

local function load_module(name, found, where)
  local key = setmetatable({ name = name, holder = runtime.current(), waiters = {} }, Key)
  loading[name] = key
  runtime.hold(key)
  return finish(key, pcall(function()
    return found(name, where), where
  end))
end

local function wait_for(key)
  local context = runtime.current()
  if key.holder == context then
    error("loop while loading module '" .. key.name .. "': it requires itself", 3)
  end
  key.waiters[#key.waiters + 1] = context
  holders.begin_wait(key, 1)
  local ok, err = pcall(runtime.park)
  holders.end_wait(context)
  if not ok then
    error(err, 0)
  end
end

local function require_waiting(name)
  if type(name) == "number" then
    name = tostring(name)
  elseif type(name) ~= "string" then
    error("bad argument #1 to 'require' (string expected, got " .. type(name) .. ")", 2)
  end
  while loading[name] do
    wait_for(loading[name])
  end
  local loaded = package.loaded[name]
  if loaded then
    return loaded
  end
  local found, where = find(name)
  if not found then
    error(where, 2)
  end
  return load_module(name, found, where)
end

--- Replace the global require.
function loader.install()
  require = require_waiting -- luacheck: ignore 121
end

return loader
