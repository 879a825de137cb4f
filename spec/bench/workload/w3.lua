-- W3: items with id <= n, each cell in its final type. Each result is checked whole between the
-- measured rounds, without making garbage that the next round would pay for.

local mp = require "moonpool"
local measure = require "measure"
local entities = require "entities"
local Item = entities.Item

local text_sum, seconds_of = measure.text_sum, measure.seconds_of

local function sum_of(item)
  return item.id + text_sum(item.title) + math.floor(item.balance:tonumber() * 100 + 0.5) * 3
    + seconds_of(item.created) * 5 + (item.published == true and 7 or 0)
    + math.tointeger(item.price * 4) * 11
end

local function fetch_rounds(run, fetch)
  local figures, n = measure.figures, run.n
  fetch()
  for _ = 1, run.rounds do
    measure.start()
    local rows = fetch()
    measure.stop()
    assert(#rows == n, "rows are missing")
    for i = 1, measure.checked and n or 0 do
      figures.checksum = figures.checksum + sum_of(rows[i])
    end
  end
  figures.units = n * run.rounds
end

local w3 = {}

function w3.objects(run)
  fetch_rounds(run, function() return Item:filter{ id__lte = run.n }:all() end)
end

function w3.rows(run)
  local db = mp.db()
  local sql = "select id, title, balance, created, published, price from item where id <= ?"
  fetch_rounds(run, function() return db:fetch_all(sql, run.n) end)
end

return w3
