-- W4: authors inserted one by one in a transaction, each with its key back; or built in a session, which inserts them.

local mp = require "moonpool"
local measure = require "measure"
local entities = require "entities"
local new_authors = require "workload.new_authors"
local Author = entities.Author

local w4 = {}

function w4.objects(run)
  local figures, n = measure.figures, run.n
  for round = 1, run.rounds do
    local list = new_authors.tables(run.authors + (round - 1) * n + 1, n)
    measure.start()
    mp.atomic(function()
      for i = 1, n do
        figures.checksum = figures.checksum + Author:create(list[i]).id
      end
    end)
    measure.stop()
  end
  figures.units = n * run.rounds
end

function w4.session(run)
  local figures, n = measure.figures, run.n
  for round = 1, run.rounds do
    local list, made = new_authors.tables(run.authors + (round - 1) * n + 1, n), {}
    measure.start()
    mp.session(function()
      for i = 1, n do
        made[i] = Author(list[i])
      end
    end)
    for i = 1, n do
      figures.checksum = figures.checksum + made[i].id
    end
    measure.stop()
  end
  figures.units = n * run.rounds
end

return w4
