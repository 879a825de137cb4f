-- Paths into JSON and lookups into structures: the same rows on every database.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local raises = databases.raises
local f, F, null = mp.field, mp.F, mp.null

databases.each("a path into JSON", function(open, database)
  local db, Doc

  before_each(function()
    db = open()
    Doc = mp.entity("Doc", { name = f.string{ max = 20 }, data = f.json{ null = true } }, { database = db })
    db:create_all()
    local docs = {
      a = { theme = "dark", n = 1, ok = true, ui = { color = "red", size = { w = 10 } }, tags = { "x", "y" }, list = { { n = 1 }, { n = 2 } } },
      b = { theme = "light", n = 2.5, ok = false, ui = { color = "blue" }, tags = {}, ["2024"] = 5, date = "today", ["in"] = 1 },
      c = { theme = "5", n = "1", ok = "true", ui = "red", tags = { 1, 2, true, null } },
      d = { theme = 5, n = 9007199254740993, ok = 1, ui = null, tags = { ["0"] = "x" } },
      e = { theme = null, n = -0.5, ok = null, ["we ird'k;ey--"] = 1, ["%_"] = "p", ["é"] = "ü", ["a.b"] = 3, ["$[0]"] = 4 },
      g = mp.array{ "x", { n = 7 } },
      h = "text",
    }
    for name in ("abcdegh"):gmatch "." do Doc:create{ name = name, data = docs[name] } end
    Doc:create{ name = "i" }
  end)

  local function names(filter, ...)
    return table.concat(Doc:filter(filter, ...):order_by("name"):pluck("name"))
  end

  it("compares texts, numbers and booleans as what they are", function()
    assert.equal("a", names{ data__theme = "dark" })
    assert.equal("c", names{ data__theme = "5" })
    assert.equal("d", names{ data__theme = 5 })
    assert.equal("d", names{ data__theme = 5.0 })
    assert.equal("a", names{ data__n = 1 })
    assert.equal("a", names{ data__n = mp.decimal "1.0" })
    assert.equal("c", names{ data__n = "1" })
    assert.equal("b", names{ data__n = 2.5 })
    assert.equal("a", names{ data__ok = true })
    assert.equal("b", names{ data__ok = false })
    assert.equal("c", names{ data__ok = "true" })
    assert.equal("d", names{ data__ok = 1 })
    assert.equal("d", names{ data__n = 9007199254740993 })
    assert.equal("", names{ data__n = 9007199254740992 })
    assert.equal("h", names{ data = "text" })
    assert.equal("", names{ data = "other" })
  end)

  it("finds nothing of another type greater or less", function()
    assert.equal("bd", names{ data__n__gt = 1 })
    assert.equal("abd", names{ data__n__gte = 1 })
    assert.equal("e", names{ data__n__lt = 0 })
    assert.equal("abe", names{ data__n__lte = 2.5 })
    assert.equal("ab", names{ data__n__range = { 1, mp.decimal "2.5" } })
    assert.equal("ab", names{ data__n__range = { 0.5, 3 } })
    assert.equal("b", names{ data__theme__gt = "dark" })
    assert.equal("abde", names(F.data.n:lt(math.maxinteger)))
  end)

  it("is NULL where there is nothing, or JSON's null", function()
    assert.equal("eghi", names{ data__theme = null })
    assert.equal("eghi", names{ data__theme__isnull = true })
    assert.equal("abcd", names{ data__theme__ne = null })
    assert.equal("abcd", names{ data__theme__isnull = false })
    assert.equal("i", names{ data = null })
    assert.equal("bcdeghi", names(mp.no(mp.Q{ data__theme = "dark" })))
    assert.equal("bcdeghi", names{ data__theme__ne = "dark" })
    assert.equal(7, Doc:exclude{ data__theme = "dark" }:count())
    assert.equal("aceghi", names(mp.no(mp.Q{ data__n__gt = 1 })))
    assert.equal("acdeghi", names{ data__ok__ne = false })
  end)

  it("goes into objects and arrays", function()
    assert.equal("a", names{ data__ui__color = "red" })
    assert.equal("a", names{ data__ui__size__w = 10 })
    assert.equal("ad", names{ data__tags__0 = "x" })
    assert.equal("c", names{ data__tags__0 = 1 })
    assert.equal("a", names{ data__list__1__n = 2 })
    assert.equal("a", names{ data__list__0__n__gte = 1 })
    assert.equal("b", names{ data__2024 = 5 })
    assert.equal("g", names{ data__0 = "x" })
    assert.equal("g", names{ data__1__n = 7 })
    assert.equal("", names{ data__tags__7 = "x" })
    assert.equal("c", names{ data__tags__2 = true })
  end)

  it("takes any name as a key, and a lookup's where one follows", function()
    assert.equal("b", names{ data__date = "today" })
    assert.equal("b", names{ data__in__exact = 1 })
    assert.equal("b", names(F.data["in"]:eq(1)))
    assert.equal("e", names{ ["data__we ird'k;ey--"] = 1 })
    assert.equal("e", names{ ["data__%_"] = "p" })
    assert.equal("e", names{ ["data__é"] = "ü" })
    assert.equal("e", names{ ["data__a.b"] = 3 })
    assert.equal("e", names{ ["data__$[0]"] = 4 })
    Doc:create{ name = "j", data = { ['q"k'] = 1, ["b\\k"] = 2 } }
    if database.dialect == "sqlite" then
      raises("unsupported", names, { ['data__q"k'] = 1 })
      raises("unsupported", names, { data__has_key = 'q"k' })
    else
      assert.equal("j", names{ ['data__q"k'] = 1 })
      assert.equal("j", names{ ["data__b\\k"] = 2 })
      assert.equal("j", names{ data__has_key = 'q"k' })
      assert.equal("j", names{ data__has_key = "b\\k" })
    end
    raises("bad_argument", names, { ["data__a\nb"] = 1 })
    raises("unknown_field", names, { data____a = 1 })
  end)

  it("has the lookups of texts", function()
    assert.equal("a", names{ data__theme__contains = "ar" })
    assert.equal("ab", names{ data__theme__iregex = "^(DARK|li)" })
    assert.equal("b", names{ data__theme__startswith = "li" })
    assert.equal("a", names{ data__ui__color__icontains = "RE" })
    assert.equal("a", names(F.data.theme:like("d%")))
    assert.equal("c", names{ data__n__contains = "1" })
    assert.equal("h", names{ data__contains = "ex" })
    assert.equal("abcd", names(mp.any(mp.Q{ data__theme__in = { "dark", "light", "5", 5 } })))
    assert.equal("abc", names{ data__n__in = { 1, "1", 2.5, true } })
    assert.equal("eghi", names{ data__theme__in = { null } })
    assert.equal("aeghi", names{ data__theme__in = { null, "dark" } })
    assert.equal("bcd", names{ data__theme__not_in = { null, "dark" } })
    assert.equal("", names{ data__theme__in = {} })
  end)

  it("compares with expressions, of a kind that is known", function()
    Doc:create{ name = "dark", data = { theme = "dark", len = 4 } }
    assert.equal("dark", names{ data__theme = F.name })
    assert.equal("dark", names(F.name:eq(mp.cast(F.data.theme, "text"))))
    assert.equal("dark", names(mp.fn.length("name"):eq(mp.cast("data__len", "integer"))))
    raises("bad_argument", names, { data__theme = F.data })
  end)

  it("tells which keys there are", function()
    assert.equal("abcde", names{ data__has_key = "theme" })
    assert.equal("b", names{ data__has_key = "2024" })
    assert.equal("", names{ data__has_key = "0" })
    assert.equal("a", names{ data__ui__has_key = "size" })
    assert.equal("ab", names{ data__ui__has_keys = { "color" } })
    assert.equal("a", names{ data__ui__has_keys = { "color", "size" } })
    assert.equal("g", names{ data__1__has_key = "n" })
    assert.equal("abcdeghi", names{ data__has_keys = {} })
    assert.equal("ghi", names(mp.no(mp.Q{ data__has_key = "theme" })))
    assert.equal("e", names{ data__has_key = "we ird'k;ey--" })
    raises("bad_argument", names, { data__has_key = 5 })
    raises("bad_argument", names, { data__has_keys = "theme" })
    raises("unknown_lookup", names, { name__has_key = "x" })
  end)

  it("is a column that can be read, ordered and grouped by", function()
    local rows = Doc:order_by("name"):values("name", "data__theme", "data__ui"):all()
    assert.equal("dark", rows[1].data__theme)
    assert.equal(5, rows[4].data__theme)
    assert.is_nil(rows[5].data__theme)
    assert.same({ color = "blue" }, rows[2].data__ui)
    assert.is_nil(rows[4].data__ui)
    assert.same({ 10 }, Doc:filter{ name = "a" }:pluck("data__ui__size__w"))
    assert.equal("a", Doc:annotate{ color = F.data.ui.color }:get{ color = "red" }.name)
    assert.equal(1, Doc:annotate{ ui = F.data.ui }:filter{ ui__color = "blue" }:count())
    local function ordered(name) return table.concat(Doc:filter{ name__lt = "f" }:order_by(name, "name"):pluck("name")) end
    -- NULL, false, true, numbers, texts, anything else
    assert.equal("edcab", ordered "data__theme")
    assert.equal("bacde", ordered "-data__theme")
    assert.equal("eabdc", ordered "data__n")
    assert.equal("ebadc", ordered "data__ok")
    assert.equal("decab", ordered "data__ui")
    assert.equal("dceab", table.concat(Doc:filter{ name__lt = "f" }:order_by(F.data.theme:asc{ nulls = "last" }):limit(2):pluck("name")) .. "eab")
    raises("bad_argument", function() return Doc:order_by("data__theme"):after(nil, 2) end)
    assert.equal(2, #Doc:order_by(mp.cast("data__theme", "text")):after(nil, 2).items)
    local groups = Doc:values("data__theme"):annotate{ count = mp.fn.count() }:filter{ count__gt = 1 }:all()
    assert.equal(1, #groups)
    assert.is_nil(groups[1].data__theme)
    assert.equal(4, groups[1].count)
    local function by_theme(query)
      local list = {}
      for place, row in ipairs(query:annotate{ count = mp.fn.count() }:all()) do
        list[place] = tostring(row.data__theme or row.theme) .. " " .. row.count
      end
      return table.concat(list, ", ")
    end
    for _, grouped in ipairs{ Doc:values("data__theme"):order_by("data__theme"),
      Doc:annotate{ theme = F.data.theme }:values("theme"):order_by("theme") } do
      assert.equal("nil 4, 5 1, 5 1, dark 1, light 1", by_theme(grouped))
    end
    assert.equal("edcab", table.concat(Doc:filter{ name__lt = "f" }:distinct("data__theme"):order_by("data__theme", "name"):pluck("name")))
    local sums = Doc:aggregate{ n = mp.fn.sum(mp.cast("data__n", "decimal")), most = mp.fn.max(mp.cast("data__theme", "text")) }
    assert.equal("9007199254740996", tostring(sums.n):match "^%d+")
    assert.equal("light", sums.most)
    assert.same({ 1, 3, "NULL", 9007199254740993, -1 }, (function()
      local list = {}
      for _, row in ipairs(Doc:filter{ name__lt = "f" }:order_by("name"):values("name"):annotate{ v = mp.cast("data__n", "integer") }:all()) do
        list[#list + 1] = row.v == nil and "NULL" or row.v
      end
      return list
    end)())
  end)

  it("that is compared with a whole table asks for equal JSON", function()
    Doc:create{ name = "k", data = { list = { 1, 2.50, { a = null, b = "x" } }, none = {}, ["a.b"] = { ["it's"] = true } } }
    assert.equal("k", names{ data__list = { 1.0, 2.5, { b = "x", a = null } } })
    assert.equal("", names{ data__list = { 1, 2.5, { b = "x" } } })
    assert.equal("", names{ data__list = { 2.5, 1, { b = "x", a = null } } })
    assert.equal("", names{ data__list = { 1, "2.5", { b = "x", a = null } } })
    assert.equal("k", names{ ["data__a.b"] = { ["it's"] = true } })
    assert.equal("k", names{ data = { list = { 1, 2.5, { a = null, b = "x" } }, none = {}, ["a.b"] = { ["it's"] = true } } })
    Doc:filter{ name = "k" }:delete()
    assert.equal("b", names{ data__ui = { color = "blue" } })
    assert.equal("acdeghi", names{ data__ui__ne = { color = "blue" } })
    assert.equal("ab", names{ data__ui__in = { { color = "blue" }, { color = "red", size = { w = 10 } } } })
    raises("bad_argument", names, { data__ui__gt = { color = "blue" } })
  end)

  it("refuses values that JSON has none of", function()
    raises("bad_argument", names, { data__theme = mp.date "2024-01-01" })
    raises("bad_argument", names, { data__theme = mp.blob "x" })
    raises("bad_argument", names, { data__n__gt = { 1 } })
  end)
end)
