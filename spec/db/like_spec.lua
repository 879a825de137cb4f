-- LIKE in what a program's own SQL has made: triggers, views and checks may use it, on every database.

local databases = require "spec.support.databases"

databases.each("LIKE", function(open, database)
  it("may stand in a check and in a view", function()
    local db = open()
    db:execute "create table item (name varchar(20), constraint item_name check (name like 'a%'))"
    db:execute "create view short as select name from item where name like 'a_'"
    db:execute("insert into item values (?)", "ab")
    db:execute("insert into item values (?)", "abc")
    assert.same({ { name = "ab" } }, db:fetch_all "select name from short")
    local _, err = pcall(db.execute, db, "insert into item values (?)", "b")
    assert.equal("check", err.kind)
    if database.dialect == "mariadb" then db:execute "drop view short" end
  end)

  if database.dialect == "sqlite" then
    it("folds ASCII again for the next task after one has switched that off, and still may", function()
      local db = open()
      db:execute "create table item (name varchar(20), constraint item_name check (name like 'a%'))"
      do
        local c = db:connect()
        c:execute "pragma case_sensitive_like = on"
        assert.equal(0, c:fetch_val "select 'a' like 'A'")
        c:close()
      end
      assert.equal(1, db:fetch_val "select 'a' like 'A'")
      if database.file then db:execute("insert into item values (?)", "ab") end
    end)
  end
end)
