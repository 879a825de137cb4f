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

-- Names of indexes and constraints are made of tables' and columns', as PostgreSQL does by itself. What is too long is
-- cut, and kept apart by a sum over the whole of it (djb2). cut: whether it was.
local function name_of(model, fields, ending)
  local parts = { model.table }
  for _, field in ipairs(fields) do parts[#parts + 1] = field.column end
  parts[#parts + 1] = ending
  local name = table.concat(parts, "_")
  if #name <= LONGEST then return name, false end
  local sum = 5381
  for i = 1, #name do sum = (sum * 33 + name:byte(i)) % 4294967296 end
  return name:sub(1, LONGEST - 9) .. "_" .. ("%08x"):format(sum), true
end

-- A name for a constraint where the server's own would be another one than ours.
local function write_constraint(w, model, fields, ending)
  local name, cut = name_of(model, fields, ending)
  if w.dialect.names_constraints or cut and w.dialect.cuts_names then w:say(" CONSTRAINT "):name(name) end
  return w
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
local function literals_of(dialect, field)
  local allowed = field.values or field.choices
  if not allowed then return nil end
  local literals = {}
  for i, value in ipairs(allowed) do
    literals[i] = dialect.literal(field:take(value), field.kind_name)
    if not literals[i] then return nil end
  end
  return literals
end

local function write_check(w, model, field)
  local literals = literals_of(w.dialect, field)
  if not literals then return end
  write_constraint(w, model, { field }, "check"):say(" CHECK ("):name(field.column):say(" IN (" .. table.concat(literals, ", ") .. "))")
end

local function is_whole_key(model, field)
  return #model.key == 1 and model.key[1] == field
end

local function write_column(w, model, field)
  w:name(field.column):say(" ")
  if field.type == "id" and #model.key == 1 then return w:say(w.dialect.generated_key) end
  w:say(w.dialect.column_type(field))
  if not field.null then w:say(" NOT NULL") end
  write_default(w, field)
  local apart = w.dialect.names_constraints
  if is_whole_key(model, field) then
    w:say(" PRIMARY KEY")
  elseif field.unique and not apart then
    write_constraint(w, model, { field }, "key"):say(" UNIQUE")
  end
  if not apart then write_check(w, model, field) end
end

-- Constraints of a column that have a name: behind the columns, where every server takes it.
local function write_named(w, model, field)
  if field.unique and not is_whole_key(model, field) then
    w:say(",\n ")
    write_constraint(w, model, { field }, "key"):say(" UNIQUE ("):name(field.column):say(")")
  end
  if literals_of(w.dialect, field) then write_check(w:say(",\n "), model, field) end
end

local function write_foreign_key(w, field)
  if w.dialect.lacks_set_default then
    for _, option in ipairs { "on_delete", "on_update" } do
      if field[option] == "set_default" then
        errors.raise("unsupported", ('%s: %s has no %s = "set_default"'):format(field:title(), w.dialect.name, option))
      end
    end
  end
  w:say("("):name(field.column):say(") REFERENCES "):name(field:target().table)
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

local function name_of_index(model, index)
  if index.name then return index.name end
  return (name_of(model, index.fields, index.unique and "key" or "idx"))
end

local function create_index(model, dialect, index)
  local w = writer.new(dialect, false)
  w:say(index.unique and "CREATE UNIQUE INDEX IF NOT EXISTS " or "CREATE INDEX IF NOT EXISTS ")
  w:name(name_of_index(model, index)):say(" ON "):name(model.table)
  w:say(" ("):list(columns_of(index.fields), "name"):say(")")
  return w:sql()
end

--- The statements that make the table of a model and its indexes, where they are not there.
---@param model table
---@param dialect table
---@param missing table<table, true>?  models that relations must not name yet
---@return string[]
function ddl.create_table(model, dialect, missing)
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
    if dialect.names_constraints then write_named(w, model, field) end
  end
  for _, field in ipairs(model.fields) do
    if field.relation and not (missing and missing[field:target()]) then
      w:say(",\n ")
      write_constraint(w, model, { field }, "fkey"):say(" FOREIGN KEY ")
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

-- The foreign key of a table that is there already.
local function add_foreign_key(model, dialect, field)
  local w = writer.new(dialect, false)
  write_foreign_key(w, field)
  return dialect.add_foreign_key(model.table, (name_of(model, { field }, "fkey")), w:sql())
end

--- The statements that make the tables of models, in this order; see ddl.order. Where they refer in a circle, the
--- foreign key that closes it comes last, on servers that want to see the other table first.
---@param models table[]
---@param dialect table
---@return string[]
function ddl.create_tables(models, dialect)
  local statements, missing, last = {}, {}, {}
  for _, model in ipairs(models) do missing[model] = dialect.add_foreign_key and true or nil end
  for _, model in ipairs(models) do
    missing[model] = nil
    for _, sql in ipairs(ddl.create_table(model, dialect, missing)) do statements[#statements + 1] = sql end
    for _, field in ipairs(model.fields) do
      if field.relation and missing[field:target()] then last[#last + 1] = add_foreign_key(model, dialect, field) end
    end
  end
  for _, sql in ipairs(last) do statements[#statements + 1] = sql end
  return statements
end

--- The statements that drop the table of a model, if it is there.
---@return string[]
function ddl.drop_table(model, dialect)
  return { writer.new(dialect, false):say("DROP TABLE IF EXISTS "):name(model.table):sql() }
end

--- The statements that drop the tables of models, those that are there, in the contrary of this order.
---@return string[]
function ddl.drop_tables(models, dialect)
  local statements, names, later = {}, {}, {}
  for _, model in ipairs(models) do later[model] = dialect.drop_foreign_key and true or nil end
  -- where they refer in a circle, what closed it goes first
  for _, model in ipairs(models) do
    later[model] = nil
    for _, field in ipairs(model.fields) do
      if field.relation and later[field:target()] then
        statements[#statements + 1] = dialect.drop_foreign_key(model.table, (name_of(model, { field }, "fkey")))
      end
    end
  end
  for i = #models, 1, -1 do
    names[#names + 1] = models[i].table
    statements[#statements + 1] = ddl.drop_table(models[i], dialect)[1]
  end
  -- at once they may refer to each other in a circle
  if dialect.drops_together and #names > 1 then
    return { writer.new(dialect, false):say("DROP TABLE IF EXISTS "):list(names, "name"):sql() }
  end
  return statements
end

--- The fields of a constraint of that name, as ddl.create_table calls them and the server by itself; nil if it is none
--- of the model's.
---@return table[]?
function ddl.fields_of_constraint(model, name)
  if name == name_of(model, {}, "pkey") or name == "PRIMARY" then return model.key end
  for _, index in ipairs(indexes_of(model)) do
    if name == name_of_index(model, index) then return index.fields end
  end
  for _, field in ipairs(model.fields) do
    for _, ending in ipairs { "key", "fkey", "check" } do
      if name == name_of(model, { field }, ending) then return { field } end
    end
  end
  -- PostgreSQL numbers those whose name is taken: "a_b" with a column "c", and "a" with "b_c"
  local plain, number = name:match "^(.*_%a+)(%d+)$"
  return number and ddl.fields_of_constraint(model, plain) or nil
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
