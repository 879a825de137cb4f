-- Array fields: their column on the three databases, and declarations that are wrong.

local ddl = require "moonpool.sql.ddl"
local dialect = require "moonpool.dialect"
local f = require("moonpool.field").types
local model = require "moonpool.resolve.model"
local row = require "moonpool.sql.row"

local function columns(text)
  local list = {}
  for line in text:gmatch "\n  ([^\n]*)" do list[#list + 1] = (line:gsub(",$", "")) end
  return list
end

local function message(declaration)
  local ok, err = pcall(model.declare, "Wrong", { list = declaration })
  assert.is_false(ok)
  return err.message
end

describe("an array field", function()
  local m = model.declare("Shelf", {
    marks = f.array { of = f.integer() }, prices = f.array { of = f.decimal { precision = 8, scale = 2 }, null = true },
    words = f.array { of = f.string { max = 20 }, default = { "a" } }, states = f.array { of = f.enum { "a", "b" } },
  })

  it("is an array of its items' type, and JSON where there are none", function()
    local wanted = {
      postgres = {
        [["marks" integer[] NOT NULL]], [["prices" numeric(8,2)[] ]], [["words" varchar(20)[] COLLATE "C" NOT NULL]],
        [["states" text[] COLLATE "C" NOT NULL]],
      },
      mariadb = { "`marks` json NOT NULL", "`prices` json", "`words` json NOT NULL", "`states` json NOT NULL" },
      sqlite = {
        [["marks" JSON_TEXT NOT NULL]], [["prices" JSON_TEXT]], [["words" JSON_TEXT NOT NULL]], [["states" JSON_TEXT NOT NULL]],
      },
    }
    for name, lines in pairs(wanted) do
      local found = columns(ddl.create_table(m, dialect.get(name))[1])
      for place, line in ipairs(lines) do assert.equal((line:gsub(" $", "")), found[place + 1]) end
    end
  end)

  it("is sent as an array, and as JSON where there are none", function()
    local core = require "moonpool.core"
    assert.same({ core.kind.array }, row.insert(m, dialect.get "postgres", { "marks" }).kinds)
    assert.same({ core.kind.json }, row.insert(m, dialect.get "mariadb", { "marks" }).kinds)
    assert.same({ core.kind.json }, row.insert(m, dialect.get "sqlite", { "marks" }).kinds)
  end)

  it("says what is wrong with its declaration", function()
    assert.equal("Wrong.list: of is the field of its items, such as mp.field.integer(), not nil", message(f.array()))
    assert.matches("of is the field of its items", message(f.array { of = "integer" }))
    assert.equal("Wrong.list: its items cannot be of type json: mp.field.json() holds any structure",
      message(f.array { of = f.json() }))
    assert.matches("cannot be of type array", message(f.array { of = f.array { of = f.integer() } }))
    assert.matches("cannot be of type belongs_to", message(f.array { of = f.belongs_to "Shelf" }))
    assert.equal("Wrong.list: unique is an option of a column, not of the items in it",
      message(f.array { of = f.integer { unique = true } }))
    assert.matches("a field of type array takes no option unique", message(f.array { of = f.integer(), unique = true }))
    assert.matches("max and max_length are the same", message(f.array { of = f.integer(), max = 1, max_length = 2 }))
    assert.matches("max is a number of items, not 1.5", message(f.array { of = f.integer(), max = 1.5 }))
    assert.matches("its default item 1 cannot take \"x\" as integer", message(f.array { of = f.integer(), default = { "x" } }))
  end)
end)
