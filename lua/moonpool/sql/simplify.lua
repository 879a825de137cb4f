-- Conditions as they are written: negations pushed down to single comparisons, where the dialect knows
-- how to deny one without losing the rows whose value is NULL; constants folded away.
-- NOT (a AND b) is (NOT a) OR (NOT b) only because each NOT is two-valued: exactly the rest.

local node = require "moonpool.tree.node"

local simplify = {}

local function joined(how, items)
  local absorbing = how == "and" and "false" or "true"
  local neutral = how == "and" and "true" or "false"
  local kept = {}
  for _, item in ipairs(items) do
    if item.op == absorbing then return item end
    if item.op == how then
      for _, one in ipairs(item.items) do kept[#kept + 1] = one end
    elseif item.op ~= neutral then
      kept[#kept + 1] = item
    end
  end
  return node.joined(how, kept)
end

local function simple(tree, negated)
  local op = tree.op
  if op == "not" then return simple(tree.item, not negated) end
  if op == "and" or op == "or" then
    local items = {}
    for i, item in ipairs(tree.items) do items[i] = simple(item, negated) end
    return joined(negated and (op == "and" and "or" or "and") or op, items)
  end
  if op == "has_row" then
    local select = {}
    for name, part in pairs(tree.select) do select[name] = part end
    local where = select.where and simplify.condition(select.where) or node.true_
    local of_all = select.group and #select.group == 0 -- has a row of no rows
    if where.op == "false" and not of_all then return negated and node.true_ or node.false_ end
    select.where = where.op ~= "true" and where or nil
    tree = node.has_row(select)
  end
  if not negated then return tree end
  if op == "true" then return node.false_ end
  if op == "false" then return node.true_ end
  return node.negation(tree)
end

--- The same condition with NOT in front of single comparisons only.
function simplify.condition(tree) return simple(tree, false) end

--- The conjunction of simplified conditions, or nil if nothing is left to ask.
function simplify.all(items)
  local all = joined("and", items)
  return all.op ~= "true" and all or nil
end

return simplify
