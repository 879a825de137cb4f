-- What catalogs keep as text: CREATE TABLE of SQLite, and types, defaults and conditions as servers word them.

local canonical = require "moonpool.schema.canonical"
local create_table = require "moonpool.schema.create_table"
local types = require "moonpool.schema.types"

describe("the text of a table", function()
  it("tells its checks, collations and calculated columns", function()
    local read = create_table.read([[CREATE TABLE "a,b" ( -- a comment with ) and ,
      id INTEGER PRIMARY KEY, /* another ( */ [name x] VARCHAR(10) DEFAULT 'a,(''b' COLLATE NOCASE CHECK (length("name x") > 1),
      "double" INT GENERATED ALWAYS AS (id * (2 + 0)) STORED, CONSTRAINT "odd one" CHECK (id <> 3),
      FOREIGN KEY (id) REFERENCES t (id), check ("double" in (1, ')'))) WITHOUT ROWID, STRICT]])
    assert.equal("NOCASE", read.columns["name x"].collation)
    assert.equal("id * (2 + 0)", read.columns.double.computed)
    assert.equal("WITHOUT ROWID, STRICT", read.options)
    assert.same({ expression = 'length("name x") > 1', columns = { "name x" } }, read.checks[1])
    assert.same({ expression = "id <> 3", name = "odd one" }, read.checks[2])
    assert.same({ expression = [["double" in (1, ')')]] }, read.checks[3])
    assert.is_nil(read.columns.FOREIGN)
  end)
end)

describe("a default", function()
  local function same(dialect, ours, theirs)
    assert.equal(canonical.default(dialect, ours), canonical.default(dialect, theirs), ours)
  end

  it("is known again in the server's words", function()
    same("postgres", "'it''s'", "'it''s'::character varying")
    same("postgres", "-3", "'-3'::integer")
    same("postgres", "0.50", "0.5::numeric(12,2)")
    same("postgres", "(now())", "CURRENT_TIMESTAMP")
    same("postgres", "('{}')", "'{}'::text[]")
    same("postgres", "('x')", "'x'::timestamp(3) without time zone")
    same("postgres", "1e+20", "'100000000000000000000'::numeric")
    same("mariadb", "'a\nb'", [['a\nb']])
    same("mariadb", "true", "1")
    same("mariadb", "'it''s'", [['it\'s']])
    same("mariadb", "(now())", "current_timestamp(6)")
    same("mariadb", "_utf8mb4 x'615c62'", [['a\\b']])
    same("mariadb", "0.10000000000000001", "0.1")
    same("sqlite", "(lower('X'))", "lower('X')")
    assert.is_nil(canonical.default("mariadb", "NULL"))
  end)

  it("that is another one is another one", function()
    for _, pair in ipairs { { "'a'", "'b'" }, { "1", "2" }, { "'1'", "'1 '" }, { "-1", "1" }, { "now()", "1" }, { "1 - 1", "1 + 1" },
      { "9007199254740993", "9007199254740992" } } do
      for _, dialect in ipairs { "sqlite", "postgres", "mariadb" } do
        assert.are_not.equal(canonical.default(dialect, pair[1]), canonical.default(dialect, pair[2]))
      end
    end
  end)
end)

describe("a condition", function()
  it("is known again in the server's words", function()
    assert.equal(canonical.condition("postgres", [["state" IN ('a', 'b''c')]]),
      canonical.condition("postgres", "((state)::text = ANY ((ARRAY['a'::character varying, 'b''c'::character varying])::text[]))"))
    assert.equal(canonical.condition("postgres", [["n" >= -5 AND "n" <= 7]]),
      canonical.condition("postgres", "((n >= '-5'::integer) AND (n <= 7))"))
    assert.equal(canonical.condition("mariadb", "`state` IN ('a')"), canonical.condition("mariadb", "`state` = 'a'"))
    assert.are_not.equal(canonical.condition("postgres", [["n" IN (1, 2)]]), canonical.condition("postgres", [["n" IN (1, 3)]]))
    assert.are_not.equal(canonical.condition("postgres", [["n" >= 1]]), canonical.condition("postgres", [["n" <= 1]]))
  end)
end)

describe("a type", function()
  local function change(dialect, from, to)
    return canonical.type_change(canonical.type(dialect, from), canonical.type(dialect, to)) or "none"
  end

  it("is the same, holds more, or does not", function()
    assert.equal("none", change("postgres", "character varying(20)", 'varchar(20) COLLATE "C"'))
    assert.equal("none", change("postgres", "timestamp with time zone", "timestamptz"))
    assert.equal("none", change("mariadb", "bigint(20)", "bigint"))
    assert.equal("none", change("mariadb", "varchar(9)", "varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"))
    assert.equal("none", change("postgres", "integer[]", "int[]"))
    assert.equal("widen", change("postgres", "character varying(20)", "text"))
    assert.equal("widen", change("mariadb", "smallint(6)", "int"))
    assert.equal("widen", change("sqlite", "DECIMAL_TEXT(9,2)", "DECIMAL_TEXT(12,3)"))
    assert.equal("other", change("sqlite", "DECIMAL_TEXT(9,2)", "DECIMAL_TEXT(9,3)"))
    assert.equal("other", change("postgres", "bigint", "integer"))
    assert.equal("other", change("postgres", "text", "varchar(9)"))
    assert.equal("other", change("mariadb", "tinyint(4)", "tinyint(1)"))
    assert.equal("other", change("mariadb", "int(10) unsigned", "int"))
  end)

  it("has the field that holds its values, if there is one", function()
    local function field(dialect, type) return (types.field_of(dialect, { type = type })) end
    assert.equal("string", field("postgres", "character varying(20)"))
    assert.equal("text", field("postgres", "character varying"))
    assert.equal("array", field("postgres", "numeric(3,1)[]"))
    assert.equal("boolean", field("mariadb", "tinyint(1)"))
    assert.equal("bigint", field("mariadb", "int(10) unsigned"))
    assert.equal("bigint", field("sqlite", "INTEGER"))
    assert.is_nil(field("postgres", "tsvector"))
    assert.is_nil(field("mariadb", "geometry"))
    local kind, options = types.field_of("mariadb", { type = "enum('a','it''s','x,y')" })
    assert.same({ "enum", { "a", "it's", "x,y" } }, { kind, options.values })
  end)
end)
