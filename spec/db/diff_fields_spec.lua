-- db:diff of tables with every kind of field, key and relation.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local f = mp.field

databases.each("a diff of every kind of field", function(open)
  it("is empty when the tables are as declared, and after it was run", function()
    local db = open()
    -- 1e22 is the last power of ten that a double holds: SQLite reads it from a statement's text as exactly that under
    -- valgrind too, which keeps no more digits of a long double.
    local function declare(wide)
      mp.entity("Natural", { code = f.string{ max = wide and 20 or 10, primary_key = true }, x = f.float{ default = 1e22 } }, { database = db })
      mp.entity("Num", { n = f.integer{ primary_key = true } }, { database = db })
      mp.entity("Uu", { u = f.uuid{ primary_key = true, default = mp.uuid7 } }, { database = db })
      local fields = {
        a = f.array{ of = f.string{ max = 5 } }, b = f.array{ of = f.decimal{ precision = 5, scale = 1 }, null = true },
        c_ = f.array{ of = f.text(), default = {} }, d = f.array{ of = f.datetime(), null = true }, e = f.array{ of = f.enum{ "x" }, null = true },
        g = f.array{ of = f.uuid(), null = true }, h = f.array{ of = f.boolean(), null = true },
        nat = f.belongs_to("Natural", { on_update = "cascade" }), num = f.belongs_to("Num", { null = true, on_delete = "no_action" }), uu = f.one_to_one("Uu"),
        prot = f.belongs_to("Num", { null = true, on_delete = "protect" }),
        v = f.integer{ version = true }, l = f.text{ lazy = true, null = true }, big = f.bigint{ default = 9007199254740993 },
        neg = f.float{ default = -2.5 }, t = f.text{ default = "a\nb\tc\\d" },
      }
      mp.entity("Many", fields, { database = db, timestamps = true })
      mp.entity("Pair", { a = f.integer(), b = f.string{ max = wide and 9 or 5 } }, { database = db, primary_key = { "a", "b" } })
      mp.entity("Whole", { pair = f.belongs_to("Pair", { null = true, on_delete = "set_null" }) }, { database = db })
    end
    declare()
    db:create_all()
    assert.equal("", tostring(db:diff()))
    declare(true)
    db:diff():run()
    assert.equal("", tostring(db:diff()))
    local natural, many = db:reflect_entity{ "natural", "many" }
    assert.equal(1e22, natural:create{ code = "x" }.x)
    assert.equal(0, many:count())
  end)
end)
