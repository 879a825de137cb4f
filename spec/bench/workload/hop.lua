-- The hop: the smallest statement there is, on the loop's own thread or through the connection's.

local mp = require "moonpool"
local measure = require "measure"

local hop = {}

function hop.rows(run)
  local db, figures, sum = mp.db(), measure.figures, 0
  for i = 1, run.n // 10 do
    db:fetch_val("select ?", i)
  end
  measure.start()
  for i = 1, run.n do
    sum = sum + db:fetch_val("select ?", i)
  end
  measure.stop()
  figures.units, figures.checksum = run.n, sum
  measure.latency(run.n, function() db:fetch_val("select ?", 1) end)
end

return hop
