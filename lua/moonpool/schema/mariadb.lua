-- The catalog of MariaDB: four statements on information_schema, whatever the number of tables.

local mariadb = {}

local COLUMNS = [[
SELECT c.TABLE_NAME AS `table`, t.TABLE_TYPE AS kind, c.COLUMN_NAME AS name, c.COLUMN_TYPE AS type,
  c.IS_NULLABLE AS is_null, c.COLUMN_DEFAULT AS `default`, c.EXTRA AS extra, c.COLLATION_NAME AS collation,
  c.GENERATION_EXPRESSION AS computed
FROM information_schema.COLUMNS AS c
JOIN information_schema.TABLES AS t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME
WHERE c.TABLE_SCHEMA = %s AND t.TABLE_TYPE <> 'SEQUENCE' ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION]]

local INDEXES = [[
SELECT TABLE_NAME AS `table`, INDEX_NAME AS name, NON_UNIQUE = 0 AS is_unique, COLUMN_NAME AS `column`, SUB_PART AS part
FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX]]

local FOREIGN_KEYS = [[
SELECT k.TABLE_NAME AS `table`, k.CONSTRAINT_NAME AS name, k.COLUMN_NAME AS `column`,
  nullif(k.REFERENCED_TABLE_SCHEMA, k.TABLE_SCHEMA) AS target_schema, k.REFERENCED_TABLE_NAME AS target,
  k.REFERENCED_COLUMN_NAME AS reference, r.DELETE_RULE AS on_delete, r.UPDATE_RULE AS on_update
FROM information_schema.KEY_COLUMN_USAGE AS k
JOIN information_schema.REFERENTIAL_CONSTRAINTS AS r ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA
  AND r.TABLE_NAME = k.TABLE_NAME AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME
WHERE k.TABLE_SCHEMA = %s AND k.REFERENCED_TABLE_NAME IS NOT NULL
ORDER BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION]]

local CHECKS = [[
SELECT TABLE_NAME AS `table`, CONSTRAINT_NAME AS name, `LEVEL` AS level, CHECK_CLAUSE AS expression
FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = %s ORDER BY TABLE_NAME, CONSTRAINT_NAME]]

local function action(words)
  return (words:lower():gsub(" ", "_"))
end

local function read_columns(rows, catalog)
  for _, row in ipairs(rows) do
    local found = catalog:table(row.table, row.kind:find "VIEW" and "view" or "table")
    local computed = row.computed ~= "" and row.computed or nil
    local default = row.default
    if default == "NULL" or computed then default = nil end
    catalog:column(found, {
      name = row.name, type = row.type, null = row.is_null == "YES", default = default, computed = computed,
      generated = row.extra:find "auto_increment" ~= nil or nil, collation = row.collation,
      on_update = row.extra:match "on update (.*)$",
    })
  end
end

local function read_indexes(rows, catalog)
  for _, row in ipairs(rows) do
    local found = catalog.tables[row.table]
    if row.name == "PRIMARY" then
      local key = found.primary_key.columns
      key[#key + 1] = row.column
    elseif found then
      local index = catalog:index(found, row.name, { unique = row.is_unique == 1 })
      index.columns[#index.columns + 1] = row.column
      if row.part then index.calculated = true end
    end
  end
end

local function read_foreign_keys(rows, catalog)
  local last
  for _, row in ipairs(rows) do
    local found = catalog.tables[row.table]
    if found then
      local keys = found.foreign_keys
      last = keys[#keys]
      if not last or last.name ~= row.name then
        last = { name = row.name, columns = {}, references = {}, table = row.target, schema = row.target_schema,
          on_delete = action(row.on_delete), on_update = action(row.on_update) }
        keys[#keys + 1] = last
      end
      last.columns[#last.columns + 1] = row.column
      last.references[#last.references + 1] = row.reference
    end
  end
end

local function read_checks(rows, catalog)
  for _, row in ipairs(rows) do
    local found = catalog.tables[row.table]
    local column = found and row.level == "Column" and found.columns[row.name]
    if column and row.expression:lower():find "^json_valid%(" then
      column.json = true -- what JSON is there: a text with this check
    elseif found then
      found.checks[#found.checks + 1] = {
        name = row.name, columns = column and { row.name } or nil, expression = row.expression, of_column = column and true or nil,
      }
    end
  end
end

--- Read the catalog.
---@param catalog table  what is filled (see moonpool.schema.catalog)
---@param ask fun(sql: string, parameter: string?): table[]
---@param schema string?  another database of the server
function mariadb.read(catalog, ask, schema)
  local place = schema and "?" or "DATABASE()"
  read_columns(ask(COLUMNS:format(place), schema), catalog)
  read_indexes(ask(INDEXES:format(place), schema), catalog)
  read_foreign_keys(ask(FOREIGN_KEYS:format(place), schema), catalog)
  read_checks(ask(CHECKS:format(place), schema), catalog)
end

return mariadb
