-- Text lookups: how a filter key such as name__contains becomes a condition.
-- A lookup builds nodes. It writes no SQL and does not know the dialect, which also escapes the
-- wildcards: each database has others.

local errors = require "moonpool.errors"
local node = require "moonpool.tree.node"

local text = {}

local function match(how, fold)
  return {
    takes = "one",
    kinds = { text = true },
    build = function(operand, value)
      if value.op == "null" then return node.false_ end
      if how == "like" and value.op ~= "slot" then
        errors.raise("unsupported", "a pattern of like and ilike is a text, not an expression: contains, startswith and regex take one")
      end
      return node.text_match(how, operand, value, fold)
    end,
  }
end

-- Of an array: has all of these items.
local in_text = match("contains", false)
text.contains = {
  takes = "one",
  kinds = { text = true, array = true },
  build = function(operand, value)
    if operand.kind ~= "array" then return in_text.build(operand, value) end
    if value.op == "null" then return node.false_ end
    return node.array_match("contains", operand, value)
  end,
}
text.icontains = match("contains", true)
text.startswith = match("starts", false)
text.istartswith = match("starts", true)
text.endswith = match("ends", false)
text.iendswith = match("ends", true)
text.like = match("like", false)
text.ilike = match("like", true)
-- The server's own expressions (PCRE2 on SQLite and MariaDB). The same everywhere: . [] () | * + ? {n,m} ^ $ (of the whole text),
-- \d \w \s. Not so: look-around, back references, \b (PostgreSQL has \y), lazy quantifiers, options inside.
text.regex = match("regex", false)
text.iregex = match("regex", true)

-- Equality of anything with NULL is asked with isnull or exact; here it means the same.
text.iexact = {
  takes = "one",
  kinds = { text = true },
  build = function(operand, value)
    if value.op == "null" then return node.is_null(operand) end
    return node.text_match("equals", operand, value, true)
  end,
}

return text
