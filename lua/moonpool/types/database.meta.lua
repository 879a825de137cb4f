---@meta
-- Databases, and what their calls give.

--- Where statements run: a database, a connection of one's own.
---@class moonpool.calls
local Calls = {}

--- Run a statement that gives no rows.
---@param sql string
---@param ... any one value for each placeholder, or a table for :name
---@return integer rows that matched
function Calls:execute(sql, ...) end
--- All rows, each keyed by column name; NULL is absent.
---@param sql string
---@param ... any
---@return table[]
function Calls:fetch_all(sql, ...) end
--- The first row or nil.
---@param sql string
---@param ... any
---@return table?
function Calls:fetch_one(sql, ...) end
--- The first column of the first row, or nil.
---@param sql string
---@param ... any
---@return any
function Calls:fetch_val(sql, ...) end
--- All rows as arrays, and the column names in order.
---@param sql string
---@param ... any
---@return table[], string[]
function Calls:fetch_arrays(sql, ...) end
--- Run a statement once for each row of values, all or nothing.
---@param sql string
---@param rows table[]
---@return integer rows
function Calls:execute_many(sql, rows) end
--- Rows one after the other, with flat memory: for row in db:stream(sql, ...) do.
---@param sql string
---@param ... any
---@return moonpool.stream
function Calls:stream(sql, ...) end
--- Write many rows into a table, all or nothing, the fastest way that the database has.
---@param table_name string
---@param columns string[]
---@param source table[]|fun(): table?
---@return integer rows
function Calls:copy_in(table_name, columns, source) end
--- The rows of a statement or of a table, streamed the cheapest way that the database has.
---@param sql_or_table string
---@return moonpool.stream
function Calls:copy_out(sql_or_table) end

--- A database. Takes <close>.
---@class moonpool.database : moonpool.calls
---@field dialect string
---@field name string? as configured
---@field tables table<string, moonpool.table> what reflect() has read
local Database = {}

--- One pinned connection, for the calls made on it. Close it.
---@return moonpool.connection
function Database:connect() end
--- One round trip to the database.
---@return boolean true
function Database:ping() end
--- How it is; never an error.
---@return {status: "ok"|"error", database: string, elapsed_ms: number, error: any}
function Database:health() end
---@return {size: integer, idle: integer, busy: integer, waiting: integer, max: integer, control: integer}
function Database:pool_stats() end
--- Wait for running work, then close; drain: cancel after so many seconds.
---@param options {drain: number?}?
function Database:close(options) end
--- An event for each statement of the program.
---@param name "query"
---@param reader fun(record: moonpool.event)
---@return fun() remove
function Database:on(name, reader) end
--- Notifications of a channel, one after the other (PostgreSQL).
---@param channel string
---@param options {timeout: number?}? the loop ends when nothing came for so many seconds
---@return moonpool.listener
function Database:listen(channel, options) end
--- Send a notification: at once, or when the transaction around it is committed (PostgreSQL).
---@param channel string
---@param payload string?
function Database:notify(channel, payload) end
--- What values of a type are in Lua, for raw SQL (PostgreSQL).
---@param type_name string
---@param functions {encode: (fun(value: any): string?)?, decode: (fun(value: any): any)?}
function Database:codec(type_name, functions) end
--- A transaction around a function.
---@param first table|function options, or the function
---@param second function?
---@param more nil takes nothing more
---@return any ... the function's values
function Database:atomic(first, second, more) end
--- A transaction by hand: commit or rollback; takes <close>.
---@param options table?
---@return moonpool.transaction
function Database:begin(options) end
--- A unit of work: around a function, or by hand.
---@param first table|function|nil options, or the function
---@param second function?
---@return any ... the function's values, or a session
function Database:session(first, second) end
--- Create the tables of the entities of this database; those that exist are left alone.
function Database:create_all() end
--- Drop the tables of the entities of this database; missing ones too.
function Database:drop_all() end
--- The statements of create_all as text.
---@return string
function Database:ddl() end
--- The entities of this database, those that are referenced first.
---@return moonpool.entity[]
function Database:entities() end
--- The statements that turn the database into what its entities say.
---@return moonpool.diff
function Database:diff() end
--- Read what the database has; db.tables then holds it.
---@param options {schema: string?}?
---@return table<string, moonpool.table>
function Database:reflect(options) end
--- An entity read from the catalog, also of a table that has one; several for a list of names.
---@param names string|string[]
---@param options {name: string?, schema: string?, exclude: string[]?, fields: table?, primary_key: string[]?}?
---@return moonpool.entity ...
function Database:reflect_entity(names, options) end

--- A connection of one's own. Takes <close>: rolled back unless committed.
---@class moonpool.connection : moonpool.calls
local Connection = {}

---@param options table?
function Connection:begin(options) end
function Connection:commit() end
function Connection:rollback() end
--- A statement to run many times.
---@param sql string
---@return moonpool.prepared
function Connection:prepare(sql) end
--- Give it back. May be called twice.
function Connection:close() end

--- A prepared statement. Takes <close>.
---@class moonpool.prepared
local Prepared = {}

---@param ... any
---@return integer rows
function Prepared:execute(...) end
---@param ... any
---@return table[]
function Prepared:fetch_all(...) end
---@param ... any
---@return table?
function Prepared:fetch_one(...) end
---@param ... any
---@return any
function Prepared:fetch_val(...) end
---@param ... any
---@return table[], string[]
function Prepared:fetch_arrays(...) end
---@param ... table[]
---@return integer rows
function Prepared:execute_many(...) end
---@param ... any
---@return moonpool.stream
function Prepared:stream(...) end
function Prepared:close() end

--- Rows one after the other: for row in stream do. Takes <close>.
---@class moonpool.stream
---@overload fun(): any
local Stream = {}

--- Stop the statement. May be called twice.
function Stream:close() end

---@class moonpool.note
---@field channel string
---@field payload string? nil in a note of a gap
---@field pid integer? of the session that notified
---@field gap boolean? the connection was lost and is back: what was sent meanwhile is not known

--- Notifications: for note in listener do. Takes <close>.
---@class moonpool.listener
---@overload fun(): moonpool.note?
local Listener = {}

--- Listen no more.
function Listener:close() end

---@class moonpool.event
---@field sql string
---@field parameters integer how many
---@field rows integer? rows that came back, or rows affected
---@field error table?
---@field caller string? "file:line" of the program's own code
---@field wait number seconds waiting for a connection
---@field execute number seconds in the database
---@field decode number seconds making Lua values
---@field task moonpool.task
---@field database moonpool.database

--- The statements of db:diff(), in their order.
---@class moonpool.diff
---@field [integer] string
---@field destructive string[] statements that lose something; never run
---@field needs string[] what has to be done by hand first, and why
local Diff = {}

--- Run the statements: all or nothing, where the server can undo what changes a table (not MariaDB).
function Diff:run() end

---@class moonpool.table
---@field name string
---@field kind "table"|"view"
---@field columns table<string, moonpool.table.column>
---@field column_names string[] in their order
---@field primary_key {name: string?, columns: string[]}
---@field foreign_keys moonpool.table.foreign_key[]
---@field unique {name: string, columns: string[]}[]
---@field indexes {name: string, columns: string[], unique: boolean, where: string?}[]
---@field checks {name: string?, columns: string[], expression: string}[]

---@class moonpool.table.column
---@field name string
---@field type string as the server says
---@field field string? the type of mp.field that holds its values
---@field null boolean
---@field default string? SQL
---@field generated boolean? a key that the database makes
---@field computed string? the expression of a calculated column
---@field primary_key boolean
---@field unique boolean
---@field foreign_key moonpool.table.foreign_key?
---@field values string[]? of an enum (PostgreSQL)

---@class moonpool.table.foreign_key
---@field name string?
---@field columns string[]
---@field table string
---@field schema string?
---@field references string[]
---@field on_delete string
---@field on_update string
