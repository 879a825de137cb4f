-- The reference page does what it says, on every database: its blocks are one program, run by the program itself.

local databases = require "spec.support.databases"
local program = require "spec.support.program"

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

-- The blocks with everything else as empty lines, so that an error names the page's own line; and what they promise.
local function program_of(page)
  local lines, promises, inside = {}, {}, false
  for line in page:gmatch "([^\n]*)\n" do
    local fence = line:find "^```"
    lines[#lines + 1] = inside and not fence and line or ""
    if inside and not fence then
      local promise = line:match "%-%-> (.*)$"
      if promise then promises[#promises + 1] = promise end
    end
    if fence then inside = line == "```lua" end
  end
  return table.concat(lines, "\n") .. "\n", promises
end

local function keeps(printed, promise)
  local start = promise:match "^(.-)%.%.%.$"
  return printed == promise or start ~= nil and printed:sub(1, #start) == start
end

databases.each("the reference page", function(open, database)
  if database.single then return end -- a database in memory is nobody else's

  it("does what it says", function()
    local _, where = open()
    local text, promises = program_of(read "examples/reference.md")
    local url = where:find "^%a+:" and where or "sqlite:" .. where
    if database.pooler then url = url .. (url:find "?" and "&" or "?") .. "pooler=true" end
    local count
    text, count = text:gsub('mp%.configure "sqlite:library%.db"', function() return ("mp.configure %q"):format(url) end)
    assert.equal(1, count)
    local result = program.script(text)
    local lines = {}
    for line in result.out:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
    for i, promise in ipairs(promises) do
      assert.is_true(keeps(lines[i] or "nothing", promise), ("promised: %s\nprinted:  %s\n%s"):format(promise, lines[i], result.err))
    end
    assert.equal("", result.err)
    assert.equal(0, result.code)
    assert.equal(#promises, #lines)
  end)
end)
