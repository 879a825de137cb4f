-- Inserting rows that may be there already: bulk_create with on_conflict, and upsert. A row that is there is left alone, or
-- takes over columns of the new one.

local bulk_insert = require "moonpool.entity.bulk_insert"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local grouping = require "moonpool.entity.grouping"
local loading = require "moonpool.entity.loading"
local object = require "moonpool.entity.object"
local row = require "moonpool.sql.row"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"
local tables = require "moonpool.sql.table"
local validation = require "moonpool.entity.validation"
local vocabulary = require "moonpool.vocabulary"

local conflicts = {}

local function bad(message)
  return errors.raise("bad_argument", message)
end

--- The attributes of fields by their names. what: how a message calls the list.
---@return string[]
function conflicts.attributes(class, names, what)
  local list = {}
  if not vocabulary.is_array(names) then
    return bad(what .. " is an array of field names, such as { \"name\" }")
  end
  for _, name in ipairs(names) do
    for _, column in ipairs(class.model:field(name):locals()) do
      list[#list + 1] = column.attribute
    end
  end
  return list
end

-- What a row that is there keeps unless something else is said: its key, the time that it was made, whose it is.
local function kept_fields(model, conflict, keys)
  local fixed = { [model.times.created or 0] = true, [model.discriminator or 0] = true }
  for _, list in ipairs { conflict, keys } do
    for _, name in ipairs(list) do
      fixed[name] = true
    end
  end
  return fixed
end

-- What rows say themselves, in the order of the columns: defaults are for rows that are not there yet. An object is a whole row.
local function named_columns(class, rows)
  local named, whole = {}, false
  for _, values in ipairs(rows) do
    whole = whole or object.is(values)
    for name in pairs(type(values) == "table" and not whole and values or {}) do
      local field = class.model.by_name[name]
      for _, column in ipairs(field and field:locals() or {}) do
        named[column.attribute] = true
      end
    end
  end
  local list = {}
  for _, column in ipairs(class.columns) do
    if whole or named[column.attribute] then
      list[#list + 1] = column
    end
  end
  return list
end

-- The version is counted, not taken over; the time of a change is that of the new row.
local function with_traits(model, update)
  local list, stamp = {}, model.stamp and model.stamp.attribute
  for _, name in ipairs(update) do
    if not model:field(name).version then
      list[#list + 1] = name
    end
    if name == stamp then
      stamp = nil
    end
  end
  list[#list + 1] = stamp
  return list
end

-- Which conflict is meant can be told only by columns that are unique together; not every server says so itself.
local function check_unique(class, names)
  local wanted = {}
  for _, name in ipairs(names) do
    wanted[name] = true
  end
  local function fits(fields)
    for _, field in ipairs(fields) do
      if not wanted[field.attribute] then
        return false
      end
    end
    return #fields == #names
  end
  local known = {}
  for place, fields in ipairs(tables.uniques(class.model)) do
    if fits(fields) then
      return
    end
    local list = {}
    for at, field in ipairs(fields) do
      list[at] = field.name
    end
    known[place] = table.concat(list, " + ")
  end
  return bad(("conflict = { %s }: these columns of %s are not unique together; what is: %s"):format(
    table.concat(names, ", "), class.name, table.concat(known, ", ")))
end

--- The row that is in the way of one of these is of another entity that shares its table.
function conflicts.other_kind(class, conflict)
  local columns = {}
  for place, name in ipairs(conflict.conflict) do
    columns[place] = class.model:field(name).name
  end
  return errors.raise("unique", ("the row that has this %s already is no %s: it is of another kind, and stays as it is")
    :format(table.concat(columns, ", "), class.name), { table = class.model.table, columns = columns })
end

--- What a conflict is and what happens then: two arrays of attributes, or nil for none.
---@param options {conflict: string[]?, update: string[]?}
---@param mode string? "ignore" or "update"
---@param rows table[] what is to be written; without `update` what these name is taken over
---@return {conflict: string[], update: string[]}?
--- Raises bad_argument, unknown_field.
function conflicts.read(class, options, mode, rows)
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
  local conflict = options.conflict and conflicts.attributes(class, options.conflict, "conflict")
  if conflict and conflict[1] then
    check_unique(class, conflict)
  elseif conflict == nil then
    conflict = mode == "ignore" and {} or keys
  end
  local update = {}
  if mode == "update" then
    if options.update then
      update = conflicts.attributes(class, options.update, "update")
    else
      local fixed = kept_fields(class.model, conflict, keys)
      for _, column in ipairs(named_columns(class, rows)) do
        if not (fixed[column.attribute] or column.field.version) then
          update[#update + 1] = column.attribute
        end
      end
      if update[1] == nil then -- a row that is there is found all the same
        update[1] = conflict[1]
      end
    end
    if update[1] == nil then
      return bad("on_conflict = \"update\" has nothing to update")
    end
    update = with_traits(class.model, update)
  end
  return { conflict = conflict, update = update }
end

--- Write the objects of a group; those whose row was left alone stay new. Which they are is
--- known only one by one.
---@param some moonpool.group
function conflicts.objects(some, class, database, other, conflict, progress)
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
    local made = statement.run(database, nil, st.sql, "write", grouping.slice(some, place, place), some.width,
      loading.options(database, st), core.rows, st.plan)[1]
    if made and made[back[1]] ~= nil then -- a part of the key, which is never NULL
      bulk_insert.written(class, one, made, back, other)
    elseif class.model.kinds and conflict.update[1] then
      return conflicts.other_kind(class, conflict)
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

--- Write the rows of a group without objects, one by one: two of them may be in conflict with each other as well.
---@param some moonpool.group
---@return integer rows
function conflicts.rows(some, class, database, conflict, options, progress)
  local names = validation.columns(class, some.omitted)
  local dialect = loading.dialect_of(database)
  local st = row.upsert(class.model, dialect, names, 1, conflict.conflict, conflict.update)
  local ignored = dialect.ignored
  if ignored then
    statement.run(database, nil, ignored.forget, "read", {}, 0, { own = true }, core.arrays)
  end
  local affected, batch = 0, options.batch or 1000
  for from = 0, some.n - 1, batch do
    local rows = math.min(batch, some.n - from)
    affected = affected + statement.many(database, nil, st.sql, some.params, some.width, rows, from,
      loading.options(database, st))
    if class.model.kinds and conflict.update[1] and affected < from + rows then
      return conflicts.other_kind(class, conflict)
    end
    progress(rows)
  end
  return ignored and count_upserts(database, some, conflict, ignored) or affected
end

return conflicts
