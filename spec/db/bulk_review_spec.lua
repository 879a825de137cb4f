-- Bulk calls that are given something else than arrays: nothing is silently left out.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local f = mp.field

-- call must raise bad_argument which says this.
local function refuses(says, call, ...)
  local err = databases.raises("bad_argument", call, ...)
  assert.truthy(err.message:find(says, 1, true), err.message)
end

databases.each("a bulk call", function(open)
  local Part

  before_each(function()
    local db = open()
    Part = mp.entity("Part", { code = f.string{ max = 20, unique = true }, stock = f.integer{ default = 0 } }, { database = db })
    db:create_all()
  end)

  it("takes no single row or object for an array", function()
    refuses('bulk_create takes an array of rows, such as { { name = "x" } }, not a table', Part.bulk_create, Part, { code = "a" })
    local part = Part:create{ code = "a" }
    part.stock = 3
    refuses("bulk_create takes an array of rows", Part.bulk_create, Part, part)
    refuses("bulk_update takes an array of objects, not Part(1)", Part.bulk_update, Part, part, { "stock" })
    refuses("bulk_update takes an array of objects", Part.bulk_update, Part, Part:filter{ code = "a" }, { "stock" })
    refuses("in_bulk takes an array of keys, not a table", Part.in_bulk, Part, { id = 1 })
    assert.equal(1, Part:count())
    assert.same({}, Part:bulk_create{})
    assert.equal(0, Part:bulk_update({}, { "stock" }))
  end)

  it("takes no values for the names of what a conflict updates", function()
    local says = 'update is an array of field names, such as { "name" }'
    refuses(says, Part.upsert, Part, { code = "a" }, { conflict = { "code" }, update = { stock = mp.F.stock + 1 } })
    refuses(says, Part.bulk_create, Part, { { code = "a" } }, { on_conflict = "update", conflict = { "code" }, update = { stock = 1 } })
    refuses("the second argument of bulk_update is an array of field names", Part.bulk_update, Part, {}, { stock = 1 })
    assert.equal(0, Part:count())
  end)
end)
