-- Types, defaults and conditions in a form in which what we write and what a server shows of it are the same text: servers
-- keep other words for a type, put casts around constants and write conditions anew.

local tokens = require "moonpool.schema.tokens"

local canonical = {}

-- ---- types ----

local WORDS = {
  postgres = {
    varchar = "character varying", timestamptz = "timestamp with time zone", timestamp = "timestamp without time zone",
    time = "time without time zone", timetz = "time with time zone", int = "integer", int2 = "smallint", int4 = "integer",
    int8 = "bigint", bool = "boolean", float8 = "double precision", float4 = "real", decimal = "numeric", char = "character",
  },
  mariadb = { integer = "int", ["double precision"] = "double", numeric = "decimal", bool = "tinyint", boolean = "tinyint" },
  sqlite = {},
}

local NO_WIDTH = { smallint = true, mediumint = true, int = true, bigint = true }

--- The type of a column: its word, the numbers behind it and whether it is an array, without character set and collation.
---@param dialect string
---@param text string
---@param json boolean?  MariaDB: a text that is checked to be JSON
---@return {name: string, [1]: integer?, [2]: integer?}
function canonical.type(dialect, text, json)
  text = text:lower():gsub("%s+character set .*$", ""):gsub("%s+collate .*$", "")
  local brackets = text:match "%[%]" or ""
  text = text:gsub("%[%]", "")
  local inside = text:match "%((.-)%)"
  local word = text:gsub("%b()", ""):gsub("%s+", " "):gsub(" $", "")
  local found = {}
  if inside and inside:find "^[%d%s,]+$" then
    for number in inside:gmatch "%d+" do found[#found + 1] = tonumber(number) end
  elseif inside then
    word = word .. "(" .. inside .. ")" -- the values of an enum
  end
  word = WORDS[dialect][word] or word
  if dialect == "mariadb" and (json or word == "json") then return { name = "json" } end
  if dialect == "mariadb" and NO_WIDTH[word:match "^%a+"] then found = {} end
  if dialect == "mariadb" and word == "tinyint" and not found[1] then found[1] = 1 end
  found.name = word .. brackets
  return found
end

local function same_type(a, b)
  return a.name == b.name and a[1] == b[1] and a[2] == b[2]
end

local WHOLE = { smallint = 1, integer = 2, int = 2, bigint = 3 }
local SHORT = { varchar = true, ["character varying"] = true, character = true, char = true }
local LONG = { text = true, longtext = true }
local EXACT = { numeric = true, decimal = true, decimal_text = true }

--- What it takes to turn a column of one type into another: nil nothing, "widen" no value is changed or refused, "other".
---@return "widen"|"other"|nil
function canonical.type_change(from, to)
  if same_type(from, to) then return nil end
  if WHOLE[from.name] and WHOLE[to.name] and WHOLE[from.name] < WHOLE[to.name] then return "widen" end
  if SHORT[from.name] and LONG[to.name] then return "widen" end
  if from.name == to.name and SHORT[to.name] and from[1] and (not to[1] or to[1] >= from[1]) then return "widen" end
  if EXACT[from.name] and from.name == to.name and from[1] and to[1] then
    local before, after = from[1] - (from[2] or 0), to[1] - (to[2] or 0)
    if after >= before and (to[2] or 0) >= (from[2] or 0) then return "widen" end
  end
  if from.name == "real" and to.name == "double precision" then return "widen" end
  return "other"
end

-- ---- constants and conditions ----

-- A float as it is written shortest and longest is the same; whole numbers and long decimals are exact.
local function number(text)
  if not text:find "[.eE]" then
    local sign, digits = text:match "^(%-?)0*(%d+)$"
    return #digits > 19 and ("%.17g"):format(tonumber(text)) or sign .. digits -- no whole number has more
  end
  local digits = text:gsub("[eE].*$", ""):gsub("%D", ""):gsub("^0+", "")
  if #digits <= 17 or text:find "[eE]" then return ("%.17g"):format(tonumber(text)) end
  return (text:gsub("0+$", ""):gsub("%.$", ""))
end

-- Words of a type's name, behind "::".
local TYPE_WORDS = { VARYING = true, PRECISION = true, WITH = true, WITHOUT = true, TIME = true, ZONE = true }
local IS_NOW = { NOW = true, CURRENT_TIMESTAMP = true, LOCALTIMESTAMP = true }
-- What MariaDB calls functions again.
local SAME = {
  lcase = "lower", ucase = "upper", substr = "substring", character_length = "char_length", ceiling = "ceil",
  curdate = "current_date", curtime = "current_time", power = "pow",
}
local BOOLEAN = { TRUE = "1", FALSE = "0" }

local function skip_cast(list, i)
  i = i + 2
  while list[i] and (list[i].kind == "word" and TYPE_WORDS[list[i].value] or tokens.is(list[i], "(")) do
    i = tokens.is(list[i], "(") and tokens.matching(list, i) + 1 or i + 1
  end
  while tokens.is(list[i], "[") or tokens.is(list[i], "]") do i = i + 1 end
  return i
end

-- The catalog of MariaDB loses the backslashes of some texts: a newline is shown as x0A.
local function as_shown(dialect, text)
  if dialect ~= "mariadb" then return text end
  return (text:gsub("[%c\\]", function(c) return c == "\\" and "" or ("x%02X"):format(c:byte()) end))
end

local function from_hex(text)
  return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function constant(text)
  local numeric = text:find "^%-?%d+%.?%d*$" or text:find "^%-?%d+%.?%d*[eE][+-]?%d+$"
  return numeric and number(text) or "'" .. text .. "'"
end

-- Whether a minus behind this is the sign of a number.
local function is_sign(before)
  return before == nil or before.kind == "symbol" and before.text ~= ")" or before.kind == "word" and before.value == "IN"
end

-- The tokens that mean something, as texts.
local function meaning(dialect, sql)
  local list, parts, i = tokens.read(sql, dialect == "mariadb"), {}, 1
  local function add(text) parts[#parts + 1] = text end
  while list[i] do
    local token, following = list[i], list[i + 1]
    if dialect == "postgres" and tokens.is(token, "::") then
      i = skip_cast(list, i)
    elseif token.kind == "text" then
      add(constant(as_shown(dialect, token.value)))
      i = i + 1
    elseif token.kind == "number" then
      local negative = tokens.is(list[i - 1], "-") and is_sign(list[i - 2])
      if negative then parts[#parts] = nil end
      add(number((negative and "-" or "") .. token.text))
      i = i + 1
    elseif token.kind == "word" and token.value == "X" and following and following.kind == "text" then
      add(constant(as_shown(dialect, from_hex(following.value))))
      i = i + 2
    elseif token.kind == "word" and token.value == "_UTF8MB4" then
      i = i + 1
    elseif token.kind == "word" and IS_NOW[token.value] then
      add "now"
      i = tokens.is(following, "(") and tokens.matching(list, i + 1) + 1 or i + 1
    else
      if not (tokens.is(token, "(") or tokens.is(token, ")") or tokens.is(token, "[") or tokens.is(token, "]")) then
        local word = token.value:lower()
        add(BOOLEAN[token.value] or dialect == "mariadb" and SAME[word] or word)
      end
      i = i + 1
    end
  end
  return parts
end

--- A default in a form that can be compared; nil for none.
---@param dialect string
---@param sql string?
---@return string?
function canonical.default(dialect, sql)
  if sql == nil then return nil end
  local text = table.concat(meaning(dialect, sql), " ")
  if text == "null" then return nil end
  return text
end

-- "a IN (1)" is shown as "a = 1", or as "a = ANY (ARRAY[1, 2])".
local EQUALITY = { ["in"] = true, ["="] = true, any = true, array = true, [","] = true }

--- The condition of a check in a form that can be compared.
---@param dialect string
---@param sql string
---@return string
function canonical.condition(dialect, sql)
  local parts = {}
  for _, part in ipairs(meaning(dialect, sql)) do
    if not EQUALITY[part] then parts[#parts + 1] = part end
  end
  return table.concat(parts, " ")
end

return canonical
