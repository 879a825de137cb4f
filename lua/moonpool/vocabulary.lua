-- Words that several rooms share: reserved names, the lookups of the contract, and how a name or a
-- value reads in a message. Knows no field, no query and no database.

local vocabulary = {}

local function set(names)
  local found = {}
  for name in names:gmatch("%S+") do found[name] = true end
  return found
end

-- What an object answers to besides its fields; a field of that name would hide it.
vocabulary.object_methods = set "save delete restore purge refresh is_dirty dirty_fields to_table"

--- The methods of every session (api.md section 7).
vocabulary.session_methods = set [[add add_all delete get flush commit rollback refresh expunge begin_nested is_dirty execute
  scalars close]]

vocabulary.hooks = set "before_insert after_insert before_update after_update before_delete after_delete after_load"

vocabulary.column_methods = set [[eq ne gt ge lt le in_ not_in between like ilike contains icontains
  startswith endswith is_null asc desc]]

-- Edit distance with swapped neighbours counted once: what typing errors are made of.
local function distance(a, b)
  local before, previous, current = {}, {}, {}
  for j = 0, #b do previous[j] = j end
  for i = 1, #a do
    current[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + cost)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, before[j - 2] + 1)
      end
      current[j] = best
    end
    before, previous, current = previous, current, before
  end
  return previous[#b]
end

--- The candidate that is most like name, if one is close enough to be meant.
---@param name any
---@param candidates table  an array of names, or a map whose keys are the names
---@return string?
function vocabulary.nearest(name, candidates)
  if type(name) ~= "string" or #name > 64 then return nil end
  local names = {}
  for key, value in pairs(candidates) do
    local candidate = type(key) == "string" and key or value
    if type(candidate) == "string" then names[#names + 1] = candidate end
  end
  table.sort(names)
  local wanted = name:lower()
  -- two errors in three letters make another word
  local furthest = #name < 4 and 1 or math.max(2, math.floor(#name / 3))
  local best, best_distance = nil, furthest + 1
  for _, candidate in ipairs(names) do
    local d = distance(wanted, candidate:lower())
    if d < best_distance and d < #candidate then best, best_distance = candidate, d end
  end
  return best
end

--- The tail of a message about an unknown name: " (did you mean age?)", or nothing.
---@param name any
---@param candidates table
---@return string
function vocabulary.suggest(name, candidates)
  local nearest = vocabulary.nearest(name, candidates)
  return nearest and " (did you mean " .. nearest .. "?)" or ""
end

--- "OrderItem" is "order_item", "HTTPLog" is "http_log".
---@param name string
---@return string
function vocabulary.snake_case(name)
  return (name:gsub("(%l%d*)(%u)", "%1_%2"):gsub("(%u)(%u%l)", "%1_%2"):lower())
end

local LONGEST = 40

local CHARACTERS = { "^[\194-\223][\128-\191]", "^[\224-\239][\128-\191][\128-\191]", "^[\240-\244][\128-\191][\128-\191][\128-\191]" }

-- Characters beyond ASCII as they are, other bytes as escapes.
local function readable(bytes)
  local parts, at = {}, 1
  while at <= #bytes do
    local last
    for _, character in ipairs(CHARACTERS) do
      last = last or select(2, bytes:find(character, at))
    end
    parts[#parts + 1] = last and bytes:sub(at, last) or ("\\%d"):format(bytes:byte(at))
    at = (last or at) + 1
  end
  return table.concat(parts)
end

-- The beginning of a text that is too long for a message, without a part of a character.
local function cut(text)
  local last = LONGEST
  while last > LONGEST - 3 and text:find("^[\128-\191]", last + 1) do last = last - 1 end
  return text:sub(1, last)
end

--- How a value reads in a message: short, on one line, without control bytes.
---@param value any
---@return string
function vocabulary.quoted(value)
  local kind = type(value)
  if kind == "string" then
    local text = #value > LONGEST and cut(value) or value
    text = text:gsub('[%c"\\\127]', function(c)
      if c == '"' or c == "\\" then return "\\" .. c end
      return ("\\%d"):format(c:byte())
    end):gsub("[\128-\255]+", readable)
    return '"' .. text .. '"' .. (#value > LONGEST and "..." or "")
  elseif kind == "table" then
    local meta = getmetatable(value)
    if type(meta) == "table" and meta.__tostring then return tostring(value) end
    return "a table"
  elseif kind == "function" or kind == "thread" then
    return "a " .. kind
  end
  return tostring(value)
end

--- Whether a table given as an array is one: { name = "x" } is a row, not an array of rows.
---@param value any
---@return boolean
function vocabulary.is_array(value)
  return type(value) == "table" and (rawget(value, 1) ~= nil or next(value) == nil)
end

--- Whether an object answers to that name already: a field, a relation or an annotation would hide it.
---@param name string
---@return boolean
function vocabulary.is_reserved(name)
  return vocabulary.object_methods[name] or vocabulary.hooks[name] or name == "pk" or name == "c"
end

--- Whether a name may be that of a field, an entity or an annotation: it stands in filter keys and
--- after a dot, so it is a plain word without "__".
---@param name any
---@return boolean, string? why
function vocabulary.is_name(name)
  if type(name) ~= "string" then return false, "is not a text" end
  if not name:find("^%a[%w_]*$") then return false, "is not a plain word" end
  if name:find("__", 1, true) then return false, 'has "__" in it, which separates names in filter keys' end
  if #name > 63 then return false, "is longer than 63 bytes" end
  return true
end

return vocabulary
