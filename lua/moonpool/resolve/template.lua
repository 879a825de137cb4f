-- Takes the values out of what the user wrote. A walk over conditions and expressions gives
--   a key: equal for all trees that differ in their values only,
--   the values, in the order of the walk,
--   and, when it is asked for, the template: the same tree with numbered slots for the values.
-- So a shape is resolved and compiled once, and holds no value of the query that came first.

local condition = require "moonpool.tree.condition"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local expression = require "moonpool.tree.expression"
local key_values = require "moonpool.resolve.key"
local lookup = require "moonpool.lookup"
local lookup_tail = require "moonpool.lookup.tail"
local vocabulary = require "moonpool.vocabulary"
local walk_room = require "moonpool.resolve.walk"

require "moonpool.resolve.template_expression"

local null = core.null

local say, say_text, slot, is_query = walk_room.say, walk_room.say_text, walk_room.slot, walk_room.is_query

local template = {
  walk = walk_room.start,
  key = walk_room.key,
  say = say,
  query = walk_room.query,
  is_query = is_query,
  expression = walk_room.expression,
}

-- One value on the right of a lookup: its kind is that of what stands on the left. typed: what is on the left is
-- read as the value is (JSON, perhaps), so that the value's own kind is part of the shape.
local function walk_value(walk, value, typed)
  if value == nil or value == null then
    say(walk, "null")
    return { _op = "null" }
  end
  if type(value) == "table" then
    if expression.is(value) then return walk_room.expression(walk, value) end
    if condition.is(value) then return walk_room.expression(walk, expression.value(value)) end
    if is_query(value) then
      errors.raise("bad_argument", "a query set stands where one value is wanted: use the lookup in, or mp.subquery")
    end
  end
  local built = slot(walk, value)
  if typed then
    local kind = core.kind_of(value) or type(value)
    say(walk, kind)
    if walk.build then built.given = kind end
  end
  return built
end

-- What a lookup stands behind, for a message: a key as it was written, or the expression on its left.
local function title_of(entry, where)
  return type(where) == "string" and where or tostring(where) .. ":" .. entry.name
end

local function bad_array(entry, where, what)
  errors.raise("bad_argument", title_of(entry, where) .. " takes an array" .. what)
end

-- The length of an array without holes, and whether all in it are plain values.
local function array_length(entry, where, value)
  if type(value) ~= "table" or (getmetatable(value) ~= nil and value[1] == nil) or expression.is(value) then
    bad_array(entry, where, ", not " .. vocabulary.quoted(value))
  end
  local length = #value
  local seen, is_plain = 0, true
  for key, item in next, value do
    seen = seen + 1
    if type(key) ~= "number" or key < 1 or key > length or key % 1 ~= 0 then
      bad_array(entry, where, " of values, this one has the key " .. vocabulary.quoted(key))
    end
    local kind = type(item)
    if kind == "table" or item == null then is_plain = false end
  end
  if seen ~= length then bad_array(entry, where, " without holes; mp.null stands for NULL") end
  return length, is_plain
end

-- A long list is filled up with its last value to one of few lengths, so that lists of any length
-- share few statements. Up to this length each has its own.
local OWN_LENGTH = 16

--- The length that a list of plain values is filled up to.
---@param length integer
---@return integer
function template.padded(length)
  if length <= OWN_LENGTH then return length end
  local full = OWN_LENGTH
  while full < length do full = full * 2 end
  return full
end

-- A list of plain values only, which is what lists nearly always are and where they are long: one token.
local function walk_plain_list(walk, list, length)
  local values, first = walk.values, walk.count
  for i = 1, length do values[first + i] = list[i] end
  local full = template.padded(length)
  for i = length + 1, full do values[first + i] = list[length] end
  walk.count = first + full
  say(walk, "list " .. full)
  if not walk.build then return true end
  local items = {}
  for i = 1, full do items[i] = { _op = "slot", index = first + i } end
  return { _op = "list", items = items }
end

local function walk_list(walk, entry, where, value, typed)
  if is_query(value) then
    return { _op = "list", query = walk_room.query(walk, value), items = {} }
  end
  local length, is_plain = array_length(entry, where, value)
  if is_plain and not typed then return walk_plain_list(walk, value, length) end
  local built, items = { _op = "list" }, {}
  built.items = items
  say(walk, "list")
  for i = 1, length do
    if value[i] == null then
      built.has_null = true
      say(walk, "null")
    else
      items[#items + 1] = walk_value(walk, value[i], typed)
    end
  end
  say(walk, "end")
  return built
end

-- A key of several columns: a slot for each part.
local function walk_key(walk, value, field)
  if value == nil or value == null then
    say(walk, "null")
    return { _op = "null" }
  end
  local built = { _op = "key" }
  for i, part in ipairs(key_values.of(field, value)) do built[i] = slot(walk, part) end
  return built
end

local function walk_keys(walk, entry, where, value, field)
  if entry.takes == "one" then return walk_key(walk, value, field) end
  if is_query(value) then return { _op = "list", query = walk_room.query(walk, value), items = {} } end
  local length = array_length(entry, where, value)
  local built, items = { _op = "list" }, {}
  built.items = items
  say(walk, "keys")
  local last
  for i = 1, length do
    if value[i] == null then
      built.has_null = true
      say(walk, "null")
    else
      last = value[i]
      items[#items + 1] = walk_key(walk, last, field)
    end
  end
  for _ = #items + 1, last and template.padded(#items) or 0 do items[#items + 1] = walk_key(walk, last, field) end
  say(walk, "end")
  return built
end

-- What stands on the right of a lookup. field: what stands on the left, if it is one.
local function walk_operand(walk, entry, where, value, typed, field)
  local takes = entry.takes
  if field and field.parts and takes ~= "flag" then return walk_keys(walk, entry, where, value, field) end
  if takes == "one" then
    return walk_value(walk, value, typed)
  elseif takes == "list" then
    return walk_list(walk, entry, where, value, typed)
  elseif takes == "pair" then
    if array_length(entry, where, value) ~= 2 then bad_array(entry, where, " of two values") end
    local low = walk_value(walk, value[1], typed)
    return { _op = "pair", low, (walk_value(walk, value[2], typed)) }
  end
  if type(value) ~= "boolean" then
    errors.raise("bad_argument", ("%s takes true or false, not %s"):format(title_of(entry, where),
      vocabulary.quoted(value)))
  end
  say(walk, tostring(value))
  return { _op = "flag", value = value }
end

-- ---- filter tables ----

-- The annotation that a key begins with, and what is behind it. A column of derived rows may have "__" in its name.
local function annotation_of(context, key)
  local annotations, name = context.annotations, key
  if next(annotations) == nil then return nil end
  while name do
    if annotations[name] then return annotations[name], name ~= key and key:sub(#name + 3) or nil end
    name = name:match("^(.+)__.-$")
  end
  return nil
end

--- Where the columns of rows are all there is, no other name leads anywhere.
function template.refuse_name(model, columns, name)
  errors.raise("unknown_field", ("these rows of %s have no column %s%s"):format(model.name, vocabulary.quoted(name),
    vocabulary.suggest(name, columns)))
end

-- Names behind JSON may be a program's input: then forgotten, and found again.
local MOST_MEANINGS = 1000

--- What a key of a filter table means: an annotation ("n__gt") or a path of the model.
---@return table { text, rank, lookup, path or annotation }
function template.meaning(context, key)
  local known = context.meanings[key]
  if known then return known end
  local meaning
  if type(key) ~= "string" then
    errors.raise("bad_argument", ("a filter table has names of fields as keys, not %s"):format(vocabulary.quoted(key)))
  end
  local annotation, rest = annotation_of(context, key)
  if annotation then
    meaning = { text = key, annotation = annotation, lookup = "exact", rank = "~" .. key }
    if rest then
      lookup_tail.read(meaning, annotation.kind, lookup_tail.words(rest), 1, true, "the annotation " .. annotation.name)
    end
    meaning.typed = annotation.kind == "json" or annotation.kind == nil
  else
    if context.only_columns then template.refuse_name(context.model, context.annotations, key) end
    local path = context.model:path(key)
    meaning = { text = key, path = path, lookup = path.lookup, rank = path.rank, typed = path.field.kind_name == "json" }
  end
  meaning.entry = lookup.entries[meaning.lookup]
  context.meant = (context.meant or 0) + 1
  if context.meant > MOST_MEANINGS then context.meanings, context.meant = {}, 1 end
  context.meanings[key] = meaning
  return meaning
end

local function by_rank(a, b)
  if a.rank ~= b.rank then return a.rank < b.rank end
  return a.text < b.text
end

local function meanings_of(context, keys)
  local meanings = {}
  local known = context.meanings
  for key in next, keys do meanings[#meanings + 1] = known[key] or template.meaning(context, key) end
  if #meanings > 1 then table.sort(meanings, by_rank) end
  return meanings
end

--- The keys of a filter table by declaration, which is the order of their values.
---@return string[]
function template.sorted(context, keys)
  local names = meanings_of(context, keys)
  for i, meaning in ipairs(names) do names[i] = meaning.text end
  return names
end

local function walk_match(walk, keys)
  local meanings = meanings_of(walk.context, keys)
  local built = walk.build and { _op = "match" }
  say(walk, "match")
  for i = 1, #meanings do
    local meaning = meanings[i]
    say_text(walk, meaning.text)
    local operand = walk_operand(walk, meaning.entry, meaning.text, keys[meaning.text], meaning.typed,
      meaning.path and meaning.path.field)
    if built then built[i] = { meaning = meaning, operand = operand } end
  end
  say(walk, "end")
  return built
end

-- ---- conditions ----

-- The field that an expression is, if it is one of the query's own entity.
local function field_of(walk, node)
  local context = walk.context
  if node._op ~= "path" or not node._model or node._model.name ~= context.model.name then return nil end
  return context.model:place(node._path).field
end

local function walk_condition(walk, node)
  local op = node._op
  if op == "match" then return walk_match(walk, node.keys) end
  say(walk, op)
  if op == "lookup" then
    local left = walk_room.expression(walk, node.left)
    say(walk, node.name)
    local operand = walk_operand(walk, lookup.entries[node.name], node.left, node.value, true, field_of(walk, node.left))
    return walk.build and { _op = op, name = node.name, left = left, operand = operand }
  elseif op == "exists" then
    return { _op = op, query = walk_room.query(walk, node.query) }
  elseif op == "asked" then
    return { _op = op, operand = walk_room.expression(walk, node.operand) }
  end
  local built = walk.build and { _op = op }
  for i = 1, #node do
    local one = walk_condition(walk, node[i])
    if built then built[i] = one end
  end
  say(walk, "end")
  return built
end

walk_room.condition = walk_condition
template.condition = walk_condition

return template
