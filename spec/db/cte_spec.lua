-- Table expressions: results from the real database.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f, fn, F = mp.field, mp.fn, mp.F

databases.each("with_cte", function(open)
  local db, Category, Item

  before_each(function()
    db = open()
    Category = mp.entity("Category", {
      name = f.string{ max = 40 }, parent = f.belongs_to("Category", { null = true, inverse = "children", on_delete = "cascade" }),
    }, { database = db })
    Item = mp.entity("Item", { price = f.integer(), category = f.belongs_to("Category", { inverse = "items", on_delete = "cascade" }) },
      { database = db })
    db:create_all()
    -- all > (animals > (cats > lions, dogs), plants), other
    for _, row in ipairs{ { "all" }, { "animals", 1 }, { "cats", 2 }, { "dogs", 2 }, { "lions", 3 }, { "plants", 1 }, { "other" } } do
      Category:create{ name = row[1], parent = row[2] }
    end
    for i = 1, 7 do
      for n = 1, i % 3 do Item:create{ price = i * 10 + n, category = i } end
    end
  end)

  local function names(query) return table.concat(query:order_by("id"):pluck("name"), " ") end

  local function below(id)
    local rows = Category:with_cte "below"
    return rows:with_cte("below", Category:filter{ id = id }:union(Category:filter{ parent__in = rows }))
  end

  it("follows a relation as far as it leads, downwards and upwards", function()
    assert.equal("animals cats dogs lions", names(below(2)))
    assert.equal("all animals cats dogs lions plants", names(below(1)))
    assert.equal("other", names(below(7)))
    assert.equal("", names(below(99)))
    local above = Category:with_cte "above"
    assert.equal("all animals cats lions", names(above:with_cte("above", Category:filter{ id = 5 }:union(Category:filter{ children__in = above }))))
  end)

  it("gives objects that are filtered, counted, saved and lead on like any other", function()
    assert.equal(4, below(2):count())
    assert.equal("cats dogs", names(below(2):filter{ parent__name = "animals" }))
    assert.equal("lions", below(2):order_by("-id"):exclude{ name = "plants" }:first().name)
    local lion = below(2):get{ name = "lions" }
    lion.name = "big cats"
    lion:save()
    assert.equal("big cats", Category:get(5).name)
    assert.equal("cats", lion.parent.name)
    assert.equal(5, below(1):filter{ id__gt = 1 }:count())
    assert.equal("all animals cats dogs big cats plants", names(Category:filter{ id__in = below(1) }))
    assert.equal(2, below(2):annotate{ n = fn.count("items") }:order_by("-n", "id"):limit(2):all()[1].n)
  end)

  it("is a part of unions and the like, with its definition", function()
    local other = Category:filter{ name__in = { "other", "cats" } }
    assert.equal("animals cats dogs lions other", names(below(2):union(other)))
    assert.equal("animals cats dogs lions other", names(other:union(below(2))))
    assert.equal("animals cats dogs lions plants", names(below(2):union(below(6))))
    assert.equal("cats", names(below(2):intersection(other)))
    assert.equal("all plants other", names(Category:difference(below(2))))
    assert.equal("dogs lions other", names(below(2):order_by("-id"):limit(1):union(Category:filter{ name__in = { "other", "dogs" } })))
  end)

  it("ends in a circle, where each row is found once", function()
    Category:filter{ id = 1 }:update{ parent = 5 }
    assert.equal("all animals cats dogs lions plants", names(below(3)))
  end)

  it("calculates from row to row", function()
    local roots = Category:filter{ parent = mp.null }:annotate{ depth = mp.value(0) }
    local rows = roots:with_cte "depths"
    local all = rows:with_cte("depths", roots:union(Category:filter{ parent__in = rows }:annotate{ depth = F.parent__depth + 1 }, { all = true }))
    local found = {}
    for i, one in ipairs(all:order_by("depth", "id"):all()) do found[i] = one.name .. one.depth end
    assert.equal("all0 other0 animals1 plants1 cats2 dogs2 lions3", table.concat(found, " "))
    assert.equal(3, all:max("depth"))
    assert.equal("cats dogs", names(all:filter{ depth = 2 }))
    assert.same({ { depth = 0, n = 2 }, { depth = 1, n = 2 }, { depth = 2, n = 2 }, { depth = 3, n = 1 } },
      all:values("depth"):annotate{ n = fn.count() }:order_by("depth"):all())
  end)

  it("defines values once, for several places", function()
    local form = Item:values("category"):annotate{ n = fn.count(), most = fn.max("price") }
    local sums = form:with_cte "sums"
    local busy = Category:filter{ id__in = sums:filter{ n__gt = 1 }:values("category") }:exclude{ id__in = sums:filter{ most__gt = 50 }:values("category") }
      :with_cte("sums", form)
    assert.equal("animals", names(busy))
    assert.equal(1, busy:count())
    assert.is_true(busy:exists())
  end)

  it("tells rows that are changed and deleted", function()
    local rows = Category:with_cte "below"
    local def = Category:filter{ id = 2 }:union(Category:filter{ parent__in = rows })
    assert.equal(5, Item:filter{ category__in = rows }:with_cte("below", def):update{ price = 0 })
    assert.equal(5, Item:filter{ price = 0 }:count())
    assert.equal(5, (Item:filter{ category__in = rows }:with_cte("below", def):delete()))
    assert.equal(2, Item:count())
    assert.equal(4, below(2):update{ name = "gone" })
    assert.equal(4, Category:filter{ name = "gone" }:count())
  end)

  it("goes through the rows one by one, and is explained", function()
    local count = 0
    for one in below(1):iter{ chunk = 2 } do count = count + one.id end
    assert.equal(1 + 2 + 3 + 4 + 5 + 6, count)
    assert.is_string(below(1):explain())
    raises("bad_argument", function() return Category:with_cte("nobody"):all() end)
  end)
end)
