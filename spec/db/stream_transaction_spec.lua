-- Streams inside a transaction: the rows come while they are read, and the connection is free between them.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises

local ROWS = 20000

databases.each("a stream in a transaction", function(open, database)
  local db
  local numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?) select i from n"
  if database.dialect == "mariadb" then
    numbers = "select seq as i from seq_1_to_20000 where seq <= ?" -- max_recursive_iterations is less
  end

  before_each(function()
    db = open()
    db:execute "create table seen (i integer not null)"
  end)

  local function seen()
    return db:fetch_val "select count(*) from seen"
  end

  -- What the server has been asked so far for rows of cursors; nil where it does not count that.
  local function fetches()
    if database.dialect == "mariadb" then
      return math.tointeger(tonumber(db:fetch_one("show session status like 'Com_stmt_fetch'").Value))
    end
  end

  it("holds no more than a chunk of a large result", function()
    local text = ("x"):rep(1000)
    db:atomic(function()
      local n, most, before, asked = 0, 0, collectgarbage "count", fetches()
      for row in db:stream("select i, ? as t from (" .. numbers .. ") n order by i", text, ROWS) do
        n = n + 1
        assert.equal(n, row.i)
        if n == 1 and asked then
          assert.equal(asked + 1, fetches())
        end
        if n % 500 == 0 then
          collectgarbage()
          most = math.max(most, collectgarbage "count" - before)
        end
      end
      assert.equal(ROWS, n)
      assert.is_true(most < 4000, most .. " KB held of 20000") -- rows of two chunks at most
      if asked then
        assert.is_true(fetches() - asked >= ROWS // 1000)
      end
    end)
    databases.quiet(db)
  end)

  it("lets its body query and write, also with its own text", function()
    db:atomic(function()
      local sum = 0
      for row in db:stream(numbers, 2500) do
        if row.i % 500 == 0 then
          db:execute("insert into seen (i) values (?)", row.i)
          for inner in db:stream(numbers, 3) do
            sum = sum + inner.i * 10 + db:fetch_val "select count(*) from seen"
          end
        end
      end
      assert.equal(5 * 60 + 3 * (1 + 2 + 3 + 4 + 5), sum)
    end)
    assert.equal(5, seen())
    databases.quiet(db)
  end)

  it("goes on beside others, each in its own time", function()
    db:atomic(function()
      local a, b = db:stream(numbers, 2500), db:stream(numbers, 3500)
      for i = 1, 2500 do
        assert.equal(i, a().i)
        assert.equal(i, b().i)
      end
      assert.is_nil(a())
      assert.equal(2501, b().i)
      b:close()
      assert.equal(0, seen())
    end)
    databases.quiet(db)
  end)

  it("that is left early harms nothing", function()
    db:atomic(function()
      for wanted = 1, 5 do
        for row in db:stream(numbers, ROWS) do
          if row.i == wanted * 700 then
            break
          end
        end
        db:execute("insert into seen (i) values (?)", wanted)
      end
    end)
    assert.equal(5, seen())
    databases.quiet(db)
  end)

  it("ends with the error that its body raises, and the transaction with it", function()
    local ok, err = pcall(db.atomic, db, function()
      db:execute "insert into seen (i) values (1)"
      for row in db:stream(numbers, ROWS) do
        if row.i == 1500 then
          error("enough", 0)
        end
      end
    end)
    assert.is_false(ok)
    assert.equal("enough", err)
    assert.equal(0, seen())
    databases.quiet(db)
  end)

  it("survives an error of its body that an inner block undoes", function()
    db:atomic(function()
      local failed = 0
      for row in db:stream(numbers, 3000) do
        if row.i % 1000 == 0 then
          local _, err = mp.try(db.atomic, db, function()
            db:execute("insert into seen (i) values (?)", row.i)
            db:execute "insert into seen (i) values (null)"
          end)
          assert.equal("not_null", err.kind)
          failed = failed + 1
        end
      end
      assert.equal(3, failed)
    end)
    assert.equal(0, seen())
    databases.quiet(db)
  end)

  it("ends when its body rolls the transaction back", function()
    db:atomic(function(tx)
      db:execute "insert into seen (i) values (1)"
      for row in db:stream(numbers, ROWS) do
        if row.i == 1500 then
          tx:rollback()
        end
      end
      error "not reached"
    end)
    assert.equal(0, seen())
    databases.quiet(db)
  end)

  it("is stale when its transaction was ended by hand, which cancels nobody", function()
    for _, how in ipairs { "commit", "rollback" } do
      local tx = db:begin()
      local _, err = mp.try(function()
        for row in db:stream(numbers, ROWS) do
          if row.i == 1 then
            tx[how](tx)
          end
        end
      end)
      assert.equal("stale_handle", err.kind)
      local s = db:session()
      s:execute "insert into seen (i) values (1)"
      _, err = mp.try(function()
        for row in db:stream(numbers, ROWS) do
          if row.i == 1 then
            s[how](s)
          end
        end
      end)
      assert.equal("stale_handle", err.kind)
      s:close()
    end
    assert.equal(1, seen())
    databases.quiet(db)
  end)

  it("ends when its task is cancelled while the body runs", function()
    local task
    task = mp.spawn(function()
      db:atomic(function()
        db:execute "insert into seen (i) values (1)"
        for row in db:stream(numbers, ROWS) do
          if row.i == 1500 then
            task:cancel()
            mp.sleep(10)
          end
        end
      end)
    end)
    raises("cancelled", task.wait, task)
    assert.equal(0, seen())
    databases.quiet(db)
  end)

  if database.server then
    it("is stopped on the server when its time is over, and the transaction is undone", function()
      local slow = database.dialect == "mariadb" and "select seq, sleep(60) as s from seq_1_to_3" or "select pg_sleep(60)"
      raises("timeout", mp.timeout, 0.1, db.atomic, db, function()
        db:execute "insert into seen (i) values (1)"
        for _ in db:stream(slow) do -- luacheck: ignore (it is stopped before its first row)
        end
      end)
      assert.equal(0, seen())
      databases.quiet(db)
    end)
  end

  it("gives the error of its statement, at the row where it comes", function()
    raises("undefined_table", db.atomic, db, function()
      for _ in db:stream "select * from nowhere" do -- luacheck: ignore (there is no row)
      end
    end)
    assert.equal(0, seen())
    databases.quiet(db)
  end)

  it("keeps max_rows", function()
    local limited = open{ max_rows = 1500 }
    raises("result_too_large", limited.atomic, limited, function()
      for _ in limited:stream(numbers, ROWS) do -- luacheck: ignore (counted elsewhere)
      end
    end)
    assert.equal(1, limited:fetch_val "select 1")
    databases.quiet(limited)
  end)

  it("gives the values that the statement gives without it", function()
    local list = { "1 as i", "1.50 as d", "0.1e0 as f", "'é' as t", "null as n", "'' as e" }
    if database.dialect == "mariadb" then
      list[#list + 1] = "cast(18446744073709551615 as unsigned) as big, date '2026-11-20' as dt"
      list[#list + 1] = "timestamp '2026-11-20 12:00:00.123456' as ts, time '-100:00:00.5' as tm, x'00ff' as b"
      list[#list + 1] = "c.*"
      db:execute [[create table c (yes boolean, j json, u uuid, kind enum('a', 'b'), bits bit(12), many set('x', 'y'), small tinyint,
        years year, long_text longtext, bytes varbinary(10), wide decimal(40, 10), tiny_flag tinyint(1) unsigned)]]
      db:execute [[insert into c values (true, '{"a": [1]}', '0f0e0d0c-0b0a-0908-0706-050403020100', 'b', b'101', 'x,y', -3,
        2026, repeat('long', 1000), x'00ff', -123456789012345678901234567890.0123456789, 1)]]
      db:execute "insert into c (yes) values (null)"
    end
    local sql = "select " .. table.concat(list, ", ") .. (database.dialect == "mariadb" and " from c" or "")
    local plain = db:fetch_all(sql)
    db:atomic(function()
      local streamed = {}
      for row in db:stream(sql) do
        streamed[#streamed + 1] = row
      end
      assert.equal(#plain, #streamed)
      for i, row in ipairs(plain) do
        for name, value in pairs(row) do
          assert.equal(mp.show(value), mp.show(streamed[i][name]), name)
          assert.equal(math.type(value), math.type(streamed[i][name]), name)
        end
        for name in pairs(streamed[i]) do
          assert.is_not_nil(row[name], name)
        end
      end
    end)
  end)

  it("that comes when the transaction has failed names what failed, as every statement does", function()
    for _, way in ipairs{ "fetch_all", "stream", "copy_out" } do
      local met
      local failed = raises("in_failed_transaction", db.atomic, db, function()
        pcall(db.execute, db, "insert into seen values (null)")
        met = select(2, pcall(function()
          if way == "fetch_all" then return db:fetch_all "select i from seen" end
          for _ in db[way](db, "select i from seen") do end
        end))
      end)
      assert.equal("not_null", failed.cause.kind)
      if met then
        assert.same({ "in_failed_transaction", "not_null" }, { met.kind, met.cause and met.cause.kind }, way)
      end
    end
  end)
end)
