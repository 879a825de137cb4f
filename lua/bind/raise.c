/* raise.c - error objects raised from C.
** What an error object is, and its traceback, is decided in errors.lua, which hands over its maker
** when it is loaded; the maker stands in the registry of its Lua state. */
#include "raise.h"

#include <stdarg.h>
#include <stdio.h>

static const char maker_key = 0;

static int plain_tostring(lua_State *L)
{
  lua_getfield(L, 1, "kind");
  lua_pushliteral(L, ": ");
  lua_getfield(L, 1, "message");
  lua_concat(L, 3);
  return 1;
}

/* kind and message are on the top. */
static void push_plain(lua_State *L)
{
  lua_createtable(L, 0, 4);
  lua_insert(L, -2);
  lua_setfield(L, -2, "message");
  lua_insert(L, -2);
  lua_setfield(L, -2, "kind");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "retryable");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "sent");
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, plain_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_setmetatable(L, -2);
}

static void push_message(lua_State *L, const char *format, va_list args)
{
  char room[512];
  va_list again;
  va_copy(again, args);
  int n = vsnprintf(room, sizeof room, format, args);
  if (n < (int)sizeof room) {
    lua_pushstring(L, n < 0 ? format : room);
  } else {
    char *large = lua_newuserdatauv(L, (size_t)n + 1, 0);
    vsnprintf(large, (size_t)n + 1, format, again);
    lua_pushlstring(L, large, (size_t)n);
    lua_remove(L, -2);
  }
  va_end(again);
}

static void push_error(lua_State *L, mp_status kind, const char *format, va_list args)
{
  luaL_checkstack(L, 8, "no room for an error");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &maker_key);
  lua_pushstring(L, mp_status_name(kind));
  push_message(L, format, args);
  if (lua_isnil(L, -3))
    push_plain(L);
  else
    lua_call(L, 2, 1);
}

int lmp_raise(lua_State *L, mp_status kind, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  push_error(L, kind, format, args);
  va_end(args);
  lua_error(L);
  __builtin_unreachable();
}

int lmp_raise_row(lua_State *L, mp_status kind, lua_Integer row, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  push_error(L, kind, format, args);
  va_end(args);
  lua_pushinteger(L, row);
  lua_setfield(L, -2, "row");
  lua_error(L);
  __builtin_unreachable();
}

int lmp_set_error_maker(lua_State *L)
{
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &maker_key);
  return 0;
}
