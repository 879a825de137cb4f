-- Statements that wait for a slow line: some one after the other, then as many at once on a connection each, with
-- a ticker beside them, a task that wakes each millisecond and notes how late it is.

local mp = require "moonpool"
local measure = require "measure"

local flight = {}

local function each_at_once(n, fn)
  local tasks = {}
  for i = 1, n do tasks[i] = mp.spawn(fn, i) end
  for _, task in ipairs(tasks) do task:wait() end
end

-- All connections are there, and each has met the statement: not while it was held, what is given back is reset.
local function open_all(n, sql)
  local held = {}
  for i = 1, n do
    held[i] = mp.db():connect()
  end
  for _, connection in ipairs(held) do
    connection:close()
  end
  each_at_once(n, function() mp.db():fetch_val(sql, 0) end)
end

local function ticking(fn)
  local running, worst = true, 0
  mp.gather(function()
    fn()
    running = false
  end, function()
    local last = measure.clock()
    while running do
      mp.sleep(0.001)
      local now = measure.clock()
      worst = math.max(worst, now - last - 0.001)
      last = now
    end
  end)
  return worst
end

function flight.rows(run)
  local db, figures, n = mp.db(), measure.figures, run.n
  local sql = "select id + ? from author where id = 1"
  local serial_s, at_once_s, worst_s = 0, 0, 0
  local function ask(i)
    local answer = db:fetch_val(sql, i)
    figures.checksum = figures.checksum + answer -- read only now: the others have added theirs meanwhile
  end
  open_all(n, sql)
  measure.start()
  for _ = 1, run.rounds do
    local start = measure.clock()
    for i = 1, n do ask(i) end
    serial_s = serial_s + measure.clock() - start
    worst_s = math.max(worst_s, ticking(function()
      start = measure.clock()
      each_at_once(n, ask)
      at_once_s = at_once_s + measure.clock() - start
    end))
  end
  measure.stop()
  figures.units = 2 * n * run.rounds
  assert(figures.checksum == run.rounds * n * (n + 3), "an answer is wrong")
  return {
    share = at_once_s / serial_s,
    serial_ms = serial_s * 1000 / run.rounds, at_once_ms = at_once_s * 1000 / run.rounds,
    worst_ms = worst_s * 1000,
  }
end

return flight
