-- The terminals that read: all, get, one, first, count and so on. Each runs one statement, but for those that say
-- otherwise.

local compile = require "moonpool.sql.compile"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local loading = require "moonpool.entity.loading"
local object = require "moonpool.entity.object"
local query = require "moonpool.sql.query"
local query_set = require "moonpool.entity.query"
local relation = require "moonpool.entity.relation"
local row = require "moonpool.sql.row"
local statement = require "moonpool.database.statement"
local stream = require "moonpool.database.stream"
local tree = require "moonpool.tree"
local vocabulary = require "moonpool.vocabulary"

local methods = query_set.methods
local select, type = select, type
local run, options_of = statement.run, loading.options

local place_of = loading.place_of

local function bad(message)
  return errors.raise("bad_argument", message)
end

local function check_table(name, options)
  if options ~= nil and type(options) ~= "table" then
    return bad(name .. " takes a table of options, not " .. vocabulary.quoted(options))
  end
end

-- What such a terminal is given would be dropped without a word.
local function takes_nothing(name, given)
  if given ~= nil then
    return bad(name .. " takes no argument, such as " .. vocabulary.quoted(given) .. ": narrow with filter, cut with limit")
  end
end

local function fetch(q)
  local class, database, other = place_of(q)
  local st = compile.select(q, loading.dialect_of(database))
  local rows = loading.all(class, database, other, st, st:bind(q))
  if q.extra and q.extra.prefetch then
    loading.prefetch(q, rows)
  end
  return rows
end

--- All rows as an array.
---@return table[]
function methods:all(given)
  takes_nothing("all", given)
  return fetch(self)
end

-- The same query set with at most so many rows of those it has.
local function at_most(q, n)
  return query.limited(q, q.top and q.top < n and q.top or n, q.skip)
end

local function one_of(q, rows)
  if rows[2] ~= nil then
    return errors.raise("multiple", "more than one " .. q.model.name .. " was found: use :all() or :first()")
  end
  return rows[1]
end

-- get(key) of a whole entity: the statement is always the same one.
local function get_by_key(q, key)
  local class, database, other = place_of(q)
  local model, dialect = class.model, database.sql or loading.dialect_of(database)
  local statements = model.statements[dialect]
  local st = statements and statements.get or row.get(model, dialect)
  return loading.one(class, database, other, st, { model.key[1]:convert(key) }, 1)
end

--- The object with that key, or that matches; nil if there is none.
---@param key any a key (of several columns: their values in order), an object, or a table of conditions
---@return table?
--- Raises multiple, bad_argument, unknown_field.
function methods:get(key, given)
  if given ~= nil then
    return bad("get takes one key or one table of conditions")
  elseif key == nil or key == core.null then
    return bad("get(nil): a key is never NULL; use first() for any row")
  end
  local conditions = type(key) == "table" and not object.is(key) and key
  if conditions and tree.is_condition(conditions) then
    return one_of(self, fetch(at_most(self:filter(conditions), 2)))
  elseif conditions and getmetatable(conditions) == nil then
    if next(conditions) == nil then
      return bad("get{}: say which row is meant; first() gives any")
    elseif conditions[1] ~= nil and self.model.key[2] then -- the parts of its key, in their order
      return one_of(self, fetch(at_most(self:filter{ pk = conditions }, 2)))
    end
    return one_of(self, fetch(at_most(self:filter(conditions), 2)))
  end
  local model = self.model
  if #model.key ~= 1 and not object.is(key) then
    return bad(model.name .. " has a key of several columns: get{ ... } with each of them, by their names or in their order")
  elseif #model.key == 1 and self.shape == model.root and not self.top and not self.skip
    and not (self.extra and self.extra.prefetch) then
    return get_by_key(self, key)
  end
  return one_of(self, fetch(at_most(self:filter{ pk = key }, 2)))
end

--- The only row.
---@return table
--- Raises not_found, multiple.
function methods:one(given)
  takes_nothing("one", given)
  local found = one_of(self, fetch(at_most(self, 2)))
  if found == nil then
    return errors.raise("not_found", "no " .. self.model.name .. " was found")
  end
  return found
end

--- The first row or nil; by key if there is no other order.
---@return table?
function methods:first(given)
  takes_nothing("first", given)
  return fetch(at_most(query.by_key(self), 1))[1]
end

--- The last row or nil.
---@return table?
function methods:last(given)
  takes_nothing("last", given)
  if self.top or self.skip or self.shape.distinct_on then -- turned round, other rows would be left
    local rows = fetch(self)
    return rows[#rows]
  end
  return fetch(at_most(query.by_key(self):reverse(), 1))[1]
end

local function single(q, st, params, n)
  local _, database = place_of(q)
  if st.empty then
    return nil
  end
  return (run(database, nil, st.sql, st.access, params, n, options_of(database, st), core.value, st.plan.kinds[1]))
end

local function compiled(q, make)
  local _, database = place_of(q)
  local st = make(q, loading.dialect_of(database))
  return single(q, st, st:bind(q))
end

---@return integer
function methods:count(given)
  takes_nothing("count", given)
  return compiled(self, compile.count) or 0
end

---@return boolean
function methods:exists(given)
  takes_nothing("exists", given)
  return compiled(self, compile.exists) ~= nil
end

--- Values over all rows: aggregate{ n = mp.fn.count(), oldest = mp.fn.max "age" }.
---@return table row
function methods:aggregate(aggregates, given)
  if given ~= nil then
    return bad("aggregate takes one table of aggregates: narrow with filter before it")
  end
  local _, database = place_of(self)
  local st, params, n = compile.aggregate(self, loading.dialect_of(database), aggregates)
  local rows = run(database, nil, st.sql, st.access, params, n, options_of(database, st), core.rows, st.plan)
  return rows[1] or {}
end

for _, name in ipairs { "sum", "avg", "min", "max" } do
  methods[name] = function(self, column, given)
    if column == nil then
      return bad(name .. " takes a column: " .. name .. "(\"age\")")
    elseif given ~= nil then
      return bad(name .. " takes one column: narrow with filter before it; options are those of mp.fn." .. name)
    end
    return self:aggregate({ value = tree.fn[name](column) }).value
  end
end

--- One column of all rows, or an expression, flat; NULL is mp.null.
---@param column string|table
---@return any[]
function methods:pluck(column, ...)
  if column == nil or select("#", ...) > 0 then
    return bad("pluck takes one column: pluck(\"name\"); values_list gives several")
  end
  local _, database = place_of(self)
  local q = query.methods.values_list(self, column)
  local st = compile.select(q, loading.dialect_of(database))
  loading.check_lock(database, st)
  if st.empty then
    return {}
  end
  local params, n = st:bind(q)
  return (run(database, nil, st.sql, st.access, params, n, options_of(database, st), core.column, st.plan.kinds[1]))
end

local MOST = 500 -- values in one statement

-- Of a key of several columns each has a level of its own: found[shop][number].
local function enter(found, one, fields)
  local last = #fields
  for place = 1, last do
    local value = relation.plain(rawget(one, fields[place].attribute))
    if place == last then
      found[value] = one
    else
      found[value] = found[value] or {}
      found = found[value]
    end
  end
end

--- Objects by their key, or by another unique field; by a key of several columns as found[a][b]. Several statements for
--- many keys.
---@param keys any[]
---@param name string? the field; the key if not given
---@return table<any, table>
function methods:in_bulk(keys, name)
  if not vocabulary.is_array(keys) then
    return bad("in_bulk takes an array of keys, not " .. vocabulary.quoted(keys))
  elseif self.shape.output ~= "objects" then
    return bad("in_bulk gives objects by their keys, not values")
  end
  local key = self.model.key
  local whole = name == nil and key[2] ~= nil
  local field = not whole and self.model:field(name or "pk")
  if not whole and not (field.unique or field.primary_key and key[2] == nil) then
    return bad("in_bulk by " .. field.name .. ": it is not unique, so several objects may have one value")
  end
  local text = whole and "pk__in" or field.attribute .. "__in"
  local found = {}
  for first = 1, #keys, MOST do
    local some = {}
    for place = first, math.min(first + MOST - 1, #keys) do
      some[#some + 1] = keys[place]
    end
    for _, one in ipairs(fetch(self:filter{ [text] = some })) do
      enter(found, one, whole and key or { field })
    end
  end
  return found
end

--- Go through the rows with flat memory: for author in Author:iter{ chunk = 500 } do. The body may query.
---@param options {chunk: integer?}?
---@return moonpool.stream
function methods:iter(options)
  local chunk
  check_table("iter", options)
  for name, value in pairs(options or {}) do
    if name ~= "chunk" then
      return errors.raise("unknown_option", "iter takes no option " .. tostring(name)
        .. vocabulary.suggest(name, { "chunk" }))
    elseif type(value) ~= "number" or value < 1 or value % 1 ~= 0 then
      return bad("chunk is a number of rows, not " .. vocabulary.quoted(value))
    end
    chunk = value
  end
  local class, database, other = place_of(self)
  local q = query.by_key(self)
  local st = compile.select(q, loading.dialect_of(database))
  if st.empty then
    return function() end
  end
  local params, n = st:bind(q)
  return stream.loop(loading.stream(class, database, other, st, params, n, chunk or 1000))
end

return methods
