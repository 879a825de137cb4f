-- The tables of one SELECT: the one it starts from and those it joins. A scope is one SELECT (or the
-- table of an UPDATE); a source is one table in it under one alias. What always holds of the rows of a model (they are
-- not deleted, they are of the entity) stands with its source, wherever that is.

local node = require "moonpool.tree.node"

local errors = require "moonpool.errors"
local relations = require "moonpool.resolve.relations"

local source = {}

-- Aliases are unique over the whole statement, sub-selects included, and PostgreSQL cuts longer ones.
local LONGEST = 63

local function alias_for(names, wanted)
  local alias, n = wanted, 1
  while #alias > LONGEST or names.taken[alias:lower()] do
    n = n + 1
    alias = wanted:sub(1, LONGEST - 4) .. "_" .. n
  end
  names.taken[alias:lower()] = true
  names.count = names.count + 1
  return alias
end

-- deleted: "with" rows that are, "only" those; nil: none.
local function standing_of(from, model, deleted)
  local items = {}
  local field = model.deleted_field
  if field and deleted ~= "with" then
    local live = node.is_null(node.column(from, field, true))
    items[1] = deleted == "only" and node.negation(live) or live
  end
  if model.kinds then
    local column = node.column(from, model.discriminator_field, model.discriminator_field.null)
    local names = {}
    for i, name in ipairs(model.kinds) do names[i] = node.constant(name) end
    items[#items + 1] = #names == 1 and node.compare("=", column, names[1]) or node.among(column, names)
  end
  return items[1] and node.joined("and", items) or nil
end

local function add(scope, model, wanted, null, deleted)
  local from = { scope = scope, model = model, alias = alias_for(scope.names, wanted), null = null, links = {} }
  from.standing = standing_of(from, model, deleted)
  return from
end

--- A scope that starts from a model's table, or from rows that base.rows is set to. outer: the scope of the SELECT
--- around it; deleted: see standing_of.
---@param model table
---@param outer table?
---@param deleted string?
function source.scope(model, outer, deleted)
  local scope = { model = model, joins = {}, names = outer and outer.names or { taken = {}, count = 0 } }
  scope.base = add(scope, model, model.table, false, deleted)
  return scope
end

-- A statement is of one database.
local function check_database(from, model, name)
  if not relations.share_database(from.model, model) then
    errors.raise("unsupported", ("%s of %s lives in another database: ask there, and give the keys to __in"):format(name,
      from.model.name))
  end
end

--- The source that a relation to one row leads to. A relation that may be NULL, or lead to a row that is left out, joins
--- outer, and so does everything behind it; the other side of a one_to_one may always be missing.
---@param from table  source
---@param step table  { field } or { inverse } with `one`
function source.follow(from, step)
  local name = step.name
  local joined = from.links[name]
  if not joined then
    local scope, field, inverse = from.scope, step.field, step.inverse
    check_database(from, step.model, name)
    local wanted = from == scope.base and name or from.alias .. "__" .. name
    joined = add(scope, step.model, wanted, from.null or inverse ~= nil or field.null)
    joined.null = joined.null or joined.standing ~= nil
    joined.from, joined.on = from, relations.pairs(field or inverse.field, inverse ~= nil)
    from.links[name] = joined
    scope.joins[#scope.joins + 1] = joined
  end
  return joined
end

--- The table between, joined to the rows of the far side, which then come once for each pair.
---@param to table  source
---@param inverse table  with `over`
function source.between(to, inverse)
  local scope = to.scope
  local joined = add(scope, inverse.model, inverse.model.table, false)
  joined.from, joined.on = to, relations.pairs(inverse.over, true)
  scope.joins[#scope.joins + 1] = joined
  return joined
end

--- Rows of a table expression, joined as what a relation leads to.
---@param on table[]  pairs of columns, as those of relations
function source.beside(from, model, name, on, rows)
  local joined = add(from.scope, model, name, false)
  joined.from, joined.on, joined.rows, joined.standing, joined.null = from, on, rows, nil, false
  from.links[name] = joined
  from.scope.joins[#from.scope.joins + 1] = joined
end

--- A scope for the rows of a relation to many, tied to the row of `from`: tie.on pairs a column of the scope's own table
--- with one of from.
---@param from table  source
---@param inverse table
function source.behind(from, inverse)
  check_database(from, inverse.model, inverse.name)
  local scope = source.scope(inverse.model, from.scope)
  scope.tie = { from = from, on = relations.pairs(inverse.field, true) }
  return scope
end

return source
