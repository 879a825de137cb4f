/* original.c - what the database holds of one object, to find out what changed in it.
** One userdata without __gc: the row's cells as the database gave them and the bytes they point at.
** They are decoded only where they are compared, so loading an object costs one allocation and no
** Lua value more. */
#include "value.h"

#include "json.h"
#include "raise.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct original {
  uint32_t n;
  uint32_t unused; /* so that the cells are aligned */
  mp_value cells[];
} original;

/* Does it point at nothing? */
static inline bool is_flat(const mp_value *cell)
{
  const unsigned flat = 1u << MP_NULL | 1u << MP_BOOL | 1u << MP_INT | 1u << MP_FLOAT |
                        1u << MP_DATE | 1u << MP_TIME | 1u << MP_DATETIME | 1u << MP_WALLTIME;
  return (flat >> cell->kind & 1) != 0 || (cell->kind == MP_DECIMAL && cell->small);
}

static size_t dims_bytes(const mp_array *array)
{
  return (size_t)array->dim_n * sizeof *array->dims;
}

/* The room that the cell needs outside of itself. */
static size_t room_of(const mp_value *cell)
{
  size_t room = lmp_cell_bytes(cell);
  if (cell->kind == MP_INTERVAL)
    return room + _Alignof(mp_interval);
  if (cell->kind != MP_ARRAY)
    return room;
  room = _Alignof(mp_value) + sizeof *cell->a + cell->a->n * sizeof *cell->a->items;
  for (size_t i = 0; i < cell->a->n; i++)
    room += room_of(&cell->a->items[i]);
  return room + dims_bytes(cell->a);
}

/* Copy what the cell points at to p and make the cell point there; behind it. */
static char *move_to(char *p, mp_value *cell)
{
  size_t bytes = lmp_cell_bytes(cell);
  if (cell->kind == MP_ARRAY) {
    p += -(uintptr_t)p % _Alignof(mp_value);
    mp_array *array = (mp_array *)p;
    mp_value *items = (mp_value *)(array + 1);
    int *dims = (int *)(items + cell->a->n);
    *array = *cell->a;
    if (array->n > 0)
      memcpy(items, array->items, array->n * sizeof *items);
    if (array->dim_n > 0)
      memcpy(dims, array->dims, dims_bytes(array));
    array->items = items;
    array->dims = dims;
    cell->a = array;
    p = (char *)(dims + array->dim_n);
    for (size_t i = 0; i < array->n; i++)
      p = move_to(p, &items[i]);
    return p;
  }
  if (bytes == 0)
    return p;
  if (cell->kind == MP_INTERVAL)
    p += -(uintptr_t)p % _Alignof(mp_interval);
  memcpy(p, cell->s, bytes);
  cell->s = p;
  return p + bytes;
}

void lmp_push_original(lua_State *L, int metas, const mp_value *cells, int n)
{
  size_t room = sizeof(original) + (size_t)n * sizeof *cells;
  for (int i = 0; i < n; i++)
    if (!is_flat(&cells[i]))
      room += room_of(&cells[i]);
  original *made = lua_newuserdatauv(L, room, 1);
  made->n = (uint32_t)n;
  if (n > 0)
    memcpy(made->cells, cells, (size_t)n * sizeof *cells);

  char *p = (char *)(made->cells + n);
  for (int i = 0; i < n; i++)
    if (!is_flat(&cells[i]))
      p = move_to(p, &made->cells[i]);
  lua_rawgeti(L, metas, LMP_META_ORIGINAL);
  lua_setmetatable(L, -2);
}

/* ---- the plan: names and kinds of the columns ---- */

typedef struct plan {
  int names, kinds; /* places of the arrays on the stack */
  int n;
} plan;

static plan check_plan(lua_State *L, int idx)
{
  plan p;
  luaL_checktype(L, idx, LUA_TTABLE);
  lua_getfield(L, idx, "names");
  lua_getfield(L, idx, "kinds");
  p.kinds = lua_gettop(L);
  p.names = p.kinds - 1;
  luaL_argcheck(L, lua_istable(L, p.names) && lua_istable(L, p.kinds), idx,
                "a plan has names and kinds");
  p.n = (int)lua_rawlen(L, p.names);
  return p;
}

static mp_kind kind_at(lua_State *L, const plan *p, int i)
{
  lua_rawgeti(L, p->kinds, i);
  lua_Integer kind = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return lmp_kind_of_number(kind);
}

static original *check_original(lua_State *L)
{
  original *self = NULL;
  if (lua_type(L, 1) == LUA_TUSERDATA && lua_getmetatable(L, 1)) {
    lmp_push_metas(L);
    lua_rawgeti(L, -1, LMP_META_ORIGINAL);
    if (lua_rawequal(L, -1, -3))
      self = lua_touserdata(L, 1);
    lua_pop(L, 3);
  }
  luaL_argcheck(L, self != NULL, 1, "an original expected");
  return self;
}

/* Self at 1 and a plan for it at idx. */
static original *check_both(lua_State *L, int idx, plan *p)
{
  original *self = check_original(L);
  *p = check_plan(L, idx);
  luaL_argcheck(L, p->n == (int)self->n, idx, "the plan is that of another original");
  return self;
}

static int not_of_kind(lua_State *L, const plan *p, int i, const mp_value *cell, mp_kind want)
{
  lua_rawgeti(L, p->names, i);
  return lmp_raise(L, MP_E_TYPE_MISMATCH, "column \"%s\": what the database holds is no %s",
                   lua_tostring(L, -1), lmp_no_cell(cell, want));
}

/* ---- core.original ---- */

/* A value to be packed whose bytes are in the buffer; its place there is in .i until the buffer is
** final. */
static void keep(mp_value *cell, const char *bytes, size_t n, uint8_t *kept, lmp_buffer *buffer)
{
  size_t place = buffer->n;
  lmp_buffer_add(buffer, bytes, n);
  cell->len = (uint32_t)n;
  cell->i = (int64_t)place;
  *kept = 1;
}

/* The arrays of a row that is packed are in *arena, made when there is one. */
static void pack_one(lua_State *L, int metas, const plan *p, int i, mp_value *cell, uint8_t *kept,
                     lmp_buffer *buffer, mp_arena **arena)
{
  lmp_scratch room;
  const char *why = NULL;
  mp_kind want = kind_at(L, p, i);
  *cell = MP_VALUE_NULL;
  *kept = 0;
  if (lmp_is_null(L, -1))
    return;
  if (want == MP_JSON) {
    size_t place = buffer->n;
    if (!lmp_json_write(L, metas, -1, false, buffer, room.why)) {
      why = room.why;
    } else {
      *cell =
          (mp_value){.kind = MP_JSON, .len = (uint32_t)(buffer->n - place), .i = (int64_t)place};
      *kept = 1;
    }
  } else if ((want & LMP_KIND_MASK) == MP_ARRAY) {
    why = "out of memory";
    if (*arena == NULL)
      *arena = mp_arena_new(0);
    if (*arena != NULL && lmp_to_array(L, -1, *arena, cell, &why))
      why = NULL;
  } else if (lmp_read_kind(L, -1, want, cell, &room, &why)) {
    why = NULL;
    if (cell->kind == MP_INTERVAL && cell->v == &room.interval)
      keep(cell, (const char *)&room.interval, sizeof room.interval, kept, buffer);
    else if (lmp_cell_bytes(cell) > 0 && cell->kind != MP_INTERVAL && cell->s == room.text)
      keep(cell, room.text, cell->len, kept, buffer);
  }
  if (why != NULL) {
    snprintf(room.text, sizeof room.text, "%s", why); /* may be in the arena */
    mp_arena_free(*arena);
    lua_rawgeti(L, p->names, i);
    lmp_raise(L, MP_E_BAD_ARGUMENT, "column \"%s\": %s", lua_tostring(L, -1), room.text);
  }
}

static int new_original(lua_State *L)
{
  lmp_buffer buffer;
  mp_arena *arena = NULL;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 3);
  plan p = check_plan(L, 2);
  int metas = lmp_push_metas(L);
  mp_value *cells = lua_newuserdatauv(L, (size_t)p.n * (sizeof *cells + 1) + 1, 0);
  uint8_t *kept = (uint8_t *)(cells + p.n);
  lmp_buffer_open(L, &buffer);

  for (int i = 0; i < p.n; i++) {
    lua_rawgeti(L, p.names, i + 1);
    lua_rawget(L, 1);
    pack_one(L, metas, &p, i + 1, &cells[i], &kept[i], &buffer, &arena);
    lua_pop(L, 1); /* what the cell points at is kept alive by the object */
  }
  for (int i = 0; i < p.n; i++)
    if (kept[i])
      cells[i].s = buffer.bytes + cells[i].i;
  lmp_push_original(L, metas, cells, p.n);
  mp_arena_free(arena);
  if (!lua_isnil(L, 3)) {
    lua_pushvalue(L, 3);
    lua_setiuservalue(L, -2, 1);
  }
  return 1;
}

/* ---- comparing ---- */

/* The JSON text of the cell and the Lua value on the top, by content. */
static bool same_json(lua_State *L, int metas, const mp_value *cell)
{
  lmp_buffer now, before;
  char why[LMP_WHY_MAX];
  int top = lua_gettop(L);
  lmp_buffer_open(L, &now);
  bool same = lmp_json_write(L, metas, top, false, &now, why);
  if (same && (now.n != cell->len || memcmp(now.bytes, cell->s, now.n) != 0)) {
    lmp_buffer_open(L, &before);
    same = lmp_json_read(L, metas, cell->s, cell->len, NULL) &&
           lmp_json_write(L, metas, -1, false, &before, why) && before.n == now.n &&
           memcmp(before.bytes, now.bytes, now.n) == 0;
  }
  lua_settop(L, top);
  return same;
}

static bool same_value(const mp_value *a, const mp_value *b)
{
  switch ((mp_kind)a->kind) {
  case MP_TEXT:
  case MP_BLOB:
  case MP_UUID:
  case MP_JSON: /* inside an array */
    return a->len == b->len && memcmp(a->s, b->s, a->len) == 0;
  case MP_FLOAT:
    return a->d == b->d || (isnan(a->d) && isnan(b->d));
  case MP_INTERVAL: /* P1D and PT24H are equal, but not the same */
    return a->v->months == b->v->months && a->v->days == b->v->days && a->v->us == b->v->us;
  default:
    return lmp_compare(a, b) == 0;
  }
}

/* The same for the items of an array; each as what the server's item is. */
static bool same_array(lua_State *L, const mp_array *before)
{
  mp_value now;
  const char *why;
  mp_arena *arena = mp_arena_new(0);
  bool same = arena != NULL && lmp_to_array(L, -1, arena, &now, &why) && now.a->n == before->n &&
              now.a->dim_n == before->dim_n;
  for (int i = 0; same && i < before->dim_n; i++)
    same = now.a->dims[i] == before->dims[i];
  for (size_t i = 0; same && i < before->n; i++) {
    mp_interval interval;
    char text[MP_VALUE_TEXT_MAX];
    mp_value item = now.a->items[i];
    same = (item.kind == MP_NULL) == (before->items[i].kind == MP_NULL) &&
           mp_value_convert(&item, (mp_kind)before->items[i].kind, &interval, text) &&
           (item.kind == MP_NULL || same_value(&before->items[i], &item));
  }
  mp_arena_free(arena);
  return same;
}

/* Is the Lua value on the top still what the cell holds? */
static bool unchanged(lua_State *L, int metas, const mp_value *cell, mp_kind want)
{
  lmp_scratch room;
  mp_interval interval;
  char text[MP_VALUE_TEXT_MAX];
  const char *why;
  mp_value before = *cell, now;
  if (lmp_is_null(L, -1) || cell->kind == MP_NULL)
    return lmp_is_null(L, -1) && cell->kind == MP_NULL;
  if (lua_type(L, -1) == LUA_TSTRING && cell->kind == MP_TEXT && want == MP_TEXT) {
    size_t n;
    const char *s = lua_tolstring(L, -1, &n);
    return n == cell->len && memcmp(s, cell->s, n) == 0;
  }
  if (lmp_item_of(want) != MP_NULL && cell->kind != MP_ARRAY)
    return same_json(L, metas, cell);
  want = want == MP_NULL ? (mp_kind)cell->kind : (mp_kind)(want & LMP_KIND_MASK);
  if (!mp_value_convert(&before, want, &interval, text))
    return false;
  if (want == MP_JSON)
    return same_json(L, metas, &before);
  if (want == MP_ARRAY)
    return same_array(L, before.a);
  return lmp_read_kind(L, -1, want, &now, &room, &why) && same_value(&before, &now);
}

/* Push the places whose value in the object at an index is not what the cells hold, or nil. */
static int push_changed(lua_State *L, int object, const plan *p, const mp_value *cells)
{
  int changed = 0;
  int metas = lmp_push_metas(L);
  lua_pushnil(L);
  int result = lua_gettop(L);
  for (int i = 1; i <= p->n; i++) {
    lua_rawgeti(L, p->names, i);
    lua_rawget(L, object);
    if (!unchanged(L, metas, &cells[i - 1], kind_at(L, p, i))) {
      if (changed == 0) {
        lua_newtable(L);
        lua_replace(L, result);
      }
      lua_pushinteger(L, i);
      lua_rawseti(L, result, ++changed);
    }
    lua_pop(L, 1);
  }
  lua_settop(L, result);
  return 1;
}

int lmp_push_changed(lua_State *L, int object, int plan_idx, const mp_value *cells, int n)
{
  plan p = check_plan(L, plan_idx);
  luaL_argcheck(L, p.n == n, plan_idx, "the plan is that of another object");
  return push_changed(L, object, &p, cells);
}

static int original_changed(lua_State *L)
{
  plan p;
  luaL_checktype(L, 2, LUA_TTABLE);
  original *self = check_both(L, 3, &p);
  return push_changed(L, 2, &p, self->cells);
}

static int original_value(lua_State *L)
{
  plan p;
  original *self = check_both(L, 3, &p);
  lua_Integer i = luaL_checkinteger(L, 2);
  luaL_argcheck(L, i >= 1 && i <= p.n, 2, "no such place");
  mp_kind want = kind_at(L, &p, (int)i);
  if (!lmp_push_cell(L, lmp_push_metas(L), &self->cells[i - 1], want))
    return not_of_kind(L, &p, (int)i, &self->cells[i - 1], want);
  return 1;
}

static int original_restore(lua_State *L)
{
  plan p;
  luaL_checktype(L, 2, LUA_TTABLE);
  original *self = check_both(L, 3, &p);
  int metas = lmp_push_metas(L);
  for (int i = 1; i <= p.n; i++) {
    mp_kind want = kind_at(L, &p, i);
    lua_rawgeti(L, p.names, i);
    if (!lmp_push_cell(L, metas, &self->cells[i - 1], want))
      return not_of_kind(L, &p, i, &self->cells[i - 1], want);
    lua_rawset(L, 2);
  }
  return 0;
}

/* original.batch, or a method from the table that is upvalue 1 */
static int original_index(lua_State *L)
{
  check_original(L);
  if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "batch") == 0) {
    lua_getiuservalue(L, 1, 1);
  } else {
    lua_settop(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
  }
  return 1;
}

static int original_newindex(lua_State *L)
{
  check_original(L);
  if (lua_type(L, 2) != LUA_TSTRING || strcmp(lua_tostring(L, 2), "batch") != 0)
    return luaL_argerror(L, 2, "only batch can be set");
  lua_settop(L, 3);
  lua_setiuservalue(L, 1, 1);
  return 0;
}

void lmp_open_original(lua_State *L, int metas)
{
  static const luaL_Reg methods[] = {{"changed", original_changed},
                                     {"value", original_value},
                                     {"restore", original_restore},
                                     {NULL, NULL}};
  lua_pushcfunction(L, new_original);
  lua_setfield(L, -2, "original");

  lua_createtable(L, 0, 4);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_pushcclosure(L, original_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, original_newindex);
  lua_setfield(L, -2, "__newindex");
  lua_pushliteral(L, "original");
  lua_setfield(L, -2, "__name");
  lua_pushliteral(L, "original");
  lua_setfield(L, -2, "__metatable");
  lua_rawseti(L, metas, LMP_META_ORIGINAL);
}
