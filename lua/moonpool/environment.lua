-- mp.env: what the environment says, and behind it the file .env of the directory that the program was started in.
-- The file is read once, when a name is asked for that the environment does not have. Its lines are NAME=value, with
-- `export` in front if one likes; 'text' is as it stands, "text" knows \n \r \t \" \\ and may go over several lines, and a
-- value without quotes ends before ` #`. Nothing is put into the environment and nothing is expanded: a `$` is a `$`.

local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"

local environment = {}

local NO_SUCH_FILE = 2 -- ENOENT on every system that has an errno

local ESCAPES = { n = "\n", r = "\r", t = "\t" }

-- The value that begins at `at`, and where the rest of its line begins; nil if its quote never ends.
local function value_at(text, at)
  local quote = text:match("^['\"]", at)
  if not quote then
    local line, stop = text:match("^([^\n]*)()", at)
    return line:gsub("^#.*", ""):gsub("%s#.*", ""):gsub("%s+$", ""), stop
  elseif quote == "'" then
    local value, stop = text:match("^'([^']*)'()", at)
    return value, stop
  end
  local stop = at + 1
  repeat
    stop = text:find('[\\"]', stop)
    local escaped = stop and text:sub(stop, stop) == "\\"
    stop = escaped and stop + 2 or stop
  until not escaped
  if not stop then
    return nil
  end
  return text:sub(at + 1, stop - 1):gsub("\\(.)", function(character)
    return ESCAPES[character] or character:find('["\\]') and character or "\\" .. character
  end), stop + 1
end

--- The values of a text of that form.
---@param text string  ---@param where string?  how errors call it, ".env" if not given
---@return table<string, string>  raises configuration: a line that is none, a quote that never ends
function environment.parse(text, where)
  local values, at = {}, 1
  local function refuse(from, what)
    local _, before = text:sub(1, from - 1):gsub("\n", "")
    return errors.raise("configuration", ("%s:%d: %s"):format(where or ".env", before + 1, what))
  end
  text = text:gsub("^\239\187\191", ""):gsub("\r\n", "\n")
  while at <= #text do
    local start, stop = text:match("^[ \t]*()[^\n]*()", at)
    if text:find("^[#\n]", start) or start > #text then
      at = stop + 1
    else
      local name, from = text:match("^([%a_][%w_.]*)[ \t]*=[ \t]*()", text:match("^export[ \t]+()", start) or start)
      if not name then
        refuse(start, "not of the form NAME=value")
      end
      local value, rest = value_at(text, from)
      if not value then
        refuse(from, ("the quote of %s never ends"):format(name))
      end
      local after, last = text:match("^[ \t]*([^\n]*)()", rest)
      if after ~= "" and not after:find "^#" then
        refuse(rest, ("something stands behind the quoted value of %s"):format(name))
      end
      values[name] = value
      at = last + 1
    end
  end
  return values
end

local from_file

-- A file that is there and cannot be read is not the same as none.
local function read()
  local file, message, code = io.open(".env", "rb")
  local text = ""
  if file then
    text, message = file:read("*a")
    file:close()
  elseif code == NO_SUCH_FILE then
    return {}
  end
  if not file or not text then
    errors.raise("configuration", ("the file .env cannot be read: %s"):format(message))
  end
  return environment.parse(text)
end

--- What the environment says under that name, else what .env says, else the default.
---@param name string  ---@param default any
---@return any  a string unless it is the default; raises bad_argument for what is no name, configuration for a broken .env
function environment.get(name, default)
  if type(name) ~= "string" or name == "" or name:find "[=%z]" then
    errors.raise("bad_argument", ("mp.env: a name such as \"DB_USER\" was expected, not %s"):format(vocabulary.quoted(name)))
  end
  local value = os.getenv(name)
  if value == nil then
    from_file = from_file or read()
    value = from_file[name]
  end
  if value == nil then
    return default
  end
  return value
end

return environment
