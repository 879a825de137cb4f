rockspec_format = "3.0"
package = "moonpool"
version = "0.1.0-1"

source = {
  url = "git+https://github.com/moonpool/moonpool.git",
  tag = "v0.1.0",
}

description = {
  summary = "An asynchronous ORM for Lua",
  detailed = [[
moonpool maps Lua tables to database rows and never blocks: every call suspends the task that made it, and only
that task. Pool, leases and transactions are a core in C; the ORM is plain Lua on top of it.]],
  license = "MIT",
  labels = { "database", "orm", "async", "sqlite", "postgresql", "mariadb" },
}

supported_platforms = { "linux" }

dependencies = {
  "lua >= 5.4, < 5.5",
}

external_dependencies = {
  LIBUV = { header = "uv.h" },
  SQLITE = { header = "sqlite3.h" },
  PQ = { header = "postgresql/libpq-fe.h" },
  MARIADB = { header = "mariadb/mysql.h" },
  CRYPTO = { header = "openssl/bn.h" },
  PCRE2 = { header = "pcre2.h" },
  JANSSON = { header = "jansson.h" },
  MIMALLOC = { header = "mimalloc.h" },
}

build = {
  type = "cmake",
  variables = {
    CMAKE_BUILD_TYPE = "Release",
    CMAKE_INSTALL_PREFIX = "$(PREFIX)",
    MOONPOOL_WERROR = "OFF",
    MOONPOOL_LUAJIT = "OFF",
    MOONPOOL_BINDIR = "$(BINDIR)",
    MOONPOOL_LUADIR = "$(LUADIR)",
    MOONPOOL_LIBDIR = "$(LIBDIR)",
  },
}

test = {
  type = "command",
  command = "./scripts/test",
}
