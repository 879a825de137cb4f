-- Where the bench has its data on MariaDB: a database of its own, made anew each time, on the server of
-- MOONPOOL_TEST_MARIADB, which scripts/bench starts when there is none. By TCP and without TLS, as the peers
-- were measured; the server runs on this machine, because its CPU counts.

local mariadb = {}

local function unescaped(text)
  return (text:gsub("%%(%x%x)", function(code) return string.char(tonumber(code, 16)) end))
end

-- The server of scripts/databases is named by its socket: its port is asked there.
local function parts_of(url)
  local user, password, host, port, database = url:match("^%w+://([^:@]*):?([^@]*)@([^/?]-):?(%d*)/([^?]*)")
  if not user then
    error("MOONPOOL_TEST_MARIADB is to be mariadb://user:password@host:port/database, not " .. url, 0)
  end
  host = unescaped(host)
  local by_socket = host:sub(1, 1) == "/"
  return {
    user = unescaped(user), password = unescaped(password), database = database,
    host = by_socket and "" or host, socket = by_socket and host or "", port = by_socket and "0" or port,
  }, url:match("^%w+://([^@]*)@")
end

---@param where {build: string, quick: boolean?, run: fun(what: string, words: string[]): string}
---@return bench.place
function mariadb.place(where)
  local url = os.getenv "MOONPOOL_TEST_MARIADB"
    or error("MOONPOOL_TEST_MARIADB names no server: scripts/bench starts one", 0)
  local parts, account = parts_of(url)
  local name = where.quick and "moonpool_bench_quick" or "moonpool_bench"
  local fill_program = where.build .. "/bench/fill_mariadb"

  local function administer(what, word)
    local words = { fill_program, word, "name=" .. name }
    for key, value in pairs(parts) do table.insert(words, key .. "=" .. value) end
    return where.run(what, words)
  end

  local function place_at(host, port)
    local function way(tls)
      return { url = ("mariadb://%s@%s:%d/%s?tls.mode=%s"):format(account, host, port, name, tls), threads = 1 }
    end
    return {
      port = port,
      raw = {
        user = parts.user, password = parts.password, database = name, host = host, port = port, socket = "",
      },
      way = way "off",
      tls_way = way "require",
    }
  end

  local place = { at_port = function(port) return place_at("127.0.0.1", port) end }

  function place.prepare()
    local port, flush = administer("making the database", "make"):match("port=(%d+) flush=(%d+)")
    if flush ~= "2" and not where.quick then
      error("the server is to run with innodb_flush_log_at_trx_commit=2, as the peers were measured, not " .. flush, 0)
    end
    for key, value in pairs(place_at(parts.host ~= "" and parts.host or "127.0.0.1", math.tointeger(tonumber(port)))) do
      place[key] = value
    end
  end

  function place.remove()
    administer("dropping the database", "drop")
  end

  return place
end

return mariadb
