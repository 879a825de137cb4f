-- What the workloads in Lua share: clocks, resident memory, pseudo-random numbers, and the one line of
-- figures that the runner reads. The twin of raw.h: both sides count and print the same.

local core = require "moonpool.core" -- only for its monotonic clock: the public API has none

local measure = {}

local latency_max = 5000

---@class bench.figures
---@field cpu_us number  CPU of all threads between start and stop
---@field wall_us number
---@field server_us number?  CPU of the database's server meanwhile
---@field units integer
---@field checksum integer
---@field latency_us number[]
local figures = { cpu_us = 0, wall_us = 0, units = 0, checksum = 0, latency_us = {} }

measure.figures = figures
measure.clock = core.now
measure.checked = true -- false: a profile shall not show the checks

-- Called around the measured part; the profiler of the Lua side hangs here.
function measure.on_start() end
function measure.on_stop() end

local cpu_start, wall_start

-- The CPU of the processes or threads that serve a database, one for each connection: as in raw_pg.h and raw_my.h. nil
-- where there is no server.
local server_clock_us
local server_start_us

local function first_line(path)
  local file = io.open(path)
  local line = file and file:read("l")
  if file then file:close() end
  return line
end

--- Count a server's CPU too. Its processes for this database are those of a measured part.
---@param server integer  the server's process
---@param database string
function measure.watch(server, database)
  local session_n
  function server_clock_us()
    local sum_us, n = 0, 0
    local children = assert(first_line(("/proc/%d/task/%d/children"):format(server, server)), "the server is not here")
    for pid in children:gmatch("%d+") do
      if (first_line(("/proc/%s/cmdline"):format(pid)) or ""):find(" " .. database .. " ", 1, true) then
        sum_us = sum_us + first_line(("/proc/%s/schedstat"):format(pid)):match("%d+") / 1000
        n = n + 1
      end
    end
    assert(n > 0 and (session_n == nil or session_n == n), "the server's processes are others than before")
    session_n = n
    return sum_us
  end
end

--- Count the CPU of a server whose connections are threads. Those are there at the first start, and at the end.
---@param db moonpool.db
function measure.watch_threads(db)
  local known
  local function threads()
    return db:fetch_all("select tid from information_schema.processlist where db = database() order by tid")
  end
  local function spent_us(list)
    local sum_us = 0
    for _, thread in ipairs(list) do
      local line = assert(first_line(("/proc/%d/schedstat"):format(thread.tid)), "the server is not here")
      sum_us = sum_us + line:match("%d+") / 1000
    end
    return sum_us
  end
  function server_clock_us()
    if not known then
      known = threads()
      return spent_us(known)
    end
    local spent, now = spent_us(known), threads()
    assert(#now == #known, "the server's threads are others than before")
    for i, thread in ipairs(now) do
      assert(thread.tid == known[i].tid, "the server's threads are others than before")
    end
    return spent
  end
end

--- The part between start and stop counts; it may be entered many times.
function measure.start()
  measure.on_start()
  if server_clock_us and not server_start_us then
    server_start_us = server_clock_us()
  end
  wall_start = core.now()
  cpu_start = os.clock() -- of the process: all threads
end

function measure.stop()
  figures.cpu_us = figures.cpu_us + (os.clock() - cpu_start) * 1e6
  figures.wall_us = figures.wall_us + (core.now() - wall_start) * 1e6
  measure.on_stop()
end

--- Nothing counts from here on. The server's CPU is that from the first start to here: it rests meanwhile.
function measure.over()
  if server_clock_us and server_start_us and not figures.server_us then
    figures.server_us = server_clock_us() - server_start_us
  end
end

--- Note the latency of what began at that time.
---@param start number  of measure.clock()
function measure.took(start)
  if #figures.latency_us < latency_max then
    table.insert(figures.latency_us, (core.now() - start) * 1e6)
  end
end

--- The latency of calls of fn, apart from the counted part: reading the clock costs what a small statement does.
---@param n integer
---@param fn fun()
function measure.latency(n, fn)
  measure.over()
  for _ = 1, math.min(n, latency_max) do
    local start = core.now()
    fn()
    measure.took(start)
  end
end

--- A generator of the numbers that raw.h makes from the same seed.
---@param seed integer
---@return fun(): integer
function measure.random(seed)
  return function()
    seed = (seed * 1103515245 + 12345) % 2147483648
    return seed // 256
  end
end

--- The length and the last byte: text cut short or mixed up shows.
---@param text string
---@return integer
function measure.text_sum(text)
  return #text + text:byte(-1) * 13
end

--- A line of /proc/self/status in kilobytes: VmRSS is what is resident now, VmHWM the most there was.
---@param name string
---@return integer
function measure.memory_kb(name)
  for line in io.lines("/proc/self/status") do
    local value = line:match("^" .. name .. ":%s*(%d+)")
    if value then return math.tointeger(value) end
  end
  error("no " .. name .. " in /proc/self/status")
end

---@param list number[]
---@param share number  0.99 for the 99th percentile
---@return number
function measure.percentile(list, share)
  table.sort(list)
  return list[math.floor((#list - 1) * share) + 1]
end

--- The line; extra figures of a workload come along.
---@param extra table<string, number>?
function measure.report(extra)
  measure.over()
  local line = {
    "figures",
    ("cpu_us=%.3f"):format(figures.cpu_us),
    ("wall_us=%.3f"):format(figures.wall_us),
    ("units=%d"):format(figures.units),
    ("checksum=%d"):format(figures.checksum),
    ("rss_kb=%d"):format(measure.memory_kb("VmHWM")),
  }
  if figures.server_us then
    table.insert(line, ("server_us=%.3f"):format(figures.server_us))
  end
  if figures.latency_us[1] then
    table.insert(line, ("p50_us=%.3f"):format(measure.percentile(figures.latency_us, 0.50)))
    table.insert(line, ("p99_us=%.3f"):format(measure.percentile(figures.latency_us, 0.99)))
  end
  for name, value in pairs(extra or {}) do
    table.insert(line, ("%s=%.3f"):format(name, value))
  end
  print(table.concat(line, " "))
end

--- Seconds since 1970, by the calendar and not by moonpool.
function measure.seconds_of(moment)
  local month = moment.month
  local year = month > 2 and moment.year or moment.year - 1
  local year_day = (153 * (month > 2 and month - 3 or month + 9) + 2) // 5 + moment.day - 1
  local days = year * 365 + year // 4 - year // 100 + year // 400 + year_day - 719468
  return days * 86400 + moment.hour * 3600 + moment.minute * 60 + moment.second
end

return measure
