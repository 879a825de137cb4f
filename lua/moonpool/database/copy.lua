-- Many rows in one go: what stands behind execute_many and copy_in. Everything is written or nothing.

local codec = require "moonpool.database.codec"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local holding = require "moonpool.database.holding"
local placeholder = require "moonpool.database.placeholder"
local runtime = require "moonpool.runtime"
local statement = require "moonpool.database.statement"
local transaction = require "moonpool.database.transaction"

local copy = {}

local await = runtime.await

local CHUNK, COPY_CHUNK = 1000, 5000 -- rows that go at once
local CHUNK_BYTES = 4 * 1024 * 1024  -- and no more where their texts are that long

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

-- The function that gives row number `place`: an array is read like an iterator.
local function rows_of(source)
  if type(source) == "table" and not (getmetatable(source) and getmetatable(source).__call) then
    return function(place)
      return source[place]
    end
  elseif type(source) == "function" or type(source) == "table" then
    return source
  end
  return errors.raise("bad_argument", "copy_in takes an array of arrays or an iterator, not a " .. type(source))
end

-- The kinds and the types of the columns, from the server, which finds wrong names before a row is read.
local function describe(database, lease, query, sql)
  local frame
  if not lease then
    lease, frame = statement.place(database, "write")
  end
  local op = lease:prepare(query)
  await(op)
  local count, problem, kinds, _, types = core.take(op)
  if count == nil then
    problem.position = nil -- of another text
    local err = statement.fail(database, sql, problem)
    statement.blame(frame, err)
    return error(err, 0)
  end
  return kinds, types
end

-- The kinds that values are sent as where a plain table or string would be taken for something else; nil where none is.
local function kinds_of(reported)
  local kinds
  for place, kind in pairs(reported) do
    if kind == core.kind.array or kind == core.kind.blob then
      kinds = kinds or {}
      kinds[place] = kind
    end
  end
  return kinds
end

-- What is the same for each chunk, with the rows that went before it.
local function chunk_options(database, own)
  local options = { own = own }
  for name, value in pairs(database.query_options or {}) do
    options[name] = value
  end
  return options
end

local blob_type = getmetatable(core.blob "")

--- Is a row whose values are taken by place keyed by names? It would be one of NULLs. (`n` is of table.pack.)
function copy.is_keyed(row)
  local key = row[1] == nil and next(row)
  return type(key) == "string" and key ~= "n"
end

-- Read rows into one array, one behind the other, until there are `most` of them or their texts are long.
-- Gives how many, and whether that was all.
local function gather(next_row, values, width, most, before)
  local n, at, bytes = 0, 0, 0
  while n < most and bytes < CHUNK_BYTES do
    local row = next_row(before + n + 1)
    if row == nil then
      return n, true
    elseif type(row) ~= "table" then
      return errors.raise("bad_parameters", ("row %d of copy_in is no table, but a %s"):format(before + n + 1, type(row)))
    elseif row[width + 1] ~= nil then
      return errors.raise("bad_parameters", ("row %d of copy_in has more values than there are columns (%d)"):format(
        before + n + 1, width))
    elseif copy.is_keyed(row) then
      return errors.raise("bad_parameters", ("row %d of copy_in is keyed by names: its values stand in the order of the columns")
        :format(before + n + 1), { row = before + n + 1 })
    end
    for column = 1, width do
      local value = row[column]
      local kind = type(value)
      if kind == "string" or kind == "userdata" and getmetatable(value) == blob_type then
        bytes = bytes + #value
      end
      values[at + column] = value
    end
    at = at + width
    n = n + 1
  end
  return n, false
end

--- db:copy_in.
function copy.into(database, lease, table_name, columns, source)
  if type(columns) ~= "table" or columns[1] == nil then
    return errors.raise("bad_argument", "copy_in takes the columns as a non-empty array of names")
  end
  local names, marks, width = {}, {}, #columns
  for place, name in ipairs(columns) do
    names[place], marks[place] = quote(database, name), "?"
  end
  local target = copy.table_name(database, table_name)
  local into = target .. " (" .. table.concat(names, ", ") .. ")"
  local by_copy = database.dialect == "postgres"
  local sql = by_copy and "COPY " .. into .. " FROM STDIN"
    or placeholder.read(database.dialect, "INSERT INTO " .. into .. " VALUES (" .. table.concat(marks, ", ") .. ")").sql
  local next_row = rows_of(source)
  return copy.together(database, lease, function()
    local options, encoders = chunk_options(database, by_copy), nil
    if by_copy then
      local query = "SELECT " .. table.concat(names, ", ") .. " FROM " .. target
      local kinds, types = describe(database, lease, query, sql)
      encoders = database.codecs and codec.encoders(database, lease, types)
      options.kinds, options.columns, options.table = kinds_of(kinds), query, target
    end
    local as_list = by_copy and encoders == nil and type(source) == "table" and getmetatable(source) == nil
    local before, written, over = 0, 0, false
    repeat
      local affected, n
      if as_list then
        affected, n = statement.many(database, lease, sql, source, width, COPY_CHUNK, before, options, "copy_rows")
      end
      if affected == nil then -- the end, or what has to be looked at
        local values = {}
        n, over = gather(next_row, values, width, by_copy and COPY_CHUNK or CHUNK, before)
        if n > 0 then
          if encoders then
            codec.encode(encoders, values, width, n)
          end
          options.rows_before = before
          affected = statement.many(database, lease, sql, values, width, n, 0, options, by_copy and "copy_in" or nil)
        end
      end
      written = written + (n > 0 and by_copy and affected or n)
      before = before + n
    until over
    return written
  end)
end

return copy
