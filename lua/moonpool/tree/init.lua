-- The trees that users build: conditions and expressions, and the names under which moonpool exports
-- them. What is made of them is the business of moonpool.resolve.

local condition = require "moonpool.tree.condition"
local errors = require "moonpool.errors"
local expression = require "moonpool.tree.expression"

local tree = {
  Q = condition.match,
  all = condition.all,
  any = condition.any,
  no = condition.no,
  F = expression.names,
  fn = expression.functions,
  value = expression.value,
  is_expression = expression.is,
  is_condition = condition.is,
}

for _, name in ipairs { "case", "cast", "exists", "subquery", "over", "raw" } do
  tree[name] = function() errors.raise("unsupported", "mp." .. name .. " is not built yet") end
end

tree.outer = setmetatable({}, {
  __index = function() errors.raise("unsupported", "mp.outer is not built yet") end,
})

--- The column behind Author.age or Book.author: raises unknown_field.
---@param model table  as moonpool.resolve.model declares it
---@param name string
function tree.column(model, name) return model:expression(name) end

return tree
