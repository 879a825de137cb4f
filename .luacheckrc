-- What luacheck knows of this project. The library runs on Lua 5.4 and on LuaJIT, so it may use only what
-- both have; specs, examples and scripts are Lua 5.4.

std = "lua54"
max_line_length = false
exclude_files = { "build" }
-- An interface that declares its parameters, a method that needs no self.
unused_args = false
self = false

stds.library = {
  read_globals = {
    "unpack", "loadstring", "setfenv", "getfenv", "newproxy", "jit",
    table = { fields = { "unpack", "pack", "move", "maxn" } },
    math = { fields = { "type", "tointeger", "maxinteger", "mininteger" } },
    string = { fields = { "pack", "unpack" } },
    coroutine = {
      fields = {
        "isyieldable",
        close = { read_only = false }, wrap = { read_only = false }, resume = { read_only = false },
        status = { read_only = false }, running = { read_only = false },
      },
    },
  },
}

-- A spec may catch what is printed.
stds.spec = {
  read_globals = { io = { fields = { stdout = { read_only = false }, stderr = { read_only = false } } } },
}

files["lua/moonpool"] = { std = "min+library" }
files["spec"] = { std = "lua54+busted+spec" }
files["spec/unit"] = { std = "lua54+busted+spec+library" }
files["**/*.meta.lua"] = { unused = false }
