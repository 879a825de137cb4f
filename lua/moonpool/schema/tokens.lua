-- SQL text as tokens, for what a catalog keeps as text: SQLite's CREATE TABLE, the conditions of checks, defaults.
-- Reads what servers write; it is no parser of statements that a program was given.

local tokens = {}

-- The end of a quoted token that begins at i, its quote being doubled inside.
local function closing(sql, i, quote, backslash)
  local at = i + 1
  while true do
    at = sql:find(backslash and "[\\" .. quote .. "]" or quote, at)
    if at == nil then return #sql end
    if sql:byte(at) == 92 then
      at = at + 2
    elseif sql:sub(at + 1, at + 1) ~= quote then
      return at
    else
      at = at + 2
    end
  end
end

local function unquoted(sql, i, j, quote)
  return (sql:sub(i + 1, j - 1):gsub(quote .. quote, quote))
end

-- What a backslash makes of a letter behind it; of everything else, itself.
local ESCAPED = { n = "\n", t = "\t", r = "\r", b = "\b", Z = "\26", ["0"] = "\0" }

-- The end and the kind of the token at i, and its value where that is not its text.
local function token_at(sql, i, backslash)
  local c = sql:sub(i, i)
  if c == "'" then
    local j = closing(sql, i, c, backslash)
    local value = unquoted(sql, i, j, c)
    return j, "text", backslash and (value:gsub("\\(.)", function(letter) return ESCAPED[letter] or letter end)) or value
  elseif c == '"' or c == "`" then
    local j = closing(sql, i, c)
    return j, "name", unquoted(sql, i, j, c)
  elseif c == "[" and sql:find("^%[[%a_]", i) then -- SQLite takes [name]
    local j = sql:find("]", i, true) or #sql
    return j, "name", sql:sub(i + 1, j - 1)
  end
  local _, j = sql:find("^%d+%.?%d*[eE][+-]?%d+", i)
  if not j then _, j = sql:find("^%d+%.?%d*", i) end
  if not j then _, j = sql:find("^%.%d+", i) end
  if j then return j, "number" end
  _, j = sql:find("^[%w_$\128-\255]+", i)
  if j then return j, "word" end
  _, j = sql:find("^::", i)
  if not j then _, j = sql:find("^[<>=!|]+", i) end
  return j or i, "symbol"
end

--- The tokens of a text, without spaces and comments.
---@param sql string
---@param backslash boolean?  whether one in a text keeps what follows from meaning anything (MariaDB)
---@return {kind: "text"|"name"|"number"|"word"|"symbol", text: string, value: string, from: integer, to: integer}[]
--- value: a quoted one without its quotes, a word in capitals.
function tokens.read(sql, backslash)
  local list, i = {}, 1
  while true do
    i = sql:find("%S", i)
    if i == nil then return list end
    if sql:find("^%-%-", i) then
      i = (sql:find("\n", i, true) or #sql) + 1
    elseif sql:find("^/%*", i) then
      local _, j = sql:find("*/", i + 2, true)
      i = (j or #sql) + 1
    else
      local j, kind, value = token_at(sql, i, backslash)
      local text = sql:sub(i, j)
      list[#list + 1] = { kind = kind, text = text, value = value or (kind == "word" and text:upper() or text), from = i, to = j }
      i = j + 1
    end
  end
end

--- Whether a token is that unquoted word or symbol.
function tokens.is(token, value)
  return token ~= nil and (token.kind == "word" or token.kind == "symbol") and token.value == value
end

--- The place of the bracket that closes the one at `open`.
---@return integer
function tokens.matching(list, open)
  local depth = 0
  for i = open, #list do
    if tokens.is(list[i], "(") then depth = depth + 1 end
    if tokens.is(list[i], ")") then
      depth = depth - 1
      if depth == 0 then return i end
    end
  end
  return #list
end

return tokens
