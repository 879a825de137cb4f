-- scripts/examples notices a program that does not do what it says.

local program = require "spec.support.program"

local HEADER = "-- Run it with: moonpool examples/from/probe.lua [URL]\n"

describe("the check of the examples", function()
  local directory

  before_each(function()
    directory = os.tmpname()
    os.remove(directory)
    assert(os.execute("mkdir " .. directory))
  end)

  after_each(function()
    assert(os.execute("rm -rf " .. directory))
  end)

  -- What scripts/examples says of a program with this text, without servers.
  local function verdict(text)
    local path = directory .. "/probe.lua"
    do
      local file <close> = assert(io.open(path, "wb"))
      file:write(text)
    end
    local pipe <close> = assert(io.popen(("env -u MOONPOOL_TEST_POSTGRES -u MOONPOOL_TEST_MARIADB scripts/examples --program %s %s 2>&1"):format(
      program.quote(program.path), path)))
    local said = pipe:read "a"
    return said, (pipe:close())
  end

  it("accepts one that does", function()
    local said, fine = verdict 'print "a" print "b" print "c"\n-- prints:\n-- a\n-- ...\n-- c\n'
    assert.is_true(fine)
    assert.truthy(said:find("\nok 1 - ", 1, true), said)
  end)

  it("refuses one that prints something else, or fails, or promises nothing", function()
    for text, why in pairs{
      ['print "a"\n-- prints:\n-- b\n'] = "promised:",
      ['print "a" error "no"\n-- prints:\n-- a\n'] = "ended with exit 1",
      ['print "a"\n'] = "does not end with a comment",
    } do
      local said, fine = verdict(text)
      assert.is_nil(fine)
      assert.truthy(said:find("not ok 1 - ", 1, true), said)
      assert.truthy(said:find(why, 1, true), said)
    end
  end)

  it("runs one that takes a URL without and with one, and says which servers it did not find", function()
    local said, fine = verdict("\n" .. HEADER .. 'print "a"\n-- prints:\n-- a\n')
    assert.is_true(fine)
    assert.truthy(said:find("ok 1 - .- on its own database\nok 2 - .- on SQLite in a file\n"), said)
    assert.truthy(said:find("# skipped because MOONPOOL_TEST_POSTGRES is not set\nok 3 - .- on PostgreSQL # SKIP\n"), said)
    assert.truthy(said:find("# skipped because MOONPOOL_TEST_MARIADB is not set\nok 4 - .- on MariaDB # SKIP\n1..4\n"), said)
  end)

  it("refuses one that leaves a table behind", function()
    local said, fine = verdict("\n" .. HEADER .. [[
local db <close> = require("moonpool").open(arg[1] or "sqlite::memory:")
db:execute "create table remains (id integer)"
-- prints:
]])
    assert.is_nil(fine)
    assert.truthy(said:find("\nok 1 - .-\nnot ok 2 - .- on SQLite in a file\n# leaves behind: remains\n"), said)
  end)
end)
