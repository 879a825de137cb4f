-- W2: one book by its key, by many tasks at a time on few connections.

local mp = require "moonpool"
local measure = require "measure"
local entities = require "entities"
local Book = entities.Book

local text_sum = measure.text_sum

local function sum_of(book)
  return book.id + text_sum(book.title) + book.author_id * 3 + book.pages * 5
    + (book.published and 7 or 0) + math.tointeger(book.price * 4) * 11
end

-- n selects, by whichever task is free; their sum does not depend on who has read what.
local function select_books(run, n, seed, by_key, timed)
  local next_number, books, sum, left = measure.random(seed), run.books, 0, n
  local function one_task()
    while left > 0 do
      left = left - 1
      local start = timed and measure.clock()
      local book = by_key(next_number() % books + 1)
      sum = sum + sum_of(book) -- read only now: the others have added theirs meanwhile
      if timed then measure.took(start) end
    end
  end
  local tasks = {}
  for i = 1, run.tasks do
    tasks[i] = mp.spawn(one_task)
  end
  for _, task in ipairs(tasks) do
    task:wait()
  end
  return sum
end

-- Connecting is no part of a select: all that the pool may have are there before anything counts.
local function open_all(n)
  local held = {}
  for i = 1, n do
    held[i] = mp.db():connect()
  end
  for _, connection in ipairs(held) do
    connection:close()
  end
end

local function concurrent_select(run, by_key)
  local figures = measure.figures
  open_all(run.max)
  select_books(run, run.n // 10, 1, by_key)
  measure.start()
  figures.checksum = select_books(run, run.n, 7, by_key)
  measure.stop()
  measure.over()
  figures.units = run.n
  select_books(run, math.min(run.n, 5000), 1, by_key, true)
end

local w2 = {}

function w2.objects(run)
  concurrent_select(run, function(id) return Book:get(id) end)
end

function w2.rows(run)
  local db = mp.db()
  local sql = "select id, title, author_id, pages, published, price from book where id = ?"
  concurrent_select(run, function(id) return db:fetch_one(sql, id) end)
end

return w2
