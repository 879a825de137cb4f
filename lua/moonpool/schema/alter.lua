-- The statements that change tables where they stand, out of what moonpool.schema.compare tells apart. SQLite
-- changes little so: what it cannot is made by moonpool.schema.rebuild.

local ddl = require "moonpool.sql.ddl"
local writer = require "moonpool.sql.writer"

local alter = {}

local function add(list, ...) list[#list + 1] = table.concat { ... } end

local function names(dialect, columns)
  return writer.new(dialect, false):list(columns, "name"):sql()
end

-- A type as wanted, in the collation that the column has: a table that others made keeps its own, unless the field says one.
local function type_in_place(dialect, change)
  local wanted, actual = change.wanted, change.actual
  if change.collation or wanted.field and wanted.field.collation then return wanted.type end
  local text = wanted.type:gsub(" CHARACTER SET .*$", ""):gsub(" COLLATE .*$", "")
  if actual.collation and text ~= wanted.type then text = text .. " COLLATE " .. dialect.quote(actual.collation) end
  return text
end

local function actual_type(dialect, column)
  return column.type .. (column.collation and " COLLATE " .. dialect.quote(column.collation) or "")
end

-- ---- a column ----

local column = {}

function column.postgres(statements, table_name, dialect, change, type)
  local start = "ALTER TABLE " .. table_name .. " ALTER COLUMN " .. dialect.quote(change.wanted.name) .. " "
  local text = type and type_in_place(dialect, change)
  if type == "other" then
    if change.actual.default then add(statements, start, "DROP DEFAULT") end -- it may be no constant of the new type
    add(statements, start, "TYPE ", text, " USING ", dialect.quote(change.wanted.name), "::text::", (text:gsub(" COLLATE .*$", "")))
  elseif type then
    add(statements, start, "TYPE ", text)
  end
  if change.default or type == "other" and change.wanted.default then
    add(statements, start, change.wanted.default and "SET DEFAULT " .. change.wanted.default or "DROP DEFAULT")
  end
  if change.null then add(statements, start, change.wanted.null and "DROP NOT NULL" or "SET NOT NULL") end
end

function column.mariadb(statements, table_name, dialect, change, type)
  local wanted = change.wanted
  if wanted.generated then
    return add(statements, "ALTER TABLE ", table_name, " MODIFY COLUMN ", dialect.quote(wanted.name), " bigint AUTO_INCREMENT")
  end
  local null = wanted.null
  if change.null == nil then null = change.actual.null end
  add(statements, "ALTER TABLE ", table_name, " MODIFY COLUMN ", dialect.quote(wanted.name), " ",
    type and type_in_place(dialect, change) or actual_type(dialect, change.actual), null and "" or " NOT NULL",
    wanted.default and " DEFAULT " .. wanted.default or "")
end

-- ---- a table ----

local function drop_constraint(statements, table_name, dialect, word, constraint)
  add(statements, "ALTER TABLE ", table_name, " DROP ", word, " ", dialect.quote(constraint.name))
end

--- The statements that drop foreign keys.
function alter.drop_foreign_keys(statements, changes, dialect)
  for _, key in ipairs(changes.foreign_keys.drop) do
    drop_constraint(statements, ddl.quoted_table(changes.wanted.model, dialect), dialect,
      dialect.name == "mariadb" and "FOREIGN KEY" or "CONSTRAINT", key)
  end
end

local function drop_checks(statements, table_name, dialect, changes)
  for _, check in ipairs(changes.checks.drop) do drop_constraint(statements, table_name, dialect, "CONSTRAINT", check) end
end

local function drop_indexes(statements, table_name, dialect, changes, gone)
  for _, list in ipairs { changes.unique.drop, changes.indexes.drop } do
    for _, index in ipairs(list) do
      if dialect.name == "mariadb" then
        if not (gone and gone[index.name]) then drop_constraint(statements, table_name, dialect, "INDEX", index) end
      elseif index.constraint then
        add(statements, "ALTER TABLE ", table_name, " DROP CONSTRAINT ", dialect.quote(index.name))
      else
        local schema = changes.wanted.model.schema
        add(statements, "DROP INDEX ", schema and dialect.quote(schema) .. "." or "", dialect.quote(index.name))
      end
    end
  end
end

-- parts: checks, unique, indexes: lists of what is added.
local function add_constraints(statements, table_name, dialect, described, parts)
  for _, check in ipairs(dialect.name == "sqlite" and {} or parts.checks) do -- there beside the new column
    add(statements, "ALTER TABLE ", table_name, " ADD CONSTRAINT ", dialect.quote(check.name), " CHECK (", check.expression, ")")
  end
  for _, unique in ipairs(parts.unique) do
    if unique.unique or dialect.name == "sqlite" then
      add(statements, ddl.create_index(described, dialect, { name = unique.name, columns = unique.columns, unique = true }))
    else
      add(statements, "ALTER TABLE ", table_name, " ADD CONSTRAINT ", dialect.quote(unique.name), " UNIQUE (",
        names(dialect, unique.columns), ")")
    end
  end
  for _, index in ipairs(parts.indexes) do add(statements, ddl.create_index(described, dialect, index)) end
end

-- On MariaDB a text that becomes longer than an index may be is refused while the index is there: those that go, or are on a
-- column that goes, go first.
local function drop_early(statements, table_name, dialect, changes)
  local gone, growing, going, leaving = {}, {}, {}, {}
  for _, change in ipairs(changes.columns.change) do growing[change.wanted.name] = change.type == "widen" or nil end
  for _, each in ipairs(changes.columns.drop) do leaving[each.name] = true end
  for _, list in ipairs { changes.unique.drop, changes.indexes.drop } do
    for _, index in ipairs(list) do going[index.name] = true end
  end
  for _, index in ipairs(changes.actual.indexes) do
    local grows, goes = false, going[index.name]
    for _, name in ipairs(index.columns) do
      grows, goes = grows or growing[name], goes or leaving[name]
    end
    if grows and goes then
      gone[index.name] = true
      drop_constraint(statements, table_name, dialect, "INDEX", index)
    end
  end
  return gone
end

local function plain(described)
  return { primary_key = { columns = {} }, unique = {}, checks = {}, name = described.name }
end

--- The statements that change a table where it stands, but for its foreign keys.
---@param statements string[]  to which they are added
---@param changes table
---@param dialect table
function alter.table(statements, changes, dialect)
  local table_name = ddl.quoted_table(changes.wanted.model, dialect)
  if dialect.name ~= "sqlite" then drop_checks(statements, table_name, dialect, changes) end
  local gone = dialect.name == "mariadb" and drop_early(statements, table_name, dialect, changes)
  for _, each in ipairs(changes.columns.add) do
    local described = plain(changes.wanted)
    if dialect.name == "sqlite" then described.checks = changes.wanted.checks end
    add(statements, "ALTER TABLE ", table_name, " ADD COLUMN ", ddl.column_text(described, dialect, each))
  end
  for _, change in ipairs(changes.columns.change) do
    if change.type ~= "other" and (change.type or change.null or change.default) then
      column[dialect.name](statements, table_name, dialect, change, change.type)
    end
  end
  add_constraints(statements, table_name, dialect, changes.wanted,
    { checks = changes.checks.add, unique = changes.unique.add, indexes = changes.indexes.add })
  drop_indexes(statements, table_name, dialect, changes, gone)
end

--- The statements that add foreign keys: those of the changes, or the keys given.
function alter.add_foreign_keys(statements, changes, dialect, keys)
  for _, key in ipairs(keys or changes.foreign_keys.add) do
    add(statements, "ALTER TABLE ", ddl.quoted_table(changes.wanted.model, dialect), " ADD CONSTRAINT ", dialect.quote(key.name),
      " FOREIGN KEY ", ddl.foreign_key_text(dialect, key))
  end
end

local function has(list, wanted)
  for _, name in ipairs(list) do
    if name == wanted then return true end
  end
  return false
end

-- MariaDB drops no column that a foreign key, a check or an index of several columns is on. gone: what went with another.
local function free_column(statements, table_name, dialect, actual, name, gone)
  local function drop(word, constraint)
    if not gone[constraint] and has(constraint.columns, name) then
      gone[constraint] = true
      drop_constraint(statements, table_name, dialect, word, constraint)
    end
  end
  for _, key in ipairs(actual.foreign_keys) do drop("FOREIGN KEY", key) end
  for _, check in ipairs(actual.checks) do
    if not check.of_column then drop("CONSTRAINT", check) end
  end
  for _, index in ipairs(actual.indexes) do
    if #index.columns > 1 then drop("INDEX", index) end
  end
end

--- What would destroy: columns that are gone, types that hold less. (SQLite: see moonpool.schema.rebuild.)
function alter.destructive(statements, changes, dialect)
  local table_name, gone = ddl.quoted_table(changes.wanted.model, dialect), {}
  for _, each in ipairs(changes.columns.drop) do
    if dialect.name == "mariadb" then free_column(statements, table_name, dialect, changes.actual, each.name, gone) end
    add(statements, "ALTER TABLE ", table_name, " DROP COLUMN ", dialect.quote(each.name))
  end
  for _, change in ipairs(changes.columns.change) do
    if change.type == "other" then column[dialect.name](statements, table_name, dialect, change, "other") end
  end
  add_constraints(statements, table_name, dialect, changes.wanted, changes.held)
  alter.add_foreign_keys(statements, changes, dialect, changes.held.foreign_keys)
end

--- What others added and the entities do not say: it may have its reasons.
function alter.others(statements, changes, dialect)
  local kept = { wanted = changes.wanted }
  for _, name in ipairs { "foreign_keys", "checks", "unique", "indexes" } do kept[name] = { drop = changes[name].keep } end
  local table_name = ddl.quoted_table(changes.wanted.model, dialect)
  local checks = {}
  for _, check in ipairs(kept.checks.drop) do
    if not check.of_column then checks[#checks + 1] = check end
  end
  kept.checks.drop = checks
  if dialect.name ~= "sqlite" then
    alter.drop_foreign_keys(statements, kept, dialect)
    drop_checks(statements, table_name, dialect, kept)
  end
  drop_indexes(statements, table_name, dialect, kept)
end

return alter
