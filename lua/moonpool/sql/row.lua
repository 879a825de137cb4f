-- Statements for single rows, known by their key, and for rows that are inserted. Their shape is a model
-- and a list of attributes; they are kept with the model.

local errors = require "moonpool.errors"
local source = require "moonpool.resolve.source"
local statement = require "moonpool.sql.statement"
local writer = require "moonpool.sql.writer"

local row = {}

local function kept(model, dialect, key, make)
  local by_dialect = model.statements[dialect]
  if not by_dialect then
    by_dialect = {}
    model.statements[dialect] = by_dialect
  end
  local found = by_dialect[key]
  return found or statement.keep(by_dialect, key, make())
end

-- Parameters are numbered as they come.
local function slot(w, field)
  w:slot { index = #w.slots + 1, kind = field.kind_name }
end

local function where_key(w, model)
  w:say(" WHERE ")
  for i, field in ipairs(model.key) do
    if i > 1 then w:say(" AND ") end
    w:name(field.column):say(" = ")
    slot(w, field)
  end
end

-- An object's row: by its key and, where there is one, by the version that the object knows.
local function where_row(w, model)
  where_key(w, model)
  if model.version then
    w:say(" AND "):name(model.version.column):say(" = ")
    slot(w, model.version)
  end
end

local function plan_of(fields)
  local plan = { names = {}, kinds = {} }
  for i, field in ipairs(fields) do plan.names[i], plan.kinds[i] = field.attribute, field.kind end
  return plan
end

local function write_columns(w, fields)
  for i, field in ipairs(fields) do
    if i > 1 then w:say(", ") end
    w:name(field.column)
  end
end

local function fields_of(model, names)
  local fields = {}
  for i, name in ipairs(names) do fields[i] = model:field(name) end
  return fields
end

local function read(model, dialect, fields, standing)
  local w = writer.new(dialect, false)
  w:say("SELECT ")
  write_columns(w, fields)
  w:say(" FROM "):table(model)
  where_key(w, model)
  if standing then w:say(" AND "):operand(standing) end
  return statement.new(w, { access = "read", output = "objects", plan = plan_of(fields), width = #fields })
end

--- One object by its key. Parameters: the key's values, converted.
---@param model table
---@param dialect table
---@return moonpool.statement
function row.get(model, dialect)
  return kept(model, dialect, "get", function()
    return read(model, dialect, model.loaded, source.scope(model).base.standing)
  end)
end

--- These columns of the row of an object that is known, deleted or not. Parameters: the key's values.
---@param names string[] attributes
function row.read(model, dialect, names)
  return kept(model, dialect, "read " .. table.concat(names, ","), function()
    return read(model, dialect, fields_of(model, names))
  end)
end

local function write_into(w, model, fields)
  w:say(" (")
  write_columns(w, fields)
  w:say(")")
end

-- INSERT of so many rows, without its end.
local function write_insert(w, model, fields, rows)
  w:say("INSERT INTO "):table_name(model)
  if #fields == 0 then
    if rows > 1 then
      errors.raise("unsupported", ("%s: rows of defaults only are inserted one by one"):format(model.name))
    end
    return w:say(" " .. w.dialect.default_row)
  end
  write_into(w, model, fields)
  w:say(" VALUES ")
  for i = 1, rows do
    w:say(i > 1 and ", (" or "(")
    for j, field in ipairs(fields) do
      if j > 1 then w:say(", ") end
      slot(w, field)
    end
    w:say(")")
  end
end

-- may_ignore: the first column that comes back is NULL where the row was left alone, on servers that give it back too.
local function finish_insert(w, returned, may_ignore)
  if returned and #returned > 0 then
    w:say(" RETURNING ")
    local ignored = may_ignore and w.dialect.ignored
    if ignored then
      ignored.returned(w, returned[1].column)
      for i = 2, #returned do w:say(", "):name(returned[i].column) end
    else
      write_columns(w, returned)
    end
  end
  return statement.new(w, {
    access = "write", output = returned and "rows" or "none", plan = returned and plan_of(returned) or nil,
  })
end

local function key_of(what, names, rows, returning)
  return ("%s %d %s > %s"):format(what, rows, table.concat(names, ","), returning and table.concat(returning, ",") or "")
end

--- Insert rows. names: attributes, in the order of the parameters; returning: attributes, or nil.
---@param names string[]
---@param rows integer?
---@param returning string[]?
function row.insert(model, dialect, names, rows, returning)
  rows = rows or 1
  return kept(model, dialect, key_of("insert", names, rows, returning), function()
    local w = writer.new(dialect, false)
    write_insert(w, model, fields_of(model, names), rows)
    return finish_insert(w, returning and fields_of(model, returning))
  end)
end

--- Insert any number of rows, from one array for each column. Only where the dialect has insert_arrays.
---@param names string[]
---@param returning string[]?
function row.insert_arrays(model, dialect, names, returning)
  return kept(model, dialect, key_of("arrays", names, 0, returning), function()
    local w = writer.new(dialect, false)
    local fields, slots = fields_of(model, names), {}
    for i, field in ipairs(fields) do slots[i] = { index = i, kind = field.kind_name } end
    w:say("INSERT INTO "):table_name(model)
    write_into(w, model, fields)
    dialect.insert_arrays(w, slots, returning ~= nil)
    return finish_insert(w, returning and fields_of(model, returning))
  end)
end

--- Insert rows that may be there. conflict: attributes whose uniqueness is meant; update: attributes to take over
--- from the new row, none: leave the row that is there.
function row.upsert(model, dialect, names, rows, conflict, update, returning)
  rows = rows or 1
  local key = key_of("upsert", names, rows, returning) .. " " .. table.concat(conflict, ",") .. " " .. table.concat(update, ",")
  return kept(model, dialect, key, function()
    local w = writer.new(dialect, false)
    write_insert(w, model, fields_of(model, names), rows)
    local columns = {}
    for i, list in ipairs { fields_of(model, conflict), fields_of(model, update), model.key } do
      columns[i] = {}
      for j, field in ipairs(list) do columns[i][j] = field.column end
    end
    local counter, kinds
    if #update > 0 then
      kinds = source.scope(model, nil, "with").base.standing
      counter = model.version and function()
        local column = model.version.column
        w:say(", "):name(column):say(" = "):name(model.table):say("."):name(column):say(" + 1")
      end
    end
    dialect.upsert(w, columns[1], columns[2], columns[3], counter, kinds)
    return finish_insert(w, returning and fields_of(model, returning), #update == 0)
  end)
end

--- Change columns of an object's row. Parameters: their values, then the key's, and that of the version.
---@param names string[]
---@param standing boolean? only where the row is not deleted
function row.update_row(model, dialect, names, standing)
  return kept(model, dialect, (standing and "mark " or "update ") .. table.concat(names, ","), function()
    if #names == 0 then errors.raise("bad_argument", model.name .. ": an update without columns") end
    local w = writer.new(dialect, false)
    w:say("UPDATE "):table_name(model):say(" SET ")
    for i, field in ipairs(fields_of(model, names)) do
      if i > 1 then w:say(", ") end
      w:name(field.column):say(" = ")
      slot(w, field)
    end
    where_row(w, model)
    if standing then w:say(" AND "):operand(source.scope(model).base.standing) end
    return statement.new(w, { access = "write", output = "none" })
  end)
end

-- A column still holds a value. JSON, and arrays that are sent as such, are compared by their content.
local function write_checked(w, field)
  local kind, sent_as = field.kind_name, w.dialect.sent_as
  if kind ~= "json" and not (sent_as and sent_as[kind] == "json") then
    w:name(field.column):say(w.dialect.same)
    return slot(w, field)
  end
  local placed = w.placed
  w.placed = {} -- the value is one parameter, however often the text of the comparison has it
  w:write {
    op = "compare", operator = "=", left = { op = "column", field = field, kind = "json" },
    right = { op = "slot", index = #w.slots + 1, kind = kind },
  }
  w.placed = placed
end

--- The same, where the row still holds what is given for the checked columns, and NULL in the empty ones. Parameters: values,
--- key and version, and those of the checked columns.
---@param checked string[]
---@param empty string[]
function row.update_checked(model, dialect, names, checked, empty)
  local key = ("update %s of %s and no %s"):format(table.concat(names, ","), table.concat(checked, ","), table.concat(empty, ","))
  return kept(model, dialect, key, function()
    local w = writer.new(dialect, false)
    w:say("UPDATE "):table_name(model):say(" SET ")
    for i, field in ipairs(fields_of(model, names)) do
      if i > 1 then w:say(", ") end
      w:name(field.column):say(" = ")
      slot(w, field)
    end
    where_row(w, model)
    for _, field in ipairs(fields_of(model, checked)) do
      write_checked(w:say(" AND "), field)
    end
    for _, field in ipairs(fields_of(model, empty)) do
      w:say(" AND "):name(field.column):say(" IS NULL")
    end
    return statement.new(w, { access = "write", output = "none" })
  end)
end

--- Delete an object's row. Parameters: the key's values, and that of the version.
function row.delete_row(model, dialect)
  return kept(model, dialect, "delete", function()
    local w = writer.new(dialect, false)
    w:say("DELETE FROM "):table_name(model)
    where_row(w, model)
    return statement.new(w, { access = "write", output = "none" })
  end)
end

--- After an insert that gave the generated key: what makes the database give greater ones. Parameter: the greatest that
--- was given. nil where it sees by itself.
---@param attribute string
---@return moonpool.statement?
function row.follow_key(model, dialect, attribute)
  if not dialect.follow_key then return nil end
  return kept(model, dialect, "follow " .. attribute, function()
    local w = writer.new(dialect, false)
    local field = model:field(attribute)
    dialect.follow_key(w, model, field.column, { index = 1, kind = field.kind_name })
    return statement.new(w, { access = "write", output = "none" })
  end)
end

--- How many rows with these columns fit into one insert.
function row.max_rows(_, dialect, names)
  return math.max(1, math.floor(dialect.most_parameters / math.max(1, #names)))
end

return row
