-- The runner behind scripts/bench: makes the data, lets raw C and moonpool take turns, compares what
-- both read or left, and prints the table. The first arguments are the directories of the checkout and of the build.

local root, build = assert(arg[1]), assert(arg[2])
package.path = root .. "/spec/bench/?.lua;" .. package.path

local plan = require "plan"
local process = require "process"
local profile = require "profile"
local report = require "report"

local function stop(code, ...)
  io.stderr:write("bench: ", table.concat({ ... }, " "), "\n")
  os.exit(code)
end

-- ---- what is wanted ----

local wanted = { database = "sqlite", turns = 5 }

local function choose(list)
  wanted.chosen = wanted.chosen or {}
  for name in list:gmatch("[^,]+") do
    table.insert(wanted.chosen, name:lower())
  end
end

local function read_arguments()
  local i = 3
  while arg[i] do
    local word = arg[i]
    if word == "--quick" then
      wanted.quick, wanted.turns = true, 1
    elseif word == "--check" then
      wanted.check = true
    elseif word == "--turns" or word == "--profile" or word == "--only" then
      i = i + 1
      wanted[word:sub(3)] = arg[i] or stop(2, word, "needs a value")
    elseif word:sub(1, 1) == "-" then
      stop(2, "no option", word .. ": see scripts/bench --help")
    elseif plan.databases[word] then
      wanted.database = word
    else
      choose(word)
    end
    i = i + 1
  end
  wanted.turns = math.tointeger(tonumber(wanted.turns)) or stop(2, "--turns takes a whole number")
  choose(wanted.profile or wanted.only or "")
  if wanted.turns < 1 then stop(2, "--turns takes a number from 1 on") end
end

read_arguments()

local workloads, names = {}, {}
for _, workload in ipairs(plan[wanted.database]) do
  if #wanted.chosen == 0 then table.insert(workloads, workload) end
  if not names[workload.name] then
    names[workload.name] = true
    table.insert(names, workload.name)
  end
end
for _, name in ipairs(wanted.chosen) do
  if not names[name] then stop(2, ('no workload "%s": there are %s'):format(name, table.concat(names, ", "))) end
  for _, workload in ipairs(plan[wanted.database]) do
    if workload.name == name then table.insert(workloads, workload) end
  end
end

if wanted.check then os.exit(0) end -- scripts/bench asks before it builds

-- ---- the programs of both sides ----

local raw_program = ("%s/bench/raw_%s"):format(build, wanted.database)
local fill_program = ("%s/bench/fill_%s"):format(build, wanted.database)
local tables = wanted.quick and plan.quick_tables or plan.tables

local function must(what, words)
  local ok, output = process.run(words)
  if not ok then stop(1, what, "failed:\n" .. output) end
  return output
end

local found, place = pcall(require("data." .. wanted.database).place,
  { build = build, quick = wanted.quick, run = must })
if not found then stop(1, place) end

local proxies = {} -- by their delay

local function place_of(workload)
  local delay_ms = workload.proxy_ms
  if not delay_ms then return place end
  local proxy = proxies[delay_ms]
  if not proxy then
    proxy = process.proxy(build .. "/bench/proxy", "127.0.0.1:" .. place.port, delay_ms,
      ("%s/bench/proxy-%s-ms"):format(build, delay_ms))
    proxy.place = place.at_port(proxy.port)
    proxies[delay_ms] = proxy
  end
  return proxy.place
end

local function command(first, ...)
  return table.move(process.arguments(tables, ...), 1, 100, #first + 1, first)
end

local function raw_command(workload, size)
  return command({ raw_program, workload.raw }, size, place_of(workload).raw)
end

local way_options = { "variant", "inline", "max", "pipeline", "tasks" }

local function way_command(workload, way, size)
  local options = {}
  for key, value in pairs(size) do options[key] = value end
  for _, key in ipairs(way_options) do options[key] = way[key] or options[key] end
  return command({ build .. "/moonpool", root .. "/spec/bench/program.lua", workload.module or workload.name },
    options, place_of(workload)[workload.tls and "tls_way" or "way"])
end

local function make_data()
  place.prepare()
  must("making the tables", way_command({ name = "create" }, {}, {}))
  must("filling the tables", command({ fill_program, "fill" }, place.raw))
end

-- ---- turns ----

--- Run one program. What a writing one left is summed up beside its own figures, then put back.
local function take_turn(title, words, writes)
  local figures, why, unsupported = process.figures(words)
  if unsupported then return nil, why end
  if not figures then stop(1, title, "failed:\n" .. why) end
  if writes then
    local left, problem = process.figures(command({ fill_program, "sum" }, place.raw))
    if not left then stop(1, title, "left a bad file:\n" .. problem) end
    figures.left = ("%d rows, sum %d"):format(left.units, left.checksum)
    must("putting the data back", command({ fill_program, "reset" }, place.raw))
  end
  return figures
end

--- What differs between two programs that did the same, or nil.
local function difference(raw, figures)
  for _, key in ipairs{ "units", "checksum", "left" } do
    if raw[key] ~= figures[key] then
      return ("%s: raw C %s, moonpool %s"):format(key, raw[key], figures[key])
    end
  end
  return nil
end

local function run_workload(workload)
  local size = wanted.quick and workload.quick or workload.size
  local result = { raw = {}, ways = {}, missing = {} }
  for number in ipairs(workload.ways) do result.ways[number] = {} end
  for turn = 1, wanted.turns do
    -- Each turn the other way round: whoever is first meets another machine than whoever is last.
    local first, last, step = 0, #workload.ways, 1
    if turn % 2 == 0 then first, last, step = last, first, -1 end
    for number = first, last, step do
      local way = workload.ways[number]
      if way and not result.missing[number] then
        result.ways[number][turn], result.missing[number] =
          take_turn(workload.title .. ", " .. way.title, way_command(workload, way, size), workload.writes)
      elseif number == 0 and workload.raw then
        result.raw[turn] = take_turn(workload.title .. ", raw C", raw_command(workload, size), workload.writes)
      end
    end
    for number, way in ipairs(workload.ways) do
      local figures = result.ways[number][turn]
      local differs = figures and workload.raw and difference(result.raw[turn], figures)
      if differs then stop(1, workload.title .. ", " .. way.title, "has another result,", differs) end
    end
  end
  return result
end

-- A check that cannot fail checks nothing: one select more has to be noticed.
local function check_the_check(workload)
  local raw = process.figures(raw_command(workload, workload.quick))
  local other = process.figures(raw_command(workload, { n = workload.quick.n + 1 }))
  if not (raw and other and difference(raw, other) and not difference(raw, raw)) then
    stop(1, "a different result went unnoticed")
  end
  print("a different result is noticed")
end

-- ---- the bench ----

make_data()

if wanted.profile then
  local workload = workloads[1]
  for _, way in ipairs(workload.ways) do
    print(("\n== %s, %s"):format(workload.title, way.title))
    local small, full = { unchecked = 1 }, { unchecked = 1 }
    for key, value in pairs(workload.size) do
      small[key], full[key] = math.max(workload.quick[key], value // 4), value
    end
    local ok, why = profile.show(way_command(workload, way, full), way_command(workload, way, small),
      ("%s/bench/profile.out"):format(build))
    if not ok then stop(1, "no profile:", why or "neither perf nor callgrind works here") end
  end
  place.remove()
  os.exit(0)
end

local lines, results = {}, {}
for _, workload in ipairs(workloads) do
  io.stderr:write(workload.title, " ...\n")
  local result = run_workload(workload)
  if workload.raw and not workload.proxy_ms then results[workload.raw] = result end
  results[workload] = result
  for number, way in ipairs(workload.ways) do
    table.insert(lines, result.missing[number] and report.missing(workload, way, result.missing[number])
      or report.line(workload, way, result.raw, result.ways[number]))
  end
end

print(("%s; CPU of all threads%s for one unit; %d turns; results equal on both sides"):format(
  must("the version", { build .. "/moonpool", "--version" }):match("[^\n]+"),
  place.port and " and of the server" or "", wanted.turns))
report.print(lines, place.port ~= nil)
for _, workload in ipairs(workloads) do
  report.extras(workload, results[workload])
end
report.hop(results)
report.races(wanted.database, results)
if wanted.quick then check_the_check(plan[wanted.database][1]) end
for _, proxy in pairs(proxies) do proxy.close() end
place.remove()
