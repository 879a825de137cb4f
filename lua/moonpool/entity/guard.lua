-- What has to happen before rows are deleted, beyond what their database does by itself: on_delete = "protect" says who
-- leads to them, and on_delete = "set_default" is done here where the server cannot. Also behind relations that cascade:
-- what would go with the rows is asked too. Rows that are only marked as deleted stay, and take none along: what says
-- "protect" and leads to them itself is asked, and what is marked as well is not in the way.

local errors = require "moonpool.errors"
local loading = require "moonpool.entity.loading"
local model_of = require "moonpool.resolve.model"
local query = require "moonpool.sql.query"
local transaction = require "moonpool.database.transaction"

local guard = {}

-- model -> list of { field, path }: the rows of field.model whose path leads to the rows that are to be deleted
local known = setmetatable({}, { __mode = "k" })
local own = setmetatable({}, { __mode = "k" }) -- model -> whether its rows take rows of the same table along

local function collect(model, behind, passed, list)
  local seen = {} -- entities that share a table have its relations all
  for _, other in ipairs(model_of.all()) do
    for _, field in ipairs(other.references) do
      local leads = not field.apart and model_of.find(field.target_name)
      local column = other.base.name .. "." .. field.name
      if leads and leads.base == model.base and not seen[column] then
        seen[column] = true
        local path = behind and field.name .. "__" .. behind or field.name
        if field.on_delete == "protect" or field.on_delete == "set_default" then
          list[#list + 1] = { field = field, path = path, direct = behind == nil }
        elseif field.on_delete == "cascade" and not passed[other] then
          passed[other] = true
          collect(other, path, passed, list)
          passed[other] = nil
        end
      end
    end
  end
  return list
end

local function guards_of(model)
  local list = known[model]
  if list == nil then
    list = collect(model, nil, { [model] = true }, {})
    known[model] = list
  end
  return list
end

model_of.on_declare(function()
  known = setmetatable({}, { __mode = "k" })
  own = setmetatable({}, { __mode = "k" })
end)

-- Whether the rows of `target` go with those of `model`, behind relations that cascade.
local function takes(model, target, passed)
  for _, other in ipairs(model_of.all()) do
    for _, field in ipairs(other.references) do
      local leads = not field.apart and field.on_delete == "cascade" and model_of.find(field.target_name)
      if leads and leads.base == model.base and not passed[other] then
        passed[other] = true
        if other.base == target.base or takes(other, target, passed) then
          return true
        end
      end
    end
  end
  return false
end

--- Whether a row of the model can take another one of its own table along when it is deleted.
---@return boolean
function guard.takes_own(model)
  local found = own[model]
  if found == nil then
    found = takes(model, model, {})
    own[model] = found
  end
  return found
end

-- The rows that lead to those that are to be deleted: to an object, or to the rows of a query set.
local function rows_behind(one, database, rows, is_query, marks)
  local model = one.field.model
  local root = query.with(model.class.root, { database = database })
  if model.soft_delete and not marks then
    root = root:with_deleted()
  end
  return root:filter{ [one.path .. (is_query and "__in" or "")] = rows }
end

local function check(one, database, rows, is_query, title, marks)
  local count = rows_behind(one, database, rows, is_query, marks):count()
  if count > 0 then
    local field = one.field
    return errors.raise("protected", ("%s cannot be deleted: %d row%s of %s lead%s to %s by %s, which says on_delete = \"protect\"")
      :format(title, count, count == 1 and "" or "s", field.model.name, count == 1 and "s" or "", is_query and "them" or "it",
      field:title()), { table = field.model.table, columns = { field.name } })
  end
end

local function set_default(one, database, rows, is_query)
  local field = one.field
  rows_behind(one, database, rows, is_query):update{ [field.name] = field:initial() }
end

--- Whether something has to happen before rows of the model are deleted.
---@return boolean
function guard.is_needed(model)
  return guards_of(model)[1] ~= nil
end

--- Run fn, which deletes the rows, after what has to happen before.
---@param rows table an object, or a query set
---@param title string how they are called in a message
---@return any what fn gives. Raises protected, and what fn and the statements raise.
function guard.around(model, database, rows, is_query, title, fn)
  local list = guards_of(model)
  if list[1] == nil then
    return fn()
  end
  local lacks = loading.dialect_of(database).lacks_set_default
  return transaction.within(database, function()
    for _, one in ipairs(list) do
      if one.field.on_delete == "protect" then
        check(one, database, rows, is_query, title)
      elseif lacks then
        set_default(one, database, rows, is_query)
      end
    end
    return fn()
  end)
end

--- The same for fn that marks the rows as deleted.
---@return any what fn gives. Raises protected, and what fn and the statements raise.
function guard.around_mark(model, database, rows, is_query, title, fn)
  local list = {}
  for _, one in ipairs(guards_of(model)) do
    if one.direct and one.field.on_delete == "protect" then
      list[#list + 1] = one
    end
  end
  if list[1] == nil then
    return fn()
  end
  return transaction.within(database, function()
    for _, one in ipairs(list) do
      check(one, database, rows, is_query, title, true)
    end
    return fn()
  end)
end

return guard
