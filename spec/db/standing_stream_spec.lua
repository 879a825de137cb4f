-- A stream that stands while others use its connection: what they begin and end there is not forgotten when it ends.

local mp = require "moonpool"
local databases = require "spec.support.databases"

local FEW = "select 1 as x union all select 2 union all select 3"

databases.each("a stream that stands", function(open, database)
  local db

  before_each(function()
    db = open{ pool = { min = 0, max = 1 } }
    db:execute "create table item (n integer)"
  end)

  local function count()
    return db:fetch_val "select count(*) from item"
  end

  it("ends after the transaction that it was opened in, and the connection goes on", function()
    local rows
    db:atomic(function()
      rows = db:stream(FEW)
      rows()
      db:execute "insert into item values (1)"
    end)
    assert.equal(1, count())
    rows:close()
    assert.equal(1, count())
  end)

  if database.dialect == "sqlite" then -- the servers take no BEGIN from a connection that is read from
    it("ends inside of a transaction that was begun since, which is undone with its connection", function()
      local conn, begun = db:connect(), false
      for _ in conn:stream(FEW) do
        if not begun then
          begun = true
          conn:begin()
          conn:execute "insert into item values (1)"
        end
      end
      conn:close()
      assert.equal(0, count())
      db:atomic(function() db:execute "insert into item values (2)" end)
      assert.equal(1, count())
    end)
  end

  it("is left in a generator by a block, and the connection goes on", function()
    mp.spawn(function()
      db:atomic(function()
        local rows = coroutine.wrap(function()
          for row in db:stream(FEW) do
            coroutine.yield(row.x)
          end
        end)
        rows()
        db:execute "insert into item values (1)"
      end)
    end):wait()
    assert.equal(1, count())
  end)
end)
