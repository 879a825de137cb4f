-- Pages: page by number, after by place.

local compile = require "moonpool.sql.compile"
local core = require "moonpool.core"
local errors = require "moonpool.errors"
local loading = require "moonpool.entity.loading"
local keyset = require "moonpool.sql.keyset"
local query = require "moonpool.sql.query"
local query_set = require "moonpool.entity.query"
local token = require "moonpool.entity.token"
local vocabulary = require "moonpool.vocabulary"

local methods = query_set.methods
local place_of = loading.place_of

local function bad(message)
  return errors.raise("bad_argument", message)
end

local function fetch(q)
  local class, database, other = place_of(q)
  local st = compile.select(q, loading.dialect_of(database))
  local rows, places = loading.all(class, database, other, st, st:bind(q))
  if q.extra and q.extra.prefetch then
    loading.prefetch(q, rows)
  end
  return rows, places
end

local function check_size(name, size, given)
  if given ~= nil then
    return bad(name .. " takes two arguments: what it shows is said by filter and order_by before it")
  end
  if type(size) ~= "number" or size < 1 or size % 1 ~= 0 then
    return bad(name .. ": a page has a whole number of rows, 1 or more, not " .. vocabulary.quoted(size))
  end
end

--- A page, counted from 1. Two statements.
---@return {items: table[], total: integer, pages: integer, page: integer, size: integer}
function methods:page(number, size, given)
  check_size("page", size, given)
  if type(number) ~= "number" or number % 1 ~= 0 then
    return bad("page takes the number of a page, not " .. vocabulary.quoted(number))
  elseif self.top or self.skip then
    return bad("page of a query set that has a limit or an offset")
  end
  number = math.max(number, 1)
  local total = query.unlocked(self):count()
  return {
    items = fetch(query.limited(query.by_key(self), size, (number - 1) * size)),
    total = total, pages = math.max(1, math.ceil(total / size)), page = number, size = size,
  }
end

local function refuse_token()
  return bad("after: this is no `next` of a page in the same order")
end

-- The values that a token holds, of which NULL leaves its place empty.
local function read_token(q, text)
  local found = token.read(text)
  if type(found) ~= "table" or found[1] ~= q.shape.place or type(found[2]) ~= "table" then
    return refuse_token()
  end
  local values = {}
  for place = 1, #q.shape.order do
    local value = found[2][place]
    if value == nil or type(value) == "table" then
      return refuse_token()
    elseif value ~= core.null then
      values[place] = value
    end
  end
  return values
end

local function write_token(q, values)
  local all = core.array{}
  for place = 1, #q.shape.order do
    local value = values[place]
    all[place] = value == nil and core.null or value
  end
  return token.write(core.array{ q.shape.place, all })
end

--- The page behind a place: after(nil, 20) is the first one, after(page.next, 20) the following, in any order. `next` is a
--- text that may stand in an address.
---@param text string?
---@param size integer
---@return {items: table[], next: string?}
--- Raises bad_argument, also for a text that is no `next` of this order.
function methods:after(text, size, given)
  check_size("after", size, given)
  if self.top or self.skip then
    return bad("after of a query set that has a limit or an offset")
  end
  local q = keyset.ordered(self)
  if text ~= nil then
    local ok, behind = pcall(keyset.behind, q, read_token(q, text))
    if not ok then
      return errors.is_error(behind) and behind.kind == "bad_argument" and refuse_token() or error(behind, 0)
    end
    q = behind
  end
  local items, places = fetch(query.limited(q, size + 1))
  if items[size + 1] == nil then
    return { items = items }
  end
  items[size + 1] = nil
  return { items = items, next = write_token(q, places[size]) }
end

return methods
