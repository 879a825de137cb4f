-- A model is what an entity declares, as the rooms below entities see it: fields, key, table, relations. It
-- knows no database and no object. Models are registered by name; declaring a name again
-- replaces the model, so that a REPL can correct itself.

local errors = require "moonpool.errors"
local expression = require "moonpool.tree.expression"
local family = require "moonpool.resolve.family"
local field_types = require "moonpool.field"
local path = require "moonpool.resolve.path"
local relations = require "moonpool.resolve.relations"
local traits = require "moonpool.resolve.traits"
local vocabulary = require "moonpool.vocabulary"

local model = {}

local registry, ordered, watchers, forgetters, rearrangers = {}, {}, {}, {}, {}
local betweens = {} -- the models of tables between two entities

local OPTIONS = {
  table = true, order_by = true, indexes = true, primary_key = true, database = true, schema = true, extends = true,
  discriminator = true, soft_delete = true, timestamps = true,
}

local Model = {}

local function bad(self, message, ...)
  errors.raise("bad_argument", self.name .. ": " .. message:format(...))
end

-- ---- declaring ----

local function check_name(self, name)
  local ok, why = vocabulary.is_name(name)
  if not ok then bad(self, "the field name %s %s", vocabulary.quoted(name), why) end
  if vocabulary.is_reserved(name) then
    bad(self, "a field cannot be called %s, which objects answer to: call it %s_ and give it column = %q", name, name, name)
  end
end

local function check_identifier(self, what, name)
  if type(name) ~= "string" or name == "" or #name > 63 or name:find("%z") then
    bad(self, "%s is a name of 1 to 63 bytes, not %s", what, vocabulary.quoted(name))
  end
end

local function sorted(fields)
  local list = {}
  for name, declaration in pairs(fields) do list[#list + 1] = { name = name, declaration = declaration } end
  table.sort(list, function(a, b)
    if a.declaration.number ~= b.declaration.number then return a.declaration.number < b.declaration.number end
    return a.name < b.name
  end)
  return list
end

-- A field of the table, in its place.
local function add_column(self, field)
  field.position = #self.fields + 1
  for _, taken in ipairs { field.name, field.attribute } do
    local other = self.by_name[taken]
    if other and other ~= field then bad(self, "%s and %s are both called %s", other.name, field.name, taken) end
  end
  check_identifier(self, "the column of " .. field.name, field.column)
  for _, other in ipairs(self.fields) do
    if other.column:lower() == field.column:lower() then
      bad(self, "%s and %s have the same column %s", other.name, field.name, vocabulary.quoted(field.column))
    end
  end
  self.fields[field.position] = field
  self.by_name[field.name] = field
  self.by_name[field.attribute] = field
end

-- Bind a declaration to the model; what extends it binds the same one to itself.
local function bind(self, name, declaration)
  local field = field_types.bind(declaration, self, name, #self.declared + 1)
  self.declared[#self.declared + 1] = field
  self.declarations[#self.declarations + 1] = { name = name, declaration = declaration }
  return field
end

local function check_own(self, name, declaration)
  for _, one in ipairs(self.parent.declarations) do
    if one.name == name then bad(self, "%s is a field of %s already, which it extends", name, self.parent.name) end
  end
  if declaration.options.primary_key or declaration.definition.name == "id" then
    bad(self, "its key is that of %s, which it extends: %s cannot be one", self.parent.name, name)
  end
end

local function declare_fields(self, fields, options)
  local has_key = options.primary_key ~= nil or self.parent ~= nil
  for name, declaration in pairs(fields) do
    check_name(self, name)
    if not field_types.is_declaration(declaration) then
      bad(self, "%s is declared with mp.field, such as mp.field.integer(), not %s", name, vocabulary.quoted(declaration))
    end
    has_key = has_key or declaration.options.primary_key == true or declaration.definition.name == "id"
  end
  if not has_key then
    if fields.id then bad(self, "it has a field id that is no key: give it primary_key = true") end
    bind(self, "id", field_types.types.id())
  end
  for _, entry in ipairs(sorted(fields)) do
    if self.parent then check_own(self, entry.name, entry.declaration) end
    bind(self, entry.name, entry.declaration)
  end
  if not self.parent then
    for _, entry in ipairs(traits.declarations(self, fields, options)) do bind(self, entry.name, entry.declaration) end
  end
end

-- What a name in a list of fields stands for: a relation to a key of several columns is all of them.
local function columns_of(field)
  return field.relation and field.parts or { field }
end

local function once(self, taken, column, what)
  if taken[column] then bad(self, "%s names %s twice", what, column.name) end
  taken[column] = true
end

local function find_key(self, options)
  local names = options.primary_key
  for _, field in ipairs(self.fields) do
    if field.primary_key and not names then self.key[#self.key + 1] = field end
  end
  if names == nil then
    local first, second = self.key[1], self.key[2]
    if second and not (first.part_of and first.part_of == second.part_of) then
      bad(self, "%s and %s are both the primary key: a key of several columns is the option primary_key = { ... }",
        self.key[1].name, self.key[2].name)
    end
    return
  end
  if type(names) == "string" then names = { names } end
  if type(names) ~= "table" or #names == 0 then bad(self, "primary_key is a list of field names") end
  local taken = {}
  for _, name in ipairs(names) do
    local field = self:field(name)
    if field.null then bad(self, "the primary key %s cannot be NULL", name) end
    local refused = field.definition.refused
    if refused and refused.primary_key then bad(self, "a field of type %s, as %s is, can be no primary key", field.type, name) end
    for _, column in ipairs(columns_of(field)) do
      once(self, taken, column, "primary_key")
      column.primary_key = true
      self.key[#self.key + 1] = column
    end
  end
end

local function read_indexes(self, indexes)
  for i, index in ipairs(indexes) do
    if type(index) == "string" then index = { index } end
    if type(index) ~= "table" or #index == 0 then bad(self, "index %d is a list of field names", i) end
    local found = { unique = false, fields = {} }
    for key, value in pairs(index) do
      if key == "unique" then
        found.unique = value == true
      elseif key == "name" then
        check_identifier(self, "the name of an index", value)
        found.name = value
      elseif type(key) ~= "number" then
        errors.raise("unknown_option", ("%s: an index takes no option %s%s"):format(self.name, vocabulary.quoted(key),
          vocabulary.suggest(key, { "unique", "name" })))
      end
    end
    local taken = {}
    for _, name in ipairs(index) do
      for _, column in ipairs(columns_of(self:field(name))) do
        once(self, taken, column, ("index %d"):format(i))
        found.fields[#found.fields + 1] = column
      end
    end
    self.indexes[i] = found
  end
end

-- Columns, key and indexes: found again when a relation turns out to have others.
local function arrange(self)
  self.fields, self.by_name, self.relations, self.references, self.sets = {}, {}, {}, {}, {}
  self.key, self.indexes, self.key_of_parts = {}, {}, nil
  for _, field in ipairs(self.declared) do
    if field.relation then
      self.relations[field.name] = field
      self.references[#self.references + 1] = field
    elseif field.many then
      self.sets[field.name] = field
    end
    for _, column in ipairs(relations.columns(field, model.find)) do
      column.inherited = field.inherited
      add_column(self, column)
    end
    if field.relation then self.by_name[field.name] = field end
  end
  traits.finish(self)
  find_key(self, self.base.options)
  read_indexes(self, self.options.indexes or {})
end

local function read_options(self, options)
  for name in pairs(options) do
    if not OPTIONS[name] then
      errors.raise("unknown_option", ("%s: an entity takes no option %s%s"):format(self.name, vocabulary.quoted(name),
        vocabulary.suggest(name, OPTIONS)))
    end
  end
  self.table = options.table or vocabulary.snake_case(self.name)
  check_identifier(self, "its table", self.table)
  self.schema = options.schema
  if self.schema ~= nil then check_identifier(self, "its schema", self.schema) end
  self.order_by = type(options.order_by) == "string" and { options.order_by } or options.order_by or {}
  if type(self.order_by) ~= "table" then bad(self, "order_by is a list of field names") end
  self.database = options.database or false -- reading what is not there asks a metamethod
end

-- What was found about paths and queries may lead to a model that was replaced.
local function forget_all()
  for _, one in ipairs(model.all()) do
    one.paths, one.places, one.expressions, one.statements = {}, {}, {}, {}
    one.plan, one.stored, one.loaded, one.kinds = nil, nil, nil, nil
    for _, forget in ipairs(forgetters) do forget(one) end
  end
end

local function new(name, options)
  local self = setmetatable({
    name = name, options = options, declared = {}, declarations = {}, inverses = {}, children = {}, times = {},
    find = model.find, names = model.names,
    -- found once for each text; root: the shape of the query set of all rows
    root = nil, paths = {}, places = {}, remembered = 0, expressions = {}, statements = {},
    left_behind = false, -- the name of the one it extends, where that was declared again
  }, Model)
  self.base = self -- the one whose table it is
  return self
end

-- The model of the table between an entity and the target of its many_to_many: nothing but the two relations, which are
-- its key and go with their rows.
local function between(field, table_name, from, to)
  local self = new(field:title(), { primary_key = { from, to } })
  self.between, self.table, self.order_by, self.database = field, table_name, {}, field.model.database
  check_identifier(field.model, "the table of " .. field.name, table_name)
  local options = { on_delete = "cascade", on_update = "cascade" }
  for _, one in ipairs { { from, field.model.name }, { to, field.target_name } } do
    bind(self, one[1], field_types.types.belongs_to(one[2], options))
  end
  arrange(self)
  return self
end

-- Columns and inverses of all models, until nothing depends on anything that is still to be found.
local function connect(self)
  local all = model.all()
  for _ = 1, #all + 1 do
    local changed = false
    for _, one in ipairs(all) do
      if relations.is_stale(one, model.find) then
        arrange(one)
        changed = one ~= self or changed
        if one ~= self then for _, rearranged in ipairs(rearrangers) do rearranged(one) end end
      end
    end
    if not changed then break end
  end
  betweens = relations.link(ordered, model.find, between, self)
  for _, one in ipairs(betweens) do
    if relations.is_stale(one, model.find) then
      arrange(one)
      for _, rearranged in ipairs(rearrangers) do rearranged(one) end
    end
  end
end

-- What a model has from the one that it extends. A discriminator that the first child names becomes a field of the parent.
local function inherit(self, parent, discriminator)
  if not parent.discriminator then
    parent.discriminator = discriminator
    if not parent.by_name[discriminator] then bind(parent, discriminator, traits.discriminator()) end
    arrange(parent)
    for _, rearranged in ipairs(rearrangers) do rearranged(parent) end
  end
  family.inherit(self, parent)
  for _, one in ipairs(parent.declarations) do bind(self, one.name, one.declaration).inherited = true end
end

--- Declare an entity's model and register it.
---@param name string
---@param fields table<string, table>
---@param options table?
---@return table model  raises bad_argument, unknown_option, unknown_field
function model.declare(name, fields, options)
  local ok, why = vocabulary.is_name(name)
  if not ok then
    errors.raise("bad_argument", ("the name of an entity, %s, %s"):format(vocabulary.quoted(name), why or "is empty"))
  end
  if type(fields) ~= "table" then
    errors.raise("bad_argument", ("%s: the fields of an entity are a table, not %s"):format(name, vocabulary.quoted(fields)))
  end
  options = options or {}
  local self = new(name, options)
  read_options(self, options)
  local parent, discriminator = family.parent_of(self, options, registry)
  if parent then inherit(self, parent, discriminator) end
  declare_fields(self, fields, options)

  local before, place = registry[name], #ordered + 1
  for i, other in ipairs(ordered) do
    if other == before then place = i end
  end
  registry[name], ordered[place] = self, self
  local function undo(problem)
    if parent then family.leave(self, before) end
    registry[name] = before
    if before then ordered[place] = before else table.remove(ordered, place) end
    forget_all()
    connect()
    return error(problem, 0)
  end
  local done, problem = pcall(arrange, self)
  if done and parent then done, problem = pcall(family.join, self) end
  if done then done, problem = pcall(connect, self) end
  if not done then return undo(problem) end
  if before then family.leave_behind(before) end
  forget_all()
  for _, watcher in ipairs(watchers) do watcher(self) end
  return self
end

---@return table? model
function model.find(name) return registry[name] end

--- The model of that name, or raises.
function model.get(name)
  local found = registry[name]
  if not found then
    errors.raise("bad_argument", ("no entity is called %s%s"):format(vocabulary.quoted(name),
      vocabulary.suggest(name, registry)))
  end
  return found
end

--- All models in order of declaration, and those of the tables between them.
function model.all()
  local list = {}
  for i, one in ipairs(ordered) do list[i] = one end
  for _, one in ipairs(betweens) do list[#list + 1] = one end
  return list
end

function model.names() return registry end

--- Call fn(model) after each declaration.
function model.on_declare(fn) watchers[#watchers + 1] = fn end

--- Call fn(model) when what was found about a model's relations may no longer hold.
function model.on_replace(fn) forgetters[#forgetters + 1] = fn end

--- Call fn(model) when its columns are others, because the key that a relation refers to is.
function model.on_rearrange(fn) rearrangers[#rearrangers + 1] = fn end

-- ---- what a model answers ----

--- The field of that name or attribute, "pk" for the key; raises unknown_field.
---@param name string
---@return table field
function Model:field(name)
  if name == "pk" and #self.key == 1 then return self.key[1] end
  local field = self.by_name[name]
  if not field then
    errors.raise("unknown_field", ("%s has no field %s%s"):format(self.name, vocabulary.quoted(name),
      vocabulary.suggest(name, self.by_name)))
  end
  return field
end

--- The key as one field, where it has several columns.
---@return table field
function Model:whole_key()
  local whole = rawget(self, "key_of_parts")
  if not whole then
    whole = relations.whole_key(self)
    rawset(self, "key_of_parts", whole)
  end
  return whole
end

-- Names behind JSON may be a program's input: then forgotten, and found again.
local MOST_REMEMBERED = 2000

local function remember(self, room, text, found)
  if self.remembered >= MOST_REMEMBERED then
    self.paths, self.places, self.expressions, self.remembered = {}, {}, {}, 0
  end
  self.remembered = self.remembered + 1
  self[room][text] = found
end

--- What a key of filter says, found once for each text.
---@param text string
---@return moonpool.path
function Model:path(text)
  local found = self.paths[text]
  if not found then
    found = path.parse(self, text, true)
    remember(self, "paths", text, found)
  end
  return found
end

--- What a name says where no lookup may stand behind it, found once for each text.
---@param text string
---@return moonpool.path
function Model:place(text)
  local found = self.places[text]
  if not found then
    found = path.parse(self, text, false)
    remember(self, "places", text, found)
  end
  return found
end

--- The expression behind Author.age: raises unknown_field.
---@param text string
---@return table expression
function Model:expression(text)
  local found = self.expressions[text]
  if not found then
    self:place(text)
    found = expression.path(self, text)
    remember(self, "expressions", text, found)
  end
  return found
end

-- The columns of a whole object; made late because the kind of a relation is its target's.
local function plan_of(fields)
  local plan = { names = {}, kinds = {} }
  for i, field in ipairs(fields) do
    plan.names[i], plan.kinds[i] = field.attribute, field.kind
  end
  return plan
end

local function without_lazy(fields)
  local list = {}
  for _, field in ipairs(fields) do
    if field.lazy ~= true then list[#list + 1] = field end
  end
  return #list < #fields and list or fields
end

-- What is found when it is first wanted: stored, the fields that a row of its queries has, with those of entities that
-- extend it; loaded, those of them that a query reads unless it says otherwise; plan, all columns of an object of its
-- own; kinds, see moonpool.resolve.family.
local late = {
  stored = family.stored,
  loaded = function(self) return without_lazy(self.stored) end,
  plan = function(self) return plan_of(self.fields) end,
  kinds = function(self) return family.kinds(self) or false end,
}

--- Whether its objects are such of another model too.
Model.is_a = family.is_a

--- The model of a row of its queries with that discriminator, or nil.
Model.member = family.member

function Model.__index(self, name)
  local method = Model[name]
  if method ~= nil then return method end
  local find = late[name]
  if find then
    local found = find(self)
    rawset(self, name, found)
    return found
  end
  return nil
end

return model
