-- Sets that belong to an object: author.books, book.tags. Adding and removing write at once and do not mind what is
-- there or missing already. Here is what both kinds of set share, and the sets whose rows have the owner's key in a
-- column of their own; those with a table between are in moonpool.entity.linked.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local key_values = require "moonpool.resolve.key"
local linked = require "moonpool.entity.linked"
local loading = require "moonpool.entity.loading"
local object = require "moonpool.entity.object"
local query = require "moonpool.sql.query"
local query_set = require "moonpool.entity.query"
local relation = require "moonpool.entity.relation"
local state = require "moonpool.entity.state"
local transaction = require "moonpool.database.transaction"
local vocabulary = require "moonpool.vocabulary"

require "moonpool.entity.changing" -- whose methods are wrapped below

local methods = query_set.methods
local place_of = loading.place_of

local MOST = 500 -- keys in one statement

local function owner_of(q, name)
  local extra = q.extra
  if not extra or extra.owner == nil then
    return errors.raise("bad_argument", name .. " is for a set that belongs to an object, such as author.books:"
      .. name .. "(book)")
  end
  return extra
end

-- What was prefetched is not the set any more.
local function changes(extra)
  state.relate(extra.owner, extra.link.rows, nil)
end

local function all_rows_of(q)
  local root = place_of(q).root
  return q.extra.database and root:using(q.extra.database) or root
end

-- Whether a table is the key of a row rather than columns of the table between.
local function is_key(model, value)
  if model.key[2] == nil then
    return false
  end
  local ok = pcall(key_values.of, model:whole_key(), value)
  return ok
end

-- Objects and keys as keys; the objects by themselves too; a table at the end that is neither.
local function read(q, name, list, count)
  local keys, objects, values = {}, {}, nil
  local model = q.model
  for place = 1, count do
    local one = list[place]
    if object.is(one) then
      if getmetatable(one).class.model ~= model then
        return errors.raise("bad_argument", name .. " takes " .. model.name .. ", not " .. getmetatable(one).class.name)
      end
      objects[#objects + 1] = one
      if not state.is_new(one) then
        keys[#keys + 1] = one
      end
    elseif one == nil or one == core.null then
      return errors.raise("bad_argument", name .. "(nil): it takes objects or keys")
    elseif type(one) == "table" and getmetatable(one) == nil and not is_key(model, one) then
      if one[1] ~= nil or place < count or name ~= "add" or not q.extra.link.over then
        return errors.raise("bad_argument", name .. " takes " .. model.name .. " objects or their keys one by one, not a table"
          .. (one[1] ~= nil and ": " .. name .. "((unpack or table.unpack)(list))" or ""))
      end
      values = one
    else
      keys[#keys + 1] = model.key[2] and one or model.key[1]:convert(one)
    end
  end
  return keys, objects, values
end

-- The objects in the program's hands follow what was written: these columns have these values, in the database too.
local function follow(objects, fields, values)
  for _, one in ipairs(objects) do
    for place, field in ipairs(fields) do
      rawset(one, field.attribute, values[place])
    end
    if not state.is_new(one) then
      local original, plan = state.original(one), getmetatable(one).plan
      local known = {}
      for place, name in ipairs(plan.names) do
        known[name] = original:value(place, plan)
      end
      for place, field in ipairs(fields) do
        known[field.attribute] = values[place]
      end
      state.adopt(one, known, plan)
    end
  end
end

local function key_values_of(owner, fields)
  local values = {}
  for place, field in ipairs(fields) do
    values[place] = rawget(owner, field.attribute)
  end
  return values
end

-- The columns that lead to the owner, for update: with its key, or NULL.
local function assignment(link, values)
  local columns = {}
  for place, field in ipairs(link.match) do
    columns[field.attribute] = values and values[place] or core.null
  end
  return columns
end

local function check_removable(link)
  local field = link.back
  if not field.null then
    return errors.raise("not_null", field:title() .. " must not be NULL: delete what is taken out of " .. link.name
      .. ", or give it to another owner", { columns = { field.name } })
  end
end

-- ---- rows with the owner's key ----

local function add(q, extra, database, keys, objects)
  local link = extra.link
  local values = key_values_of(extra.owner, link.own)
  local saved = {}
  for _, one in ipairs(objects) do
    if state.is_new(one) then
      object.set(one, link.back.name, extra.owner)
      one:save()
    else
      state.note(one, database)
      saved[#saved + 1] = one
    end
  end
  relation.each_some(keys, MOST, function(some)
    all_rows_of(q):filter{ pk__in = some }:update(assignment(link, values))
  end)
  follow(saved, link.match, values)
end

local function remove(q, extra, database, keys, objects)
  local link = extra.link
  check_removable(link)
  local theirs = {}
  for _, one in ipairs(objects) do
    if relation.key_of(one, link.match) == relation.key_of(extra.owner, link.own) then
      state.note(one, database)
      theirs[#theirs + 1] = one
    end
  end
  relation.each_some(keys, MOST, function(some)
    q:filter{ pk__in = some }:update(assignment(link))
  end)
  follow(theirs, link.match, {})
end

local function clear(q, extra)
  check_removable(extra.link)
  return query.methods.all_rows(q):update(assignment(extra.link))
end

-- Take out what is not among the keys.
local function keep(q, extra, _, keys)
  local others = #keys > 0 and q:exclude{ pk__in = keys } or q
  if extra.link.back.null then
    query.methods.all_rows(others):update(assignment(extra.link))
  elseif others:exists() then
    check_removable(extra.link)
  end
end

-- ---- the methods ----

local plain = { add = add, remove = remove, clear = clear, keep = keep }

local function way_of(extra)
  return extra.link.over and linked or plain
end

local function write(q, name, list, count, ...)
  local extra = owner_of(q, name)
  local _, database = place_of(q)
  local ways = { ... }
  return transaction.within(database, function()
    changes(extra)
    local keys, objects, values = read(q, name, list, count)
    local result
    for _, way in ipairs(ways) do
      result = way_of(extra)[way](q, extra, database, keys, objects, values)
    end
    changes(extra)
    return result
  end)
end

--- Objects or keys that shall belong to the owner. Of a many_to_many, a table at the end has values for further columns
--- of the table between.
--- Raises bad_argument, integrity and the other errors of a statement.
function methods:add(...)
  write(self, "add", { ... }, select("#", ...), "add")
end

--- Take objects or keys out of the set; those that are not in it stay as they are.
--- Raises not_null where the relation cannot be NULL.
function methods:remove(...)
  write(self, "remove", { ... }, select("#", ...), "remove")
end

--- Take everything out of the set.
---@return integer rows
--- Raises not_null where the relation cannot be NULL.
function methods:clear(given)
  if given ~= nil then
    return errors.raise("bad_argument", "clear takes no argument: remove takes out what it is given")
  end
  return write(self, "clear", {}, 0, "clear")
end

--- Make the set hold exactly these objects and keys.
---@param list any[]
--- Raises not_null where something would have to be taken out and the relation cannot be NULL.
function methods:set(list, ...)
  owner_of(self, "set")
  if type(list) ~= "table" or object.is(list) or getmetatable(list) ~= nil or select("#", ...) > 0 then
    return errors.raise("bad_argument", "set takes an array of objects and keys, not " .. vocabulary.quoted(list))
  end
  write(self, "set", list, #list, "keep", "add")
end

-- ---- what query sets have too ----

-- The values of a new object, with the owner where the set says whose it is.
local function with_owner(extra, values)
  if type(values) ~= "table" then
    return values -- build says what is wrong with it
  end
  local all = {}
  for name, value in pairs(values) do
    all[name] = value
  end
  for _, field in ipairs(extra.link.match) do
    all[field.attribute] = nil
  end
  all[extra.link.back.name] = extra.owner
  return all
end

local create, build, update = methods.create, methods.build, methods.update

function methods:create(values, given)
  local extra = self.extra
  if given ~= nil or not extra or extra.owner == nil then
    return create(self, values, given)
  elseif not extra.link.over then
    changes(extra)
    return create(self, with_owner(extra, values))
  end
  local _, database = place_of(self)
  return transaction.within(database, function()
    local one = create(self, values)
    if one then -- get_or_create may find it there
      self:add(one)
    end
    return one
  end)
end

function methods:build(values)
  local extra = self.extra
  if extra and extra.owner ~= nil and not extra.link.over then
    values = with_owner(extra, values)
  end
  return build(self, values)
end

function methods:update(values, given)
  if self.extra and self.extra.owner ~= nil then
    changes(self.extra)
  end
  return update(self, values, given)
end

for _, name in ipairs { "delete", "purge", "restore" } do
  local write_rows = methods[name]
  methods[name] = function(self, given)
    if self.extra and self.extra.owner ~= nil then
      changes(self.extra)
    end
    return write_rows(self, given)
  end
end

return methods
