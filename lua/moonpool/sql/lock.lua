-- Locking the rows that a query set reads: for_update. A lock is of rows as they are in their table.

local errors = require "moonpool.errors"
local step = require "moonpool.sql.step"
local vocabulary = require "moonpool.vocabulary"

local lock = {}
local methods = {}
lock.methods = methods

local OPTIONS = { skip_locked = true, nowait = true }

-- Of rows that are made of several nobody could say which to lock.
function lock.check(shape)
  local what = shape.group and "groups" or shape.distinct and shape.output ~= "objects" and "distinct values"
    or shape.distinct_on and "rows that are told apart by distinct" or shape.from and "a union or the like"
  if what then
    errors.raise("bad_argument", ("for_update of %s: it locks rows as they are in the table, not %s"):format(
      shape.model.name, what))
  end
end

--- Lock the rows that are read until the transaction ends. Where another transaction has one of them: wait, or leave such
--- rows out (skip_locked), or raise lock_timeout at once (nowait). SQLite, where a writer is alone, has nothing to lock.
function methods.for_update(q, options)
  if options ~= nil and type(options) ~= "table" then
    errors.raise("bad_argument", "for_update takes a table of options, not " .. vocabulary.quoted(options))
  end
  local how = "wait"
  for name in pairs(OPTIONS) do
    local value = options and options[name]
    if value ~= nil and type(value) ~= "boolean" then
      errors.raise("bad_argument", ("for_update: %s is true or false, not %s"):format(name, vocabulary.quoted(value)))
    elseif value then
      how = name
    end
  end
  for name in pairs(options or {}) do
    if not OPTIONS[name] then
      errors.raise("unknown_option", ("for_update takes no option %s%s"):format(vocabulary.quoted(name),
        vocabulary.suggest(name, OPTIONS)))
    end
  end
  if options and options.skip_locked and options.nowait then
    errors.raise("bad_argument", "for_update: skip_locked never waits, so nowait says something else: one of them")
  end
  lock.check(q.shape)
  return step.changed(q, "for_update " .. how, function() return { lock = how } end)
end

--- The same rows, not locked.
function lock.without(q)
  if not q.shape.lock then return q end
  return step.changed(q, "no lock", function() return { lock = false } end)
end

--- Raise where a lock would be dropped without a word.
function lock.refuse(q, what)
  if q.shape.lock then
    errors.raise("bad_argument", ("for_update locks the rows that are read: %s reads none"):format(what))
  end
end

return lock
