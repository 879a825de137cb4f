-- A walk over trees: the key so far, the values so far, and what both get from a value and from a query set. What the
-- trees are made of is in template.lua (conditions) and template_expression.lua (expressions).

local concat = table.concat

local walk_room = {}

---@class moonpool.walk
---@field context table     { model, annotations }: what names mean here
---@field tokens string[]   the key so far
---@field said integer       how many
---@field values any[]
---@field count integer     values so far, with those of the query that is built upon
---@field build boolean     whether templates are wanted

--- Begin a walk; slots are numbered from first + 1.
---@return moonpool.walk
function walk_room.start(context, values, first, build)
  return {
    context = context, tokens = { nil, nil, nil, nil, nil, nil, nil, nil }, said = 0, -- room: growing costs more
    values = values, count = first, build = build,
  }
end

local function say(walk, token)
  local place = walk.said + 1
  walk.said = place
  walk.tokens[place] = token
end

walk_room.say = say

-- Tokens of texts that were said before. Names come from the program's text and are few; more of them are its input.
local MOST_TEXTS = 2000
local said, said_n = {}, 0

--- User's texts stand in keys with their length, so that no text can pass for another structure.
function walk_room.say_text(walk, text)
  local token = said[text]
  if not token then
    if said_n >= MOST_TEXTS then said, said_n = {}, 0 end
    token = #text .. ":" .. text
    said[text], said_n = token, said_n + 1
  end
  say(walk, token)
end

--- The text that identifies what was walked.
function walk_room.key(walk) return concat(walk.tokens, " ", 1, walk.said) end

--- A slot for a value.
function walk_room.slot(walk, value)
  local index = walk.count + 1
  walk.count = index
  walk.values[index] = value
  say(walk, "?")
  return walk.build and { _op = "slot", index = index } or true
end

-- A query set is known by its shape.
local function is_query(v)
  return type(v) == "table" and type(rawget(v, "shape")) == "table" and rawget(v, "slots") ~= nil
end
walk_room.is_query = is_query

--- A query set inside: its values are its own, converted already.
function walk_room.query(walk, query)
  local first = walk.count
  for i = 1, query.shape.count do walk.values[first + i] = query.slots[i] end
  walk.count = first + query.shape.count
  say(walk, "query " .. query.shape.number)
  local built = { _op = "query", shape = query.shape, first = first }
  for _, name in ipairs { "top", "skip" } do
    if query[name] then
      say(walk, name)
      walk.count = walk.count + 1
      walk.values[walk.count] = query[name]
      built[name] = walk.count
    end
  end
  return built
end

--- Set by the rooms that walk these: fn(walk, tree).
walk_room.condition, walk_room.expression = nil, nil

return walk_room
