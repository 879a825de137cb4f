-- Inserting one object. What is written is noted, so that a rollback can put it right.

local core = require "moonpool.core"
local building = require "moonpool.entity.building"
local errors = require "moonpool.errors"
local hooks = require "moonpool.entity.hooks"
local loading = require "moonpool.entity.loading"
local row = require "moonpool.sql.row"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"
local validation = require "moonpool.entity.validation"

local inserting = {}

local rawset, ipairs = rawset, ipairs
local new_table, run = core.table, statement.run

-- Statements of a class for a dialect: what makes a text from a list of names is done once.
local function inserts_of(class, dialect)
  local inserts = class.inserts[dialect]
  if inserts == nil then
    inserts = {}
    class.inserts[dialect] = inserts
  end
  return inserts
end

local function insert_entry(class, dialect, omitted)
  local inserts = inserts_of(class, dialect)
  local entry = inserts[omitted]
  if entry == nil then
    local names, returned = validation.columns(class, omitted)
    entry = {}
    -- the generated key alone comes back with the answer; RETURNING would cost a result
    if #returned == 1 and returned[1] == class.generated_key and dialect.tells_key then
      entry.last_id, returned = returned[1], {}
    end
    entry.returned = returned
    entry.gives_key = dialect.follow_key and class.generated_key and returned[1] ~= class.generated_key and names
    entry.st = row.insert(class.model, dialect, names, 1, returned[1] and returned or nil)
    if #returned == 1 and returned[1] == class.generated_key then -- a value that is never NULL needs no row around it
      entry.key, entry.key_kind = returned[1], entry.st.plan.kinds[1]
    end
    inserts[omitted] = entry
  end
  return entry
end

--- Rows were inserted with a key that the program gave where the database makes them: it has to go on behind it.
--- names: the columns that were written; params: the values of n rows, from the first on.
function inserting.follow_key(class, database, names, params, n)
  local dialect, width, place = loading.dialect_of(database), #names, nil
  if class.generated_key == nil or dialect.follow_key == nil then
    return
  end
  for column, name in ipairs(names) do
    if name == class.generated_key then
      place = column
    end
  end
  if place == nil or n == 0 then
    return
  end
  local greatest = params[place]
  for i = 1, n - 1 do
    local key = params[i * width + place]
    if key > greatest then
      greatest = key
    end
  end
  local st = row.follow_key(class.model, dialect, class.generated_key)
  run(database, nil, st.sql, "write", { greatest }, 1, loading.options(database, st), core.take)
end

-- Only RAISE(IGNORE), RETURN NULL and the like, in a trigger of the program's own, let an insert succeed without a row.
local function not_written(class)
  return errors.raise("other_integrity", class.name .. " was not inserted: a trigger of the table " .. class.model.table
    .. " skipped the row")
end

-- An insert that leaves a row alone which is there already: what comes back is the key, or nothing.
local function ignoring_entry(class, dialect, omitted)
  local inserts = inserts_of(class, dialect)
  local key = "ignoring " .. omitted
  local entry = inserts[key]
  if entry == nil then
    local names, returned = validation.columns(class, omitted)
    if returned[1] == nil then
      for place, field in ipairs(class.model.key) do
        returned[place] = field.attribute
      end
    end
    entry = { returned = returned, names = names }
    entry.st = row.upsert(class.model, dialect, names, 1, {}, {}, returned)
    inserts[key] = entry
  end
  return entry
end

local function finish(self, class, database, other)
  state.written(self, class.meta.plan, state.new_batch(class, other))
  hooks.run(class, self, "after_insert")
  return self
end

-- Insert, unless a unique column has the value already: then nil.
local function try_values(self, class, database, other, params, n, omitted)
  local dialect = loading.dialect_of(database)
  local entry = ignoring_entry(class, dialect, omitted)
  local st = entry.st
  state.note(self, database)
  if dialect.ignored then
    run(database, nil, dialect.ignored.forget, "read", {}, 0, { own = true }, core.arrays)
  end
  local made = run(database, nil, st.sql, "write", params, n, loading.options(database, st), core.rows, st.plan)[1]
  if made == nil or made[entry.returned[1]] == nil then
    return nil
  end
  for _, attribute in ipairs(entry.returned) do
    rawset(self, attribute, made[attribute])
  end
  inserting.follow_key(class, database, entry.names, params, 1)
  return finish(self, class, database, other)
end

local function insert_values(self, class, database, other, params, n, omitted)
  local dialect = database.sql or loading.dialect_of(database)
  local inserts = class.inserts[dialect]
  local entry = inserts and inserts[omitted] or insert_entry(class, dialect, omitted)
  local st = entry.st
  state.note(self, database)
  local options = database.query_options and loading.options(database, st) or st.options
  if entry.key then
    local key = run(database, nil, st.sql, "write", params, n, options, core.value, entry.key_kind)
    if key == nil then
      return not_written(class)
    end
    rawset(self, entry.key, key)
  elseif entry.last_id then
    local affected, id = run(database, nil, st.sql, "write", params, n, options, core.take)
    if affected == 0 then
      return not_written(class)
    end
    rawset(self, entry.last_id, id)
  elseif entry.returned[1] then
    local made = run(database, nil, st.sql, "write", params, n, options, core.rows, st.plan)[1]
    if made == nil then
      return not_written(class)
    end
    for _, attribute in ipairs(entry.returned) do
      rawset(self, attribute, made[attribute])
    end
  elseif run(database, nil, st.sql, "write", params, n, options, core.take) == 0 then
    return not_written(class)
  end
  if entry.gives_key then
    inserting.follow_key(class, database, entry.gives_key, params, 1)
  end
  return finish(self, class, database, other)
end

--- Insert a new object.
---@param other table? the database, when it is not the entity's own
---@return table self
--- Raises validation, integrity and the other errors of a statement.
function inserting.insert(self, class, database, other)
  state.write_next(self)
  hooks.run(class, self, "before_insert")
  validation.settle_relations(self, class)
  return insert_values(self, class, database, other, validation.values(self, class, {}, 0))
end

--- A new object from a table of values, inserted.
---@return table
--- Raises like insert.
function inserting.create(class, values, database, other)
  local self = new_table(#class.columns)
  state.write_next(self)
  local room = { nil, nil, nil, nil, nil, nil, nil, nil } -- growing value by value costs more
  local params, n, omitted = validation.read_plain(class, values, self, room)
  if params == nil then
    params, n, omitted = validation.read(class, values, self, room, 0)
  end
  if params == nil then
    return inserting.insert(building.build(class, values, false), class, database, other)
  end
  return insert_values(setmetatable(self, class.meta), class, database, other, params, n, omitted)
end

--- The same inside a transaction, which does not fail where a unique column has the value already: then there is no object.
---@return table?
--- Raises like insert, but not unique.
function inserting.try(class, values, database, other)
  local self = building.build(class, values, false)
  state.write_next(self)
  hooks.run(class, self, "before_insert")
  validation.settle_relations(self, class)
  return try_values(self, class, database, other, validation.values(self, class, {}, 0))
end

return inserting
