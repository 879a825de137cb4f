/* array.c - the server's arrays as Lua arrays, and back.
** A dimension is a table, marked like mp.array, so that it goes back as it came; NULL is
** mp.null. In: a table of places inside an array is a dimension, one of names an item (JSON).
** Where an array starts counting is not kept. */
#include "value.h"

#include "json.h"

#include <limits.h>
#include <string.h>

#define DIMS_MAX 6

/* ---- out ---- */

/* Push the items from *item on that stand at a depth, as values of the kind (MP_NULL: as they are). */
static bool push_level(lua_State *L, int metas, const mp_array *array, int depth,
                       const mp_value **item, mp_kind want)
{
  int n = array->dim_n > 0 ? array->dims[depth] : 0;
  lua_createtable(L, n, 0);
  for (int i = 1; i <= n; i++) {
    if (depth + 1 < array->dim_n) {
      if (!push_level(L, metas, array, depth + 1, item, want))
        return false;
    } else if ((*item)->kind == MP_NULL) {
      lua_rawgeti(L, metas, LMP_META_NULL);
      ++*item;
    } else if (!lmp_push_cell(L, metas, (*item)++, want)) {
      return false;
    }
    lua_rawseti(L, -2, i);
  }
  lua_rawgeti(L, metas, LMP_META_ARRAY);
  lua_setmetatable(L, -2);
  return true;
}

static bool push_array(lua_State *L, int metas, const mp_array *array, mp_kind want)
{
  int top = lua_gettop(L);
  const mp_value *item = array->items;
  luaL_checkstack(L, DIMS_MAX + 8, "no room for an array");
  bool fine = push_level(L, metas, array, 0, &item, want);
  if (!fine)
    lua_settop(L, top);
  return fine;
}

bool lmp_push_array(lua_State *L, int metas, const mp_array *array)
{
  return push_array(L, metas, array, MP_NULL);
}

/* The items of the JSON array on the top as values of the kind; JSON knows fewer. */
static bool convert_items(lua_State *L, int metas, mp_kind want)
{
  int list = lua_gettop(L);
  int n = (int)lua_rawlen(L, list);
  for (int i = 1; i <= n; i++) {
    lmp_scratch room;
    mp_value value;
    const char *why;
    lua_rawgeti(L, list, i);
    if (!lmp_is_null(L, -1)) {
      if (!lmp_read_kind(L, -1, want, &value, &room, &why) || !lmp_push(L, metas, &value))
        return false;
      lua_rawseti(L, list, i);
    }
    lua_settop(L, list);
  }
  return true;
}

bool lmp_push_array_of(lua_State *L, int metas, const mp_value *cell, mp_kind item)
{
  int top = lua_gettop(L);
  if (cell->kind == MP_ARRAY)
    return push_array(L, metas, cell->a, item);
  if (cell->kind != MP_JSON && cell->kind != MP_TEXT)
    return false;
  luaL_checkstack(L, 8, "no room for an array");
  if (lmp_json_read(L, metas, cell->s, cell->len, NULL)) {
    if (lua_istable(L, -1) && lmp_is_array(L, metas, -1) && convert_items(L, metas, item))
      return true;
  }
  lua_settop(L, top);
  return false;
}

/* ---- in ---- */

typedef struct taking {
  lua_State *L;
  int metas;
  mp_arena *arena;
  int dims[DIMS_MAX], dim_n;
  mp_value *item;
  const char **why;
} taking;

static bool refuse(taking *t, const char *why)
{
  *t->why = why;
  return false;
}

static const char uneven[] = "the tables inside an array must be of one depth and of one length";

/* Is the value on the top a table of places? */
static bool is_sequence(taking *t)
{
  return lua_istable(t->L, -1) &&
         (lua_rawlen(t->L, -1) > 0 || lmp_is_array(t->L, t->metas, lua_gettop(t->L)));
}

/* The dimensions, from the first item of each table, starting at the one on the top. */
static bool measure(taking *t, size_t *n)
{
  int top = lua_gettop(t->L);
  *n = 1;
  for (t->dim_n = 0; t->dim_n == 0 || is_sequence(t); t->dim_n++) {
    size_t length = lua_rawlen(t->L, -1);
    if (t->dim_n == DIMS_MAX)
      return refuse(t, "an array has at most 6 dimensions");
    if (length == 0 && t->dim_n > 0)
      return refuse(t, "an array inside an array cannot be empty");
    if (length > INT_MAX || __builtin_mul_overflow(*n, length, n) ||
        *n > UINT32_MAX / sizeof(mp_value))
      return refuse(t, "an array of too many items");
    t->dims[t->dim_n] = (int)length;
    lua_rawgeti(t->L, -1, 1);
  }
  lua_settop(t->L, top);
  return true;
}

/* Has the table on the top only the places 1..n? */
static bool only_places(taking *t, int n)
{
  int count = 0;
  lua_pushnil(t->L);
  while (lua_next(t->L, -2)) {
    lua_pop(t->L, 1);
    count++;
  }
  return count == n;
}

/* The items of the table on the top. */
static bool take_level(taking *t, int depth)
{
  int n = t->dims[depth];
  if (lua_rawlen(t->L, -1) != (size_t)n)
    return refuse(t, uneven);
  if (!only_places(t, n))
    return refuse(t, "an array has neither names nor holes (put mp.null there)");
  for (int i = 1; i <= n; i++) {
    bool fine;
    lua_rawgeti(t->L, -1, i);
    if (depth + 1 < t->dim_n)
      fine = is_sequence(t) ? take_level(t, depth + 1) : refuse(t, uneven);
    else if (is_sequence(t))
      fine = refuse(t, uneven);
    else
      fine = lmp_to_value(t->L, -1, t->arena, t->item++, t->why);
    lua_pop(t->L, 1);
    if (!fine)
      return false;
  }
  return true;
}

bool lmp_to_array(lua_State *L, int idx, mp_arena *arena, mp_value *out, const char **why)
{
  int top = lua_gettop(L);
  taking t = {.L = L, .arena = arena, .why = why};
  mp_array *array = mp_arena_alloc(arena, sizeof *array);
  int *dims = mp_arena_alloc(arena, sizeof t.dims);
  size_t n;
  if (!lua_istable(L, idx))
    return refuse(&t, lmp_form(MP_ARRAY));
  luaL_checkstack(L, 2 * DIMS_MAX + 8, "no room for an array");
  idx = lua_absindex(L, idx);
  t.metas = lmp_push_metas(L);
  lua_pushvalue(L, idx);
  bool fine = measure(&t, &n);
  if (fine) {
    mp_value *items = t.item = mp_arena_alloc(arena, (n + 1) * sizeof *items);
    fine = items != NULL && array != NULL && dims != NULL ? take_level(&t, 0)
                                                          : refuse(&t, "out of memory");
    if (fine) {
      memcpy(dims, t.dims, sizeof t.dims);
      *array = (mp_array){.dim_n = n > 0 ? t.dim_n : 0, .dims = dims, .n = n, .items = items};
      *out = (mp_value){.kind = MP_ARRAY, .a = array};
    }
  }
  lua_settop(L, top);
  return fine;
}
