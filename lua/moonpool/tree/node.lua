-- Resolved nodes: what lookups and expressions become once every name is a column of a source. They
-- are what the compiler reads. A value is never in a node: a node says which slot it comes from, so
-- that one tree serves every query of its shape.
--
-- An expression has kind (a name of core.kind) and null (whether it may be NULL). A condition has
-- maybe (whether it may be NULL, which the compiler must not let out of a negation).

local node = {}

--- A column of a source (a table in FROM; see moonpool.resolve.source).
function node.column(source, field, null)
  return { op = "column", source = source, field = field, kind = field.kind_name, null = null }
end

--- A column, by its name, of rows that are no table's (see moonpool.sql.combine). number: of its kind, where the name
--- does not say all (arrays).
function node.derived(source, name, kind, null, number)
  return { op = "derived", source = source, name = name, kind = kind, null = null, number = number }
end

--- A value that is given when the statement is bound.
function node.slot(index, kind)
  return { op = "slot", index = index, kind = kind, null = false }
end

--- NULL itself, where a value was expected.
node.null = { op = "null", null = true }

node.true_ = { op = "true", maybe = false }
node.false_ = { op = "false", maybe = false }

--- operator: "=" "<" "<=" ">" ">="
function node.compare(operator, left, right)
  return { op = "compare", operator = operator, left = left, right = right, maybe = left.null or right.null }
end

function node.is_null(operand)
  return { op = "is_null", operand = operand, maybe = false }
end

--- items: an array of expressions, at least one.
function node.among(operand, items)
  local maybe = operand.null
  for _, item in ipairs(items) do maybe = maybe or item.null end
  return { op = "among", operand = operand, items = items, maybe = maybe }
end

function node.between(operand, low, high)
  return { op = "between", operand = operand, low = low, high = high, maybe = operand.null or low.null or high.null }
end

--- how: "equals" "contains" "starts" "ends" "like" "regex"; fold: without regard to case. The text
--- is taken literally but for "like" and "regex": wildcards are the dialect's business.
function node.text_match(how, operand, text, fold)
  return { op = "text_match", how = how, operand = operand, text = text, fold = fold, maybe = operand.null or text.null }
end

--- how: "and" or "or". Of one item it is that item, of none it is true ("and") or false ("or").
function node.joined(how, items)
  if #items == 1 then return items[1] end
  if #items == 0 then return how == "and" and node.true_ or node.false_ end
  local maybe = false
  for _, item in ipairs(items) do maybe = maybe or item.maybe end
  return { op = how, items = items, maybe = maybe }
end

function node.negation(item)
  return { op = "not", item = item, maybe = false }
end

--- select: one column. A NULL among its rows makes the answer NULL where none is equal.
function node.among_rows(operand, select)
  return { op = "among_rows", operand = operand, select = select, maybe = true }
end

--- Whether a sub-select (see moonpool.resolve.source) has a row.
function node.has_row(select)
  return { op = "has_row", select = select, maybe = false }
end

return node
