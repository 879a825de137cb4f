-- Shapes: what it costs to build a query set and to compile it, without running it. A known shape binds its values; a new
-- one is resolved and written as SQL.

local compile = require "moonpool.sql.compile"
local dialect = require "moonpool.dialect"
local mp = require "moonpool"
local measure = require "measure"
local entities = require "entities"
local Author, Book = entities.Author, entities.Book

local figures = measure.figures

-- Build and compile n query sets. Each has to give a statement of its own parameters.
local function rounds(run, parameters, build)
  local sqlite = dialect.get "sqlite"
  for i = 1, run.n // 10 do
    compile.select(build(-i), sqlite)
  end
  local sum = 0
  measure.start()
  for i = 1, run.n do
    local q = build(i)
    local st = compile.select(q, sqlite)
    local _, n = st:bind(q)
    sum = sum + n
  end
  measure.stop()
  assert(sum == run.n * parameters, "a query set with other parameters")
  figures.units, figures.checksum = run.n, sum
end

local shape = {}

function shape.known_key(run)
  rounds(run, 1, function(i) return Book:filter{ id = i } end)
end

function shape.known_list(run)
  rounds(run, 7, function(i)
    return Book:filter{ author_id__in = { i, 2, 3, 4, 5 }, published = true }:order_by("price", "id"):limit(100)
  end)
end

function shape.known_expression(run)
  rounds(run, 3, function(i)
    return Author:filter(mp.any(Author.age:gt(i), Author.name:startswith "a")):order_by("-age"):limit(20)
  end)
end

function shape.new_filter(run)
  rounds(run, 3, function(i)
    return Book:annotate{ ["n" .. i + run.n] = mp.F.pages + 1 }:filter{ author__name = "x", published = true }:order_by("price", "id")
  end)
end

return shape
