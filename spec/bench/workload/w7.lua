-- W7: the authors up to a key with all their books, in two statements. Units are objects, of both entities.

local measure = require "measure"
local entities = require "entities"
local Author = entities.Author

local text_sum = measure.text_sum

local function author_sum(author)
  return author.id + text_sum(author.name) + text_sum(author.email) + author.age * 7
    + math.floor(author.balance:tonumber() * 100 + 0.5) * 3 + measure.seconds_of(author.created) * 5
end

local function book_sum(book)
  return book.id + text_sum(book.title) + book.author_id * 3 + book.pages * 5 + (book.published and 7 or 0)
    + math.tointeger(book.price * 4) * 11
end

local w7 = {}

function w7.objects(run)
  local figures = measure.figures
  local function fetch() return Author:filter{ id__lte = run.n }:prefetch("books"):all() end
  fetch()
  for _ = 1, run.rounds do
    measure.start()
    local authors = fetch()
    measure.stop()
    assert(#authors == run.n, "authors are missing")
    for _, author in ipairs(authors) do
      local books = author.books:all()
      figures.units = figures.units + 1 + #books
      if measure.checked then
        figures.checksum = figures.checksum + author_sum(author)
        for _, book in ipairs(books) do
          figures.checksum = figures.checksum + book_sum(book)
        end
      end
    end
  end
end

return w7
