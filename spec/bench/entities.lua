-- The tables of the bench, as entities. moonpool makes them, so that the raw C programs and
-- moonpool meet the very same schema.

local mp = require "moonpool"
local f = mp.field

local entities = {}

entities.Author = mp.entity("Author", {
  name    = f.string{ max = 100 },
  email   = f.string{ max = 200 },
  age     = f.integer(),
  balance = f.decimal{ precision = 12, scale = 2 },
  created = f.datetime(),
})

entities.Book = mp.entity("Book", {
  title     = f.string{ max = 200 },
  author    = f.belongs_to("Author", { inverse = "books" }),
  pages     = f.integer(),
  published = f.boolean(),
  price     = f.float(),
})

entities.Item = mp.entity("Item", {
  title     = f.string{ max = 200 },
  balance   = f.decimal{ precision = 12, scale = 2 },
  created   = f.datetime(),
  published = f.boolean(),
  price     = f.float(),
})

return entities
