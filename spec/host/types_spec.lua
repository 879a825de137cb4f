-- moonpool types script.lua: definitions of a script's own entities.

local databases = require "spec.support.databases"
local program = require "spec.support.program"

local SCRIPT = [[
local mp = require "moonpool"
local f = mp.field
print "not a definition"
mp.configure "sqlite:%s"
local Author = mp.entity("Author", {
  name = f.string(), balance = f.decimal{ null = true }, state = f.enum{ "a", "b'\"" }, tags = f.array{ of = f.integer() },
  joined = f.datetime{ default = mp.now }, count = f.integer{ default = 0 },
})
mp.entity("Book", {
  title = f.string(), author = f.belongs_to("Author", { inverse = "books" }), labels = f.many_to_many("Label", { inverse = "books" }),
  cover = f.one_to_one("Label", { inverse = "front", null = true }),
})
mp.entity("Label", { text = f.text() })
function Author:initials(n, ...) return self.name, n, ... end
mp.spawn(function() return Author:count() end)
mp.db():create_all()
error "never comes here"
]]

-- What goes on standard output and compiles; the definitions by class.
local function types_of(text, ...)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write(text)
  file:close()
  local result = program.run{ "types", name, ... }
  os.remove(name)
  return result
end

describe("moonpool types", function()
  it("writes the entities of a script, and touches no database", function()
    local path = databases.fresh_path()
    local result = types_of((SCRIPT:gsub("%%s", path)))
    assert.equal(0, result.code, result.err)
    assert.is_nil(io.open(path))
    assert.equal("not a definition\n", result.err)
    assert.truthy(load(result.out))
    local function has(...)
      local text = table.concat({ ... }, "\n")
      assert.truthy(result.out:find(text, 1, true), text .. "\nis not in\n" .. result.out)
    end
    has("---@class Author : moonpool.object", "---@field id integer", "---@field name string", "---@field balance moonpool.decimal?",
      [[---@field state "a"|"b'\""]], "---@field tags integer[]", "---@field joined moonpool.datetime", "---@field count integer", "---@field books Book.query",
      "local Object = {}", "function Object:initials(n, ...) end")
    has("---@class Book : moonpool.object", "---@field id integer", "---@field title string", "---@field author_id integer",
      "---@field cover_id integer?", "---@field author Author", "---@field cover Label?", "---@field labels Label.query")
    has("---@field books Book.query", "---@field front Book?")
    has("---@return Author.query", "function Query:filter(...) end")
    has("---@return Author[]", "function Query:all() end")
    has("---@return Author?", "function Query:first() end")
    has("---@return Author object, boolean created", "function Query:get_or_create(match, defaults) end")
    has("---@class Author.values", "---@field id integer|nil", "---@field name string|nil", "---@field balance moonpool.decimal|string|number|nil")
    has("---@class Author.entity : Author.query, moonpool.entity")
    has("---@field joined moonpool.expression", "---@field books moonpool.expression", "---@operator call") -- Author.count is a method
    has([[---@param name "Author"]], "---@return Author.entity", "function mp.entity(name, fields, options) end")
    assert.is_nil(result.out:find("Book.labels", 1, true))
    assert.equal((result.out:gsub("of [^,]*,", "of it,")), (types_of((SCRIPT:gsub("%%s", path))).out:gsub("of [^,]*,", "of it,")))
  end)

  it("does so where the script would catch the errors of its database", function()
    local result = program.run{ "types", "examples/packages.lua", "--database", "/no/such/folder/packages.db" }
    assert.equal(0, result.code, result.err)
    assert.truthy(result.out:find("---@class Package : moonpool.object", 1, true))
    assert.truthy(result.out:find("---@field dependencies Dependency.query", 1, true))
    result = types_of [[
      local mp = require "moonpool"
      local db = mp.open "postgres://nobody@nowhere.invalid/x"
      pcall(db.fetch_all, db, "select 1")
      mp.gather(function() return mp.try(db.ping, db) end)
      mp.entity("Never", {})]]
    assert.equal(0, result.code, result.err)
    result = types_of [[
      local mp = require "moonpool"
      pcall(function() return mp.open("sqlite::memory:"):fetch_all "select 1" end)
      mp.entity("After", {})]]
    assert.truthy(result.out:find("@class After ", 1, true), result.err)
  end)

  it("gives the script its arguments, and ends with what went wrong in it", function()
    assert.matches("@class Given ", types_of([[require("moonpool").entity(arg[1], {})]], "Given").out)
    local result = types_of "local mp = require 'moonpool'\nmp.entity('Broken', {})\nerror 'no more'"
    assert.equal(1, result.code)
    assert.matches("no more", result.err)
    assert.matches("traceback", result.err)
    assert.equal("", result.out)
    assert.equal(1, types_of("local x =").code)
    assert.equal(1, types_of("require('moonpool').entity('A', { save = require('moonpool').field.text() })").code)
  end)

  it("takes a script and says so", function()
    for _, words in ipairs{ { "types" }, { "types", "--what" } } do
      local result = program.run(words)
      assert.equal(2, result.code)
      assert.matches("usage: moonpool", result.err)
    end
    local result = program.run{ "types", "/no/such/script.lua" }
    assert.equal(1, result.code)
    assert.matches("/no/such/script.lua", result.err)
  end)
end)
