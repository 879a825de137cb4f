-- The ticker: how late a task that wakes each millisecond is, while one long statement runs.

local mp = require "moonpool"
local measure = require "measure"

local long_sql = "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?) select count(*) from n"

-- How many rows keep this machine busy for the time wanted.
local function calibrate(db, wanted_s)
  local n = 20000
  while true do
    local start = measure.clock()
    db:fetch_val(long_sql, n)
    local took = measure.clock() - start
    if took > wanted_s / 4 then return math.floor(n * wanted_s / took) end
    n = n * 2
  end
end

local ticker = {}

function ticker.rows(run)
  local db, figures = mp.db(), measure.figures
  local n = calibrate(db, run.statement_ms / 1000)
  local running, late_ms, counted = true, {}, 0
  measure.start()
  mp.gather(function()
    for _ = 1, run.rounds do
      counted = counted + db:fetch_val(long_sql, n)
    end
    running = false
  end, function()
    local last = measure.clock()
    while running do
      mp.sleep(0.001)
      local now = measure.clock()
      table.insert(late_ms, (now - last) * 1000 - 1)
      last = now
    end
  end)
  measure.stop()
  assert(counted == n * run.rounds, "the long statement counted wrong")
  figures.units = #late_ms
  return {
    p99_ms = measure.percentile(late_ms, 0.99),
    worst_ms = late_ms[#late_ms], -- percentile has sorted them
    statement_ms = figures.wall_us / 1000 / run.rounds,
  }
end

return ticker
