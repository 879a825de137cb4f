-- The entities of the specs of sessions: authors and their books, in a database where they have tables.

local mp = require "moonpool"
local f = mp.field

return function(db)
  local Author = mp.entity("Author", {
    name = f.string{ max = 100, unique = true }, age = f.integer{ default = 0 }, email = f.string{ null = true },
  }, { database = db })
  local Book = mp.entity("Book", {
    title = f.string{ max = 100 }, author = f.belongs_to("Author", { inverse = "books" }),
  }, { database = db })
  db:create_all()
  return Author, Book
end
