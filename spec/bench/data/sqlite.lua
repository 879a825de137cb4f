-- Where the bench has its data on SQLite: a file of its own in the build directory, made anew each time.

local sqlite = {}

---@class bench.place
---@field raw table<string, any>  what the raw C programs are told
---@field way table<string, any>  what moonpool's program is told
---@field url string
---@field prepare fun(place: bench.place)
---@field remove fun(place: bench.place)
---@field at_port? fun(place: bench.place, port: integer): bench.place  the same, seen through a proxy

---@param where {build: string, quick: boolean?, run: fun(what: string, words: string[]): string}
---@return bench.place
function sqlite.place(where)
  local path = ("%s/bench/%s.db"):format(where.build, where.quick and "quick" or "data")
  return {
    raw = { path = path },
    way = { url = "sqlite:" .. path },
    prepare = function()
      for _, suffix in ipairs{ "", "-wal", "-shm" } do os.remove(path .. suffix) end
    end,
    remove = function() end, -- the file stays, to be looked at
  }
end

return sqlite
