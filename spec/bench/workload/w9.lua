-- W9: rows that the server makes, streamed. How much resident memory grows between the first 10,000
-- rows and the last one is a figure of its own.

local mp = require "moonpool"
local measure = require "measure"

local text_sum = measure.text_sum

local numbers = {
  sqlite = "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)"
    .. " select i as id, 'row ' || i as name, i * 0.25 as price from n",
  -- A series in the target list is not stored before its first row is sent.
  postgres = "select i as id, 'row ' || i as name, i * 0.25::float8 as price"
    .. " from (select generate_series(1, ?::bigint) as i) as numbers",
  -- A series that is read as a table; the server sends each row as it makes it.
  mariadb = "select seq as id, concat('row ', seq) as name, seq * 0.25e0 as price"
    .. " from seq_1_to_100000000 where seq <= ?",
}

local w9 = {}

function w9.rows(run)
  local db, figures = mp.db(), measure.figures
  local sql = numbers[db.dialect]
  local sum, row_n, early_kb, most_kb = 0, 0, 0, 0
  measure.start()
  for row in db:stream(sql, run.n) do
    sum = sum + row.id + text_sum(row.name) + math.tointeger(row.price * 4) * 11
    row_n = row_n + 1
    if row_n % 10000 == 0 then
      local now_kb = measure.memory_kb("VmRSS")
      if row_n == 10000 then early_kb = now_kb end
      most_kb = math.max(most_kb, now_kb)
    end
  end
  measure.stop()
  figures.units, figures.checksum = row_n, sum
  return { growth_kb = most_kb - early_kb }
end

return w9
