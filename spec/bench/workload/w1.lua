-- W1: one book by its key, again and again, one task.

local mp = require "moonpool"
local measure = require "measure"
local entities = require "entities"
local Book = entities.Book

local text_sum = measure.text_sum

local function sum_of(book)
  return book.id + text_sum(book.title) + book.author_id * 3 + book.pages * 5
    + (book.published and 7 or 0) + math.tointeger(book.price * 4) * 11
end

local function point_select(run, by_key)
  local next_number, books, sum = measure.random(1), run.books, 0
  for _ = 1, run.n // 10 do
    by_key(next_number() % books + 1)
  end
  next_number = measure.random(7)
  measure.start()
  for _ = 1, run.n do
    sum = sum + sum_of(by_key(next_number() % books + 1))
  end
  measure.stop()
  measure.figures.units = run.n
  measure.figures.checksum = sum
  measure.latency(run.n, function()
    by_key(next_number() % books + 1)
  end)
end

local w1 = {}

function w1.objects(run)
  point_select(run, function(id) return Book:get(id) end)
end

function w1.rows(run)
  local db = mp.db()
  local sql = "select id, title, author_id, pages, published, price from book where id = ?"
  point_select(run, function(id) return db:fetch_one(sql, id) end)
end

return w1
