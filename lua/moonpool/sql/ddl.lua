-- CREATE TABLE and DROP TABLE, written from the descriptions of moonpool.sql.table.

local tables = require "moonpool.sql.table"
local writer = require "moonpool.sql.writer"

local ddl = {}

--- How the actions of a relation are written.
ddl.actions = {
  restrict = "RESTRICT", cascade = "CASCADE", set_null = "SET NULL", set_default = "SET DEFAULT", no_action = "NO ACTION",
  protect = "RESTRICT", -- who deletes by an object or a query set is told more, see moonpool.entity.guard
}

-- A name for a constraint where the server's own would be another one than ours.
local function write_constraint(w, constraint)
  if w.dialect.names_constraints or constraint.cut and w.dialect.cuts_names then
    w:say(" CONSTRAINT "):name(constraint.name)
  end
  return w
end

-- Those of one column, which stand beside it where constraints need no name.
local function of_column(list, column)
  for _, constraint in ipairs(list) do
    if #constraint.columns == 1 and constraint.columns[1] == column.name then return constraint end
  end
  return nil
end

local function write_check(w, check)
  return write_constraint(w, check):say(" CHECK (" .. check.expression .. ")")
end

local function write_column(w, described, column)
  if column.text then return w:say(column.text) end
  w:name(column.name):say(" ")
  if column.generated then return w:say(w.dialect.generated_key) end
  w:say(column.type)
  if not column.null then w:say(" NOT NULL") end
  if column.default then w:say(" DEFAULT " .. column.default) end
  local key, unique = described.primary_key.columns, of_column(described.unique, column)
  if #key == 1 and key[1] == column.name then
    w:say(" PRIMARY KEY")
  elseif unique and not w.dialect.names_constraints then
    write_constraint(w, unique):say(" UNIQUE")
  end
  local check = of_column(described.checks, column)
  if check and not w.dialect.names_constraints then write_check(w, check) end
end

-- Constraints that have a name: behind the columns, where every server takes it.
local function write_named(w, described)
  for _, column in ipairs(described.columns) do
    local unique, check = of_column(described.unique, column), of_column(described.checks, column)
    if unique then
      w:say(",\n ")
      write_constraint(w, unique):say(" UNIQUE ("):list(unique.columns, "name"):say(")")
    end
    if check then write_check(w:say(",\n "), check) end
  end
end

local function write_foreign_key(w, key)
  w:say("("):list(key.columns, "name"):say(") REFERENCES "):table_name(key.model or key)
  w:say(" ("):list(key.references, "name"):say(")")
  w:say(" ON DELETE " .. ddl.actions[key.on_delete] .. " ON UPDATE " .. ddl.actions[key.on_update])
end

--- A column as CREATE TABLE and ADD COLUMN have it.
---@return string
function ddl.column_text(described, dialect, column)
  local w = writer.new(dialect, false)
  write_column(w, described, column)
  return w:sql()
end

--- What stands behind FOREIGN KEY.
---@return string
function ddl.foreign_key_text(dialect, key)
  local w = writer.new(dialect, false)
  write_foreign_key(w, key)
  return w:sql()
end

--- CREATE INDEX, where it is not there.
---@return string
function ddl.create_index(described, dialect, index)
  local w = writer.new(dialect, false)
  w:say(index.unique and "CREATE UNIQUE INDEX IF NOT EXISTS " or "CREATE INDEX IF NOT EXISTS ")
  w:name(index.name):say(" ON "):table_name(described.model)
  w:say(" ("):list(index.columns, "name"):say(")")
  return w:sql()
end

--- CREATE TABLE of a description, where it is not there. Its `texts` stand behind all else.
---@param described table
---@param dialect table
---@param missing table<table, true>?  models that relations must not name yet
---@return string
function ddl.table_text(described, dialect, missing)
  local w = writer.new(dialect, false)
  w:say("CREATE TABLE IF NOT EXISTS "):table_name(described.model):say(" (")
  for i, column in ipairs(described.columns) do
    w:say(i > 1 and ",\n  " or "\n  ")
    write_column(w, described, column)
  end
  if #described.primary_key.columns > 1 then
    w:say(",\n  PRIMARY KEY ("):list(described.primary_key.columns, "name"):say(")")
  end
  if dialect.names_constraints then write_named(w, described) end
  for _, key in ipairs(described.foreign_keys) do
    if not (missing and missing[key.model]) then
      w:say(",\n ")
      write_constraint(w, key):say(" FOREIGN KEY ")
      write_foreign_key(w, key)
    end
  end
  for _, text in ipairs(described.texts or {}) do w:say(",\n  " .. text) end
  w:say("\n)" .. (described.options or dialect.table_options))
  return w:sql()
end

--- The statements that make the table of a model and its indexes, where they are not there.
---@param model table
---@param dialect table
---@param missing table<table, true>?  models that relations must not name yet
---@return string[]
function ddl.create_table(model, dialect, missing)
  local described = tables.describe(model, dialect)
  local statements = { ddl.table_text(described, dialect, missing) }
  for _, index in ipairs(described.indexes) do
    statements[#statements + 1] = ddl.create_index(described, dialect, index)
  end
  return statements
end

--- The name of a model's table as statements have it.
---@return string
function ddl.quoted_table(model, dialect)
  return writer.new(dialect, false):table_name(model):sql()
end

--- Those that have a table of their own, and are no part of another's.
---@param models table[]
---@return table[]
function ddl.with_tables(models)
  local list = {}
  for _, model in ipairs(models) do
    if model.base == model then list[#list + 1] = model end
  end
  return list
end

--- The statements that make the schemas of models, where they are not there.
---@return string[]
function ddl.create_schemas(models, dialect)
  local statements, seen = {}, {}
  for _, model in ipairs(models) do
    if model.schema and not seen[model.schema] and dialect.create_schema then
      seen[model.schema] = true
      statements[#statements + 1] = dialect.create_schema(model.schema)
    end
  end
  return statements
end

-- The foreign key of a table that is there already.
local function add_foreign_key(model, dialect, key)
  local w = writer.new(dialect, false)
  write_foreign_key(w, key)
  return dialect.add_foreign_key(ddl.quoted_table(model, dialect), key.name, w:sql())
end

--- The statements that make the tables of models, in this order; see ddl.order. Where they refer in a circle, the
--- foreign key that closes it comes last, on servers that want to see the other table first.
---@param models table[]
---@param dialect table
---@return string[]
function ddl.create_tables(models, dialect)
  models = ddl.with_tables(models)
  local statements, missing, last = ddl.create_schemas(models, dialect), {}, {}
  for _, model in ipairs(models) do missing[model] = dialect.add_foreign_key and true or nil end
  for _, model in ipairs(models) do
    missing[model] = nil
    for _, sql in ipairs(ddl.create_table(model, dialect, missing)) do statements[#statements + 1] = sql end
    for _, key in ipairs(tables.describe(model, dialect).foreign_keys) do
      if missing[key.model] then last[#last + 1] = add_foreign_key(model, dialect, key) end
    end
  end
  for _, sql in ipairs(last) do statements[#statements + 1] = sql end
  return statements
end

--- The statements that drop the table of a model, if it is there.
---@return string[]
function ddl.drop_table(model, dialect)
  return { writer.new(dialect, false):say("DROP TABLE IF EXISTS "):table_name(model.base):sql() }
end

--- The statements that drop the tables of models, those that are there, in the contrary of this order.
---@return string[]
function ddl.drop_tables(models, dialect)
  models = ddl.with_tables(models)
  local statements, names, later = {}, {}, {}
  for _, model in ipairs(models) do later[model] = dialect.drop_foreign_key and true or nil end
  -- where they refer in a circle, what closed it goes first
  for _, model in ipairs(models) do
    later[model] = nil
    for _, key in ipairs(dialect.drop_foreign_key and tables.describe(model, dialect).foreign_keys or {}) do
      if later[key.model] then
        statements[#statements + 1] = dialect.drop_foreign_key(ddl.quoted_table(model, dialect), key.name)
      end
    end
  end
  for i = #models, 1, -1 do
    names[#names + 1] = models[i]
    statements[#statements + 1] = ddl.drop_table(models[i], dialect)[1]
  end
  -- at once they may refer to each other in a circle
  if dialect.drops_together and #names > 1 then
    return { writer.new(dialect, false):say("DROP TABLE IF EXISTS "):list(names, "table_name"):sql() }
  end
  return statements
end

ddl.fields_of_constraint = tables.fields_of_constraint

--- The models with those that others refer to first; where they refer in a circle, as they come.
---@param models table[]
---@return table[]
function ddl.order(models)
  local wanted, visited, ordered = {}, {}, {}
  for _, model in ipairs(models) do wanted[model] = true end
  local function visit(model)
    if visited[model] then return end
    visited[model] = true
    if wanted[model.parent] then visit(model.parent) end
    for _, field in ipairs(tables.references_of(model)) do
      local target = field:target()
      if wanted[target] then visit(target) end
    end
    ordered[#ordered + 1] = model
  end
  for _, model in ipairs(models) do visit(model) end
  return ordered
end

return ddl
