-- Entities, queries, a transaction and concurrent tasks, on an SQLite database in memory.
-- Run it with: ./scripts/run examples/01_quickstart.lua

local mp = require "moonpool"
local f = mp.field

mp.configure "sqlite::memory:"

local Author = mp.entity("Author", {
  name = f.string{ max = 100, unique = true },
  born = f.integer{ null = true },
})
local Book = mp.entity("Book", {
  title = f.string{ max = 200 },
  price = f.decimal{ precision = 8, scale = 2 },
  author = f.belongs_to("Author", { inverse = "books", on_delete = "cascade" }),
})

mp.db():create_all()

-- All of it or nothing.
mp.atomic(function()
  local ursula = Author:create{ name = "Ursula K. Le Guin", born = 1929 }
  Book:create{ title = "The Dispossessed", price = "12.50", author = ursula }
  Book:create{ title = "A Wizard of Earthsea", price = "9.99", author = ursula }
  Book:create{ title = "Solaris", price = "11.00", author = Author:create{ name = "Stanisław Lem", born = 1921 } }
end)

-- The inner block fails, and only its own work is undone.
mp.atomic(function()
  Author:create{ name = "Octavia E. Butler", born = 1947 }
  local ok, err = mp.try(mp.atomic, function()
    Author:create{ name = "Octavia E. Butler" } -- the name is unique
  end)
  print("inner block:", ok, err.kind)
end)
print("authors:", Author:count())

-- A touched relation loads for all objects of the result at once.
for _, book in ipairs(Book:filter{ price__gte = "10" }:order_by("title"):all()) do
  print(book.title, book.price, book.author.name)
end

-- No special spelling: each of these suspends only its own task.
local oldest, dearest, total = mp.gather(
  function() return Author:order_by("born"):first().name end,
  function() return Book:order_by("-price"):first().title end,
  function() return Book:sum("price") end
)
print("oldest author:", oldest)
print("dearest book:", dearest)
print("all books together:", total)

-- prints:
-- inner block:	nil	unique
-- authors:	3
-- Solaris	11.00	Stanisław Lem
-- The Dispossessed	12.50	Ursula K. Le Guin
-- oldest author:	Stanisław Lem
-- dearest book:	The Dispossessed
-- all books together:	33.49
