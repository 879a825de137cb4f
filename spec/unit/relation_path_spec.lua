-- Paths through one_to_one and many_to_many: what they become on each database, and the tables of relations.

local ddl = require "moonpool.sql.ddl"
local dialect = require "moonpool.dialect"
local f = require("moonpool.field").types
local model = require "moonpool.resolve.model"
local sql = require "spec.support.sql"
local tree = require "moonpool.tree"

local fn = tree.fn

local Author = sql.entity("Author", { name = f.string { max = 100 } })
local Profile = sql.entity("Profile", {
  bio = f.text(),
  author = f.one_to_one("Author", { inverse = "profile" }),
})
local Book = sql.entity("Book", {
  title = f.string(),
  author = f.belongs_to("Author", { inverse = "books" }),
  tags = f.many_to_many("Tag", { inverse = "books" }),
  similar = f.many_to_many("Book", { inverse = "similar_to" }),
})
local Tag = sql.entity("Tag", { label = f.string { max = 20 } })

describe("a path through a many_to_many", function()
  it("asks for one row behind the table between, the same one for all keys of a filter", function()
    sql.assert(Book:filter { tags__label = "lua", tags__id__gt = 3 }:values("id"), {
      postgres = [[SELECT "book"."id" FROM "book" WHERE EXISTS (SELECT 1 FROM "book_tags" ]]
        .. [[JOIN "tag" ON "tag"."id" = "book_tags"."tag_id" ]]
        .. [[WHERE "book_tags"."book_id" = "book"."id" AND ("book_tags"."tag_id" > $1 AND "tag"."label" = $2))]],
      mariadb = [[SELECT `book`.`id` FROM `book` WHERE EXISTS (SELECT 1 FROM `book_tags` ]]
        .. [[JOIN `tag` ON `tag`.`id` = `book_tags`.`tag_id` ]]
        .. [[WHERE `book_tags`.`book_id` = `book`.`id` AND (`book_tags`.`tag_id` > ? AND `tag`.`label` = ?))]],
      sqlite = [[SELECT "book"."id" FROM "book" WHERE EXISTS (SELECT 1 FROM "book_tags" ]]
        .. [[JOIN "tag" ON "tag"."id" = "book_tags"."tag_id" ]]
        .. [[WHERE "book_tags"."book_id" = "book"."id" AND ("book_tags"."tag_id" > ?1 AND "tag"."label" = ?2))]],
      params = { 3, "lua" },
    })
  end)

  it("needs the table between only, for a key", function()
    sql.assert(Book:filter { tags = 3 }:values("id"), {
      postgres = [[SELECT "book"."id" FROM "book" WHERE EXISTS (SELECT 1 FROM "book_tags" ]]
        .. [[WHERE "book_tags"."book_id" = "book"."id" AND "book_tags"."tag_id" = $1)]],
      mariadb = [[SELECT `book`.`id` FROM `book` WHERE EXISTS (SELECT 1 FROM `book_tags` ]]
        .. [[WHERE `book_tags`.`book_id` = `book`.`id` AND `book_tags`.`tag_id` = ?)]],
      sqlite = [[SELECT "book"."id" FROM "book" WHERE EXISTS (SELECT 1 FROM "book_tags" ]]
        .. [[WHERE "book_tags"."book_id" = "book"."id" AND "book_tags"."tag_id" = ?1)]],
      params = { 3 },
    })
  end)

  it("goes the other way by its inverse, and on from there", function()
    sql.assert(Tag:filter { books__author__name = "x" }:values("id"), {
      sqlite = [[SELECT "tag"."id" FROM "tag" WHERE EXISTS (SELECT 1 FROM "book_tags" ]]
        .. [[JOIN "book" ON "book"."id" = "book_tags"."book_id" ]]
        .. [[JOIN "author" AS "book__author" ON "book__author"."id" = "book"."author_id" ]]
        .. [[WHERE "book_tags"."tag_id" = "tag"."id" AND "book__author"."name" = ?1)]],
    })
  end)

  it("leads to the same entity in both directions", function()
    sql.assert(Book:filter { similar__title = "x" }:values("id"), {
      sqlite = [[SELECT "book"."id" FROM "book" WHERE EXISTS (SELECT 1 FROM "book_similar" ]]
        .. [[JOIN "book" AS "to_book" ON "to_book"."id" = "book_similar"."to_book_id" ]]
        .. [[WHERE "book_similar"."from_book_id" = "book"."id" AND "to_book"."title" = ?1)]],
    })
    sql.assert(Book:filter { similar_to__title = "x" }:values("id"), {
      sqlite = [[SELECT "book"."id" FROM "book" WHERE EXISTS (SELECT 1 FROM "book_similar" ]]
        .. [[JOIN "book" AS "from_book" ON "from_book"."id" = "book_similar"."from_book_id" ]]
        .. [[WHERE "book_similar"."to_book_id" = "book"."id" AND "from_book"."title" = ?1)]],
    })
  end)

  it("is counted for each row by itself", function()
    sql.assert(Book:annotate { n = fn.count("tags"), last = fn.max("tags__label") }:values("n", "last"), {
      postgres = [[SELECT (SELECT count("book_tags"."tag_id") FROM "book_tags" ]]
        .. [[WHERE "book_tags"."book_id" = "book"."id") AS "n", (SELECT max("tag"."label") FROM "book_tags" AS "book_tags_2" ]]
        .. [[JOIN "tag" ON "tag"."id" = "book_tags_2"."tag_id" WHERE "book_tags_2"."book_id" = "book"."id") AS "last" FROM "book"]],
    })
  end)

  it("joins where a column behind it is asked for, and not in conditions", function()
    sql.assert(Book:filter { tags__label = "x" }:values("title", "tags__label"), {
      postgres = [[SELECT "book"."title", "tags__tag"."label" FROM "book" ]]
        .. [[LEFT JOIN "book_tags" AS "tags" ON "tags"."book_id" = "book"."id" ]]
        .. [[LEFT JOIN "tag" AS "tags__tag" ON "tags__tag"."id" = "tags"."tag_id" WHERE EXISTS (SELECT 1 FROM "book_tags" ]]
        .. [[JOIN "tag" ON "tag"."id" = "book_tags"."tag_id" WHERE "book_tags"."book_id" = "book"."id" AND "tag"."label" = $1)]],
      mariadb = [[SELECT `book`.`title`, `tags__tag`.`label` FROM `book` ]]
        .. [[LEFT JOIN `book_tags` AS `tags` ON `tags`.`book_id` = `book`.`id` ]]
        .. [[LEFT JOIN `tag` AS `tags__tag` ON `tags__tag`.`id` = `tags`.`tag_id` WHERE EXISTS (SELECT 1 FROM `book_tags` ]]
        .. [[JOIN `tag` ON `tag`.`id` = `book_tags`.`tag_id` WHERE `book_tags`.`book_id` = `book`.`id` AND `tag`.`label` = ?)]],
    })
    sql.assert(Author:values("books__title"):annotate { n = fn.count() }, {
      sqlite = [[SELECT "books"."title", count(*) AS "n" FROM "author" ]]
        .. [[LEFT JOIN "book" AS "books" ON "books"."author_id" = "author"."id" GROUP BY "books"."title"]],
    })
    assert.matches("leads to many rows", sql.error("unsupported", function() Book:order_by("tags__label") end))
  end)

  it("says what is not there", function()
    assert.matches("did you mean tags", sql.error("unknown_field", function() Book:filter { tag__label = "x" } end))
    assert.matches("did you mean label", sql.error("unknown_field", function() Book:filter { tags__lable = "x" } end))
  end)
end)

describe("a path through the other side of a one_to_one", function()
  it("joins, because there is one row at most", function()
    sql.assert(Author:filter { profile__bio = "x" }:order_by("profile__id"):values("id", "profile__bio"), {
      postgres = [[SELECT "author"."id", "profile"."bio" FROM "author" ]]
        .. [[LEFT JOIN "profile" ON "profile"."author_id" = "author"."id" WHERE "profile"."bio" = $1 ]]
        .. [[ORDER BY "profile"."id" NULLS FIRST]],
      mariadb = [[SELECT `author`.`id`, `profile`.`bio` FROM `author` ]]
        .. [[LEFT JOIN `profile` ON `profile`.`author_id` = `author`.`id` WHERE `profile`.`bio` = ? ORDER BY `profile`.`id`]],
      sqlite = [[SELECT "author"."id", "profile"."bio" FROM "author" ]]
        .. [[LEFT JOIN "profile" ON "profile"."author_id" = "author"."id" WHERE "profile"."bio" = ?1 ORDER BY "profile"."id"]],
      params = { "x" },
    })
    sql.assert(Author:filter { profile__isnull = true }:values("id"), {
      sqlite = [[SELECT "author"."id" FROM "author" LEFT JOIN "profile" ON "profile"."author_id" = "author"."id" ]]
        .. [[WHERE "profile"."id" IS NULL]],
    })
    sql.assert(Profile:filter { author__name = "x" }:values("id"), {
      sqlite = [[SELECT "profile"."id" FROM "profile" JOIN "author" ON "author"."id" = "profile"."author_id" ]]
        .. [[WHERE "author"."name" = ?1]],
    })
  end)
end)

describe("the table between", function()
  local function between(name, server)
    return table.concat(ddl.create_table(model.find(name).inverses.tags.model, dialect.get(server)), ";\n")
  end

  it("has the two keys, which are its own, and goes with their rows", function()
    assert.equal([[
CREATE TABLE IF NOT EXISTS "book_tags" (
  "book_id" bigint NOT NULL,
  "tag_id" bigint NOT NULL,
  PRIMARY KEY ("book_id", "tag_id"),
  FOREIGN KEY ("book_id") REFERENCES "book" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
  FOREIGN KEY ("tag_id") REFERENCES "tag" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX IF NOT EXISTS "book_tags_tag_id_idx" ON "book_tags" ("tag_id")]], between("Book", "postgres"))
    assert.matches("CONSTRAINT `book_tags_tag_id_fkey` FOREIGN KEY %(`tag_id`%)", between("Book", "mariadb"))
    assert.matches('PRIMARY KEY %("book_id", "tag_id"%)', between("Book", "sqlite"))
  end)

  it("comes behind both", function()
    local places = {}
    for place, one in ipairs(ddl.order(model.all())) do places[one.table] = place end
    assert.is_true(places.book_tags > places.book and places.book_tags > places.tag)
    assert.is_true(places.book_similar > places.book)
  end)

  it("may be named, or be an entity with columns of its own", function()
    sql.entity("Club", { people = f.many_to_many("Human", { through = "membership_rows" }) })
    sql.entity("Human", { name = f.string() })
    assert.equal("membership_rows", model.find("Club").inverses.people.model.table)
    local Membership = model.declare("Membership", {
      club = f.belongs_to "Club", human = f.belongs_to "Human", since = f.integer(),
    }, { table = "membership_rows" })
    assert.equal(Membership, model.find("Club").inverses.people.model)
    sql.entity("Club", { people = f.many_to_many("Human", { through = "Membership", inverse = "clubs" }) })
    assert.equal(Membership, model.find("Club").inverses.people.model)
    assert.equal(Membership, model.find("Human").inverses.clubs.model)
    for _, one in ipairs(model.all()) do assert.not_equal("Club.people", one.name) end
  end)

  it("needs one relation to each side", function()
    model.declare("Left", { a = f.integer() })
    local function right() model.declare("Right", { lefts = f.many_to_many("Left", { through = "Middle" }) }) end
    model.declare("Middle", { left = f.belongs_to "Left" })
    assert.matches("needs one relation to Right, its owner, and has none", sql.error("bad_argument", right), nil, true)
    model.declare("Middle", { left = f.belongs_to "Left", also = f.belongs_to "Left", right = f.belongs_to "Right" })
    assert.matches("needs one relation to Left, its target, and has 2: left, also", sql.error("bad_argument", right), nil, true)
    assert.is_nil(model.find "Right")
    assert.matches("needs two relations to Left", sql.error("bad_argument", function()
      model.declare("Left", { others = f.many_to_many("Left", { through = "Right" }) })
      model.declare("Right", { left = f.belongs_to "Left" })
      model.find("Left").sets.others:target()
    end))
  end)

  it("cannot be between two databases", function()
    model.declare("Near", { fars = f.many_to_many "Far" })
    model.declare("Far", { a = f.integer() }, { database = "elsewhere" })
    assert.matches("Near.fars: Far lives in another database", sql.error("bad_argument", function()
      ddl.create_table(model.find "Near", dialect.get "sqlite")
    end), nil, true)
  end)
end)

describe("the declaration of a relation", function()
  local function refused(kind, fields) return sql.error(kind, function() model.declare("Bad", fields) end) end

  it("takes the options that mean something", function()
    assert.matches("no option null", refused("unknown_option", { tags = f.many_to_many("Tag", { null = true }) }))
    assert.matches("no option on_delete", refused("unknown_option", { tags = f.many_to_many("Tag", { on_delete = "cascade" }) }))
    assert.matches("always unique", refused("bad_argument", { a = f.one_to_one("Author", { unique = false }) }))
    assert.matches('lazy of a relation is "raise"', refused("bad_argument", { a = f.belongs_to("Author", { lazy = true }) }))
    assert.matches("through is an entity", refused("bad_argument", { t = f.many_to_many("Tag", { through = 3 }) }))
    sql.error("bad_argument", function() f.many_to_many {} end)
  end)

  it("does not take a name that is taken", function()
    assert.matches("its inverse books of Tag is already that of Book.tags",
      refused("bad_argument", { tags = f.many_to_many("Tag", { inverse = "books" }) }))
    assert.matches("already something of Tag", refused("bad_argument", { tags = f.many_to_many("Tag", { inverse = "label" }) }))
    assert.is_nil(model.find "Bad")
  end)

  it("waits for the other entity", function()
    local Early = sql.entity("Early", { lates = f.many_to_many("Late", { inverse = "earlies" }) })
    assert.matches("Late, which is not declared", sql.error("unknown_field", function() Early:filter { lates__id = 3 } end))
    sql.entity("Late", { a = f.integer() })
    assert.matches("early_lates", sql.where(Early:filter { lates__a = 3 }))
  end)
end)
