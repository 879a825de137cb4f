-- Rows of relations to one that are read together with the rows that lead to them: select_related, and which columns
-- of either are loaded: only and defer.
--
-- shape.related is a list of { path, step, parent, loaded }, each after the one that it hangs on: parent is its place,
-- 0 for the rows themselves; loaded are the fields to load, nil for all.

local errors = require "moonpool.errors"
local expression = require "moonpool.tree.expression"
local step = require "moonpool.sql.step"
local vocabulary = require "moonpool.vocabulary"

local related = {}
local methods = {}
related.methods = methods

--- Names of fields, or the columns themselves, as names.
---@return string[]
function related.names(method, q, ...)
  local names = { ... }
  for i = 1, select("#", ...) do
    local name = names[i]
    if expression.is(name) and name._op == "path" then name = name._path end
    if type(name) ~= "string" then
      errors.raise("bad_argument", ("%s of %s takes names of fields, not %s%s"):format(method, q.model.name,
        vocabulary.quoted(names[i]), method == "values" and expression.is(names[i])
        and ": annotate{ name = expression } gives it a name" or ""))
    end
    names[i] = name
  end
  return names
end

--- A key for a list of names: no two lists have the same.
function related.key(prefix, names)
  local parts = { prefix }
  for i, name in ipairs(names) do parts[i + 1] = #name .. ":" .. name end
  return table.concat(parts, " ")
end

local function need_objects(q, method)
  if q.shape.output ~= "objects" then
    errors.raise("bad_argument", method .. " is for objects: values(...) already says which columns are read")
  end
end

-- ---- select_related ----

-- The steps of a path, the last one included, all of which lead to one row.
local function steps_of(model, name)
  local path = model:path(name)
  local steps = {}
  for i, one in ipairs(path.steps) do steps[i] = one end
  if path.behind and path.behind.field.relation then steps[#steps + 1] = path.behind.step end
  local field, last = path.behind and path.behind.field.relation and path.behind.field or path.field, name:match("[^_].-$") and name:gsub("^.*__", "")
  if not path.whole then
    if path.lookup ~= "exact" or not (field.relation and field.name == last) then
      errors.raise("bad_argument", ("select_related of %s: %s is no relation"):format(model.name, vocabulary.quoted(name)))
    end
    steps[#steps + 1] = { name = field.name, field = field, model = field:target() }
  end
  for _, one in ipairs(steps) do
    if one.inverse and not one.inverse.one then
      errors.raise("bad_argument", ("select_related of %s: %s leads to many rows, which prefetch loads"):format(model.name,
        vocabulary.quoted(name)))
    end
  end
  return steps
end

local function add_path(list, model, name)
  local places = {}
  for place, one in ipairs(list) do places[one.path] = place end
  local parent, text = 0, nil
  for _, one in ipairs(steps_of(model, name)) do
    text = text and text .. "__" .. one.name or one.name
    if not places[text] then
      list[#list + 1] = { path = text, step = one, parent = parent }
      places[text] = #list
    end
    parent = places[text]
  end
end

-- What leads to a relation is loaded with it: or it would be asked for when the relation is touched.
local function with_links(list, parent, loaded)
  if not loaded then return nil end
  local there, all = {}, {}
  for i, field in ipairs(loaded) do there[field], all[i] = true, field end
  for _, one in ipairs(list) do
    local locals = one.parent == parent and one.step.field and one.step.field:locals() or {}
    for _, field in ipairs(locals) do
      if not there[field] then there[field], all[#all + 1] = true, field end
    end
  end
  table.sort(all, function(a, b) return a.position < b.position end)
  return all
end

local function linked(list, loaded)
  for place, one in ipairs(list) do one.loaded = with_links(list, place, one.loaded) end
  return { related = list, loaded = with_links(list, 0, loaded) }
end

local function copy_of(list)
  local copy = {}
  for i, one in ipairs(list or {}) do
    copy[i] = { path = one.path, step = one.step, parent = one.parent, loaded = one.loaded }
  end
  return copy
end

--- Load what these relations to one row lead to in the same statement.
function methods.select_related(q, ...)
  need_objects(q, "select_related")
  local names = related.names("select_related", q, ...)
  if #names == 0 then
    errors.raise("bad_argument", ("select_related of %s takes names of relations: select_related(\"author\")"):format(
      q.model.name))
  end
  return step.changed(q, related.key("select_related", names), function()
    local list = copy_of(q.shape.related)
    for _, name in ipairs(names) do add_path(list, q.model, name) end
    return linked(list, q.shape.loaded)
  end)
end

-- ---- only and defer ----

-- The place among the related of the row that a field belongs to, and the field.
local function place_of(q, method, name)
  local model = q.model
  local path = #name > 0 and name:find("__", 1, true) and model:path(name)
  if not path or #path.steps == 0 then return 0, path and path.field or model:field(name) end
  local texts = {}
  for i, one in ipairs(path.steps) do texts[i] = one.name end
  local text = table.concat(texts, "__")
  for place, one in ipairs(q.shape.related or {}) do
    if one.path == text then return place, path.field end
  end
  errors.raise("bad_argument", ("%s of %s: %s is read together with its %s after select_related(\"%s\") only"):format(method,
    model.name, vocabulary.quoted(name), text, text))
end

local function pick(fields, named, keeps)
  local loaded = {}
  for _, field in ipairs(fields) do
    if field.primary_key or field.loaded_always or (named[field] or false) == keeps then loaded[#loaded + 1] = field end
  end
  return loaded
end

-- What is picked from where nothing was picked before: a lazy column is loaded where it is named.
local function fields_of(model, keeps)
  return keeps and model.stored or model.loaded
end

local function loading(method, keeps)
  return function(q, ...)
    need_objects(q, method)
    local names = related.names(method, q, ...)
    return step.changed(q, related.key(method, names), function()
      local named = {}
      for _, name in ipairs(names) do
        local place, field = place_of(q, method, name)
        named[place] = named[place] or {}
        for _, column in ipairs(field.relation and field:locals() or { field }) do named[place][column] = true end
      end
      local list, loaded = copy_of(q.shape.related), q.shape.loaded
      if named[0] or #names == 0 then
        loaded = pick(loaded or fields_of(q.model, keeps), named[0] or {}, keeps)
      end
      for place, one in ipairs(list) do
        if named[place] then one.loaded = pick(one.loaded or fields_of(one.step.model, keeps), named[place], keeps) end
      end
      if not list[1] then return { loaded = loaded } end
      return linked(list, loaded)
    end)
  end
end

--- Load these columns and the key; the others when they are touched. Of each entity that is named: behind
--- select_related also of the related ones.
methods.only = loading("only", true)

--- Load all columns but these.
methods.defer = loading("defer", false)

return related
