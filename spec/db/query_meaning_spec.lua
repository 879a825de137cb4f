-- Generated query sets mean on the database what they mean in Lua: each is run as SQL and evaluated over the same rows
-- in plain Lua (spec/support/generated.lua): filters through relations, calculated columns, aggregates for
-- each object and for groups, order, slices, distinct values, set operations.
-- MOONPOOL_LONG=queries runs many more; MOONPOOL_SEED=n runs the query sets of a failure again.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local generated = require "spec.support.generated"

local ROUNDS = os.getenv "MOONPOOL_LONG" == "queries" and 5000 or 60
local one_of, value_of = generated.one_of, generated.value_of

local function each_of(list, fn)
  local results = {}
  for i, item in ipairs(list) do results[i] = fn(item) end
  return results
end

local function kept(list, holds)
  local found = {}
  for _, item in ipairs(list) do
    if holds(item) then found[#found + 1] = item end
  end
  return found
end

-- A program: query set and rows go through the same steps. A row is { row = data, [annotation] = value }.
local Program = {}
Program.__index = Program

local function begin(random, world)
  local entity = one_of(random, { "Author", "Book", "Book", "Tag" })
  local data = { Author = world.authors, Book = world.books, Tag = world.tags }
  return setmetatable({
    random = random, entity = entity, q = world[entity], columns = {}, order = {},
    rows = each_of(data[entity], function(row) return { row = row } end),
  }, Program)
end

function Program:filter()
  for _ = 1, self.random(0, 2) do
    local condition, holds = generated.condition(self.random, self.entity, 2)
    if self.random(1, 3) == 1 then
      self.q = self.q:exclude(condition)
      self.rows = kept(self.rows, function(item) return not holds(item.row) end)
    else
      self.q = self.q:filter(condition)
      self.rows = kept(self.rows, function(item) return holds(item.row) end)
    end
  end
end

function Program:annotate()
  local random = self.random
  if random(1, 2) == 1 then
    local expression, kind, of = generated.expression(random, self.entity, 2)
    self.q = self.q:annotate { made = expression }
    for _, item in ipairs(self.rows) do item.made = of(item.row) end
    self.columns[#self.columns + 1] = { name = "made", kind = kind }
  end
  if random(1, 2) == 1 then
    local many = one_of(random, generated.many[self.entity])
    local expression, kind, of = generated.aggregate(random, many[2], many[1] .. "__", self.entity)
    self.q = self.q:annotate { taken = expression }
    for _, item in ipairs(self.rows) do item.taken = of(item.row[many[1]]) end
    self.columns[#self.columns + 1] = { name = "taken", kind = kind }
  end
  for _, column in ipairs(self.columns) do
    if random(1, 3) == 1 then
      local lookup, value, holds = generated.lookup(random, column.kind)
      self.q = self.q:filter { [column.name .. lookup] = value }
      self.rows = kept(self.rows, function(item) return holds(item[column.name]) end)
    end
  end
end

-- By some paths and annotations, and by the key, so that every row has a place of its own.
function Program:sort()
  local random, items, order = self.random, {}, {}
  for i = 1, random(0, 2) do
    local column = random(1, 3) == 1 and one_of(random, self.columns[1] and self.columns or { false })
    local path = not column and one_of(random, generated.paths[self.entity])[1]
    local descending = random(1, 2) == 1
    local nulls = random(1, 4) == 1 and one_of(random, { "first", "last" }) or nil
    local name = column and column.name or path
    items[i] = mp.F[name][descending and "desc" or "asc"](mp.F[name], nulls and { nulls = nulls })
    order[i] = {
      descending = descending, nulls = nulls,
      value = column and function(item) return item[column.name] end or function(item) return value_of(item.row, path) end,
    }
  end
  items[#items + 1] = "id"
  order[#order + 1] = { value = function(item) return item.row.id end }
  self.q = self.q:order_by(table.unpack(items))
  generated.sort(self.rows, order)
  if random(1, 5) == 1 then
    self.q = self.q:reverse()
    local turned = {}
    for i = #self.rows, 1, -1 do turned[#turned + 1] = self.rows[i] end
    self.rows = turned
  end
end

function Program:slice()
  local top, skip = self.random(1, 3) == 1 and self.random(0, 8), self.random(1, 4) == 1 and self.random(0, 5)
  if skip then
    self.q = self.q:offset(skip)
    self.rows = { table.unpack(self.rows, skip + 1) }
  end
  if top then
    self.q = self.q:limit(top)
    self.rows = { table.unpack(self.rows, 1, math.min(top, #self.rows)) }
  end
end

-- ---- ways to end: each gives what the database says and what plain Lua says ----

local ways = {}

function ways.objects(program)
  program:annotate()
  program:sort()
  program:slice()
  local n = 1 + #program.columns
  local function cells(item, id)
    local row = { id }
    for i, column in ipairs(program.columns) do row[i + 1] = item[column.name] end
    return row
  end
  return generated.lines(each_of(program.q:all(), function(one) return cells(one, one.id) end), n),
    generated.lines(each_of(program.rows, function(item) return cells(item, item.row.id) end), n)
end

function ways.values(program)
  program:annotate()
  program:sort()
  program:slice()
  local paths = { "id" }
  for _ = 1, program.random(1, 3) do
    local path = one_of(program.random, generated.paths[program.entity])[1]
    if not table.concat(paths, " "):find(path, 1, true) then paths[#paths + 1] = path end
  end
  local rows = each_of(program.rows, function(item)
    local row = {}
    for i, path in ipairs(paths) do row[i] = value_of(item.row, path) end
    return row
  end)
  return generated.lines(program.q:values_list(table.unpack(paths)):all(), #paths), generated.lines(rows, #paths)
end

function ways.counts(program)
  program:annotate()
  program:sort()
  program:slice()
  return program.q:count() .. " " .. tostring(program.q:exists()), #program.rows .. " " .. tostring(#program.rows > 0)
end

function ways.aggregates(program)
  program:sort()
  program:slice()
  local first, _, first_of = generated.aggregate(program.random, program.entity, "")
  local second, _, second_of = generated.aggregate(program.random, program.entity, "")
  local found = program.q:aggregate { a = first, b = second }
  local rows = each_of(program.rows, function(item) return item.row end)
  return generated.lines({ { found.a, found.b } }, 2), generated.lines({ { first_of(rows), second_of(rows) } }, 2)
end

-- The paths that rows are grouped by or distinct in, and rows by the text of what these hold.
local function grouped(program)
  local paths = {}
  for _ = 1, program.random(1, 2) do
    local path = one_of(program.random, generated.paths[program.entity])[1]
    if paths[1] ~= path then paths[#paths + 1] = path end
  end
  local groups, by_text = {}, {}
  for _, item in ipairs(program.rows) do
    local row = {}
    for i, path in ipairs(paths) do row[i] = value_of(item.row, path) end
    local text = generated.lines({ row }, #paths)
    if not by_text[text] then
      by_text[text] = { key = row, rows = {} }
      groups[#groups + 1] = by_text[text]
    end
    table.insert(by_text[text].rows, item.row)
  end
  local order = {}
  for i = 1, #paths do order[i] = { value = function(group) return group.key[i] end } end
  generated.sort(groups, order)
  return paths, groups
end

function ways.groups(program)
  local paths, groups = grouped(program)
  local first, kind, first_of = generated.aggregate(program.random, program.entity, "")
  local second, _, second_of = generated.aggregate(program.random, program.entity, "")
  local q = program.q:values_list(table.unpack(paths)):annotate { a = first, b = second }
  for _, group in ipairs(groups) do group.a, group.b = first_of(group.rows), second_of(group.rows) end
  if program.random(1, 2) == 1 then
    local lookup, value, holds = generated.lookup(program.random, kind)
    q = q:filter { ["a" .. lookup] = value }
    groups = kept(groups, function(group) return holds(group.a) end)
  end
  local n = #paths + 2
  local rows = each_of(groups, function(group)
    local row = {}
    for i = 1, #paths do row[i] = group.key[i] end
    row[#paths + 1], row[#paths + 2] = group.a, group.b
    return row
  end)
  return generated.lines(q:order_by(table.unpack(paths)):all(), n) .. "\n" .. q:order_by():count(),
    generated.lines(rows, n) .. "\n" .. #rows
end

function ways.distinct(program)
  local paths, groups = grouped(program)
  local q = program.q:values_list(table.unpack(paths)):distinct()
  local rows = each_of(groups, function(group) return group.key end)
  return generated.lines(q:order_by(table.unpack(paths)):all(), #paths) .. "\n" .. q:order_by():count(),
    generated.lines(rows, #paths) .. "\n" .. #rows
end

-- Two query sets of one entity joined as sets of objects.
function ways.sets(program)
  local condition, holds = generated.condition(program.random, program.entity, 1)
  local other = getmetatable(program.q).class and program.q:filter(condition) or program.root:filter(condition)
  local mine = {}
  for _, item in ipairs(program.rows) do mine[item.row.id] = true end
  local how = one_of(program.random, { "union", "intersection", "difference" })
  local found = kept(program.all, function(item)
    local a, b = mine[item.row.id] or false, holds(item.row)
    if how == "union" then return a or b end
    if how == "intersection" then return a and b end
    return a and not b
  end)
  local q = program.q[how](program.q, other)
  return generated.lines(each_of(q:order_by("-id"):all(), function(one) return { one.id } end), 1) .. "\n" .. q:count(),
    generated.lines(generated.sort(each_of(found, function(item) return { item.row.id } end), {
      { value = function(row) return row[1] end, descending = true },
    }), 1) .. "\n" .. #found
end

local NAMES = { "aggregates", "counts", "distinct", "groups", "objects", "sets", "values" }

local function run(random, world, name)
  local program = begin(random, world)
  program.root, program.all = program.q, program.rows
  program:filter()
  return program, ways[name](program)
end

databases.each("a generated query set", function(open)
  local world, seed, random

  before_each(function()
    seed = generated.seed()
    random = generated.random(seed)
    world = generated.library(open(), random)
  end)

  it("gives what its evaluation in Lua gives", function()
    for round = 1, ROUNDS do
      local name = NAMES[(round - 1) % #NAMES + 1]
      local program, found, wanted = run(random, world, name)
      assert.equal(wanted, found, ("seed %d, round %d, %s: %s"):format(seed, round, name, (program.q:sql())))
    end
  end)

  it("that is evaluated with a broken operator is caught", function()
    for _, broken in ipairs {
      { generated.comparisons, "lte", generated.comparisons.lt },
      { generated.matches, "startswith", function(text, part) return text:sub(1, #part) ~= part end },
      { generated.aggregates, "max", generated.aggregates.min },
    } do
      local where, name, wrong = table.unpack(broken)
      local correct = where[name]
      where[name] = wrong
      local caught = false
      local ok, problem = pcall(function()
        for round = 1, 2000 do
          local _, found, wanted = run(random, world, NAMES[(round - 1) % #NAMES + 1])
          caught = found ~= wanted
          if caught then break end
        end
      end)
      where[name] = correct
      assert.is_true(ok, tostring(problem))
      assert.is_true(caught, name)
    end
  end)
end)
