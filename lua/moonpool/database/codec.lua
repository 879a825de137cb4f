-- Types of a program's own making: db:codec(type, { encode, decode }) says what a value of that type is in Lua. It applies to raw SQL:
-- decode to each cell of a column of that type, encode to each parameter that the server wants in that type, and to copy_in.
-- Which type a name means is asked when a type is met for the first time, not before.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local runtime = require "moonpool.runtime"
local statement = require "moonpool.database.statement"

local codec = {}

local STATEMENTS = 1000 -- whose parameters' types are remembered

-- A name may mean another type on each database, and one that is not there yet.
local LOOKUP = "SELECT n, CAST(CAST(to_regtype(n) AS oid) AS bigint) AS id FROM unnest($1::text[]) AS n"

--- Register one.
---@param type_name string as SQL has it: "mood", "public.mood", "point", "mood[]"
---@param functions {encode: (fun(value: any): string)?, decode: (fun(value: any): any)?}
--- Raises unsupported (other databases), bad_argument, unknown_option.
function codec.add(database, type_name, functions)
  if database.dialect ~= "postgres" then
    return errors.raise("unsupported", ("db:codec: only PostgreSQL has types of a program's own, and %s is %s"):format(
      tostring(database), database.dialect))
  elseif type(type_name) ~= "string" or not type_name:find "%S" or type_name:find("\0", 1, true) then
    return errors.raise("bad_argument", "db:codec takes the type's name, a non-empty string")
  elseif type(functions) ~= "table" then
    return errors.raise("bad_argument", "db:codec takes a table { encode = fn, decode = fn }, not a " .. type(functions))
  end
  for name, fn in pairs(functions) do
    if name ~= "encode" and name ~= "decode" then
      return errors.raise("unknown_option", "db:codec takes no " .. tostring(name) .. " (but encode and decode)")
    elseif type(fn) ~= "function" then
      return errors.raise("bad_argument", ("db:codec: %s is a function, not a %s"):format(name, type(fn)))
    end
  end
  if next(functions) == nil then
    return errors.raise("bad_argument", "db:codec takes { encode = fn, decode = fn }, at least one of them")
  end
  local codecs = database.codecs or { by_name = {}, names = {} }
  if codecs.by_name[type_name] == nil then
    table.insert(codecs.names, type_name)
  end
  codecs.by_name[type_name] = { name = type_name, encode = functions.encode, decode = functions.decode }
  codecs.encodes = codecs.encodes or functions.encode ~= nil
  codecs.by_type = {} -- the type's number -> its codec, or false
  codecs.parameters, codecs.parameter_n = {}, 0 -- a statement's text -> the types of its parameters
  database.codecs = codecs
end

-- Ask for the types that were not met before.
local function learn(database, lease, types)
  local codecs = database.codecs
  local by_type, unknown = codecs.by_type, false
  for _, id in ipairs(types) do
    unknown = unknown or by_type[id] == nil
  end
  if not unknown then
    return by_type
  end
  local rows = statement.run(database, lease, LOOKUP, "read", { codecs.names }, 1, { own = true, kinds = { core.kind.array } },
    core.rows)
  for _, id in ipairs(types) do
    by_type[id] = by_type[id] or false
  end
  for _, row in ipairs(rows) do
    if row.id then
      by_type[row.id] = codecs.by_name[row.n]
    end
  end
  return by_type
end

--- The types of a statement's parameters and columns, from the server.
---@param lease userdata? a connection to ask on; nil: where the calling task's statements go
---@return integer[] parameters, integer[] columns
--- Raises what is wrong with the statement.
local function describe(database, lease, sql)
  local at, frame = lease, nil
  if not at then
    at, frame = statement.place(database, "read")
  end
  local op = (at or database.pool):prepare(sql)
  runtime.await(op)
  local count, problem, _, parameters, columns = core.take(op)
  if count == nil then
    local err = statement.fail(database, sql, problem)
    statement.blame(frame, err)
    return error(err, 0)
  end
  return parameters, columns
end

codec.describe = describe

-- What its own function raises passes through unchanged.
local function encoded(found, value)
  local text = found.encode(value)
  if text ~= nil and type(text) ~= "string" then
    return errors.raise("bad_parameters", ("the encode of db:codec %q gave a %s: it gives the text that the server reads, or nil"):format(
      found.name, type(text)))
  end
  return text
end

-- The codec of each parameter that has one with an encode: place -> codec; nil when there is none.
local function encoders(database, lease, sql)
  local codecs = database.codecs
  local types = codecs.parameters[sql]
  if types == nil then
    if codecs.parameter_n >= STATEMENTS then
      codecs.parameters, codecs.parameter_n = {}, 0
    end
    types = describe(database, lease, sql)
    codecs.parameters[sql] = types
    codecs.parameter_n = codecs.parameter_n + 1
  end
  return codec.encoders(database, lease, types)
end

--- The codecs with an encode among these types: place -> codec; nil when there is none.
function codec.encoders(database, lease, types)
  local by_type = learn(database, lease, types)
  local found
  for place, id in ipairs(types) do
    if by_type[id] and by_type[id].encode then
      found = found or {}
      found[place] = by_type[id]
    end
  end
  return found
end

--- Encode rows of n values, one behind the other, in place.
---@param found table<integer, table> of codec.encoders
function codec.encode(found, values, n, rows)
  for place, one in pairs(found) do
    for row = 0, rows - 1 do
      local value = values[row * n + place]
      if value ~= nil and value ~= core.null then
        values[row * n + place] = encoded(one, value)
      end
    end
  end
end

--- The parameters as they are to be sent: encoded in a copy where a codec is for one of them.
function codec.parameters(database, lease, sql, params, n, rows)
  if n == 0 or rows == 0 or not database.codecs.encodes then
    return params
  end
  local found = encoders(database, lease, sql)
  if not found then
    return params
  end
  local copy = {}
  for place = 1, n * rows do
    copy[place] = params[place]
  end
  codec.encode(found, copy, n, rows)
  return copy
end

local function decode_rows(rows, decode, key)
  for _, row in ipairs(rows) do
    local value = row[key]
    if value ~= nil then
      row[key] = decode(value)
    end
  end
end

-- Decode what `take` has given.
local function decode(by_type, take, types, names, value)
  for place, id in ipairs(types) do
    local fn = by_type[id] and by_type[id].decode
    if not fn then -- luacheck: ignore (nothing to do)
    elseif take == core.rows then
      decode_rows(value, fn, names[place])
    elseif take == core.arrays then
      decode_rows(value, fn, place)
    elseif take == core.value and place == 1 and value ~= nil then
      value = fn(value)
    end
  end
  return value
end

--- statement.run with the codecs of the database.
function codec.run(database, lease, sql, access, params, n, options, take)
  local types, names
  params = codec.parameters(database, lease, sql, params, n, 1)
  local ok, value, extra = pcall(statement.run, database, lease, sql, access, params, n, options, function(op, ...)
    types, names = core.types(op)
    return take(op, ...)
  end)
  if not ok then
    codec.forget(database, sql)
    return error(value, 0)
  end
  if types and value ~= nil and take ~= core.take then
    value = decode(learn(database, lease, types), take, types, names, value)
  end
  return value, extra
end

--- A statement failed: the types may be others now.
function codec.forget(database, sql)
  local codecs = database.codecs
  if codecs.parameters[sql] then
    codecs.parameters[sql] = nil
    codecs.parameter_n = codecs.parameter_n - 1
  end
end

--- What a stream needs: its parameters, and the function that reads a chunk. The types are learnt before, because nothing else can
--- be asked on a connection whose rows are being read.
function codec.stream(database, lease, sql, params, n)
  local _, columns = describe(database, lease, sql)
  local by_type = learn(database, lease, columns)
  return codec.parameters(database, lease, sql, params, n, 1), function(op, ...)
    local types, names = core.types(op)
    local rows, problem = core.rows(op, ...)
    if rows and types then
      rows = decode(by_type, core.rows, types, names, rows)
    end
    return rows, problem
  end
end

return codec
