-- The calls with SQL text: execute, fetch_all and the others. The same for a database, for a connection of one's own
-- and for a prepared statement: `self` says in place() where they run.

local core = require "moonpool.core"
local codec = require "moonpool.database.codec"
local copy = require "moonpool.database.copy"
local cursor = require "moonpool.database.cursor"
local errors = require "moonpool.errors"
local placeholder = require "moonpool.database.placeholder"
local statement = require "moonpool.database.statement"
local stream = require "moonpool.database.stream"

local calls = {}

-- What the loop over rows runs on, with the database's codecs.
local function open_stream(database, lease, found, params, n, way)
  local rows = core.rows
  if database.codecs then
    params, rows = codec.stream(database, lease, found.sql, params, n)
  end
  if lease == nil and found.selects then
    return stream.loop(cursor.open(database, found.sql, found.access, params, n, database.query_options, nil, rows,
      nil, way))
  end
  return stream.loop(stream.open(database, lease, found.sql, found.access, params, n, database.query_options, rows,
    nil, nil, nil, way))
end

local read, bind, run = placeholder.read, placeholder.bind, statement.run
local select = select

local function place_of(self)
  if type(self) ~= "table" then
    return errors.raise("bad_argument", "a call is made with a colon: db:fetch_all(sql, ...)")
  end
  return self:place()
end

local function ask(self, take, sql, ...)
  local database, lease = place_of(self)
  local found = read(database.dialect, sql)
  local params, n = bind(found, select("#", ...), ...)
  if database.codecs then
    return codec.run(database, lease, found.sql, found.access, params, n, database.query_options, take)
  end
  return run(database, lease, found.sql, found.access, params, n, database.query_options, take)
end

--- Run a statement that gives no rows.
---@param sql string
---@param ... any one value for each placeholder, or a table for :name
---@return integer affected rows
--- Raises the database's errors, bad_parameters, unsupported (BEGIN and the like), concurrency, pool_deadlock.
function calls:execute(sql, ...)
  return (ask(self, core.take, sql, ...))
end

--- All rows, each keyed by column name; NULL is absent.
---@return table[]
--- Raises like execute, and duplicate_column.
function calls:fetch_all(sql, ...)
  return (ask(self, core.rows, sql, ...))
end

--- The first row or nil.
---@return table?
--- Raises like fetch_all.
function calls:fetch_one(sql, ...)
  return ask(self, core.rows, sql, ...)[1]
end

--- The first column of the first row, or nil.
---@return any
--- Raises like execute.
function calls:fetch_val(sql, ...)
  return (ask(self, core.value, sql, ...))
end

--- All rows as arrays, and the column names in order. NULL leaves its place empty.
---@return table[], string[]
--- Raises like execute.
function calls:fetch_arrays(sql, ...)
  return ask(self, core.arrays, sql, ...)
end

--- Run a statement once for each row of values, all or nothing.
---@param sql string
---@param rows table[] an array of arrays, or of tables for :name
---@return integer affected rows
--- Raises like execute.
function calls:execute_many(sql, rows)
  local database, lease = place_of(self)
  local found = read(database.dialect, sql)
  if type(rows) ~= "table" then
    return errors.raise("bad_argument", "execute_many takes an array of rows, not a " .. type(rows))
  end
  local values, width, n, order = {}, found.count, #rows, found.order
  local length = table.maxn or function(row) return #row end
  for place = 1, n do
    local row, before = rows[place], (place - 1) * width
    if type(row) ~= "table" then
      return errors.raise("bad_parameters", "row " .. place .. " is no table")
    elseif found.style == ":" then
      row = bind(found, 1, row)
    elseif length(row) > found.arity then
      bind(found, length(row)) -- which says what is wrong
    elseif copy.is_keyed(row) then
      return errors.raise("bad_parameters", ("row %d is keyed by names: its values stand in the order of the placeholders, "
        .. "unless these are named (:name)"):format(place), { row = place })
    end
    -- an array's length does not show a NULL at its end: the statement knows how many there are
    for column = 1, width do
      values[before + column] = row[order and order[column] or column]
    end
  end
  if n == 0 then
    return 0
  end
  return copy.together(database, lease, function()
    if database.codecs then
      values = codec.parameters(database, lease, found.sql, values, width, n)
    end
    return statement.many(database, lease, found.sql, values, width, n, 0, database.query_options)
  end)
end

--- Rows one after the other, with flat memory: for row in db:stream(sql, ...) do. Leaving the loop stops the statement.
---@return moonpool.stream
--- Raises like fetch_all, also from the loop.
function calls:stream(sql, ...)
  local database, lease = place_of(self)
  local found = read(database.dialect, sql)
  local params, n = bind(found, select("#", ...), ...)
  return open_stream(database, lease, found, params, n)
end

--- Write many rows into a table, all or nothing, the fastest way that the database has.
---@param table_name string
---@param columns string[]
---@param source table[]|fun(): table? an array of arrays or an iterator that gives them
---@return integer rows
--- Raises like execute.
function calls:copy_in(table_name, columns, source)
  local database, lease = place_of(self)
  return copy.into(database, lease, table_name, columns, source)
end

--- The rows of a statement or of a table, streamed the cheapest way that the database has: for row in db:copy_out("books") do.
---@return moonpool.stream
--- Raises like stream.
function calls:copy_out(sql_or_table)
  local database, lease = place_of(self)
  if type(sql_or_table) == "string" and not sql_or_table:find("%s") then
    sql_or_table = "SELECT * FROM " .. copy.table_name(database, sql_or_table)
  end
  local found = read(database.dialect, sql_or_table)
  local params, n = bind(found, 0)
  return open_stream(database, lease, found, params, n, database.dialect == "postgres" and "copy_out" or nil)
end

return calls
