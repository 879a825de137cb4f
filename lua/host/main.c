/* main.c - the program `moonpool`: finds its Lua files, makes the Lua state, and hands over to
** moonpool.host.main. Everything else about the command line is written in Lua. */
#include "signals.h"

#include "hub.h"

#include <lualib.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The way from the program's own directory to the Lua files: in a build, and when installed. */
#ifndef MOONPOOL_LUA_FROM_BUILD
#define MOONPOOL_LUA_FROM_BUILD "../lua"
#endif
#ifndef MOONPOOL_LUA_FROM_BIN
#define MOONPOOL_LUA_FROM_BIN "../share/lua/5.4"
#endif

static bool own_directory(char dir[PATH_MAX])
{
  ssize_t n = readlink("/proc/self/exe", dir, PATH_MAX - 1);
  char *slash;
  if (n <= 0)
    return false;
  dir[n] = '\0';
  slash = strrchr(dir, '/');
  if (slash == NULL)
    return false;
  *slash = '\0';
  return true;
}

/* Push the absolute path of the directory that holds moonpool/init.lua; false: there is none. */
static bool push_lua_directory(lua_State *L, const char *own)
{
  static const char *const ways[] = {MOONPOOL_LUA_FROM_BUILD, MOONPOOL_LUA_FROM_BIN};
  char real[PATH_MAX];
  for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
    lua_pushfstring(L, "%s/%s", own, ways[i]);
    if (realpath(lua_tostring(L, -1), real) != NULL) {
      lua_pushfstring(L, "%s/moonpool/host/main.lua", real);
      if (access(lua_tostring(L, -1), R_OK) == 0) {
        lua_pushstring(L, real);
        return true;
      }
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  return false;
}

/* package.path and cpath: ours first, then what Lua has. A ";" or "?" in the directory's name cannot be written there. */
static bool set_paths(lua_State *L)
{
  char own[PATH_MAX];
  const char *dir;
  if (!own_directory(own) || !push_lua_directory(L, own))
    return false;
  dir = lua_tostring(L, -1);
  if (strpbrk(dir, ";?") != NULL)
    return false;
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "path");
  lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s", dir, dir, lua_tostring(L, -1));
  lua_setfield(L, -3, "path");
  lua_settop(L, 0);
  return true;
}

static void preload(lua_State *L, const char *name, lua_CFunction open)
{
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, open);
  lua_setfield(L, -2, name);
  lua_pop(L, 2);
}

static int with_traceback(lua_State *L)
{
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

/* Run moonpool.host.main with the command line; it gives the exit code. */
static int run(lua_State *L)
{
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  luaL_openlibs(L);
  preload(L, "moonpool.core", luaopen_moonpool_core);
  if (!set_paths(L))
    return luaL_error(L,
                      "the library's Lua files (moonpool/init.lua) are neither in %s nor in %s "
                      "beside this program",
                      MOONPOOL_LUA_FROM_BUILD, MOONPOOL_LUA_FROM_BIN);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "moonpool.host.main");
  lua_call(L, 1, 1);
  lua_createtable(L, argc, 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lmp_push_signals(L);
  lua_call(L, 2, 1);
  return 1;
}

/* Where a standard stream is closed, the next file that is opened would get its number, and a print go into a
** database: /dev/null keeps the place. */
static void fill_standard_streams(void)
{
  int fd;
  do
    fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0)
    close(fd);
}

int main(int argc, char **argv)
{
  lua_State *L;
  int code = EXIT_FAILURE;
  fill_standard_streams();
  L = luaL_newstate();
  if (L == NULL) {
    fputs("moonpool: not enough memory\n", stderr);
    return code;
  }
  lua_pushcfunction(L, with_traceback);
  lua_pushcfunction(L, run);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  if (lua_pcall(L, 2, 1, 1) == LUA_OK)
    code = (int)lua_tointeger(L, -1);
  else
    fprintf(stderr, "moonpool: %s\n", lua_tostring(L, -1));
  lua_close(L);
  return code;
}
