-- What the database calculates: the same result, or the same error, on every one.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f, fn, F = mp.field, mp.fn, mp.F

databases.each("a calculation", function(open)
  local db, Sum

  before_each(function()
    db = open()
    Sum = mp.entity("Sum", {
      n = f.integer{ null = true },
      big = f.bigint{ null = true },
      d = f.decimal{ precision = 20, scale = 4, null = true },
      x = f.float{ null = true },
      name = f.string{ max = 20, null = true },
    }, { database = db })
    db:create_all()
    Sum:create{ n = 7, big = math.maxinteger, d = "12.5", x = 7.5, name = "Ärger" }
    Sum:create{ n = -7, big = math.mininteger, d = "-3.3333", x = -0.25, name = "ada" }
  end)

  local function value(id, expression)
    return Sum:filter{ id = id }:values("id"):annotate{ v = expression }:first().v
  end

  it("of whole numbers never cuts with /, cuts towards zero with //, and keeps the dividend's sign with %", function()
    assert.equal(3.5, value(1, F.n / 2))
    assert.equal(3, value(1, F.n // 2))
    assert.equal(-3, value(2, F.n // 2))
    assert.equal(-3, value(2, F.n % 4))
    assert.equal(3, value(1, F.n % -4))
  end)

  it("of decimals is exact", function()
    assert.equal("156.25000000", tostring(value(1, F.d * F.d)))
    assert.equal("87.5000", tostring(value(1, F.d * F.n)))
    assert.equal("-2", tostring(value(2, F.d // "1.5")):gsub("%.0+$", ""))
    assert.equal("2.5000", tostring(value(1, F.d % 5)))
    Sum:filter{ id = 1 }:update{ d = "299999" }
    assert.equal("2", tostring(value(1, F.d // 100000)):gsub("%.0+$", "")) -- 2.99999 is not rounded before it is cut
    assert.truthy(tostring(value(2, F.d / 3)):find("^%-1%.1111"))
  end)

  it("of floats is theirs", function()
    assert.equal(1.5, value(1, F.x % 2))
    assert.equal(3, value(1, F.x // 2))
    assert.equal(20, value(1, F.d + F.x))
  end)

  it("beyond 64 bits raises", function()
    for _, wrong in ipairs{ { 1, F.big + 1 }, { 2, F.big - 1 }, { 1, F.big * 2 }, { 2, -F.big }, { 2, fn.abs "big" },
      { 2, F.big // -1 } } do
      raises("out_of_range", value, wrong[1], wrong[2])
    end
    assert.equal(math.maxinteger, value(1, F.big * 1))
    assert.equal(math.mininteger, value(2, F.big + 0))
  end)

  it("by zero raises, wherever it stands", function()
    for _, wrong in ipairs{ F.n / 0, F.n // 0, F.n % 0, F.x / (F.x - F.x), F.n // (F.n - 7), F.d % (F.d - F.d), F.d / (F.n - 7) } do
      raises("division_by_zero", value, 1, wrong)
    end
    local narrowed = Sum:annotate{ v = F.n // (F.n - 7) }
    raises("division_by_zero", function() return narrowed:filter{ v = 1 }:count() end)
    raises("division_by_zero", function() return narrowed:order_by("v"):all() end)
    raises("division_by_zero", function() return Sum:filter{ id = 1 }:update{ n = F.n // (F.n - 7) } end)
    assert.equal(7, Sum:get(1).n)
    assert.equal(0, value(2, F.n // (F.n - 7))) -- not zero in this row
    assert.is_nil(value(1, fn.nullif("n", 7) // (F.n - 8) ))
  end)

  it("in an update sees the row as it was", function()
    Sum:filter{ id = 1 }:update{ n = F.n + 1, big = F.n }
    local one = Sum:get(1)
    assert.equal(8, one.n)
    assert.equal(7, one.big)
  end)

  it("over all rows has its column's kind", function()
    local all = Sum:aggregate{ n = fn.sum "n", d = fn.sum "d", x = fn.sum "x", mean = fn.avg "n", least = fn.min "name" }
    assert.equal("integer", math.type(all.n))
    assert.equal(0, all.n)
    assert.equal("9.1667", tostring(all.d))
    assert.equal(7.25, all.x)
    assert.equal(0.0, all.mean)
    assert.equal("ada", all.least)
    assert.is_nil(Sum:filter{ n = 1 }:aggregate{ n = fn.sum "n" }.n)
  end)

  it("of texts folds case by Unicode", function()
    assert.equal("ärger", value(1, fn.lower "name"))
    assert.equal("ÄRGER", value(1, fn.upper "name"))
    assert.equal(5, value(1, fn.length "name"))
    assert.equal("Ärger!Ärger", value(1, F.name .. "!" .. F.name))
  end)
end)
