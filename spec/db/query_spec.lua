-- Query sets: conditions, order, slices, groups and terminals, with results from the real database.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f = mp.field

databases.each("a query set", function(open, database)
  local db, Person, Pet

  before_each(function()
    db = open()
    Person = mp.entity("Person", {
      name = f.string{ max = 50 },
      age = f.integer{ null = true },
      email = f.string{ max = 80, null = true },
    }, { database = db })
    Pet = mp.entity("Pet", {
      name = f.string{ max = 50 },
      owner = f.belongs_to("Person", { inverse = "pets", null = true, on_delete = "cascade" }),
    }, { database = db })
    db:create_all()
    for _, row in ipairs{ { "ada", 36, "ada@x.org" }, { "Bob", 20 }, { "cleo", nil }, { "dan_50%", 50, "dan@x.org" } } do
      Person:create{ name = row[1], age = row[2], email = row[3] }
    end
    Pet:create{ name = "rex", owner = 1 }
    Pet:create{ name = "tom", owner = 1 }
    Pet:create{ name = "kit", owner = 2 }
    Pet:create{ name = "stray" }
  end)

  local function names(query)
    return table.concat(query:order_by("id"):pluck("name"), " ")
  end

  it("compares", function()
    assert.equal("ada dan_50%", names(Person:filter{ age__gt = 20 }))
    assert.equal("ada Bob dan_50%", names(Person:filter{ age__gte = 20 }))
    assert.equal("Bob", names(Person:filter{ age__lt = 36 }))
    assert.equal("ada Bob", names(Person:filter{ age__lte = 36 }))
    assert.equal("ada", names(Person:filter{ age = 36 }))
    assert.equal("ada Bob", names(Person:filter{ age__range = { 20, 36 } }))
    assert.equal("ada", names(Person:filter{ age = 36, name = "ada" }))
    assert.equal("", names(Person:filter({ age = 36 }, { name = "Bob" })))
  end)

  it("is exactly the rest when negated, rows with NULL included", function()
    assert.equal("Bob cleo dan_50%", names(Person:exclude{ age = 36 }))
    assert.equal("Bob cleo dan_50%", names(Person:filter{ age__ne = 36 }))
    assert.equal("cleo dan_50%", names(Person:filter{ age__not_in = { 36, 20 } }))
    assert.equal("Bob cleo", names(Person:exclude{ age__gt = 20 }))
    assert.equal("ada cleo dan_50%", names(Person:exclude{ age = 20, name = "Bob" }))
    assert.equal("ada Bob cleo dan_50%", names(Person:exclude{ age = 20, name = "ada" }))
  end)

  it("knows NULL", function()
    assert.equal("cleo", names(Person:filter{ age = mp.null }))
    assert.equal("cleo", names(Person:filter{ age__isnull = true }))
    assert.equal("ada Bob dan_50%", names(Person:filter{ age__ne = mp.null }))
    assert.equal("ada Bob dan_50%", names(Person:filter{ age__isnull = false }))
    assert.equal("cleo", names(Person:filter(Person.age:eq(nil))))
    assert.equal("cleo", names(Person:filter(Person.age:is_null())))
  end)

  it("takes an empty list: no row, and its negation all", function()
    assert.equal("", names(Person:filter{ id__in = {} }))
    assert.equal("ada Bob cleo dan_50%", names(Person:exclude{ id__in = {} }))
    assert.equal(0, Person:filter{ id__in = {} }:count())
    assert.is_false(Person:filter{ id__in = {} }:exists())
  end)

  it("takes wildcards of a user's text literally", function()
    assert.equal("dan_50%", names(Person:filter{ name__contains = "%" }))
    assert.equal("dan_50%", names(Person:filter{ name__contains = "n_5" }))
    assert.equal("", names(Person:filter{ name__contains = "a_a" }))
    assert.equal("dan_50%", names(Person:filter{ name__endswith = "50%" }))
    assert.equal("ada", names(Person:filter{ name__startswith = "ad" }))
    assert.equal("dan_50%", names(Person:filter(Person.name:like "_a%")))
  end)

  it("compares text exactly, and without case where the lookup says so", function()
    assert.equal("", names(Person:filter{ name = "ADA" }))
    assert.equal("", names(Person:filter{ name__contains = "BO" }))
    assert.equal("ada", names(Person:filter{ name__iexact = "ADA" }))
    assert.equal("Bob", names(Person:filter{ name__icontains = "BO" }))
    assert.equal("Bob", names(Person:filter{ name__istartswith = "b" }))
    assert.equal("Bob", names(Person:filter{ name__iendswith = "B" }))
    Person:create{ name = "Élodie" }
    assert.equal("Élodie", names(Person:filter{ name__iexact = "éLODIE" }))
  end)

  it("matches regular expressions", function()
    assert.equal("ada dan_50%", names(Person:filter{ name__regex = "^[ad].*[a%]$" }))
    assert.equal("Bob", names(Person:filter{ name__iregex = "^b" }))
    assert.equal("", names(Person:filter{ name__regex = "^b" }))
  end)

  it("combines conditions", function()
    assert.equal("ada Bob", names(Person:filter(mp.Q{ age = 36 } | mp.Q{ age = 20 })))
    assert.equal("ada Bob", names(Person:filter(mp.any(mp.Q{ age = 36 }, mp.Q{ age = 20 }))))
    assert.equal("ada", names(Person:filter(mp.all(mp.Q{ age__gt = 1 }, mp.Q{ name = "ada" }))))
    assert.equal("Bob cleo dan_50%", names(Person:filter(~mp.Q{ age = 36 })))
    assert.equal("cleo", names(Person:filter(mp.no(Person.age:gt(0)))))
    assert.equal("ada Bob cleo dan_50%", names(Person:filter(mp.Q{})))
  end)

  it("follows relations by path, outer where they may be NULL", function()
    assert.equal("rex tom", names(Pet:filter{ owner__name = "ada" }))
    assert.equal("kit", names(Pet:filter{ owner__age__lt = 30 }))
    assert.equal("stray", names(Pet:filter{ owner = mp.null }))
    assert.equal("stray", names(Pet:filter{ owner__name = mp.null }))
    assert.equal("kit stray", names(Pet:exclude{ owner__name = "ada" }))
    assert.equal("rex tom", names(Pet:filter{ owner = Person:get(1) }))
    assert.equal("rex tom", names(Pet:filter{ owner_id = 1 }))
    assert.same({ "rex", "tom", "kit", "stray" }, Pet:order_by("-owner__name", "id"):pluck("name"))
  end)

  it("sorts NULL before every value, and after them downwards", function()
    assert.same({ "cleo", "Bob", "ada", "dan_50%" }, Person:order_by("age"):pluck("name"))
    assert.same({ "dan_50%", "ada", "Bob", "cleo" }, Person:order_by("-age"):pluck("name"))
    assert.same({ "Bob", "ada", "dan_50%", "cleo" }, Person:order_by(Person.age:asc{ nulls = "last" }):pluck("name"))
  end)

  it("sorts text by code point", function()
    assert.same({ "Bob", "ada", "cleo", "dan_50%" }, Person:order_by("name"):pluck("name"))
  end)

  it("slices", function()
    local order = Person:order_by("id")
    assert.equal(2, #order:limit(2):all())
    assert.equal("Bob", order:offset(1):first().name)
    assert.equal("cleo", order:limit(1):offset(2):one().name)
    assert.equal(0, #order:limit(0):all())
    assert.equal("dan_50%", order:last().name)
    assert.equal("ada", order:reverse():last().name)
    raises("bad_argument", order.limit, order, -1)
    raises("bad_argument", order.limit, order, "10")
    raises("bad_argument", order.offset, order, 1.5)
  end)

  it("is immutable", function()
    local all = Person:all_rows()
    local some = all:filter{ age = 36 }
    some:order_by("name"):limit(1):all()
    assert.equal(4, all:count())
    assert.equal(1, some:count())
  end)

  it("gets one, or says that there is none or several", function()
    assert.equal("ada", Person:get(1).name)
    assert.equal("ada", Person:get{ name = "ada" }.name)
    assert.is_nil(Person:get(99))
    raises("multiple", Person.get, Person, { age__gt = 1 })
    raises("not_found", function() return Person:filter{ age = 1 }:one() end)
    raises("multiple", function() return Person:filter{ age__gt = 1 }:one() end)
    raises("bad_argument", Person.get, Person, nil)
    raises("bad_argument", Person.get, Person, {})
    assert.is_nil(Person:filter{ age = 1 }:first())
  end)

  it("counts and aggregates", function()
    assert.equal(4, Person:count())
    assert.is_true(Person:filter{ age = 36 }:exists())
    assert.equal(106, Person:sum("age"))
    assert.equal(50, Person:max("age"))
    assert.equal(20, Person:min("age"))
    assert.equal("float", math.type(Person:avg("age")))
    assert.is_nil(Person:filter{ age = 1 }:sum("age"))
    local all = Person:aggregate{ n = mp.fn.count(), known = mp.fn.count("age"), oldest = mp.fn.max("age") }
    assert.same({ n = 4, known = 3, oldest = 50 }, all)
  end)

  it("groups by the values before annotate, and filters groups after it", function()
    local groups = Pet:values("owner__name"):annotate{ n = mp.fn.count() }
    assert.same({ { n = 1 }, { owner__name = "Bob", n = 1 }, { owner__name = "ada", n = 2 } },
      groups:order_by("owner__name"):all())
    assert.same({ { owner__name = "ada", n = 2 } }, groups:filter{ n__gt = 1 }:all())
    assert.equal("ada", groups:order_by("-n"):first().owner__name)
  end)

  it("groups by what was calculated, also with values of its own", function()
    local groups = Person:filter{ age__isnull = false }:annotate{ rest = mp.F.age % 16 }:values("rest")
      :annotate{ n = mp.fn.count(), oldest = mp.fn.max("age") }
    assert.same({ { rest = 4, n = 2, oldest = 36 }, { rest = 2, n = 1, oldest = 50 } }, groups:order_by("-rest"):all())
    assert.same({ { rest = 2, n = 1, oldest = 50 } }, groups:filter{ n__lt = 2 }:all())
    local lower = Person:annotate{ first = mp.fn.lower("name") .. "!" }:values("first"):annotate{ n = mp.fn.count() }
    assert.same({ "ada!", "bob!", "cleo!", "dan_50%!" }, lower:order_by("first"):pluck("first"))
  end)

  it("gives values, arrays and single columns", function()
    assert.same({ { name = "ada", age = 36 } }, Person:filter{ id = 1 }:values("name", "age"):all())
    assert.same({ { "ada", 36 } }, Person:filter{ id = 1 }:values_list("name", "age"):all())
    local ages = Person:order_by("id"):pluck("age")
    assert.equal(mp.null, ages[3])
    assert.same({ { owner__name = "ada" } }, Pet:filter{ owner_id = 1 }:values("owner__name"):distinct():all())
  end)

  it("maps keys to objects", function()
    local by_id = Person:in_bulk{ 1, 3, 99 }
    assert.equal("ada", by_id[1].name)
    assert.equal("cleo", by_id[3].name)
    assert.is_nil(by_id[99])
    assert.same({}, Person:in_bulk{})
  end)

  it("pages", function()
    local page = Person:order_by("id"):page(2, 3)
    assert.equal(4, page.total)
    assert.equal(2, page.pages)
    assert.equal("dan_50%", page.items[1].name)
  end)

  it("computes with columns on the server, by the same rules everywhere", function()
    local one = Person:filter{ id = 1 }
    assert.same({ { twice = 72, half = 18.0, cut = 12, rest = 1 } }, one:values():annotate{
      twice = mp.F.age * 2, half = mp.F.age / 2, cut = mp.F.age // 3, rest = mp.F.age % 5,
    }:values("twice", "half", "cut", "rest"):all())
    assert.equal(1, one:update{ age = mp.F.age + 1 })
    assert.equal(37, Person:get(1).age)
    raises("out_of_range", one.update, one, { age = mp.F.age * 9223372036854775807 })
    raises("division_by_zero", one.update, one, { age = mp.F.age // 0 })
    assert.equal(37, Person:get(1).age)
  end)

  it("explains how the server would run it, with its values", function()
    local query = Person:filter{ name = "ada", age__gt = 3 }:order_by("name")
    assert.truthy(query:explain():lower():find("person", 1, true), query:explain())
    if database.dialect == "sqlite" then
      raises("unsupported", query.explain, query, { analyze = true })
    else
      local measured = database.dialect == "mariadb" and "r_total_time_ms" or "actual time"
      assert.truthy(query:explain{ analyze = true }:find(measured, 1, true))
    end
  end)

  it("is distinct by the columns of values, and its order asks for no others", function()
    assert.same({ "Bob", "ada" }, Pet:filter{ owner__isnull = false }:values("owner__name"):distinct():order_by("owner__name")
      :pluck("owner__name"))
    assert.equal("Bob", Person:filter{ pets__name__gt = "" }:distinct():order_by("-age"):last().name)
    raises("bad_argument", function() return Pet:values("owner__name"):distinct():order_by("name"):all() end)
  end)

  it("takes values that stand alone", function()
    local one = Person:filter{ id = 1 }:values():annotate{
      n = mp.value(3), x = mp.value(1.5), s = mp.value "t", yes = mp.value(true), d = mp.value(mp.decimal "1.50"), day = mp.value(mp.date "2020-02-29"),
      sum = mp.value(3) + mp.value(4), joined = mp.value "a" .. mp.value "b",
    }:values("n", "x", "s", "yes", "d", "day", "sum", "joined"):one()
    assert.same({ 3, 1.5, "t", true, "ab", 7 }, { one.n, one.x, one.s, one.yes, one.joined, one.sum })
    assert.same({ "1.50", "2020-02-29" }, { tostring(one.d), tostring(one.day) })
    assert.equal(0, Person:filter(mp.value(3):is_null()):count())
    assert.equal(4, Person:filter(mp.value(3):between(1, 5)):count())
    assert.same({ { n = 4, sum = 12 } }, { Person:aggregate{ n = mp.fn.count(mp.value "x"), sum = mp.fn.sum(mp.value(3)) } })
  end)

  it("is no array", function()
    local query = Person:filter{ age = 36 }
    for _, misuse in ipairs{ function() return #query end, function() return ipairs(query)(query, 0) end, function() return pairs(query) end } do
      local err = raises("usage", misuse)
      assert.truthy(err.message:find(":all()", 1, true), err.message)
    end
  end)

  it("is the same text whatever the order of its keys", function()
    local a = Person:filter{ age = 1, name = "x", email = "y" }:sql()
    for _ = 1, 20 do
      assert.equal(a, (Person:filter{ email = "y", name = "x", age = 1 }:sql()))
    end
    local text, parameters = Person:filter{ age__gte = 18 }:sql{ dialect = "postgres" }
    assert.truthy(text:find([["age" >= $1]], 1, true), text)
    assert.same({ 18 }, parameters)
  end)

  it("streams objects, and its body may query", function()
    local seen = {}
    for person in Person:order_by("id"):iter{ chunk = 2 } do
      seen[#seen + 1] = person.name .. Person:filter{ id__lte = person.id }:count()
    end
    assert.same({ "ada1", "Bob2", "cleo3", "dan_50%4" }, seen)
    for person in Person:order_by("id"):iter{ chunk = 1 } do
      if person.name == "ada" then
        break
      end
      error("ada comes first")
    end
    databases.quiet(db)
  end)

  it("streams objects inside a transaction, and its body may write there", function()
    db:atomic(function()
      local seen = {}
      for person in Person:order_by("id"):iter{ chunk = 2 } do
        person.age = Person:filter{ id__lte = person.id }:count()
        person:save()
        mp.try(db.atomic, db, function()
          Person:create{ name = "undone" }
          error("undone", 0)
        end)
        for pet in Pet:filter{ owner = person }:order_by("id"):iter{ chunk = 1 } do
          seen[#seen + 1] = person.name .. " " .. pet.name
          if pet.name == "kit" then
            break
          end
        end
      end
      assert.same({ "ada rex", "ada tom", "Bob kit" }, seen)
      assert.equal("ada Bob cleo dan_50%", names(Person:all_rows()))
    end)
    assert.same({ 1, 2, 3, 4 }, Person:order_by("id"):pluck("age"))
    databases.quiet(db)
  end)

  if database.server then -- on SQLite a stream is a statement of its own, transaction or not
    it("ends its stream with the transaction, or with what undoes it", function()
      local rows
      db:atomic(function(tx)
        rows = Person:order_by("id"):iter{ chunk = 1 }
        assert.equal("ada", rows().name)
        local sp = tx:savepoint()
        local lost = Person:order_by("id"):iter{ chunk = 1 }
        lost()
        sp:rollback()
        raises("stale_handle", lost)
        lost:close()
        assert.equal("Bob", rows().name)
      end)
      raises("stale_handle", rows)
      rows:close()
      assert.equal(4, Person:count())
    end)
  end

  it("reads raw SQL into objects", function()
    local list = Person:raw("select *, age * 2 as twice from person where age > ? order by age", 30)
    assert.equal("ada", list[1].name)
    assert.equal(72, list[1].twice)
  end)
end)
