-- Inserting the rows of a group: statements of many rows, or one that is run for each. What the database makes comes back
-- to the row's own object, whatever order the server gives the rows in, and a row that was not written is never taken
-- for another.

local codec = require "moonpool.database.codec"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local failing = require "moonpool.entity.failing"
local grouping = require "moonpool.entity.grouping"
local loading = require "moonpool.entity.loading"
local relation = require "moonpool.entity.relation"
local row = require "moonpool.sql.row"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"
local validation = require "moonpool.entity.validation"

local bulk_insert = {}

local rawget, rawset, ipairs = rawget, rawset, ipairs
local plain = relation.plain

-- ---- rows as one array for each column ----

local FEW = 32 -- rows for which the server is not asked for its types

-- A table that others made may have columns of other types than the entity would have, and may get others at any time.
local function fit_arrays(class, database, some, names)
  local model, dialect = class.model, loading.dialect_of(database)
  if dialect.insert_arrays == nil or some.n < FEW or names[1] == nil then
    return false
  end
  local fits, types = true, codec.describe(database, nil, row.insert(model, dialect, names, 1).sql)
  for place, name in ipairs(names) do
    fits = fits and dialect.fits_array(model:field(name).kind_name, types[place])
  end
  return fits
end

-- ---- what comes back, and whose it is ----

local function not_written(class, made, sent)
  return errors.raise("other_integrity", ("%s: %d of %d rows were inserted: a trigger of the table %s skipped the others")
    :format(class.name, made, sent, class.model.table))
end

-- How rows that come back are known: "order" by a key that the server counts up, "key" by the one that was given, "alone"
-- where neither tells: such rows are written one by one.
local function known_by(class, returned)
  local model, made = class.model, {}
  for _, attribute in ipairs(returned) do
    made[attribute] = true
  end
  if returned[1] == nil then
    return "nothing", returned
  elseif class.generated_key and made[class.generated_key] then
    return "order", returned
  end
  local back = {}
  for place, field in ipairs(model.key) do
    if made[field.attribute] then
      return "alone", returned
    end
    back[place] = field.attribute
  end
  for _, attribute in ipairs(returned) do
    back[#back + 1] = attribute
  end
  return "key", back
end

-- Keys are given in the order of the rows; a server may give the rows back in another.
local function in_order(rows, key)
  local up, down = true, true
  for place = 2, #rows do
    local before, this = rows[place - 1][key], rows[place][key]
    up, down = up and before < this, down and before > this
  end
  if not (up or down) then
    table.sort(rows, function(a, b)
      return a[key] < b[key]
    end)
  end
  return rows
end

local function key_text(fields, one)
  local parts = {}
  for place, field in ipairs(fields) do
    local text = tostring(plain(rawget(one, field.attribute)))
    parts[place] = #text .. ":" .. text
  end
  return table.concat(parts, ",")
end

local function by_key(class, rows, objects, first, last)
  local fields, known, sorted = class.model.key, {}, {}
  for _, made in ipairs(rows) do
    known[key_text(fields, made)] = made
  end
  for place = first, last do
    local made = known[key_text(fields, objects[place])]
    if made == nil then
      return errors.raise("other_integrity", tostring(objects[place]) .. " was inserted with another key: a trigger of the table "
        .. class.model.table .. " changed it")
    end
    sorted[place - first + 1] = made
  end
  return sorted
end

--- The object is in the database, which made these of its columns.
---@param made table?
---@param returned string[]
function bulk_insert.written(class, one, made, returned, other)
  for _, attribute in ipairs(returned) do
    rawset(one, attribute, made and made[attribute])
  end
  state.written(one, class.meta.plan, state.new_batch(class, other))
end

-- ---- inserting ----

-- What writes the rows first..last of a group and gives what comes back, or how many they were; in a flight done gets that.
local function writer_of(some, class, database, names, returned, flight)
  local model, dialect = class.model, loading.dialect_of(database)
  local wanted = returned[1] and returned or nil
  local take = wanted and core.rows or core.take
  if fit_arrays(class, database, some, names) then
    local st = row.insert_arrays(model, dialect, names, wanted)
    return function(first, last, done)
      local options = loading.options(database, st)
      if flight then
        return flight:many(done, database, st.sql, some.params, some.width, last - first + 1, first - 1, options, "by_column",
          take, st.plan)
      end
      return statement.many(database, nil, st.sql, some.params, some.width, last - first + 1, first - 1, options, "by_column",
        take, st.plan)
    end
  end
  return function(first, last, done)
    local st = row.insert(model, dialect, names, last - first + 1, wanted)
    local params, n = grouping.slice(some, first, last)
    local options = loading.options(database, st)
    if flight then
      return flight:run(done, last - first + 1, database, st.sql, params, n, options, take, st.plan)
    end
    return (statement.run(database, nil, st.sql, "write", params, n, options, take, st.plan))
  end
end

--- Insert the objects of a group, which are complete then.
---@param some moonpool.group
---@param options {batch: integer?}
---@param progress fun(n: integer)?
---@param flight moonpool.flight? they are complete when it ends; nobody asks which of the rows failed
--- Raises integrity and the other errors of a statement.
function bulk_insert.objects(some, class, database, other, options, progress, flight)
  local dialect = loading.dialect_of(database)
  local names, made = validation.columns(class, some.omitted)
  local how, returned = known_by(class, made)
  local most = math.min(options.batch or 1000, row.max_rows(class.model, dialect, names))
  if names[1] == nil or how == "alone" then
    most = 1
  end
  local function wrote(rows, first, last)
    local count = how == "nothing" and rows or #rows
    if count ~= last - first + 1 then
      return not_written(class, count, last - first + 1)
    end
    if how == "order" then
      rows = in_order(rows, class.generated_key)
    elseif how == "key" then
      rows = by_key(class, rows, some.objects, first, last)
    end
    for place = first, last do
      bulk_insert.written(class, some.objects[place], how ~= "nothing" and rows[place - first + 1] or nil, made, other)
    end
  end
  local write = writer_of(some, class, database, names, returned, flight)
  for first = 1, some.n, most do
    local last = math.min(first + most - 1, some.n)
    state.note_inserts(some.objects, first, last, class, database)
    if flight then
      write(first, last, function(rows)
        return wrote(rows, first, last)
      end)
    else
      wrote(failing.write(database, dialect.tells_row, write, first, last), first, last)
      progress(last - first + 1)
    end
  end
end

--- Insert the rows of a group without objects: as arrays, or by one statement that is run for each row.
---@param some moonpool.group
---@return integer rows
--- Raises integrity and the other errors of a statement.
function bulk_insert.rows(some, class, database, options, progress)
  local names = validation.columns(class, some.omitted)
  local model, dialect = class.model, loading.dialect_of(database)
  local st, way
  if fit_arrays(class, database, some, names) then
    st, way = row.insert_arrays(model, dialect, names), "by_column"
  else
    st = row.insert(model, dialect, names, 1)
  end
  local function write(first, last)
    return statement.many(database, nil, st.sql, some.params, some.width, last - first + 1, first - 1,
      loading.options(database, st), way)
  end
  local affected, batch = 0, options.batch or 1000
  for from = 0, some.n - 1, batch do
    local rows = math.min(batch, some.n - from)
    if way then
      affected = affected + failing.write(database, false, write, from + 1, from + rows)
    else -- the rows are run one by one, or counted by the core
      affected = affected + write(from + 1, from + rows)
    end
    progress(rows)
  end
  return affected
end

return bulk_insert
