-- Relations of models: which columns they are, the models of tables between two entities, and what leads from the other
-- side (inverses). All of it is found anew when a model is declared, because a declaration may complete others.
--
-- An inverse is { name, field, model }: the rows of model whose relation `field` leads here; `one`: there is one at
-- most. With `over` it goes on: from those rows, which are of a table between, over that relation to the rows that are
-- meant; `set` is then the many_to_many.

local belongs_to = require "moonpool.field.belongs_to"
local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"

local relations = {}

local function bad(field, message, ...)
  errors.raise("bad_argument", field:title() .. ": " .. message:format(...))
end

-- What is wrong may be put right by a declaration that follows: then it is said when the relation is used, see target().
local function later(field, fn, ...)
  local ok, problem = pcall(fn, field, ...)
  if not ok then field.problem = problem end
  return ok
end

-- ---- columns ----

-- What the columns of a relation depend on: the names of its target's key, where there are several.
local function signature(field, find)
  local target = find(field.target_name)
  local key = target and target.key
  if not key or #key < 2 then return "" end
  local names = {}
  for i, part in ipairs(key) do names[i] = part.attribute end
  return table.concat(names, ",")
end

--- Whether the columns of a model are not those that its relations need.
---@param self table
---@param find fun(name: string): table?
function relations.is_stale(self, find)
  for _, field in ipairs(self.declared) do
    if field.relation and field.signature ~= signature(field, find) then return true end
  end
  return false
end

--- The fields that a declared one stands for in the table: itself, its parts, or none.
---@param find fun(name: string): table?
---@return table[]
function relations.columns(field, find)
  if field.many then return {} end
  if not field.relation then return { field } end
  local target = find(field.target_name)
  local before = field.signature
  field.signature = signature(field, find)
  if field.signature == "" then
    field.parts, field.attribute = nil, field.attribute_of_one
    return { field }
  end
  if before ~= field.signature then
    field.parts, field.attribute = belongs_to.parts(field, target.key), nil
  end
  return field.parts
end

--- Where the pairs of columns are that must be equal: { column's field there, column's field here } for the relation
--- followed from its own side; the other way round from the other.
---@param field table
---@param from_target boolean?
---@return table[]
function relations.pairs(field, from_target)
  local pairs_of, keys = {}, field:keys()
  for i, own in ipairs(field:locals()) do
    pairs_of[i] = from_target and { own, keys[i] } or { keys[i], own }
  end
  return pairs_of
end

--- The whole key of a model as a field, where it has several columns.
---@return table
function relations.whole_key(self)
  return {
    whole_key_of = self, name = "pk", type = "key", kind_name = "row", relation = false, null = false, model = self,
    parts = self.key, position = 0,
    locals = function() return self.key end,
    title = function() return self.name .. ".pk" end,
  }
end

-- ---- tables between two entities ----

--- Whether two relations of a table between are its key, or unique together: each pair is there once at most, and the
--- database itself knows one that is there.
---@param back table
---@param over table
---@return boolean
function relations.is_unique_pair(back, over)
  local wanted, count = {}, 0
  for _, field in ipairs { back, over } do
    for _, column in ipairs(field:locals()) do
      wanted[column] = true
      count = count + 1
    end
  end
  local function fits(fields)
    for _, one in ipairs(fields) do
      if not wanted[one] then return false end
    end
    return #fields == count
  end
  if fits(back.model.key) then return true end
  for _, index in ipairs(back.model.indexes) do
    if index.unique and fits(index.fields) then return true end
  end
  return false
end

-- Which database a model says it lives in; a handle with a name is that name.
local function home(one)
  local database = one.database
  if database == nil then return "default" end
  if type(database) == "table" then return database.name or database end
  return database
end

--- Whether two models live in one database, as far as their declarations say.
function relations.share_database(a, b) return a == b or home(a) == home(b) end

-- The entity that holds the pairs, if the program declared one: by its name, or by that of its table.
local function declared_through(field, all, find)
  local name = field.through
  if name == nil then return nil end
  local found = find(name)
  if found and not found.between then return found end
  for _, one in ipairs(all) do
    if one.table == name and not one.between then return one end
  end
  return nil
end

local function only_relation(through, target, field, what)
  local found = {}
  for _, one in ipairs(through.declared) do
    if one.relation and one.target_name == target.name then found[#found + 1] = one end
  end
  if #found ~= 1 then
    bad(field, "its table %s needs one relation to %s, %s, and has %s", through.name, target.name, what,
      #found == 0 and "none" or ("%d: %s"):format(#found, found[1].name .. ", " .. found[2].name))
  end
  return found[1]
end

-- The relations of the table between: back to the owner, and on to the target.
local function ends(through, field, target)
  local owner = field.model
  if target ~= owner then
    return only_relation(through, owner, field, "its owner"), only_relation(through, target, field, "its target")
  end
  local found = {}
  for _, one in ipairs(through.declared) do
    if one.relation and one.target_name == owner.name then found[#found + 1] = one end
  end
  if #found ~= 2 then
    bad(field, "its table %s needs two relations to %s, the first from where and the second to where, and has %d",
      through.name, owner.name, #found)
  end
  return found[1], found[2]
end

-- The declarations of a table that nobody declared. between: what the model is made with, see moonpool.resolve.model.
local function own_through(field, between)
  local owner, target = field.model.name, field.target_name
  local from, to = vocabulary.snake_case(owner), vocabulary.snake_case(target)
  if owner == target then from, to = "from_" .. from, "to_" .. to end
  return between(field, field.through or field.model.table .. "_" .. field.name, from, to)
end

-- ---- inverses ----

local function check_name(target, name, field)
  if target.by_name[name] or vocabulary.is_reserved(name) then
    bad(field, "its inverse %s is already something of %s", name, target.name)
  end
end

local function enter(target, inverse, field)
  local other = target.inverses[inverse.name]
  local held = other and (other.set or other.field)
  if other and held.model == field.model then
    bad(field, "it has the same inverse %s as %s", inverse.name, held.name)
  elseif other then
    bad(field, "its inverse %s of %s is already that of %s", inverse.name, target.name, held:title())
  end
  check_name(target, inverse.name, field)
  target.inverses[inverse.name] = inverse
end

local function check_database(field, target)
  if not relations.share_database(field.model, target) then
    bad(field, "%s lives in another database: the table between them could not refer to both", target.name)
  end
end

-- No database enforces anything between two: what was said has to be that, and what was not said is.
local function check_apart(field, target)
  for _, option in ipairs { "on_delete", "on_update" } do
    if field.acts[option] and field[option] ~= "no_action" then
      bad(field, '%s lives in another database, where nothing enforces %s = "%s": the only one is "no_action"',
        target.name, option, field[option])
    end
  end
end

local function link_to_one(field, find)
  local target = find(field.target_name)
  if target and field.inverse and not field.inherited then
    enter(target, { name = field.inverse, field = field, model = field.model, one = field.one }, field)
  end
  field.apart = target ~= nil and not relations.share_database(field.model, target)
  if field.apart then later(field, check_apart, target) end
end

local function link_many(field, find, all, between)
  local owner, target = field.model, find(field.target_name)
  if not target then return end
  if not later(field, check_database, target) then return end
  local through = declared_through(field, all, find)
  if not through then
    field.own = field.own or own_through(field, between)
    through = field.own
  end
  local back, on = ends(through, field, target)
  owner.inverses[field.name] = { name = field.name, field = back, model = through, over = on, set = field }
  if field.inverse then
    enter(target, { name = field.inverse, field = on, model = through, over = back, set = field, turned = true }, field)
  end
end

-- What is wrong with the model that is being declared is an error there. One from before may be about to be replaced.
local function try(self, field, fn, ...)
  field.problem = nil
  if field.model == self then return fn(field, ...) end
  later(field, fn, ...)
end

--- Find all inverses anew. between(field, table, from, to) makes the model of a table between two entities.
---@param all table[]
---@param find fun(name: string): table?
---@param between function
---@param self table?  the model that is being declared
---@return table[] between  the models of tables between that are in use
function relations.link(all, find, between, self)
  local used = {}
  for _, one in ipairs(all) do one.inverses = {} end
  for _, one in ipairs(all) do
    for _, field in ipairs(one.declared) do
      if field.many and not field.inherited then try(self, field, link_many, find, all, between) end
    end
  end
  for _, one in ipairs(all) do
    for _, field in ipairs(one.declared) do
      if field.relation then try(self, field, link_to_one, find) end
      local inverse = field.many and not field.inherited and one.inverses[field.name]
      if inverse and inverse.model == field.own then used[#used + 1] = field.own end
    end
  end
  for _, one in ipairs(all) do
    local ancestor = one.parent
    while ancestor do
      for name, inverse in pairs(ancestor.inverses) do one.inverses[name] = one.inverses[name] or inverse end
      ancestor = ancestor.parent
    end
  end
  return used
end

return relations
