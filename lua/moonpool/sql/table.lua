-- The table of a model as the database is to have it: columns with their types and defaults, key, constraints and
-- indexes with their names, as plain tables. moonpool.sql.ddl writes it; moonpool.schema compares it with what is there,
-- whose description has the same form. What is in a text beside names is the program's own: types of the dialect,
-- constants of the declaration as literals, and server_default, which is SQL by contract.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local family = require "moonpool.resolve.family"

local tables = {}

local LONGEST = 63

-- Names of indexes and constraints are made of tables' and columns', as PostgreSQL does by itself. What is too long is
-- cut, and kept apart by a sum over the whole of it (djb2). cut: whether it was.
function tables.constraint_name(table_name, columns, ending)
  local parts = { table_name }
  for i, column in ipairs(columns) do parts[i + 1] = column end
  parts[#parts + 1] = ending
  local name = table.concat(parts, "_")
  if #name <= LONGEST then return name, false end
  local sum = 5381
  for i = 1, #name do sum = (sum * 33 + name:byte(i)) % 4294967296 end
  return name:sub(1, LONGEST - 9) .. "_" .. ("%08x"):format(sum), true
end

local function columns_of(fields)
  local columns = {}
  for i, field in ipairs(fields) do columns[i] = field.column end
  return columns
end
tables.columns_of = columns_of

local function named(model, fields, ending)
  local columns = columns_of(fields)
  local name, cut = tables.constraint_name(model.table, columns, ending)
  return { name = name, cut = cut, columns = columns, fields = fields }
end

local function constant(dialect, field, value)
  local taken, why = field:check(value)
  if why then errors.raise("bad_argument", ("%s: its default %s"):format(field:title(), why)) end
  if taken == nil then return nil end
  return dialect.literal(taken, field:origin().kind_name)
end

local function default_of(dialect, field)
  if field.server_default then
    return "(" .. field.server_default .. ")"
  elseif field.default ~= nil and field.default ~= core.null and type(field.default) ~= "function" then
    return constant(dialect, field, field.default)
  end
  return nil
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

local function is_whole_key(model, field)
  return #model.key == 1 and model.key[1] == field
end

-- A column of an entity that extends the table's is NULL in rows of others, whatever it says of its own.
local function column(model, dialect, field)
  local generated = field.type == "id" and #model.key == 1
  local own = field.model == model
  return {
    name = field.column, field = field, generated = generated, null = field.null or not own,
    type = dialect.column_type(field), default = own and not generated and default_of(dialect, field) or nil,
  }
end

local RANGED = { int = true, float = true, decimal = true }

-- The bounds of a number, which the database checks too: a calculated value meets no validation.
local function bounds_of(dialect, field)
  if field.relation or not RANGED[field.kind_name] then return nil end
  local parts = {}
  for _, bound in ipairs { { field.min, " >= " }, { field.max, " <= " } } do
    local value = bound[1]
    if value ~= nil then
      parts[#parts + 1] = dialect.measured(dialect.quote(field.column), field.kind_name) .. bound[2]
        .. (field.kind_name == "decimal" and tostring(value) or dialect.literal(value, field.kind_name))
    end
  end
  return parts[1] and table.concat(parts, " AND ")
end

local function check_of(model, dialect, field)
  local literals = literals_of(dialect, field)
  local expression
  if literals then
    expression = dialect.quote(field.column) .. " IN (" .. table.concat(literals, ", ") .. ")"
  else
    expression = bounds_of(dialect, field)
  end
  if not expression then return nil end
  local check = named(model, { field }, "check")
  check.expression = expression
  return check
end

-- Where the server cannot set defaults, deleting by objects and query sets does, if the default is known there (see
-- moonpool.entity.guard); whoever else deletes is refused.
local function on_delete_of(dialect, field)
  if not dialect.lacks_set_default or field.on_delete ~= "set_default" then return field.on_delete end
  if field.default == nil then
    errors.raise("unsupported", ('%s: %s has no on_delete = "set_default" for a server_default; a default is set by moonpool'):format(
      field:title(), dialect.name))
  end
  return "restrict"
end

local function foreign_key(model, dialect, field)
  if dialect.lacks_set_default and field.on_update == "set_default" then
    errors.raise("unsupported", ('%s: %s has no on_update = "set_default"'):format(field:title(), dialect.name))
  end
  local key = named(model, field:locals(), "fkey")
  key.model = field:target().base
  if model.schema and not key.model.schema and dialect.keys_stay_inside then
    errors.raise("unsupported", ("%s: on %s %s needs a schema too, the name of its database: a foreign key from another one "
      .. "has to say it"):format(field:title(), dialect.name, key.model.name))
  end
  key.table, key.references = key.model.table, columns_of(field:keys())
  key.on_delete, key.on_update = on_delete_of(dialect, field), field.on_update
  return key
end

-- The relations of a table to others: those of its entity, and of what extends it.
local function references_of(model)
  local list = {}
  for _, member in ipairs(family.members(model)) do
    for _, field in ipairs(member.references) do
      if member == model or not field.inherited then list[#list + 1] = field end
    end
  end
  return list
end
tables.references_of = references_of

-- The indexes of a model: those of its option, of fields with index = true, and of relations, whose rows
-- are looked for from the other side; not where another one or the key begins with the column.
local function indexes_of(model)
  local indexes, begun = {}, {}
  local function add(fields, unique, name)
    local index = named(model, fields, unique and "key" or "idx")
    index.name, index.unique = name or index.name, unique
    indexes[#indexes + 1] = index
    begun[fields[1]] = true
  end
  begun[model.key[1]] = true
  for _, member in ipairs(family.members(model)) do
    for _, index in ipairs(member.indexes) do add(index.fields, index.unique, index.name) end
  end
  for _, field in ipairs(model.stored) do
    if (field.index or field.relation) and not begun[field] and not field.unique then add({ field }, false) end
  end
  for _, field in ipairs(references_of(model)) do
    if field.parts and (field.unique or not begun[field.parts[1]]) then add(field.parts, field.unique) end
  end
  return indexes
end

--- The lists of fields whose values one row of a table at most can have together; the key comes first.
---@param model table
---@return table[][]
function tables.uniques(model)
  model = model.base
  local list = { model.key }
  for _, field in ipairs(model.stored) do
    if field.unique and not is_whole_key(model, field) then list[#list + 1] = { field } end
  end
  for _, index in ipairs(indexes_of(model)) do
    if index.unique then list[#list + 1] = index.fields end
  end
  return list
end

--- The table of a model.
---@param model table
---@param dialect table
---@return table  name, columns (name type null default generated field), primary_key (columns), unique, checks, foreign_keys
--- and indexes (name columns, and what they say). Raises unsupported where the dialect has no such thing.
function tables.describe(model, dialect)
  model = model.base
  local described = {
    name = model.table, schema = model.schema, model = model, columns = {}, primary_key = { columns = columns_of(model.key) },
    unique = {}, checks = {}, foreign_keys = {}, indexes = indexes_of(model),
  }
  local function add(list, entry) list[#list + 1] = entry end
  for i, field in ipairs(model.stored) do
    described.columns[i] = column(model, dialect, field)
    if field.unique and not is_whole_key(model, field) then add(described.unique, named(model, { field }, "key")) end
    add(described.checks, check_of(model, dialect, field))
  end
  for _, member in ipairs(family.members(model)) do
    for _, field in pairs(member.sets) do field:target() end -- raises, as below, where it is not declared
  end
  for _, field in ipairs(references_of(model)) do
    field:target()
    if not field.apart then add(described.foreign_keys, foreign_key(model, dialect, field)) end
  end
  return described
end

--- The fields of a constraint of that name, as it is called here and by the server itself; nil if it is none of the model's.
---@return table[]?
function tables.fields_of_constraint(model, name)
  if name == tables.constraint_name(model.table, {}, "pkey") or name == "PRIMARY" then return model.key end
  for _, index in ipairs(indexes_of(model)) do
    if name == index.name then return index.fields end
  end
  for _, field in ipairs(model.stored) do
    for _, ending in ipairs { "key", "fkey", "check" } do
      if name == named(model, { field }, ending).name then return { field } end
    end
  end
  for _, field in ipairs(references_of(model)) do
    if name == named(model, field:locals(), "fkey").name then return { field } end
  end
  -- PostgreSQL numbers those whose name is taken: "a_b" with a column "c", and "a" with "b_c"
  local plain, number = name:match "^(.*_%a+)(%d+)$"
  return number and tables.fields_of_constraint(model, plain) or nil
end

return tables
