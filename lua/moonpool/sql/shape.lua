-- The shape of a query set: everything about it but its values. Shapes are interned: adding the same
-- kind of condition to the same shape gives the same table again, so that what was resolved
-- and compiled for a shape serves all query sets that have it.
--
-- A shape is never changed but for its caches (next, known, orders, statements).

local shape = {}

local made = 0

-- Shapes that follow from one. More than this many are not the work of a program's text but of
-- its input (a filter on generated names, say): then forgotten, and found again.
local MOST_FOLLOWERS = 1000

--- What a shape says, beside its caches.
---@class moonpool.shape
---@field number integer      identifies it in the keys of others
---@field model table
---@field count integer       slots
---@field takes table[]       by slot: what converts a value
---@field context table       { model, annotations, meanings }
---@field conditions table[]  templates; all must hold
---@field order table[]?      templates with op "order"; nil: none was asked for
---@field reversed boolean
---@field distinct boolean
---@field distinct_on table[]?  templates of columns: of rows that are equal in these, the first
---@field output string       "objects" "rows" "arrays"
---@field loaded table?       fields to load, in order; nil: all
---@field ctes table[]?        table expressions of the statement: { name, part, whole, names, model }; see moonpool.sql.cte
---@field pure boolean?       rows of others and nothing added
---@field related table[]?     rows of relations that are read too; see moonpool.sql.related
---@field place string?      rows tell what they are sorted by; see moonpool.sql.keyset
---@field lock string?       for_update: "wait" "nowait" "skip_locked"
---@field values table[]      columns after those of an object, or of rows and arrays: { name, template, aggregate }
---@field group table[]?      those of values that the rows are grouped by
---@field from table?        derived rows instead of the model's table: { parts, operator, whole }; see moonpool.sql.combine
---@field nothing boolean     none()
---@field filtered boolean    has a condition, or all_rows()
---@field deleted string?     "with" rows that soft_delete marks as deleted, "only" those; nil: without them

local STATE = {
  "model", "context", "conditions", "order", "reversed", "distinct", "distinct_on", "output", "loaded", "values", "group",
  "from", "ctes", "related", "lock", "place", "nothing", "filtered", "deleted",
}

local function new(state)
  made = made + 1
  state.number = made
  state.next, state.followers = {}, 0
  state.known, state.orders = {}, {}
  state.statements = {}
  return state
end

--- All rows of a model.
function shape.root(model)
  return new {
    model = model, count = 0, takes = {}, context = { model = model, annotations = {}, meanings = {} },
    conditions = {}, reversed = false, distinct = false, output = "objects", values = {},
    nothing = false, filtered = false,
  }
end

--- A shape of its own from all that it says.
shape.new = new

--- A shape like `from` but for `changes`, with slots up to count.
function shape.derive(from, changes, count, takes)
  local state = {}
  for _, name in ipairs(STATE) do state[name] = from[name] end
  for name, value in pairs(changes) do state[name] = value end
  state.count = count or from.count
  state.takes = from.takes
  if count and count > from.count then
    state.takes = {}
    for i = 1, from.count do state.takes[i] = from.takes[i] end
    for i = from.count + 1, count do state.takes[i] = takes[i] end
  end
  return new(state)
end

--- Forget what follows from a shape, and what was found about names and compiled.
function shape.forget(from)
  from.next, from.known, from.orders, from.followers, from.statements = {}, {}, {}, 0, {}
  from.context.meanings = {}
end

--- Remember that key leads from one shape to another.
function shape.follow(from, key, to)
  if from.followers >= MOST_FOLLOWERS then
    from.next, from.known, from.orders, from.followers = {}, {}, {}, 0
  end
  from.followers = from.followers + 1
  from.next[key] = to
  return to
end

--- A list with one more item.
function shape.with(list, item)
  local longer = {}
  for i = 1, #list do longer[i] = list[i] end
  longer[#longer + 1] = item
  return longer
end

return shape
