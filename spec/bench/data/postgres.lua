-- Where the bench has its data on PostgreSQL: a database of its own, made anew each time, on the server of
-- MOONPOOL_TEST_POSTGRES, which scripts/bench starts when there is none. By TCP and without TLS, as the peers
-- were measured; the server runs on this machine, because its CPU counts.

local postgres = {}

-- The user, the password and the port; the server of scripts/databases is named by its socket.
local function parts_of(url)
  local user, host, port = url:match("^%w+://([^@]*)@([^/?]-):?(%d*)/")
  if not user then
    error("MOONPOOL_TEST_POSTGRES is to be postgres://user:password@host:port/database, not " .. url, 0)
  end
  return user, host:find("%%2[fF]") and "127.0.0.1" or host, port == "" and "5432" or port,
    url:match("^%w+://[^/]*/([^?]*)")
end

---@param where {build: string, quick: boolean?, run: fun(what: string, words: string[]): string}
---@return bench.place
function postgres.place(where)
  local url = os.getenv "MOONPOOL_TEST_POSTGRES"
    or error("MOONPOOL_TEST_POSTGRES names no server: scripts/bench starts one", 0)
  local user, host, port, maintenance = parts_of(url)
  local name = where.quick and "moonpool_bench_quick" or "moonpool_bench"
  local fill_program = where.build .. "/bench/fill_postgres"

  -- Each side has its own word for "without TLS".
  local function url_of(database, at, option)
    return ("postgres://%s@%s/%s?%s"):format(user, at, database, option)
  end

  local admin = "conninfo=" .. url_of(maintenance, host .. ":" .. port, "sslmode=disable")
  local server
  local function place_at(at)
    return {
      raw = { conninfo = url_of(name, at, "sslmode=disable"), server = server },
      way = { url = url_of(name, at, "tls.mode=off"), server = server, database = name },
    }
  end

  local place = place_at(host .. ":" .. port)
  place.port = math.tointeger(tonumber(port))

  function place.prepare()
    local output = where.run("making the database", { fill_program, "make", admin, "name=" .. name })
    server = math.tointeger(tonumber(output:match("server=(%d+)")))
    place.raw.server, place.way.server = server, server
  end

  function place.remove()
    where.run("dropping the database", { fill_program, "drop", admin, "name=" .. name })
  end

  function place.at_port(there)
    return place_at("127.0.0.1:" .. there)
  end

  return place
end

return postgres
