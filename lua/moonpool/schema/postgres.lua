-- The catalog of PostgreSQL: three statements, whatever the number of tables. Tables of extensions and the parts of a
-- partitioned table are left out.

local postgres = {}

local TABLES = [[
 JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT c.relispartition AND %s
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')]]

local VISIBLE = "pg_table_is_visible(c.oid) AND n.nspname = ANY (current_schemas(false))"

local COLUMNS = [[
SELECT c.relname::text AS "table", n.nspname::text AS schema, c.relkind::text AS kind, a.attname::text AS name,
  format_type(a.atttypid, a.atttypmod) AS type, t.typtype::text AS typtype,
  CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END AS base, NOT a.attnotnull AS is_null,
  pg_get_expr(d.adbin, d.adrelid) AS "default", a.attidentity::text AS identity, a.attgenerated::text AS generated,
  CASE WHEN a.attcollation <> t.typcollation THEN o.collname::text END AS collation,
  (SELECT array_agg(l.enumlabel::text ORDER BY l.enumsortorder) FROM pg_enum AS l WHERE l.enumtypid = a.atttypid) AS labels
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_collation AS o ON o.oid = a.attcollation]] .. TABLES .. [[
 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY c.relname, a.attnum]]

local function names_of(numbers, relation)
  return ([[(SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(%s) WITH ORDINALITY AS k(num, n)
    JOIN pg_attribute AS a ON a.attrelid = %s AND a.attnum = k.num)]]):format(numbers, relation)
end

local CONSTRAINTS = [[
SELECT c.relname::text AS "table", s.conname::text AS name, s.contype::text AS type, ]]
  .. names_of("s.conkey", "s.conrelid") .. [[ AS columns, ]] .. names_of("s.confkey", "s.confrelid") .. [[ AS "references",
  r.relname::text AS target, CASE WHEN pg_table_is_visible(r.oid) THEN NULL ELSE q.nspname::text END AS target_schema,
  s.confdeltype::text AS on_delete, s.confupdtype::text AS on_update, pg_get_expr(s.conbin, s.conrelid) AS expression
FROM pg_constraint AS s JOIN pg_class AS c ON c.oid = s.conrelid
LEFT JOIN pg_class AS r ON r.oid = s.confrelid LEFT JOIN pg_namespace AS q ON q.oid = r.relnamespace]] .. TABLES .. [[
 AND s.contype IN ('p', 'u', 'f', 'c') ORDER BY c.relname, s.conname]]

local INDEXES = [[
SELECT c.relname::text AS "table", i.relname::text AS name, x.indisunique AS is_unique, s.oid IS NOT NULL AS is_constraint,
  0 = ANY (x.indkey::int2[]) AS calculated, pg_get_expr(x.indpred, x.indrelid) AS predicate, pg_get_indexdef(x.indexrelid) AS "sql",
  (SELECT array_agg(coalesce(a.attname::text, pg_get_indexdef(x.indexrelid, k.n::int, true)) ORDER BY k.n)
    FROM unnest(x.indkey::int2[]) WITH ORDINALITY AS k(num, n)
    LEFT JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.num AND k.num > 0
    WHERE k.n <= x.indnkeyatts) AS columns
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_class AS c ON c.oid = x.indrelid
LEFT JOIN pg_constraint AS s ON s.conindid = x.indexrelid AND s.contype IN ('p', 'u', 'x')]] .. TABLES .. [[
 AND NOT x.indisprimary AND coalesce(s.contype, 'u') <> 'x' ORDER BY c.relname, i.relname]]

local ACTIONS = { a = "no_action", r = "restrict", c = "cascade", n = "set_null", d = "set_default" }
local KINDS = { r = "table", p = "table", f = "table", v = "view", m = "view" }

local function read_columns(rows, catalog)
  for _, row in ipairs(rows) do
    local found = catalog:table(row.table, KINDS[row.kind])
    found.schema = row.schema
    local default = row.default
    local computed = row.generated ~= "" and default or nil
    local generated = row.identity ~= "" or (default ~= nil and default:find "^nextval%(" ~= nil)
    catalog:column(found, {
      name = row.name, type = row.type, base = row.base, null = row.is_null, computed = computed,
      default = not computed and not generated and default or nil, generated = generated or nil,
      collation = row.collation, values = row.labels,
    })
  end
end

local function read_constraints(rows, catalog)
  for _, row in ipairs(rows) do
    local found = catalog.tables[row.table]
    if found and row.type == "p" then
      found.primary_key = { name = row.name, columns = row.columns }
    elseif found and row.type == "c" then
      found.checks[#found.checks + 1] = { name = row.name, columns = row.columns or {}, expression = row.expression }
    elseif found and row.type == "f" then
      found.foreign_keys[#found.foreign_keys + 1] = {
        name = row.name, columns = row.columns, table = row.target, schema = row.target_schema, references = row.references,
        on_delete = ACTIONS[row.on_delete], on_update = ACTIONS[row.on_update],
      }
    end
  end
end

local function read_indexes(rows, catalog)
  for _, row in ipairs(rows) do
    local found = catalog.tables[row.table]
    if found then
      local index = catalog:index(found, row.name, {
        unique = row.is_unique, constraint = row.is_constraint or nil, where = row.predicate, sql = row.sql,
        calculated = row.calculated or nil,
      })
      index.columns = row.columns
    end
  end
end

--- Read the catalog.
---@param catalog table  what is filled (see moonpool.schema.catalog)
---@param ask fun(sql: string, parameter: string?): table[]
---@param schema string?  else what is found without naming one
function postgres.read(catalog, ask, schema)
  local place = schema and "n.nspname = $1" or VISIBLE
  -- the text holds % of its own nowhere but there
  read_columns(ask(COLUMNS:format(place), schema), catalog)
  read_constraints(ask(CONSTRAINTS:format(place), schema), catalog)
  read_indexes(ask(INDEXES:format(place), schema), catalog)
end

return postgres
