-- Which of the rows of a bulk call an error is of: err.row, from 1, in the order of the program.
-- MariaDB tells it of an INSERT of many rows. The others do not: there the batch is undone, and halves of it are tried
-- until one row is left, which fails by itself behind those before it. All of that is undone with the call.

local errors = require "moonpool.errors"
local statement = require "moonpool.database.statement"
local transaction = require "moonpool.database.transaction"

local failing = {}

-- Try fn(first, last) so that what it did can be undone.
local function try(database, fn, first, last)
  local frame = transaction.begin(database)
  frame.block = true
  local ok, value = pcall(fn, first, last)
  if ok then
    transaction.commit(frame)
    return true, value
  end
  local undone, problem = pcall(transaction.rollback, frame)
  if not undone then
    errors.suppress(value, problem)
    return error(value, 0)
  end
  return false, value
end

local function is_of_a_row(err)
  return errors.is_error(err) and err.row == nil and (errors.is(err, "integrity") or errors.is(err, "data"))
end

--- fn(first, last), which writes these rows in one statement inside a transaction; its error names the row.
---@param database table
---@param tells boolean whether the server says which row it was
---@return any what fn gives
--- Raises what fn raises.
function failing.write(database, tells, fn, first, last)
  local ok, value
  if tells or first == last then
    ok, value = pcall(fn, first, last)
  else
    ok, value = try(database, fn, first, last)
  end
  if ok then
    return value
  elseif first == last and is_of_a_row(value) then
    value.row = first
    return error(value, 0)
  elseif tells and errors.is_error(value) and value.row then
    value.row = first - 1 + value.row -- of a statement with these rows alone
    return error(value, 0)
  elseif tells or not is_of_a_row(value) then
    return error(value, 0)
  end
  local done, failed, problem = first - 1, last, value
  while failed - done > 1 do
    local middle = math.floor((done + failed) / 2)
    ok, value = try(database, fn, done + 1, middle)
    if ok then
      done = middle
    elseif is_of_a_row(value) then
      failed = middle
    else
      return error(value, 0)
    end
  end
  ok, value = try(database, fn, failed, failed)
  if ok then
    return error(problem, 0) -- another transaction has ended meanwhile: no row fails any more
  end
  if is_of_a_row(value) then
    value.row = failed
  end
  return error(value, 0)
end

--- fn(some, ...), whose error has the row's place in the group: in the program's array it may have another.
---@param some { places: integer[]?, at: integer? } at: the row that is written, where each is a statement
---@return any what fn gives
--- Raises what fn raises.
function failing.name(some, fn, ...)
  local ok, value = pcall(fn, some, ...)
  if ok then
    return value
  end
  if some.at and is_of_a_row(value) then
    value.row = some.at
  end
  if errors.is_error(value) and value.row then
    statement.name_row(value, some.places and some.places[value.row] or value.row)
  end
  return error(value, 0)
end

return failing
