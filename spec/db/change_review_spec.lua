-- What update calculates has to fit its column on every database: SQLite's columns themselves take anything.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local f, F = mp.field, mp.F

databases.each("a calculated value that is written", function(open)
  it("fits its column, or nothing is written", function()
    local db = open()
    local Account = mp.entity("Account", {
      small = f.smallint{ null = true },
      whole = f.integer{ default = 2147483647 },
      amount = f.decimal{ precision = 6, scale = 2, default = "99.99" },
    }, { database = db })
    db:create_all()
    Account:create{ small = 32767 }
    local one = Account:filter{ id = 1 }
    for _, values in ipairs{
      { small = F.small + 1 }, { small = -F.small - 2 }, { whole = F.whole + 1 }, { amount = F.amount * 100 + 1 },
      { amount = F.amount * -101 }, { amount = F.amount * 100 + F.amount / 100 }, -- rounded to 10000.00
    } do
      databases.raises("out_of_range", one.update, one, values)
    end
    local account = Account:get(1)
    assert.same({ 32767, 2147483647, "99.99" }, { account.small, account.whole, tostring(account.amount) })
    assert.equal(1, one:update{ small = -F.small - 1, whole = -F.whole - 1, amount = F.amount * 100 })
    account:refresh()
    assert.same({ -32768, -2147483648, "9999.00" }, { account.small, account.whole, tostring(account.amount) })
    assert.equal(1, one:update{ small = mp.null, amount = F.amount * 0 })
    assert.equal(1, one:update{ small = F.small + 1, amount = F.amount - mp.decimal "0.005" })
    account:refresh()
    assert.is_nil(account.small)
    assert.equal("-0.01", tostring(account.amount))
  end)
end)
