-- Many rows in one go: what stands behind execute_many and copy_in. Everything is written or nothing.

local errors = require "moonpool.errors"
local holding = require "moonpool.database.holding"
local statement = require "moonpool.database.statement"
local transaction = require "moonpool.database.transaction"

local copy = {}

local CHUNK = 1000

--- Run fn so that what it writes is kept as a whole: in the task's transaction, or in the connection's.
function copy.together(database, lease, fn)
  if lease == nil then
    return (transaction.within(database, fn))
  elseif lease:state() ~= "none" then
    return fn()
  end
  local waits = holding.writer_taken(database, lease)
  holding.begun(database, lease, lease:begin(), waits)
  local ok, value = pcall(fn)
  local problem = holding.settle(ok and lease:commit() or lease:rollback(), true)
  if not ok then
    return error(value, 0)
  elseif problem then
    return holding.fail(problem)
  end
  return value
end

local function quote(database, name)
  if type(name) ~= "string" or name == "" or name:find("\0", 1, true) then
    return errors.raise("bad_argument", "a table and its columns are named by non-empty strings without NUL")
  end
  local mark = database.dialect == "mariadb" and "`" or '"'
  return mark .. name:gsub(mark, mark .. mark) .. mark
end

--- A table's name for SQL; "schema.table" is both.
function copy.table_name(database, name)
  if type(name) ~= "string" then
    return errors.raise("bad_argument", "the table is named by a string, not by a " .. type(name))
  end
  local schema, rest = name:match("^([%w_]+)%.([%w_]+)$")
  if schema then
    return quote(database, schema) .. "." .. quote(database, rest)
  end
  return quote(database, name)
end

-- An array is read like an iterator.
local function rows_of(source)
  if type(source) == "table" and not (getmetatable(source) and getmetatable(source).__call) then
    local place = 0
    return function()
      place = place + 1
      return source[place]
    end
  elseif type(source) == "function" or type(source) == "table" then
    return source
  end
  return errors.raise("bad_argument", "copy_in takes an array of arrays or an iterator, not a " .. type(source))
end

--- db:copy_in.
function copy.into(database, lease, table_name, columns, source)
  if type(columns) ~= "table" or columns[1] == nil then
    return errors.raise("bad_argument", "copy_in takes the columns as a non-empty array of names")
  end
  local names, marks = {}, {}
  for place, name in ipairs(columns) do
    names[place], marks[place] = quote(database, name), "?"
  end
  local sql = "INSERT INTO " .. copy.table_name(database, table_name) .. " (" .. table.concat(names, ", ")
    .. ") VALUES ("
    .. table.concat(marks, ", ") .. ")"
  local next_row = rows_of(source)
  return copy.together(database, lease, function()
    local width = #names
    local total, values, n = 0, {}, 0
    for row in next_row do
      if type(row) ~= "table" then
        return errors.raise("bad_parameters", "row " .. total + n + 1 .. " of copy_in is no table")
      end
      for column = 1, width do
        values[n * width + column] = row[column]
      end
      n = n + 1
      if n == CHUNK then
        statement.many(database, lease, sql, values, width, n, 0, database.query_options)
        total, values, n = total + n, {}, 0
      end
    end
    if n > 0 then
      statement.many(database, lease, sql, values, width, n, 0, database.query_options)
    end
    return total + n
  end)
end

return copy
