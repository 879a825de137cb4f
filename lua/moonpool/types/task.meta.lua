---@meta
-- Tasks, transactions and sessions.

---@class moonpool.task
---@field status "running"|"waiting"|"done"|"failed"|"cancelled"
local Task = {}

--- Its values, or its error.
---@return any ...
function Task:wait() end
--- Stop it: it gets a `cancelled` error at its wait point. Returns at once.
function Task:cancel() end
--- Where it stands.
---@return string
function Task:stack() end

--- A transaction or a savepoint. Takes <close>: rolled back if it was not committed.
---@class moonpool.transaction
local Transaction = {}

--- Call fn after the outermost commit, and not if this is undone.
---@param fn fun()
function Transaction:on_commit(fn) end
--- Call fn after this is undone.
---@param fn fun()
function Transaction:on_rollback(fn) end
--- Undo it. In a block: end the block quietly and return these values.
---@param ... any
function Transaction:rollback(...) end
--- Keep what was done.
function Transaction:commit() end
--- A savepoint inside of it.
---@return moonpool.transaction
function Transaction:savepoint() end
--- Keep what was done since the savepoint.
function Transaction:release() end
--- Functions in the same transaction, one after the other, each in a savepoint.
---@param ... fun(): any
---@return any ... the first value of each
function Transaction:gather(...) end
--- Roll back unless committed. May be called twice.
function Transaction:close() end

--- A unit of work. Takes <close>: rolled back if it was not committed.
---@class moonpool.session
local Session = {}

--- Objects to be inserted, or to be written when they have changed.
---@param one moonpool.object
---@param ... any
---@return moonpool.object
function Session:add(one, ...) end
---@param list moonpool.object[]
function Session:add_all(list) end
---@param one moonpool.object
function Session:delete(one) end
--- The object with that key: the same one for the same row.
---@param entity moonpool.entity
---@param key any
---@return moonpool.object?
function Session:get(entity, key, ...) end
--- Write what is pending.
function Session:flush() end
--- Write what is pending and commit.
function Session:commit() end
--- Undo everything and forget all objects.
function Session:rollback() end
---@param one moonpool.object
---@return moonpool.object
function Session:refresh(one) end
--- Let go of an object: the session writes it no more.
---@param one moonpool.object
function Session:expunge(one) end
--- A savepoint: as a block with fn, else by hand.
---@param fn function?
---@return any ...
function Session:begin_nested(fn) end
---@param one moonpool.object
---@return boolean
function Session:is_dirty(one) end
--- A statement of one's own, in the session.
---@param sql string
---@param ... any
---@return integer rows
function Session:execute(sql, ...) end
--- All objects of a query set.
---@param query_set moonpool.query
---@return moonpool.object[]
function Session:scalars(query_set) end
--- Roll back unless committed. May be called twice.
function Session:close() end
