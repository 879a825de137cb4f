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

local leaves = {
  named "create", named "create", named "build", named "build", named "update", named "delete",
  function(random) return { op = "save", object = random(4), age = random(5) } end,
  plain "count", plain "flush", plain "table",
}

-- Less frequent: one leaf in four is one of these.
local rare = {
  plain "deadlock", plain "raw_table", plain "apart", plain "branch", plain "iterate",
  function(random) return { op = "bulk", name = random(NAMES), other = random(NAMES) } end,
  function(random) return { op = "on_commit", tag = random(100) } end,
  function(random) return { op = "hook", way = random(2), tag = random(100) } end,
  function(random) return { op = "hook", way = random(2), tag = random(100) } end,
  plain "session_commit", plain "session_rollback",
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
  function(random, at) return { op = "try", inside(random, at, { caught = true }) } end,
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

--- A program: a sequence of operations.
function programs.of(seed)
  return sequence(programs.chance(seed), { depth = 0 })
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

local SHOWN = { "name", "other", "age", "object", "way", "tag", "isolation", "durable", "read_only", "retry", "autoflush", "optimistic" }

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
