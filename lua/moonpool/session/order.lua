-- In which order the objects of a flush are written: those whose key others need come first, and as many rows of one
-- entity as possible together. Knows nothing of how they are written.

local errors = require "moonpool.errors"
local identity = require "moonpool.session.identity"
local relation = require "moonpool.entity.relation"
local state = require "moonpool.entity.state"

local order = {}

local ipairs, pairs, getmetatable = ipairs, pairs, getmetatable

-- Objects by table and key, for relations that are known by their key only.
local function by_key(objects)
  local found = {}
  for _, object in ipairs(objects) do
    local class = getmetatable(object).class
    local key = identity.key(class, object)
    if key ~= nil then
      local rows = found[class.model.table]
      if rows == nil then
        rows = {}
        found[class.model.table] = rows
      end
      rows[key] = object
    end
  end
  return found
end

-- The object among those of the flush that a relation leads to.
local function target(object, field, among, keys)
  local other = state.pending(object, field.name)
  if other == object then
    return object
  elseif other == nil then
    local rows = keys[field:target().table]
    local key = rows and relation.key_of(object, field:locals())
    other = key and rows[key]
  end
  if other ~= nil and other ~= object and among[other] then
    return other
  end
  return nil
end

local function relations_of(class)
  local list = {}
  for _, field in pairs(class.model.relations) do
    list[#list + 1] = field
  end
  table.sort(list, function(a, b)
    return a.name < b.name
  end)
  return list
end

-- Who needs whom. An edge { from, field, to }: from needs the key of to. needs[object]: those of it that are not there yet;
-- leads[object]: its edges; wanted[object]: the edges to it.
---@param cut fun(object: table, field: table, other: table)
local function edges(objects, cut)
  local among, any = {}, false
  for _, object in ipairs(objects) do
    among[object] = true
    any = any or getmetatable(object).class.has_relations
  end
  local needs, leads, wanted = {}, {}, {}
  if not any then
    return needs, leads, wanted
  end
  local keys, relations = by_key(objects), {}
  for _, object in ipairs(objects) do
    local class = getmetatable(object).class
    local fields = relations[class] or relations_of(class)
    relations[class] = fields
    for _, field in ipairs(fields) do
      local other = target(object, field, among, keys)
      if other == object then
        if not field.null then
          errors.raise("bad_argument", tostring(object) .. " needs its own key, and " .. field:title()
            .. " cannot be NULL: it cannot be written")
        end
        cut(object, field, other)
      elseif other then
        local edge = { from = object, field = field, to = other }
        needs[object] = (needs[object] or 0) + 1
        leads[object], wanted[other] = leads[object] or {}, wanted[other] or {}
        table.insert(leads[object], edge)
        table.insert(wanted[other], edge)
      end
    end
  end
  return needs, leads, wanted
end

-- Nobody can be first: one of a circle must go without one of its relations, and get it afterwards.
local function edge_to_cut(object, leads, done)
  local path, at = {}, {}
  while not at[object] do
    at[object] = #path + 1
    for _, edge in ipairs(leads[object]) do
      if not edge.cut and not done[edge.to] then
        path[#path + 1] = edge
        object = edge.to
        break
      end
    end
  end
  for place = at[object], #path do
    if path[place].field.null then
      return path[place]
    end
  end
  local names = {}
  for place = at[object], #path do
    names[#names + 1] = path[place].field:title()
  end
  return errors.raise("bad_argument", "these objects need each other's key, and none of the relations between them can be NULL ("
    .. table.concat(names, ", ") .. "): none of them can be written first")
end

-- The last wave that has what these need.
---@param done table<table, integer> the waves of objects
local function latest_of(objects, leads, done)
  local latest = 0
  for _, object in ipairs(objects) do
    for _, edge in ipairs(leads[object] or {}) do
      latest = not edge.cut and math.max(latest, done[edge.to]) or latest
    end
  end
  return latest
end

-- Nobody needs anybody.
local function by_class(objects)
  local waves, of = {}, {}
  for place = 1, #objects do
    local one = objects[place]
    local class = getmetatable(one).class
    local some = of[class]
    if some == nil then
      some = {}
      of[class] = some
      waves[#waves + 1] = { class = class, objects = some, after = 0 }
    end
    some[#some + 1] = one
  end
  return waves
end

--- Waves of objects of one class each: { { class, objects, after }, ... }, those that others need before them; after: the
--- last wave that it needs, 0 where it needs none.
---@param objects table[]
---@param cut fun(object: table, field: table, other: table) called where a cycle is broken: the relation is to be left out
---@return { class: table, objects: table[], after: integer }[]
--- Raises bad_argument for a cycle of relations that cannot be NULL.
function order.waves(objects, cut)
  local needs, leads, wanted = edges(objects, cut)
  if next(needs) == nil then
    return by_class(objects)
  end
  local waves, ready, classes, done, left = {}, {}, {}, {}, #objects
  local function make_ready(object)
    local class = getmetatable(object).class
    if ready[class] == nil then
      ready[class] = {}
      classes[#classes + 1] = class
    end
    table.insert(ready[class], object)
  end
  local function met(edge)
    local object = edge.from
    needs[object] = needs[object] - 1
    if needs[object] == 0 then
      make_ready(object)
    end
  end
  local function next_class()
    for _, class in ipairs(classes) do
      if ready[class][1] ~= nil then
        return class
      end
    end
    return nil
  end
  for _, object in ipairs(objects) do
    if not needs[object] then
      make_ready(object)
    end
  end
  local first = 1 -- of those that may not be done
  while left > 0 do
    local class = next_class()
    if class then
      local some = ready[class]
      ready[class] = {}
      waves[#waves + 1] = { class = class, objects = some, after = latest_of(some, leads, done) }
      left = left - #some
      for _, object in ipairs(some) do
        done[object] = #waves
      end
      for _, object in ipairs(some) do
        for _, edge in ipairs(wanted[object] or {}) do
          if not edge.cut then
            met(edge)
          end
        end
      end
    else
      while done[objects[first]] do
        first = first + 1
      end
      local edge = edge_to_cut(objects[first], leads, done)
      edge.cut = true
      cut(edge.from, edge.field, edge.to)
      met(edge)
    end
  end
  return waves
end

return order
