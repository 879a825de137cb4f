-- moonpool types script.lua: definitions of the script's own entities for editors. The script runs until it first asks
-- something of a database; what it has declared by then is written. No database is touched.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local model_of = require "moonpool.resolve.model"
local runtime = require "moonpool.runtime"
local vocabulary = require "moonpool.vocabulary"

local definitions = {}

-- ---- running a script without its databases ----

local function stop()
  return errors.raise("cancelled", "moonpool types asks nothing of a database") -- which mp.try lets through
end

--- Whether that is what ended the script.
function definitions.is_stop(err)
  return errors.is_error(err) and err.message == "moonpool types asks nothing of a database"
end

local Pool = {
  __index = function(_, name)
    if name == "set_password" then return function() end end
    return stop
  end,
}

--- From now on no database is opened, and what the script prints goes where it is not in the way.
function definitions.prepare()
  core.pool = function() return setmetatable({}, Pool) end
  io.output(io.stderr)
  function print(...) -- luacheck: ignore 121
    local texts = {}
    for i = 1, select("#", ...) do texts[i] = tostring((select(i, ...))) end
    io.stderr:write(table.concat(texts, "\t"), "\n")
  end
  runtime.unobserved.flush = function() end -- a task that wanted its database is no error of the script's
end

-- ---- types ----

local TYPES = {
  int = "integer", float = "number", text = "string", uuid = "string", blob = "string", bool = "boolean", json = "any",
  decimal = "moonpool.decimal", date = "moonpool.date", time = "moonpool.time", datetime = "moonpool.datetime",
  walltime = "moonpool.datetime", interval = "moonpool.interval",
}

local function quoted(text)
  return (("%q"):format(text):gsub("\\\n", "\\n"))
end

local function type_of(field)
  local values = field.values or field.kind_name == "text" and field.choices
  if values then
    local list = {}
    for i, value in ipairs(values) do list[i] = quoted(value) end
    return table.concat(list, "|")
  elseif field.type == "array" then
    local of = type_of(field.of)
    return (of:find "|" and "(" .. of .. ")" or of) .. "[]"
  end
  return TYPES[field.kind_name] or "any"
end

-- What may be given for it: exact values as their text too.
local function given_type(field)
  local type = type_of(field)
  if type == "moonpool.decimal" then return type .. "|string|number" end
  return type:find "^moonpool" and type .. "|string" or type
end

local function sorted(map)
  local names = {}
  for name in next, map do names[#names + 1] = name end -- an entity refuses pairs
  table.sort(names)
  return names
end

-- ---- an entity ----

local function parameters_of(fn)
  local info, names = debug.getinfo(fn, "u"), {}
  for i = 2, info.nparams do names[#names + 1] = debug.getlocal(fn, i) end
  if info.isvararg then names[#names + 1] = "..." end
  return table.concat(names, ", ")
end

local function write_object(add, model)
  add("---@class ", model.name, " : ", model.parent and model.parent.name or "moonpool.object")
  for _, field in ipairs(model.fields) do
    add("---@field ", field.attribute, " ", type_of(field), (field.null and "?" or ""))
  end
  for _, name in ipairs(sorted(model.relations)) do
    local field = model.relations[name]
    add("---@field ", name, " ", field:target().name, field.null and "?" or "")
  end
  for _, name in ipairs(sorted(model.inverses)) do
    local inverse = model.inverses[name]
    local other = inverse.over and inverse.over:target() or inverse.model
    add("---@field ", name, " ", other.name, not inverse.over and inverse.field.type == "one_to_one" and "?" or ".query")
  end
  add "local Object = {}"
  for _, name in ipairs(sorted(model.class.entity)) do
    local fn = rawget(model.class.entity, name)
    if type(fn) == "function" then add("function Object:", name, "(", parameters_of(fn), ") end") end
  end
end

-- The methods of query sets, with what they give being of this entity.
local function write_query(add, model, methods)
  add("---@class ", model.name, ".query : moonpool.query")
  add "local Query = {}"
  for _, line in ipairs(methods) do
    add((line:gsub("moonpool%.query", model.name .. ".query"):gsub("moonpool%.object", model.name)))
  end
end

local function write_entity(add, model)
  add("---@class ", model.name, ".values")
  for _, field in ipairs(model.fields) do add("---@field ", field.attribute, " ", given_type(field), "|nil") end
  for _, name in ipairs(sorted(model.relations)) do
    add("---@field ", name, " ", model.relations[name]:target().name, "|any")
  end
  add("---@class ", model.name, ".entity : ", model.name, ".query, moonpool.entity")
  local function column(name) -- what is called like a method is that
    if type(model.class.entity[name]) ~= "function" then add("---@field ", name, " moonpool.expression") end
  end
  for _, field in ipairs(model.fields) do column(field.attribute) end
  for _, name in ipairs(sorted(model.relations)) do column(name) end
  for _, name in ipairs(sorted(model.inverses)) do column(name) end
  add("---@operator call(", model.name, ".values?): ", model.name)
end

-- Those whose annotations name objects or query sets, out of the definitions of the library itself.
local function read_methods()
  local path = debug.getinfo(1, "S").source:gsub("^@", ""):gsub("host/[^/]*$", "types/query.meta.lua")
  local methods, notes = {}, {}
  for line in io.lines(path) do
    if line:find "^%-%-%-[@ ]" and not line:find "^%-%-%-@class" and not line:find "^%-%-%-@meta" then
      notes[#notes + 1] = line
    else
      local text = table.concat(notes, "\n")
      if line:find "^function Query:" and text:find "@return [^\n]*moonpool%.%l+" and not text:find "@return moonpool%.stream" then
        for _, note in ipairs(notes) do methods[#methods + 1] = note end
        methods[#methods + 1] = line
      end
      notes = {}
    end
  end
  return methods
end

--- The definitions of all entities that are declared.
---@param title string  the script's name
---@return string
function definitions.write(title)
  local lines = { "---@meta", "-- The entities of " .. title:gsub("%c", "?") .. ", written by moonpool types.", "", "---@class moonpool",
    "local mp = {}", "" }
  local function add(...) lines[#lines + 1] = table.concat { ... } end
  local methods = read_methods()
  for _, model in ipairs(model_of.all()) do
    if model.class and vocabulary.is_name(model.name) then -- the table of a many_to_many has no name of its own
      add "do"
      write_object(add, model)
      add ""
      write_query(add, model, methods)
      add ""
      write_entity(add, model)
      add("---@param name ", quoted(model.name))
      add("---@return ", model.name, ".entity")
      add "function mp.entity(name, fields, options) end"
      add "end"
      add ""
    end
  end
  return table.concat(lines, "\n")
end

return definitions
