-- Relations of objects. To one: loaded when it is touched, for all objects of the same result at once. To many: a
-- query set bound to its owner.
--
-- A link is a relation as objects have it: { name, model, own, match }, where the fields `own` of an object are equal
-- to the fields `match` of those it leads to; `field` or `inverse` is what it was made of. Of a many_to_many, match
-- stands in the table between.

local compile = require "moonpool.sql.compile"
local errors = require "moonpool.errors"
local query = require "moonpool.sql.query"
local relations = require "moonpool.resolve.relations"
local runtime = require "moonpool.runtime"
local state = require "moonpool.entity.state"
local transaction = require "moonpool.database.transaction"
local vocabulary = require "moonpool.vocabulary"

local relation = {}

local rawget = rawget

-- Set by rooms above: this file stands below the metatables that call it. load_column(object, name) loads a column that the
-- object's query left out.
relation.loading, relation.load_column = nil, nil

local MOST = 1000 -- keys asked for at once
relation.most = MOST

-- ---- keys ----

-- Keys as table keys: equal values must be one key.
local function plain(key)
  local kind = type(key)
  return (kind == "number" or kind == "string") and key or tostring(key)
end
relation.plain = plain

--- The values of fields as one table key; nil if one of them is NULL.
---@return any
function relation.key_of(object, fields)
  local first = rawget(object, fields[1].attribute)
  if first == nil or fields[2] == nil then
    return first ~= nil and plain(first) or nil
  end
  local parts = {}
  for place, field in ipairs(fields) do
    local value = rawget(object, field.attribute)
    if value == nil then
      return nil
    end
    local text = tostring(value)
    parts[place] = #text .. ":" .. text
  end
  return table.concat(parts)
end

local key_of = relation.key_of

--- The key that an object has there, as a filter takes it: its value, or the values of several columns by their name in
--- the key that is referred to.
function relation.filter_value(object, fields, keys)
  if fields[2] == nil then
    return rawget(object, fields[1].attribute)
  end
  local values = {}
  for place, field in ipairs(fields) do
    values[keys[place].attribute] = rawget(object, field.attribute)
  end
  return values
end

-- ---- links ----

--- The link of a relation to one row.
function relation.forward(field)
  return {
    name = field.name, model = field:target(), own = field:locals(), match = field:keys(), keys = field:keys(),
    text = field.parts and "pk__in" or field:key_field().attribute .. "__in",
    field = field, lazy = field.lazy, title = field:title(), one = true,
  }
end

--- The link of an inverse, or of a many_to_many.
function relation.backward(inverse)
  local field, over = inverse.field, inverse.over
  return {
    name = inverse.name, model = over and over:target() or inverse.model, own = field:keys(), match = field:locals(),
    keys = field:keys(), text = (field.parts and field.name or field.attribute) .. "__in",
    inverse = inverse, back = field, over = over, one = inverse.one,
    rows = "*" .. inverse.name, -- where the rows that were prefetched are kept; names of fields have no "*"
    lazy = inverse.set and not inverse.turned and inverse.set.lazy or nil,
    title = field:target().name .. "." .. inverse.name,
  }
end

--- The link of that name, or nil.
function relation.link(model, name)
  local field, inverse = model.relations[name], model.inverses[name]
  if field then
    return relation.forward(field)
  end
  return inverse and relation.backward(inverse)
end

--- Say that there is no relation of that name, for the call `what`.
--- Raises unknown_field with the nearest name, or bad_argument.
function relation.unknown(model, name, what)
  if model.sets[name] then
    model.sets[name]:target() -- raises: it is not declared
  elseif model.by_name[name] then
    return errors.raise("bad_argument", what .. ": " .. model.name .. "." .. name .. " is no relation")
  end
  local known = {}
  for _, names in ipairs { model.relations, model.inverses } do
    for each in pairs(names) do
      known[each] = true
    end
  end
  return errors.raise("unknown_field", model.name .. " has no relation " .. vocabulary.quoted(name)
    .. vocabulary.suggest(name, known))
end

local function refuse_lazy(link)
  return errors.raise("unsupported", link.title .. ' is not loaded, and lazy = "raise" forbids to load it when it is touched: '
    .. (link.one and "name it in :select_related() or :prefetch()" or "name it in :prefetch()"))
end

-- ---- to one ----

local function place_of(object, class)
  local batch = state.batch_of(object)
  local other = batch and batch.database
  return other or relation.loading.database_of(class), other
end

--- Where the rows behind a link are: a database that was named for the owner counts for them if they are in the same one.
---@return table database, table? other
function relation.place_behind(link, model, other)
  if other and not relations.share_database(model, link.model) then
    other = nil
  end
  return other or relation.loading.database_of(link.model.class), other
end

-- In a session what it knows by its key is not asked for again. The keys that are left.
local function take_known(link, database, keys, found)
  local session = runtime.current().session
  if not session or not link.field or link.match[2] ~= nil then
    return keys
  end
  local left = {}
  for _, one in ipairs(keys) do
    local known = session:find(link.model.class, database, plain(one))
    if known then
      found[plain(one)] = known
    else
      left[#left + 1] = one
    end
  end
  return left
end

--- The keys in parts, as many in each as a statement takes.
---@param keys any[]
---@param most integer
---@param fn fun(some: any[])
function relation.each_some(keys, most, fn)
  for first = 1, #keys, most do
    local some = {}
    for place = first, math.min(first + most - 1, #keys) do
      some[#some + 1] = keys[place]
    end
    fn(some)
  end
end

--- Objects by their key in `match`.
---@param keys any[] as filters take them
---@param from table? a query set of the rows that are wanted; all if not given
---@return table<any, table>
function relation.load(link, database, other, keys, from)
  local found, match = {}, link.match
  if from == nil then
    keys = take_known(link, database, keys, found)
    from = query.methods.order_by(link.model.class.root)
  end
  local dialect = relation.loading.dialect_of(database)
  relation.each_some(keys, MOST, function(some)
    local q = query.methods.filter(from, { [link.text] = some })
    local st = compile.select(q, dialect)
    for _, one in ipairs(relation.loading.objects(link.model.class, database, other, st, st:bind(q))) do
      found[key_of(one, match)] = one
    end
  end)
  return found
end

-- What is known of the relation: the object; false for "there is none"; nil for nothing.
local function known_of(object, link, key)
  local known = state.related(object, link.name)
  if known == nil then
    local batch = state.batch_of(object)
    local owners = batch and batch.owners and batch.owners[link.name]
    known = owners and owners[key] or nil
  end
  if known == nil then
    return nil
  elseif getmetatable(known) == nil then
    return known.without ~= key and nil
  elseif key_of(known, link.match) ~= key then
    return nil -- another one was assigned, by its key
  end
  return known
end

-- The objects of the batch that the relation is not known of, and the keys that they need; the one that was touched
-- comes first.
local function missing(object, link)
  local own, seen = link.own, { [key_of(object, link.own)] = true }
  local objects, keys = { object }, { relation.filter_value(object, own, link.keys) }
  local batch = state.batch_of(object)
  local all = batch and batch.objects
  for place = 1, all and batch.count or 0 do
    local one = all[place]
    local key = one and one ~= object and key_of(one, own) or nil
    if key ~= nil and known_of(one, link, key) == nil then
      objects[#objects + 1] = one
      if not seen[key] then
        seen[key] = true
        keys[#keys + 1] = relation.filter_value(one, own, link.keys)
      end
    end
  end
  return objects, keys
end

--- Remember what each object's relation to one is; found: by key.
function relation.settle(objects, link, found)
  local own, name = link.own, link.name
  for place = 1, #objects do
    local one = objects[place]
    local key = key_of(one, own)
    if key ~= nil then
      state.relate(one, name, found[key] or { without = key })
    end
  end
end

--- The object that a relation to one is known to lead to.
---@return table?
function relation.known(object, link)
  local key = key_of(object, link.own)
  return key ~= nil and known_of(object, link, key) or nil
end

-- Load for all objects of the batch. A second task that touches the same relation meanwhile waits for the first one's
-- answer, unless one of them reads in a transaction, which may show it other rows.
local function load_shared(object, link)
  local database, other = relation.place_behind(link, getmetatable(object).class.model, select(2,
    place_of(object, getmetatable(object).class)))
  local batch = state.batch_of(object)
  local flights = batch and batch.flights
  local flight = flights and flights[link.name]
  local context = runtime.current()
  local alone = not batch or context.session or transaction.current(database) or flight and flight.context == context
  if flight and not alone then
    runtime.park_for(flight, flight.context, "the rows that another task is loading")
    return
  end
  flight = not alone and { context = context }
  if flight then
    batch.flights = flights or {}
    batch.flights[link.name] = flight
  end
  local ok, err = pcall(function()
    local objects, keys = missing(object, link)
    relation.settle(objects, link, relation.load(link, database, other, keys))
  end)
  if flight then
    batch.flights[link.name] = nil
    runtime.wake_all(flight)
  end
  if not ok then
    return error(err, 0)
  end
end

-- The fields of the key that the query left out are read first.
local function own_key(object, link)
  local key = key_of(object, link.own)
  local lacks = key == nil and getmetatable(object).missing
  if lacks and not state.is_new(object) then
    for _, field in ipairs(link.own) do
      if lacks[field.attribute] then
        relation.load_column(object, field.attribute)
        return key_of(object, link.own)
      end
    end
  end
  return key
end

--- The object that a link to one leads to, or nil.
function relation.to_one(object, link)
  local key = own_key(object, link)
  if key == nil then
    return state.pending(object, link.name)
  end
  local known = known_of(object, link, key)
  while known == nil do
    if link.lazy then
      return refuse_lazy(link)
    end
    load_shared(object, link)
    key = own_key(object, link)
    if key == nil then
      return nil
    end
    known = known_of(object, link, key)
  end
  return known or nil
end

-- ---- to many ----

-- Integers are what keys of that kind are in a slot; others are converted first.
local is_integer = math.type and function(key)
  return math.type(key) == "integer"
end or function()
  return false
end

--- The query set of the objects that a link to many leads to.
function relation.to_many(object, link)
  local key = own_key(object, link)
  if key == nil then
    state.write_scheduled(object)
    key = key_of(object, link.own)
  end
  if key == nil then
    return errors.raise("bad_argument", getmetatable(object).class.name .. " has no " .. link.name
      .. " before it is saved: it has no key yet")
  end
  local class = getmetatable(object).class
  local _, other = place_of(object, class)
  _, other = relation.place_behind(link, class.model, other)
  local extra = { database = other, home = other, owner = object, link = link }
  local shape = link.shape
  if shape and link.own[2] == nil and is_integer(key) then -- the same query set but for its one value
    extra.whole = shape
    return setmetatable({ model = link.model, shape = shape, slots = { key }, top = false, skip = false, extra = extra },
      link.metatable)
  end
  local owned = relation.owned(link, object)
  extra.whole = owned.shape
  if owned.shape.count == 1 then
    link.shape, link.metatable = owned.shape, getmetatable(owned)
  end
  return query.with(owned, extra)
end

local function column_names(fields)
  local names = {}
  for place, field in ipairs(fields) do
    names[place] = field.attribute
  end
  return (unpack or table.unpack)(names)
end

--- The rows of the table between that belong to an owner.
function relation.pairs_of(link, owner)
  local value = relation.filter_value(owner, link.own, link.keys)
  local back = link.back
  return query.methods.filter(link.back.model.class.root, { [back.parts and back.name or back.attribute] = value })
end

--- The rows that belong to an owner, without saying so.
function relation.owned(link, owner)
  local root = link.model.class.root
  if link.over then
    local between = relation.pairs_of(link, owner)
    return query.methods.filter(root, { pk__in = query.methods.values(between, column_names(link.over:locals())) })
  end
  local back = link.back
  return query.methods.filter(root, {
    [back.parts and back.name or back.attribute] = relation.filter_value(owner, link.own, link.keys),
  })
end

--- The rows of a set that were prefetched, if it is the whole set.
---@return table[]?
--- Raises unsupported where the relation says lazy = "raise".
function relation.rows_of(q)
  local extra = q.extra
  local owner = extra and extra.owner
  if not owner or q.shape ~= extra.whole or q.top or q.skip or extra.database ~= extra.home or extra.prefetch then
    return nil
  end
  local rows = state.related(owner, extra.link.rows)
  if rows == nil and extra.link.lazy then
    return refuse_lazy(extra.link)
  end
  return rows
end

return relation
