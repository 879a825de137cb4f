-- A COMMIT whose answer was lost: a durable transaction finds out on PostgreSQL what became of it.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local line = require "spec.support.line"
local servers = require "spec.support.servers"
local raises = databases.raises
local until_true = require("spec.support.waiting").until_true

if not servers.verified.postgres then
  return -- there is no server of ours
end

describe("a COMMIT whose answer was lost", function()
  local direct, way, db

  before_each(function()
    direct = mp.open(servers.postgres)
    direct:execute "drop table if exists commit_kept" -- of a run that was killed
    direct:execute("create table commit_kept (x integer)")
    way = line.to((servers.verified.postgres:gsub("%?.*", "?tls.mode=off")))
    db = mp.open(way.url, { retry = { attempts = 1 } })
  end)

  after_each(function()
    way:close()
    db:close{ drain = 0 }
    direct:execute("drop table commit_kept")
    direct:close()
  end)

  -- The block's COMMIT arrives at the server, and its answer does not come back. The error, as the program sees it.
  local function lose(options)
    local task = mp.spawn(function()
      db:atomic(options, function()
        db:execute("insert into commit_kept values (7)")
        way:hold()
      end)
    end)
    until_true(function()
      return task.status == "failed" or direct:fetch_val("select count(*) from commit_kept") == 1
    end)
    way:cut()
    return raises("commit_unknown", task.wait, task)
  end

  it("is unknown for ever where nobody wrote the transaction's number down", function()
    local err = lose({})
    assert.equal("unknown", err:resolve())
    assert.is_false(err.retryable)
  end)

  it("cannot be resolved while the server cannot be reached, and says so", function()
    local err = lose{ durable = true }
    raises("connection", err.resolve, err)
  end)

  it("is found out when it was a durable one's", function()
    db:close()
    -- the next connection goes past the line, which is gone
    local server = servers.verified.postgres:match "@([^/?]*)"
    db = mp.open((way.url:gsub("@([^/?]*)", "@%1," .. server)))
    assert.equal("committed", lose({ durable = true }):resolve())
    assert.equal(1, direct:fetch_val("select count(*) from commit_kept"))
  end)

  it("can be told of a transaction that was rolled back, and from inside of another one", function()
    local verdict = require "moonpool.database.verdict"
    local numbers = {}
    for _, ends in ipairs{ "commit", "rollback" } do
      direct:atomic({ durable = true }, function(tx)
        numbers[ends] = tx.frame.number
        direct:execute("insert into commit_kept values (1)")
        assert.equal("unknown", verdict.of(direct, nil))
        if ends == "rollback" then
          tx:rollback()
        end
      end)
    end
    assert.equal("committed", verdict.of(direct, numbers.commit))
    assert.equal("aborted", verdict.of(direct, numbers.rollback))
    direct:atomic(function() -- also from inside of another transaction
      assert.equal("committed", verdict.of(direct, numbers.commit))
    end)
  end)
end)
