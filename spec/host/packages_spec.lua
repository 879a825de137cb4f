-- The package job on real and on broken input.

local mp = require "moonpool"
local program = require "spec.support.program"
local databases = require "spec.support.databases"

local INDEX = [[
Package: alpha
Version: 1.0
Architecture: amd64
Maintainer: Ada <ada@example.org>
Installed-Size: 2048
Section: libs
Depends: beta (>= 1.0) | gamma, delta:any
Description: the first
 with a second line

Package: beta
Version: 2.0-1
Architecture: all
Maintainer: Ada <ada@example.org>
Installed-Size: 1024
Section: utils
Pre-Depends: delta (= 3)
Description: the second

Package: delta
Version: 3
Architecture: amd64
Maintainer: Bob <bob@example.org>
Installed-Size: 1024
Section: utils
Description: the third

]]

describe("the package job", function()
  local index, database

  before_each(function()
    index, database = os.tmpname(), databases.fresh_path()
  end)

  after_each(function()
    os.remove(index)
    databases.remove(database)
  end)

  local function run(text)
    local file = assert(io.open(index, "wb"))
    file:write(text)
    file:close()
    return program.run{ "examples/packages.lua", "--database", database, index }
  end

  it("keeps alternatives, bounds and qualifiers", function()
    local result = run(INDEX)
    assert.equal(0, result.code, result.err)
    assert.truthy(result.out:find("3 packages with 4 dependencies in 2 sections by 2 maintainers", 1, true), result.out)
    assert.truthy(result.out:find("utils           2              2", 1, true), result.out)
    local db = mp.open("sqlite:" .. database)
    local rows = db:fetch_arrays([[
      select p.name, d.kind, d.place, d.choice, d.target, d.qualifier, d.relation, d.bound
      from dependency d join package p on p.id = d.package_id order by d.id]])
    db:close()
    assert.same({ "alpha", "Depends", 1, 1, "beta", nil, ">=", "1.0" }, rows[1])
    assert.same({ "alpha", "Depends", 1, 2, "gamma" }, rows[2])
    assert.same({ "alpha", "Depends", 2, 1, "delta", "any" }, rows[3])
    assert.same({ "beta", "Pre-Depends", 1, 1, "delta", nil, "=", "3" }, rows[4])
  end)

  it("prints the same for the same input, again and again", function()
    local first, second = run(INDEX), run(INDEX)
    assert.equal(first.out, second.out)
    assert.equal(0, second.code)
  end)

  it("prints the same on every database, and leaves nothing behind where it fails", function()
    local expected = run(INDEX)
    assert.truthy(expected.out:find("alpha%s+libs%s+2%s+beta delta"), expected.out)
    local count = 0
    for _, each in ipairs(databases.list) do
      if each.server and not each.pooler then
        count = count + 1
        local db, close, url = each.open()
        local result = program.run{ "examples/packages.lua", "--database", url, index }
        assert.equal(expected.out, result.out, each.name .. result.err)
        result = program.run{ "examples/packages.lua", "--database", url, index }
        assert.equal(expected.out, result.out, each.name .. result.err)
        db:execute "drop table dependency"
        db:execute "drop table package"
        db:execute "drop table maintainer"
        db:execute "drop table section"
        assert(io.open(index, "wb")):write(INDEX:sub(1, 150)):close()
        assert.equal(1, program.run{ "examples/packages.lua", "--database", url, index }.code)
        assert.is_nil(next(db:reflect()))
        run(INDEX)
        close()
      end
    end
    if count == 0 then pending "no server is there" end
  end)

  it("takes a package once, however often it is named", function()
    local result = run(INDEX .. INDEX)
    assert.truthy(result.out:find("3 packages with 4 dependencies", 1, true), result.out)
  end)

  for what, case in pairs{
    ["cut inside a line"] = { INDEX:sub(1, 150), 7 },
    ["cut at the end of a line"] = { INDEX:match("^(.*)Description: the third\n"), 25 },
    ["without a version"] = { (INDEX:gsub("Version: 2.0%-1\n", "")), 18 },
    ["with a line that is no field"] = { (INDEX:gsub("Section: utils", "Section utils", 1)), 16 },
    ["with a field twice"] = { (INDEX:gsub("Version: 1.0\n", "Version: 1.0\nVersion: 1.1\n")), 3 },
    ["with a dependency that nobody can read"] = { (INDEX:gsub("%(>= 1.0%)", "(about 1.0)")), 7 },
    ["with bytes that are no UTF-8"] = { (INDEX:gsub("the second", "the \xff second")), 18 },
    ["with a size that is no number"] = { (INDEX:gsub("2048", "big")), 5 },
    ["that is empty"] = { "", 0 },
  } do
    it("says file and line of an index " .. what .. ", and leaves the database as it was", function()
      local result = run(case[1])
      assert.equal(1, result.code, result.out .. result.err)
      assert.truthy(result.err:find(index .. ":" .. case[2] .. ": ", 1, true), result.err)
      assert.is_nil(io.open(database))
      assert.equal(0, run(INDEX).code)
      result = run(case[1])
      assert.equal(1, result.code)
      local db = mp.open("sqlite:" .. database)
      assert.equal(3, db:fetch_val("select count(*) from package"))
      assert.equal(4, db:fetch_val("select count(*) from dependency"))
      db:close()
    end)
  end

  it("reads a compressed list, and says when it is damaged", function()
    local list = index .. "_Packages.gz"
    assert(io.open(index, "wb")):write(INDEX:rep(500)):close()
    local function run_on(bytes)
      assert(os.execute(("gzip -c %s | head -c %d > %s"):format(index, bytes, list)))
      return program.run{ "examples/packages.lua", "--database", database, list }
    end
    local damaged = run_on(300)
    assert.equal(1, damaged.code, damaged.out)
    assert.truthy(damaged.err:find(list .. ":%d+: "), damaged.err)
    assert.is_nil(io.open(database))
    local whole = run_on(1000000)
    assert.equal(0, whole.code, whole.err)
    assert.truthy(whole.out:find("3 packages with 4 dependencies", 1, true), whole.out)
    os.remove(list)
  end)

  it("refuses words that it does not know", function()
    local result = program.run{ "examples/packages.lua", "--what" }
    assert.equal(2, result.code)
    assert.truthy(result.err:find("usage", 1, true))
  end)
end)
