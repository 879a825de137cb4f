-- Looking at the statement of a query set: its text, and how the database would run it.

local compile = require "moonpool.sql.compile"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local loading = require "moonpool.entity.loading"
local query_set = require "moonpool.entity.query"
local statement = require "moonpool.database.statement"
local transaction = require "moonpool.database.transaction"
local vocabulary = require "moonpool.vocabulary"

local methods = query_set.methods
local run, options_of, place_of = statement.run, loading.options, loading.place_of

local function check_table(name, options)
  if options ~= nil and type(options) ~= "table" then
    return errors.raise("bad_argument", name .. " takes a table of options, not " .. vocabulary.quoted(options))
  end
end

--- Text and parameters of the SELECT. Needs no connection.
---@param options {dialect: string?}?
---@return string sql, any[] params
function methods:sql(options)
  local name
  check_table("sql", options)
  for key, value in pairs(options or {}) do
    if key ~= "dialect" then
      return errors.raise("unknown_option", "sql takes no option " .. tostring(key)
        .. vocabulary.suggest(key, { "dialect" }))
    end
    name = value
  end
  local d
  if name then
    d = loading.dialect_named(name)
  else
    local _, database = place_of(self)
    d = loading.dialect_of(database)
  end
  local st = compile.select(self, d)
  local bound, n = st:bind(self)
  local params = {}
  for place = 1, n do
    params[place] = bound[place]
  end
  return st.sql, params
end

-- Run fn in a transaction of its own, or a savepoint, that is undone whatever happens.
local function undone(database, fn)
  local frame = transaction.begin(database)
  frame.block = true
  local ok, value = pcall(fn)
  local rolled_back, problem = pcall(transaction.rollback, frame)
  if not ok then
    if not rolled_back then
      errors.suppress(value, problem)
    end
    return error(value, 0)
  elseif not rolled_back then
    return error(problem, 0)
  end
  return value
end

--- How the database would run it, as text; with analyze it runs it, and the text says how that went: what its functions write
--- is undone.
---@param options {analyze: boolean?}?
---@return string
--- Raises unsupported (analyze on SQLite), and the errors of a statement.
function methods:explain(options)
  check_table("explain", options)
  for name in pairs(options or {}) do
    if name ~= "analyze" then
      return errors.raise("unknown_option", "explain takes no option " .. tostring(name)
        .. vocabulary.suggest(name, { "analyze" }))
    end
  end
  local _, database = place_of(self)
  local dialect = loading.dialect_of(database)
  if dialect.explain == nil then
    return errors.raise("unsupported", "explain is not built for " .. dialect.name .. " yet")
  end
  local st = compile.select(self, dialect)
  local sql = dialect.explain(st.sql, options and options.analyze)
  local params, n = st:bind(self)
  local function ask()
    return run(database, nil, sql, "read", params, n, options_of(database, st), core.rows)
  end
  return dialect.explained(options and options.analyze and undone(database, ask) or ask())
end

return methods
