-- Sessions: objects are collected and written together, each row is one object, and a test undoes what it did.
-- Run it with: ./scripts/run examples/02_sessions.lua

local mp = require "moonpool"
local f = mp.field

mp.configure "sqlite::memory:"

local Account = mp.entity("Account", { owner = f.string{ max = 50, unique = true }, balance = f.integer{ default = 0 } })
local Entry = mp.entity("Entry", {
  text = f.string{ max = 100 },
  account = f.belongs_to("Account", { inverse = "entries", on_delete = "cascade" }),
})
mp.db():create_all()

-- What is built inside is inserted at the end, accounts before entries, one statement for each entity.
local statements = mp.testing.queries(function()
  mp.session(function()
    for _, owner in ipairs{ "ada", "bob", "cleo" } do
      Entry{ text = "opened", account = Account{ owner = owner, balance = 100 } }
    end
  end)
end)
print("statements:", #statements, "entries:", Entry:count())

-- One object for each row; what was changed is written before a query that would see it.
mp.session(function(s)
  local ada = s:get(Account, 1)
  ada.balance = ada.balance - 30
  print("the same object:", ada == Account:filter{ owner = "ada" }:one())
  print("below 100:", Account:filter{ balance__lt = 100 }:count())

  -- A savepoint is undone with the objects that were written in it.
  mp.try(s.begin_nested, s, function()
    ada.balance = 0
    s:flush()
    error("changed our mind")
  end)
  print("ada has:", ada.balance)
end)

-- As you go: what is not committed is rolled back at the end.
local s = mp.db():session()
Entry{ text = "kept", account_id = 2 }
s:commit()
Entry{ text = "lost", account_id = 2 }
s:close()
print("entries of bob:", table.concat(Entry:filter{ account__owner = "bob" }:order_by("id"):pluck("text"), ", "))

-- A spec of a program leaves nothing behind.
mp.testing.rollback(function()
  mp.atomic(function() Account:filter{ owner = "cleo" }:delete() end)
  print("inside:", Account:count())
end)
print("behind:", Account:count())

-- prints:
-- statements:	4	entries:	3
-- the same object:	true
-- below 100:	1
-- ada has:	70
-- entries of bob:	opened, kept
-- inside:	2
-- behind:	3
