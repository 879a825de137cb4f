-- db:diff(): the statements that turn a database into what its entities say. What would destroy is listed apart, and so is
-- what no statement can do; nothing is run here.

local alter = require "moonpool.schema.alter"
local catalog = require "moonpool.schema.catalog"
local compare = require "moonpool.schema.compare"
local ddl = require "moonpool.sql.ddl"
local rebuild = require "moonpool.schema.rebuild"
local tables = require "moonpool.sql.table"

local diff = {}

-- ---- the result ----

---@class moonpool.diff
---@field [integer] string  a statement each
---@field destructive string[]  statements that lose something: columns and tables no entity has, types that hold less
---@field needs string[]  what has to be done by hand first, and why
local Diff = { __name = "diff" }
diff.metatable = Diff

function Diff:__tostring()
  local lines = {}
  for _, sql in ipairs(self) do lines[#lines + 1] = sql .. ";" end
  for _, text in ipairs(self.needs) do lines[#lines + 1] = "-- needs: " .. text end
  if self.destructive[1] then lines[#lines + 1] = "-- would destroy:" end
  for _, sql in ipairs(self.destructive) do lines[#lines + 1] = "-- " .. sql:gsub("\n", "\n-- ") .. ";" end
  return table.concat(lines, "\n")
end

-- ---- what cannot be done ----

local function without(list, gone)
  local kept = {}
  for _, each in ipairs(list) do
    local here = true
    for _, name in ipairs(each.columns) do here = here and not gone[name] end
    if here then kept[#kept + 1] = each end
  end
  return kept
end

-- What is about columns whose type would destroy waits for that.
local function hold_back(changes)
  local other = {}
  changes.held = {}
  for _, change in ipairs(changes.columns.change) do
    if change.type == "other" then other[change.wanted.name] = true end
  end
  for _, part in ipairs { "unique", "checks", "foreign_keys", "indexes" } do
    local now, later = without(changes[part].add, other), {}
    local is_now = {}
    for _, each in ipairs(now) do is_now[each] = true end
    for _, each in ipairs(changes[part].add) do
      if not is_now[each] then later[#later + 1] = each end
    end
    changes[part].add, changes.held[part] = now, later
  end
end

-- Take out of the changes what the rows that are there do not allow, and say what it needs.
local function check_rows(self, changes)
  local wanted, dialect, ask = changes.wanted, self.dialect, self.found.ask
  local name, quoted = wanted.name, ddl.quoted_table(wanted.model, dialect)
  local function need(column, text) self.result.needs[#self.result.needs + 1] = name .. (column and "." .. column or "") .. ": " .. text end
  changes.absent = {}
  local is_filled
  local kept = {}
  for _, column in ipairs(changes.columns.add) do
    if is_filled == nil then is_filled = ask("SELECT 1 AS one FROM " .. quoted .. " LIMIT 1")[1] ~= nil end
    if column.generated then
      need(column.name, "a key that the database generates is not added to a table that is there: do it by hand")
      changes.absent[column.name] = true
    elseif is_filled and not column.null and not column.default then
      need(column.name, "a column that is NOT NULL needs a value for the rows there are: give it a default or a server_default, or "
        .. "add it with null = true, fill it, and take that away again")
      changes.absent[column.name] = true
    else
      kept[#kept + 1] = column
    end
  end
  changes.columns.add = kept
  for _, part in ipairs { "unique", "checks", "foreign_keys", "indexes" } do
    changes[part].add = without(changes[part].add, changes.absent)
  end
  for _, change in ipairs(changes.columns.change) do
    local column = dialect.quote(change.wanted.name)
    if change.null and not change.wanted.null
      and ask(("SELECT 1 AS one FROM %s WHERE %s IS NULL LIMIT 1"):format(quoted, column))[1] then
      need(change.wanted.name, "it is to be NOT NULL, and rows hold NULL there: fill them first")
      change.null = nil
    end
    if change.generated then need(change.wanted.name, "the database does not generate this key: change it by hand") end
  end
  if changes.key then
    need(nil, ("its primary key is (%s), not (%s): change it by hand"):format(
      table.concat(changes.actual.primary_key.columns, ", "), table.concat(wanted.primary_key.columns, ", ")))
  end
end

local function is_now(change)
  return change.type == "widen" or change.type ~= "other" and (change.null or change.default)
end

local function is_changed(changes)
  if changes.columns.add[1] then return true end
  for _, change in ipairs(changes.columns.change) do
    if is_now(change) then return true end
  end
  for _, part in ipairs { "unique", "checks", "foreign_keys", "indexes" } do
    if changes[part].add[1] or changes[part].drop[1] then return true end
  end
  return false
end

local function destroys(changes)
  if changes.columns.drop[1] then return true end
  for _, change in ipairs(changes.columns.change) do
    if change.type == "other" then return true end
  end
  return false
end

-- ---- SQLite ----

local function is_simple_column(changes, column)
  if not column.null and not column.default or (column.default or ""):find "^%(" then return false end
  for _, key in ipairs(changes.foreign_keys.add) do
    for _, name in ipairs(key.columns) do
      if name == column.name then return false end
    end
  end
  return true
end

local function needs_rebuild(changes)
  for _, change in ipairs(changes.columns.change) do
    if is_now(change) then return true end
  end
  local new = {}
  for _, column in ipairs(changes.columns.add) do
    if not is_simple_column(changes, column) then return true end
    new[column.name] = true
  end
  for _, check in ipairs(changes.checks.add) do
    if not new[check.columns[1]] then return true end
  end
  for _, index in ipairs(changes.unique.drop) do
    if index.constraint then return true end
  end
  return changes.foreign_keys.add[1] ~= nil or changes.foreign_keys.drop[1] ~= nil or changes.checks.drop[1] ~= nil
end

local function constrains_dropped(changes)
  local dropped = {}
  for _, column in ipairs(changes.columns.drop) do dropped[column.name] = true end
  local actual = changes.actual
  for _, list in ipairs { actual.indexes, actual.checks, actual.foreign_keys, { actual.primary_key } } do
    for _, each in ipairs(list) do
      for _, name in ipairs(each.columns) do
        if dropped[name] then return true end
      end
    end
  end
  return false
end

-- Of the tables that are not there, those that lead to one of the set, over any number of steps: renaming a table would
-- rename it in them too.
local function leading_to(set, missing)
  local reach, more = {}, true
  while more do
    more = false
    for _, model in ipairs(missing) do
      for _, field in ipairs(reach[model] and {} or tables.references_of(model)) do
        local target = field:target()
        if set[target.table] or reach[target] then reach[model], more = true, true end
      end
    end
  end
  return reach
end

local function create(self, missing, wanted)
  local models = {}
  for _, model in ipairs(missing) do
    if wanted(model) then models[#models + 1] = model end
  end
  for _, sql in ipairs(ddl.create_tables(models, self.dialect)) do self.result[#self.result + 1] = sql end
end

local function alter_sqlite(self, plans, missing)
  local result, found = self.result, self.found
  local anew = {}
  for _, changes in ipairs(plans) do
    local name = changes.wanted.name
    if needs_rebuild(changes) then
      local obstacle = rebuild.obstacle(found, { [name] = changes })
      if obstacle then
        result.needs[#result.needs + 1] = name .. ": " .. obstacle
        changes.skipped = true
      else
        anew[name] = changes
      end
    end
  end
  local set = rebuild.closure(found, anew)
  local later = leading_to(set, missing)
  create(self, missing, function(model) return not later[model] end)
  for _, changes in ipairs(plans) do
    if set[changes.wanted.name] then
      anew[changes.wanted.name] = changes
    elseif not changes.skipped then
      alter.table(result, changes, self.dialect)
    end
  end
  if next(anew) then
    for _, sql in ipairs(rebuild.statements(found, anew)) do result[#result + 1] = sql end
  end
  create(self, missing, function(model) return later[model] end)
end

-- Tables that must be made anew for it, all together; and columns that are simply dropped.
local function destroy_sqlite(self, plans)
  local list, anew = self.result.destructive, {}
  for _, changes in ipairs(plans) do
    local other = constrains_dropped(changes)
    for _, change in ipairs(changes.columns.change) do other = other or change.type == "other" end
    if other and not rebuild.obstacle(self.found, { [changes.wanted.name] = changes }) then
      anew[changes.wanted.name] = changes
    end
  end
  local set = rebuild.closure(self.found, anew)
  for _, changes in ipairs(plans) do
    if set[changes.wanted.name] then
      anew[changes.wanted.name] = changes
    else
      alter.destructive(list, changes, self.dialect)
    end
  end
  if next(anew) then
    for _, sql in ipairs(rebuild.statements(self.found, anew, true)) do list[#list + 1] = sql end
  end
end

-- ---- the servers ----

-- MariaDB changes no column that a foreign key is on: it goes, and comes again.
local function free_columns(self, plans, all)
  local changed = {}
  for _, changes in ipairs(plans) do
    for _, change in ipairs(changes.columns.change) do
      if change.type == "widen" then changed[changes.wanted.name .. "\0" .. change.wanted.name] = true end
    end
  end
  if not next(changed) then return end
  for _, changes in ipairs(all) do
    local going = {}
    for _, list in ipairs { changes.foreign_keys.drop } do
      for _, key in ipairs(list) do going[key.name] = true end
    end
    for _, key in ipairs(changes.actual.foreign_keys) do
      local touched = false
      for i, name in ipairs(key.columns) do
        touched = touched or changed[changes.wanted.name .. "\0" .. name] or changed[key.table .. "\0" .. key.references[i]]
      end
      if touched and not going[key.name] then
        table.insert(changes.foreign_keys.drop, key)
        table.insert(changes.foreign_keys.add, key)
      end
    end
  end
end

local function alter_server(self, plans, all, missing)
  local result, dialect = self.result, self.dialect
  create(self, missing, function() return true end)
  if dialect.name == "mariadb" then
    free_columns(self, plans, all)
    plans = {}
    for _, changes in ipairs(all) do
      if is_changed(changes) then plans[#plans + 1] = changes end
    end
  end
  -- all of them before any column changes
  for _, changes in ipairs(plans) do alter.drop_foreign_keys(result, changes, dialect) end
  for _, changes in ipairs(plans) do alter.table(result, changes, dialect) end
  for _, changes in ipairs(plans) do alter.add_foreign_keys(result, changes, dialect) end
end

--- Compare a database with models.
---@param database moonpool.database
---@param dialect table
---@param models table[]  those that others refer to first
---@param known table<string, true>  tables that the program knows in another way
---@return moonpool.diff
--- Raises the errors of a statement, unsupported.
function diff.of(database, dialect, models, known)
  local found, schemas = catalog.read(database), {}
  local function catalog_of(schema)
    if not schema or dialect.lacks_schemas then return found end -- which refuses the schema below
    schemas[schema] = schemas[schema] or catalog.read(database, schema)
    return schemas[schema]
  end
  local result = setmetatable({ destructive = {}, needs = {} }, Diff)
  local self = { dialect = dialect, found = found, result = result }
  local missing, plans, all, asked = {}, {}, {}, {}
  for _, model in ipairs(ddl.with_tables(models)) do
    local wanted = tables.describe(model, dialect)
    local actual = catalog_of(model.schema).tables[wanted.name]
    if not model.schema then asked[wanted.name] = true end
    if not actual then
      missing[#missing + 1] = model
    elseif actual.kind ~= "table" then
      result.needs[#result.needs + 1] = wanted.name .. ": there is a view of that name where the entity has a table"
    else
      local changes = compare.tables(dialect, wanted, actual)
      check_rows(self, changes)
      hold_back(changes)
      all[#all + 1] = changes
      if is_changed(changes) then plans[#plans + 1] = changes end
    end
  end
  if dialect.name == "sqlite" then
    alter_sqlite(self, plans, missing)
  else
    alter_server(self, plans, all, missing)
  end
  local destroying = {}
  for _, changes in ipairs(all) do
    if destroys(changes) then destroying[#destroying + 1] = changes end
  end
  if dialect.name == "sqlite" then
    destroy_sqlite(self, destroying)
  else
    for _, changes in ipairs(destroying) do alter.destructive(result.destructive, changes, dialect) end
  end
  for _, changes in ipairs(all) do alter.others(result.destructive, changes, dialect) end
  for _, each in ipairs(found.list) do
    if each.kind == "table" and not asked[each.name] and not known[each.name] then
      result.destructive[#result.destructive + 1] = "DROP TABLE " .. dialect.quote(each.name)
    end
  end
  return result
end

return diff
