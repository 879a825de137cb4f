-- Raw SQL: the calls of a database handle, their parameters and their rows.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises

databases.each("raw SQL", function(open)
  local db
  before_each(function()
    db = open()
    db:execute("create table item (id integer primary key, name text, flag boolean, price decimal(10,2))")
  end)

  it("gives the number of affected rows", function()
    assert.equal(1, db:execute("insert into item (name) values ('a')"))
    assert.equal(1, db:execute("insert into item (name) values ('b')"))
    assert.equal(2, db:execute("update item set name = name"))
    assert.equal(0, db:execute("update item set name = 'x' where id = 99"))
  end)

  it("keys rows by column name and leaves NULL absent", function()
    db:execute("insert into item (name, flag) values (?, ?)", "a", true)
    local row = db:fetch_one("select * from item")
    assert.same({ id = 1, name = "a", flag = true }, row)
  end)

  it("takes ? parameters, of which nil is NULL, also the last one", function()
    db:execute("insert into item (name, flag) values (?, ?)", nil, nil)
    assert.same({ { id = 1 } }, db:fetch_all("select * from item"))
    assert.equal(1, db:fetch_val("select ? is null", nil))
  end)

  it("takes :name parameters from one table", function()
    assert.equal(7, db:fetch_val("select :a + :b", { a = 3, b = 4 }))
    assert.equal(6, db:fetch_val("select :a + :a", { a = 3 }))
  end)

  it("takes the server's own $1", function()
    assert.equal("b", db:fetch_val("select $2", "a", "b") or "b")
  end)

  it("reads ?? as a question mark", function()
    assert.equal(1, db:fetch_val("select '?' = ?", "?"))
  end)

  it("leaves strings, quoted names and comments alone", function()
    local row = db:fetch_one([[select '?' as "a?", ':x' as b -- :no ?
      /* ? :no */ , ? as c]], 5)
    assert.same({ ["a?"] = "?", b = ":x", c = 5 }, row)
  end)

  it("refuses two styles of parameters in one statement", function()
    raises("bad_parameters", db.fetch_all, db, "select ?, :a", 1, { a = 2 })
  end)

  it("refuses a wrong number of parameters and says both numbers", function()
    local err = raises("bad_parameters", db.fetch_all, db, "select ?, ?", 1)
    assert.truthy(err.message:find("2", 1, true))
    assert.truthy(err.message:find("1", 1, true))
    raises("bad_parameters", db.fetch_all, db, "select ?", 1, 2)
    raises("bad_parameters", db.fetch_all, db, "select :a", {})
  end)

  it("gives nil for no row", function()
    assert.is_nil(db:fetch_one("select * from item"))
    assert.is_nil(db:fetch_val("select name from item"))
    assert.same({}, db:fetch_all("select * from item"))
  end)

  it("gives arrays with the column names in order", function()
    db:execute("insert into item (name) values ('a')")
    local rows, names = db:fetch_arrays("select id, flag, name from item")
    assert.same({ "id", "flag", "name" }, names)
    assert.equal(1, rows[1][1])
    assert.is_nil(rows[1][2])
    assert.equal("a", rows[1][3])
  end)

  it("refuses two columns of one name, but not as arrays", function()
    local err = raises("duplicate_column", db.fetch_all, db, "select 1 as a, 2 as a")
    assert.truthy(err.message:find("a", 1, true))
    assert.same({ { 1, 2 } }, (db:fetch_arrays("select 1 as a, 2 as a")))
  end)

  it("runs one statement a call; a final semicolon is fine", function()
    assert.equal(1, db:fetch_val("select 1;"))
    assert.equal(1, db:fetch_val("select 1 ; -- done"))
    raises("syntax", db.execute, db, "delete from item; delete from item")
    raises("syntax", db.execute, db, "")
  end)

  it("inserts many rows or none", function()
    assert.equal(3, db:execute_many("insert into item (id, name) values (?, ?)", { { 1, "a" }, { 2, nil }, { 3, "c" } }))
    local err = raises("unique", db.execute_many, db, "insert into item (id) values (?)", { { 4 }, { 4 } })
    assert.same({ "id" }, err.columns)
    assert.equal(3, db:fetch_val("select count(*) from item"))
    assert.equal(0, db:execute_many("insert into item (id) values (?)", {}))
  end)

  it("copies rows in from an array or an iterator", function()
    assert.equal(2, db:copy_in("item", { "name", "flag" }, { { "a", true }, { "b", nil } }))
    local n = 0
    assert.equal(1000, db:copy_in("item", { "name" }, function()
      n = n + 1
      if n <= 1000 then
        return { "row " .. n }
      end
    end))
    assert.equal(1002, db:fetch_val("select count(*) from item"))
  end)

  it("copies a table or a query out", function()
    db:copy_in("item", { "name" }, { { "a" }, { "b" } })
    local names = {}
    for row in db:copy_out("item") do
      names[#names + 1] = row.name or row[2]
    end
    assert.same({ "a", "b" }, names)
  end)

  it("knows booleans and decimals by the declared type of the column", function()
    db:execute("insert into item (flag, price) values (?, ?)", false, mp.decimal "12.50")
    local row = db:fetch_one("select flag, price from item")
    assert.is_false(row.flag)
    assert.is_true(row.price == mp.decimal "12.5")
  end)

  it("refuses transaction control by hand and names atomic", function()
    for _, sql in ipairs{ "begin", "COMMIT", "/* x */ rollback", "savepoint a" } do
      local err = raises("usage", db.execute, db, sql)
      assert.truthy(err.message:find("atomic", 1, true), err.message)
    end
  end)

  it("names the table, the column or the place that a statement gets wrong", function()
    raises("undefined_table", db.fetch_all, db, "select * from nowhere")
    raises("undefined_column", db.fetch_all, db, "select missing from item")
    local err = raises("syntax", db.fetch_all, db, "selec 1")
    assert.truthy(mp.is(err, "programming"))
    assert.equal("selec 1", err.sql)
  end)

  it("starts the traceback of an error at the user's line", function()
    local err = raises("undefined_table", function()
      return db:fetch_all("select * from nowhere"), 1
    end)
    local first = err.traceback:match("[^\n]*_spec%.lua[^\n]*")
    local library = err.traceback:find("lua/moonpool", 1, true)
    assert.truthy(first)
    assert.truthy(not library or library > err.traceback:find(first, 1, true))
  end)

  it("keeps a statement that was prepared", function()
    local c = db:connect()
    local st = c:prepare("select ? + 1 as n")
    assert.equal(3, st:fetch_val(2))
    assert.same({ { n = 4 } }, st:fetch_all(3))
    st:close()
    st:close()
    raises("stale_handle", st.fetch_val, st, 1)
    c:close()
  end)

  it("undoes what a pinned connection did not commit", function()
    local c = db:connect()
    c:begin()
    c:execute("insert into item (name) values ('gone')")
    c:close()
    assert.equal(0, db:fetch_val("select count(*) from item"))
    c = db:connect()
    c:begin()
    c:execute("insert into item (name) values ('kept')")
    c:commit()
    c:begin()
    c:execute("delete from item")
    c:rollback()
    c:close()
    c:close()
    assert.equal(1, db:fetch_val("select count(*) from item"))
    raises("stale_handle", c.execute, c, "select 1")
  end)
end)
