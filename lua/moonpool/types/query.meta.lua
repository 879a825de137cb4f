---@meta
-- Query sets and entities. `moonpool types script.lua` writes the same for a script's own entities, with their objects.

--- Rows of an entity, not read yet. Immutable; run by a terminal only.
---@class moonpool.query
local Query = {}

-- ---- shape ----

--- Only the rows for which all of it holds.
---@param ... table|moonpool.condition
---@return moonpool.query
function Query:filter(...) end
--- Without the rows for which all of it holds.
---@param ... table|moonpool.condition
---@return moonpool.query
function Query:exclude(...) end
--- The order of the rows; replaces the one before. "-name" is descending.
---@param ... string|moonpool.expression
---@return moonpool.query
function Query:order_by(...) end
--- The contrary order.
---@return moonpool.query
function Query:reverse() end
--- At most so many rows.
---@param count integer
---@return moonpool.query
function Query:limit(count) end
--- Without the first rows.
---@param count integer
---@return moonpool.query
function Query:offset(count) end
--- Rows first..last, counted from 1.
---@param first integer
---@param last integer?
---@return moonpool.query
function Query:slice(first, last) end
--- Each row once; with columns, of the rows that are the same in them the first one.
---@param ... string|moonpool.expression
---@return moonpool.query
function Query:distinct(...) end
--- Load these columns only.
---@param ... string
---@return moonpool.query
function Query:only(...) end
--- Load all columns but these.
---@param ... string
---@return moonpool.query
function Query:defer(...) end
--- Rows as tables keyed by the names as written.
---@param ... string|moonpool.expression
---@return moonpool.query
function Query:values(...) end
--- Rows as arrays.
---@param ... string|moonpool.expression
---@return moonpool.query
function Query:values_list(...) end
--- Further columns by name. After values they are of groups.
---@param annotations table<string, any>
---@return moonpool.query
function Query:annotate(annotations) end
--- Load what these relations to one row lead to in the same statement.
---@param ... string
---@return moonpool.query
function Query:select_related(...) end
--- Load what these relations lead to, for all rows together.
---@param ... string|table
---@return moonpool.query
function Query:prefetch(...) end
--- Lock the rows that are read until the transaction ends.
---@param options {skip_locked: boolean?, nowait: boolean?}?
---@return moonpool.query
function Query:for_update(options) end
--- The same on another database.
---@param name string|moonpool.database
---@return moonpool.query
function Query:using(name) end
--- The rows of both; each once, unless { all = true }.
---@param other moonpool.query
---@param options {all: boolean?}?
---@return moonpool.query
function Query:union(other, options) end
--- The rows that both have.
---@param other moonpool.query
---@param options {all: boolean?}?
---@return moonpool.query
function Query:intersection(other, options) end
--- The rows that the other one does not have.
---@param other moonpool.query
---@param options {all: boolean?}?
---@return moonpool.query
function Query:difference(other, options) end
--- WITH name AS (...): a query set under a name, once for all that refers to it.
---@param name string
---@param ... moonpool.query the query set; without one: the rows of that name
---@return moonpool.query
function Query:with_cte(name, ...) end
--- No rows, without asking.
---@return moonpool.query
function Query:none() end
--- Every row, said on purpose: update and delete want it.
---@return moonpool.query
function Query:all_rows() end

--- With the rows that a soft delete has marked.
---@return moonpool.query
function Query:with_deleted() end
--- Only the rows that a soft delete has marked.
---@return moonpool.query
function Query:only_deleted() end

-- ---- terminals ----

--- All rows as an array.
---@return moonpool.object[]
function Query:all() end
--- The object with that key, or that matches; nil if there is none.
---@param key any a key (of several columns: their values in order), an object, or a table of conditions
---@return moonpool.object?
function Query:get(key, ...) end
--- The only row. Raises not_found, multiple.
---@return moonpool.object
function Query:one() end
--- The first row or nil; by key if there is no other order.
---@return moonpool.object?
function Query:first() end
--- The last row or nil.
---@return moonpool.object?
function Query:last() end
---@return integer
function Query:count() end
---@return boolean
function Query:exists() end
---@param column string|moonpool.expression
---@return any
function Query:sum(column) end
---@param column string|moonpool.expression
---@return any
function Query:avg(column) end
---@param column string|moonpool.expression
---@return any
function Query:min(column) end
---@param column string|moonpool.expression
---@return any
function Query:max(column) end
--- Values over all rows: aggregate{ n = mp.fn.count() }.
---@param aggregates table<string, moonpool.expression>
---@return table row
function Query:aggregate(aggregates) end
--- One column of all rows, flat; NULL is mp.null.
---@param column string|moonpool.expression
---@return any[]
function Query:pluck(column, ...) end
--- Objects by their key, or by another unique field.
---@param keys any[]
---@param name string?
---@return table<any, moonpool.object>
function Query:in_bulk(keys, name) end
--- Go through the rows with flat memory. The body may query.
---@param options {chunk: integer?}?
---@return moonpool.stream
function Query:iter(options) end
--- A page, counted from 1.
---@param number integer
---@param size integer
---@return {items: moonpool.object[], total: integer, pages: integer, page: integer, size: integer}
function Query:page(number, size) end
--- The page behind a place: after(nil, 20) is the first one, after(page.next, 20) the following.
---@param text string?
---@param size integer
---@return {items: moonpool.object[], next: string?}
function Query:after(text, size) end
--- Change the rows; runs no hooks.
---@param values table<string, any>
---@return integer rows
function Query:update(values) end
--- Delete the rows; runs no hooks.
---@return integer rows, table<string, integer> rows by entity
function Query:delete() end
--- Delete the rows for good, those that a soft delete has marked too; runs no hooks.
---@return integer rows, table<string, integer> rows by entity
function Query:purge() end
--- Take the mark of a soft delete off the rows.
---@return integer rows
function Query:restore() end
--- How the database would run it.
---@param options {analyze: boolean?}?
---@return string
function Query:explain(options) end
--- Text and parameters of the SELECT. Needs no connection.
---@param options {dialect: string?}?
---@return string sql, any[] params
function Query:sql(options) end

-- ---- writing ----

--- Insert an object and return it.
---@param values table
---@return moonpool.object
function Query:create(values) end
--- An object that is not saved.
---@param values table?
---@return moonpool.object
function Query:build(values) end
--- The object that matches, or a new one.
---@param match table
---@param defaults table? further values of a new one
---@return moonpool.object object, boolean created
function Query:get_or_create(match, defaults) end
--- The object that matches, changed to the values; or a new one.
---@param match table
---@param values table
---@return moonpool.object object, boolean created
function Query:update_or_create(match, values) end
--- Many rows at once; runs no hooks.
---@param rows table[]
---@param options {batch: integer?, on_conflict: "ignore"|"update"|nil, conflict: string[]?, update: string[]?, on_progress: function?, returning: boolean?}?
---@return moonpool.object[]|integer
function Query:bulk_create(rows, options) end
--- Write these fields of many objects; runs no hooks.
---@param objects moonpool.object[]
---@param names string[]
---@return integer rows
function Query:bulk_update(objects, names) end
--- Insert a row, or change the one that is in the way: what values names, or only the fields of update.
---@param values table
---@param options {conflict: string[]?, update: string[]?}?
---@return moonpool.object
function Query:upsert(values, options) end
--- Objects or keys that shall belong to the owner of the set.
---@param ... any
function Query:add(...) end
--- Take objects or keys out of the owner's set.
---@param ... any
function Query:remove(...) end
--- Make the owner's set hold exactly these objects and keys.
---@param list any[]
function Query:set(list, ...) end
--- Take everything out of the owner's set.
---@return integer rows
function Query:clear() end

--- What mp.entity gives: the query set of all its rows, the maker of objects, the home of their methods.
---@class moonpool.entity : moonpool.query
---@field c table<string, moonpool.expression> the columns, also those that are called like a method
---@operator call(table?): moonpool.object
local Entity = {}

--- Objects of a statement; columns that are no fields come along.
---@param sql string
---@param ... any
---@return moonpool.object[]
function Entity:raw(sql, ...) end
--- Create the table and its indexes, where they are not there.
function Entity:create_table() end
--- Drop the table, if it is there.
function Entity:drop_table() end
