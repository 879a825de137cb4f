-- Whatever bytes a user's text has, they end as a value or as an error, never in the text of a statement.
-- MOONPOOL_LONG=injection runs it with many more.

local compile = require "moonpool.sql.compile"
local dialect = require "moonpool.dialect"
local f = require("moonpool.field").types
local lookup = require "moonpool.lookup"
local sql = require "spec.support.sql"
local tail = require "moonpool.lookup.tail"
local tree = require "moonpool.tree"

local Author = sql.entity("Author", {
  name = f.text(), data = f.binary { null = true }, prefs = f.json { null = true }, tags = f.array { of = f.text() }, born = f.date(),
})
local Book = sql.entity("Book", { title = f.text(), author = f.belongs_to("Author", { inverse = "books" }) })

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
  function(text) return Author:filter(tree.raw("lower(?) = ?", text, tree.F.name)) end,
  function(text) return Author:order_by(tree.raw("nullif(?, 'it''s ?')", text)) end,
  function(text) return Author:annotate { x = tree.case { { { name = text }, text }, default = text } } end,
  function(text) return Author:annotate { x = tree.fn.replace("name", tree.value(text), tree.value(text)) } end,
  function(text) return Author:annotate { x = tree.fn.coalesce("name", tree.value(text)) } end,
  function(text) return Author:values("id"):annotate { x = tree.fn.string_agg("name", text) } end,
  function(text) return Author:annotate { x = tree.fn.lower(text) } end,
  function(text) return Author:annotate { x = tree.fn.date_trunc(text, "born") } end,
  function(text) return Author:annotate { x = tree.fn.round("id", tree.value(text)) } end,
  function(text) return Author:annotate { x = tree.cast(tree.value(text), "integer") } end,
  function(text) return Author:annotate { x = tree.cast("name", text) } end,
  function(text) return Author:annotate { x = tree.over(tree.fn.lag("name", 1, tree.value(text)), { order_by = text }) } end,
  function(text) return Author:annotate { x = tree.over(tree.fn.count(), { partition_by = text, frame = { rows = { text, 0 } } }) } end,
  function(text) return Author:annotate { x = tree.subquery(Book:filter { title = text }:values("title")) } end,
  function(text) return Author:filter(tree.exists(Book:filter { author_id = tree.outer[text] })) end,
  function(text) return Author:filter { prefs__theme = text } end,
  function(text) return Author:filter { prefs__theme__contains = text } end,
  function(text) return Author:filter { prefs__has_key = text } end,
  function(text) return Author:filter { prefs__ui__has_keys = { text, "x" } } end,
  function(text) return Author:filter { tags__contains = { text } } end,
  function(text) return Author:filter { tags__overlap = { text, text } } end,
  function(text) return Author:filter { ["born__" .. text] = "2024" } end,
}

-- Ways for a text into a path of JSON, of which the number of its keys is part of the text of the statement, and so is
-- which of them are places in arrays.
local paths = {
  function(path) return Author:filter { ["prefs__" .. path] = "x" } end,
  function(path) return Author:exclude(tree.F["prefs__" .. path]:eq(1)) end,
  function(path) return Author:order_by("-prefs__" .. path) end,
  function(path) return Author:annotate { x = tree.cast("prefs__" .. path, "text") } end,
  function(path) return Author:values("prefs__" .. path), true end,
}

-- The same path with nothing in it but letters and places; equal keys stay equal, since they are one parameter.
local function harmless_path(path, with_lookup)
  local words, key_of = tail.words(path), {}
  for i, word in ipairs(words) do
    local is_lookup = i == #words and with_lookup and lookup.suits(word, "json")
    if not is_lookup and not word:find "^%d+$" then
      key_of[word] = key_of[word] or "key" .. i
      words[i] = key_of[word]
    end
  end
  return table.concat(words, "__")
end

local function check_path(random, name, text, where)
  local place = random(#paths)
  local written = dialect.get(name)
  local ok, statement = pcall(function()
    local q, is_named = paths[place](text)
    return { compile.select(q, written).sql, is_named }
  end)
  if not ok then
    assert(type(statement) == "table" and statement.kind, where .. " raised " .. tostring(statement))
    return false
  end
  local harmless = harmless_path(text, place == 1)
  local expected = compile.select((paths[place](harmless)), written).sql
  if statement[2] then -- the column is called as it was written, in quotes
    local from, to = written.quote("prefs__" .. harmless), written.quote("prefs__" .. text)
    local first, last = expected:find(from, 1, true)
    expected = expected:sub(1, first - 1) .. to .. expected:sub(last + 1)
  end
  assert(statement[1] == expected, where .. " became " .. statement[1])
  return true
end

-- Texts of the statements of each way with a harmless text in it: those are all that there may be.
local function shapes_of(name)
  local known = {}
  local harmless = { "x", "name", "id", "pk", "books", "-name", "-id", "-pk", "-books", "exact", "in", "name__exact", "name__in", "data", "month", "integer",
    "unbounded", "year", "born", "year__exact", "year__in", "isnull", "5", "books__pk", "books__id", "prefs", "tags", "len", "?" }
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
      for _ = 1, ROUNDS / 4 do
        local text = hostile(random)
        if check_path(random, name, text, ("seed %d: %q"):format(seed, text)) then made = made + 1 end
      end
      assert.is_true(made > ROUNDS / 40)
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
