-- Whatever bytes a user's text has, they end as a value or as an error, never in the text of a statement.
-- MOONPOOL_LONG=injection runs it with many more.

local compile = require "moonpool.sql.compile"
local dialect = require "moonpool.dialect"
local f = require("moonpool.field").types
local sql = require "spec.support.sql"
local tree = require "moonpool.tree"

local Author = sql.entity("Author", { name = f.text(), data = f.binary { null = true } })
sql.entity("Book", { title = f.text(), author = f.belongs_to("Author", { inverse = "books" }) })

local ROUNDS = os.getenv "MOONPOOL_LONG" == "injection" and 100000 or 500

local PIECES = {
  "'", '"', "`", "\\", "--", "/*", "*/", ";", "\n", "%", "_", "!", "?", "$1", "?1", ":a", "::", " OR 1=1", "DROP TABLE", "\0",
  "\255", "name", "__", "exact", "in", "[", "]", "*", " ", "(", ")", "ä", "1", "pk", "-", "books", "title", "x'41'",
}

local function hostile(random)
  local parts = {}
  for i = 1, random(1, 6) do parts[i] = PIECES[random(#PIECES)] end
  return table.concat(parts)
end

-- Every way for a text into a query.
local ways = {
  function(text) return Author:filter { name = text } end,
  function(text) return Author:filter { name__contains = text } end,
  function(text) return Author:exclude(Author.name:like(text)) end,
  function(text) return Author:filter { name__iregex = text } end,
  function(text) return Author:filter { name__in = { text, "x" } } end,
  function(text) return Author:filter { data = text } end,
  function(text) return Author:filter { [text] = "x" } end,
  function(text) return Author:filter { ["name__" .. text] = "x" } end,
  function(text) return Author:filter(tree.F[text]:eq "x") end,
  function(text) return Author:filter { books__title__icontains = text } end,
  function(text) return Author:order_by(text) end,
  function(text) return Author:values(text) end,
  function(text) return Author:only(text) end,
  function(text) return Author:annotate { [text] = tree.F.id } end,
  function(text) return Author:annotate { x = tree.fn[text]("name") } end,
  function(text) return Author:annotate { x = tree.F.name .. text } end,
}

-- Texts of the statements of each way with a harmless text in it: those are all that there may be.
local function shapes_of(name)
  local known = {}
  local harmless = { "x", "name", "id", "pk", "books", "-name", "-id", "-pk", "-books", "exact", "in", "name__exact", "name__in", "data" }
  for _, way in ipairs(ways) do
    for _, text in ipairs(harmless) do
      local ok, q = pcall(way, text)
      if ok then known[compile.select(q, dialect.get(name)).sql] = true end
    end
  end
  return known
end

describe("a user's bytes", function()
  for _, name in ipairs { "sqlite", "postgres", "mariadb" } do
    it("never reach the text of a statement on " .. name, function()
      local seed = tonumber(os.getenv "MOONPOOL_SEED" or os.time())
      local state = seed % 2147483647
      local function random(low, high)
        if not high then low, high = 1, low end
        state = state * 16807 % 2147483647
        return low + state % (high - low + 1)
      end
      local known = shapes_of(name)
      local made = 0
      for _ = 1, ROUNDS do
        local text = hostile(random)
        local way = ways[random(#ways)]
        local ok, q = pcall(way, text)
        if ok then
          local written = compile.select(q, dialect.get(name)).sql
          assert(known[written], ("seed %d: %q became %s"):format(seed, text, written))
          made = made + 1
        else
          assert(type(q) == "table" and q.kind, ("seed %d: %q raised %s"):format(seed, text, tostring(q)))
        end
      end
      assert.is_true(made > ROUNDS / 10)
    end)
  end
end)
