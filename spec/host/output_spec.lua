-- What the program writes where: errors of any kind, a reader that is gone, standard streams that are closed.

local program = require "spec.support.program"

local run, code = program.run, program.code

describe("an error that is no text", function()
  it("is shown with its traceback", function()
    for raised, text in pairs{
      ["nil"] = "moonpool: nil\n",
      ["{ a = 1 }"] = "moonpool: { a = 1 }\n",
      ["setmetatable({}, { __tostring = function() return 'mine' end })"] = "moonpool: mine\n",
      ["setmetatable({}, { __tostring = function() error 'x' end })"] =
        "moonpool: (error object is a table value that cannot be shown)\n",
    } do
      local result = code("error(" .. raised .. ")")
      assert.equal(1, result.code)
      assert.equal(text .. "stack traceback:\n\t(command line):1: in main chunk\n", result.err)
    end
  end)
end)

describe("a wrong option", function()
  it("is named together with the nearest one", function()
    local result = run{ "--versoin" }
    assert.equal(2, result.code)
    assert.truthy(result.err:find("unknown option --versoin (did you mean --version?)", 1, true))
  end)

  it("is not -h", function()
    assert.equal(run{ "--help" }.out, run{ "-h" }.out)
  end)
end)

describe("a reader that is gone", function()
  -- the status of the program, not of head
  local piped = "{ { %s; echo $? >&3; } | head -n 1 >/dev/null; } 3>&1"

  it("ends the program in order", function()
    local result = run({ "-e", [[
      local mp = require "moonpool"
      local ok, err = pcall(function() while true do print "x" end end)
      io.stderr:write(err.kind, " ")
      mp.shield(mp.sleep, 0)
      io.stderr:write "cleaned up"
    ]] }, piped)
    assert.same({ code = 0, out = "141\n", err = "cancelled cleaned up" }, result)
  end)
end)

describe("a closed standard stream", function()
  it("is /dev/null: what is printed goes into no file of the script", function()
    local name = os.tmpname()
    local result = run({ "-e", [[
      local db = require "moonpool".open { dialect = "sqlite", database = ... }
      db:execute "create table t (x)"
      print "this is no page of a database"
      assert(db:fetch_val "pragma integrity_check" == "ok")
    ]], name }, "%s <&- >&- 2>&-")
    assert.equal(0, result.code)
    for _, suffix in ipairs{ "", "-wal", "-shm" } do
      os.remove(name .. suffix)
    end
  end)
end)
