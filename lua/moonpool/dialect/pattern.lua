-- Patterns of LIKE and GLOB. A user's text is taken literally by contains, startswith and endswith; in
-- like and ilike % and _ are wildcards and a backslash makes the next character literal.

local pattern = {}

--- A text that LIKE ... ESCAPE '!' takes literally. "!" because MariaDB reads a backslash inside a
--- string literal.
function pattern.like_literal(text)
  return (text:gsub("[%%_!]", "!%0"))
end

--- A text that GLOB takes literally.
function pattern.glob_literal(text)
  return (text:gsub("[%*%?%[]", "[%0]"))
end

-- Calls wild(character) and literal(text) for the pieces of a user's pattern, in order.
local function translate(text, literal, wild)
  local parts, i = {}, 1
  while i <= #text do
    local c = text:sub(i, i)
    if c == "\\" and i < #text then
      i = i + 1
      parts[#parts + 1] = literal(text:sub(i, i))
    elseif c == "%" or c == "_" then
      parts[#parts + 1] = wild[c]
    else
      parts[#parts + 1] = literal(c)
    end
    i = i + 1
  end
  return table.concat(parts)
end

--- A user's pattern for LIKE ... ESCAPE '!'.
function pattern.like(text)
  return translate(text, pattern.like_literal, { ["%"] = "%", ["_"] = "_" })
end

--- A user's pattern for GLOB.
function pattern.glob(text)
  return translate(text, pattern.glob_literal, { ["%"] = "*", ["_"] = "?" })
end

--- What LIKE is given for each kind of match.
pattern.for_like = {
  contains = function(text) return "%" .. pattern.like_literal(text) .. "%" end,
  starts = function(text) return pattern.like_literal(text) .. "%" end,
  ends = function(text) return "%" .. pattern.like_literal(text) end,
  like = pattern.like,
}

--- What GLOB is given.
pattern.for_glob = {
  starts = function(text) return pattern.glob_literal(text) .. "*" end,
  ends = function(text) return "*" .. pattern.glob_literal(text) end,
  like = pattern.glob,
}

return pattern
