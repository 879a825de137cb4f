-- W5: many authors inserted at once, keys not wanted.

local mp = require "moonpool"
local measure = require "measure"
local entities = require "entities"
local new_authors = require "workload.new_authors"
local Author = entities.Author

local function insert_rounds(run, make, insert)
  local figures, n = measure.figures, run.n
  for round = 1, run.rounds do
    local list = make(run.authors + (round - 1) * n + 1, n)
    measure.start()
    local inserted = insert(list)
    measure.stop()
    figures.checksum = figures.checksum + inserted
  end
  figures.units = n * run.rounds
end

local w5 = {}

function w5.objects(run)
  insert_rounds(run, new_authors.tables, function(list)
    return Author:bulk_create(list, { returning = false })
  end)
end

function w5.rows(run)
  local db = mp.db()
  local sql = "insert into author (name, email, age, balance, created) values (?, ?, ?, ?, ?)"
  insert_rounds(run, new_authors.arrays, function(list)
    return db:execute_many(sql, list)
  end)
end

function w5.copy(run)
  local db = mp.db()
  local columns = { "name", "email", "age", "balance", "created" }
  insert_rounds(run, new_authors.arrays, function(list)
    return db:copy_in("author", columns, list)
  end)
end

return w5
