---@meta moonpool
-- What require "moonpool" gives.

---@class moonpool
---@field version string
---@field null userdata NULL where a nil would vanish
---@field field moonpool.fields
---@field F table<string, moonpool.expression> columns by name: mp.F.age
---@field outer table<string, moonpool.expression> columns of the query around a sub-query
---@field fn moonpool.functions
---@field json moonpool.json
---@field loop moonpool.loop
---@field atomic moonpool.atomic
---@field session moonpool.sessions
---@field testing moonpool.testing
local mp = {}

-- ---- tasks ----

--- Run fn as a task and the loop until no task is left.
---@param fn function
---@param ... any
---@return any ... its values
function mp.run(fn, ...) end
--- Start a task.
---@param fn function
---@param ... any
---@return moonpool.task
function mp.spawn(fn, ...) end
--- Each function a task, all concurrently.
---@param ... fun(): any
---@return any ... the first value of each, in order
function mp.gather(...) end
--- fn(item, index) of each item, concurrently.
---@param list any[]
---@param fn fun(item: any, index: integer): any
---@param options {limit: integer?}?
---@return any[] values with the field n
function mp.map(list, fn, options) end
--- Run fn; at the deadline cancel what is left and raise `timeout`.
---@param seconds number
---@param fn function
---@param ... any
---@return any ... its values
function mp.timeout(seconds, fn, ...) end
---@param seconds number
function mp.sleep(seconds) end
--- fn's values, or nil and its error. Never swallows `cancelled`.
---@param fn function
---@param ... any
---@return any ...
function mp.try(fn, ...) end
--- Run fn to its end although the task is cancelled.
---@param fn function
---@param ... any
---@return any ...
function mp.shield(fn, ...) end

-- ---- databases ----

--- What the environment says under that name, else the file .env of the directory that the program was started in, else
--- the default. Raises `configuration` for a broken .env.
---@param name string
---@param default any
---@return any
function mp.env(name, default) end
--- Say where the databases are: a URL, options, or a table of them by name.
---@param given string|table
---@return moonpool.database? the default one
function mp.configure(given, ...) end
--- A configured database.
---@param name string? "default" if not given
---@return moonpool.database
function mp.db(name) end
--- A database that is not configured under a name.
---@param given string|table
---@param more table? options beside a URL
---@return moonpool.database
function mp.open(given, more) end
--- How the configured databases are, by name; all are asked at once.
---@return table<string, table>
function mp.health() end
--- Close every open database.
---@param how {drain: number?}?
function mp.close_all(how) end

-- ---- entities and queries ----

--- Declare an entity.
---@param name string
---@param fields table<string, moonpool.field>
---@param options table?
---@return moonpool.entity
function mp.entity(name, fields, options) end
--- A condition of the keys that filter takes.
---@param keys table
---@return moonpool.condition
function mp.Q(keys) end
---@param ... table|moonpool.condition
---@return moonpool.condition
function mp.all(...) end
---@param ... table|moonpool.condition
---@return moonpool.condition
function mp.any(...) end
---@param ... table|moonpool.condition
---@return moonpool.condition
function mp.no(...) end
--- A value where a text would be a field.
---@param v any
---@return moonpool.expression
function mp.value(v) end
--- For prefetch: which rows of a relation, and in what order; a limit is for each owner.
---@param path string
---@param q moonpool.query
---@return table
function mp.prefetch(path, q) end
--- The value of the first condition that holds: mp.case{ { condition, value }, ..., default = v }.
---@param branches table
---@return moonpool.expression
function mp.case(branches) end
--- The value as another type, named like the types of fields.
---@param operand any a text is the name of a field
---@param type_name string
---@param options table?
---@return moonpool.expression
function mp.cast(operand, type_name, options) end
--- A function over the rows around each row.
---@param call moonpool.expression
---@param options {partition_by: table?, order_by: table?, frame: table?}?
---@return moonpool.expression
function mp.over(call, options) end
--- A condition: the query set has a row.
---@param q moonpool.query
---@return moonpool.condition
function mp.exists(q) end
--- The value of the one column of a query set's first row.
---@param q moonpool.query
---@return moonpool.expression
function mp.subquery(q) end
--- SQL as it is written, with a ? for each argument.
---@param sql string
---@param ... any
---@return moonpool.expression
function mp.raw(sql, ...) end

-- ---- transactions ----

--- Call fn after the transaction around is committed; at once where there is none.
---@param fn fun()
function mp.on_commit(fn) end

--- A transaction around a function: mp.atomic(fn), mp.atomic("ledger", fn), mp.atomic(options, fn).
---@class moonpool.atomic
---@overload fun(first: any, second: function?): any
local Atomic = {}

--- A function that runs in a transaction of its own each time.
---@param first any options, the name of a database, or the function
---@param second function?
---@return function
function Atomic.wrap(first, second) end

--- A unit of work around a function: mp.session(fn), mp.session(options, fn).
---@class moonpool.sessions
---@overload fun(first: any, second: function?): any
local Sessions = {}

--- A function that runs in a session of its own each time.
---@param first any options, or the function
---@param second function?
---@return function
function Sessions.wrap(first, second) end
--- The task's innermost session.
---@return moonpool.session?
function Sessions.current() end

---@class moonpool.testing
local Testing = {}

--- Run fn, and undo all that it did in any database.
---@param fn function
---@param ... any
---@return any ... what fn returns
function Testing.rollback(fn, ...) end
--- Run fn and give the records of the statements that it ran, and what fn returns behind them.
---@param fn function
---@param ... any
---@return moonpool.event[] records, any ...
function Testing.queries(fn, ...) end

-- ---- values ----

--- Mark a table as an array, in JSON also when it is empty.
---@param list any[]
---@return any[]
function mp.array(list) end
--- Bytes to send as such.
---@param bytes string
---@return moonpool.blob
function mp.blob(bytes) end
---@param value string|number
---@return moonpool.decimal
function mp.decimal(value) end
---@param value string|table
---@return moonpool.date
function mp.date(value) end
---@param value string|table
---@return moonpool.time
function mp.time(value) end
---@param value string|table|number
---@return moonpool.datetime
function mp.datetime(value) end
---@param value string|table
---@return moonpool.interval
function mp.interval(value) end
---@return moonpool.datetime
function mp.now() end
---@return string
function mp.uuid4() end
---@return string
function mp.uuid7() end
--- A readable text of any value.
---@param value any
---@return string
function mp.show(value) end

---@class moonpool.json
local Json = {}

---@param value any
---@return string
function Json.encode(value) end
---@param text string
---@return any
function Json.decode(text) end

---@class moonpool.loop
local Loop = {}

--- Readable when step has something to do.
---@return integer
function Loop.fd() end
--- Seconds until step must be called even if fd is quiet; nil: never.
---@return number?
function Loop.timeout() end
--- Run what is ready, without waiting. From outside any task.
---@return boolean whether anything is left that can happen
function Loop.step() end

--- Whether an error is of that kind or family.
---@param err any
---@param name string
---@return boolean
function mp.is(err, name) end

return mp
