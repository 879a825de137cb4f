-- A line to a server that is slow, deaf or cut: spec/bench/proxy.c, as a process of its own that carries the bytes.
-- All that waits here lets other tasks go on.

local mp = require "moonpool"
local program = require "spec.support.program"

local line = {}

local Line = {}
Line.__index = Line

local function exists(path)
  local file = io.open(path)
  return file and file:close()
end

-- Built beside the program that runs the specs, or else (under a sanitizer) beside the usual one.
local function proxy()
  for _, path in ipairs{ program.path:gsub("[^/]*$", "bench/proxy"), "build/bench/proxy" } do
    if exists(path) then
      return path
    end
  end
  error("there is no proxy to carry a line: scripts/build benches", 0)
end

-- The last line that the process has printed, or nil.
local function said(self)
  local file <close> = assert(io.open(self.note))
  local last
  for text in file:lines() do
    last, self.lines = text, self.lines + 1
  end
  return last
end

-- What it prints as its next line.
local function wait_for_word(self)
  local before = self.lines
  return mp.timeout(60, function()
    while true do
      self.lines = 0
      local last = said(self)
      if self.lines > before then
        return last
      end
      mp.sleep(0.001)
    end
  end)
end

local function signal(self, name)
  assert(os.execute(("kill -s %s %d"):format(name, self.pid)))
end

--- A line to the server of a URL by TCP. options: delay (milliseconds, each way). It must be closed.
---@param url string
---@param options { delay: number? }?
function line.to(url, options)
  local server, rest = url:match "^(%a[%w+]*://[^/?]*@)([^/?]*)"
  local note = os.tmpname()
  local self = setmetatable({ note = note, lines = 0 }, Line)
  self.pipe = assert(io.popen(("%s --until-eof --to %s --delay %s >%s"):format(
    program.quote(proxy()), rest, options and options.delay or 0, note), "w"))
  local port, pid = wait_for_word(self):match "^port=(%d+) pid=(%d+)"
  self.pid = pid
  self.url = ("%s127.0.0.1:%s%s"):format(server, port, url:sub(#server + #rest + 1))
  return self
end

--- Hold the answers back from now on, or let them go on.
function Line:hold()
  signal(self, "USR1")
  assert(wait_for_word(self) == "holding")
end

function Line:flow()
  signal(self, "USR1")
  assert(wait_for_word(self) == "flowing")
end

--- Neither read nor write, in no direction; and go on.
function Line:freeze()
  signal(self, "STOP")
end

function Line:thaw()
  signal(self, "CONT")
end

--- The process's own counts, see proxy --help.
---@return table<string, integer>
function Line:counts()
  signal(self, "USR2")
  local counts = {}
  for name, value in wait_for_word(self):gmatch "([%w_]+)=(%d+)" do
    counts[name] = math.tointeger(tonumber(value))
  end
  return counts
end

--- End it: both sides see their connections closed.
function Line:cut()
  if self.pid then
    os.execute(("kill -s TERM %d; kill -s CONT %d 2>/dev/null"):format(self.pid, self.pid)) -- it may be frozen
    self.pid = nil
    self.pipe:close()
    os.remove(self.note)
  end
end

Line.close = Line.cut

return line
