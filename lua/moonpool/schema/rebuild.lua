-- Changing a table of SQLite that ALTER TABLE cannot: it is made anew beside the old one, filled from it, and the old one
-- dropped. Dropping a table deletes its rows, which would take along those that refer to them: so these tables are made
-- anew too, and nothing refers to a table when it goes. Each statement stands by itself; no setting is changed.

local catalog = require "moonpool.schema.catalog"
local ddl = require "moonpool.sql.ddl"
local dialects = require "moonpool.dialect"
local tokens = require "moonpool.schema.tokens"

local rebuild = {}

local OLD = "moonpool_old_"

local dialect = dialects.get "sqlite"
local quote = dialect.quote

local function listed(columns)
  local list = {}
  for i, name in ipairs(columns) do list[i] = quote(name) end
  return table.concat(list, ", ")
end

-- ---- what the new table is ----

local function leftover_text(column)
  local text = quote(column.name) .. " " .. column.type
  if column.computed then
    return text .. " GENERATED ALWAYS AS (" .. column.computed .. ") " .. (column.stored and "STORED" or "VIRTUAL")
  end
  if column.collation then text = text .. " COLLATE " .. quote(column.collation) end
  if not column.null then text = text .. " NOT NULL" end
  if column.default then text = text .. " DEFAULT (" .. column.default .. ")" end
  return text
end

local function constraint_texts(changes, all)
  local texts = {}
  local function add(...) texts[#texts + 1] = table.concat { ... } end
  for _, check in ipairs(changes.checks.keep) do
    add(check.name and "CONSTRAINT " .. quote(check.name) .. " " or "", "CHECK (", check.expression, ")")
  end
  for _, key in ipairs(changes.foreign_keys.keep) do add("FOREIGN KEY ", ddl.foreign_key_text(dialect, key)) end
  if all then return texts end
  -- what belongs to columns that stay although no entity has them
  local gone = {}
  for _, column in ipairs(changes.columns.drop) do gone[column.name] = true end
  local function of_gone(columns)
    for _, name in ipairs(columns or {}) do
      if gone[name] then return true end
    end
    return false
  end
  for _, index in ipairs(changes.actual.indexes) do
    if index.constraint and of_gone(index.columns) then add("UNIQUE (", listed(index.columns), ")") end
  end
  for _, check in ipairs(changes.actual.checks) do
    if of_gone(check.columns) then add("CHECK (", check.expression, ")") end
  end
  for _, key in ipairs(changes.actual.foreign_keys) do
    if of_gone(key.columns) then add("FOREIGN KEY ", ddl.foreign_key_text(dialect, key)) end
  end
  return texts
end

-- all: as the entity says in everything, also where that destroys.
local function new_table(changes, all, options)
  local wanted, columns, changed = changes.wanted, {}, {}
  for _, change in ipairs(changes.columns.change) do changed[change.wanted.name] = change end
  for _, column in ipairs(wanted.columns) do
    local change, there = changed[column.name], changes.actual.columns[column.name]
    local copy = { name = column.name, field = column.field, generated = column.generated, null = column.null,
      type = column.type, default = column.default }
    if there and there.computed then copy.text = leftover_text(there) end
    if change and change.type == "other" and not all then
      copy = { name = column.name, text = leftover_text(there) }
    end
    if there and there.generated and not column.generated and not all then copy.generated = nil end
    if change and change.null == nil and not column.generated then copy.null = there.null end
    if not changes.absent[column.name] then columns[#columns + 1] = copy end
  end
  for _, column in ipairs(all and {} or changes.columns.drop) do
    columns[#columns + 1] = { name = column.name, text = leftover_text(column) }
  end
  local held = {}
  for _, part in pairs(all and {} or changes.held) do
    for _, each in ipairs(part) do held[each] = true end
  end
  local function present(list)
    local kept = {}
    for _, each in ipairs(list) do
      local here = not held[each]
      for _, name in ipairs(each.columns) do here = here and not changes.absent[name] end
      if here then kept[#kept + 1] = each end
    end
    return kept
  end
  return {
    name = wanted.name, model = wanted.model, columns = columns, primary_key = changes.key and changes.actual.primary_key or wanted.primary_key,
    unique = present(wanted.unique), checks = present(wanted.checks), foreign_keys = present(wanted.foreign_keys),
    texts = constraint_texts(changes, all), options = options and options ~= "" and " " .. options or "",
  }
end

-- ---- which tables, in which order ----

--- The names of the tables that are made anew with these: everything that refers to them, over any number of steps.
---@param found table
---@param names table<string, any>
---@return table<string, true>
function rebuild.closure(found, names)
  local set, more = {}, true
  for name in pairs(names) do set[name] = true end
  while more do
    more = false
    for _, each in ipairs(found.list) do
      for _, key in ipairs(each.foreign_keys) do
        if set[key.table] and not set[each.name] then set[each.name], more = true, true end
      end
    end
  end
  return set
end

-- Those that are referred to first; nil and a name where they refer in a circle.
local function order(found, set, plans)
  local ordered, state = {}, {}
  local function visit(name)
    if state[name] == "done" then return nil end
    if state[name] then return name end
    state[name] = "open"
    for _, keys in ipairs { found.tables[name].foreign_keys, plans[name] and plans[name].wanted.foreign_keys or {} } do
      for _, key in ipairs(keys) do
        if key.table ~= name and set[key.table] then
          local circle = visit(key.table)
          if circle then return circle end
        end
      end
    end
    state[name] = "done"
    ordered[#ordered + 1] = name
  end
  for _, each in ipairs(found.list) do
    if set[each.name] then
      local circle = visit(each.name)
      if circle then return nil, circle end
    end
  end
  return ordered
end

local function mentions(sql, set)
  for _, token in ipairs(tokens.read(sql or "")) do
    if (token.kind == "name" or token.kind == "word") then
      for name in pairs(set) do
        if (token.kind == "name" and token.value or token.text):lower() == name:lower() then return true end
      end
    end
  end
  return false
end

-- ---- the statements ----

local function copy_rows(add, actual, changes, all)
  local into, from, changed = {}, {}, {}
  for _, change in ipairs(changes and changes.columns.change or {}) do changed[change.wanted.name] = change end
  local gone = {}
  for _, column in ipairs(changes and all and changes.columns.drop or {}) do gone[column.name] = true end
  for _, column in catalog.columns_of(actual) do
    if not column.computed and not gone[column.name] then
      local change = changed[column.name]
      local scale = change and change.type == "widen" and change.wanted.field and change.wanted.field.scale
      into[#into + 1] = quote(column.name)
      from[#from + 1] = scale and ("mp_decimal_cast(%s, %d)"):format(quote(column.name), scale) or quote(column.name)
    end
  end
  local name = actual.name
  add("INSERT INTO ", quote(name), " (", table.concat(into, ", "), ") SELECT ", table.concat(from, ", "), " FROM ", quote(OLD .. name))
end

-- The greatest key that was ever given must not be given again.
local function keep_sequence(add, name)
  local literal = dialect.literal_text
  add("DELETE FROM sqlite_sequence WHERE name = ", literal(name))
  add("INSERT INTO sqlite_sequence (name, seq) SELECT ", literal(name), ", seq FROM sqlite_sequence WHERE name = ", literal(OLD .. name))
end

-- A table that refers to itself cannot go while its rows hold each other.
local function let_go(add, actual)
  for _, key in ipairs(actual.foreign_keys) do
    if key.table == actual.name and key.on_delete == "restrict" then
      for _, column in ipairs(key.columns) do
        if actual.columns[column].null then
          add("UPDATE ", quote(OLD .. actual.name), " SET ", quote(column), " = NULL")
          break
        end
      end
    end
  end
end

local function holds_itself(actual)
  for _, key in ipairs(actual.foreign_keys) do
    if key.table == actual.name and key.on_delete == "restrict" then
      local free = false
      for _, column in ipairs(key.columns) do free = free or actual.columns[column].null end
      if not free then return true end
    end
  end
  return false
end

local function has_autoincrement(sql)
  for _, token in ipairs(tokens.read(sql)) do
    if tokens.is(token, "AUTOINCREMENT") then return true end
  end
  return false
end

--- Why these tables cannot be made anew, or nil.
---@return string?
function rebuild.obstacle(found, plans)
  local set = rebuild.closure(found, plans)
  local ordered, circle = order(found, set, plans)
  if not ordered then return circle .. " is in a circle of tables that refer to each other: change it by hand" end
  for _, name in ipairs(ordered) do
    local actual = found.tables[name]
    if holds_itself(actual) then return name .. " refers to itself and must: change it by hand" end
    local sql = found.sql[name]:upper()
    if plans[name] and (sql:find("DEFERRABLE", 1, true) or sql:find("ON CONFLICT", 1, true)) then
      return name .. " has DEFERRABLE or ON CONFLICT in its CREATE TABLE, which would be lost: change it by hand"
    end
  end
  return nil
end

local function create_indexes(add, name, found, changes, all)
  local dropped = {}
  for _, list in ipairs(changes and { changes.unique.drop, changes.indexes.drop } or {}) do
    for _, index in ipairs(list) do dropped[index.name] = true end
  end
  local gone = {}
  for _, column in ipairs(changes and all and changes.columns.drop or {}) do gone[column.name] = true end
  for _, index in ipairs(found.tables[name].indexes) do
    local inside = false
    for _, column in ipairs(index.columns) do inside = inside or gone[column] end
    for _, unique in ipairs(changes and changes.wanted.unique or {}) do
      inside = inside or index.unique and not index.where and table.concat(unique.columns, "\0") == table.concat(index.columns, "\0")
    end
    if index.sql and not dropped[index.name] and not inside then add(index.sql) end
  end
  for _, list in ipairs(changes and { changes.unique.add, changes.indexes.add, all and changes.held.unique or {},
    all and changes.held.indexes or {} } or {}) do
    for _, index in ipairs(list) do
      if index.unique ~= nil then add(ddl.create_index(changes.wanted, dialect, index)) end
    end
  end
end

--- The statements that make tables anew.
---@param found table  the catalog, with `sql` (CREATE TABLE by name) and `programs` (views and triggers: name type sql)
---@param plans table<string, table>  changes by the table's name
---@param all boolean?  also what destroys
---@return string[]
function rebuild.statements(found, plans, all)
  local statements = {}
  local function add(...) statements[#statements + 1] = table.concat { ... } end
  local set = rebuild.closure(found, plans)
  local ordered = order(found, set, plans)
  local again = {}
  for _, program in ipairs(found.programs) do
    if mentions(program.sql, set) then
      add("DROP ", program.type:upper(), " IF EXISTS ", quote(program.name))
      again[#again + 1] = program.sql
    end
  end
  for _, name in ipairs(ordered) do
    local changes, actual = plans[name], found.tables[name]
    add("ALTER TABLE ", quote(name), " RENAME TO ", quote(OLD .. name))
    if changes then
      add(ddl.table_text(new_table(changes, all, found.definitions[name].options), dialect))
    else
      add(found.sql[name])
    end
    copy_rows(add, actual, changes, all)
    if has_autoincrement(found.sql[name]) then keep_sequence(add, name) end
  end
  for i = #ordered, 1, -1 do
    let_go(add, found.tables[ordered[i]])
    add("DROP TABLE ", quote(OLD .. ordered[i]))
  end
  for _, name in ipairs(ordered) do create_indexes(add, name, found, plans[name], all) end
  for _, sql in ipairs(again) do add(sql) end
  return statements
end

return rebuild
