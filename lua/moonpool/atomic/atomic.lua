-- mp.atomic, mp.atomic.wrap, mp.on_commit, db:atomic and db:begin: the ways to ask for a transaction. Reads
-- their arguments; what a block does is in block.lua.

local begin_options = require "moonpool.database.begin_options"
local block = require "moonpool.atomic.block"
local database_of = require "moonpool.database.database"
local errors = require "moonpool.errors"
local handle = require "moonpool.atomic.handle"
local registry = require "moonpool.database.registry"
local runtime = require "moonpool.runtime"
local transaction = require "moonpool.database.transaction"
local vocabulary = require "moonpool.vocabulary"

local atomic = {}

local function bad(message)
  return errors.raise("bad_argument", message)
end

local FOR_DATABASE = { isolation = true, read_only = true, retry = true, durable = true, deferrable = true }
local FOR_BEGIN = { isolation = true, read_only = true, durable = true, deferrable = true }

local function with_database(check)
  return { database = check, isolation = true, read_only = true, retry = true, durable = true, deferrable = true }
end

local FOR_BLOCK = with_database(registry.db)

-- A function may be wrapped before its database is configured.
local FOR_WRAP = with_database(function(value)
  return type(value) == "string" and value or registry.db(value)
end)

local function check_function(fn)
  local meta = getmetatable(fn)
  if type(fn) ~= "function" and not (type(meta) == "table" and meta.__call) then
    bad("mp.atomic takes a function, not " .. (fn == nil and "nil" or "a " .. type(fn))
      .. ": mp.atomic(function(tx) ... end)")
  end
end

local function takes_no_more(fn, more)
  if more ~= nil then
    bad("a transaction takes its function last, and gives it nothing but tx: mp.atomic(options, function(tx) ... end);"
      .. " mp.atomic.wrap(options, fn) makes a function that takes arguments")
  end
  return fn
end

-- (fn), (name, fn), (database, fn), (options, fn)
local function read(first, second)
  if type(first) == "string" or database_of.is(first) then
    check_function(second)
    return registry.db(first), nil, second
  elseif type(first) == "table" and second ~= nil then
    check_function(second)
    local options = begin_options.read(first, FOR_BLOCK)
    return options.database or registry.db(), options, second
  end
  check_function(first)
  takes_no_more(first, second)
  return registry.db(), nil, first
end

--- Run fn in a transaction: commits at its end, rolls back on an error.
---@param first function|string|table fn, or a database, or options: database isolation read_only retry durable
---@param second function?
---@return any ... what fn returns
--- Raises what fn raises; in_failed_transaction, durable, commit_unknown and what a commit can fail with; busy, pool
--- errors.
function atomic.run(_, first, second, more)
  if type(first) == "function" and second == nil and more == nil then
    return block.once(registry.db(), nil, first, true)
  end
  local database, options, fn = read(first, takes_no_more(second, more))
  return block.run(database, options, fn, true)
end

--- A function that runs fn in a transaction, with the arguments it is given.
---@param first function|string|table
---@param second function?
---@return function
function atomic.wrap(first, second)
  local fn = second == nil and first or second
  check_function(fn)
  if second ~= nil and type(first) ~= "string" and not database_of.is(first) then
    begin_options.read(first, FOR_WRAP) -- a wrong option is told here, where it is written
  end
  return function(...)
    if second == nil then
      return block.run(registry.db(), nil, fn, false, ...)
    end
    local database, options = read(first, fn)
    return block.run(database, options, fn, false, ...)
  end
end

--- Run fn after the commit of the transaction that the task is in; at once where there is none.
---@param fn fun()
function atomic.on_commit(fn)
  if type(fn) ~= "function" then
    return bad("mp.on_commit takes a function, not a " .. type(fn))
  end
  local frame = transaction.current()
  local session = runtime.current().session
  if session and session:keeps_hooks(frame) then
    session:on_commit(fn)
  elseif frame == nil then
    fn()
  else
    frame.committed = frame.committed or {}
    frame.committed[#frame.committed + 1] = fn
  end
end

local Database = database_of.methods

--- db:atomic(fn), db:atomic(options, fn)
function Database:atomic(first, second, more)
  takes_no_more(second, more)
  if second ~= nil then
    check_function(second)
    if type(first) ~= "table" then
      return bad("db:atomic takes a table of options before its function, not a " .. type(first))
    end
    return block.run(self, begin_options.read(first, FOR_DATABASE), second, true)
  end
  check_function(first)
  return block.run(self, nil, first, true)
end

--- A transaction by hand: tx:commit(), tx:rollback(); rolled back if neither. It holds for the task until it ends.
---@param options {isolation: string?, read_only: boolean?, durable: boolean?}?
---@return moonpool.transaction
--- Raises durable, concurrency, busy, pool errors.
function Database:begin(options)
  if options ~= nil and type(options) ~= "table" then
    return bad("db:begin takes a table of options, not " .. vocabulary.quoted(options)
      .. ": it is a transaction by hand; db:atomic(fn) and db:session(fn) end with their function")
  end
  return handle.new(transaction.begin(self, options and begin_options.read(options, FOR_BEGIN)))
end

atomic.atomic = setmetatable({ wrap = atomic.wrap }, { __call = atomic.run, __name = "mp.atomic" })

return atomic
