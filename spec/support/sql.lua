-- For specs about SQL: query sets without entities and without a database, and one assertion that puts
-- the texts of the three databases side by side.

local compile = require "moonpool.sql.compile"
local dialect = require "moonpool.dialect"
local luassert = require "luassert"
local model = require "moonpool.resolve.model"
local query = require "moonpool.sql.query"
local tree = require "moonpool.tree"

local sql = {}

local NAMES = { "postgres", "mariadb", "sqlite" }
local KNOWN = { postgres = true, mariadb = true, sqlite = true, params = true }

local ABSENT = { top = true, skip = true, extra = true }

-- All rows of a model; `.age` is the column, as on an entity.
local QuerySet = {}
function QuerySet.__index(q, name)
  if ABSENT[name] then return nil end
  return query.methods[name] or tree.column(q.model, name)
end

--- Declare an entity as far as SQL is concerned: its query set of all rows.
function sql.entity(name, fields, options)
  return query.root(model.declare(name, fields, options), QuerySet)
end

-- Values have metatables that compare by value only where ==; their texts are compared here.
local function readable(values, n)
  local list = {}
  for i = 1, n do
    local value = values[i]
    list[i] = type(value) == "userdata" and tostring(value) or value == nil and "nil" or value
  end
  return list
end

local function compare(name, expected, found, params, n)
  if expected[name] then
    luassert.equal(expected[name], found.sql)
  end
  local wanted = expected.params and expected.params[name] or expected.params
  if wanted then
    luassert.same(readable(wanted, #wanted), readable(params, n))
  end
end

--- The SELECT of a query set on each database. expected: postgres, mariadb, sqlite, and params, which is
--- an array or, where they differ, an array by database. what: another function of compile, "count" for one.
function sql.assert(q, expected, what, ...)
  for name in pairs(expected) do
    luassert.is_true(KNOWN[name] or false, "an expectation for " .. tostring(name))
  end
  for _, name in ipairs(NAMES) do
    local found, params, n = compile[what or "select"](q, dialect.get(name), ...)
    if not params then params, n = found:bind(q) end
    compare(name, expected, found, params, n)
  end
end

--- The same for UPDATE and for aggregates.
function sql.assert_update(q, values, expected) sql.assert(q, expected, "update", values) end
function sql.assert_delete(q, expected) sql.assert(q, expected, "delete") end
function sql.assert_aggregate(q, aggregates, expected) sql.assert(q, expected, "aggregate", aggregates) end

-- A part of the SELECT of q: each database has its text, and its parameters are none if none are expected.
local function compare_part(q, expected, cut)
  for _, name in ipairs(NAMES) do
    local found = compile.select(q, dialect.get(name))
    local params, n = found:bind(q)
    luassert.equal(expected[name], cut(found.sql))
    local wanted = expected.params and (expected.params[name] or expected.params) or {}
    luassert.same(readable(wanted, #wanted), readable(params, n))
  end
end

--- An expression as it stands between SELECT and FROM, of the rows of an entity.
function sql.assert_expression(entity, expression, expected)
  compare_part(entity:values("id"):annotate { x = expression }:values("x"), expected, function(text)
    return (text:gsub("^SELECT ", ""):gsub(" AS [\"`]x[\"`] FROM [\"`][%w_]+[\"`]$", ""))
  end)
end

--- A condition as it stands behind WHERE.
function sql.assert_condition(entity, condition, expected)
  compare_part(entity:filter(condition):values("id"), expected, function(text) return text:match " WHERE (.*)$" end)
end

--- The WHERE of a query set on SQLite, where the rest does not matter.
function sql.where(q)
  local text = compile.select(q, dialect.get "sqlite").sql
  return text:match(" WHERE (.*)$") or ""
end

--- The error object that fn raises, of that kind.
function sql.error(kind, fn)
  local ok, err = pcall(fn)
  luassert.is_false(ok)
  luassert.equal(kind, type(err) == "table" and err.kind or err)
  return err.message
end

return sql
