-- Rows that are keyed by names where their values are taken by place: they would be written as rows of NULLs.

local databases = require "spec.support.databases"
local raises = databases.raises

databases.each("a row keyed by names", function(open)
  local db

  before_each(function()
    db = open()
    db:execute("create table pair (a integer, b integer)")
  end)

  local function pairs_there()
    local all = {}
    for i, row in ipairs((db:fetch_arrays("select coalesce(a, 0) as a, coalesce(b, 0) as b from pair order by 1, 2"))) do
      all[i] = row[1] .. " " .. row[2]
    end
    return table.concat(all, ", ")
  end

  it("is refused by copy_in, wherever it stands", function()
    local function refused(place, rows)
      local err = raises("bad_parameters", db.copy_in, db, "pair", { "a", "b" }, rows)
      assert.equal("bad_parameters: row " .. place .. " of copy_in is keyed by names: its values stand in the order of the columns",
        tostring(err))
      assert.equal(place, err.row)
    end
    refused(1, { { a = 1, b = 2 } })
    refused(2, { { 1, 2 }, { a = 1, b = 2 } })
    local n = 0
    refused(2, function()
      n = n + 1
      return n == 1 and { 1, 2 } or { a = n }
    end)
    assert.equal("", pairs_there())
  end)

  it("is refused by execute_many, unless the statement takes names", function()
    local insert = "insert into pair (a, b) values (?, ?)"
    local err = raises("bad_parameters", db.execute_many, db, insert, { { 1, 2 }, { a = 3, b = 4 } })
    assert.matches("row 2 is keyed by names: .*%(:name%)$", tostring(err))
    assert.equal("", pairs_there())
    db:execute_many("insert into pair (a, b) values (:a, :b)", { { a = 3, b = 4 } })
    assert.equal("3 4", pairs_there())
  end)

  it("is none that has NULLs only, or in front", function()
    local rows = { {}, { nil, 2 }, table.pack(nil, nil), table.pack(nil, 4) }
    assert.equal(4, db:copy_in("pair", { "a", "b" }, rows))
    assert.equal(4, db:execute_many("insert into pair (a, b) values (?, ?)", rows))
    assert.equal("0 0, 0 0, 0 0, 0 0, 0 2, 0 2, 0 4, 0 4", pairs_there())
  end)
end)
