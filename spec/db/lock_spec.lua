-- for_update: rows that are locked until the transaction ends.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("for_update", function(open, database)
  local db, Job

  before_each(function()
    db = open()
    Job = mp.entity("Job", { name = f.string{ max = 50 }, done = f.boolean{ default = false } }, { database = db })
    db:create_all()
    for i = 1, 4 do Job:create{ name = "job " .. i } end
  end)

  it("gives the rows inside a transaction, and raises outside", function()
    mp.atomic({ database = db }, function()
      local job = Job:filter{ done = false }:order_by("id"):for_update():first()
      job.done = true
      job:save()
      assert.equal("job 2", Job:for_update():get{ id = 2 }.name)
      assert.same({ "job 1", "job 2" }, Job:filter{ id__lte = 2 }:order_by("id"):for_update{ skip_locked = true }:pluck("name"))
      assert.same({ "job 3" }, Job:filter{ id = 3 }:for_update{ nowait = true }:pluck("name"))
    end)
    assert.equal(1, Job:filter{ done = true }:count())
    assert.matches("mp.atomic", raises("bad_argument", function() return Job:for_update():all() end).message)
    raises("bad_argument", function() return Job:for_update():first() end)
    raises("bad_argument", function() return Job:for_update():pluck("name") end)
    raises("bad_argument", function() return Job:values("name"):for_update():all() end)
    raises("bad_argument", function() return Job:for_update():iter() end)
    raises("bad_argument", function() return Job:for_update():count() end)
  end)

  it("locks what a page holds, and updates a part of the rows", function()
    mp.atomic({ database = db }, function()
      assert.equal(4, Job:for_update():page(1, 2).total)
      assert.equal(1, Job:order_by("id"):limit(1):for_update():update{ done = true })
    end)
    assert.same({ "job 1" }, Job:filter{ done = true }:pluck("name"))
  end)

  if database.server then
    it("keeps others from the rows: they wait, leave them out, or are told", function()
      local order = {}
      mp.atomic({ database = db }, function()
        assert.equal(1, #Job:filter{ id = 1 }:for_update():all())
        local other = mp.spawn(function()
          mp.atomic({ database = db }, function()
            assert.same({ 2, 3, 4 }, Job:order_by("id"):for_update{ skip_locked = true }:pluck("id"))
          end)
          local err = raises("lock_timeout", function()
            mp.atomic({ database = db }, function()
              return Job:filter{ id = 1 }:for_update{ nowait = true }:all()
            end)
          end)
          assert.equal("transaction", err.retryable)
          order[#order + 1] = "told"
        end)
        while other.status ~= "done" and other.status ~= "failed" do mp.sleep(0.01) end
        assert.equal("done", other.status)
        mp.spawn(function()
          mp.atomic({ database = db }, function()
            local job = Job:for_update():get{ id = 1 }
            order[#order + 1] = job.done and "waited" or "did not wait"
          end)
        end)
        mp.sleep(0.01)
        Job:filter{ id = 1 }:update{ done = true }
        order[#order + 1] = "changed"
      end)
      while #order < 3 do mp.sleep(0.01) end
      assert.same({ "told", "changed", "waited" }, order)
    end)
  end
end)
