-- Annotations of objects that are filtered by, grouped by and taken together: they say something of each row, also where
-- aggregates look at all of them.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local f, fn = mp.field, mp.fn

-- fn must raise an error of that kind which says this.
local function raises(kind, says, call, ...)
  local err = databases.raises(kind, call, ...)
  assert.truthy(err.message:find(says, 1, true), err.message)
end

databases.each("an annotation of each row", function(open)
  local Writer, Work

  before_each(function()
    local db = open()
    Writer = mp.entity("Writer", {
      name = f.string{ max = 50 },
      active = f.boolean{ default = true },
      age = f.integer{ null = true },
      born = f.date{ null = true },
      mark = f.uuid{ null = true },
    }, { database = db })
    Work = mp.entity("Work", {
      title = f.string{ max = 50 },
      pages = f.integer{ null = true },
      writer = f.belongs_to("Writer", { inverse = "works", on_delete = "cascade" }),
    }, { database = db })
    db:create_all()
    local ada = Writer:create{
      name = "ada", age = 36, born = "2001-02-03", mark = "01930000-0000-7000-8000-000000000002",
    }
    local bob = Writer:create{
      name = "bob", active = false, age = 20, born = "2001-05-06",
      mark = "01930000-0000-7000-8000-00000000000a",
    }
    Writer:create{ name = "cleo" }
    local dan = Writer:create{ name = "dan", age = 36, born = "1999-01-01" }
    Work:create{ title = "a", pages = 10, writer = ada }
    Work:create{ title = "b", pages = 7, writer = ada }
    Work:create{ title = "c", writer = bob }
    Work:create{ title = "d", pages = 2, writer = dan }
  end)

  local function counted() return Writer:annotate{ n = fn.count("works") } end

  local function ranked()
    return Writer:annotate{ place = mp.over(fn.row_number(), { order_by = { "id" } }) }
  end

  it("decides which rows aggregates take", function()
    assert.same({ n = 1, ages = 36 }, counted():filter{ n__gte = 2 }:aggregate{ n = fn.count(), ages = fn.sum("age") })
    assert.same({ n = 1, ages = 3 }, counted():filter{ n = 0 }:aggregate{ n = fn.count(), ages = fn.sum("id") })
    assert.equal(6, counted():filter{ n = 1 }:sum("id"))
    assert.equal("dan", counted():filter{ n = 1 }:max("name"))
    assert.equal(2, counted():exclude{ n = 1 }:aggregate{ n = fn.count() }.n)
  end)

  it("decides which rows are grouped", function()
    assert.same({ { active = false, c = 1 }, { active = true, c = 1 } },
      counted():filter{ n = 1 }:values("active"):annotate{ c = fn.count() }:order_by("active"):all())
  end)

  it("is grouped by, taken together in groups, and taken together over all", function()
    assert.same({ { n = 0, c = 1 }, { n = 1, c = 2 }, { n = 2, c = 1 } },
      counted():values("n"):annotate{ c = fn.count() }:order_by("n"):all())
    assert.same({ { active = false, s = 1 }, { active = true, s = 3 } },
      counted():values("active"):annotate{ s = fn.sum("n") }:order_by("active"):all())
    assert.equal(4, counted():sum("n"))
    assert.equal(2, counted():max("n"))
    assert.equal(1.0, counted():avg("n"))
    assert.equal(96, Writer:annotate{ s = fn.count("works") + mp.F.age }:sum("s"))
    assert.same({ some = 3, all = 4 }, counted():aggregate{
      some = fn.count("id", { filter = mp.Q{ n__gte = 1 } }),
      all = fn.sum(mp.case{ { mp.Q{ n__gte = 0 }, 1 }, default = 0 }),
    })
  end)

  it("is grouped by where it asks whether there are others", function()
    assert.same({ { has = false, c = 1 }, { has = true, c = 3 } },
      Writer:annotate{ has = mp.exists(Work:filter{ writer_id = mp.outer.id }) }:values("has"):annotate{ c = fn.count() }
        :order_by("has"):all())
  end)

  it("by a window is taken together too", function()
    assert.equal(10, ranked():sum("place"))
    assert.equal(3, ranked():filter{ place__lte = 2 }:sum("place"))
    assert.same({ c = 2, s = 3 }, ranked():filter{ place__lte = 2 }:aggregate{ c = fn.count(), s = fn.sum("id") })
  end)

  it("is what an aggregate of an aggregate has to be", function()
    raises("bad_argument", "mp.fn.sum of an aggregate: annotate that one first, as n, then aggregate{ x = mp.fn.sum(\"n\") }",
      Writer.aggregate, Writer, { x = fn.sum(fn.count("works")) })
    raises("bad_argument", "mp.fn.max of an aggregate", Writer.aggregate, Writer, { x = fn.max(fn.count() + 1) })
    assert.same({ { active = true, r = 1 }, { active = false, r = 2 } }, Writer:values("active"):annotate{ c = fn.count() }
      :annotate{ r = mp.over(fn.rank(), { order_by = { "-c" } }) }:values("active", "r"):order_by("r"):all())
  end)

  it("may be beside groups by a part of a date, which are sorted by it", function()
    assert.same({ { c = 1 }, { born__year = 1999, c = 1 }, { born__year = 2001, c = 2 } },
      Writer:values("born__year"):annotate{ c = fn.count() }:order_by("born__year"):all())
  end)

  it("divides NULL by zero as NULL, and a number never", function()
    local none = Writer:filter{ id = -1 }
    assert.is_nil(none:aggregate{ x = fn.sum("age") / fn.count() }.x)
    assert.is_nil(none:aggregate{ x = fn.sum("age") // fn.count() }.x)
    assert.is_nil(none:aggregate{ x = fn.sum("age") % fn.count() }.x)
    assert.equal(23.0, Writer:aggregate{ x = fn.sum("age") / fn.count() }.x)
    raises("division_by_zero", "division by zero", Writer.aggregate, Writer, { x = fn.sum("age") / fn.count("id", { filter = mp.Q{ id = -1 } }) })
  end)

  it("is a uuid as any other kind that is sorted", function()
    assert.equal("01930000-0000-7000-8000-000000000002", Writer:min("mark"))
    assert.equal("01930000-0000-7000-8000-00000000000a", Writer:max("mark"))
    assert.is_nil(Writer:filter{ id = -1 }:max("mark"))
    assert.equal("01930000-0000-7000-8000-000000000002",
      Writer:aggregate{ x = fn.max("mark", { filter = mp.Q{ active = true } }) }.x)
  end)

  it("names the aggregate that was meant", function()
    raises("unsupported", "mp.fn.cout is not built in (did you mean count?)", Writer.aggregate, Writer, { x = fn.cout() })
  end)
end)

databases.each("an interval", function(open, entry)
  it("is compared by its length, or by the word of what cannot", function()
    local db = open()
    local Task = mp.entity("Task", { takes = f.interval{ null = true } }, { database = db })
    db:create_all()
    for _, takes in ipairs{ "PT10H", "PT2H", "P1D" } do Task:create{ takes = takes } end
    assert.equal(2, Task:get{ takes = "PT2H" }.id)
    local greater, sorted = Task:filter{ takes__gt = "PT3H" }, Task:order_by("takes")
    if entry.dialect == "postgres" then
      assert.equal(2, greater:count())
      assert.same({ 2, 1, 3 }, sorted:pluck("id"))
    else
      raises("unsupported", "cannot say which interval is greater", greater.count, greater)
      raises("unsupported", "cannot say which interval is greater", sorted.all, sorted)
      raises("unsupported", "cannot say which interval is greater",
        function() return Task:filter{ takes__range = { "PT1H", "PT3H" } }:all() end)
      raises("unsupported", "cannot say which interval is greater", function() return Task:exclude{ takes__lt = "PT1H" }:all() end)
    end
  end)
end)
