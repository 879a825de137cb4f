/* url.c - core/url.h for Lua: a database URL becomes a table of its parts.
** Nothing here repeats the URL, which may hold a password. */
#include "hub.h"

#include "raise.h"
#include "url.h"

static void set_text(lua_State *L, const char *key, const char *text)
{
  if (text == NULL)
    return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, key);
}

static int free_arena(lua_State *L)
{
  mp_arena **arena = lua_touserdata(L, 1);
  mp_arena_free(*arena);
  *arena = NULL;
  return 0;
}

/* An arena that is freed also when a Lua call raises. */
static mp_arena *guarded_arena(lua_State *L)
{
  mp_arena **guard = lua_newuserdata(L, sizeof(mp_arena *));
  *guard = NULL;
  if (luaL_newmetatable(L, "moonpool.arena")) {
    lua_pushcfunction(L, free_arena);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  *guard = mp_arena_new(0);
  if (*guard == NULL)
    lmp_raise(L, MP_E_OUT_OF_MEMORY, "no memory to read a database URL");
  return *guard;
}

static int parse_url(lua_State *L)
{
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  mp_arena *arena = guarded_arena(L);
  mp_url url;
  mp_error error;
  if (mp_url_parse(arena, text, n, &url, &error) != MP_OK)
    return lmp_raise(L, error.kind, "%s", error.message);
  lua_createtable(L, 0, 8);
  set_text(L, "scheme", url.scheme);
  set_text(L, "user", url.user);
  set_text(L, "password", url.password);
  set_text(L, "host", url.host);
  set_text(L, "database", url.database);
  if (url.port != 0) {
    lua_pushinteger(L, url.port);
    lua_setfield(L, -2, "port");
  }
  lua_createtable(L, url.option_n, 0);
  for (int i = 0; i < url.option_n; i++) {
    lua_createtable(L, 2, 0);
    lua_pushstring(L, url.options[i].name);
    lua_rawseti(L, -2, 1);
    lua_pushstring(L, url.options[i].value);
    lua_rawseti(L, -2, 2);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "options");
  return 1;
}

void lmp_open_urls(lua_State *L, int hub)
{
  static const luaL_Reg functions[] = {{"parse_url", parse_url}, {NULL, NULL}};
  lmp_add_functions(L, hub, functions);
}
