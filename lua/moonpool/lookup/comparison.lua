-- Lookups that compare: equal, less, in a list, in a range, NULL.
-- A lookup builds nodes. It writes no SQL and does not know the dialect. What it is given as value is
-- a node: a slot, an expression, or node.null; for "list" a table with items, has_null or select.

local node = require "moonpool.tree.node"

local comparison = {}

-- A comparison with NULL is false: there is nothing to be less than.
local function compare(operator)
  return {
    takes = "one",
    build = function(operand, value)
      if value.op == "null" then return node.false_ end
      return node.compare(operator, operand, value)
    end,
  }
end

comparison.gt = compare ">"
comparison.gte = compare ">="
comparison.lt = compare "<"
comparison.lte = compare "<="

local function equal(operand, value)
  if value.op == "null" then return node.is_null(operand) end
  return node.compare("=", operand, value)
end

-- equates: also whole tables of JSON.
comparison.exact = { takes = "one", equates = true, build = equal }

comparison.ne = {
  takes = "one",
  equates = true,
  build = function(operand, value) return node.negation(equal(operand, value)) end,
}

local function among(operand, list)
  if list.select then return node.among_rows(operand, list.select) end
  local either = {}
  if #list.items > 0 then either[1] = node.among(operand, list.items) end
  if list.has_null then either[#either + 1] = node.is_null(operand) end
  return node.joined("or", either)
end

comparison["in"] = { takes = "list", equates = true, build = among }

comparison.not_in = {
  takes = "list",
  equates = true,
  build = function(operand, list) return node.negation(among(operand, list)) end,
}

comparison.range = {
  takes = "pair",
  build = function(operand, low, high)
    if low.op == "null" or high.op == "null" then return node.false_ end
    return node.between(operand, low, high)
  end,
}

comparison.isnull = {
  takes = "flag",
  build = function(operand, flag)
    local is_null = node.is_null(operand)
    return flag and is_null or node.negation(is_null)
  end,
}

return comparison
