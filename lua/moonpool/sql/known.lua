-- Statements that are kept with the shape that they were compiled for, and what compiling a query set for reading and
-- for changing have in common.

local select_room = require "moonpool.sql.select"
local statement = require "moonpool.sql.statement"
local writer = require "moonpool.sql.writer"

local TOP, SKIP = statement.TOP, statement.SKIP

local known = {
  -- purposes; statements of a shape are kept by these and by which limits there are
  SELECT = 0, COUNT = 4, EXISTS = 8, DELETE = 12,
}

function known.limits_of(q)
  return (q.top and 1 or 0) + (q.skip and 2 or 0)
end

--- The statement that was compiled under a key, if there is one, and where it is to be kept.
function known.find(q, dialect, key)
  local statements = q.shape.statements[dialect]
  if not statements then
    statements = {}
    q.shape.statements[dialect] = statements
  end
  return statements[key], statements
end

--- The SELECT of a query set with its limits; options as for moonpool.sql.select.
function known.build(q, options)
  options.top = q.top and TOP
  options.skip = q.skip and SKIP
  return select_room.build(q.shape, options)
end

--- A writer for a statement that begins with a scope.
function known.writer(dialect, scope, target)
  return writer.new(dialect, scope.names.count > 1, target)
end

--- Whether a SELECT is known to find no row.
function known.is_empty(select)
  local where, having = select.where, select.having
  return where ~= nil and where.op == "false" or having ~= nil and having.op == "false" or false
end

return known
