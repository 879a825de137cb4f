-- moonpool's side of the bench, run by the host: one workload in one variant, one line of figures.
--   moonpool spec/bench/program.lua w1 variant=objects url=sqlite:bench.db n=1000 ...
-- "create" makes the tables. For a profile unchecked=1 leaves out the checks between the measured parts, and
-- profile=1 prints the Lua lines that the time goes to instead of figures.

package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path

local mp = require "moonpool"
local measure = require "measure"

local name = assert((...), "which workload?")
local run = setmetatable({}, {
  __index = function(_, key) error(key .. " is missing", 2) end,
})
for _, argument in ipairs{ select(2, ...) } do
  local key, value = argument:match("^([%w_]+)=(.*)$")
  run[key] = math.tointeger(value) or value
end

measure.checked = rawget(run, "unchecked") ~= 1

local options = { url = run.url }
if rawget(run, "inline") then
  options.inline_reads = run.inline == 1
end
if rawget(run, "max") then
  options.pool = { max = run.max }
end
if rawget(run, "pipeline") then
  options.pool = options.pool or {}
  options.pool.pipeline = run.pipeline == 1
end
if rawget(run, "server") then
  measure.watch(run.server, run.database)
end
mp.configure(options)
if rawget(run, "threads") then
  measure.watch_threads(mp.db())
end
if rawget(run, "server") or rawget(run, "threads") then
  mp.db():ping() -- connected before anything counts
end

if name == "create" then
  require "entities"
  mp.db():create_all()
  return
end

-- Each 101st VM instruction says where it is: the caller's share of C functions counts as its own. The hook stays
-- between short measured parts, where setting it anew would begin to count anew.
local samples, sample_n, counts, hooked = {}, 0, false, false
if rawget(run, "profile") then
  local function sample()
    if not counts then return end
    local at = debug.getinfo(2, "Sl")
    local place = at and ("%s:%d"):format(at.short_src, at.currentline) or "?"
    samples[place] = (samples[place] or 0) + 1
    sample_n = sample_n + 1
  end

  function measure.on_start()
    counts = true
    if not hooked then debug.sethook(sample, "", 101) end -- a prime: loops have other lengths
    hooked = true
  end

  function measure.on_stop() counts = false end
end

local workload = require("workload." .. name)
local fn = workload[run.variant] or error(("%s has no variant %s"):format(name, run.variant))
local ok, extra = pcall(fn, run)
if not ok then
  if not mp.is(extra, "unsupported") then error(extra, 0) end
  print("unsupported " .. tostring(extra))
elseif sample_n > 0 then
  local places = {}
  for place in pairs(samples) do table.insert(places, place) end
  table.sort(places, function(a, b)
    if samples[a] ~= samples[b] then return samples[a] > samples[b] end
    return a < b
  end)
  for i = 1, math.min(30, #places) do
    print(("%5.1f %%  %s"):format(samples[places[i]] * 100 / sample_n, places[i]))
  end
else
  measure.report(extra)
end
mp.close_all()
