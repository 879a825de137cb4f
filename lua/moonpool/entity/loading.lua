-- Running what reads: a compiled SELECT becomes objects, rows or arrays. Gives each set of columns its
-- metatable, and each result its batch.

local class_room = require "moonpool.entity.class"
local compile = require "moonpool.sql.compile"
local core = require "moonpool.core"
local cursor = require "moonpool.database.cursor"
local dialect = require "moonpool.dialect"
local errors = require "moonpool.errors"
local hooks = require "moonpool.entity.hooks"
local query = require "moonpool.sql.query"
local registry = require "moonpool.database.registry"
local relation = require "moonpool.entity.relation"
local runtime = require "moonpool.runtime"
local state = require "moonpool.entity.state"
local statement = require "moonpool.database.statement"
local transaction = require "moonpool.database.transaction"

local loading = {}

local unpack = unpack or table.unpack

local core_objects, run, current, find_hook = core.objects, statement.run, runtime.current, hooks.find
local originals = state.originals

local function refuse_left_behind(model)
  return errors.raise("bad_argument", ("%s extends %s, which was declared again since: declare %s again behind it"):format(
    model.name, model.left_behind, model.name))
end

--- The database of an entity, unless something else was said with using().
---@return table database
--- Raises not_configured, unknown_database, bad_argument for an entity whose parent was declared again.
function loading.database_of(class)
  local model = class.model
  if model.left_behind then
    return refuse_left_behind(model)
  end
  return registry.db(model.database or nil)
end

--- Where a query set runs: its class, its database, and that again when it is not the entity's own.
function loading.place_of(q)
  local class, extra = q.model.class, q.extra
  local other = extra and extra.database
  if q.model.left_behind then
    return refuse_left_behind(q.model)
  end
  return class, other or registry.db(class.model.database or nil), other
end

--- The dialect object of a database.
function loading.dialect_of(database)
  local found = database.sql
  if not found then
    found = dialect.get(database.dialect:find("^fake") and "sqlite" or database.dialect)
    database.sql = found
  end
  return found
end

--- The dialect object of a name, as a program writes it.
--- Raises bad_argument.
function loading.dialect_named(name)
  return dialect.get(name)
end

-- A statement's options with the database's own limits, made once for both.
local limited = setmetatable({}, { __mode = "k" })

--- What the core is told beside the parameters of a compiled statement.
---@return table options
function loading.options(database, st)
  local limits = database.query_options
  if limits == nil then
    return st.options
  end
  local by_database = limited[st]
  if by_database == nil then
    by_database = setmetatable({}, { __mode = "k" })
    limited[st] = by_database
  end
  local options = by_database[database]
  if options == nil then
    options = {}
    for _, from in ipairs { st.options, limits } do
      for name, value in pairs(from) do
        options[name] = value
      end
    end
    by_database[database] = core.options(options)
  end
  return options
end

local options_of = loading.options

--- A lock ends with the transaction: without one it would end before the rows are there.
function loading.check_lock(database, st)
  if st.locks and not transaction.current(database) then
    return errors.raise("bad_argument", "for_update outside a transaction locks nothing: call it inside mp.atomic")
  end
end

local function complete(class, plan)
  for _, part in ipairs(plan.parts or {}) do
    if part.model then
      complete(part.model.class, part)
    end
  end
  plan.meta = class_room.metatable(class, plan)
end

--- The plan with the metatable of its objects.
function loading.plan(class, plan)
  if plan.meta == nil then
    complete(class, plan)
  end
  return plan
end

--- Rows of entities that extend this one become objects of their own class.
function loading.sort_out(class, objects, plan)
  local model, metas = class.model, plan.members
  if model.children[1] == nil then
    return
  end
  local attribute = model.discriminator_field.attribute
  if metas == nil then
    metas = {}
    plan.members = metas
  end
  for _, one in ipairs(objects) do
    local kind = rawget(one, attribute)
    local meta = kind ~= nil and metas[kind]
    if meta == nil then
      local member = model:member(kind)
      meta = member and class_room.metatable(member.class, plan) or plan.meta
      metas[kind] = meta
    end
    if meta then
      state.original(one) -- off its sheet
      setmetatable(one, meta)
    end
  end
end

-- Enter objects that were made of rows. In a session those that it knows already take their place. The ones that are new
-- to the program are given.
local function enter(class, database, batch, objects, plan)
  local session, fresh = current().session, objects
  loading.sort_out(class, objects, plan)
  if session then
    fresh = session:identify(class, database, objects)
  end
  if batch and objects[2] ~= nil then
    state.fill_batch(class, batch, objects, plan.meta.missing)
  end
  return fresh
end

local function after_load(class, fresh)
  if class.model.children[1] then
    for _, one in ipairs(fresh) do
      hooks.run(getmetatable(one).class, one, "after_load")
    end
    return
  end
  local hook = hooks.find(class, "after_load")
  if hook then
    for _, one in ipairs(fresh) do
      hook(one)
    end
  end
end

-- The batch of a result; of one whose rows hold several objects, those of each.
local function new_batches(class, other, plan)
  local batch = state.new_batch(class, other, plan.meta.missing)
  if plan.parts == nil then
    return batch
  end
  local batches = { batch or false }
  for place, part in ipairs(plan.parts) do
    batches[place + 1] = part.model and state.new_batch(part.model.class, other, part.meta.missing) or false
  end
  return batches
end

-- Enter the objects of a part, each of which may stand in several rows, and relate them to the ones that lead to them.
local function enter_part(part, database, batch, owners, here)
  local different, place_of = {}, {}
  for row = 1, #owners do
    local one = here[row]
    if one and not place_of[one] then
      different[#different + 1] = one
      place_of[one] = #different
    end
  end
  local fresh = enter(part.model.class, database, batch, different, part)
  for row = 1, #owners do
    local one, owner = here[row], owners[row]
    if one then
      one = different[place_of[one]]
      here[row] = one
      state.relate(owner, part.name, one)
      if part.back then
        state.relate(one, part.back, owner)
      end
    elseif owner then -- known to be none: nobody asks for it
      local key = relation.key_of(owner, part.own)
      if key ~= nil then
        state.relate(owner, part.name, { without = key })
      end
    end
  end
  return fresh
end

-- What core.objects gave, as objects that know each other.
local function finish(class, database, plan, batch, objects, parts)
  if plan.parts == nil then
    return after_load(class, enter(class, database, batch, objects, plan))
  end
  local fresh = enter(class, database, batch[1], objects, plan)
  local behind = {}
  for place, part in ipairs(parts[1] and plan.parts or {}) do
    if part.model then
      local owners = part.parent == 0 and objects or parts[part.parent]
      behind[place] = enter_part(part, database, batch[place + 1], owners, parts[place])
    end
  end
  for place, part in ipairs(plan.parts) do
    if behind[place] then
      after_load(part.model.class, behind[place])
    end
  end
  return after_load(class, fresh)
end

--- All objects of a statement.
---@param other table? the database, when it is not the entity's own
---@return table[] objects, table[]? last what the last part of the rows is in each
function loading.objects(class, database, other, st, params, n)
  local plan = st.plan
  if plan.meta == nil then
    complete(class, plan)
  end
  local batch = new_batches(class, other, plan)
  local objects, parts = run(database, nil, st.sql, st.access, params, n, options_of(database, st), core.objects, plan,
    originals, batch)
  finish(class, database, plan, batch, objects, parts)
  return objects, parts and parts[#parts]
end

--- The object of a statement that gives one at most.
---@return table?
function loading.one(class, database, other, st, params, n)
  local plan = st.plan
  if plan.meta == nil then
    complete(class, plan)
  end
  local batch = other and state.new_batch(class, other)
  local options = database.query_options and options_of(database, st) or st.options
  local objects = run(database, nil, st.sql, "read", params, n, options, core_objects, plan, originals, batch)
  local one = objects[1]
  if one ~= nil and (current().session or class.model.children[1] ~= nil or find_hook(class, "after_load")) then
    after_load(class, enter(class, database, batch, objects, plan))
    return objects[1]
  end
  return one
end

--- The SELECT of some columns and the key of the rows with these keys, deleted or not, and its parameters.
---@param names string[] attributes
---@return moonpool.statement, any[] params, integer n
function loading.columns_by_key(class, database, names, keys)
  local model, methods = class.model, query.methods
  local root = query.root(model)
  local key = model.key[1].attribute
  local q = methods.filter(model.soft_delete and methods.with_deleted(root) or root, { [key .. "__in"] = keys })
  q = methods.order_by(methods.values(q, key, unpack(names)))
  local st = compile.select(q, loading.dialect_of(database))
  return st, st:bind(q)
end

--- All that a SELECT gives, in the form that it asks for.
function loading.all(class, database, other, st, params, n)
  loading.check_lock(database, st)
  if st.empty then
    return {}
  elseif st.output == "objects" then
    return loading.objects(class, database, other, st, params, n)
  elseif st.output == "arrays" then
    return (run(database, nil, st.sql, st.access, params, n, options_of(database, st), core.arrays, st.plan))
  end
  return (run(database, nil, st.sql, st.access, params, n, options_of(database, st), core.rows, st.plan))
end

--- The same as a stream; each chunk is a result of its own.
---@return moonpool.stream
function loading.stream(class, database, other, st, params, n, chunk)
  loading.check_lock(database, st)
  local take = st.output == "arrays" and core.arrays or core.rows
  if st.output == "objects" then
    loading.plan(class, st.plan)
    take = function(op, plan)
      local batch = new_batches(class, other, plan)
      local objects, parts = core.objects(op, plan, originals, batch)
      if objects then
        finish(class, database, plan, batch, objects, parts)
      end
      return objects, not objects and parts or nil
    end
  end
  return cursor.open(database, st.sql, st.access, params, n, options_of(database, st), chunk, take, st.plan)
end

return loading
