-- What a database has: its tables with columns, keys, constraints and indexes, as plain tables that print readably.
-- The dialects' readers fill it; each asks a few statements for all tables together.

local core = require "moonpool.core"
local dialects = require "moonpool.dialect"
local statement = require "moonpool.database.statement"
local tokens = require "moonpool.schema.tokens"
local types = require "moonpool.schema.types"

local catalog = {}

local readers = {
  sqlite = require "moonpool.schema.sqlite",
  postgres = require "moonpool.schema.postgres",
  mariadb = require "moonpool.schema.mariadb",
}

local Catalog = {}
Catalog.__index = Catalog

-- ---- readable ----

local function listed(names) return "(" .. table.concat(names, ", ") .. ")" end

local Column = { __name = "column" }

function Column:__tostring()
  local text = self.name .. " " .. self.type
  if not self.null then text = text .. " not null" end
  if self.generated then text = text .. " generated" end
  if self.default then text = text .. " default " .. self.default end
  if self.computed then text = text .. " as (" .. self.computed .. ")" end
  return text
end

local Columns = { __name = "columns" }
local Table = { __name = "table" }
local Tables = { __name = "tables" }

local function lines_of(found)
  local lines = {}
  local function add(...) lines[#lines + 1] = "  " .. table.concat { ... } end
  local width = 0
  for _, name in ipairs(found.column_names) do width = math.max(width, #name) end
  for _, name in ipairs(found.column_names) do
    local text = tostring(found.columns[name])
    add(name, (" "):rep(width - #name + 2), text:sub(#name + 2))
  end
  if found.primary_key.columns[1] then add("primary key ", listed(found.primary_key.columns)) end
  for _, unique in ipairs(found.unique) do add("unique ", listed(unique.columns)) end
  for _, key in ipairs(found.foreign_keys) do
    add("foreign key ", listed(key.columns), " references ", key.schema and key.schema .. "." or "", key.table, " ",
      listed(key.references), " on delete ", (key.on_delete:gsub("_", " ")), " on update ", (key.on_update:gsub("_", " ")))
  end
  for _, check in ipairs(found.checks) do add("check (", check.expression, ")") end
  for _, index in ipairs(found.indexes) do
    if not index.unique or index.where then
      add("index ", index.name, " ", listed(index.columns), index.where and " where " .. index.where or "")
    end
  end
  return lines
end

function Table:__tostring()
  return self.kind .. " " .. self.name .. "\n" .. table.concat(lines_of(self), "\n")
end

local function sorted_names(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return names
end

function Tables:__tostring()
  local texts = {}
  for i, name in ipairs(sorted_names(self)) do texts[i] = tostring(self[name]) end
  return table.concat(texts, "\n")
end

function Columns:__tostring()
  local texts = {}
  for i, name in ipairs(sorted_names(self)) do texts[i] = tostring(self[name]) end
  return table.concat(texts, "\n")
end

-- ---- what readers fill in ----

--- The table of that name, begun if it is new.
function Catalog:table(name, kind)
  local found = self.tables[name]
  if not found then
    found = setmetatable({
      name = name, kind = kind, columns = setmetatable({}, Columns), column_names = {}, primary_key = { columns = {} },
      foreign_keys = {}, unique = {}, indexes = {}, checks = {},
    }, Table)
    self.tables[name] = found
    self.list[#self.list + 1] = found
  end
  return found
end

function Catalog:column(found, column)
  found.columns[column.name] = setmetatable(column, Column)
  found.column_names[#found.column_names + 1] = column.name
end

--- The index of that name, begun with those properties if it is new.
function Catalog:index(found, name, properties)
  local last = found.indexes[#found.indexes]
  if last and last.name == name then return last end
  properties.name, properties.columns = name, {}
  found.indexes[#found.indexes + 1] = properties
  return properties
end

--- The columns of a table in their order: for i, column in catalog.columns_of(found) do.
function Catalog.columns_of(found)
  local i = 0
  return function()
    i = i + 1
    local name = found.column_names[i]
    if name then return i, found.columns[name] end
  end
end
catalog.columns_of = Catalog.columns_of

-- The columns that a condition speaks of.
local function mentioned(found, expression)
  local columns, seen = {}, {}
  for _, token in ipairs(tokens.read(expression)) do
    local name = token.kind == "name" and token.value or token.kind == "word" and token.text
    if name and found.columns[name] and not seen[name] then
      seen[name] = true
      columns[#columns + 1] = name
    end
  end
  return columns
end

-- What several of its parts say together.
local function complete(self, dialect)
  for _, found in ipairs(self.list) do
    for _, column in self.columns_of(found) do
      column.field = types.field_of(dialect, column)
      column.primary_key, column.unique = false, false
    end
    for _, check in ipairs(found.checks) do check.columns = check.columns or mentioned(found, check.expression) end
    for _, name in ipairs(found.primary_key.columns) do found.columns[name].primary_key = true end
    for _, index in ipairs(found.indexes) do
      if index.unique and not index.where and not index.calculated then
        found.unique[#found.unique + 1] = { name = index.name, columns = index.columns }
        if #index.columns == 1 then found.columns[index.columns[1]].unique = true end
      end
    end
    for _, key in ipairs(found.foreign_keys) do
      if #key.columns == 1 then found.columns[key.columns[1]].foreign_key = key end
    end
  end
end

--- Read the catalog of a database.
---@param database moonpool.database
---@param schema string?  a PostgreSQL schema or another database of a MariaDB server
---@return table  tables (by name), list (of them), ask (as it asked); SQLite: sql (CREATE TABLE by name), definitions (what that
--- alone tells) and programs (views and triggers)
--- Raises the errors of a statement, unsupported.
function catalog.read(database, schema)
  local self = setmetatable({ tables = setmetatable({}, Tables), list = {}, definitions = {}, sql = {}, schema = schema }, Catalog)
  local name = dialects.get(database.dialect:find "^fake" and "sqlite" or database.dialect).name
  local function ask(sql, parameter)
    return (statement.run(database, nil, sql, "read", { parameter }, parameter and 1 or 0, nil, core.rows))
  end
  self.ask = ask
  if readers[name].programs then self.programs = readers[name].programs(ask) end
  readers[name].read(self, ask, schema)
  complete(self, name)
  return self
end

return catalog
