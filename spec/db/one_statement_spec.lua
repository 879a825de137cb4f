-- A text of several statements: a script that was pasted into one call. Nothing of it runs, and the error says why.

local databases = require "spec.support.databases"
local raises = databases.raises

databases.each("a text of several statements", function(open)
  it("is refused as one statement too many, and none of them runs", function()
    local db = open()
    for _, text in ipairs{
      "create table one (n integer); create table two (n integer)", "create table one (n integer);\n  create table two (n integer);",
    } do
      local err = raises("syntax", db.execute, db, text)
      assert.matches("one statement a call%)?$", tostring(err))
      raises("undefined_table", db.fetch_all, db, "select n from one")
    end
  end)

  it("is not what other mistakes are taken for", function()
    local err = raises("syntax", open().execute, open(), "selct ';' from nowhere")
    assert.falsy(tostring(err):find("one statement a call", 1, true), tostring(err))
  end)
end)
