-- What the database checks by itself: the values of enums and choices, and the bounds of numbers.

local ddl = require "moonpool.sql.ddl"
local dialect = require "moonpool.dialect"
local f = require("moonpool.field").types
local model = require "moonpool.resolve.model"

describe("the checks of a table", function()
  it("are the bounds of numbers and the values of enums and choices", function()
    local m = model.declare("Checked", {
      n = f.integer { min = 0, max = 9 }, x = f.float { max = 0.5 }, money = f.decimal { precision = 9, scale = 2, min = "-1.50" },
      state = f.enum { "a", "b" }, level = f.integer { choices = { 1, 2 }, min = 0 }, name = f.string { min = 2, max = 5 },
      day = f.date { min = "2026-01-01" },
    })
    local function checks(name)
      local found = {}
      for column, text in ddl.create_table(m, dialect.get(name))[1]:gmatch '\n  ["`](%w+)["`][^\n]- CHECK (%b())' do
        found[column] = text
      end
      for column, text in ddl.create_table(m, dialect.get(name))[1]:gmatch 'CONSTRAINT `checked_(%w+)_check` CHECK (%b())' do
        found[column] = text
      end
      return found
    end
    assert.same({
      n = [[("n" >= 0 AND "n" <= 9)]], x = [[("x" <= 0.5)]], money = [[("money" >= -1.50)]], state = [[("state" IN ('a', 'b'))]],
      level = [[("level" IN (1, 2))]],
    }, checks "postgres")
    assert.same({
      n = "(`n` >= 0 AND `n` <= 9)", x = "(`x` <= 0.5)", money = "(`money` >= -1.50)", state = "(`state` IN ('a', 'b'))",
      level = "(`level` IN (1, 2))",
    }, checks "mariadb")
    assert.same({
      n = [[("n" >= 0 AND "n" <= 9)]], x = [[("x" <= 0.5)]], money = [[(CAST("money" AS REAL) >= -1.50)]],
      state = [[("state" IN ('a', 'b'))]], level = [[("level" IN (1, 2))]],
    }, checks "sqlite")
  end)

  -- MariaDB keeps the text of a check as it prints it, and forgets to escape texts with a character set before them.
  it("have texts with a backslash in a form that the server keeps, whatever its mode", function()
    local m = model.declare("Checked", { state = f.enum { "a\\", "it's" } })
    local function check(name)
      return ddl.create_table(m, dialect.get(name))[1]:match "CHECK (%b())"
    end
    assert.equal([[("state" IN ('a\', 'it''s'))]], check "sqlite")
    assert.equal([[("state" IN ('a\', 'it''s'))]], check "postgres")
    assert.equal([[(`state` IN (x'615c', 'it''s'))]], check "mariadb")
  end)
end)
