-- What a calculated value may not become: no validation sees it, the database does.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("a check of the database", function(open)
  it("keeps numbers in their bounds where they are calculated", function()
    local db = open()
    local Account = mp.entity("Account", {
      balance = f.decimal{ precision = 12, scale = 2, min = 0, max = "1000.50" }, level = f.integer{ min = -1, max = 3, default = 0 },
      rate = f.float{ min = 0.25, null = true },
    }, { database = db })
    db:create_all()
    local one = Account:create{ balance = "10.00" }
    assert.equal(1, Account:filter{ id = one.id }:update{ balance = mp.F.balance - 10 })
    local err = raises("check", function() Account:filter{ id = one.id }:update{ balance = mp.F.balance - "0.01" } end)
    assert.is_true(mp.is(err, "integrity"))
    raises("check", function() Account:filter{ id = one.id }:update{ balance = mp.F.balance + "1000.51" } end)
    raises("check", function() Account:filter{ id = one.id }:update{ level = mp.F.level + 4 } end)
    raises("check", function() db:execute "update account set rate = 0.2" end)
    assert.equal(1, Account:filter{ id = one.id }:update{ level = mp.F.level - 1, balance = mp.F.balance + "1000.50" })
    assert.equal("1000.50", tostring(Account:one().balance))
    raises("validation", function() Account:create{ balance = -1 } end)
    assert.equal("", tostring(db:diff()))
  end)
end)
