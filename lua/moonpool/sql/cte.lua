-- Table expressions: WITH name AS (...). with_cte(name, query set) defines one for a statement; with_cte(name) is the query
-- set of its rows, of the same form as the query set that it is called on. A definition that asks for its own rows is
-- recursive: behind a union, its last part is then joined with the rows found so far.

local combine = require "moonpool.sql.combine"
local errors = require "moonpool.errors"
local expression_room = require "moonpool.resolve.expression"
local shape_room = require "moonpool.sql.shape"
local step = require "moonpool.sql.step"
local template = require "moonpool.resolve.template"
local vocabulary = require "moonpool.vocabulary"

local cte = {}
local methods = {}
cte.methods = methods

local function check_name(q, name)
  local ok, why = vocabulary.is_name(name)
  if not ok then
    errors.raise("bad_argument", ("with_cte of %s: the name %s %s"):format(q.model.name, vocabulary.quoted(name), why))
  elseif name:lower() == q.model.table:lower() then
    errors.raise("bad_argument", ("with_cte of %s: %s is the name of its table: the rows of that could not be asked for"):format(
      q.model.name, vocabulary.quoted(name)))
  end
end

local function define(q, name, other)
  check_name(other, name)
  for _, one in ipairs(q.shape.ctes or {}) do
    if one.name == name then
      errors.raise("bad_argument", ("with_cte of %s: %s is defined already"):format(q.model.name, vocabulary.quoted(name)))
    end
  end
  local walk = step.walk(q)
  template.query(walk, other)
  return step.advance(q, walk, "with " .. #name .. ":" .. name .. " ", function(building, takes)
    local part = template.query(building, other)
    for i = q.shape.count + 1, building.count do takes[i] = expression_room.as_it_is end
    local whole, names = combine.form(other)
    local definition = { name = name, part = part, whole = whole, names = names, model = other.model }
    local is_narrow = other.shape.filtered or other.top or other.skip or false
    return {
      ctes = shape_room.with(q.shape.ctes or {}, definition),
      filtered = q.shape.filtered or q.shape.from ~= nil and q.shape.from.cte == name and is_narrow ~= false,
    }
  end)
end

--- with_cte("name", query_set): the statement begins with WITH name AS (...), once for all that refers to it.
--- with_cte("name"): the rows of that name, as objects or values of the form of this query set.
function methods.with_cte(q, name, ...)
  check_name(q, name)
  if select("#", ...) == 0 then return combine.named(q, name) end
  return define(q, name, combine.check_database("with_cte", q, (...)))
end

-- What a filter on a relation says of rows of a table expression, { relation, rows } by key; nil if none does.
local function references_of(built)
  local found
  for _, item in ipairs(built._op == "match" and built or {}) do
    local query = item.operand.query
    local from = query and query.shape.from
    if from and from.cte and query.shape.pure and item.meaning.path then
      found = found or {}
      found[#found + 1] = { relation = item.meaning.text:gsub("__in$", ""), shape = query.shape }
    end
  end
  return found
end

--- Behind a filter `parent__in = rows` the columns of those rows that are no field's are called parent__column, for the
--- expressions of a recursive definition. The context with these; nil if there are none.
function cte.context(shape, built)
  local references = references_of(built)
  if not references then return nil end
  local context = shape.context
  local annotations = {}
  for name, annotation in pairs(context.annotations) do annotations[name] = annotation end
  for _, one in ipairs(references) do
    for _, column in ipairs(one.shape.values) do
      local tree = column.template
      annotations[one.relation .. "__" .. column.name] = {
        name = one.relation .. "__" .. column.name, kind = column.kind,
        template = {
          _op = "beside", relation = one.relation, name = column.name, kind = tree.kind, null = tree.null, number = tree.number,
        },
      }
    end
  end
  return { model = context.model, annotations = annotations, meanings = {}, only_columns = context.only_columns }
end

return cte
