-- The values of a new row, checked before any SQL: everything that is wrong is said at once. Values go to an array of
-- parameters, and back into the object as its fields keep them.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local hooks = require "moonpool.entity.hooks"
local state = require "moonpool.entity.state"

local validation = {}

local rawget, rawset, ipairs, type = rawget, rawset, ipairs, type
local null, plain_row = core.null, core.plain_row

--- Raise a validation error with every field that is wrong.
---@param problems table<string, string>
function validation.refuse(class, problems)
  local parts, known = {}, {}
  for _, field in ipairs(class.model.fields) do
    local why = problems[field.name]
    if why then
      parts[#parts + 1] = field.name .. " " .. why
      known[field.name] = why
    end
  end
  return errors.raise("validation", class.name .. ": " .. table.concat(parts, "; "), { errors = known })
end

-- A relation that was given an object without a key: it may have one by now.
--- Take over the keys of related objects that had none when they were assigned.
--- Raises bad_argument where one has none still.
function validation.settle_relations(self, class)
  if not class.has_relations or not state.has_relations(self) then
    return
  end
  for _, field in ipairs(class.model.references) do
    local name = field.name
    local other = state.pending(self, name)
    if other then
      local fields = field:locals()
      for place, key in ipairs(field:keys()) do
        local part = rawget(other, key.attribute)
        if part == nil then
          return errors.raise("bad_argument", field:title() .. " is an object that is not saved: save it first")
        end
        rawset(self, fields[place].attribute, part)
      end
      state.set_pending(self, name, nil)
      state.relate(self, name, other)
    end
  end
end

--- The values of a new row, checked: what the database makes itself is left out.
---@return any[] params, integer n, integer omitted which fields were left out, as a number for each combination
--- Raises validation.
function validation.values(self, class, params, n)
  local omitted, problems = 0, nil
  local list = class.columns
  for place = 1, #list do
    local column = list[place]
    local attribute = column.attribute
    local value = rawget(self, attribute)
    local accepts = column.accepts
    if accepts and value ~= nil and accepts(value) then
      n = n + 1
      params[n] = value
    elseif value == nil and column.bit then
      omitted = omitted + column.bit
    else
      local field = column.field
      local taken, why = field:check(value, self)
      if why then
        problems = problems or {}
        problems[field.name] = why
      elseif value ~= nil then
        rawset(self, attribute, taken)
      end
      n = n + 1
      params[n] = taken
    end
  end
  if problems then
    return validation.refuse(class, problems)
  end
  return params, n, omitted
end

--- Does something of the program's own have to see the object before it is written?
---@return boolean
function validation.needs_object(class)
  return class.has_validate or hooks.find(class, "before_insert") ~= nil
end

--- The rules by which rows without these fields are known to need no more than a look (core.plain_rows), where the fields have
--- such rules. made: the rows are objects, which have their defaults.
---@return userdata|false rules, integer n, string[] left_out
function validation.rules(class, omitted, made)
  local rules, left_out = {}, {}
  for _, column in ipairs(class.columns) do
    local bit, field = column.bit, column.field
    if bit and omitted % (bit * 2) >= bit then
      left_out[#left_out + 1] = column.attribute
    else
      local rule = column.accepts and field.rule
      if not rule then
        return false, 0, left_out
      end
      local may_lack = field.null and bit == nil and (made or field.default == nil)
      rules[#rules + 1] = { column.attribute, rule[1], may_lack, rule[2], rule[3] }
    end
  end
  return rules[1] ~= nil and core.plain_rules(rules), #rules, left_out
end

-- What most new rows are like: all that the database may fill in is left to it.
local function usual_of(class)
  local omitted = 0
  for _, column in ipairs(class.columns) do
    omitted = omitted + (column.bit or 0)
  end
  local rules, n = validation.rules(class, omitted)
  return { rules = rules, n = n, omitted = omitted }
end

local function usual_for(class)
  local usual = class.usual
  if usual == nil then
    usual = usual_of(class)
    class.usual = usual
  end
  return usual
end

--- Fill an object from a row that is as most are and whose values are what its fields keep. False, with nothing done, where it is
--- another.
---@return boolean
function validation.fill_plain(class, values, self)
  local usual = usual_for(class)
  return usual.rules and plain_row(usual.rules, values, {}, self)
end

--- As read, for a row that is as most are and needs no more than a look; nil, with nothing done, where it is another.
function validation.read_plain(class, values, self, params)
  local usual = usual_for(class)
  if usual.rules and not validation.needs_object(class) and plain_row(usual.rules, values, params, self) then
    return params, usual.n, usual.omitted
  end
  return nil
end

--- The same as build and values in one go, for tables of values that only need to be checked.
---@param self table? is filled with the values; it becomes an object later
---@return any[]|nil params nil: take the long way
--- Raises validation.
function validation.read(class, values, self, params, n)
  if type(values) ~= "table" or validation.needs_object(class) then
    return nil
  end
  local plain, by_name = class.plain, class.model.by_name
  for name in next, values do
    if not plain[name] then
      local field = by_name[name]
      if field == nil or field.parts or field.relation and values[field.attribute] ~= nil then
        return nil -- a key of several columns, pk, a name of the program's own, none at all, or a value that is given twice
      end
    end
  end
  local omitted, problems = 0, nil
  local list = class.columns
  for place = 1, #list do
    local column = list[place]
    local attribute, accepts = column.attribute, column.accepts
    local value = values[attribute]
    if accepts and value ~= nil and accepts(value) then
      n = n + 1
      params[n] = value
      if self then
        self[attribute] = value
      end
    else
      local field = column.field
      if value == nil and field.relation then
        value = values[field.name]
        if type(value) == "table" then
          return nil -- an object, which is remembered as the related one
        end
      end
      if value == nil and field.default ~= nil then
        value = field:initial(self or values)
      end
      if column.bit and (value == nil or value == null and field.generated) then
        omitted = omitted + column.bit
      else
        local taken, why = field:check(value)
        if why then
          problems = problems or {}
          problems[field.name] = why
        elseif self then
          self[attribute] = taken
        end
        n = n + 1
        params[n] = taken
      end
    end
  end
  if problems then
    return validation.refuse(class, problems)
  end
  return params, n, omitted
end

--- The attributes that are written and those that come back for a combination of omitted fields.
---@return string[] names, string[] returned
function validation.columns(class, omitted)
  local names, returned = {}, {}
  for _, column in ipairs(class.columns) do
    local bit = column.bit
    if bit and omitted % (bit * 2) >= bit then
      returned[#returned + 1] = column.attribute
    else
      names[#names + 1] = column.attribute
    end
  end
  return names, returned
end

return validation
