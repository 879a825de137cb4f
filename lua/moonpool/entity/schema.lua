-- Tables of entities: db:create_all, db:drop_all, db:ddl, db:entities, db:reflect, Author:create_table and drop_table. The
-- statements are made by moonpool.sql.ddl.

local catalog = require "moonpool.schema.catalog"
local core = require "moonpool.core"
local database_of = require "moonpool.database.database"
local ddl = require "moonpool.sql.ddl"
local diff = require "moonpool.schema.diff"
local errors = require "moonpool.errors"
local loading = require "moonpool.entity.loading"
local model_of = require "moonpool.resolve.model"
local registry = require "moonpool.database.registry"
local statement = require "moonpool.database.statement"
local transaction = require "moonpool.database.transaction"
local vocabulary = require "moonpool.vocabulary"

local schema = {}

local Database = database_of.methods

local databases_of = setmetatable({}, { __mode = "k" }) -- of diffs

diff.metatable.__index = diff.metatable

-- Whether an entity lives in the database. Entities that name none live in the default one, and in a database that
-- was opened without a name.
local function lives_in(model, database)
  local wanted = model.database
  if not wanted then
    return database.name == nil or database.name == "default"
  elseif type(wanted) == "string" then
    return wanted == database.name and registry.db(wanted) == database
  end
  return wanted == database
end

--- Refuse options that are unknown or of another type.
function schema.check_options(what, options, known)
  if type(options) ~= "table" then
    return errors.raise("bad_argument", what .. " takes a table of options, not " .. vocabulary.quoted(options))
  end
  for name, value in pairs(options) do
    if not known[name] then
      return errors.raise("unknown_option", what .. " takes no option " .. vocabulary.quoted(name)
        .. vocabulary.suggest(name, known))
    elseif type(value) ~= known[name] then
      return errors.raise("bad_argument", ("%s: %s is a %s, not %s"):format(what, name, known[name], vocabulary.quoted(value)))
    end
  end
end

--- The models of the entities that live in the database; reflected: those too whose table is not ours to make.
function schema.models_in(database, reflected)
  local models = {}
  for _, model in ipairs(model_of.all()) do
    if lives_in(model, database) and (reflected or not model.reflected) then
      models[#models + 1] = model
    end
  end
  return models
end

local function models_of(database)
  return ddl.order(schema.models_in(database))
end

--- The name of the database's dialect.
function schema.dialect_name(database)
  return loading.dialect_of(database).name
end

local function run_all(database, statements)
  local function run()
    for _, sql in ipairs(statements) do
      statement.run(database, nil, sql, "write", {}, 0, database.query_options, core.take)
    end
  end
  if not loading.dialect_of(database).commits_tables then
    return transaction.within(database, run)
  elseif statements[1] and (transaction.current(database) or transaction.innermost(database)) then
    return errors.raise("implicit_commit", "a table that is made, changed or dropped commits on " ..
      loading.dialect_of(database).name .. " what the transaction did before: do it outside of one")
  end
  return run()
end

local function run_drops(database, statements)
  local between = loading.dialect_of(database).drops_between
  if between and statements[1] then
    table.insert(statements, 1, between[1])
    statements[#statements + 1] = between[2]
  end
  return run_all(database, statements)
end

local function creation(database)
  return ddl.create_tables(models_of(database), loading.dialect_of(database))
end

local function takes_nothing(what, given)
  if given ~= nil then
    return errors.raise("bad_argument", what .. " takes no arguments, not " .. vocabulary.quoted(given))
  end
end

--- Create the tables of the entities of this database; those that exist are left alone.
function Database:create_all(given)
  takes_nothing("db:create_all", given)
  return run_all(self, creation(self))
end

--- Drop the tables of the entities of this database; missing ones too.
function Database:drop_all(given)
  takes_nothing("db:drop_all", given)
  return run_drops(self, ddl.drop_tables(models_of(self), loading.dialect_of(self)))
end

--- The statements of create_all as text.
---@return string
function Database:ddl(given)
  takes_nothing("db:ddl", given)
  local statements = creation(self)
  for place, sql in ipairs(statements) do
    statements[place] = sql .. ";\n"
  end
  return table.concat(statements)
end

--- The entities of this database, those that are referenced first.
---@return table[]
function Database:entities(given)
  takes_nothing("db:entities", given)
  local list = {}
  for _, model in ipairs(models_of(self)) do
    if not model.between then
      list[#list + 1] = model.class.entity
    end
  end
  return list
end

local function not_reflected()
  return errors.raise("bad_argument", "db.tables is what db:reflect() has read: call that first")
end

Database.tables = setmetatable({}, { __index = not_reflected, __tostring = not_reflected, __pairs = not_reflected })

local REFLECT = { schema = "string" }

--- Read what the database has; db.tables then holds it: db.tables.books.columns.title.type.
---@param options {schema: string?}?  a PostgreSQL schema (else those of the search path), another database of a MariaDB server
---@return table tables by name
--- Raises bad_argument, unknown_option, unsupported and the errors of a statement.
function Database:reflect(options)
  schema.check_options("reflect", options or {}, REFLECT)
  self.tables = catalog.read(self, options and options.schema).tables
  return self.tables
end

--- The statements that turn the database into what its entities say, in their order; nothing is run but what reads.
---@return moonpool.diff  an array of statements, with `destructive` (statements that would lose something), `needs` (what has to
--- be done by hand) and run(), which runs the array; it prints readably
--- Raises unsupported and the errors of a statement.
function Database:diff(given)
  takes_nothing("db:diff", given)
  local known = {}
  for _, model in ipairs(schema.models_in(self, true)) do
    known[model.table] = true
  end
  local found = diff.of(self, loading.dialect_of(self), models_of(self), known)
  databases_of[found] = self
  return found
end

--- Run the statements: all or nothing, where the server can undo what changes a table (not MariaDB).
function diff.metatable:run()
  return run_all(databases_of[self], self)
end

--- Author:create_table()
function schema.create_table(class, given)
  takes_nothing("create_table", given)
  local database = loading.database_of(class)
  local statements = ddl.create_schemas({ class.model }, loading.dialect_of(database))
  for _, sql in ipairs(ddl.create_table(class.model, loading.dialect_of(database))) do
    statements[#statements + 1] = sql
  end
  return run_all(database, statements)
end

--- Author:drop_table()
function schema.drop_table(class, given)
  takes_nothing("drop_table", given)
  local database = loading.database_of(class)
  return run_drops(database, ddl.drop_table(class.model, loading.dialect_of(database)))
end

return schema
