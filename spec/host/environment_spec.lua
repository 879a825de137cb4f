-- mp.env: the environment, then the file .env of the directory that the program was started in.

local environment = require "moonpool.environment"
local mp = require "moonpool"
local program = require "spec.support.program"
local raises = require("spec.support.databases").raises

describe("a file of values", function()
  local function parsed(text, expected)
    assert.same(expected, environment.parse(text))
  end

  it("has a name and a value a line", function()
    parsed("DB_USER=ada\nDB_PASS = s3cret \n\n  # a comment\nexport PORT=5432\nEMPTY=\nlast=1", {
      DB_USER = "ada", DB_PASS = "s3cret", PORT = "5432", EMPTY = "", last = "1",
    })
  end)

  it("may quote what would mean something else", function()
    parsed([[
A='a # b \n $c' # said
B="a \"b\" \\ \t \q"
C=a#b # c
D=$HOME
E=# nothing
]], { A = [[a # b \n $c]], B = 'a "b" \\ \t \\q', C = "a#b", D = "$HOME", E = "" })
  end)

  it("may have values over several lines", function()
    parsed('A="one\ntwo"\nB=\'three\n\nfour\'\n', { A = "one\ntwo", B = "three\n\nfour" })
  end)

  it("may come from another system", function()
    parsed("\239\187\191A=1\r\nB=\"2\"\r\n", { A = "1", B = "2" })
  end)

  it("keeps the last of two values of one name", function()
    parsed("A=1\nA=2\n", { A = "2" })
  end)

  it("says the line that is none", function()
    local function message(text)
      return raises("configuration", environment.parse, text).message
    end
    assert.equal(".env:2: not of the form NAME=value", message "A=1\nnonsense\n")
    assert.equal(".env:1: not of the form NAME=value", message "1A=2")
    assert.equal(".env:3: the quote of B never ends", message 'A="1\n2"\nB="3\nC=4')
    assert.equal(".env:1: the quote of A never ends", message [[A="1\]])
    assert.equal(".env:1: something stands behind the quoted value of A", message "A='1' 2")
  end)
end)

describe("mp.env", function()
  local directory

  before_each(function()
    directory = os.tmpname()
    os.remove(directory)
    assert(os.execute("mkdir " .. directory))
  end)

  after_each(function()
    assert(os.execute("rm -rf " .. directory))
  end)

  -- What code prints there, with that text as .env if there is one.
  local function run(text, code, variables)
    if text then
      local file <close> = assert(io.open(directory .. "/.env", "wb"))
      file:write(text)
    end
    return program.run({ "-e", 'local mp = require "moonpool" ' .. code },
      ("cd %s && %s %%s"):format(directory, variables or ""))
  end

  it("asks the environment first, then the file, and gives the default last", function()
    local result = run("A=file\nB=file\n", [[print(mp.env "A", mp.env "B", mp.env("C", 7), mp.env "C")]], "A=environment")
    assert.equal("environment\tfile\t7\tnil\n", result.out)
    assert.equal("", result.err)
  end)

  it("takes an empty value for a value", function()
    local result = run("B=\n", [[print("|" .. mp.env("A", "x") .. "|" .. mp.env("B", "x") .. "|")]], "A=")
    assert.equal("|||\n", result.out)
  end)

  it("needs no file", function()
    assert.equal("postgres\n", run(nil, [[print(mp.env("MOONPOOL_SPEC_NONE", "postgres"))]]).out)
  end)

  it("does not pass over a file that cannot be read", function()
    assert(os.execute(("mkdir %s/.env"):format(directory)))
    local result = run(nil, [[print(mp.env("MOONPOOL_SPEC_NONE", "postgres"))]])
    assert.equal(1, result.code)
    assert.truthy(result.err:find("configuration: the file .env cannot be read: ", 1, true), result.err)
    assert.equal("", result.out)
  end)

  it("wants a name", function()
    for _, name in ipairs{ "", "A=B", 7, false } do
      assert.truthy(raises("bad_argument", mp.env, name).message:find('mp.env: a name such as "DB_USER" was expected, not ', 1, true))
    end
    raises("bad_argument", mp.env)
  end)
end)
