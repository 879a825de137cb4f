-- Which field stands for a column that a database has: the server's type, read into a type of moonpool.field and its
-- options. Where no field holds the column's values exactly there is none.

local types = {}

-- "character varying(20)" is "character varying" with 20; "decimal(12,2) unsigned" has a tail.
local function split(text)
  local name, numbers, tail = text:lower():match "^%s*([^(]-)%s*(%b())%s*(.*)$"
  if not name then return (text:lower():gsub("^%s+", ""):gsub("%s+$", "")), {}, "" end
  local list = {}
  for number in numbers:gmatch "%d+" do list[#list + 1] = tonumber(number) end
  return (name .. (tail ~= "" and " " .. tail or "")), list, numbers
end

-- The widest decimal whose digits behind the point are still as a program would write them.
local function decimal(n)
  return "decimal", { precision = n[1] and math.min(n[1], 65) or 65, scale = n[2] or (n[1] and 0 or 10) }
end

local function string(n)
  if n[1] then return "string", { max = n[1] } end
  return "text"
end

local function field(name, options)
  return function() return name, options end
end

local wall = field("datetime", { timezone = false })

local common = {
  smallint = field "smallint", int2 = field "smallint", integer = field "integer", int = field "integer", int4 = field "integer",
  bigint = field "bigint", int8 = field "bigint", real = field "float", double = field "float",
  ["double precision"] = field "float", float = field "float", numeric = decimal, decimal = decimal, boolean = field "boolean",
  bool = field "boolean", varchar = string, ["character varying"] = string, char = string, character = string, text = field "text",
  date = field "date", time = field "time", datetime = field "datetime", interval = field "interval", uuid = field "uuid",
  json = field "json",
}

local by_dialect = {
  postgres = {
    bytea = field "binary", jsonb = field "json", name = field "text", citext = field "text",
    ["time without time zone"] = field "time", ["timestamp with time zone"] = field "datetime",
    ["timestamp without time zone"] = wall,
  },
  mariadb = {
    tinyint = function(n)
      if n[1] == 1 then return "boolean" end
      return "smallint"
    end,
    ["tinyint unsigned"] = field "smallint", ["smallint unsigned"] = field "integer", mediumint = field "integer",
    ["mediumint unsigned"] = field "integer", ["int unsigned"] = field "bigint", ["bigint unsigned"] = field "bigint",
    ["decimal unsigned"] = decimal, ["double unsigned"] = field "float", ["float unsigned"] = field "float", year = field "smallint",
    timestamp = field "datetime", tinytext = field "text", mediumtext = field "text", longtext = field "text",
    binary = field "binary", varbinary = field "binary", tinyblob = field "binary", blob = field "binary",
    mediumblob = field "binary", longblob = field "binary",
  },
  -- A column of SQLite has 64 bits whatever it is called.
  sqlite = {
    tinyint = field "bigint", smallint = field "bigint", int2 = field "bigint", mediumint = field "bigint", integer = field "bigint",
    int = field "bigint", int4 = field "bigint", decimal_text = decimal, nvarchar = string, nchar = string, clob = field "text",
    blob = field "binary", [""] = field "binary", timestamp = field "datetime", walltime_text = wall,
    interval_text = field "interval", uuid_text = field "uuid", json_text = field "json",
  },
}

-- 'a','it''s' in enum('a','it''s')
local function labels(text)
  local values = {}
  local list = text:match "%((.*)%)"
  for value in (list or ""):gmatch "'([^']*'*[^']*)'%f[,%z]" do values[#values + 1] = (value:gsub("''", "'")) end
  return values
end

--- The field for a column: its type's name and options, or nil where there is none.
---@param dialect string
---@param column table  of a catalog
---@return string? type, table? options
function types.field_of(dialect, column)
  local text = column.base or column.type
  local element = text:match "^(.*)%[%]$"
  if element then
    local name, options = types.field_of(dialect, { type = element })
    if not name then return nil end
    return "array", { of = { name, options } }
  elseif column.json then
    return "json", {}
  elseif column.values then
    return "enum", { values = column.values }
  elseif dialect == "mariadb" and text:find "^enum%(" then
    return "enum", { values = labels(text) }
  end
  local name, numbers = split(text)
  local find = by_dialect[dialect][name] or common[name]
  if not find then return nil end
  local kind, options = find(numbers)
  local copy = {}
  for key, value in pairs(options or {}) do copy[key] = value end
  return kind, copy
end

return types
