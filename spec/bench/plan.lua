-- What the bench runs: workloads, their sizes, moonpool's ways of doing them, and the goals.
-- A workload has one raw C program as its denominator. The sizes are arguments of the programs on both sides.

local plan = {}

plan.databases = { sqlite = true, postgres = false, mariadb = false } -- whether there is a bench for it

-- Rows of each table; author keys beyond `authors` are those that a workload inserted.
plan.tables = { authors = 10000, books = 100000, items = 100000 }
plan.quick_tables = { authors = 200, books = 1000, items = 1000 }

---@class bench.way
---@field title string
---@field variant string     a function of the workload's module
---@field inline integer?    1: small reads on the loop's thread, 0: never; nil: as the library decides
---@field goal number?       CPU as a multiple of raw C

---@class bench.workload
---@field name string        module under workload/
---@field title string
---@field raw string?        workload of the raw C program; nil: there is nothing to compare with
---@field unit string
---@field writes boolean?    changes authors: what it left is summed up, compared and put back
---@field ways bench.way[]
---@field size table<string, integer>
---@field quick table<string, integer>

---@type bench.workload[]
plan.sqlite = {
  {
    name = "w1", raw = "w1", title = "W1 a book by key", unit = "select",
    size = { n = 50000 }, quick = { n = 200 },
    ways = {
      { title = "objects, inline", variant = "objects", inline = 1, goal = 2.0 },
      { title = "rows, inline", variant = "rows", inline = 1 },
      { title = "objects, thread", variant = "objects", inline = 0, goal = 6.0 },
      { title = "rows, thread", variant = "rows", inline = 0 },
    },
  },
  {
    name = "w3", raw = "w3", title = "W3 10,000 rows of 6 columns", unit = "row",
    size = { n = 10000, rounds = 20 }, quick = { n = 300, rounds = 2 },
    ways = {
      { title = "rows", variant = "rows", goal = 3.3 },
      { title = "objects", variant = "objects", goal = 3.8 },
    },
  },
  {
    name = "w4", raw = "w4", title = "W4 10,000 creates", unit = "insert", writes = true,
    size = { n = 10000, rounds = 3 }, quick = { n = 100, rounds = 2 },
    ways = { { title = "create in a loop", variant = "objects" } },
  },
  {
    name = "w5", raw = "w5", title = "W5 10,000 rows inserted", unit = "row", writes = true,
    size = { n = 10000, rounds = 5 }, quick = { n = 100, rounds = 2 },
    ways = {
      { title = "bulk_create", variant = "objects", goal = 2.0 },
      { title = "execute_many", variant = "rows" },
    },
  },
  {
    name = "w6", raw = "w6", title = "W6 filter, order, limit 100", unit = "query",
    size = { n = 1000 }, quick = { n = 20 },
    ways = {
      { title = "objects", variant = "objects", goal = 1.5 },
      { title = "rows", variant = "rows" },
    },
  },
  {
    name = "w8", raw = "w8", title = "W8 nested atomic, F update", unit = "block", writes = true,
    size = { n = 5000 }, quick = { n = 50 },
    ways = { { title = "objects", variant = "objects" } },
  },
  {
    name = "w9", raw = "w9", title = "W9 1,000,000 rows streamed", unit = "row",
    size = { n = 1000000 }, quick = { n = 20000 },
    ways = { { title = "rows", variant = "rows", goal = 2.0 } },
  },
  {
    name = "hop", raw = "hop", title = "hop: select ?, one thread", unit = "select",
    size = { n = 50000 }, quick = { n = 100 },
    ways = { { title = "fetch_val, inline", variant = "rows", inline = 1 } },
  },
  {
    name = "hop", raw = "hop_thread", title = "hop: select ?, two threads", unit = "select",
    size = { n = 20000 }, quick = { n = 100 },
    ways = { { title = "fetch_val, thread", variant = "rows", inline = 0 } },
  },
  {
    name = "ticker", title = "ticker beside a long statement", unit = "tick",
    size = { statement_ms = 200, rounds = 5 }, quick = { statement_ms = 10, rounds = 2 },
    ways = { { title = "sleep(0.001)", variant = "rows" } },
  },
}

-- Figures that a program of moonpool gives besides its CPU.
plan.extras = {
  { name = "growth_kb", workload = "w9", title = "W9 resident memory, from row 10,000 to the last", divide = 1024,
    unit = "MB", limit = 15 },
  { name = "p99_ms", workload = "ticker", title = "ticker, 99 % of its waits late by at most", unit = "ms", limit = 20 },
  { name = "worst_ms", workload = "ticker", title = "ticker, worst wait late by", unit = "ms", limit = 20 },
  { name = "statement_ms", workload = "ticker", title = "ticker, the long statement took", unit = "ms" },
}

return plan
