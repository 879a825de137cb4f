---@meta moonpool.core
-- What the C module gives to the library's Lua. Thin: it starts operations and takes their answers, never
-- yields, keeps no Lua value. An operation is an integer id (exact as a Lua number, also on LuaJIT), valid until its answer
-- is taken or it is forgotten; a wrong or used id raises `stale_handle`. Only the thread and Lua state that loaded the module may call it.
-- Nothing here is public: users see lua/moonpool/init.lua.

---@class moonpool.core
---@field version string
---@field null userdata            mp.null
---@field kind table<string, integer>  value kinds by name: null bool int float text blob decimal date time datetime walltime interval uuid json array
---@field jit boolean              true on LuaJIT
local core = {}

---@alias op integer

-- ---- loop ----

--- Run the loop once, waiting at most `wait` seconds for something to happen (nil: as long as it takes, 0: do not wait).
--- Fills ready[1..n] with the ids of operations that finished (or, for a stream, have a chunk) since the last call.
--- alive: whether anything happened or still can; without it the call does not wait, whatever `wait` says.
---@param wait number?  ---@param ready op[]  ---@return integer n, boolean alive
function core.step(wait, ready) end
---@return boolean alive  whether anything can still happen (work in flight, timers that were not stopped)
function core.alive() end
---@return integer fd
function core.fd() end
---@return number? seconds
function core.timeout() end
---@return number seconds  monotonic
function core.now() end
---@return integer turns of the loop so far
function core.turns() end
--- What is open, for the leak check after each spec. Pools that were closed and leases that were released do not count.
---@return {handles: integer, requests: integer, leases: integer, operations: integer, pools: integer}
function core.census() end
--- Close everything at once (end of the program): pools are closed without drain and the loop runs until all handles are closed.
function core.shutdown() end

-- ---- errors ----
-- An error that comes back as a value is a plain table: kind, message, retryable (false or "transaction"
-- "connect" "statement"), sent, code, sqlstate, position, detail, hint, constraint, table, columns (array). errors.lua gives it its metatable.

---@return {name: string, family: string, parent: string}[]  the table of status.h
function core.error_kinds() end
---@return table<string, string>  library name -> version: moonpool libuv sqlite openssl pcre2 jansson lua
function core.versions() end

--- C raises its own errors (bad_parameters, stale_handle ...) as what fn makes of (kind, message); errors.lua sets it.
---@param fn fun(kind: string, message: string): any
function core.set_error_maker(fn) end

--- An empty table with room for n fields.
---@param n integer
---@return table
function core.table(n) end

-- ---- operations in general ----

--- Take the answer of a finished operation and free it. For a query: affected rows and the last generated id.
--- For acquire: whether the connection is fresh. For a timer, ping, close, transaction statement: true. On failure: nil, error.
---@param id op
function core.take(id) end
---@return boolean done, boolean well  whether its answer (or a stream's chunk) is there; whether it is no failure
---@param id op
function core.done(id) end
--- Nothing if its answer is there; otherwise whether the caller could yield now, as that coroutine.
---@param id op  ---@param co thread|false|nil  ---@return boolean?
function core.waits(id, co) end
--- Whether that coroutine is the one that runs, and could yield.
---@param co thread|false|nil  ---@return boolean
function core.can_yield(co) end
--- Stop it: it ends with the given kind ("cancelled" or "timeout") if it was stopped in time. It still has to be taken or forgotten.
--- An acquire that is stopped, or forgotten before its answer was taken, releases its lease.
--- The close of a pool cannot be stopped.
---@param id op  ---@param why "cancelled"|"timeout"
function core.cancel(id, why) end
--- Nobody wants the answer any more: stops it and frees it when it has ended; its id never shows up in `ready` again.
---@param id op
function core.forget(id) end
---@param seconds number  ---@return op id  finishes after that time
function core.timer(seconds) end
--- Seconds spent waiting for a connection and running, of a finished operation that was not taken yet.
---@param id op  ---@return number wait, number execute
function core.times(id) end

-- ---- pools ----

---@class moonpool.core.pool : userdata
local pool = {}
--- config: backend, host, port, user, database, connect_timeout, command_timeout, statement_cache, pipeline, pooler, inline_reads,
--- options (map of strings), min, max, timeout, max_idle, max_lifetime (seconds), max_uses. On failure: nil, error.
---@return moonpool.core.pool?, table? err
function core.pool(config) end
---@param password string?
function pool:set_password(password) end
--- Connections ask for their password: finishes each time one does; take gives a ticket. Ask again for the next one.
---@return op
function pool:wants_password() end
---@param ticket integer  ---@param password string?  ---@param message string?  why there is none
function pool:answer_password(ticket, password, message) end
---@return integer size, integer idle, integer busy, integer waiting, integer max, integer control
function pool:stats() end
---@param access "read"|"write"  ---@return boolean
function pool:would_wait(access) end
---@param drain number?  seconds; nil: no limit
---@return op
function pool:close(drain) end

--- A database URL taken apart (core/url.h). Raises configuration, never repeating the URL.
---@param text string
---@return {scheme: string, user: string?, password: string?, host: string?, port: integer?, database: string?, options: string[][]}
function core.parse_url(text) end

-- ---- leases ----

---@class moonpool.core.lease : userdata   released when collected
local lease = {}
--- take: true or false (fresh), or nil, error (the lease is then over)
---@param access "read"|"write"  ---@param timeout number?
---@return moonpool.core.lease, op, boolean at_once  at_once: a connection was there, the answer can be taken without waiting
function pool:acquire(access, timeout) end
function lease:release() end
function lease:destroy() end
--- What was done on it so far is how the connection begins (on_connect); after a reset it is fresh again.
function lease:adopt() end

--- The program has the connection in its own hands: it is reset before anybody else gets it, where the database cannot
--- tell whether that is needed. Nothing on a lease that is over.
function lease:taint() end
---@return "none"|"open"|"failed"|"broken"|"unknown" state, integer depth, string? cause  kind of the error that failed it
function lease:state() end
---@return boolean  released, lost or refused
function lease:over() end
---@return boolean  lost while nothing ran on it: the next statement says so, those behind it are answered stale_handle
function lease:loss_untold() end
--- isolation: "read committed" "repeatable read" "serializable" or nil. This and the others that follow: true where it is kept
--- back and goes in front of the next statement, so that there is nothing to wait for.
---@return op|true
function lease:begin(isolation, read_only, deferrable) end
function lease:commit() end
function lease:rollback() end
function lease:savepoint() end
function lease:release_savepoint() end
function lease:rollback_to() end

-- ---- requests: on a pool (any connection, no transaction) or on a lease ----
-- access: "read", "write" or nil (the backend finds out). params: an array with n places, of which any may be nil (NULL). Raises
-- bad_parameters naming the place for a value that no database takes. options: { own = true (the ORM's own text), timeout = seconds of
-- running, max_rows, max_bytes, no_cache, chunk = rows of a stream's chunk, kinds = array of kinds, one for each parameter (a text is
-- then sent as that kind, a table for `array` as an array of the server's) }; nil for none.

--- Options that are told with many statements are read once. The same table, with what was read in its metatable; nobody
--- changes it from here on.
---@param options table  ---@return table options
function core.options(options) end

---@return op
function pool:query(sql, access, params, n, options) end
---@return op
function pool:stream(sql, access, params, n, options) end
--- values: rows of n values, one behind the other; the first `from` rows are left out.
---@return op
function pool:many(sql, values, n, rows, from, options) end
--- PostgreSQL: the rows of many as the parameters of one query, an array for each column. It writes.
---@return op
function pool:by_column(sql, values, n, rows, from, options) end
--- take: number of parameters, array of column names, array of kinds, and the server's own numbers for the types of the
--- parameters and of the columns (PostgreSQL; empty, or zeros, elsewhere)
---@return op
function pool:prepare(sql) end
---@return op
function pool:ping() end
lease.query, lease.stream, lease.many, lease.prepare, lease.ping = pool.query, pool.stream, pool.many, pool.prepare, pool.ping
lease.by_column = pool.by_column
--- PostgreSQL: a COPY ... FROM STDIN, the values as for many. options.rows_before: rows of the same source that went before, for
--- messages (many too). options.columns: a query of the columns, options.table: the table's name as SQL has it; where that
--- query was prepared in this transaction, with nothing but COPYs since, the rows go in binary form if their values allow it, and
--- plan_changed says that the name was that of another table meanwhile. take: rows written.
---@return op
function lease:copy_in(sql, values, n, rows, from, options) end
--- The same for a list of rows, from the one behind the first `from` on: as many as go at once, `most` at most. Takes plain tables
--- only, without a metatable and with at most n values: those before the first that is none; nothing where that is the first.
---@return op?, integer? rows
function lease:copy_rows(sql, list, n, most, from, options) end
--- As stream, with the rows by COPY where types and statement allow it.
---@return op
function lease:copy_out(sql, access, params, n, options) end
--- As stream, without an end: sql is LISTEN. Without rows when it listens, then channel, payload and pid of each notification.
--- options.timeout: of silence.
---@return op
function lease:listen(sql, access, params, n, options) end

-- ---- answers with rows: each takes the operation (see take) and gives nil, error on failure ----
-- plan: { names = {...}, kinds = {...} } for the columns in order, or nil: what the server reports. A kind says what
-- the cells become; kind null or a missing one: as they come. A cell that is not of its kind: error `data`, naming the column, never the value.
-- For a stream: the chunk that is there (then core.more), or false at the end.

---@return table[]?  rows keyed by column name; two columns of one name: error duplicate_column
function core.rows(id, plan) end
---@return table[]?, string[] names
function core.arrays(id, plan) end
---@return any  first column of the first row, nil if there is none; second value: whether there was a row
function core.value(id, kind) end
---@return any[]?  first column of all rows, mp.null for NULL
function core.column(id, kind) end
--- Objects: tables with plan.meta as metatable; for each, states[object] = an original (below) with batch as its batch.
--- Those of a large result are on sheets instead, unless plan.members: getmetatable gives plan.meta for them too, but
--- setmetatable refuses them until they have an original of their own.
---@param plan {names: string[], kinds: integer[], meta: table, members: any}
---@return table[]?
function core.objects(id, plan, states, batch) end
--- The server's own numbers for the types of the columns, and their names, of an answer that was not taken yet; nil: it has none.
---@return integer[]?, string[]
function core.types(id) end
--- Ask a stream that gave a chunk for the next one; the same id shows up in ready again.
function core.more(id) end

-- ---- originals: what the database holds of one object, packed; freed with the object ----

---@class moonpool.core.original : userdata
---@field batch any
local original = {}
--- Pack the values that object has now for the plan's columns.
---@return moonpool.core.original
function core.original(object, plan, batch) end
--- The places (1-based, in the plan's order) whose value in object is another one now. JSON by content.
---@return integer[]?  nil when nothing changed
function original:changed(object, plan) end
---@return any value  of the column at that place, decoded
function original:value(place, plan) end
--- Put the original's values back into the object.
function original:restore(object, plan) end
---@return boolean, any batch  whether the object is on a sheet: it has no original of its own yet
function core.on_sheet(object) end
--- As original:changed, for an object on a sheet.
---@return integer[]?
function core.changed_on_sheet(object, plan) end
--- Take an object off its sheet: states[object] = an original, which is given; nothing where it is on none.
---@return moonpool.core.original?
function core.own_original(object, states) end

-- ---- values: mp.decimal and so on. ----
function core.decimal(x) end
function core.date(x, month, day) end
function core.time(x, minute, second, microsecond) end
function core.datetime(x) end
function core.interval(x) end
function core.blob(s) end
function core.array(t) end
function core.now_datetime() end
function core.uuid4() end
function core.uuid7() end
function core.json_encode(v) end
function core.json_decode(s) end
function core.show(v) end
--- The kind of a Lua value as a name of core.kind, or nil: a number without fraction is int, a plain table json.
function core.kind_of(v) end
--- The kind of arrays whose items have that kind, where a plan or convert takes a kind: the server's own arrays, or JSON
--- text, are read so. Not for items that are arrays themselves.
---@param kind integer  ---@return integer
function core.array_of(kind) end
--- Turn v (a Lua value or its text) into the Lua value of that kind, exactly. nil, why when it is not one.
---@param kind integer  ---@param v any  ---@return any value, string? why
function core.convert(kind, v) end
--- Round a decimal to a scale: nil when digits would be lost and exact is true.
function core.quantize(decimal, scale, exact) end
--- Whether v is a decimal of at most 18 digits with exactly this scale, whose digits without the point are below limit.
function core.decimal_fits(v, scale, limit) end
--- Characters of a UTF-8 text; nil and the offset (1-based) of the first bad byte or NUL when it is none.
function core.text_length(s) end
--- What a plain row is: a table without a metatable that has the fields of the rules and no others, each with a value that its
--- rule takes.
---@param list {[1]: string, [2]: "whole"|"float"|"text"|"decimal"|"kind"|"boolean", [3]: boolean, [4]: number?, [5]: number?}[]
--- the field, what it takes, whether it may be nil, and from what to what: whole, float, characters of a text; the digits of a
--- decimal behind the point, and what it is below without the point; the number of a kind
---@return userdata rules
function core.plain_rules(list) end
--- Take the values of rows[from] and those behind it into `values`, behind the first `at`, until a row is not plain.
---@param rules userdata
---@param meta table? the rows are objects with this metatable; what they have beside the fields does not count
---@param left_out string[]? the fields that an object must have no value of
---@return integer taken
function core.plain_rows(rules, rows, from, values, at, meta, left_out) end
--- Take the values of a plain row into `values`, and under their names into `object`. False: it is not plain, nothing was done.
---@param rules userdata  ---@return boolean
function core.plain_row(rules, row, values, object) end
--- Put each row into the list of its place, lists[places[row[name]]], where it has one; lists are made where there are none,
--- with ordered = true in them where they are ordered.
---@param rows table[]  ---@param name string  ---@param places table<number|string, integer> from 1 to n  ---@param lists table[]
function core.group(rows, name, places, lists, n, ordered) end

-- ---- the fake database, for specs ----
--- Register a script (a text, see core/backend/fake.h; nil: forget it). core.pool{ backend = "fake", database = name } reaches
--- it, "fake_file" is the same with a single writer. Raises bad_argument naming the line.
---@param name string  ---@param script string?
function core.fake(name, script) end
--- What it was asked so far, in order: SQL texts and "(connect)" "(close)" "(cancel)" "(ping)" "(reset)".
---@return string[], {connects: integer, sessions: integer, sessions_max: integer, cancels: integer, writers_max: integer}
function core.fake_log(name) end
--- Switch off what protects, so that a spec shows that it can fail: "unfair" (the youngest waiter is served first),
--- "no_barrier" (PostgreSQL, MariaDB: the next statement is sent while a cancel is still on its way); or "slow_machine" (a
--- statement may take 50 times as long and is known to be fast all the same).
---@param name "unfair"|"no_barrier"|"slow_machine"  ---@param on boolean
function core.test_switch(name, on) end

return core
