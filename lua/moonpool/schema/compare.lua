-- A table as it is against the table that is wanted: what is missing, what differs, what is there beyond. Says what to
-- do and to what, writes no SQL. What is beyond and was named by us may go; what others named stays.

local canonical = require "moonpool.schema.canonical"
local catalog = require "moonpool.schema.catalog"
local ddl = require "moonpool.sql.ddl"
local tables = require "moonpool.sql.table"

local compare = {}

local function key_of(columns) return table.concat(columns, "\0") end

-- Whether moonpool would call the constraint so; a server numbers a name that is taken.
local function is_ours(found, constraint, ending)
  if not constraint.name then return true end -- SQLite: nobody named it
  local name = tables.constraint_name(found.name, constraint.columns, ending)
  return constraint.name == name or constraint.name:match "^(.*%a)%d+$" == name
end

-- What goes away with a column that goes.
local function outlives(constraint, wanted_columns)
  for _, name in ipairs(constraint.columns) do
    if not wanted_columns[name] then return false end
  end
  return true
end

-- Sort entries into those that are missing from the other side, by what identifies them. gone: what is there beyond and
-- ours, kept: and others'.
local function sort_out(wanted, actual, identity, ours, counts)
  local there, asked, result = {}, {}, { add = {}, drop = {}, keep = {} }
  for _, entry in ipairs(actual) do there[identity(entry)] = true end
  for _, entry in ipairs(wanted) do
    local id = identity(entry)
    if not there[id] and not asked[id] then result.add[#result.add + 1] = entry end
    asked[id] = true
  end
  for _, entry in ipairs(actual) do
    if not asked[identity(entry)] and (not counts or counts(entry)) then
      local list = ours(entry) and result.drop or result.keep
      list[#list + 1] = entry
    end
  end
  return result
end

-- ---- columns ----

local function compare_column(dialect, wanted, actual)
  local change = { wanted = wanted, actual = actual }
  change.type = canonical.type_change(canonical.type(dialect.name, actual.type, actual.json),
    canonical.type(dialect.name, wanted.type))
  if wanted.generated and change.type then
    -- the type that a generated key has is not in its own words
    local key_type = canonical.type(dialect.name, dialect.name == "sqlite" and "INTEGER" or "bigint")
    change.type = canonical.type_change(canonical.type(dialect.name, actual.type), key_type)
  end
  if wanted.field and wanted.field.collation and not change.type then
    local collation = wanted.type:match '[Cc][Oo][Ll][Ll][Aa][Tt][Ee] ["`]?([^"`%s]+)'
    local shown = actual.collation or (dialect.name == "sqlite" and "BINARY" or "default")
    if collation and collation:lower() ~= shown:lower() then change.type, change.collation = "widen", true end
  end
  if actual.computed then return nil end
  change.null = not wanted.generated and wanted.null ~= actual.null or nil
  change.default = not wanted.generated
    and canonical.default(dialect.name, wanted.default) ~= canonical.default(dialect.name, actual.default) or nil
  change.generated = wanted.generated and not actual.generated or nil
  if change.type or change.null or change.default or change.generated then return change end
  return nil
end

local function compare_columns(dialect, wanted, actual, changes)
  local asked = {}
  for _, column in ipairs(wanted.columns) do
    asked[column.name] = true
    local there = actual.columns[column.name]
    if there then
      changes.columns.change[#changes.columns.change + 1] = compare_column(dialect, column, there)
    else
      changes.columns.add[#changes.columns.add + 1] = column
    end
  end
  for _, column in catalog.columns_of(actual) do
    if not asked[column.name] then changes.columns.drop[#changes.columns.drop + 1] = column end
  end
  return asked
end

-- ---- constraints ----

local function words(dialect, action)
  local text = ddl.actions[action] or action:gsub("_", " "):upper()
  -- MariaDB does the same for both
  return dialect.name == "mariadb" and text == "NO ACTION" and "RESTRICT" or text
end

local function compare_keys(dialect, wanted, actual, is_asked)
  local function identity(key)
    return table.concat({ key_of(key.columns), key.table, key_of(key.references), words(dialect, key.on_delete),
      words(dialect, key.on_update) }, "\1")
  end
  return sort_out(wanted.foreign_keys, actual.foreign_keys, identity, function(key)
    return is_ours(actual, key, "fkey")
  end, function(key) return outlives(key, is_asked) end)
end

-- A check is known by its condition. Where the catalog does not tell its columns, its name is all there is.
local function compare_checks(dialect, wanted, actual, is_asked)
  local function identity(check) return canonical.condition(dialect.name, check.expression) end
  return sort_out(wanted.checks, actual.checks, identity, function(check)
    if check.of_column then return false end
    if not check.name then return true end
    for _, column in catalog.columns_of(actual) do
      if is_ours(actual, { name = check.name, columns = { column.name } }, "check") then return true end
    end
    return false
  end, function(check) return outlives(check, is_asked) end)
end

-- Uniqueness is asked for as a constraint or as an index, and either way there.
local function compare_unique(wanted, actual, is_asked)
  local asked = {}
  for _, entry in ipairs(wanted.unique) do asked[#asked + 1] = entry end
  for _, index in ipairs(wanted.indexes) do
    if index.unique then asked[#asked + 1] = index end
  end
  local there = {}
  for _, index in ipairs(actual.indexes) do
    if index.unique and not index.where and not index.calculated then there[#there + 1] = index end
  end
  local function identity(entry) return key_of(entry.columns) end
  return sort_out(asked, there, identity, function(entry)
    return entry.name:find "^sqlite_autoindex_" ~= nil or is_ours(actual, entry, "key")
  end, function(entry) return outlives(entry, is_asked) end)
end

local function begins(index, columns)
  for i, column in ipairs(columns) do
    if index.columns[i] ~= column then return false end
  end
  return true
end

-- MariaDB needs an index that begins with the columns of a foreign key, and makes one where there is none.
local function is_needed(index, wanted, actual)
  for _, key in ipairs(wanted.foreign_keys) do
    if begins(index, key.columns) then
      local another = begins({ columns = wanted.primary_key.columns }, key.columns)
      for _, list in ipairs { wanted.unique, wanted.indexes } do
        for _, each in ipairs(list) do another = another or begins(each, key.columns) end
      end
      if not another then return true end
    end
  end
  return false
end

local function compare_indexes(dialect, wanted, actual, is_asked)
  local asked, there = {}, {}
  for _, index in ipairs(wanted.indexes) do
    if not index.unique then asked[#asked + 1] = index end
  end
  for _, index in ipairs(actual.indexes) do
    if not index.unique and not index.where and not index.calculated then there[#there + 1] = index end
  end
  return sort_out(asked, there, function(index) return key_of(index.columns) end, function(index)
    return is_ours(actual, index, "idx") or is_ours(actual, index, "fkey")
  end, function(index)
    return outlives(index, is_asked) and not (dialect.name == "mariadb" and is_needed(index, wanted, actual))
  end)
end

--- What tells the two apart.
---@param dialect table
---@param wanted table  of moonpool.sql.table
---@param actual table  of a catalog
---@return table changes  columns (add, change, drop), foreign_keys checks unique indexes (add, drop: ours, keep: others'), key
function compare.tables(dialect, wanted, actual)
  local changes = { wanted = wanted, actual = actual, columns = { add = {}, change = {}, drop = {} } }
  local is_asked = compare_columns(dialect, wanted, actual, changes)
  changes.foreign_keys = compare_keys(dialect, wanted, actual, is_asked)
  changes.checks = compare_checks(dialect, wanted, actual, is_asked)
  changes.unique = compare_unique(wanted, actual, is_asked)
  changes.indexes = compare_indexes(dialect, wanted, actual, is_asked)
  changes.key = key_of(wanted.primary_key.columns) ~= key_of(actual.primary_key.columns)
  return changes
end

return compare
