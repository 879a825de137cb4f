-- What options of an entity do to its statements, on the three databases side by side: rows that are always left out, the
-- version and the time of a change, schemas, and the table of a family.

local ddl = require "moonpool.sql.ddl"
local dialect = require "moonpool.dialect"
local f = require("moonpool.field").types
local model = require "moonpool.resolve.model"
local row = require "moonpool.sql.row"
local sql = require "spec.support.sql"

local NAMES = { "postgres", "mariadb", "sqlite" }

-- The texts of a statement of a single row.
local function assert_row(expected, make, ...)
  for _, name in ipairs(NAMES) do
    assert.equal(expected[name], row[make](expected.model, dialect.get(name), ...).sql)
  end
end

local function refused(kind, fields, options)
  return sql.error(kind, function() model.declare("Wrong", fields, options) end)
end

describe("soft_delete", function()
  local Author, Book

  before_each(function()
    Author = sql.entity("Author", { name = f.string() }, { soft_delete = true })
    Book = sql.entity("Book", { title = f.string(), author = f.belongs_to("Author", { inverse = "books" }) },
      { soft_delete = "gone" })
  end)

  it("leaves rows out of every query", function()
    sql.assert(Author, {
      postgres = [[SELECT "id", "name", "deleted_at" FROM "author" WHERE "deleted_at" IS NULL]],
      mariadb = [[SELECT `id`, `name`, `deleted_at` FROM `author` WHERE `deleted_at` IS NULL]],
      sqlite = [[SELECT "id", "name", "deleted_at" FROM "author" WHERE "deleted_at" IS NULL]],
    })
    sql.assert(Author:filter { name = "a" }, {
      postgres = [[SELECT count(*) FROM "author" WHERE "deleted_at" IS NULL AND "name" = $1]],
      mariadb = [[SELECT count(*) FROM `author` WHERE `deleted_at` IS NULL AND `name` = ?]],
      sqlite = [[SELECT count(*) FROM "author" WHERE "deleted_at" IS NULL AND "name" = ?1]],
    }, "count")
  end)

  it("leaves them out behind relations, which join outer then", function()
    sql.assert(Book:filter { author__name = "a" }:values "title", {
      postgres = [[SELECT "book"."title" FROM "book" LEFT JOIN "author" ON "author"."id" = "book"."author_id" ]]
        .. [[AND "author"."deleted_at" IS NULL WHERE "book"."gone" IS NULL AND "author"."name" = $1]],
      mariadb = [[SELECT `book`.`title` FROM `book` LEFT JOIN `author` ON `author`.`id` = `book`.`author_id` ]]
        .. [[AND `author`.`deleted_at` IS NULL WHERE `book`.`gone` IS NULL AND `author`.`name` = ?]],
      sqlite = [[SELECT "book"."title" FROM "book" LEFT JOIN "author" ON "author"."id" = "book"."author_id" ]]
        .. [[AND "author"."deleted_at" IS NULL WHERE "book"."gone" IS NULL AND "author"."name" = ?1]],
    })
    sql.assert(Author:filter { books__title = "a" }:values "name", {
      postgres = [[SELECT "author"."name" FROM "author" WHERE "author"."deleted_at" IS NULL AND EXISTS ]]
        .. [[(SELECT 1 FROM "book" WHERE "book"."author_id" = "author"."id" AND "book"."gone" IS NULL AND "book"."title" = $1)]],
      mariadb = [[SELECT `author`.`name` FROM `author` WHERE `author`.`deleted_at` IS NULL AND EXISTS ]]
        .. [[(SELECT 1 FROM `book` WHERE `book`.`author_id` = `author`.`id` AND `book`.`gone` IS NULL AND `book`.`title` = ?)]],
      sqlite = [[SELECT "author"."name" FROM "author" WHERE "author"."deleted_at" IS NULL AND EXISTS ]]
        .. [[(SELECT 1 FROM "book" WHERE "book"."author_id" = "author"."id" AND "book"."gone" IS NULL AND "book"."title" = ?1)]],
    })
  end)

  it("shows them where that is said", function()
    sql.assert(Author:with_deleted():filter { name = "a" }:values "id", {
      postgres = [[SELECT "id" FROM "author" WHERE "name" = $1]],
      mariadb = [[SELECT `id` FROM `author` WHERE `name` = ?]],
      sqlite = [[SELECT "id" FROM "author" WHERE "name" = ?1]],
    })
    sql.assert(Author:only_deleted():values "id", {
      postgres = [[SELECT "id" FROM "author" WHERE "deleted_at" IS NOT NULL]],
      mariadb = [[SELECT `id` FROM `author` WHERE `deleted_at` IS NOT NULL]],
      sqlite = [[SELECT "id" FROM "author" WHERE "deleted_at" IS NOT NULL]],
    })
  end)

  it("holds for updates, deletes and single rows", function()
    sql.assert_update(Author:filter { name = "a" }, { name = "b" }, {
      postgres = [[UPDATE "author" SET "name" = $1 WHERE "deleted_at" IS NULL AND "name" = $2]],
      mariadb = "UPDATE `author` SET `name` = ? WHERE `deleted_at` IS NULL AND `name` = ?",
      sqlite = [[UPDATE "author" SET "name" = ?1 WHERE "deleted_at" IS NULL AND "name" = ?2]],
      params = { "b", "a" },
    })
    sql.assert_delete(Author:only_deleted(), {
      postgres = [[DELETE FROM "author" WHERE "deleted_at" IS NOT NULL]],
      mariadb = "DELETE FROM `author` WHERE `deleted_at` IS NOT NULL",
      sqlite = [[DELETE FROM "author" WHERE "deleted_at" IS NOT NULL]],
    })
    local m = model.find "Author"
    assert_row({ model = m,
      postgres = [[SELECT "id", "name", "deleted_at" FROM "author" WHERE "id" = $1 AND "deleted_at" IS NULL]],
      mariadb = "SELECT `id`, `name`, `deleted_at` FROM `author` WHERE `id` = ? AND `deleted_at` IS NULL",
      sqlite = [[SELECT "id", "name", "deleted_at" FROM "author" WHERE "id" = ?1 AND "deleted_at" IS NULL]],
    }, "get")
    assert_row({ model = m,
      postgres = [[UPDATE "author" SET "deleted_at" = $1 WHERE "id" = $2 AND "deleted_at" IS NULL]],
      mariadb = "UPDATE `author` SET `deleted_at` = ? WHERE `id` = ? AND `deleted_at` IS NULL",
      sqlite = [[UPDATE "author" SET "deleted_at" = ?1 WHERE "id" = ?2 AND "deleted_at" IS NULL]],
    }, "update_row", { "deleted_at" }, true)
  end)

  it("is refused where it says nothing", function()
    local Plain = sql.entity("Plain", { name = f.string() })
    assert.matches("Plain has no soft_delete", sql.error("bad_argument", function() Plain:with_deleted() end))
    assert.matches("soft_delete: at is of type date, not datetime",
      refused("bad_argument", { at = f.date { null = true } }, { soft_delete = "at" }))
    assert.matches("needs null = true and no default",
      refused("bad_argument", { deleted_at = f.datetime() }, { soft_delete = true }))
    assert.matches("soft_delete is true or the name of a field, not 3",
      refused("bad_argument", {}, { soft_delete = 3 }))
  end)
end)

describe("a version", function()
  it("is asked for by what changes an object's row, and counted by upserts", function()
    local m = model.declare("Page", { title = f.string { unique = true }, n = f.integer { version = true } })
    assert_row({ model = m,
      postgres = [[UPDATE "page" SET "title" = $1, "n" = $2 WHERE "id" = $3 AND "n" = $4]],
      mariadb = "UPDATE `page` SET `title` = ?, `n` = ? WHERE `id` = ? AND `n` = ?",
      sqlite = [[UPDATE "page" SET "title" = ?1, "n" = ?2 WHERE "id" = ?3 AND "n" = ?4]],
    }, "update_row", { "title", "n" })
    assert_row({ model = m,
      postgres = [[DELETE FROM "page" WHERE "id" = $1 AND "n" = $2]],
      mariadb = "DELETE FROM `page` WHERE `id` = ? AND `n` = ?",
      sqlite = [[DELETE FROM "page" WHERE "id" = ?1 AND "n" = ?2]],
    }, "delete_row")
    assert_row({ model = m,
      postgres = [[INSERT INTO "page" ("title", "n") VALUES ($1, $2) ON CONFLICT ("title") DO UPDATE SET ]]
        .. [["title" = excluded."title", "n" = "page"."n" + 1]],
      mariadb = "INSERT INTO `page` (`title`, `n`) VALUES (?, ?) ON DUPLICATE KEY UPDATE `title` = if((`title` = VALUES(`title`) "
        .. "OR 9223372036854775807 + length(concat_ws('', 'another unique key', `title`)) > 0), VALUES(`title`), NULL), "
        .. "`n` = `page`.`n` + 1",
      sqlite = [[INSERT INTO "page" ("title", "n") VALUES (?1, ?2) ON CONFLICT ("title") DO UPDATE SET ]]
        .. [["title" = excluded."title", "n" = "page"."n" + 1]],
    }, "upsert", { "title", "n" }, 1, { "title" }, { "title" })
  end)

  it("and the kind of a row are left as they are by upserts of what extends an entity", function()
    model.declare("Pet", { name = f.string { unique = true }, n = f.integer { version = true } })
    local m = model.declare("Dog", {}, { extends = "Pet", discriminator = "kind" })
    assert_row({ model = m,
      postgres = [[INSERT INTO "pet" ("name", "kind") VALUES ($1, $2) ON CONFLICT ("name") DO UPDATE SET ]]
        .. [["name" = excluded."name", "n" = "pet"."n" + 1 WHERE "pet"."kind" = 'Dog']],
      mariadb = "INSERT INTO `pet` (`name`, `kind`) VALUES (?, ?) ON DUPLICATE KEY UPDATE `name` = if((`kind` = 'Dog' "
        .. "OR 9223372036854775807 + length(concat_ws('', 'another unique key', `name`)) > 0) AND (`name` = VALUES(`name`) "
        .. "OR 9223372036854775807 + length(concat_ws('', 'another unique key', `name`)) > 0), VALUES(`name`), NULL), "
        .. "`n` = `pet`.`n` + 1",
      sqlite = [[INSERT INTO "pet" ("name", "kind") VALUES (?1, ?2) ON CONFLICT ("name") DO UPDATE SET ]]
        .. [["name" = excluded."name", "n" = "pet"."n" + 1 WHERE "pet"."kind" = 'Dog']],
    }, "upsert", { "name", "kind" }, 1, { "name" }, { "name" })
  end)

  it("is one for an entity", function()
    assert.matches("a and b are both its version", refused("bad_argument",
      { a = f.integer { version = true }, b = f.integer { version = true } }))
  end)
end)

describe("timestamps", function()
  it("are fields of the entity, behind its own", function()
    local m = model.declare("Note", { text = f.text() }, { timestamps = true })
    local names = {}
    for i, field in ipairs(m.fields) do names[i] = field.name end
    assert.same({ "id", "text", "created_at", "updated_at" }, names)
    m = model.declare("Note", { made = f.datetime(), text = f.text() }, { timestamps = { created = "made" } })
    assert.same({ 3, "made" }, { #m.fields, m.fields[2].name })
    assert.is_nil(m.stamp)
  end)

  it("are refused where they cannot be", function()
    assert.matches("timestamps is true, or", refused("bad_argument", {}, { timestamps = "yes" }))
    assert.matches('knows created and updated, not "changed"', refused("unknown_option", {}, { timestamps = { changed = "x" } }))
    assert.matches("created_at is of type date, not datetime",
      refused("bad_argument", { created_at = f.date() }, { timestamps = true }))
  end)
end)

describe("a schema", function()
  it("stands before the table, on databases that have them", function()
    local Thing = sql.entity("Thing", { name = f.string() }, { schema = "depot" })
    local pg, maria, sqlite = dialect.get "postgres", dialect.get "mariadb", dialect.get "sqlite"
    local m = model.find "Thing"
    for d, text in pairs {
      [pg] = [[SELECT "id", "name" FROM "depot"."thing" WHERE "name" = $1]],
      [maria] = "SELECT `id`, `name` FROM `depot`.`thing` WHERE `name` = ?",
    } do
      assert.equal(text, require("moonpool.sql.compile").select(Thing:filter { name = "a" }, d).sql)
    end
    assert.equal([[INSERT INTO "depot"."thing" ("name") VALUES ($1)]], row.insert(m, pg, { "name" }).sql)
    assert.equal([[DO 'BEGIN IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = ''depot'') THEN
  CREATE SCHEMA "depot";
END IF; END']], ddl.create_tables({ m }, pg)[1])
    assert.equal("CREATE DATABASE IF NOT EXISTS `depot`", ddl.create_tables({ m }, maria)[1])
    assert.same({ [[DROP TABLE IF EXISTS "depot"."thing"]] }, ddl.drop_tables({ m }, pg))
    assert.matches("Thing: sqlite has no schemas: leave schema out there",
      sql.error("unsupported", function() row.get(m, sqlite) end))
    refused("bad_argument", {}, { schema = "" })
  end)
end)

describe("entities that extend another", function()
  local User, Admin

  before_each(function()
    User = sql.entity("User", { name = f.string { max = 10 } })
    Admin = sql.entity("Admin", { level = f.integer { default = 1, unique = true } }, { extends = "User", discriminator = "kind" })
    sql.entity("Root", {}, { extends = "Admin" })
  end)

  it("share its table, where their own columns may be NULL", function()
    local wanted = {
      postgres = [[
CREATE TABLE IF NOT EXISTS "user" (
  "id" bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  "name" varchar(10) COLLATE "C" NOT NULL,
  "kind" varchar(100) COLLATE "C" NOT NULL DEFAULT 'User',
  "level" integer UNIQUE
)]],
      mariadb = [[
CREATE TABLE IF NOT EXISTS `user` (
  `id` bigint AUTO_INCREMENT PRIMARY KEY,
  `name` varchar(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `kind` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL DEFAULT 'User',
  `level` int,
  CONSTRAINT `user_level_key` UNIQUE (`level`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin]],
      sqlite = [[
CREATE TABLE IF NOT EXISTS "user" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT,
  "name" VARCHAR(10) NOT NULL,
  "kind" VARCHAR(100) NOT NULL DEFAULT 'User',
  "level" INTEGER UNIQUE
)]],
    }
    for name, text in pairs(wanted) do
      local models = { model.find "User", model.find "Admin", model.find "Root" }
      local statements = ddl.create_tables(models, dialect.get(name))
      assert.same({ text }, statements)
      assert.same(1, #ddl.drop_tables(models, dialect.get(name)))
    end
  end)

  it("are told by the discriminator, of which the parent asks nothing", function()
    sql.assert(User:filter { name = "a" }, {
      postgres = [[SELECT "id", "name", "kind", "level" FROM "user" WHERE "name" = $1]],
      mariadb = "SELECT `id`, `name`, `kind`, `level` FROM `user` WHERE `name` = ?",
      sqlite = [[SELECT "id", "name", "kind", "level" FROM "user" WHERE "name" = ?1]],
    })
    sql.assert(Admin:filter { level = 3 }:values "name", {
      postgres = [[SELECT "name" FROM "user" WHERE "kind" IN ('Admin', 'Root') AND "level" = $1]],
      mariadb = "SELECT `name` FROM `user` WHERE `kind` IN ('Admin', 'Root') AND `level` = ?",
      sqlite = [[SELECT "name" FROM "user" WHERE "kind" IN ('Admin', 'Root') AND "level" = ?1]],
    })
    assert_row({ model = model.find "Root",
      postgres = [[SELECT "id", "name", "kind", "level" FROM "user" WHERE "id" = $1 AND "kind" = 'Root']],
      mariadb = "SELECT `id`, `name`, `kind`, `level` FROM `user` WHERE `id` = ? AND `kind` = 'Root'",
      sqlite = [[SELECT "id", "name", "kind", "level" FROM "user" WHERE "id" = ?1 AND "kind" = 'Root']],
    }, "get")
  end)

  it("give the same text in the same program", function()
    local function text() return require("moonpool.sql.compile").select(User:exclude { name = "x" }, dialect.get "postgres").sql end
    local before = text()
    sql.entity("Admin", { level = f.integer { default = 1, unique = true } }, { extends = "User", discriminator = "kind" })
    assert.equal(before, text())
  end)
end)
