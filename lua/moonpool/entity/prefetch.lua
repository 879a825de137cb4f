-- prefetch: relations loaded together with the objects, one statement for each relation and not for each object. What was
-- loaded answers author.books:all() and its like, and book.author, without asking.
--
-- A query set carries a tree of what is wanted (extra.prefetch): a list of { name, q, below }, in the order in which it
-- was named; q narrows the rows behind the relation.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local loading = require "moonpool.entity.loading"
local prefetch_sql = require "moonpool.sql.prefetch"
local query = require "moonpool.sql.query"
local query_set = require "moonpool.entity.query"
local relation = require "moonpool.entity.relation"
local runtime = require "moonpool.runtime"
local state = require "moonpool.entity.state"
local transaction = require "moonpool.database.transaction"
local vocabulary = require "moonpool.vocabulary"

local prefetch = {}

local methods = query_set.methods
local key_of, plain = relation.key_of, relation.plain
local rawget = rawget

require "moonpool.entity.pages" -- these two have the methods that are wrapped here
require "moonpool.entity.reading"

local function bad(message)
  return errors.raise("bad_argument", message)
end

-- ---- what is wanted ----

local Narrowed = { __name = "moonpool prefetch", __json = "a prefetch" }

function Narrowed.__tostring(self)
  return "prefetch of " .. self.path
end

local function is_query(v)
  return type(v) == "table" and type(rawget(v, "shape")) == "table" and getmetatable(v) == query_set.metatable
end

--- mp.prefetch("books", Book:filter{...}): which rows of a relation, and in what order; a limit is for each owner.
---@param path string
---@param q moonpool.query
--- Raises bad_argument.
function prefetch.narrowed(path, q)
  if type(path) ~= "string" then
    return bad("mp.prefetch takes the name of a relation, not " .. vocabulary.quoted(path))
  end
  local meta = getmetatable(q)
  local class = type(q) == "table" and type(meta) == "table" and rawget(meta, "class")
  if class and class.entity == q then
    q = class.root
  end
  if not is_query(q) then
    return bad("mp.prefetch(" .. vocabulary.quoted(path) .. ") takes a query set that says which rows, not "
      .. vocabulary.quoted(q))
  elseif q.shape.output ~= "objects" then
    return bad("mp.prefetch(" .. vocabulary.quoted(path) .. ") loads objects: its query set cannot be one of values")
  elseif q.shape.lock or q.shape.distinct_on then
    return bad("mp.prefetch(" .. vocabulary.quoted(path) .. ") loads the rows of many owners at once: its query set takes no "
      .. (q.shape.lock and "for_update" or "distinct of columns"))
  end
  return setmetatable({ path = path, q = q }, Narrowed)
end

local function relation_of(model, name)
  local link = relation.link(model, name)
  return link or relation.unknown(model, name, "prefetch")
end

local function find(nodes, name)
  for _, one in ipairs(nodes) do
    if one.name == name then
      return one
    end
  end
  return nil
end

-- Trees are shared by query sets: what is added goes into a copy.
local function copied(nodes)
  local copy = {}
  for place, one in ipairs(nodes) do
    copy[place] = { name = one.name, q = one.q, below = copied(one.below) }
  end
  return copy
end

local function merge(nodes, others, title)
  for _, other in ipairs(others) do
    local one = find(nodes, other.name)
    if not one then
      one = { name = other.name, below = {} }
      nodes[#nodes + 1] = one
    end
    if one.q and other.q and one.q ~= other.q then
      return bad("prefetch: " .. title .. other.name .. " is narrowed in two ways; one relation holds the rows of one query set")
    end
    one.q = one.q or other.q
    merge(one.below, other.below, title .. other.name .. "__")
  end
end

local function add(nodes, model, path, q)
  local name, rest = path:match "^(.-)__(.*)$"
  name = name or path
  local link = relation_of(model, name)
  local one = { name = name, below = {} }
  if rest then
    add(one.below, link.model, rest, q)
  elseif q then
    if q.model ~= link.model then
      return bad("prefetch: " .. vocabulary.quoted(path) .. " leads to " .. link.model.name .. ", not to " .. q.model.name)
    end
    if link.field and (q.top or q.skip) then
      return bad("prefetch: " .. vocabulary.quoted(path) .. " leads to one row, which takes no limit")
    end
    local extra = q.extra
    one.q = q
    if extra and extra.prefetch then
      one.below = copied(extra.prefetch)
    end
  end
  merge(nodes, { one }, "")
end

--- Load relations together with the objects: prefetch("books", "books__tags", mp.prefetch("books", qs)). To one or to
--- many; a path loads each relation on its way.
---@param ... string|table
---@return moonpool.query
--- Raises unknown_field, bad_argument.
function methods:prefetch(...)
  if self.shape.output ~= "objects" then
    return bad("prefetch is for objects: the rows of values have no relations")
  end
  local extra = {}
  for name, value in pairs(self.extra or extra) do
    extra[name] = value
  end
  local nodes = copied(extra.prefetch or {})
  for place = 1, select("#", ...) do
    local one = select(place, ...)
    if type(one) == "table" and getmetatable(one) == Narrowed then
      add(nodes, self.model, one.path, one.q)
    elseif type(one) == "string" then
      add(nodes, self.model, one)
    else
      return bad("prefetch takes names of relations and what mp.prefetch gives, not " .. vocabulary.quoted(one))
    end
  end
  extra.prefetch = nodes[1] and nodes or nil
  return query.with(self, extra)
end

for _, name in ipairs { "values", "values_list" } do
  local read = methods[name]
  methods[name] = function(self, ...)
    if self.extra and self.extra.prefetch then
      return bad(name .. " gives no objects, and so prefetch has nothing to load for")
    end
    return read(self, ...)
  end
end

-- ---- loading ----

-- The keys that objects have in `fields`, each once, and the place of each.
local function collect(objects, fields)
  local keys, by_key = {}, {}
  local single = fields[2] == nil and fields[1].attribute
  for place = 1, #objects do
    local one = objects[place]
    local key = key_of(one, fields)
    if key ~= nil and by_key[key] == nil then
      by_key[key] = #keys + 1
      if single then
        keys[#keys + 1] = rawget(one, single)
      else
        local parts = {}
        for i, field in ipairs(fields) do
          parts[i] = rawget(one, field.attribute)
        end
        keys[#keys + 1] = parts
      end
    end
  end
  return keys, by_key
end

local function slice(keys, first, most)
  if first == 1 and #keys <= most then
    return keys
  end
  local some = {}
  for place = first, math.min(first + most - 1, #keys) do
    some[#some + 1] = keys[place]
  end
  return some
end

-- The key of an owner as the row of the table between has it: the last part of a row of the result.
local function told_key(values)
  if values[2] == nil then
    return plain(values[1])
  end
  local parts = {}
  for place = 1, #values do
    local text = tostring(values[place])
    parts[place] = #text .. ":" .. text
  end
  return table.concat(parts)
end

-- The rows that lead to owners with these keys: fn(rows, key_at) for each statement, key_at(i) being the key of the i-th
-- row's owner. repeats: a row may come several times for one owner.
local function load_rows(link, q, place, keys, fn)
  local class = link.model.class
  local most = math.max(1, math.floor(relation.most / #link.match))
  for first = 1, #keys, most do
    local st, params, n = prefetch_sql.select(q, loading.dialect_of(place.database), link.inverse, slice(keys, first, most))
    if not st.empty then
      local rows, told = loading.objects(class, place.database, place.other, st, params, n)
      if st.tells then
        fn(rows, function(i) return told_key(told[i]) end, nil, st.repeats)
      else
        local match = link.match
        fn(rows, function(i) return key_of(rows[i], match) end, match[2] == nil and match[1].attribute)
      end
    end
  end
end

-- Rows of one entity that came for several owners are one object each.
local function once(model)
  local known, list = {}, {}
  return function(one)
    local key = key_of(one, model.key)
    local first = known[key]
    if first == nil then
      known[key] = one
      list[#list + 1] = one
      first = one
    end
    return first
  end, list
end

-- The objects of a result know their owners, without keeping them.
---@return fun(rows: table[])
local function owners_of(owners, link)
  local by_key
  return function(rows)
    local batch = rows[1] and state.batch_of(rows[1])
    if not batch or runtime.current().session then
      return
    elseif by_key == nil then
      by_key = setmetatable({}, { __mode = "v" })
      for i = 1, #owners do
        local key = key_of(owners[i], link.own)
        if key ~= nil then
          by_key[key] = owners[i]
        end
      end
    end
    batch.owners = batch.owners or {}
    batch.owners[link.back.name] = by_key
  end
end

local function append(to, rows)
  if to[1] == nil then
    return rows
  end
  local count = #to
  for i = 1, #rows do
    to[count + i] = rows[i]
  end
  return to
end

-- Rows in the lists of their owners, which stand at the places of their keys.
local function new_lists(keys, places, ordered)
  return { places = places, n = #keys, ordered = ordered }
end

local function list_at(lists, place)
  local list = lists[place]
  if list == nil then
    list = lists.ordered and { ordered = true } or {}
    lists[place] = list
  end
  return list
end

-- Each row into the list of its owner. attribute: where numbers and strings stand that are the keys as they are.
local function group(lists, rows, key_at, attribute)
  local places = lists.places
  local kind = attribute and rows[1] and type(rawget(rows[1], attribute))
  if kind == "number" or kind == "string" then
    return core.group(rows, attribute, places, lists, lists.n, lists.ordered)
  end
  for i = 1, #rows do
    local place = places[key_at(i)]
    if place then -- in a table that others made, keys may be equal to the server that are not the same
      local list = list_at(lists, place)
      list[#list + 1] = rows[i]
    end
  end
end

-- The same, of rows of which some come several times for one owner.
local function group_once(lists, rows, key_at)
  local there = {}
  for i = 1, #rows do
    local list, one = list_at(lists, lists.places[key_at(i)]), rows[i]
    there[list] = there[list] or {}
    if not there[list][one] then
      there[list][one] = true
      list[#list + 1] = one
    end
  end
end

local function load_many(owners, link, q, place)
  local keys, places = collect(owners, link.own)
  local lists = new_lists(keys, places, query.is_ordered(q))
  local loaded = {}
  if link.over then
    local same, list = once(link.model)
    load_rows(link, q, place, keys, function(rows, key_at, _, repeats)
      for i = 1, #rows do
        rows[i] = same(rows[i])
      end
      (repeats and group_once or group)(lists, rows, key_at)
    end)
    loaded = list
  else
    local remember = owners_of(owners, link)
    load_rows(link, q, place, keys, function(rows, key_at, attribute)
      group(lists, rows, key_at, attribute)
      remember(rows)
      loaded = append(loaded, rows)
    end)
  end
  local own, name = link.own, link.rows
  for i = 1, #owners do
    local one = owners[i]
    local key = key_of(one, own)
    state.relate(one, name, key ~= nil and list_at(lists, places[key]) or nil)
  end
  return loaded
end

-- The other side of a one_to_one.
local function load_one(owners, link, q, place)
  local keys = collect(owners, link.own)
  local found, loaded, remember = {}, {}, owners_of(owners, link)
  load_rows(link, q, place, keys, function(rows, key_at)
    for i = 1, #rows do
      found[key_at(i)] = rows[i]
    end
    remember(rows)
    loaded = append(loaded, rows)
  end)
  relation.settle(owners, link, found)
  return loaded
end

-- A relation to one: rows by their key.
local function load_forward(objects, link, q, place)
  local wanted, found, loaded = {}, {}, {}
  for i = 1, #objects do
    local one = objects[i]
    local known = q == nil and relation.known(one, link)
    if known then
      loaded[#loaded + 1] = known
    else
      wanted[#wanted + 1] = one
    end
  end
  local seen, keys = {}, {}
  for i = 1, #wanted do
    local key = key_of(wanted[i], link.own)
    if key ~= nil and not seen[key] then
      seen[key] = true
      keys[#keys + 1] = relation.filter_value(wanted[i], link.own, link.keys)
    end
  end
  for key, one in pairs(relation.load(link, place.database, place.other, keys, q)) do
    found[key] = one
  end
  relation.settle(wanted, link, found)
  for i = 1, #wanted do
    local key = key_of(wanted[i], link.own)
    local one = key ~= nil and found[key]
    if one then
      found[key] = nil
      loaded[#loaded + 1] = one
    end
  end
  return loaded
end

local run_nodes

local function run_node(objects, model, node, other, serial)
  local link = relation.link(model, node.name)
  local q = node.q
  local place = {}
  place.database, place.other = relation.place_behind(link, model, other)
  if q and q.extra and q.extra.database then
    place.database, place.other = q.extra.database, q.extra.database
  end
  local loaded
  if link.field then
    loaded = load_forward(objects, link, q, place)
  else
    q = q or link.model.class.root
    loaded = (link.one and load_one or load_many)(objects, link, q, place)
  end
  run_nodes(loaded, link.model, node.below, place.other, serial)
end

-- Relations that do not depend on each other are loaded at the same time, each on a connection of its own; in a
-- transaction or a session one after the other, because they have to see what it sees.
function run_nodes(objects, model, nodes, other, serial)
  if objects[1] == nil then
    return
  elseif nodes[2] == nil or serial or transaction.current() or runtime.current().session then
    for _, node in ipairs(nodes) do
      run_node(objects, model, node, other, serial)
    end
    return
  end
  local branches = {}
  for place, node in ipairs(nodes) do
    branches[place] = function()
      run_node(objects, model, node, other, serial)
    end
  end
  runtime.gather((unpack or table.unpack)(branches))
end

--- Load what a query set wants for its objects.
---@param q moonpool.query
---@param objects table[]
---@param serial boolean? one after the other, also outside a transaction
function prefetch.run(q, objects, serial)
  local extra = q.extra
  return run_nodes(objects, q.model, extra.prefetch, extra.database, serial)
end

loading.prefetch = prefetch.run

-- ---- streams: chunk by chunk ----

local Chunks = {}
Chunks.__index = Chunks

function Chunks:__call()
  local stream = self.stream
  local row = stream()
  if row ~= nil and stream.at == 1 then
    local ok, err = pcall(prefetch.run, self.q, stream.rows, true)
    if not ok then
      stream:close()
      return error(err, 0)
    end
  end
  return row
end

function Chunks:close()
  self.stream:close()
end

Chunks.__close = Chunks.close

local iter = methods.iter

--- @see moonpool.query.iter
function methods:iter(options)
  local stream, _, _, closing = iter(self, options)
  if not closing or not (self.extra and self.extra.prefetch) then
    return stream, nil, nil, closing
  end
  local chunks = setmetatable({ stream = stream, q = self }, Chunks)
  return chunks, nil, nil, chunks
end

return prefetch
