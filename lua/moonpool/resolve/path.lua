-- From a name with "__" to what it leads to: author__name__icontains is the relation author, the field
-- name behind it and the lookup icontains. Knows models, no query: joins are made by whoever follows
-- the path.

local errors = require "moonpool.errors"
local lookup = require "moonpool.lookup"
local tail = require "moonpool.lookup.tail"
local vocabulary = require "moonpool.vocabulary"

local path = {}

--- One way from a model to a field.
---@class moonpool.path
---@field text string
---@field steps table[]    { name, field, model } to one row, { name, inverse, model } to many, or to one if the inverse is
--- `one`; a many_to_many is two steps, to the rows of the table between and on to one row each
---@field field table      the field at the end
---@field keys string[]?   behind the field: names in its JSON, parts of its date (see moonpool.lookup.tail)
---@field parts string[]?
---@field lookup string    "exact" if none is written
---@field many boolean     whether a step leads to many rows
---@field behind table?    { step, field }: the last step and the field behind it, where the column is here already
---@field whole boolean?   whether it ends at an inverse or a many_to_many: the field is the key of the rows there
---@field rank string      sorts paths by declaration, so that equal filters give equal texts

local function candidates(model)
  local names = { pk = true }
  for name in pairs(model.by_name) do names[name] = true end
  for name in pairs(model.inverses) do names[name] = true end
  for name in pairs(model.sets) do names[name] = true end
  return names
end

local function unknown(model, name)
  if model.sets[name] then model.sets[name]:target() end -- raises: it is not declared
  errors.raise("unknown_field", ("%s has no field %s%s"):format(model.name, vocabulary.quoted(name),
    vocabulary.suggest(name, candidates(model))))
end

-- The key of a model as the end of a path: of several columns it stands for all of them.
local function key_of(model)
  return #model.key == 1 and model.key[1] or model:whole_key()
end

local function title_of(field)
  return ("%s field %s"):format(field.type, field:title())
end
path.title_of = title_of

-- Whether name, found behind a relation, goes on into the model rather than being a lookup on the key.
local function goes_on(model, name)
  if name == nil then return false end
  return name == "pk" or model.by_name[name] ~= nil or model.inverses[name] ~= nil or not lookup.is_word(name)
end

-- Follow names from model as far as they lead. Gives the field at the end and the number of the part
-- that could not be followed.
local function follow(model, parts, found, rank)
  local steps, i = found.steps, 1
  while true do
    local name = parts[i]
    local field = name == "pk" and key_of(model) or model.by_name[name]
    local inverse = model.inverses[name]
    if not field and not inverse then unknown(model, name) end
    rank[#rank + 1] = field and ("%04d"):format(field.position or 0) or "9" .. name
    i = i + 1
    -- author_id is the column and leads nowhere; author does
    if field and not (field.relation and name == field.name) then return field, i end
    local over = inverse and inverse.over
    local behind = over and over:target() or inverse and inverse.model or field:target()
    local leads = goes_on(behind, parts[i])
    if field and not leads then return field, i end
    steps[#steps + 1] = { name = name, field = field, inverse = inverse, model = inverse and inverse.model or behind }
    if over then steps[#steps + 1] = { name = over.name, field = over, model = behind } end
    found.many = found.many or inverse ~= nil and not inverse.one
    if not leads then
      found.whole = true
      return key_of(behind), i
    end
    model = behind
  end
end

-- The column of a relation, or all of them, that holds what is asked for behind it.
local function here_already(relation, field)
  if field.whole_key_of == relation:target() then return relation end
  for i, key in ipairs(relation:keys()) do
    if key == field then return relation:locals()[i] end
  end
  return nil
end

--- The way that text describes, from model.
---@param model table
---@param text string
---@param with_lookup boolean  whether the last part may be a lookup
---@return moonpool.path
function path.parse(model, text, with_lookup)
  if type(text) ~= "string" then
    errors.raise("bad_argument", ("%s: the name of a field is a text, not %s"):format(model.name, vocabulary.quoted(text)))
  end
  local parts = tail.words(text)
  local found = { text = text, steps = {}, many = false, lookup = "exact" }
  local steps, rank = found.steps, {}
  local i
  found.field, i = follow(model, parts, found, rank)
  if i <= #parts then
    tail.read(found, found.field.kind_name, parts, i, with_lookup, title_of(found.field))
  end

  -- author__id is the column author_id: no join for a key that is here already. Behind a table between two entities it
  -- is the other row that is meant, which may be one that is left out.
  local last, before = steps[#steps], steps[#steps - 1]
  local between = before and before.inverse and before.inverse.over
  local left_out = between and (last.model.soft_delete or last.model.kinds)
  local here = not left_out and last and last.field and here_already(last.field, found.field)
  if here then
    found.behind = { step = last, field = found.field } -- the same without that
    steps[#steps] = nil
    found.field = here
  end
  found.rank = table.concat(rank, "/") .. ":" .. found.lookup
  return found
end

return path
