-- W6: the published books of 20 authors, by price and key, at most 100.

local mp = require "moonpool"
local measure = require "measure"
local entities = require "entities"
local Book = entities.Book

local text_sum = measure.text_sum

local function sum_of(book)
  return book.id + text_sum(book.title) + book.author_id * 3 + book.pages * 5
    + (book.published and 7 or 0) + math.tointeger(book.price * 4) * 11
end

local function twenty_authors(next_number, authors)
  local keys = {}
  for i = 1, 20 do
    keys[i] = next_number() % authors + 1
  end
  return keys
end

local function select_rounds(run, fetch)
  local figures, next_number = measure.figures, measure.random(7)
  for _ = 1, run.n do
    local start = measure.clock()
    measure.start()
    local books = fetch(twenty_authors(next_number, run.authors))
    measure.stop()
    measure.took(start)
    for place, book in ipairs(measure.checked and books or {}) do
      figures.checksum = figures.checksum + sum_of(book) + place * book.id
    end
  end
  figures.units = run.n
end

local w6 = {}

function w6.objects(run)
  select_rounds(run, function(keys)
    return Book:filter{ author_id__in = keys, published = true }:order_by("price", "id"):limit(100):all()
  end)
end

function w6.rows(run)
  local db = mp.db()
  local sql = "select id, title, author_id, pages, published, price from book where author_id in ("
    .. ("?, "):rep(19) .. "?) and published order by price, id limit 100"
  select_rounds(run, function(keys) return db:fetch_all(sql, table.unpack(keys)) end)
end

return w6
