-- Reads the definition files of lua/moonpool/types: classes with their fields and methods, and the annotations of each.

local definitions = {}

local function words(text)
  local list = {}
  for word in text:gmatch "[^%s,]+" do list[#list + 1] = word end
  return list
end

local function read_file(classes, path)
  local class_of, notes, last = {}, {}, nil
  for line in io.lines(path) do
    local class, parent = line:match "^%-%-%-@class ([%w_.]+)%s*:?%s*([%w_.]*)"
    local variable = line:match "^local ([%w_]+) = {}"
    local owner, separator, name, parameters = line:match "^function ([%w_]+)([.:])([%w_]+)%((.-)%) end$"
    if class then
      last = classes[class] or { name = class, parent = parent ~= "" and parent or nil, fields = {}, methods = {} }
      classes[class] = last
    elseif line:find "^%-%-%-@field %[" then
      last.open = true
    elseif line:find "^%-%-%-@field " then
      local field, type = line:match "^%-%-%-@field ([%w_]+) (.*)$"
      assert(field, path .. ": " .. line)
      last.fields[field] = type
    elseif variable then
      class_of[variable] = last
      notes = {}
    elseif owner then
      local of = assert(class_of[owner], path .. ": " .. line)
      assert(not of.methods[name], path .. ": " .. name .. " is there twice")
      local method = { colon = separator == ":", parameters = words(parameters), documented = {}, returns = 0, place = path }
      for _, note in ipairs(notes) do
        local parameter = note:match "^@param ([%w_.]+)"
        if parameter then method.documented[#method.documented + 1] = parameter end
        if note:find "^@return" then method.returns = method.returns + 1 end
      end
      of.methods[name] = method
      notes = {}
    end
    local note = line:match "^%-%-%-(.*)$"
    if note then notes[#notes + 1] = note elseif not owner then notes = {} end
  end
end

--- All classes by name.
---@return table<string, {name: string, parent: string?, fields: table<string, string>, methods: table<string, table>}>
function definitions.read()
  local classes = {}
  local pipe <close> = assert(io.popen "ls lua/moonpool/types/*.meta.lua")
  for path in pipe:lines() do read_file(classes, path) end
  return classes
end

--- The comment above a function of the library: how many values its annotations say that it returns.
---@return integer? nil where it has none
function definitions.returns_of(fn)
  local info = debug.getinfo(fn, "S")
  if info.what == "C" then return nil end
  local lines = {}
  for line in io.lines((info.source:gsub("^@", ""))) do lines[#lines + 1] = line end
  local count, at = nil, info.linedefined - 1
  while lines[at] and lines[at]:find "^%s*%-%-%-" do
    count = (count or 0) + (lines[at]:find "@return" and 1 or 0)
    at = at - 1
  end
  return count
end

return definitions
