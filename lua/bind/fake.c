/* fake.c - what specs need of the core: scripts of the fake database (core/backend/fake.h says what a script may say),
** and switching off what protects, so that a spec shows that it can fail. */
#include "hub.h"

#include "backend/fake.h"
#include "raise.h"

static int fake_script(lua_State *L)
{
  char why[256];
  const char *name = luaL_checkstring(L, 1);
  if (lua_isnil(L, 2)) {
    mp_fake_forget(name);
    return 0;
  }
  if (mp_fake_script(name, luaL_checkstring(L, 2), why, sizeof why) != MP_OK)
    return lmp_raise(L, MP_E_BAD_ARGUMENT, "fake database %s: %s", name, why);
  return 0;
}

static void set_count(lua_State *L, const char *key, int n)
{
  lua_pushinteger(L, n);
  lua_setfield(L, -2, key);
}

static int fake_log(lua_State *L)
{
  const char *name = luaL_checkstring(L, 1);
  const char *text;
  mp_fake_counts counts;
  if (!mp_fake_count(name, &counts))
    return lmp_raise(L, MP_E_BAD_ARGUMENT, "no fake database \"%s\"", name);
  lua_newtable(L);
  for (size_t i = 0; (text = mp_fake_asked(name, i, NULL)) != NULL; i++) {
    lua_pushstring(L, text);
    lua_rawseti(L, -2, (int)i + 1);
  }
  lua_createtable(L, 0, 5);
  set_count(L, "connects", counts.connects);
  set_count(L, "sessions", counts.sessions);
  set_count(L, "sessions_max", counts.sessions_max);
  set_count(L, "cancels", counts.cancels);
  set_count(L, "writers_max", counts.writers_max);
  return 2;
}

extern bool mp_pool_test_unfair, mp_postgres_test_no_barrier, mp_mariadb_test_no_barrier,
    mp_pace_test_slow_machine;

static int test_switch(lua_State *L)
{
  static const char *const names[] = {"unfair", "no_barrier", "slow_machine", NULL};
  static bool *const switches[][2] = {{&mp_pool_test_unfair, &mp_pool_test_unfair},
                                      {&mp_postgres_test_no_barrier, &mp_mariadb_test_no_barrier},
                                      {&mp_pace_test_slow_machine, &mp_pace_test_slow_machine}};
  int which = luaL_checkoption(L, 1, NULL, names);
  for (int i = 0; i < 2; i++)
    *switches[which][i] = lua_toboolean(L, 2);
  return 0;
}

void lmp_open_fakes(lua_State *L, int hub)
{
  static const luaL_Reg functions[] = {
      {"fake", fake_script}, {"fake_log", fake_log}, {"test_switch", test_switch}, {NULL, NULL}};
  lmp_add_functions(L, hub, functions);
}
