-- Raw SQL: where a value stands in a text, and where a question mark, a colon or a dollar is something else.

local placeholder = require "moonpool.database.placeholder"

local function sent(dialect, sql) return placeholder.read(dialect, sql).sql end

-- On PostgreSQL, with one value in front: what follows is left as it is.
local function left_alone(text)
  assert.equal("select $1, " .. text, sent("postgres", "select ?, " .. text))
end

describe("a placeholder", function()
  it("is written as the server wants it", function()
    assert.equal("select $1, $2", sent("postgres", "select ?, ?"))
    assert.equal("select ?1, ?2", sent("sqlite", "select ?, ?"))
    assert.equal("select ?, ?", sent("mariadb", "select ?, ?"))
  end)

  it("with a name is one parameter, however often it stands there, where the server numbers them", function()
    local found = placeholder.read("postgres", "select :a, :b, :a")
    assert.equal("select $1, $2, $1", found.sql)
    assert.same({ 2, 3 }, { (table.unpack or unpack)((placeholder.bind(found, 1, { a = 2, b = 3 }))) })
    found = placeholder.read("mariadb", "select :a, :b, :a")
    assert.equal("select ?, ?, ?", found.sql)
    assert.same({ 2, 3, 2 }, (placeholder.bind(found, 1, { a = 2, b = 3 })))
  end)

  it("with a number is the argument of that number", function()
    local found = placeholder.read("postgres", "select $2, $1, $2")
    assert.equal("select $1, $2, $1", found.sql)
    assert.same({ "b", "a" }, (placeholder.bind(found, 2, "a", "b")))
    assert.equal("select ?1", sent("sqlite", "select $1"))
  end)

  it("is a question mark when it is doubled, also in operators", function()
    left_alone "1"
    assert.equal("select doc ? $1 from t", sent("postgres", "select doc ?? ? from t"))
    assert.equal("select doc ?| $1, doc ?& $2", sent("postgres", "select doc ??| ?, doc ??& ?"))
    assert.equal("select doc @? $1", sent("postgres", "select doc @?? ?"))
  end)

  it("is none in strings, quoted names and comments", function()
    for _, text in ipairs { "'?'", "'it''s ? :a $1'", [["a?"]], [["a""?"]], "1 -- ? :a $1\n", "/* ? */ 1", "'? -- '", "'/* ?'" } do
      left_alone(text)
    end
  end)

  it("is none in what PostgreSQL alone quotes", function()
    for _, text in ipairs {
      [[E'it\'s ?']], [[e'\\']], [['\' || '?']], "$$ ? ' $1 $$", "$x$ $$ ? $y$ :a $x$", "$_1$?$_1$", "$\195\169$ ? $\195\169$",
      "/* a /* ? */ ? */ 1", "U&'d\\0061?'", "B'1' || X'1F'",
    } do
      left_alone(text)
    end
    assert.equal([[select E'\'?', $1]], sent("postgres", [[select E'\'?', ?]]))
    assert.equal([[select '\', $1]], sent("postgres", [[select '\', ?]]))
    assert.equal("select $$?$$, $1", sent("postgres", "select $$?$$, ?"))
    assert.equal("select /* /* ? */ $1 */", sent("postgres", "select /* /* ? */ $1 */")) -- the outer comment goes on
    assert.equal("select /* /* ? */ ?1", sent("sqlite", "select /* /* ? */ ?"))
  end)

  it("is no cast, no slice, no assignment and no part of a name", function()
    for _, text in ipairs { "a::text", "a[1:2]", "f(a := 1)", "a$1", "time '10:00'" } do
      left_alone(text)
    end
    assert.equal("select $1::text, (a)[$2:3]", sent("postgres", "select :a::text, (a)[:b:3]"))
  end)
end)
