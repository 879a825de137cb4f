-- What dialects have in common, and how one is made: a table with the names below, those that a database
-- spells its own way given by its file.
--
--   name, quote(identifier), placeholder(n), literal(value)
--   visit              nodes that are written differently (see moonpool.sql.writer)
--   calls              functions: their name there, or fn(writer, node)
--   compared(w, node)  optional: an expression whose order or equality is asked
--   grouped(w, node)   optional: one that rows are grouped by
--   unordered          optional: by kind, why the server cannot say which of two is greater
--   alone(w, slot)     optional: a parameter with nothing beside it that tells its type
--   beside(w, slot, other)   optional: one that is compared with another expression
--   reuses             whether a value that is written twice is one parameter
--   differs(w, node)   "is not equal", true where the left side is NULL
--   limits(w, top, skip)   order_item(w, item)   named_key(w, item)   member(w, select)
--   distinct_on        whether SELECT DISTINCT ON (...) is there
--   lock(w, select)    how for_update ends a SELECT; locks: whether it does
--   upsert(w, conflict, update, key, counter, kinds)   lists of columns; key: the table's own; counter: what counts the row's
--                      version, written behind them; kinds: the condition that the row is of an entity, or nil
--   ignored            optional: how rows that an upsert left alone are told from new ones, where the number of affected
--                      rows does not: statements that forget and count them, and returned(w, column), NULL for such a row
--   assigned(w, field, node)
--   changes_at_once    optional: what makes UPDATE calculate all values before it changes a row
--   column_type(field)     the type in CREATE TABLE
--   sent_as            optional: for a kind of parameters, the kind as which they are sent
--   generated_key      the column that id is; default_row, what INSERT says for a row of defaults only
--   add_foreign_key(to, name, text)   optional: to a table that is there, if it has none of that name; without it
--                      a table may refer to one that does not exist yet
--   drop_foreign_key(from, constraint)   optional: from a table that may not be there; where tables that refer to each
--                      other in a circle are dropped one by one
--   lacks_schemas      whether tables stand in no schema; create_schema(name): optional, what makes one
--   keys_stay_inside   whether a foreign key without a schema means that of its own table
--   lacks_set_default  whether ON DELETE SET DEFAULT does nothing
--   counts_cascaded    whether DELETE counts a row that another row of the same statement took along
--   drops_between      optional: what is said before and after tables are dropped
--   drops_together     whether one DROP TABLE may name several
--   commits_tables     whether CREATE TABLE and the like commit the transaction
--   cuts_names         whether it calls constraints by itself, and cuts those names that are too long
--   names_constraints  whether constraints have to be given the names that the others' have by themselves
--   same               the operator that finds NULL equal to NULL, with spaces
--   tells_key          whether the answer to an INSERT of one row has the key that was generated
--   tells_row          whether the error of an INSERT of many rows says which of them it is
--   follow_key(w, model, column, slot)   optional: what makes the database give greater keys than the one in slot, where
--                      it does not see by itself that a program gave one
--   measured(column, kind)   a number's column as a check compares it with its bounds
--   table_options      the end of CREATE TABLE
--   explain(sql, analyze)  optional: the statement that asks how; explained(rows): its answer as text
--   most_parameters    of one statement
--   insert_arrays(w, slots, ordered)   optional: what INSERT writes, from one array for each column; ordered: keys are made in
--                      the order of the rows. fits_array(kind, type): whether a column of the server's type takes that

local errors = require "moonpool.errors"

local common = {}

common.intervals_are_texts = { interval = "its columns of intervals are texts; keep seconds in a column of numbers" }

--- Quote with q, doubling it inside.
function common.quoter(q)
  return function(name) return q .. name:gsub(q, q .. q) .. q end
end

function common.literal_text(text)
  return "'" .. text:gsub("'", "''") .. "'"
end

-- All digits: a whole number may be a Lua integer, a float, or an int64_t of LuaJIT ("12LL").
local function whole(value)
  if type(value) == "number" and not (math.type and math.type(value) == "integer") then return ("%.0f"):format(value) end
  return (tostring(value):gsub("LL$", ""))
end

--- A constant of the declaration (a default, a choice) as SQL; nil if this dialect writes none of
--- that kind. Never for values of queries.
local function literal(self)
  return function(value, kind)
    if kind == "bool" then return value and self.literal_true or self.literal_false end
    if kind == "int" then return whole(value) end
    if kind == "float" then return ("%.17g"):format(value) end
    if kind == "text" or kind == "uuid" then return self.literal_text(value) end
    if kind == "decimal" then return self.literal_decimal(tostring(value)) end
    return nil
  end
end

function common.limits(w, top, skip)
  if top then w:say(" LIMIT "):slot(top) end
  if skip then w:say(" OFFSET "):slot(skip) end
end

function common.order_item(w, item)
  w:sort_key(item)
  if item.descending then w:say(" DESC") end
  local natural = item.descending and "last" or "first"
  if item.nulls and item.nulls ~= natural then
    w:say(item.nulls == "first" and " NULLS FIRST" or " NULLS LAST")
  end
end

local LOCKS = { wait = " FOR UPDATE", nowait = " FOR UPDATE NOWAIT", skip_locked = " FOR UPDATE SKIP LOCKED" }

--- The end of a SELECT that locks its rows.
function common.lock(w, select) w:say(LOCKS[select.lock]) end

--- A SELECT with limits of its own as a member of UNION and the like.
function common.member(w, select) w:say("("):select(select):say(")") end

function common.named_key(w, item) w:name(item.name) end

--- The end of an INSERT that may meet rows which are there: update is a list of columns, or empty. A row of another kind is left
--- alone.
function common.upsert(w, conflict, update, _, counter, kinds)
  w:say(" ON CONFLICT")
  if #conflict > 0 then w:say(" ("):list(conflict, "name"):say(")") end
  if #update == 0 then return w:say(" DO NOTHING") end
  if #conflict == 0 then errors.raise("bad_argument", "an upsert names the columns whose conflict it means") end
  w:say(" DO UPDATE SET ")
  for i, column in ipairs(update) do
    if i > 1 then w:say(", ") end
    w:name(column):say(" = excluded."):name(column)
  end
  if counter then counter() end
  if kinds then
    w.qualify = true -- there is the new row as well
    w:say(" WHERE "):write(kinds)
  end
end

--- A calculated value on its way into a column.
function common.assigned(w, _, node) w:write(node) end

--- A dialect of the given parts, with the common ones where it has none.
function common.dialect(parts)
  for _, name in ipairs { "limits", "order_item", "named_key", "member", "lock", "upsert", "assigned", "literal_text" } do
    parts[name] = parts[name] or common[name]
  end
  parts.literal_decimal = parts.literal_decimal or function(text) return text end
  parts.literal = literal(parts)
  parts.measured = parts.measured or function(column) return column end
  parts.locks = parts.locks ~= false
  local types = parts.types
  function parts.column_type(field)
    field = field:origin()
    local written = types[field.type]
    if not written then
      errors.raise("unsupported", ("%s: fields of type %s are not built for %s"):format(field:title(), field.type, parts.name))
    end
    return type(written) == "function" and written(field) or written
  end
  return parts
end

return common
