-- What SQLite says of a table in its CREATE TABLE alone: checks, collations, calculated columns, the words of
-- each definition. The text was accepted by SQLite, so it is read without asking whether it is right.

local tokens = require "moonpool.schema.tokens"

local is, matching = tokens.is, tokens.matching

local create_table = {}

local CONSTRAINTS = { CONSTRAINT = true, PRIMARY = true, UNIQUE = true, CHECK = true, FOREIGN = true }

-- Lists of tokens between the commas of the brackets from open to close.
local function parts_of(list, open, close)
  local parts, depth = { {} }, 0
  for i = open + 1, close - 1 do
    local token = list[i]
    if is(token, "(") then depth = depth + 1 elseif is(token, ")") then depth = depth - 1 end
    if depth == 0 and is(token, ",") then
      parts[#parts + 1] = {}
    else
      local part = parts[#parts]
      part[#part + 1] = token
    end
  end
  return parts
end

local function text_between(sql, first, last)
  return first and last and sql:sub(first.from, last.to) or ""
end

-- Calls found(word, name, open, close) for CHECK (...), AS (...) and the like: what stands before a bracket, and the name
-- that CONSTRAINT gave.
local function each_clause(part, found)
  local i, name = 1, nil
  while i <= #part do
    if is(part[i], "CONSTRAINT") then
      name = part[i + 1] and (part[i + 1].kind == "word" and part[i + 1].text or part[i + 1].value)
      i = i + 2
    elseif is(part[i], "(") then
      local close = matching(part, i)
      found(part[i - 1] and part[i - 1].value, name, i, close)
      name, i = nil, close + 1
    else
      i = i + 1
    end
  end
end

local function read_clauses(sql, part, into, column)
  each_clause(part, function(word, name, open, close)
    local text = text_between(sql, part[open + 1], part[close - 1])
    if word == "CHECK" then
      into[#into + 1] = { name = name, columns = column and { column.name }, expression = text }
    elseif word == "AS" and column then
      column.computed = text
    end
  end)
end

local function read_column(sql, part, read)
  local first = part[1]
  local column = {
    name = first.kind == "word" and first.text or first.value,
    text = text_between(sql, part[1], part[#part]),
  }
  for i = 2, #part do
    if is(part[i], "COLLATE") and part[i + 1] then column.collation = part[i + 1].value end
  end
  read_clauses(sql, part, read.checks, column)
  read.columns[column.name] = column
end

--- Read a CREATE TABLE.
---@param sql string
---@return table  columns (by name: text, collation, computed), checks (name columns expression), constraints (texts
--- that stand by themselves: words, text), options (what stands behind the columns)
function create_table.read(sql)
  local list = tokens.read(sql)
  local read = { columns = {}, checks = {}, constraints = {}, options = "" }
  local open
  for i, token in ipairs(list) do
    if is(token, "(") then
      open = i
      break
    end
  end
  if not open then return read end
  local close = matching(list, open)
  for _, part in ipairs(parts_of(list, open, close)) do
    local first = part[1]
    if first and first.kind == "word" and CONSTRAINTS[first.value] then
      read.constraints[#read.constraints + 1] = { tokens = part, text = text_between(sql, first, part[#part]) }
      read_clauses(sql, part, read.checks)
    elseif first then
      read_column(sql, part, read)
    end
  end
  read.options = text_between(sql, list[close + 1], list[#list])
  return read
end

return create_table
