-- The trees that users build: conditions and expressions, and the names under which moonpool exports
-- them. What is made of them is the business of moonpool.resolve.

local compound = require "moonpool.tree.compound"
local condition = require "moonpool.tree.condition"
local expression = require "moonpool.tree.expression"
local functions = require "moonpool.tree.functions"

local tree = {
  Q = condition.match,
  all = condition.all,
  any = condition.any,
  no = condition.no,
  F = expression.names,
  fn = functions,
  value = expression.value,
  case = compound.case,
  cast = compound.cast,
  exists = compound.exists,
  subquery = compound.subquery,
  outer = compound.outer,
  over = compound.over,
  raw = compound.raw,
  is_expression = expression.is,
  is_condition = condition.is,
}

--- The column behind Author.age or Book.author: raises unknown_field.
---@param model table  as moonpool.resolve.model declares it
---@param name string
function tree.column(model, name) return model:expression(name) end

return tree
