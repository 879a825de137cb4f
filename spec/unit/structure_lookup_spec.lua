-- Paths into JSON, parts of dates and lookups on arrays as the three databases are told them, and what is refused.

local compile = require "moonpool.sql.compile"
local core = require "moonpool.core"
local dialect = require "moonpool.dialect"
local f = require("moonpool.field").types
local mp = require "moonpool.tree"
local sql = require "spec.support.sql"

local F, fn = mp.F, mp.fn

local Author = sql.entity("Author", {
  name = f.string(),
  born = f.date { null = true },
  joined = f.datetime(),
  woke = f.time(),
  prefs = f.json { null = true },
  tags = f.array { of = f.string { max = 20 }, null = true },
  nums = f.array { of = f.integer() },
})

-- What stands between SELECT and FROM, and behind WHERE.
local function compared(q, expected, cut)
  for _, name in ipairs { "postgres", "mariadb", "sqlite" } do
    local found = compile.select(q, dialect.get(name))
    local params, n = found:bind(q)
    assert.equal(expected[name], cut(found.sql))
    local wanted = expected.params and (expected.params[name] or expected.params)
    local given = {}
    for i = 1, n do given[i] = type(params[i]) == "userdata" and tostring(params[i]) or params[i] end
    if wanted then assert.same(wanted, given) end
  end
end

local function written(expression, expected)
  compared(Author:values("id"):annotate { x = expression }:values("x"), expected, function(text)
    return (text:gsub("^SELECT ", ""):gsub(" AS [\"`]x[\"`] FROM [\"`]author[\"`]$", ""))
  end)
end

local function asked(condition, expected)
  compared(Author:filter(condition):values("id"), expected, function(text) return text:match " WHERE (.*)$" end)
end

describe("a name", function()
  it("into JSON reads a value as the kind that it is compared with", function()
    asked({ prefs__theme = "dark" }, {
      postgres = [[CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1]::text[]) = 'string' THEN ("prefs" #> ARRAY[$1]::text[]) #>> '{}' COLLATE "C" END = $2]],
      mariadb = [[CASE WHEN json_type(json_extract(`prefs`, ?)) = 'STRING' THEN json_unquote(json_extract(`prefs`, ?)) COLLATE utf8mb4_nopad_bin END = ?]],
      sqlite = [[CASE WHEN json_type("prefs", ?1) = 'text' THEN json_extract("prefs", ?2) END = ?3]],
      params = { postgres = { "theme", "dark" }, mariadb = { "$.\"theme\"", "$.\"theme\"", "dark" }, sqlite = { "$.\"theme\"", "$.\"theme\"", "dark" } },
    })
    asked({ prefs__ui__size__gte = 10 }, {
      postgres = [[CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1, $2]::text[]) = 'number' THEN ("prefs" #> ARRAY[$1, $2]::text[])::numeric END >= $3::bigint]],
      mariadb = [[CASE WHEN json_type(json_extract(`prefs`, ?)) IN ('INTEGER', 'DOUBLE', 'DECIMAL') THEN CAST(json_extract(`prefs`, ?) AS DECIMAL(65,30)) END >= ?]],
      sqlite = [[CASE WHEN json_type("prefs", ?1) IN ('integer', 'real') THEN json_extract("prefs", ?2) END >= ?3]],
      params = { postgres = { "ui", "size", 10 }, mariadb = { "$.\"ui\".\"size\"", "$.\"ui\".\"size\"", 10 }, sqlite = { "$.\"ui\".\"size\"", "$.\"ui\".\"size\"", 10 } },
    })
    asked({ prefs__ui__size = 1.5 }, {
      postgres = [[CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1, $2]::text[]) = 'number' THEN ("prefs" #> ARRAY[$1, $2]::text[])::double precision END = $3]],
      mariadb = [[CASE WHEN json_type(json_extract(`prefs`, ?)) IN ('INTEGER', 'DOUBLE', 'DECIMAL') THEN CAST(json_extract(`prefs`, ?) AS DOUBLE) END = ?]],
      sqlite = [[CASE WHEN json_type("prefs", ?1) IN ('integer', 'real') THEN CAST(json_extract("prefs", ?2) AS REAL) END = ?3]],
      params = { postgres = { "ui", "size", 1.5 }, mariadb = { "$.\"ui\".\"size\"", "$.\"ui\".\"size\"", 1.5 }, sqlite = { "$.\"ui\".\"size\"", "$.\"ui\".\"size\"", 1.5 } },
    })
    asked({ prefs__price__lt = core.decimal("1.50") }, {
      postgres = [[CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1]::text[]) = 'number' THEN ("prefs" #> ARRAY[$1]::text[])::numeric END < $2]],
      mariadb = [[CASE WHEN json_type(json_extract(`prefs`, ?)) IN ('INTEGER', 'DOUBLE', 'DECIMAL') THEN CAST(json_extract(`prefs`, ?) AS DECIMAL(65,30)) END < ?]],
      sqlite = [[CASE WHEN json_type("prefs", ?1) IN ('integer', 'real') THEN mp_decimal(json_extract("prefs", ?2)) END COLLATE mp_decimal < ?3]],
      params = { postgres = { "price", "1.50" }, mariadb = { "$.\"price\"", "$.\"price\"", "1.50" }, sqlite = { "$.\"price\"", "$.\"price\"", "1.50" } },
    })
    asked({ prefs__ok = true }, {
      postgres = [[CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1]::text[]) = 'boolean' THEN ("prefs" #> ARRAY[$1]::text[])::boolean END = $2]],
      mariadb = [[CASE WHEN json_type(json_extract(`prefs`, ?)) = 'BOOLEAN' THEN json_extract(`prefs`, ?) = 'true' END = ?]],
      sqlite = [[CASE json_type("prefs", ?1) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END = ?2]],
      params = { postgres = { "ok", true }, mariadb = { "$.\"ok\"", "$.\"ok\"", true }, sqlite = { "$.\"ok\"", true } },
    })
    asked({ prefs__theme__in = { "dark", 1, core.null } }, {
      postgres = [[CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1]::text[]) = 'string' THEN ("prefs" #> ARRAY[$1]::text[]) #>> '{}' COLLATE "C" END IN ($2) OR CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1]::text[]) = 'number' THEN ("prefs" #> ARRAY[$1]::text[])::numeric END IN ($3::bigint) OR nullif("prefs" #> ARRAY[$1]::text[], 'null'::jsonb) IS NULL]],
      mariadb = [[CASE WHEN json_type(json_extract(`prefs`, ?)) = 'STRING' THEN json_unquote(json_extract(`prefs`, ?)) COLLATE utf8mb4_nopad_bin END IN (?) OR CASE WHEN json_type(json_extract(`prefs`, ?)) IN ('INTEGER', 'DOUBLE', 'DECIMAL') THEN CAST(json_extract(`prefs`, ?) AS DECIMAL(65,30)) END IN (?) OR nullif(json_extract(`prefs`, ?), 'null') IS NULL]],
      sqlite = [[CASE WHEN json_type("prefs", ?1) = 'text' THEN json_extract("prefs", ?2) END IN (?3) OR CASE WHEN json_type("prefs", ?4) IN ('integer', 'real') THEN json_extract("prefs", ?5) END IN (?6) OR nullif("prefs" -> ?7, 'null') IS NULL]],
      params = { postgres = { "theme", "dark", 1 }, mariadb = { "$.\"theme\"", "$.\"theme\"", "dark", "$.\"theme\"", "$.\"theme\"", 1, "$.\"theme\"" }, sqlite = { "$.\"theme\"", "$.\"theme\"", "dark", "$.\"theme\"", "$.\"theme\"", 1, "$.\"theme\"" } },
    })
    asked({ prefs__n__range = { 1, 5 } }, {
      postgres = [[CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1]::text[]) = 'number' THEN ("prefs" #> ARRAY[$1]::text[])::numeric END BETWEEN $2::bigint AND $3::bigint]],
      mariadb = [[CASE WHEN json_type(json_extract(`prefs`, ?)) IN ('INTEGER', 'DOUBLE', 'DECIMAL') THEN CAST(json_extract(`prefs`, ?) AS DECIMAL(65,30)) END BETWEEN ? AND ?]],
      sqlite = [[CASE WHEN json_type("prefs", ?1) IN ('integer', 'real') THEN json_extract("prefs", ?2) END BETWEEN ?3 AND ?4]],
      params = { postgres = { "n", 1, 5 }, mariadb = { "$.\"n\"", "$.\"n\"", 1, 5 }, sqlite = { "$.\"n\"", "$.\"n\"", 1, 5 } },
    })
  end)

  it("into JSON is denied with what is not there, and with JSON's null", function()
    asked(mp.no(mp.Q{ prefs__theme = "dark" }), {
      postgres = [[CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1]::text[]) = 'string' THEN ("prefs" #> ARRAY[$1]::text[]) #>> '{}' COLLATE "C" END IS DISTINCT FROM $2]],
      mariadb = [[NOT (CASE WHEN json_type(json_extract(`prefs`, ?)) = 'STRING' THEN json_unquote(json_extract(`prefs`, ?)) COLLATE utf8mb4_nopad_bin END <=> ?)]],
      sqlite = [[CASE WHEN json_type("prefs", ?1) = 'text' THEN json_extract("prefs", ?2) END IS NOT ?3]],
      params = { postgres = { "theme", "dark" }, mariadb = { "$.\"theme\"", "$.\"theme\"", "dark" }, sqlite = { "$.\"theme\"", "$.\"theme\"", "dark" } },
    })
    asked({ prefs__theme = core.null }, {
      postgres = [[nullif("prefs" #> ARRAY[$1]::text[], 'null'::jsonb) IS NULL]],
      mariadb = [[nullif(json_extract(`prefs`, ?), 'null') IS NULL]],
      sqlite = [[nullif("prefs" -> ?1, 'null') IS NULL]],
      params = { postgres = { "theme" }, mariadb = { "$.\"theme\"" }, sqlite = { "$.\"theme\"" } },
    })
    asked({ prefs__theme__isnull = false }, {
      postgres = [[nullif("prefs" #> ARRAY[$1]::text[], 'null'::jsonb) IS NOT NULL]],
      mariadb = [[nullif(json_extract(`prefs`, ?), 'null') IS NOT NULL]],
      sqlite = [[nullif("prefs" -> ?1, 'null') IS NOT NULL]],
      params = { postgres = { "theme" }, mariadb = { "$.\"theme\"" }, sqlite = { "$.\"theme\"" } },
    })
  end)

  it("into JSON may name places in arrays, which are keys of objects too", function()
    asked({ prefs__tags__0 = "x" }, {
      postgres = [[CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1, $2]::text[]) = 'string' THEN ("prefs" #> ARRAY[$1, $2]::text[]) #>> '{}' COLLATE "C" END = $3]],
      mariadb = [[CASE WHEN json_type(json_extract(`prefs`, CASE WHEN json_type(json_extract(`prefs`, ?)) = 'ARRAY' THEN ? ELSE ? END)) = 'STRING' THEN json_unquote(json_extract(`prefs`, CASE WHEN json_type(json_extract(`prefs`, ?)) = 'ARRAY' THEN ? ELSE ? END)) COLLATE utf8mb4_nopad_bin END = ?]],
      sqlite = [[CASE WHEN json_type("prefs", CASE WHEN json_type("prefs", ?1) = 'array' THEN ?2 ELSE ?3 END) = 'text' THEN json_extract("prefs", CASE WHEN json_type("prefs", ?4) = 'array' THEN ?5 ELSE ?6 END) END = ?7]],
      params = { postgres = { "tags", "0", "x" }, mariadb = { "$.\"tags\"", "$.\"tags\"[0]", "$.\"tags\".\"0\"", "$.\"tags\"", "$.\"tags\"[0]", "$.\"tags\".\"0\"", "x" }, sqlite = { "$.\"tags\"", "$.\"tags\"[0]", "$.\"tags\".\"0\"", "$.\"tags\"", "$.\"tags\"[0]", "$.\"tags\".\"0\"", "x" } },
    })
  end)

  it("into JSON has the lookups of texts", function()
    asked({ prefs__theme__icontains = "a%" }, {
      postgres = [[lower(CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1]::text[]) = 'string' THEN ("prefs" #> ARRAY[$1]::text[]) #>> '{}' COLLATE "C" END COLLATE "und-x-icu") LIKE lower($2 COLLATE "und-x-icu") ESCAPE '!']],
      mariadb = [[lower(CASE WHEN json_type(json_extract(`prefs`, ?)) = 'STRING' THEN json_unquote(json_extract(`prefs`, ?)) COLLATE utf8mb4_nopad_bin END) LIKE lower(?) ESCAPE '!']],
      sqlite = [[instr(mp_fold(CASE WHEN json_type("prefs", ?1) = 'text' THEN json_extract("prefs", ?2) END), mp_fold(?3)) > 0]],
      params = { postgres = { "theme", "%a!%%" }, mariadb = { "$.\"theme\"", "$.\"theme\"", "%a!%%" }, sqlite = { "$.\"theme\"", "$.\"theme\"", "a%" } },
    })
    asked(F.prefs.theme:like("d_%"), {
      postgres = [[CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1]::text[]) = 'string' THEN ("prefs" #> ARRAY[$1]::text[]) #>> '{}' COLLATE "C" END LIKE $2 ESCAPE '!']],
      mariadb = [[CASE WHEN json_type(json_extract(`prefs`, ?)) = 'STRING' THEN json_unquote(json_extract(`prefs`, ?)) COLLATE utf8mb4_nopad_bin END LIKE ? ESCAPE '!']],
      sqlite = [[CASE WHEN json_type("prefs", ?1) = 'text' THEN json_extract("prefs", ?2) END GLOB ?3]],
      params = { postgres = { "theme", "d_%" }, mariadb = { "$.\"theme\"", "$.\"theme\"", "d_%" }, sqlite = { "$.\"theme\"", "$.\"theme\"", "d?*" } },
    })
  end)

  it("into JSON takes any key as a parameter", function()
    asked({ ["prefs__a'b.c;--"] = 1 }, {
      postgres = [[CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1]::text[]) = 'number' THEN ("prefs" #> ARRAY[$1]::text[])::numeric END = $2::bigint]],
      mariadb = [[CASE WHEN json_type(json_extract(`prefs`, ?)) IN ('INTEGER', 'DOUBLE', 'DECIMAL') THEN CAST(json_extract(`prefs`, ?) AS DECIMAL(65,30)) END = ?]],
      sqlite = [[CASE WHEN json_type("prefs", ?1) IN ('integer', 'real') THEN json_extract("prefs", ?2) END = ?3]],
      params = { postgres = { "a'b.c;--", 1 }, mariadb = { "$.\"a'b.c;--\"", "$.\"a'b.c;--\"", 1 }, sqlite = { "$.\"a'b.c;--\"", "$.\"a'b.c;--\"", 1 } },
    })
    asked({ prefs__in__exact = 1 }, {
      postgres = [[CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1]::text[]) = 'number' THEN ("prefs" #> ARRAY[$1]::text[])::numeric END = $2::bigint]],
      mariadb = [[CASE WHEN json_type(json_extract(`prefs`, ?)) IN ('INTEGER', 'DOUBLE', 'DECIMAL') THEN CAST(json_extract(`prefs`, ?) AS DECIMAL(65,30)) END = ?]],
      sqlite = [[CASE WHEN json_type("prefs", ?1) IN ('integer', 'real') THEN json_extract("prefs", ?2) END = ?3]],
      params = { postgres = { "in", 1 }, mariadb = { "$.\"in\"", "$.\"in\"", 1 }, sqlite = { "$.\"in\"", "$.\"in\"", 1 } },
    })
  end)

  it("into JSON stands wherever a column does", function()
    written(F.prefs.theme, {
      postgres = [[nullif("prefs" #> ARRAY[$1]::text[], 'null'::jsonb)]],
      mariadb = [[nullif(json_extract(`prefs`, ?), 'null')]],
      sqlite = [[nullif("prefs" -> ?1, 'null')]],
      params = { postgres = { "theme" }, mariadb = { "$.\"theme\"" }, sqlite = { "$.\"theme\"" } },
    })
    written(mp.cast("prefs__n", "integer"), {
      postgres = [[CAST(round(CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1]::text[]) = 'number' THEN ("prefs" #> ARRAY[$1]::text[])::numeric END) AS bigint)]],
      mariadb = [[(CAST(CASE WHEN json_type(json_extract(`prefs`, ?)) IN ('INTEGER', 'DOUBLE', 'DECIMAL') THEN CAST(json_extract(`prefs`, ?) AS DECIMAL(65,30)) END AS DECIMAL(65,0)) DIV 1)]],
      sqlite = [[mp_integer(mp_decimal_cast(CASE WHEN json_type("prefs", ?1) IN ('integer', 'real') THEN json_extract("prefs", ?2) END, 0))]],
      params = { postgres = { "n" }, mariadb = { "$.\"n\"", "$.\"n\"" }, sqlite = { "$.\"n\"", "$.\"n\"" } },
    })
    sql.assert(Author:order_by("-prefs__theme"):values("id"), {
      postgres = [[SELECT "id" FROM "author" ORDER BY CASE jsonb_typeof("prefs" #> ARRAY[$1]::text[]) WHEN 'boolean' THEN 1 WHEN 'number' THEN 2 WHEN 'string' THEN 3 WHEN 'array' THEN 4 WHEN 'object' THEN 4 END DESC NULLS LAST, CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1]::text[]) = 'boolean' THEN ("prefs" #> ARRAY[$1]::text[])::boolean END DESC NULLS LAST, CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1]::text[]) = 'number' THEN ("prefs" #> ARRAY[$1]::text[])::numeric END DESC NULLS LAST, CASE WHEN jsonb_typeof("prefs" #> ARRAY[$1]::text[]) = 'string' THEN ("prefs" #> ARRAY[$1]::text[]) #>> '{}' COLLATE "C" END DESC NULLS LAST]],
      mariadb = [[SELECT `id` FROM `author` ORDER BY CASE json_type(json_extract(`prefs`, ?)) WHEN 'BOOLEAN' THEN 1 WHEN 'INTEGER' THEN 2 WHEN 'DOUBLE' THEN 2 WHEN 'DECIMAL' THEN 2 WHEN 'STRING' THEN 3 WHEN 'ARRAY' THEN 4 WHEN 'OBJECT' THEN 4 END DESC, CASE WHEN json_type(json_extract(`prefs`, ?)) = 'BOOLEAN' THEN json_extract(`prefs`, ?) = 'true' END DESC, CASE WHEN json_type(json_extract(`prefs`, ?)) IN ('INTEGER', 'DOUBLE', 'DECIMAL') THEN CAST(json_extract(`prefs`, ?) AS DECIMAL(65,30)) END DESC, CASE WHEN json_type(json_extract(`prefs`, ?)) = 'STRING' THEN json_unquote(json_extract(`prefs`, ?)) COLLATE utf8mb4_nopad_bin END DESC]],
      sqlite = [[SELECT "id" FROM "author" ORDER BY CASE json_type("prefs", ?1) WHEN 'false' THEN 1 WHEN 'true' THEN 1 WHEN 'integer' THEN 2 WHEN 'real' THEN 2 WHEN 'text' THEN 3 WHEN 'array' THEN 4 WHEN 'object' THEN 4 END DESC, CASE json_type("prefs", ?2) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END DESC, CASE WHEN json_type("prefs", ?3) IN ('integer', 'real') THEN mp_decimal(json_extract("prefs", ?4)) END COLLATE mp_decimal DESC, CASE WHEN json_type("prefs", ?5) = 'text' THEN json_extract("prefs", ?6) END DESC]],
      params = { postgres = { "theme" }, mariadb = { "$.\"theme\"", "$.\"theme\"", "$.\"theme\"", "$.\"theme\"", "$.\"theme\"", "$.\"theme\"", "$.\"theme\"" }, sqlite = { "$.\"theme\"", "$.\"theme\"", "$.\"theme\"", "$.\"theme\"", "$.\"theme\"", "$.\"theme\"" } },
    })
    sql.assert(Author:values("prefs__theme"):annotate { n = fn.count() }, {
      postgres = [[SELECT nullif("prefs" #> ARRAY[$1]::text[], 'null'::jsonb) AS "prefs__theme", count(*) AS "n" FROM "author" GROUP BY nullif("prefs" #> ARRAY[$1]::text[], 'null'::jsonb)]],
      mariadb = [[SELECT nullif(json_extract(`prefs`, ?), 'null') AS `prefs__theme`, count(*) AS `n` FROM `author` GROUP BY nullif(json_extract(`prefs`, ?), 'null')]],
      sqlite = [[SELECT nullif("prefs" -> ?1, 'null') AS "prefs__theme", count(*) AS "n" FROM "author" GROUP BY nullif("prefs" -> ?2, 'null')]],
      params = { postgres = { "theme" }, mariadb = { "$.\"theme\"", "$.\"theme\"" }, sqlite = { "$.\"theme\"", "$.\"theme\"" } },
    })
  end)

  it("tells which keys there are", function()
    asked({ prefs__has_key = "a b" }, {
      postgres = [[("prefs") -> $1::text IS NOT NULL]],
      mariadb = [[json_contains_path(`prefs`, 'one', ?)]],
      sqlite = [[json_type("prefs", ?1) IS NOT NULL]],
      params = { postgres = { "a b" }, mariadb = { "$.\"a b\"" }, sqlite = { "$.\"a b\"" } },
    })
    asked({ prefs__ui__has_keys = { "x", "y" } }, {
      postgres = [[("prefs" #> ARRAY[$1]::text[]) -> $2::text IS NOT NULL AND ("prefs" #> ARRAY[$1]::text[]) -> $3::text IS NOT NULL]],
      mariadb = [[json_contains_path(json_extract(`prefs`, ?), 'one', ?) AND json_contains_path(json_extract(`prefs`, ?), 'one', ?)]],
      sqlite = [[json_type("prefs" -> ?1, ?2) IS NOT NULL AND json_type("prefs" -> ?3, ?4) IS NOT NULL]],
      params = { postgres = { "ui", "x", "y" }, mariadb = { "$.\"ui\"", "$.\"x\"", "$.\"ui\"", "$.\"y\"" }, sqlite = { "$.\"ui\"", "$.\"x\"", "$.\"ui\"", "$.\"y\"" } },
    })
  end)

  it("on a part of a date compares the part", function()
    asked({ joined__year__gte = 2020 }, {
      postgres = [[CAST(extract(year FROM "joined" AT TIME ZONE 'UTC') AS bigint) >= $1]],
      mariadb = [[year(`joined`) >= ?]],
      sqlite = [[CAST(substr("joined", 1, 4) AS INTEGER) >= ?1]],
      params = { 2020 },
    })
    asked({ joined__date = "2024-02-29" }, {
      postgres = [[CAST("joined" AT TIME ZONE 'UTC' AS date) = $1]],
      mariadb = [[date(`joined`) = ?]],
      sqlite = [[substr("joined", 1, 10) = ?1]],
      params = { "2024-02-29" },
    })
    asked(mp.no(mp.Q{ born__month = 2 }), {
      postgres = [[CAST(extract(month FROM "born") AS bigint) IS DISTINCT FROM $1]],
      mariadb = [[NOT (month(`born`) <=> ?)]],
      sqlite = [[CAST(substr("born", 6, 2) AS INTEGER) IS NOT ?1]],
      params = { 2 },
    })
    asked({ woke__hour__in = { 6, 7 } }, {
      postgres = [[CAST(extract(hour FROM "woke") AS bigint) IN ($1, $2)]],
      mariadb = [[hour(`woke`) IN (?, ?)]],
      sqlite = [[CAST(substr("woke", 1, 2) AS INTEGER) IN (?1, ?2)]],
      params = { 6, 7 },
    })
    asked({ joined__date__year = 2024 }, {
      postgres = [[CAST(extract(year FROM CAST("joined" AT TIME ZONE 'UTC' AS date)) AS bigint) = $1]],
      mariadb = [[year(date(`joined`)) = ?]],
      sqlite = [[CAST(substr(substr("joined", 1, 10), 1, 4) AS INTEGER) = ?1]],
      params = { 2024 },
    })
  end)

  it("on an array asks for its items, or counts them", function()
    asked({ nums__contains = { 1, 2 } }, {
      postgres = [=["nums" @> $1::integer[]]=],
      mariadb = [[json_contains(`nums`, ?)]],
      sqlite = [[NOT EXISTS (SELECT 1 FROM json_each(?1) AS w WHERE NOT EXISTS (SELECT 1 FROM json_each("nums") AS h WHERE h.atom = w.atom AND (h.type = w.type OR h.type IN ('integer', 'real') AND w.type IN ('integer', 'real'))))]],
    })
    asked({ tags__overlap = { "a" } }, {
      postgres = [=["tags" && $1::varchar[]]=],
      mariadb = [[json_overlaps(`tags`, ?)]],
      sqlite = [["tags" IS NOT NULL AND EXISTS (SELECT 1 FROM json_each(?1) AS w WHERE EXISTS (SELECT 1 FROM json_each("tags") AS h WHERE h.atom = w.atom AND (h.type = w.type OR h.type IN ('integer', 'real') AND w.type IN ('integer', 'real'))))]],
    })
    asked(mp.no(mp.Q{ tags__contains = { "a" } }), {
      postgres = [[("tags" @> $1::varchar[]) IS NOT TRUE]],
      mariadb = [[(json_contains(`tags`, ?)) IS NOT TRUE]],
      sqlite = [[("tags" IS NOT NULL AND NOT EXISTS (SELECT 1 FROM json_each(?1) AS w WHERE NOT EXISTS (SELECT 1 FROM json_each("tags") AS h WHERE h.atom = w.atom AND (h.type = w.type OR h.type IN ('integer', 'real') AND w.type IN ('integer', 'real'))))) IS NOT TRUE]],
    })
    asked({ nums__len__gt = 2 }, {
      postgres = [[cardinality("nums") > $1::bigint]],
      mariadb = [[json_length(`nums`) > ?]],
      sqlite = [[json_array_length("nums") > ?1]],
      params = { 2 },
    })
  end)
end)

describe("a name behind a field", function()
  local function refused(kind, filter) return sql.error(kind, function() Author:filter(filter) end) end

  it("is a lookup, a part or a key that there is", function()
    assert.matches("did you mean year", refused("unknown_lookup", { joined__yaer = 1 }))
    assert.matches("did you mean overlap", refused("unknown_lookup", { tags__ovelap = {} }))
    assert.matches("the year of datetime field Author.joined", refused("unknown_lookup", { joined__year__contains = "1" }))
    assert.matches("nothing can follow", refused("unknown_lookup", { joined__year__gt__lt = 1 }))
    refused("unknown_lookup", { name__year = 1 })
    refused("unknown_lookup", { joined__year__date = 1 })
    refused("unknown_lookup", { name__has_key = "x" })
    refused("unknown_lookup", { tags__startswith = "x" })
    assert.matches("behind the", sql.error("unknown_field", function() Author:order_by("joined__yeer") end))
    assert.matches("no control bytes", refused("bad_argument", { ["prefs__a\0b"] = 1 }))
    assert.matches("an empty name", refused("unknown_field", { prefs____a = 1 }))
  end)

  it("takes values of its kind", function()
    assert.matches('cannot take "soon" as int', refused("bad_argument", { joined__year = "soon" }))
    assert.matches('cannot take "soon" as date', refused("bad_argument", { joined__date = "soon" }))
    assert.matches("JSON has no values of kind date", refused("bad_argument", { prefs__day = core.date "2024-01-01" }))
    assert.matches("compares no tables", refused("bad_argument", { prefs__ui__gt = {} }))
    assert.matches("say what that is", refused("bad_argument", { prefs__ui = F.prefs }))
    assert.matches('cannot take 5 as text', refused("bad_argument", { prefs__has_key = 5 }))
    assert.matches("takes an array", refused("bad_argument", { prefs__has_keys = "a" }))
    assert.matches("cannot take 1 as array", refused("bad_argument", { nums__contains = 1 }))
    refused("bad_argument", { nums__contains = { "x" } })
    refused("bad_argument", { nums__contains = { core.null } })
    refused("bad_argument", { prefs__theme__contains = 5 })
  end)

  it("leads at most three places into JSON where the path is a text", function()
    local deep = Author:filter { prefs__0__1__2__3 = 1 }
    assert.matches("4 places", sql.error("unsupported", function() compile.select(deep, dialect.get "sqlite") end))
    assert.matches("4 places", sql.error("unsupported", function() compile.select(deep, dialect.get "mariadb") end))
    compile.select(deep, dialect.get "postgres")
  end)

  it("is remembered, but not for ever", function()
    for i = 1, 2500 do Author:filter { ["prefs__key" .. i] = 1 }:order_by("prefs__key" .. i) end
    local count = 0
    for _, room in ipairs { Author.model.paths, Author.model.places, Author.shape.context.meanings, Author.shape.next, Author.shape.orders } do
      for _ in pairs(room) do count = count + 1 end
    end
    assert.is_true(count < 6000)
  end)
end)
