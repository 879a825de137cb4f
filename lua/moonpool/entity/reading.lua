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
local transaction = require "moonpool.database.transaction"
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
  return loading.all(class, database, other, st, st:bind(q))
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
---@param key any a key, an object, or a table of conditions
---@return table?
--- Raises multiple, bad_argument, unknown_field.
function methods:get(key, ...)
  if select("#", ...) > 0 then
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
    end
    return one_of(self, fetch(at_most(self:filter(conditions), 2)))
  end
  local model = self.model
  if #model.key ~= 1 then
    return bad(model.name .. " has a key of several columns: get{ ... } with each of them")
  elseif self.shape == model.root and not self.top and not self.skip then
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
  if self.top or self.skip then
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
function methods:aggregate(aggregates)
  local _, database = place_of(self)
  local st, params, n = compile.aggregate(self, loading.dialect_of(database), aggregates)
  local rows = run(database, nil, st.sql, st.access, params, n, options_of(database, st), core.rows, st.plan)
  return rows[1] or {}
end

for _, name in ipairs { "sum", "avg", "min", "max" } do
  methods[name] = function(self, column)
    if column == nil then
      return bad(name .. " takes a column: " .. name .. "(\"age\")")
    end
    return self:aggregate({ value = tree.fn[name](column) }).value
  end
end

--- One column of all rows, flat; NULL is mp.null.
---@param column string|table
---@return any[]
function methods:pluck(column)
  if column == nil then
    return bad("pluck takes a column: pluck(\"name\")")
  end
  local _, database = place_of(self)
  local q = query.methods.values_list(self, column)
  local st = compile.select(q, loading.dialect_of(database))
  if st.empty then
    return {}
  end
  local params, n = st:bind(q)
  return (run(database, nil, st.sql, st.access, params, n, options_of(database, st), core.column, st.plan.kinds[1]))
end

local MOST = 500 -- values in one statement

--- Objects by their key, or by another unique field. Several statements for many keys.
---@param keys any[]
---@param name string? the field; the key if not given
---@return table<any, table>
function methods:in_bulk(keys, name)
  if type(keys) ~= "table" then
    return bad("in_bulk takes an array of keys, not " .. vocabulary.quoted(keys))
  end
  local field = self.model:field(name or "pk")
  if not (field.unique or field.primary_key) then
    return bad("in_bulk by " .. field.name .. ": it is not unique, so several objects may have one value")
  end
  local found = {}
  for first = 1, #keys, MOST do
    local some = {}
    for place = first, math.min(first + MOST - 1, #keys) do
      some[#some + 1] = keys[place]
    end
    for _, one in ipairs(fetch(self:filter{ [field.attribute .. "__in"] = some })) do
      found[relation.plain(rawget(one, field.attribute))] = one
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

-- ---- pages ----

local function check_size(name, size)
  if type(size) ~= "number" or size < 1 or size % 1 ~= 0 then
    return bad(name .. ": a page has a whole number of rows, 1 or more, not " .. vocabulary.quoted(size))
  end
end

--- A page, counted from 1. Two statements.
---@return {items: table[], total: integer, pages: integer, page: integer, size: integer}
function methods:page(number, size)
  check_size("page", size)
  if type(number) ~= "number" or number % 1 ~= 0 then
    return bad("page takes the number of a page, not " .. vocabulary.quoted(number))
  elseif self.top or self.skip then
    return bad("page of a query set that has a limit or an offset")
  end
  number = math.max(number, 1)
  local total = self:count()
  return {
    items = fetch(query.limited(query.by_key(self), size, (number - 1) * size)),
    total = total, pages = math.max(1, math.ceil(total / size)), page = number, size = size,
  }
end

-- The order of a query set as fields; the key comes last, so that every row has a place of its own.
local function order_of(q)
  local items, seen = {}, {}
  local function add(name, descending)
    local field = q.model:field(name)
    if not seen[field] then
      seen[field] = true
      items[#items + 1] = { name = field.attribute, field = field, descending = descending }
    end
  end
  local function refuse()
    return errors.raise("unsupported", "after: the order must be fields of " .. q.model.name
      .. " itself, with NULLs where they are by default")
  end
  if q.shape.order then
    for _, item in ipairs(q.shape.order) do
      local path = item.operand and item.operand._path
      if item._op ~= "order" or item.nulls or path == nil or not (q.model.by_name[path] or path == "pk") then
        return refuse()
      end
      add(path, item.descending or false)
    end
  else
    for _, name in ipairs(q.model.order_by) do
      if type(name) ~= "string" or not q.model.by_name[name:gsub("^-", "")] then
        return refuse()
      end
      add((name:gsub("^-", "")), name:sub(1, 1) == "-")
    end
  end
  for _, field in ipairs(q.model.key) do
    add(field.attribute, items[1] and items[#items].descending or false)
  end
  if q.shape.reversed then
    for _, item in ipairs(items) do
      item.descending = not item.descending
    end
  end
  return items
end

local function order_names(items)
  local names = {}
  for place, item in ipairs(items) do
    names[place] = (item.descending and "-" or "") .. item.name
  end
  return names
end

-- Rows after the given values: greater in the first field that differs. NULL comes first, and last with "-".
local function beyond(items, values)
  local any, same = {}, {}
  for place, item in ipairs(items) do
    local value = values[place]
    local name, null = item.name, value == core.null
    local further
    if item.descending and not null then
      further = tree.Q{ [name .. "__lt"] = value }
      if item.field.null then
        further = tree.any(further, tree.Q{ [name] = core.null })
      end
    elseif not item.descending then
      further = null and tree.Q{ [name .. "__isnull"] = false } or tree.Q{ [name .. "__gt"] = value }
    end
    if further then
      any[#any + 1] = #same > 0 and tree.all(further, (unpack or table.unpack)(same)) or further
    end
    same[#same + 1] = tree.Q{ [name] = value }
  end
  return tree.any((unpack or table.unpack)(any))
end

--- The page behind a place: after(nil, 20) is the first one, after(page.next, 20) the following. `next` is a text.
---@param token string?
---@param size integer
---@return {items: table[], next: string?}
function methods:after(token, size)
  check_size("after", size)
  if self.shape.output ~= "objects" then
    return bad("after gives pages of objects, not of values")
  elseif self.top or self.skip then
    return bad("after of a query set that has a limit or an offset")
  end
  local items = order_of(self)
  local names = order_names(items)
  local q = self
  if token ~= nil then
    local ok, place = pcall(core.json_decode, token)
    if not ok or type(place) ~= "table" or place.order ~= table.concat(names, ",") or type(place.values) ~= "table" then
      return bad("after: this is no `next` of a page with the same order")
    end
    q = q:filter(beyond(items, place.values))
  end
  local rows = fetch(query.limited(q:order_by((unpack or table.unpack)(names)), size + 1))
  if rows[size + 1] == nil then
    return { items = rows }
  end
  rows[size + 1] = nil
  local values = core.array{}
  for place, item in ipairs(items) do
    local value = rawget(rows[size], item.name)
    values[place] = value == nil and core.null or value
  end
  return { items = rows, next = core.json_encode{ order = table.concat(names, ","), values = values } }
end

-- ---- looking at the statement ----

--- Text and parameters of the SELECT. Needs no connection.
---@param options {dialect: string?}?
---@return string sql, any[] params
function methods:sql(options)
  local name
  check_table("sql", options)
  for key, value in pairs(options or {}) do
    if key ~= "dialect" then
      return errors.raise("unknown_option", "sql takes no option " .. tostring(key)
        .. vocabulary.suggest(key, { "dialect" }))
    end
    name = value
  end
  local d
  if name then
    d = loading.dialect_named(name)
  else
    local _, database = place_of(self)
    d = loading.dialect_of(database)
  end
  local st = compile.select(self, d)
  local bound, n = st:bind(self)
  local params = {}
  for place = 1, n do
    params[place] = bound[place]
  end
  return st.sql, params
end

-- Run fn in a transaction of its own, or a savepoint, that is undone whatever happens.
local function undone(database, fn)
  local frame = transaction.begin(database)
  frame.block = true
  local ok, value = pcall(fn)
  local rolled_back, problem = pcall(transaction.rollback, frame)
  if not ok then
    if not rolled_back then
      errors.suppress(value, problem)
    end
    return error(value, 0)
  elseif not rolled_back then
    return error(problem, 0)
  end
  return value
end

--- How the database would run it, as text; with analyze it runs it, and the text says how that went: what its functions write
--- is undone.
---@param options {analyze: boolean?}?
---@return string
--- Raises unsupported (analyze on SQLite), and the errors of a statement.
function methods:explain(options)
  check_table("explain", options)
  for name in pairs(options or {}) do
    if name ~= "analyze" then
      return errors.raise("unknown_option", "explain takes no option " .. tostring(name)
        .. vocabulary.suggest(name, { "analyze" }))
    end
  end
  local _, database = place_of(self)
  local dialect = loading.dialect_of(database)
  if dialect.explain == nil then
    return errors.raise("unsupported", "explain is not built for " .. dialect.name .. " yet")
  end
  local st = compile.select(self, dialect)
  local sql = dialect.explain(st.sql, options and options.analyze)
  local params, n = st:bind(self)
  local function ask()
    return run(database, nil, sql, "read", params, n, options_of(database, st), core.rows)
  end
  return dialect.explained(options and options.analyze and undone(database, ask) or ask())
end

return methods
