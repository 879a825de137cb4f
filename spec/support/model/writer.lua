-- Another process that takes the only writer of an SQLite file and gives it back when it is told: at once, and while this one
-- waits, so that nothing depends on who is faster.

local program = require "spec.support.program"

local writer = {}

local Writer = {}
Writer.__index = Writer

-- Each word is done before it is answered.
local CODE = [[
  local mp = require "moonpool"
  local db, answers = mp.open("sqlite:%s", { pool = { max = 1 } }), assert(io.open("%s", "w"))
  local tx
  for word in io.lines() do
    if word == "take" then
      tx = db:begin()
      tx:savepoint()
    else
      tx:rollback()
    end
    answers:write(word, "\n"):flush()
  end
]]

---@param path string of the file
function writer.new(path)
  local name = os.tmpname()
  os.remove(name)
  assert(os.execute("mkfifo " .. program.quote(name)))
  local words = io.popen(program.quote(program.path) .. " -e " .. program.quote(CODE:format(path, name)), "w")
  local answers = assert(io.open(name))
  os.remove(name)
  return setmetatable({ words = words, answers = answers, taken = false }, Writer)
end

local function tell(self, word)
  self.words:write(word, "\n"):flush()
  assert(self.answers:read "l" == word, "the other process has ended")
end

function Writer:take()
  tell(self, "take")
  self.taken = true
end

--- Also when it was given back before.
function Writer:give()
  if self.taken then
    self.taken = false
    tell(self, "give")
  end
end

function Writer:close()
  self:give()
  self.words:close()
  self.answers:close()
end

return writer
