/* compat.h - what Lua 5.4 has and LuaJIT lacks, so that the binding compiles for both.
** Only what the binding uses, under the names of Lua 5.4; what returns a type there returns nothing
** on LuaJIT (lua_getfield, lua_rawget, lua_rawgeti): never use that result. Whole numbers beyond
** 2^53 are value.h. */
#ifndef LMP_COMPAT_H
#define LMP_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#if LUA_VERSION_NUM < 502
#define LMP_JIT 1
#define LMP_TCDATA 10 /* LuaJIT's type of FFI values; lua.h does not name it */

#define LUA_OK 0
#define lua_rawlen(L, i) lua_objlen((L), (i))

static inline int lua_absindex(lua_State *L, int i)
{
  return i > 0 || i <= LUA_REGISTRYINDEX ? i : lua_gettop(L) + i + 1;
}

static inline void lua_rawgetp(lua_State *L, int i, const void *key)
{
  i = lua_absindex(L, i);
  lua_pushlightuserdata(L, (void *)(size_t)key);
  lua_rawget(L, i);
}

static inline void lua_rawsetp(lua_State *L, int i, const void *key)
{
  i = lua_absindex(L, i);
  lua_pushlightuserdata(L, (void *)(size_t)key);
  lua_insert(L, -2);
  lua_rawset(L, i);
}

/* The one user value of a userdata is its environment: a table, or nil where it still has that of
** its maker. */
static inline void *lua_newuserdatauv(lua_State *L, size_t n_bytes, int user_values)
{
  (void)user_values;
  return lua_newuserdata(L, n_bytes);
}

static inline void lua_setiuservalue(lua_State *L, int i, int n)
{
  (void)n;
  i = lua_absindex(L, i);
  if (lua_istable(L, -1))
    lua_setfenv(L, i);
  else if (lua_isnil(L, -1))
    lua_pop(L, 1);
  else
    luaL_error(L, "a user value is a table, not a %s", luaL_typename(L, -1));
}

static inline void lua_getiuservalue(lua_State *L, int i, int n)
{
  (void)n;
  lua_getfenv(L, i);
  if (lua_rawequal(L, -1, LUA_GLOBALSINDEX) || lua_rawequal(L, -1, LUA_ENVIRONINDEX)) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
}

#else
#define LMP_JIT 0
#define LMP_TCDATA (-2) /* no such type */
#endif

#endif
