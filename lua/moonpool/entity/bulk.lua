-- Many rows at once: bulk_create, bulk_update, upsert. They run no hooks, check every row before the first is sent,
-- and write all or nothing.

local building = require "moonpool.entity.building"
local codec = require "moonpool.database.codec"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local failing = require "moonpool.entity.failing"
local inserting = require "moonpool.entity.inserting"
local loading = require "moonpool.entity.loading"
local object = require "moonpool.entity.object"
local row = require "moonpool.sql.row"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"
local transaction = require "moonpool.database.transaction"
local updating = require "moonpool.entity.updating"
local validation = require "moonpool.entity.validation"
local vocabulary = require "moonpool.vocabulary"

local bulk = {}

local place_of = loading.place_of

local function bad(message)
  return errors.raise("bad_argument", message)
end

local CREATE = {
  batch = true, on_conflict = true, conflict = true, update = true, on_progress = true, returning = true,
}
local UPSERT = { conflict = true, update = true }

local function check(name, options, known)
  if type(options) ~= "table" then
    return bad(name .. " takes a table of options, not " .. vocabulary.quoted(options))
  end
  for key in pairs(options) do
    if not known[key] then
      return errors.raise("unknown_option", name .. " takes no option " .. tostring(key)
        .. vocabulary.suggest(tostring(key), known))
    end
  end
  local batch = options.batch
  if batch ~= nil and (type(batch) ~= "number" or batch < 1 or batch % 1 ~= 0) then
    return bad(name .. ": batch is a number of rows, not " .. vocabulary.quoted(batch))
  elseif options.returning ~= nil and type(options.returning) ~= "boolean" then
    return bad(name .. ": returning is true or false")
  elseif options.on_progress ~= nil and type(options.on_progress) ~= "function" then
    return bad(name .. ": on_progress is a function")
  end
end

local function attributes(class, names, what)
  local list = {}
  if type(names) ~= "table" then
    return bad(what .. " is an array of field names")
  end
  for place, name in ipairs(names) do
    list[place] = class.model:field(name).attribute
  end
  return list
end

-- What a conflict is and what happens then: two arrays of attributes, or nil for none.
local function conflict_of(class, options, mode)
  if mode == nil then
    if options.conflict or options.update then
      return bad("conflict and update need on_conflict = \"ignore\" or \"update\"")
    end
    return nil
  elseif mode ~= "ignore" and mode ~= "update" then
    return bad("on_conflict is \"ignore\" or \"update\", not " .. vocabulary.quoted(mode))
  end
  local keys = {}
  for place, field in ipairs(class.model.key) do
    keys[place] = field.attribute
  end
  local conflict = options.conflict and attributes(class, options.conflict, "conflict")
  if conflict == nil then
    conflict = mode == "ignore" and {} or keys
  end
  local update = {}
  if mode == "update" then
    if options.update then
      update = attributes(class, options.update, "update")
    else
      local fixed = {}
      for _, list in ipairs { conflict, keys } do
        for _, name in ipairs(list) do
          fixed[name] = true
        end
      end
      for _, column in ipairs(class.columns) do
        if not fixed[column.attribute] then
          update[#update + 1] = column.attribute
        end
      end
    end
    if update[1] == nil then
      return bad("on_conflict = \"update\" has nothing to update")
    end
  end
  return { conflict = conflict, update = update }
end

-- One row as an object, or as nothing but its values where no object is wanted. They go behind the n that are there.
local function read_row(class, values, wanted, params, n)
  if getmetatable(values) == nil then
    local one = wanted and {} or nil
    local read, last, omitted = validation.read(class, values, one, params, n)
    if read then
      return one and setmetatable(one, class.meta), last, omitted
    end
  end
  local one = values
  if not object.is(values) or getmetatable(values).class ~= class then
    one = building.build(class, values, false)
  end
  local _, last, omitted = validation.values(one, class, params, n)
  return one, last, omitted
end

-- The group of rows with the same fields left out.
local function group_for(groups, omitted, width)
  for _, found in ipairs(groups) do
    if found.omitted == omitted then
      return found
    end
  end
  local found = { omitted = omitted, width = width, n = 0, objects = {}, params = {} }
  groups[#groups + 1] = found
  return found
end

-- From the second group on the place of a row in its group is not that in the program's array.
local function note_places(groups)
  if groups[2] and not groups.apart then
    groups.apart = true
    for _, some in ipairs(groups) do
      some.places = {}
      for place = 1, some.n do
        some.places[place] = place
      end
    end
  elseif groups[2] then
    groups[#groups].places = groups[#groups].places or {}
  end
end

-- Fill groups and objects; at[1] is the row that is being read.
local function read_rows(class, rows, wanted, groups, objects, at)
  local into = { n = 0, width = 0, params = {} } -- most rows belong where the one before did
  for place = 1, #rows do
    at[1] = place
    local before = into.n * into.width
    local one, last, omitted = read_row(class, rows[place], wanted, into.params, before)
    if omitted ~= into.omitted then
      local params, width = into.params, last - before
      into = group_for(groups, omitted, width)
      note_places(groups)
      for column = 1, width do
        into.params[into.n * width + column], params[before + column] = params[before + column], nil
      end
    end
    into.n = into.n + 1
    if into.places then
      into.places[into.n] = place
    end
    if wanted then
      objects[place], into.objects[into.n] = one, one
    end
  end
end

-- The rows in groups that write the same columns, in order; their values are checked and ready.
local function group(class, rows, wanted)
  local groups, objects, at = {}, {}, {}
  local ok, err = pcall(read_rows, class, rows, wanted, groups, objects, at)
  if not ok then
    if errors.is_error(err) and err.kind == "validation" then
      err.message = "row " .. at[1] .. ": " .. err.message
      err.row = at[1]
    end
    return error(err, 0)
  end
  return groups, objects
end

local function slice(some, first, last)
  local params, width = {}, some.width
  local before, n = (first - 1) * width, (last - first + 1) * width
  for place = 1, n do
    params[place] = some.params[before + place]
  end
  return params, n
end

local function written(class, one, made, returned, other)
  for _, attribute in ipairs(returned) do
    rawset(one, attribute, made and made[attribute])
  end
  state.written(one, class.meta.plan, state.new_batch(class, other))
end

-- ---- rows as one array for each column ----

local FEW = 32 -- rows for which the server is not asked for its types

-- database -> text of an INSERT -> whether its columns take the items of arrays
local fitting = setmetatable({}, { __mode = "k" })

-- A table that others made may have columns of other types than the entity would have.
local function fit_arrays(class, database, some, names)
  local model, dialect = class.model, loading.dialect_of(database)
  if dialect.insert_arrays == nil or some.n < FEW or names[1] == nil then
    return false
  end
  local known = fitting[database]
  if known == nil then
    known = {}
    fitting[database] = known
  end
  local sql = row.insert(model, dialect, names, 1).sql
  if known[sql] == nil then
    local fits, types = true, codec.describe(database, nil, sql)
    for place, name in ipairs(names) do
      fits = fits and dialect.fits_array(model:field(name).kind_name, types[place])
    end
    known[sql] = fits
  end
  return known[sql]
end

-- With keys: statements of many rows, whose keys come back in their order.
local function insert_group(some, class, database, other, options, progress)
  local model, dialect = class.model, loading.dialect_of(database)
  local names, returned = validation.columns(class, some.omitted)
  local most = math.min(options.batch or 1000, row.max_rows(model, dialect, names))
  if names[1] == nil then
    most = 1
  end
  local arrays = fit_arrays(class, database, some, names)
  local wanted = returned[1] and returned or nil
  local take = wanted and core.rows or core.take
  local function write(first, last)
    if arrays then
      local st = row.insert_arrays(model, dialect, names, wanted)
      return statement.many(database, nil, st.sql, some.params, some.width, last - first + 1, first - 1,
        loading.options(database, st), "by_column", take, st.plan)
    end
    local st = row.insert(model, dialect, names, last - first + 1, wanted)
    local params, n = slice(some, first, last)
    return (statement.run(database, nil, st.sql, "write", params, n, loading.options(database, st), take, st.plan))
  end
  for first = 1, #some.objects, most do
    local last = math.min(first + most - 1, #some.objects)
    for place = first, last do
      state.note(some.objects[place], database)
    end
    local rows = failing.write(database, dialect.tells_row, write, first, last)
    for place = first, last do
      written(class, some.objects[place], returned[1] and rows[place - first + 1], returned, other)
    end
    progress(last - first + 1)
  end
end

-- Which rows met a conflict is known only one by one.
local function upsert_group(some, class, database, other, conflict, progress)
  local names, returned = validation.columns(class, some.omitted)
  local model = class.model
  local back = {}
  for place, field in ipairs(model.key) do
    back[place] = field.attribute
  end
  for _, attribute in ipairs(returned) do
    if not model.by_name[attribute].primary_key then
      back[#back + 1] = attribute
    end
  end
  local st = row.upsert(model, loading.dialect_of(database), names, 1, conflict.conflict, conflict.update, back)
  for place, one in ipairs(some.objects) do
    state.note(one, database)
    some.at = place
    local made = statement.run(database, nil, st.sql, "write", slice(some, place, place), some.width,
      loading.options(database, st), core.rows, st.plan)[1]
    if made and made[back[1]] ~= nil then -- a part of the key, which is never NULL
      written(class, one, made, back, other)
    end
    some.at = nil
    progress(1)
  end
end

-- What a server's own count of affected rows does not tell: an upsert changes one row for each, or leaves it alone.
local function count_upserts(database, some, conflict, ignored)
  if conflict.update[1] then
    return some.n
  end
  local found = statement.run(database, nil, ignored.count, "read", {}, 0, { own = true }, core.arrays)
  return some.n - found[1][1]
end

-- Without keys: arrays, or one statement that is run for each row (a conflict between two of the rows is one as well).
local function many(some, class, database, conflict, options, progress)
  local names = validation.columns(class, some.omitted)
  local model, dialect = class.model, loading.dialect_of(database)
  local st, way
  if conflict then
    st = row.upsert(model, dialect, names, 1, conflict.conflict, conflict.update)
  elseif fit_arrays(class, database, some, names) then
    st, way = row.insert_arrays(model, dialect, names), "by_column"
  else
    st = row.insert(model, dialect, names, 1)
  end
  local ignored = conflict and dialect.ignored
  if ignored then
    statement.run(database, nil, ignored.forget, "read", {}, 0, { own = true }, core.arrays)
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
  return ignored and count_upserts(database, some, conflict, ignored) or affected
end

--- Insert objects that are new, in order, inside the transaction that there is. They are checked here; their hooks are the
--- caller's.
--- Raises validation, integrity and the other errors of a statement.
function bulk.insert(class, database, objects)
  local groups = {}
  read_rows(class, objects, true, groups, {}, {})
  for _, some in ipairs(groups) do
    insert_group(some, class, database, nil, {}, function() end)
    inserting.follow_key(class, database, validation.columns(class, some.omitted), some.params, some.n)
  end
end

--- Insert many rows, all or nothing.
---@param q table the query set of all rows
---@param rows table[] tables of values, or objects that are not saved
---@param options {batch: integer?, on_conflict: string?, conflict: string[]?, update: string[]?, on_progress: function?, returning: boolean?}?
---@return table[]|integer objects with their keys, in order; with returning = false the number of rows
--- Raises validation, integrity, data (err.row is the place of the row) and the other errors of a statement.
function bulk.create(q, rows, options)
  options = options or {}
  check("bulk_create", options, CREATE)
  local class, database, other = place_of(q)
  local conflict = conflict_of(class, options, options.on_conflict)
  if type(rows) ~= "table" then
    return bad("bulk_create takes an array of rows, not " .. vocabulary.quoted(rows))
  end
  state.write_next(nil, rows)
  local groups, objects = group(class, rows, options.returning ~= false)
  local done, total, count = 0, #rows, 0
  local function progress(n)
    done = done + n
    if options.on_progress then
      options.on_progress(done, total)
    end
  end
  if groups[1] then
    transaction.within(database, function()
      for _, some in ipairs(groups) do
        if options.returning == false then
          count = count + failing.name(some, many, class, database, conflict, options, progress)
        elseif conflict then
          failing.name(some, upsert_group, class, database, other, conflict, progress)
        else
          failing.name(some, insert_group, class, database, other, options, progress)
        end
        inserting.follow_key(class, database, validation.columns(class, some.omitted), some.params, some.n)
      end
    end)
  end
  if options.returning == false then
    return count
  end
  return objects
end

--- Insert a row, or change the one that is there.
---@param values table
---@param options {conflict: string[]?, update: string[]?}?
---@return table object
--- Raises validation, integrity and the other errors of a statement.
function bulk.upsert(q, values, options)
  options = options or {}
  check("upsert", options, UPSERT)
  local class, database, other = place_of(q)
  local conflict = conflict_of(class, options, "update")
  local one = building.build(class, values, false)
  local params, n, omitted = validation.values(one, class, {}, 0)
  local names = validation.columns(class, omitted)
  local all = class.meta.plan.names
  local st = row.upsert(class.model, loading.dialect_of(database), names, 1, conflict.conflict, conflict.update, all)
  state.note(one, database)
  local made = statement.run(database, nil, st.sql, "write", params, n, loading.options(database, st), core.rows,
    st.plan)[1]
  inserting.follow_key(class, database, names, params, 1)
  written(class, one, made, all, other)
  return one
end

--- Write some fields of many objects, all or nothing.
---@param objects table[]
---@param names string[]
---@return integer rows
--- Raises validation, bad_argument, integrity and the other errors of a statement.
function bulk.update(q, objects, names)
  local class, database = place_of(q)
  if type(objects) ~= "table" then
    return bad("bulk_update takes an array of objects, not " .. vocabulary.quoted(objects))
  end
  local list = attributes(class, names, "the second argument of bulk_update")
  if list[1] == nil then
    return bad("bulk_update needs the names of the fields to write")
  end
  local params, count, width = {}, 0, #list + #class.model.key
  for place, one in ipairs(objects) do
    if not object.is(one) or getmetatable(one).class ~= class then
      return bad("bulk_update of " .. class.name .. ": row " .. place .. " is no object of it")
    elseif state.is_new(one) then
      return bad("bulk_update: " .. tostring(one) .. " (row " .. place .. ") is not saved")
    end
    local before = count * width
    for column, name in ipairs(list) do
      local field = class.model.by_name[name]
      local taken, why = field:check(rawget(one, name), one)
      if why then
        return errors.raise("validation", "row " .. place .. ": " .. class.name .. ": " .. field.name .. " " .. why,
          { errors = { [field.name] = why }, row = place })
      end
      rawset(one, name, taken)
      params[before + column] = taken
    end
    updating.row_values(one, params, before + #list)
    count = place
  end
  if count == 0 then
    return 0
  end
  local st = row.update_row(class.model, loading.dialect_of(database), list)
  return (transaction.within(database, function()
    for _, one in ipairs(objects) do
      state.note(one, database)
    end
    local affected = statement.many(database, nil, st.sql, params, width, count, 0,
      loading.options(database, st))
    for _, one in ipairs(objects) do
      updating.wrote(one, list)
    end
    return affected
  end))
end

return bulk
