-- The catalog of SQLite: three statements, whatever the number of tables; what stands in no pragma is read from
-- the text of CREATE TABLE.

local create_table = require "moonpool.schema.create_table"
local errors = require "moonpool.errors"
local is = errors.is

local sqlite = {}

local COLUMNS = [[
SELECT s.name AS "table", s.type AS kind, s.sql AS "sql", x.name AS name, x.type AS type, x."notnull" AS required,
  x.dflt_value AS "default", x.pk AS place, x.hidden AS hidden
FROM sqlite_schema AS s JOIN pragma_table_xinfo(s.name) AS x
WHERE s.type = %s AND substr(s.name, 1, 7) <> 'sqlite_' AND x.hidden <> 1 ORDER BY s.name, x.cid]]

local TABLES, VIEWS, VIEW = COLUMNS:format "'table'", COLUMNS:format "'view'", COLUMNS:format "'view' AND s.name = ?1"

local INDEXES = [[
SELECT s.name AS "table", i.name AS name, i."unique" AS is_unique, i.origin AS origin, i.partial AS partial, x.name AS "column",
  x.cid AS cid, t.sql AS "sql"
FROM sqlite_schema AS s JOIN pragma_index_list(s.name) AS i JOIN pragma_index_xinfo(i.name) AS x
LEFT JOIN sqlite_schema AS t ON t.type = 'index' AND t.name = i.name
WHERE s.type = 'table' AND x.key = 1 ORDER BY s.name, i.name, x.seqno]]

local FOREIGN_KEYS = [[
SELECT s.name AS "table", k.id AS id, k."table" AS target, k."from" AS "column", k."to" AS reference,
  k.on_delete AS on_delete, k.on_update AS on_update
FROM sqlite_schema AS s JOIN pragma_foreign_key_list(s.name) AS k WHERE s.type = 'table' ORDER BY s.name, k.id DESC, k.seq]]

local function action(words)
  return (words:lower():gsub(" ", "_"))
end

local function read_columns(rows, catalog)
  for _, row in ipairs(rows) do
    local found = catalog:table(row.table, row.kind)
    local definition = catalog.definitions[row.table]
    if not definition then
      definition = create_table.read(row.kind == "table" and row.sql or "")
      catalog.definitions[row.table] = definition
      catalog.sql[row.table] = row.sql
      for i, check in ipairs(definition.checks) do found.checks[i] = check end
    end
    local written = definition.columns[row.name] or {}
    catalog:column(found, {
      name = row.name, type = row.type or "", null = row.required == 0, default = row.hidden < 2 and row.default or nil,
      computed = row.hidden >= 2 and (written.computed or "") or nil, stored = row.hidden == 3 or nil, collation = written.collation,
      place = row.place > 0 and row.place or nil,
    })
  end
end

-- The key in its own order; an INTEGER that is the whole key is the row's number, which SQLite gives.
local function read_keys(catalog)
  for _, found in ipairs(catalog.list) do
    local key = found.primary_key.columns
    for _, column in catalog.columns_of(found) do
      if column.place then key[column.place] = column.name end
    end
    for _, column in catalog.columns_of(found) do
      if column.place and #key == 1 and column.type:upper() == "INTEGER" then
        column.generated, column.null = true, false
      end
      column.place = nil
    end
  end
end

local function read_indexes(rows, catalog)
  for _, row in ipairs(rows) do
    local found = catalog.tables[row.table]
    if found and row.origin ~= "pk" then
      local index = catalog:index(found, row.name, {
        unique = row.is_unique == 1, constraint = row.origin == "u" or nil,
        where = row.partial == 1 and (row.sql or ""):match "[Ww][Hh][Ee][Rr][Ee]%s+(.*)$" or nil, sql = row.sql,
      })
      index.columns[#index.columns + 1] = row.column or "?"
      if row.cid == -2 then index.calculated = true end
    end
  end
end

local function read_foreign_keys(rows, catalog)
  local last, last_id
  for _, row in ipairs(rows) do
    local found = catalog.tables[row.table]
    if found then
      if not last or last.owner ~= found or last_id ~= row.id then
        last = { owner = found, columns = {}, references = {}, table = row.target, on_delete = action(row.on_delete),
          on_update = action(row.on_update) }
        last_id = row.id
        found.foreign_keys[#found.foreign_keys + 1] = last
      end
      last.columns[#last.columns + 1] = row.column
      last.references[#last.references + 1] = row.reference
    end
  end
  for _, found in ipairs(catalog.list) do
    for _, key in ipairs(found.foreign_keys) do
      key.owner = nil
      local target = catalog.tables[key.table]
      if #key.references == 0 and target then -- REFERENCES other, without columns, is its key
        for i, name in ipairs(target.primary_key.columns) do key.references[i] = name end
      end
    end
  end
end

-- A view whose tables are gone has no columns, and asking for them is an error: one such view must not hide the others.
local function read_views(catalog, ask)
  local views = {}
  for _, program in ipairs(catalog.programs) do
    if program.type == "view" then views[#views + 1] = program.name end
  end
  if not views[1] then return nil end
  local ok, rows = pcall(ask, VIEWS)
  if ok then return read_columns(rows, catalog) end
  if not is(rows, "programming") then error(rows, 0) end
  for _, name in ipairs(views) do
    ok, rows = pcall(ask, VIEW, name)
    if ok then
      read_columns(rows, catalog)
    elseif not is(rows, "programming") then
      error(rows, 0)
    end
  end
end

--- Views and triggers, in the order in which they were made.
---@param ask fun(sql: string): table[]
---@return {name: string, type: string, sql: string}[]
function sqlite.programs(ask)
  return ask "SELECT name, type, sql FROM sqlite_schema WHERE type IN ('view', 'trigger') ORDER BY rowid"
end

--- Read the catalog.
---@param catalog table  what is filled (see moonpool.schema.catalog)
---@param ask fun(sql: string): table[]
---@param schema string?
function sqlite.read(catalog, ask, schema)
  if schema and schema ~= "main" then
    errors.raise("unsupported", "SQLite has no schemas: reflect() without one reads the file's own tables")
  end
  read_columns(ask(TABLES), catalog)
  read_views(catalog, ask)
  read_keys(catalog)
  read_indexes(ask(INDEXES), catalog)
  read_foreign_keys(ask(FOREIGN_KEYS), catalog)
end

return sqlite
