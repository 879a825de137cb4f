-- Programs made by chance out of blocks, sessions, savepoints, hooks, tasks and statements: trees of operations. What they mean
-- is in meaning.lua, and what they do for real in real.lua.

local programs = {}

local NAMES = 6 -- few, so that they collide
local DEEPEST = 6

--- Chance that depends on its seed alone.
function programs.chance(seed)
  local state = seed * 7919 % 2147483646 + 1
  return function(n)
    state = state * 48271 % 2147483647
    return (state // 7) % n + 1
  end
end

-- ---- what has nothing inside ----

local function plain(op)
  return function() return { op = op } end
end

local function named(op)
  return function(random) return { op = op, name = random(NAMES), age = random(5) } end
end

local OBJECTS = 6 -- the first of those in its hands are used again

local function of_object(op)
  return function(random) return { op = op, object = random(OBJECTS), age = random(5) } end
end

-- On the second database.
local function far(op)
  return function(random) return { op = op, name = random(NAMES), age = random(5), far = true } end
end

local leaves = {
  named "create", named "create", named "build", named "build", named "update", named "delete", named "load",
  of_object "save", of_object "assign", of_object "remove", of_object "replace", plain "count", plain "flush", plain "table",
}

-- Less frequent: one leaf in four is one of these.
local rare = {
  plain "deadlock", plain "raw_table", plain "apart", plain "branch", plain "iterate",
  function(random) return { op = "bulk", name = random(NAMES), other = random(NAMES) } end,
  function(random) return { op = "on_commit", tag = random(100) } end,
  function(random) return { op = "on_commit", tag = random(100) } end,
  function(random) return { op = "hook", way = random(2), tag = random(100) } end,
  function(random) return { op = "hook", way = random(2), tag = random(100) } end,
  function(random) return { op = "hook", way = random(2), tag = random(100) } end,
  function(random) return { op = "hook", way = random(2), tag = random(100) } end,
  function(random) return { op = "hook", way = random(2), tag = random(100) } end,
  plain "session_commit", plain "session_commit", plain "session_rollback",
  of_object "refresh", of_object "expunge", of_object "get", of_object "get", of_object "add", of_object "dirty", of_object "replace",
  far "build", far "build", far "update", far "count", far "load", plain "doom",
}

-- ---- what has a sequence inside ----

local sequence

local function inside(random, at, change)
  local below = { depth = at.depth + 1, caught = at.caught, framed = at.framed or at.block }
  for key, value in pairs(change or {}) do
    below[key] = value
  end
  return sequence(random, below)
end

local function atomic(random, at)
  local node = { op = "atomic", inside(random, at, { block = true }) }
  local way = random(12)
  if way == 1 then
    node.isolation = "serializable"
  elseif way == 2 then
    node.durable = true
  elseif way == 3 then
    node.read_only = true
  elseif way <= 6 then
    node.retry = random(2)
  end
  return node
end

local function session(random, at)
  local node = { op = "session", inside(random, at) }
  local way = random(10)
  if way == 1 then
    node.autoflush = false
  elseif way == 2 then
    node.optimistic = true
  elseif way == 3 then
    node.retry = 1
  elseif way == 4 then
    node.isolation = "serializable"
  elseif way <= 6 then
    node.expire_on_commit = true
  end
  return node
end

local function catch(random, at)
  return { op = "catch", inside(random, at, { caught = true }) }
end

local function with(op, ways)
  return function(random, at)
    return { op = op, way = ways and random(ways), inside(random, at) }
  end
end

local branches = {
  atomic, atomic, atomic, catch, catch, catch, session, session, with("savepoint", 3),
  with("point", 3), with "nested", with "expired", with "shield", with("by_hand", 2),
  with "blocked", function(random, at) return { op = "try", inside(random, at, { caught = true }) } end,
  function(random, at) return { op = "gather", inside(random, at), inside(random, at) } end,
}

function sequence(random, at)
  local list = {}
  for place = 1, random(4) do
    local way = random(20)
    if at.depth < DEEPEST and way <= 9 then
      list[place] = branches[random(#branches)](random, at)
    elseif way == 10 then
      list[place] = { op = "raise" }
    elseif way == 11 and at.block then
      list[place] = { op = "quit" }
    elseif way == 12 and random(4) == 1 and not at.caught then
      list[place] = { op = "kill" }
    elseif way == 13 and (at.block or at.framed) and random(2) == 1 then
      list[place] = { op = "deadlock" }
    elseif random(4) == 1 then
      list[place] = rare[random(#rare)](random)
    else
      list[place] = leaves[random(#leaves)](random)
    end
  end
  return list
end

-- A session that goes on for long, with little around its objects.
local function long_session(random, at)
  local node = session(random, at)
  local list, inner = {}, { depth = DEEPEST, framed = true }
  for place = 1, 4 + random(16) do
    local way = random(12)
    if way == 1 then
      list[place] = { op = "nested", sequence(random, inner) }
    elseif way == 2 then
      list[place] = { op = "catch", sequence(random, inner) }
    elseif way <= 6 then
      list[place] = rare[random(#rare)](random)
    else
      list[place] = leaves[random(#leaves)](random)
    end
  end
  node[1] = list
  return node
end

--- A program: a sequence of operations.
function programs.of(seed)
  local random = programs.chance(seed)
  if random(4) == 1 then
    return { named "create"(random), long_session(random, { depth = DEEPEST }), named "load"(random) }
  end
  return sequence(random, { depth = 0 })
end

--- How often each operation occurs in it, added to counts.
function programs.count(list, counts)
  for _, node in ipairs(list) do
    counts[node.op] = (counts[node.op] or 0) + 1
    for _, below in ipairs(node) do
      programs.count(below, counts)
    end
  end
end

-- The list without the node at `place`, or with what is inside of it instead.
local function without(list, place, instead)
  local shorter = table.move(list, 1, place - 1, 1, {})
  table.move(instead or {}, 1, instead and #instead or 0, place, shorter)
  return table.move(list, place + 1, #list, #shorter + 1, shorter)
end

-- The list with one change that leaves less of it, if there is one with which it still holds.
local function shorten(list, holds)
  for place, node in ipairs(list) do
    local ways = { without(list, place) }
    for _, below in ipairs(node) do
      ways[#ways + 1] = without(list, place, below)
    end
    for _, way in ipairs(ways) do
      if holds(way) then
        return way
      end
    end
    for at, below in ipairs(node) do
      local shorter = shorten(below, function(way)
        node[at] = way
        return holds(list)
      end)
      node[at] = shorter or below
      if shorter then
        return list
      end
    end
  end
  return nil
end

--- A shorter program of which `holds` is true as well.
---@param holds fun(program: table): boolean
function programs.shrink(list, holds)
  local shorter = shorten(list, holds)
  while shorter do
    list = shorter
    shorter = shorten(list, holds)
  end
  return list
end

local SHOWN = { "name", "other", "age", "object", "way", "tag", "isolation", "durable", "read_only", "retry", "autoflush", "optimistic",
  "expire_on_commit", "far" }

--- The same as text, for a report.
function programs.show(list, indent)
  indent = indent or "  "
  local lines = {}
  for _, node in ipairs(list) do
    local words = { node.op }
    for _, name in ipairs(SHOWN) do
      if node[name] ~= nil then
        words[#words + 1] = name .. "=" .. tostring(node[name])
      end
    end
    lines[#lines + 1] = indent .. table.concat(words, " ")
    for _, below in ipairs(node) do
      lines[#lines + 1] = programs.show(below, indent .. "  ")
      lines[#lines + 1] = #node > 1 and indent .. "  --" or nil
    end
  end
  return table.concat(lines, "\n")
end

return programs
