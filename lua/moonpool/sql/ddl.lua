-- CREATE TABLE and DROP TABLE for models. What is in the text beside names is the program's own: types of
-- the dialect, constants of the declaration as literals, and server_default, which is SQL by contract.

local errors = require "moonpool.errors"
local field_null = require("moonpool.core").null
local writer = require "moonpool.sql.writer"

local ddl = {}

local ACTIONS = {
  restrict = "RESTRICT", cascade = "CASCADE", set_null = "SET NULL", set_default = "SET DEFAULT", no_action = "NO ACTION",
}

local LONGEST = 63

-- Names of indexes are made of tables' and columns'. What is too long is cut, and kept apart by a sum
-- over the whole of it (djb2).
local function index_name(parts)
  local name = table.concat(parts, "_")
  if #name <= LONGEST then return name end
  local sum = 5381
  for i = 1, #name do sum = (sum * 33 + name:byte(i)) % 4294967296 end
  return name:sub(1, LONGEST - 9) .. "_" .. ("%08x"):format(sum)
end

local function constant(dialect, field, value)
  local target = field.relation and field:key_field() or field
  local taken, why = field:check(value)
  if why then errors.raise("bad_argument", ("%s: its default %s"):format(field:title(), why)) end
  if taken == nil then return nil end
  return dialect.literal(taken, target.kind_name)
end

local function write_default(w, field)
  if field.server_default then
    w:say(" DEFAULT (" .. field.server_default .. ")")
  elseif field.default ~= nil and field.default ~= field_null and type(field.default) ~= "function" then
    local literal = constant(w.dialect, field, field.default)
    if literal then w:say(" DEFAULT " .. literal) end
  end
end

-- The values of an enum and of choices, which the database checks too.
local function write_check(w, field)
  local allowed = field.values or field.choices
  if not allowed then return end
  local literals = {}
  for i, value in ipairs(allowed) do
    literals[i] = w.dialect.literal(field:take(value), field.kind_name)
    if not literals[i] then return end
  end
  w:say(" CHECK ("):name(field.column):say(" IN (" .. table.concat(literals, ", ") .. "))")
end

local function write_column(w, model, field)
  w:name(field.column):say(" ")
  if field.type == "id" and #model.key == 1 then return w:say(w.dialect.generated_key) end
  w:say(w.dialect.column_type(field))
  if not field.null then w:say(" NOT NULL") end
  write_default(w, field)
  if #model.key == 1 and model.key[1] == field then
    w:say(" PRIMARY KEY")
  elseif field.unique then
    w:say(" UNIQUE")
  end
  write_check(w, field)
end

local function write_foreign_key(w, field)
  w:say("FOREIGN KEY ("):name(field.column):say(") REFERENCES "):name(field:target().table)
  w:say(" ("):name(field:key_field().column):say(")")
  w:say(" ON DELETE " .. ACTIONS[field.on_delete] .. " ON UPDATE " .. ACTIONS[field.on_update])
end

local function columns_of(fields)
  local columns = {}
  for i, field in ipairs(fields) do columns[i] = field.column end
  return columns
end

-- The indexes of a model: those of its option, of fields with index = true, and of relations, whose rows
-- are looked for from the other side; not where another one or the key begins with the column.
local function indexes_of(model)
  local indexes, begun = {}, {}
  begun[model.key[1]] = true
  for _, index in ipairs(model.indexes) do
    indexes[#indexes + 1] = index
    begun[index.fields[1]] = true
  end
  for _, field in ipairs(model.fields) do
    if (field.index or field.relation) and not begun[field] and not field.unique then
      indexes[#indexes + 1] = { unique = false, fields = { field } }
    end
  end
  return indexes
end

local function create_index(model, dialect, index)
  local columns = columns_of(index.fields)
  local parts = { model.table }
  for _, column in ipairs(columns) do parts[#parts + 1] = column end
  parts[#parts + 1] = index.unique and "key" or "idx"
  local w = writer.new(dialect, false)
  w:say(index.unique and "CREATE UNIQUE INDEX IF NOT EXISTS " or "CREATE INDEX IF NOT EXISTS ")
  w:name(index.name or index_name(parts)):say(" ON "):name(model.table):say(" ("):list(columns, "name"):say(")")
  return w:sql()
end

--- The statements that make the table of a model and its indexes, where they are not there.
---@param model table
---@param dialect table
---@return string[]
function ddl.create_table(model, dialect)
  local w = writer.new(dialect, false)
  w:say("CREATE TABLE IF NOT EXISTS "):name(model.table):say(" (")
  for i, field in ipairs(model.fields) do
    w:say(i > 1 and ",\n  " or "\n  ")
    write_column(w, model, field)
  end
  if #model.key > 1 then
    w:say(",\n  PRIMARY KEY ("):list(columns_of(model.key), "name"):say(")")
  end
  for _, field in ipairs(model.fields) do
    if field.relation then
      w:say(",\n  ")
      write_foreign_key(w, field)
    end
  end
  w:say("\n)" .. dialect.table_options)
  local statements = { w:sql() }
  for _, index in ipairs(indexes_of(model)) do
    statements[#statements + 1] = create_index(model, dialect, index)
  end
  return statements
end

--- The statements that drop the table of a model, if it is there.
---@return string[]
function ddl.drop_table(model, dialect)
  return { writer.new(dialect, false):say("DROP TABLE IF EXISTS "):name(model.table):sql() }
end

--- The models with those that others refer to first; where they refer in a circle, as they come.
---@param models table[]
---@return table[]
function ddl.order(models)
  local wanted, visited, ordered = {}, {}, {}
  for _, model in ipairs(models) do wanted[model] = true end
  local function visit(model)
    if visited[model] then return end
    visited[model] = true
    for _, field in ipairs(model.fields) do
      if field.relation then
        local target = field:target()
        if wanted[target] then visit(target) end
      end
    end
    ordered[#ordered + 1] = model
  end
  for _, model in ipairs(models) do visit(model) end
  return ordered
end

return ddl
