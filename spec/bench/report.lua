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

local function cpu_us(figures) return figures.cpu_us / figures.units end

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
    number(over(turns, function(figures) return figures.units / figures.wall_us * 1e6 end), 0),
    number(over(turns, function(figures) return figures.p50_us end), 1),
    number(over(turns, function(figures) return figures.p99_us end), 1),
    number(over(turns, function(figures) return figures.rss_kb / 1024 end), 1),
  }
end

--- A line for what cannot be measured yet.
function report.missing(workload, way, why)
  return { workload.title, way.title, "not built yet: " .. why }
end

--- Aligned: words to the left, figures to the right.
---@param lines string[][]
function report.print(lines)
  table.insert(lines, 1, columns)
  local widths = {}
  for _, line in ipairs(lines) do
    for i, cell in ipairs(line) do
      if i <= 2 or #line == #columns then widths[i] = math.max(widths[i] or 0, #cell) end
    end
  end
  for _, line in ipairs(lines) do
    local cells = {}
    for i, cell in ipairs(line) do
      local pad = (" "):rep((widths[i] or 0) - #cell)
      cells[i] = i <= 2 and cell .. pad or #line == #columns and pad .. cell or cell
    end
    print((table.concat(cells, "  "):gsub("%s+$", "")))
  end
end

--- The figures beside the table: medians, but the worst of all turns of what has a limit.
---@param name string  of the workload
---@param turns table<string, number>[]
function report.extras(name, turns)
  for _, extra in ipairs(plan.extras) do
    local median, list = over(turns, function(figures) return figures[extra.name] end)
    if extra.workload == name and median then
      local divide = extra.divide or 1
      local line = ("%s: %.1f %s"):format(extra.title, median / divide, extra.unit)
      if extra.limit then
        local worst = math.max(table.unpack(list)) / divide
        line = line .. (" (worst turn %.1f; goal %g: %s)"):format(worst, extra.limit,
          worst <= extra.limit and "reached" or "NOT reached")
      end
      print(line)
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
