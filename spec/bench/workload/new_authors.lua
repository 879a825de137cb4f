-- The values of authors to be inserted, by number: what raw_sqlite.c makes too. Made before the clock runs.

local mp = require "moonpool"

local new_authors = {}

-- Five values in the order of the columns.
local function author(i)
  local cents = i * 9973 % 10000000
  return ("Author %05d"):format(i), ("author%d@example.org"):format(i), 18 + i * 7 % 60,
    mp.decimal(("%d.%02d"):format(cents // 100, cents % 100)),
    mp.datetime(("2024-02-%02d %02d:%02d:%02d"):format(i % 28 + 1, i % 24, i % 60, i * 7 % 60))
end

---@return table[]  arrays of five values
function new_authors.arrays(first, n)
  local list = {}
  for k = 1, n do
    list[k] = { author(first + k - 1) }
  end
  return list
end

---@return table[]  tables keyed by field
function new_authors.tables(first, n)
  local list = {}
  for k = 1, n do
    local name, email, age, balance, created = author(first + k - 1)
    list[k] = { name = name, email = email, age = age, balance = balance, created = created }
  end
  return list
end

return new_authors
