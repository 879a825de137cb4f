-- Placeholders: what stands for a value in raw SQL. Finds ?, :name and $1 outside strings, quoted names,
-- comments and dollar quotes, and writes the text again as the server wants it. Also tells from its words what a
-- statement does, since it reads them anyway. Knows no values.

local errors = require "moonpool.errors"

local placeholder = {}

local byte, find, sub = string.byte, string.find, string.sub

-- What a dialect reads differently.
local habits = {
  sqlite = { mark = "?%d", numbered = true, brackets = true },
  postgres = { mark = "$%d", numbered = true, nested_comments = true, e_strings = true },
  mariadb = { hash = true, mark = "?", backslash = true },
}
habits.fake, habits.fake_file = habits.sqlite, habits.sqlite

local READ = { SELECT = true, VALUES = true, SHOW = true, TABLE = true, DESCRIBE = true }
local SELECTS = { SELECT = true, VALUES = true, TABLE = true, WITH = true }
local UNSURE = { WITH = true, EXPLAIN = true } -- of what stands inside
local TRANSACTION = {
  BEGIN = true, START = true, COMMIT = true, ["END"] = true, ROLLBACK = true, ABORT = true,
  SAVEPOINT = true, RELEASE = true,
}
local WRITE_WORDS = { INSERT = true, UPDATE = true, DELETE = true, REPLACE = true, MERGE = true }

local function bad(message)
  return errors.raise("bad_parameters", message)
end

-- The end of what opens at i and must be left alone, or nil when nothing does.
local function skip(sql, i, habit)
  local c = byte(sql, i)
  if c == 39 or c == 34 or c == 96 then -- ' " `
    local quote = sub(sql, i, i)
    local escapes = c ~= 96 and habit.backslash
    if c == 39 and habit.e_strings and find(sub(sql, i - 1, i - 1), "[eE]") then
      escapes = not find(sub(sql, i - 2, i - 2), "[%w_]")
    end
    local at = i + 1
    while true do
      at = find(sql, escapes and "[\\" .. quote .. "]" or quote, at)
      if at == nil then
        return #sql
      elseif byte(sql, at) == 92 then
        at = at + 2
      elseif byte(sql, at + 1) == c then
        at = at + 2
      else
        return at
      end
    end
  elseif find(sql, "^%-%-", i) and (not habit.hash or find(sql, "^%s", i + 2)) or c == 35 and habit.hash then
    return find(sql, "\n", i, true) or #sql
  elseif c == 47 and byte(sql, i + 1) == 42 then -- /*
    local depth, at = 1, i + 2
    while depth > 0 do
      local from = find(sql, "[*/][*/]", at)
      if from == nil then
        return #sql
      end
      local two = sub(sql, from, from + 1)
      at = from + 2
      if two == "*/" then
        depth = depth - 1
      elseif two == "/*" then
        depth = habit.nested_comments and depth + 1 or depth
      else
        at = from + 1
      end
    end
    return at - 1
  elseif c == 91 and habit.brackets then -- [name]
    return find(sql, "]", i, true)
  elseif c == 36 and not find(sub(sql, i - 1, i - 1), "[%w_\128-\255]") then -- $tag$ ... $tag$
    local tag = sql:match("^%$[%w_\128-\255]*%$", i)
    if tag and not tag:find("^%$%d") then
      local _, stop = find(sql, tag, i + #tag, true)
      return stop
    end
  end
  return nil
end

---@class moonpool.placeholder
---@field sql string what the server gets
---@field style "?"|":"|"$"|nil
---@field count integer how many values the server wants
---@field names string[]? named style: the name of each place
---@field order integer[]? the argument for each place, where that is not simply the place
---@field arity integer how many arguments the call takes (numbered and ? style)
---@field access "read"|"write"|nil nil: the server has to tell
---@field selects boolean whether it is a query, of which a cursor may be made
---@field control string? the word, when it is transaction control

local function scan(sql, habit)
  local out, from, i, length = {}, 1, 1, #sql
  local style, count, arity = nil, 0, 0
  local order, numbers = {}, {}
  local first, writes

  local function take(kind, stop, argument, text)
    if style ~= nil and style ~= kind then
      bad("one style of placeholders a statement: this one has both " .. style .. " and " .. kind)
    end
    style = kind
    out[#out + 1] = sub(sql, from, i - 1)
    local number = habit.numbered and numbers[argument]
    if not number then
      count = count + 1
      number = count
      numbers[argument] = number
      order[number] = argument
    end
    out[#out + 1] = text or (habit.numbered and habit.mark:format(number) or habit.mark)
    from, i = stop + 1, stop + 1
  end

  while true do
    i = find(sql, "[%a_'\"`%-#/%[%$%?:]", i)
    if i == nil then
      break
    end
    local c = byte(sql, i)
    if find(sql, "^[%a_]", i) then
      local _, stop = find(sql, "^[%w_]+", i)
      -- E'...' is a string: the quote is looked at next, with its prefix before it
      local word = sub(sql, i, stop):upper()
      first = first or word
      writes = writes or WRITE_WORDS[word] or false
      i = stop + 1
    elseif c == 63 then -- ?
      local after = byte(sql, i + 1)
      if after == 63 then
        out[#out + 1] = sub(sql, from, i)
        from, i = i + 2, i + 2
      elseif after and after >= 48 and after <= 57 then
        bad("write ? or $1 for a value, not ?1 (and ?? for a question mark)")
      else
        arity = arity + 1
        take("?", i, arity)
      end
    elseif c == 58 then -- :
      local name = sql:match("^[%a_][%w_]*", i + 1)
      if byte(sql, i + 1) == 58 then
        i = i + 2
      elseif name then
        take(":", i + #name, name)
      else
        i = i + 1
      end
    else
      local stop = skip(sql, i, habit)
      if stop then
        i = stop + 1
      elseif c == 36 and find(sql, "^%d", i + 1) and not find(sub(sql, i - 1, i - 1), "[%w_\128-\255]") then
        local digits = sql:match("^%d+", i + 1)
        local number = tonumber(digits)
        if number == 0 or number > 65535 then
          bad("$" .. digits .. ": places are numbered from $1")
        end
        arity = math.max(arity, number)
        take("$", i + #digits, number)
      else
        i = i + 1
      end
    end
  end
  out[#out + 1] = sub(sql, from, length)

  local found = { sql = table.concat(out), style = style, count = count, arity = arity }
  if style == ":" then
    found.names = order
  elseif style == "$" then
    found.order = order
  end
  first = first or ""
  found.control = TRANSACTION[first] and first or nil
  if UNSURE[first] then
    found.access = not writes and "read" or nil
  elseif READ[first] then
    found.access = "read"
  elseif first ~= "" and first ~= "PRAGMA" then
    found.access = "write"
  end
  found.selects = found.access == "read" and SELECTS[first] or false
  return found
end

-- Texts already read, for each dialect: two generations of at most `bound`, so that a program that makes
-- texts on the fly cannot fill the memory, and those in use survive.
local bound = 500
local caches = {}

local function new_cache(dialect)
  local cache = { young = {}, old = {}, count = 0, habit = habits[dialect] }
  caches[dialect] = cache
  return cache
end

local function remember(cache, sql, found)
  cache.young[sql] = found
  cache.count = cache.count + 1
  if cache.count >= bound then
    cache.old, cache.young, cache.count = cache.young, {}, 0
  end
  return found
end

--- What a text asks for, as the dialect's server gets it.
---@param dialect string
---@param sql string
---@return moonpool.placeholder
--- Raises bad_argument, bad_parameters, unsupported (transaction control).
function placeholder.read(dialect, sql)
  local cache = caches[dialect] or new_cache(dialect)
  local found = cache.young[sql]
  if found then
    return found
  end
  if type(sql) ~= "string" then
    return errors.raise("bad_argument", "the SQL must be a string, not a " .. type(sql))
  end
  found = cache.old[sql] or scan(sql, cache.habit)
  if found.control then
    return errors.raise("unsupported", found.control .. " as a statement: transactions are mp.atomic(fn), db:begin() and, "
      .. "on a connection of your own, c:begin()")
  end
  return remember(cache, sql, found)
end

local function plural(n, word)
  return n .. " " .. word .. (n == 1 and "" or "s")
end

local function named(found, n, map)
  if n ~= 1 or type(map) ~= "table" then
    return bad("a statement with :" .. found.names[1] .. " takes one table with its values by name")
  end
  local params, used = {}, {}
  for place, name in ipairs(found.names) do
    local value = map[name]
    if value == nil then
      return bad("no value for :" .. name .. " (mp.null is NULL)")
    end
    params[place], used[name] = value, true
  end
  for name in pairs(map) do
    if not used[name] then
      return bad("the statement has no :" .. tostring(name))
    end
  end
  return params, found.count
end

--- The arguments of a call as the parameters that the server wants.
---@param found moonpool.placeholder
---@param n integer
---@param ... any
---@return table params, integer n
--- Raises bad_parameters.
function placeholder.bind(found, n, ...)
  if found.style == ":" then
    return named(found, n, (...))
  end
  if n ~= found.arity then
    return bad("the statement takes " .. plural(found.arity, "value") .. ", not " .. n)
  end
  local order = found.order
  if order == nil then
    return { ... }, n
  end
  local arguments, params = { ... }, {}
  for place = 1, found.count do
    params[place] = arguments[order[place]]
  end
  return params, found.count
end

return placeholder
