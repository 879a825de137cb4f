-- A compiled statement: text, and what is needed to run it with the values of a query set. Shared by all
-- query sets of its shape; never changed.

local core = require "moonpool.core"

local unpack = unpack or table.unpack

local statement = {}

-- So many leading parameters are copied at once: unpack has them all on the stack.
local MOST_AT_ONCE = 200

---@class moonpool.statement
---@field sql string
---@field access string       "read" or "write"
---@field plan table          { names, kinds } of the columns that it gives
---@field output string       "objects" "rows" "arrays" "none"
---@field width integer       of objects: how many of the columns are the entity's own; the rest are annotations
---@field locks boolean       it locks rows: only inside a transaction
---@field empty boolean       known to find no row: need not be sent
---@field n integer           parameters
---@field kinds integer[]     of the parameters
---@field options table       for the core: { own = true, kinds = kinds }; reads, for sessions: the tables whose rows it sees
---@field direct boolean      the parameters are the slots of the query set as they are
---@field leading integer     so many parameters from the first on are, or are to be replaced
---@field order integer[]?    the slots of the parameters, where each is a slot as it is
local Statement = {}
Statement.__index = Statement

-- Slots of the limits, which a query set carries apart from its values.
statement.TOP, statement.SKIP = 0, -1

--- Make one from what a writer wrote. More fields in `fields`.
function statement.new(w, fields)
  local kinds, leading, order = {}, 0, {}
  local sent_as = w.dialect.sent_as
  for i, slot in ipairs(w.slots) do
    order = order and slot.index > 0 and not slot.change and order
    if order then order[i] = slot.index end
    kinds[i] = core.kind[sent_as and sent_as[slot.kind] or slot.kind] or core.kind.null
    if leading == i - 1 and slot.index == i and not slot.change then leading = i end
  end
  fields.sql = w:sql()
  fields.slots = w.slots
  fields.n = #w.slots
  fields.kinds = kinds
  fields.options = core.options { own = true, kinds = kinds, reads = w.reads }
  fields.direct = leading == fields.n
  fields.leading = math.min(order and fields.n or leading, MOST_AT_ONCE)
  fields.order = order or nil
  fields.empty = fields.empty or false
  fields.plan = fields.plan or { names = {}, kinds = {} }
  return setmetatable(fields, Statement)
end

--- The parameters for a query set of the shape that this was compiled for. The array may be the query
--- set's own: it is not to be changed.
---@param q table
---@return any[] params, integer n
function Statement:bind(q)
  local values = q.slots
  if self.direct then return values, self.n end
  return self:fill(values, q.top, q.skip)
end

--- As bind, from an array of slots.
function Statement:fill(values, top, skip)
  local slots, n, leading, order = self.slots, self.n, self.leading, self.order
  local params = { unpack(values, 1, leading) } -- in its size: growing one by one costs as much again
  if order then
    for i = 1, n do params[i] = values[order[i]] end
    return params, n
  end
  for i = leading + 1, n do
    local slot = slots[i]
    local index = slot.index
    local value
    if index > 0 then
      value = values[index]
    elseif index == 0 then
      value = top
    else
      value = skip
    end
    local change = slot.change
    if change then value = change(value) end
    params[i] = value
  end
  return params, n
end

-- What a program's input decides (names in JSON, which columns have changed) may make forms without end: those before
-- are then forgotten, and compiled again.
local MOST_KEPT, COUNT = 1000, {}

--- Keep a statement for the next time, among others of its shape or entity.
---@param kept table by key
---@return moonpool.statement
function statement.keep(kept, key, made)
  local n = kept[COUNT] or 0
  if n >= MOST_KEPT then
    for old in pairs(kept) do kept[old] = nil end
    n = 0
  end
  kept[key], kept[COUNT] = made, n + 1
  return made
end

return statement
