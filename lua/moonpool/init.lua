-- moonpool: what a program gets from require "moonpool". Names only; everything lives in the rooms beside.

local core = require "moonpool.core"
local errors = require "moonpool.errors"
local environment = require "moonpool.environment"
local runtime = require "moonpool.runtime"
local tree = require "moonpool.tree"
local field = require "moonpool.field"
local registry = require "moonpool.database.registry"
local entity = require "moonpool.entity.entity"
local atomic = require "moonpool.atomic.atomic"
local session = require "moonpool.session.session"
local testing = require "moonpool.atomic.testing"

require "moonpool.entity.reflected"

local mp = {}

mp.version = core.version

-- tasks
mp.run, mp.spawn, mp.gather, mp.map = runtime.run, runtime.spawn, runtime.gather, runtime.map
mp.timeout, mp.sleep, mp.try, mp.shield = runtime.timeout, runtime.sleep, runtime.try, runtime.shield
mp.loop = runtime.loop

-- databases
mp.configure, mp.db, mp.open = registry.configure, registry.db, registry.open
mp.health, mp.close_all = registry.health, registry.close_all

-- entities and queries
mp.entity, mp.field = entity.declare, field.types
mp.prefetch = entity.prefetch
mp.Q, mp.all, mp.any, mp.no = tree.Q, tree.all, tree.any, tree.no
mp.F, mp.fn, mp.value, mp.outer = tree.F, tree.fn, tree.value, tree.outer
mp.case, mp.cast, mp.exists = tree.case, tree.cast, tree.exists
mp.subquery, mp.over, mp.raw = tree.subquery, tree.over, tree.raw

-- transactions
mp.atomic, mp.on_commit = atomic.atomic, atomic.on_commit

-- sessions
mp.session = session.session

-- the specs of programs
mp.testing = { rollback = testing.rollback, queries = testing.queries }

-- values
mp.null, mp.array, mp.blob, mp.decimal = core.null, core.array, core.blob, core.decimal
mp.date, mp.time, mp.datetime, mp.interval = core.date, core.time, core.datetime, core.interval
mp.now, mp.uuid4, mp.uuid7 = core.now_datetime, core.uuid4, core.uuid7
mp.json = { encode = core.json_encode, decode = core.json_decode }
mp.show = core.show

-- the environment
mp.env = environment.get

-- errors
mp.is = errors.is

-- Of the contract, but not built yet: each says so when it is called.
local LATER = {
  "attach", "schema", "on_shutdown", "progress",
}
for _, name in ipairs(LATER) do
  mp[name] = function()
    return errors.raise("unsupported", "mp." .. name .. " is not built yet")
  end
end

return mp
