-- Paths into JSON as MariaDB and SQLite write them: $."ui"."color". A key is always in quotes and the whole path is a
-- parameter. A key of digits is a place in an array or a key of an object, as the JSON itself tells; PostgreSQL's own
-- operators do the same.

local errors = require "moonpool.errors"
local vocabulary = require "moonpool.vocabulary"

local json_path = {}

local MOST_DIGITS = 3 -- each doubles the text

local function is_place(key) return key:find "^%d+$" ~= nil and #key < 10 end

--- Write the path of node.keys. options:
---   quote(key)             a key as it stands in a path; may raise
---   is_array(w, path)      writes a condition: what stands at that path (a text) is an array
function json_path.write(w, node, options)
  local keys, digits = node.keys, 0
  for _, key in ipairs(keys) do
    if is_place(key) then digits = digits + 1 end
  end
  if digits > MOST_DIGITS then
    errors.raise("unsupported", ("a path into JSON with %d places, of which there may be %d: %s"):format(digits, MOST_DIGITS,
      vocabulary.quoted(table.concat(keys, "__"))))
  end
  local function from(i, path)
    while keys[i] and not is_place(keys[i]) do
      path = path .. "." .. options.quote(keys[i])
      i = i + 1
    end
    if not keys[i] then return w:constant(path) end
    w:say("CASE WHEN ")
    options.is_array(w, path)
    w:say(" THEN ")
    from(i + 1, ("%s[%d]"):format(path, tonumber(keys[i])))
    w:say(" ELSE ")
    from(i + 1, path .. "." .. options.quote(keys[i]))
    w:say(" END")
  end
  from(1, "$")
  return w
end

return json_path
