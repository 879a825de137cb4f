-- What the bench runs: workloads, their sizes, moonpool's ways of doing them, and the goals.
-- A workload has one raw C program as its denominator. The sizes are arguments of the programs on both sides.

local plan = {}

plan.databases = { sqlite = true, postgres = true, mariadb = true }

-- Rows of each table; author keys beyond `authors` are those that a workload inserted.
plan.tables = { authors = 10000, books = 100000, items = 100000 }
plan.quick_tables = { authors = 200, books = 1000, items = 1000 }

---@class bench.way
---@field title string
---@field variant string     a function of the workload's module
---@field inline integer?    1: small reads on the loop's thread, 0: never; nil: as the library decides
---@field max integer?       connections at most
---@field pipeline integer?  0: no connection is shared
---@field goal number?       CPU as a multiple of raw C

---@class bench.workload
---@field name string
---@field module string?      under workload/, where it is not called like the workload
---@field title string
---@field raw string?        workload of the raw C program; nil: there is nothing to compare with
---@field unit string
---@field tls boolean?       moonpool's way is by TLS
---@field proxy_ms integer?  each way of client and server to each other takes that long
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
    ways = { { title = "create in a loop", variant = "objects" }, { title = "flushed by a session", variant = "session" } },
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
    name = "w7", raw = "w7", title = "W7 1,000 authors, their books", unit = "object",
    size = { n = 1000, rounds = 10 }, quick = { n = 50, rounds = 2 },
    ways = { { title = "prefetch", variant = "objects" } },
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
    name = "shape", title = "shape: build and compile", unit = "query",
    size = { n = 20000 }, quick = { n = 200 },
    ways = {
      { title = "known, one key", variant = "known_key" },
      { title = "known, list and order", variant = "known_list" },
      { title = "known, expressions", variant = "known_expression" },
      { title = "new", variant = "new_filter" },
    },
  },
  {
    name = "ticker", title = "ticker beside a long statement", unit = "tick",
    size = { statement_ms = 200, rounds = 5 }, quick = { statement_ms = 10, rounds = 2 },
    ways = { { title = "sleep(0.001)", variant = "rows" } },
  },
}

local objects_and_rows = { { title = "objects", variant = "objects" }, { title = "rows", variant = "rows" } }

local function ways(goals)
  local list = {}
  for i, way in ipairs(objects_and_rows) do
    list[i] = { title = way.title, variant = way.variant, goal = goals[way.variant] }
  end
  return list
end

---@type bench.workload[]
plan.postgres = {
  {
    name = "w1", raw = "w1", title = "W1 a book by key", unit = "select",
    size = { n = 20000 }, quick = { n = 200 }, ways = ways{ objects = 1.3 },
  },
  {
    name = "w2", raw = "w2", title = "W2 the same, 64 tasks, 10 connections", unit = "select",
    size = { n = 40000, tasks = 64, conns = 10, alone = 0 }, quick = { n = 400, tasks = 64, conns = 10, alone = 0 },
    ways = {
      { title = "objects", variant = "objects", max = 10, goal = 1.3 },
      { title = "objects, pipelining off", variant = "objects", max = 10, pipeline = 0 },
      { title = "rows", variant = "rows", max = 10 },
    },
  },
  {
    -- The cheapest program has one Sync for all that it sends at once; none can fail with another in this one.
    name = "w2", raw = "w2", title = "W2 against a Sync for each in raw C", unit = "select",
    size = { n = 40000, tasks = 64, conns = 10, alone = 1 }, quick = { n = 400, tasks = 64, conns = 10, alone = 1 },
    ways = { { title = "objects", variant = "objects", max = 10, goal = 1.3 } },
  },
  {
    name = "w3", raw = "w3", title = "W3 10,000 rows of 6 columns", unit = "row",
    size = { n = 10000, rounds = 20 }, quick = { n = 300, rounds = 2 }, ways = ways{ rows = 1.9, objects = 2.2 },
  },
  {
    name = "w3b", module = "w3", raw = "w3", title = "W3b 100,000 rows of 6 columns", unit = "row",
    size = { n = 100000, rounds = 3 }, quick = { n = 1000, rounds = 2 }, ways = ways{ rows = 2.2, objects = 2.5 },
  },
  {
    name = "w4", raw = "w4", title = "W4 10,000 creates", unit = "insert", writes = true,
    size = { n = 10000, rounds = 2, looks = 0 }, quick = { n = 100, rounds = 2, looks = 0 },
    ways = {
      { title = "create in a loop", variant = "objects", goal = 3.2 },
      { title = "flushed by a session", variant = "session", goal = 0.9 },
    },
  },
  {
    -- A create gives its key before the next one begins; the cheapest program sends all and reads the keys later.
    name = "w4", raw = "w4", title = "W4 against raw C that reads each key", unit = "insert", writes = true,
    size = { n = 10000, rounds = 2, looks = 1 }, quick = { n = 100, rounds = 2, looks = 1 },
    ways = { { title = "create in a loop", variant = "objects" } },
  },
  {
    name = "w5", raw = "w5", title = "W5 10,000 rows inserted", unit = "row", writes = true,
    size = { n = 10000, rounds = 5 }, quick = { n = 100, rounds = 2 },
    ways = {
      { title = "bulk_create", variant = "objects", goal = 1.5 },
      { title = "execute_many", variant = "rows" },
    },
  },
  {
    name = "w5c", module = "w5", raw = "w5c", title = "W5c the same by COPY", unit = "row", writes = true,
    size = { n = 10000, rounds = 5 }, quick = { n = 100, rounds = 2 },
    ways = { { title = "copy_in", variant = "copy", goal = 1.2 } },
  },
  {
    name = "w6", raw = "w6", title = "W6 filter, order, limit 100", unit = "query",
    size = { n = 1000 }, quick = { n = 20 }, ways = ways{ objects = 1.4 },
  },
  {
    name = "w7", raw = "w7", title = "W7 1,000 authors, their books", unit = "object",
    size = { n = 1000, rounds = 10 }, quick = { n = 50, rounds = 2 },
    ways = { { title = "prefetch", variant = "objects", goal = 2.2 } },
  },
  {
    name = "w8", raw = "w8", title = "W8 nested atomic, F update", unit = "block", writes = true,
    size = { n = 5000, looks = 0 }, quick = { n = 50, looks = 0 },
    ways = { { title = "objects", variant = "objects", goal = 1.6 } },
  },
  {
    -- A block ends after its body has seen what the update did; the cheapest program commits unseen.
    name = "w8", raw = "w8", title = "W8 against two flights in raw C", unit = "block", writes = true,
    size = { n = 5000, looks = 1 }, quick = { n = 50, looks = 1 },
    ways = { { title = "objects", variant = "objects" } },
  },
  {
    name = "w9", raw = "w9", title = "W9 1,000,000 rows streamed", unit = "row",
    size = { n = 1000000 }, quick = { n = 20000 },
    ways = { { title = "rows", variant = "rows", goal = 1.6 } },
  },
  {
    name = "w1", raw = "w1", title = "W1, 1 ms each way", unit = "select", proxy_ms = 1,
    size = { n = 500 }, quick = { n = 20 }, ways = { { title = "objects", variant = "objects" } },
  },
  {
    name = "w2", raw = "w2", title = "W2, 1 ms each way, one pipelined connection", unit = "select", proxy_ms = 1,
    size = { n = 20000, tasks = 64, conns = 1, alone = 0 }, quick = { n = 400, tasks = 64, conns = 1, alone = 0 },
    ways = { { title = "objects", variant = "objects", max = 1 } },
  },
  {
    -- As many tasks as connections: each waits for its own answer.
    name = "w2", raw = "w2", title = "W2, 1 ms each way, ten plain connections", unit = "select", proxy_ms = 1,
    size = { n = 10000, tasks = 10, conns = 10, alone = 1 }, quick = { n = 200, tasks = 10, conns = 10, alone = 1 },
    ways = { { title = "objects, 64 tasks", variant = "objects", max = 10, pipeline = 0, tasks = 64 } },
  },
  {
    name = "w8", raw = "w8", title = "W8, 1 ms each way", unit = "block", writes = true, proxy_ms = 1,
    size = { n = 300, looks = 0 }, quick = { n = 20, looks = 0 }, ways = { { title = "objects", variant = "objects" } },
  },
}

---@type bench.workload[]
plan.mariadb = {
  {
    name = "w1", raw = "w1", title = "W1 a book by key", unit = "select",
    size = { n = 20000 }, quick = { n = 200 }, ways = ways{ objects = 1.5 },
  },
  {
    name = "w2", raw = "w2", title = "W2 64 tasks, 10 connections, raw C as text", unit = "select",
    size = { n = 40000, tasks = 64, conns = 10, prepared = 0 }, quick = { n = 400, tasks = 64, conns = 10, prepared = 0 },
    ways = {
      { title = "objects", variant = "objects", max = 10, goal = 1.2 },
      { title = "rows", variant = "rows", max = 10 },
    },
  },
  {
    name = "w2", raw = "w2", title = "W2 the same, raw C prepared", unit = "select",
    size = { n = 40000, tasks = 64, conns = 10, prepared = 1 }, quick = { n = 400, tasks = 64, conns = 10, prepared = 1 },
    ways = { { title = "objects", variant = "objects", max = 10, goal = 1.5 } },
  },
  {
    name = "w3", raw = "w3", title = "W3 10,000 rows of 6 columns", unit = "row",
    size = { n = 10000, rounds = 20 }, quick = { n = 300, rounds = 2 }, ways = ways{ rows = 2.1, objects = 2.4 },
  },
  {
    name = "w4", raw = "w4", title = "W4 10,000 creates", unit = "insert", writes = true,
    size = { n = 10000, rounds = 2 }, quick = { n = 100, rounds = 2 },
    ways = {
      { title = "create in a loop", variant = "objects", goal = 1.6 },
      { title = "flushed by a session", variant = "session", goal = 0.4 },
    },
  },
  {
    name = "w5", raw = "w5", title = "W5 10,000 rows inserted", unit = "row", writes = true,
    size = { n = 10000, rounds = 5 }, quick = { n = 100, rounds = 2 },
    ways = {
      { title = "bulk_create", variant = "objects", goal = 1.5 },
      { title = "execute_many", variant = "rows" },
    },
  },
  {
    name = "w6", raw = "w6", title = "W6 filter, order, limit 100", unit = "query",
    size = { n = 1000 }, quick = { n = 20 }, ways = ways{ objects = 1.3 },
  },
  {
    name = "w7", raw = "w7", title = "W7 1,000 authors, their books", unit = "object",
    size = { n = 1000, rounds = 10 }, quick = { n = 50, rounds = 2 },
    ways = { { title = "prefetch", variant = "objects" } },
  },
  {
    name = "w9", raw = "w9", title = "W9 1,000,000 rows streamed", unit = "row",
    size = { n = 1000000 }, quick = { n = 20000 },
    ways = { { title = "rows", variant = "rows", goal = 4.0 } },
  },
  {
    name = "flight", title = "ten statements by TLS, 10 ms each way", unit = "statement", proxy_ms = 10, tls = true,
    size = { n = 10, rounds = 5 }, quick = { n = 10, rounds = 1 },
    ways = { { title = "serial, then at once", variant = "rows", max = 10 } },
  },
}

-- What the speed of one workload is to be as a multiple of another's, on each side.
plan.races = {
  postgres = {
    {
      title = "W2, 1 ms each way: one pipelined connection against ten plain ones", goal = 1.8,
      first = "W2, 1 ms each way, one pipelined connection", second = "W2, 1 ms each way, ten plain connections",
    },
  },
}

-- Figures that a program of moonpool gives besides its CPU.
plan.extras = {
  { name = "growth_kb", workload = "w9", title = "W9 resident memory, from row 10,000 to the last", divide = 1024,
    unit = "MB", limit = 15 },
  { name = "rss_kb", workload = "w3b", title = "W3b peak memory", divide = 1024, unit = "MB", limit = 110 },
  { name = "p99_ms", workload = "ticker", title = "ticker, 99 % of its waits late by at most", unit = "ms", limit = 20 },
  { name = "worst_ms", workload = "ticker", title = "ticker, worst wait late by", unit = "ms", limit = 20 },
  { name = "share", workload = "flight", title = "ten statements at once, as a share of one after the other", unit = "of it",
    limit = 0.2, digits = 3 },
  { name = "serial_ms", workload = "flight", title = "one after the other they took", unit = "ms" },
  { name = "at_once_ms", workload = "flight", title = "at once they took", unit = "ms" },
  { name = "worst_ms", workload = "flight", title = "ticker beside them, worst wait late by", unit = "ms" },
  { name = "statement_ms", workload = "ticker", title = "ticker, the long statement took", unit = "ms" },
}

return plan
