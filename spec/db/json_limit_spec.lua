-- JSON that the database holds and Lua cannot: the error names the column and what fits, and tells nothing of the row.

local mp = require "moonpool"
local databases = require "spec.support.databases"
local f = mp.field

databases.each("JSON that Lua cannot hold", function(open, database)
  local Doc = mp.entity("LimitDoc", { name = f.string{ max = 10 }, doc = f.json() })
  local db

  setup(function()
    db = open()
    Doc = Doc:using(db)
    db:create_all()
  end)

  local function refused(doc)
    db:execute("delete from limit_doc")
    db:execute("insert into limit_doc (name, doc) values ('hush', " .. (database.dialect == "postgres" and "cast(:doc as jsonb)" or ":doc")
      .. ")", { doc = doc })
    for _, read in ipairs{ function() return db:fetch_val("select doc from limit_doc") end, function() return Doc:all() end } do
      local value, err = mp.try(read)
      assert.is_nil(value)
      assert.equal("type_mismatch", err.kind)
      assert.truthy(tostring(err):find('column "doc"', 1, true), tostring(err))
      assert.truthy(tostring(err):find("is no JSON that fits (integers have 64 bits", 1, true), tostring(err))
      assert.falsy(tostring(err):find("1844", 1, true), tostring(err))
    end
  end

  it("is refused by what it is", function()
    refused '{"a": 18446744073709551616}'
    if database.dialect ~= "mariadb" then -- which takes no more than 32
      refused(("["):rep(600) .. ("]"):rep(600))
    end
  end)
end)
