-- Lookups that look into a value: keys of a JSON object, items of an array.
-- A lookup builds nodes. It writes no SQL and does not know the dialect.

local node = require "moonpool.tree.node"

local structure = {}

structure.has_key = {
  takes = "one",
  kinds = { json = true },
  operand = "text",
  build = function(operand, key)
    if key.op == "null" then return node.false_ end
    return node.json_has(operand, key)
  end,
}

-- All of them.
structure.has_keys = {
  takes = "list",
  kinds = { json = true },
  operand = "text",
  build = function(operand, list)
    if list.has_null then return node.false_ end
    local all = {}
    for i, key in ipairs(list.items) do all[i] = node.json_has(operand, key) end
    return node.joined("and", all)
  end,
}

structure.overlap = {
  takes = "one",
  kinds = { array = true },
  build = function(operand, items)
    if items.op == "null" then return node.false_ end
    return node.array_match("overlap", operand, items)
  end,
}

return structure
