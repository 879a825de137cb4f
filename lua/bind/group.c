/* group.c - the rows of a prefetch into the lists of those that they belong to. */
#include "value.h"

#include <string.h>

typedef struct grouping {
  uint32_t *place_of; /* of each row; 0: it belongs to none */
  uint32_t *rows_at;  /* how many belong there, by place */
  lua_Integer place_n;
} grouping;

/* Push room for so many numbers, which are 0. */
static uint32_t *new_numbers(lua_State *L, size_t n)
{
  uint32_t *numbers = lua_newuserdatauv(L, (n + 1) * sizeof *numbers, 0);
  memset(numbers, 0, (n + 1) * sizeof *numbers);
  return numbers;
}

static void count_rows(lua_State *L, const grouping *g, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, 1, (int)i + 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    if (!lua_isnil(L, -1)) {
      lua_rawget(L, 3);
      lua_Integer place = lua_tointeger(L, -1);
      luaL_argcheck(L, place >= 0 && place <= g->place_n, 3, "no such place");
      g->place_of[i] = (uint32_t)place;
      g->rows_at[place]++;
    }
    lua_pop(L, 2);
  }
}

/* Push the list of that place, made in its size. */
static void push_list(lua_State *L, const grouping *g, uint32_t place)
{
  bool ordered = lua_toboolean(L, 6);
  lua_rawgeti(L, 4, (int)place);
  if (!lua_isnil(L, -1))
    return;
  lua_pop(L, 1);
  lua_createtable(L, (int)g->rows_at[place], ordered);
  if (ordered) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "ordered");
  }
  lua_pushvalue(L, -1);
  lua_rawseti(L, 4, (int)place);
}

/* group(rows, name, places, lists, n, ordered): places by what a row has under the name, 1 to n; the list of a place is lists[place],
** and is made where there is none. */
static int group(lua_State *L)
{
  grouping g;
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TSTRING);
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checktype(L, 4, LUA_TTABLE);
  lua_settop(L, 6);
  size_t n = lua_rawlen(L, 1);
  g.place_n = luaL_checkinteger(L, 5);
  luaL_argcheck(L, g.place_n >= 0 && g.place_n < INT32_MAX, 5, "number of places");
  g.place_of = new_numbers(L, n);
  g.rows_at = new_numbers(L, (size_t)g.place_n);
  count_rows(L, &g, n);

  uint32_t last = 0;
  int at = 0;
  lua_pushnil(L); /* the list of the last place */
  for (size_t i = 0; i < n; i++) {
    uint32_t place = g.place_of[i];
    if (place == 0)
      continue;
    if (place != last) {
      lua_pop(L, 1);
      push_list(L, &g, place);
      at = (int)lua_rawlen(L, -1);
      last = place;
    }
    lua_rawgeti(L, 1, (int)i + 1);
    lua_rawseti(L, -2, ++at);
  }
  return 0;
}

void lmp_open_group(lua_State *L)
{
  lua_pushcfunction(L, group);
  lua_setfield(L, -2, "group");
}
