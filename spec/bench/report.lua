-- Prints the table of the bench from what the turns gave.

local plan = require "plan"

local report = {}

local columns = { "workload", "way", "raw C us", "us", "times raw C", "from-to", "goal", "reached", "a second",
  "p50 us", "p99 us", "peak MB" }

---@param list number[]
---@return number
function report.median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local middle = (#sorted + 1) // 2
  return #sorted % 2 == 1 and sorted[middle] or (sorted[middle] + sorted[middle + 1]) / 2
end

--- The median over the turns of what fn makes of a turn's figures; nil where fn gives nil.
local function over(turns, fn)
  local list = {}
  for turn, figures in ipairs(turns) do
    list[turn] = fn(figures, turn)
  end
  return list[1] and report.median(list), list
end

local function number(value, digits)
  return value and ("%." .. digits .. "f"):format(value) or "-"
end

local function client_us(figures) return figures.cpu_us / figures.units end

-- Of both sides, where there is a server.
local function cpu_us(figures) return (figures.cpu_us + (figures.server_us or 0)) / figures.units end

local function throughput(figures) return figures.units / figures.wall_us * 1e6 end

--- One line of the table.
---@param workload bench.workload
---@param way bench.way
---@param raw table<string, number>[]  figures by turn; empty without a raw program
---@param turns table<string, number>[]
---@return string[]
function report.line(workload, way, raw, turns)
  local ratio, ratios
  if raw[1] then
    -- Of neighbours in time: both had the same machine.
    ratio, ratios = over(turns, function(figures, turn) return cpu_us(figures) / cpu_us(raw[turn]) end)
    table.sort(ratios)
  end
  return {
    workload.title,
    way.title,
    number(over(raw, cpu_us), 2),
    number(over(turns, cpu_us), 2),
    number(ratio, 2),
    ratio and ("%.2f-%.2f"):format(ratios[1], ratios[#ratios]) or "-",
    number(way.goal, 1),
    way.goal and ratio and (ratio <= way.goal and "yes" or "NO") or "-",
    number(over(turns, throughput), 0),
    number(over(turns, function(figures) return figures.p50_us end), 1),
    number(over(turns, function(figures) return figures.p99_us end), 1),
    number(over(turns, function(figures) return figures.rss_kb / 1024 end), 1),
    turns[1].server_us and raw[1]
      and ("%s (%s)"):format(number(over(turns, client_us), 2), number(over(raw, client_us), 2)) or nil,
  }
end

--- A line for what cannot be measured yet.
function report.missing(workload, way, why)
  return { workload.title, way.title, "not built yet: " .. why }
end

--- Aligned: words to the left, figures to the right.
---@param lines string[][]
---@param with_server boolean?  then each line has what of it is the client's
function report.print(lines, with_server)
  local header = table.move(columns, 1, #columns, 1, {})
  if with_server then table.insert(header, "client us (raw C)") end
  table.insert(lines, 1, header)
  local widths = {}
  for _, line in ipairs(lines) do
    for i, cell in ipairs(line) do
      if i <= 2 or #line == #header then widths[i] = math.max(widths[i] or 0, #cell) end
    end
  end
  for _, line in ipairs(lines) do
    local cells = {}
    for i, cell in ipairs(line) do
      local pad = (" "):rep((widths[i] or 0) - #cell)
      cells[i] = i <= 2 and cell .. pad or #line == #header and pad .. cell or cell
    end
    print((table.concat(cells, "  "):gsub("%s+$", "")))
  end
end

local function show_extra(extra, title, turns)
  local median, list = over(turns, function(figures) return figures[extra.name] end)
  if not median then return end
  local divide = extra.divide or 1
  local digits = extra.digits or 1
  local line = ("%s: %s %s"):format(title, number(median / divide, digits), extra.unit)
  if extra.limit then
    local worst = math.max(table.unpack(list)) / divide
    line = line .. (" (worst turn %s; goal %g: %s)"):format(number(worst, digits), extra.limit,
      worst <= extra.limit and "reached" or "NOT reached")
  end
  print(line)
end

--- The figures beside the table: medians, but the worst of all turns of what has a limit.
---@param workload bench.workload
---@param result {ways: table[][]}
function report.extras(workload, result)
  for _, extra in ipairs(plan.extras) do
    for place, turns in ipairs(extra.workload == workload.name and result.ways or {}) do
      local title = #result.ways == 1 and extra.title or extra.title .. ", " .. workload.ways[place].title
      show_extra(extra, title, turns)
    end
  end
end

--- Which of two workloads is done how much faster, on each side.
---@param database string
---@param results table<bench.workload, {raw: table[], ways: table[][]}>
function report.races(database, results)
  local by_title = {}
  for workload, result in pairs(results) do
    if type(workload) == "table" then by_title[workload.title] = result end
  end
  for _, race in ipairs(plan.races[database] or {}) do
    local first, second = by_title[race.first], by_title[race.second]
    if first and second then
      local raw = over(first.raw, throughput) / over(second.raw, throughput)
      local ours = over(first.ways[1], throughput) / over(second.ways[1], throughput)
      print(("%s: moonpool %.2f times, raw C %.2f times (goal %.1f: %s)"):format(race.title, ours, raw, race.goal,
        ours >= race.goal and "reached" or "NOT reached"))
    end
  end
end

--- What crossing to another thread adds, by moonpool and in raw C.
---@param results table<string, {raw: table[], ways: table[][]}>  by the name of the raw workload
function report.hop(results)
  local here, there = results.hop, results.hop_thread
  if not (here and there and here.ways[1][1] and there.ways[1][1]) then return end
  local function added(a, b, fn) return over(b, fn) - over(a, fn) end
  local function wall_us(figures) return figures.wall_us / figures.units end
  print(("the thread hop adds: %.1f us CPU, %.1f us to wait (raw C: %.1f us CPU, %.1f us to wait)"):format(
    added(here.ways[1], there.ways[1], cpu_us), added(here.ways[1], there.ways[1], wall_us),
    added(here.raw, there.raw, cpu_us), added(here.raw, there.raw, wall_us)))
end

return report
