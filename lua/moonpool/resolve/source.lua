-- The tables of one SELECT: the one it starts from and those it joins. A scope is one SELECT (or the
-- table of an UPDATE); a source is one table in it under one alias.

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

local function add(scope, model, wanted, null)
  return { scope = scope, model = model, alias = alias_for(scope.names, wanted), null = null, links = {} }
end

--- A scope that starts from a model's table, or from rows that base.rows is set to. outer: the scope of the SELECT
--- around it.
---@param model table
---@param outer table?
function source.scope(model, outer)
  local scope = { model = model, joins = {}, names = outer and outer.names or { taken = {}, count = 0 } }
  scope.base = add(scope, model, model.table, false)
  return scope
end

--- The source that a relation to one row leads to. A relation that may be NULL joins outer, and so
--- does everything behind it.
---@param from table  source
---@param field table  belongs_to
function source.follow(from, field)
  local joined = from.links[field.name]
  if not joined then
    local scope = from.scope
    local wanted = from == scope.base and field.name or from.alias .. "__" .. field.name
    joined = add(scope, field:target(), wanted, from.null or field.null)
    joined.from, joined.field = from, field
    from.links[field.name] = joined
    scope.joins[#scope.joins + 1] = joined
  end
  return joined
end

--- A scope for the rows of a relation to many, tied to the row of `from`.
---@param from table  source
---@param inverse table
function source.behind(from, inverse)
  local scope = source.scope(inverse.model, from.scope)
  scope.tie = { from = from, field = inverse.field }
  return scope
end

return source
