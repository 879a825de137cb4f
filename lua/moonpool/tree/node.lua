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

--- Something in the JSON of a column or of an expression: keys is an array of texts, of which one of digits is the
--- place in an array as well. JSON's null is NULL.
function node.json(operand, keys)
  return { op = "json", operand = operand, keys = keys, kind = "json", null = true }
end

--- JSON as a value of that kind, if it is one; otherwise NULL. All numbers are numbers, whichever kind is asked.
function node.json_as(operand, kind)
  return { op = "json_as", operand = operand, kind = kind, null = true }
end

local KIND_OF_PART = { date = "date" }

--- A part of a date or a time ("year"), or the number of items of an array ("len").
function node.part(operand, name)
  return { op = "part", operand = operand, name = name, kind = KIND_OF_PART[name] or "int", null = operand.null }
end

--- A number as one of a wider kind.
function node.widened(operand, kind)
  return { op = "widened", operand = operand, kind = kind, null = operand.null }
end

--- A condition as a value.
function node.truth(condition)
  return { op = "truth", condition = condition, kind = "bool", null = false }
end

--- A text of the program's own declarations.
function node.constant(text)
  return { op = "constant", text = text, kind = "text", null = false }
end

--- A constant of ours, as every server writes it.
function node.literal(text, kind)
  return { op = "slot", literal = text, kind = kind, null = false }
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

--- Whether an object in JSON has a key of that name.
function node.json_has(operand, key)
  return { op = "json_has", operand = operand, key = key, maybe = true }
end

--- how: "contains", all of the items, or "overlap", one of them.
function node.array_match(how, operand, items)
  return { op = "array_match", how = how, operand = operand, items = items, maybe = operand.null or items.null }
end

--- An expression whose truth the server decides (mp.raw).
function node.asked(operand)
  return { op = "asked", operand = operand, maybe = true }
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
