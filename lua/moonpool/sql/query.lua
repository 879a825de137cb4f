-- Query sets: immutable, each method gives another one. The words of api.md section 4 are in the files of their
-- kind (narrow, order, columns, related, combine, cte, lock); here they come together with the limits, and what other rooms ask of a query
-- set. Nothing here writes SQL.

local columns = require "moonpool.sql.columns"
local combine = require "moonpool.sql.combine"
local cte = require "moonpool.sql.cte"
local errors = require "moonpool.errors"
local lock = require "moonpool.sql.lock"
local narrow = require "moonpool.sql.narrow"
local order = require "moonpool.sql.order"
local related = require "moonpool.sql.related"
local step = require "moonpool.sql.step"
local vocabulary = require "moonpool.vocabulary"

local query = {
  root = step.root,
  with = step.with,
  limited = step.limited,
  owned = narrow.owned,
  narrowed = narrow.narrowed,
  with_deleted = narrow.with_deleted,
  is_filtered = narrow.is_filtered,
  by_key = order.by_key,
  is_ordered = order.is_ordered,
  aggregated = columns.aggregated,
  unlocked = lock.without,
}

local methods = {}
query.methods = methods

for _, room in ipairs { narrow, order, columns, related, combine, cte, lock } do
  for name, method in pairs(room.methods) do methods[name] = method end
end

local function amount(method, value)
  if type(value) ~= "number" or value % 1 ~= 0 or value < 0 then
    errors.raise("bad_argument", ("%s takes a number of rows, not %s"):format(method, vocabulary.quoted(value)))
  end
  return value
end

--- At most so many rows.
function methods.limit(q, count, given)
  if given ~= nil then errors.raise("bad_argument", "limit takes one number of rows: limit(10):offset(20), or slice(21, 30)") end
  return query.limited(q, amount("limit", count), q.skip)
end

--- Without the first rows.
function methods.offset(q, count, given)
  if given ~= nil then errors.raise("bad_argument", "offset takes one number of rows: limit(10):offset(20), or slice(21, 30)") end
  return query.limited(q, q.top, amount("offset", count))
end

--- Rows first..last, counted from 1, like string.sub.
function methods.slice(q, first, last, given)
  if given ~= nil then errors.raise("bad_argument", "slice takes the first and the last row: slice(21, 30)") end
  if amount("slice", first) < 1 then errors.raise("bad_argument", "slice counts rows from 1") end
  if last == nil then return query.limited(q, nil, first - 1) end
  return query.limited(q, math.max(amount("slice", last) - first + 1, 0), first - 1)
end

return query
