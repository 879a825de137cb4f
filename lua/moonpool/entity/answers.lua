-- What sets answer of rows that were prefetched, without asking the database: author.books:all(), :count() and the like
-- of a whole set. What narrows it asks.

local query_set = require "moonpool.entity.query"
local relation = require "moonpool.entity.relation"

require "moonpool.entity.prefetch" -- and the terminals that are wrapped here

local methods = query_set.methods
local rawget = rawget

-- The first and the last of rows that came in no order: by key.
local function extreme(q, rows, last)
  if rows.ordered or rows[2] == nil then
    return rows[last and #rows or 1]
  end
  local key = q.model.key
  local best = rows[1]
  for place = 2, #rows do
    local one = rows[place]
    for _, field in ipairs(key) do
      local a, b = rawget(one, field.attribute), rawget(best, field.attribute)
      if a ~= b then
        if (a < b) ~= (last or false) then
          best = one
        end
        break
      end
    end
  end
  return best
end

local function copy_of(rows)
  local copy = {}
  for place = 1, #rows do
    copy[place] = rows[place]
  end
  return copy
end

-- What iter gives: the rows as they were when it was called.
local Rows = {}
Rows.__index = Rows

function Rows:__call()
  self.place = self.place + 1
  return self.list[self.place]
end

function Rows:close()
  self.list = {}
end

Rows.__close = Rows.close

local answers = {
  all = copy_of,
  count = function(rows) return #rows end,
  exists = function(rows) return rows[1] ~= nil end,
  first = function(rows, q) return extreme(q, rows, false) end,
  last = function(rows, q) return extreme(q, rows, true) end,
  iter = function(rows) return setmetatable({ list = copy_of(rows), place = 0 }, Rows) end,
}

for name, answer in pairs(answers) do
  local ask = methods[name]
  methods[name] = function(self, given)
    local rows = given == nil and self.extra and relation.rows_of(self)
    if rows then
      return answer(rows, self)
    end
    return ask(self, given)
  end
end

return answers
