-- What MariaDB does to a transaction by itself: it ends one whole (a deadlock, a snapshot that is too old), commits one
-- because of a statement in it (DDL), or undoes a statement only (a lock that was waited for too long). Whatever it
-- does, nothing is written outside the program's blocks, and no block commits half of what it did.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local until_true = require("spec.support.waiting").until_true

if not databases.mariadb then
  return
end

local db, close, url

before_each(function()
  db, close, url = databases.mariadb.open{ pool = { max = 4 } }
  db:execute("create table account (id integer primary key, amount integer not null)")
  db:execute("insert into account values (1, 100), (2, 100)")
  db:execute("create table log (word varchar(40) not null)")
end)

after_each(function()
  until_true(function() return db:pool_stats().busy == 0 end)
  close()
end)

local function add(id)
  return db:execute("update account set amount = amount + 1 where id = ?", id)
end

local function write(word)
  return db:execute("insert into log values (?)", word)
end

local function words()
  return table.concat(db:fetch_arrays("select coalesce(group_concat(word order by word separator ' '), '') from log")[1])
end

-- Runs fn at that depth of blocks within blocks.
local function nested(depth, fn)
  return db:atomic(function()
    write("level" .. depth)
    if depth > 1 then
      return nested(depth - 1, fn)
    end
    return fn()
  end)
end

-- A transaction that has done so much that it is never the victim, and waits for account 1 while fn runs, which has it.
local function against_a_heavy_one(victim)
  local ready, locked = false, false
  local heavy = mp.spawn(db.atomic, db, function()
    db:execute("insert into log select concat('heavy', seq) from seq_1_to_200")
    add(2)
    ready = true
    until_true(function() return locked end)
    add(1)
    db:execute("delete from log where word like 'heavy%'")
  end)
  until_true(function() return ready end)
  local result = table.pack(pcall(victim, function()
    add(1)
    locked = true
    return add(2)
  end))
  locked = true
  heavy:wait()
  return table.unpack(result)
end

describe("the victim of a deadlock on MariaDB", function()
  it("ends with an error that says so, at any depth, and nothing of it is there", function()
    for depth = 1, 6 do
      local ok, err = against_a_heavy_one(function(clash)
        nested(depth, clash)
      end)
      assert.is_false(ok)
      assert.equal("deadlock", err.kind)
      assert.equal(1213, err.code)
      assert.equal("transaction", err.retryable)
      assert.equal("", words())
    end
    assert.same({ { 106 }, { 106 } }, db:fetch_arrays("select amount from account"))
  end)

  it("writes nothing more, whoever catches the error", function()
    for depth = 1, 6 do
      local sent = 0
      local ok, err = against_a_heavy_one(function(clash)
        local function try(fn, ...)
          local fine, why = pcall(fn, ...)
          sent = sent + (fine and 1 or 0)
          return fine, why
        end
        local function level(n)
          db:atomic(function(tx)
            if n < depth then
              try(level, n + 1)
            else
              assert.equal("deadlock", select(2, try(clash)).kind)
            end
            try(write, "after" .. n)
            try(db.fetch_val, db, "select 1")
            try(db.atomic, db, write, "block" .. n)
            try(function() tx:savepoint() end)
            try(function()
              for _ in db:stream("select 1") do
                write("stream")
              end
            end)
          end)
        end
        level(1)
      end)
      assert.is_false(ok)
      assert.truthy(mp.is(err, "deadlock") or err.cause and err.cause.kind == "deadlock", tostring(err))
      assert.equal(0, sent)
      assert.equal("", words())
    end
  end)

  it("runs again where it asks for that", function()
    local runs = 0
    local ok, err = against_a_heavy_one(function(clash)
      db:atomic({ retry = 3 }, function()
        runs = runs + 1
        write "once"
        clash()
      end)
    end)
    assert.is_true(ok, tostring(err))
    assert.equal(2, runs)
    assert.equal("once", words())
    assert.same({ { 102 }, { 102 } }, db:fetch_arrays("select amount from account"))
  end)

  it("runs again where the error was caught around an inner block, and what follows it fails for that", function()
    for depth = 1, 3 do
      for _, run in ipairs { db.atomic, db.session } do
        db:execute "delete from log"
        local runs, failed = 0, nil
        local ok, err = against_a_heavy_one(function(clash)
          run(db, { retry = 3 }, function()
            runs = runs + 1
            mp.try(nested, depth, clash)
            local fine, why = pcall(write, "once")
            failed = failed or why
            if not fine then
              error(why, 0)
            end
          end)
        end)
        assert.is_true(ok, tostring(err))
        assert.equal(2, runs)
        assert.same({ "in_failed_transaction", "deadlock", "transaction" }, { failed.kind, failed.cause.kind, failed.retryable })
      end
    end
    assert.same({ { 112 }, { 112 } }, db:fetch_arrays("select amount from account"))
  end)
end)

describe("a snapshot that is too old", function()
  it("breaks the transaction where the server looks at that", function()
    local err = raises("serialization", db.atomic, db, { isolation = "repeatable read" }, function()
      db:execute("set innodb_snapshot_isolation = on")
      write "before"
      db:fetch_all("select * from account")
      mp.spawn(add, 1):wait()
      pcall(add, 1)
      pcall(write, "after")
    end)
    assert.equal(1020, (err.cause or err).code)
    assert.equal("", words())
    assert.same({ { 101 }, { 100 } }, db:fetch_arrays("select amount from account"))
    assert.equal(0, db:fetch_val("select @@innodb_snapshot_isolation")) -- the next one has a session as new
  end)
end)

describe("a lock that was waited for too long", function()
  local locker

  before_each(function()
    locker = db:connect()
    locker:begin()
    locker:execute("update account set amount = 0 where id = 1")
  end)

  after_each(function()
    locker:close()
  end)

  local function add_at_once()
    db:execute("set innodb_lock_wait_timeout = 0")
    add(1)
  end

  it("fails the block that does not look: nothing of it is committed", function()
    raises("lock_timeout", db.atomic, db, function()
      write "before"
      add_at_once()
    end)
    assert.equal("", words())
  end)

  it("fails the block that catches it too: half a block is never committed", function()
    local err = raises("in_failed_transaction", db.atomic, db, function()
      write "before"
      pcall(add_at_once)
    end)
    assert.equal("lock_timeout", err.cause.kind)
    assert.equal(1205, err.cause.code)
    assert.equal("", words())
    err = raises("in_failed_transaction", db.atomic, db, function()
      pcall(add_at_once)
      write "after"
    end)
    assert.equal("lock_timeout", err.cause.kind)
    assert.equal("", words())
  end)

  it("is the business of the inner block alone, where there is one", function()
    db:atomic(function()
      write "before"
      local inner = raises("lock_timeout", db.atomic, db, function()
        write "inside"
        add_at_once()
      end)
      assert.equal(1205, inner.code)
      write "after"
    end)
    assert.equal("after before", words())
  end)

  it("is told at once by nowait", function()
    db:atomic(function()
      local err = raises("lock_timeout", db.atomic, db, function()
        return db:fetch_all("select * from account where id = 1 for update nowait")
      end)
      assert.equal(1205, err.code)
      write "after"
    end)
    assert.equal("after", words())
  end)

  it("lets the whole block run again where it asks for that", function()
    local runs = 0
    db:atomic({ retry = 3 }, function()
      runs = runs + 1
      write "once"
      if runs == 2 then
        locker:rollback()
      end
      add_at_once()
    end)
    assert.equal(2, runs)
    assert.equal("once", words())
  end)
end)

-- Statements that commit what is open, each on what the one before has left.
local COMMITTING = {
  "create table made (x integer)", "create index made_x on made (x)", "alter table made add column y integer",
  "rename table made to named", "truncate table named", "create view seen as select 1 as one",
  "create or replace view seen as select 2 as two", "drop view seen", "create sequence counted", "drop sequence counted",
  "create procedure proceed() do 1", "alter procedure proceed comment 'x'", "drop procedure proceed",
  "create trigger pulled before insert on named for each row set new.x = 1", "drop trigger pulled",
  "drop index made_x on named", "analyze table named", "optimize table named", "lock tables log write", "drop table named",
  "start transaction", "set autocommit = 1",
}

-- As moonpool cannot see what it is.
local function hidden(sql)
  return "execute immediate '" .. sql:gsub("'", "''") .. "'"
end

describe("a statement that commits the transaction it is in", function()
  it("breaks the block, and nothing is written outside it", function()
    local broken = 0
    for i, sql in ipairs(COMMITTING) do
      local outside = "outside" .. i
      local ok, err = pcall(db.atomic, db, function()
        write("inside" .. i)
        pcall(db.execute, db, hidden(sql))
        pcall(write, outside)
        pcall(db.atomic, db, write, outside)
      end)
      local found = " " .. words() .. " "
      local function has(word)
        return found:find(" " .. word .. " ", 1, true) ~= nil
      end
      if ok then -- it was refused before it was sent, or commits nothing: the block is whole
        assert.same({ true, true }, { has("inside" .. i), has(outside) }, sql)
      else
        assert.equal("implicit_commit", (err.cause or err).kind, sql .. ": " .. tostring(err))
        assert.is_false(has(outside), sql)
        broken = broken + 1
      end
      pcall(db.execute, db, sql) -- for the next one
      pcall(db.execute, db, "unlock tables")
    end
    assert.truthy(broken >= 18, broken .. " broke their block")
  end)

  it("is refused before it is sent where its words tell, and commits nothing", function()
    local refused = 0
    for i, sql in ipairs(COMMITTING) do
      local ok, err
      db:atomic(function()
        write("before" .. i)
        ok, err = pcall(db.atomic, db, function() -- as any that fails, it fails the block that it is in
          write("with" .. i)
          db:execute("/* made by hand */ " .. sql)
        end)
        write("after" .. i)
      end)
      local found = " " .. words() .. " "
      local function has(word)
        return found:find(" " .. word .. i .. " ", 1, true) ~= nil
      end
      assert.same({ true, ok, true }, { has "before", has "with", has "after" }, sql)
      if not ok then
        assert.is_false(err.sent)
        assert.equal(sql == "start transaction" and "unsupported" or "implicit_commit", err.kind, tostring(err))
        refused = refused + 1
      end
      pcall(db.execute, db, sql) -- for the next one
      pcall(db.execute, db, "unlock tables")
    end
    assert.equal(#COMMITTING - 1, refused) -- but for SET autocommit, which commits nothing here
    for _, by_hand in ipairs{ function() return db:begin() end, function() return db:session() end } do
      local handle <close> = by_hand()
      db:execute("insert into log values ('by hand')")
      local err = raises("implicit_commit", db.execute, db, "create or replace table made (x integer)")
      assert.matches("outside of one, or on a connection of its own", tostring(err))
      handle:rollback()
    end
    assert.falsy(words():find "by hand")
  end)

  it("is none that makes what only its session sees", function()
    db:atomic(function()
      write "temporary"
      db:execute "create temporary table mine (x integer)"
      db:execute "create or replace temporary table mine (y integer)"
      db:execute "drop temporary table mine"
      db:execute "analyze select * from log"
      db:execute "prepare one from 'select 1'"
      db:execute "drop prepare one"
    end)
    assert.matches("temporary", words())
  end)

  it("is refused in a block that only reads, also where its text is known already", function()
    local one = mp.open(url, { pool = { max = 1 } })
    local function refused(sql)
      raises("read_only", one.atomic, one, { read_only = true }, function() one:execute(sql) end)
    end
    for _ = 1, 3 do
      refused "create table made (x integer)"
      one:execute "create table made (x integer)"
      refused "drop table made"
      one:execute "drop table made"
    end
    one:close()
  end)

  it("is refused where the ORM would send it", function()
    local Thing = mp.entity("Thing", { name = mp.field.string{ max = 20 } }, { database = db })
    for _, ddl in ipairs{ function() Thing:create_table() end, function() db:create_all() end, function() db:drop_all() end } do
      raises("implicit_commit", db.atomic, db, function()
        write "inside"
        ddl()
      end)
      assert.equal("", words())
    end
  end)
end)
