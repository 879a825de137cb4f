/* parameter.c - Lua values as values of the core: the parameters of a statement, the values of
** fields. Exactly or not at all. The reasons it gives never repeat a value, because they become
** errors, which hold no data. */
#include "value.h"

#include "json.h"
#include "raise.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *lmp_form(mp_kind kind)
{
  static const char *const forms[MP_KIND_N] = {
      "nothing",
      "a boolean is true or false",
      "a whole number is such as 42, with at most 64 bits",
      "a float is a number",
      "a text is a string",
      "bytes are a string or mp.blob",
      "a decimal is such as \"12.50\"",
      "a date is such as 2026-11-20",
      "a time is such as 12:30:00",
      "a datetime is such as 2026-11-20T12:30:00Z",
      "a wall-clock time is such as 2026-11-20T12:30:00, without a zone",
      "an interval is such as P1DT12H",
      "a uuid is such as 01890a5d-ac96-774b-bcce-b302099a8057",
      "JSON",
      "an array is a table such as {1, 2, 3}"};
  return (unsigned)kind < MP_KIND_N ? forms[kind] : "an unknown kind";
}

static bool text_in(const char *s, size_t n, mp_value *out, lmp_scratch *room, const char **why)
{
  size_t bad = mp_text_check(s, n);
  if (n > UINT32_MAX) {
    *why = "the text is longer than 4 GiB";
    return false;
  }
  if (bad < n) {
    snprintf(room->why, sizeof room->why,
             s[bad] == '\0' ? "the text has a NUL at byte %zu: send bytes with mp.blob"
                            : "the text is not UTF-8 at byte %zu: send bytes with mp.blob",
             bad + 1);
    *why = room->why;
    return false;
  }
  *out = (mp_value){.kind = MP_TEXT, .len = (uint32_t)n, .s = s};
  return true;
}

/* Anything but a table, as what it is. */
static bool plain_in(lua_State *L, int idx, mp_value *out, lmp_scratch *room, const char **why)
{
  const mp_value *value;
  size_t n;
  const char *s;
  switch (lua_type(L, idx)) {
  case LUA_TNUMBER:
    *out = (mp_value){.kind = MP_INT};
    if (!lmp_to_integer(L, idx, &out->i))
      *out = (mp_value){.kind = MP_FLOAT, .d = lua_tonumber(L, idx)};
    return true;
  case LUA_TSTRING:
    s = lua_tolstring(L, idx, &n);
    return text_in(s, n, out, room, why);
  case LUA_TBOOLEAN:
    *out = (mp_value){.kind = MP_BOOL, .i = lua_toboolean(L, idx)};
    return true;
  case LUA_TUSERDATA:
    value = lmp_test_value(L, idx);
    if (value == NULL)
      break;
    *out = *value;
    return true;
  case LMP_TCDATA:
    *out = (mp_value){.kind = MP_INT};
    if (!lmp_to_integer(L, idx, &out->i))
      break;
    return true;
  default:
    if (!lmp_is_null(L, idx))
      break;
    *out = MP_VALUE_NULL;
    return true;
  }
  snprintf(room->why, sizeof room->why, "%s is no value of a database", lmp_describe(L, idx));
  *why = room->why;
  return false;
}

/* May a program's value of this kind stand for another one? Less than what is read from a database:
** booleans are no numbers, and nothing becomes a text by itself. */
static bool may_stand_for(mp_kind kind, mp_kind want)
{
  switch (want) {
  case MP_INT:
  case MP_FLOAT:
  case MP_DECIMAL:
    return kind == MP_INT || kind == MP_FLOAT || kind == MP_DECIMAL || kind == MP_TEXT;
  case MP_DATE:
  case MP_DATETIME:
  case MP_WALLTIME:
    return kind == MP_DATE || kind == MP_DATETIME || kind == MP_WALLTIME || kind == MP_TEXT;
  case MP_BOOL:
  case MP_TIME:
  case MP_INTERVAL:
  case MP_UUID:
    return kind == MP_TEXT;
  default:
    return false;
  }
}

/* A decimal is a float where the float's own text is that decimal. */
static bool same_float(const mp_value *decimal, const mp_value *number)
{
  char text[MP_VALUE_TEXT_MAX], long_text[MP_DECIMAL_TEXT_MAX];
  mp_value back;
  size_t n = mp_double_text(number->d, text);
  return mp_decimal_read(text, n, &back, long_text) && mp_decimal_cmp(decimal, &back) == 0;
}

bool lmp_read_kind(lua_State *L, int idx, mp_kind want, mp_value *out, lmp_scratch *room,
                   const char **why)
{
  mp_value value;
  if (want == MP_BLOB && lua_type(L, idx) == LUA_TSTRING) {
    size_t n;
    const char *s = lua_tolstring(L, idx, &n);
    *out = (mp_value){.kind = MP_BLOB, .len = (uint32_t)n, .s = s};
    *why = "the bytes are more than 4 GiB";
    return n <= UINT32_MAX;
  }
  if (lua_istable(L, idx)) {
    *why = lmp_form(want);
    return false;
  }
  if (!plain_in(L, idx, &value, room, why))
    return false;
  if (value.kind == want || value.kind == MP_NULL) {
    *out = value;
    return true;
  }
  *why = lmp_form(want);
  if (!may_stand_for((mp_kind)value.kind, want))
    return false;
  if (want == MP_DECIMAL && value.kind == MP_TEXT)
    return mp_decimal_read(value.s, value.len, out, room->text);
  *out = value;
  return mp_value_convert(out, want, &room->interval, room->text) &&
         (want != MP_FLOAT || value.kind != MP_DECIMAL || same_float(&value, out));
}

/* Move what out and why point at from the scratch into the arena. */
static bool settle(bool fine, mp_arena *arena, mp_value *out, const lmp_scratch *room,
                   const char **why)
{
  const void *moved = room;
  if (!fine) {
    if (*why == room->why)
      moved = *why = mp_arena_strdup(arena, room->why);
  } else if (out->kind == MP_INTERVAL && out->v == &room->interval) {
    moved = out->s = mp_arena_memdup(arena, &room->interval, sizeof room->interval);
  } else if (out->kind != MP_INTERVAL && out->len > 0 && out->s == room->text) {
    moved = out->s = mp_arena_memdup(arena, room->text, out->len);
  }
  if (moved == NULL) {
    *why = "out of memory";
    return false;
  }
  return fine;
}

static bool json_in(lua_State *L, int idx, mp_arena *arena, mp_value *out, const char **why)
{
  char room[LMP_WHY_MAX];
  lmp_buffer buffer;
  int top = lua_gettop(L);
  idx = lua_absindex(L, idx);
  int metas = lmp_push_metas(L);
  lmp_buffer_open(L, &buffer);
  bool fine = lmp_json_write(L, metas, idx, true, &buffer, room);
  if (!fine) {
    *why = mp_arena_strdup(arena, room);
  } else if (buffer.n > UINT32_MAX) {
    *why = "the JSON text is longer than 4 GiB";
    fine = false;
  } else {
    *out = (mp_value){.kind = MP_JSON,
                      .len = (uint32_t)buffer.n,
                      .s = mp_arena_memdup(arena, buffer.bytes, buffer.n)};
    fine = out->s != NULL;
    *why = NULL;
  }
  if (!fine && *why == NULL)
    *why = "out of memory";
  lua_settop(L, top);
  return fine;
}

bool lmp_to_value(lua_State *L, int idx, mp_arena *arena, mp_value *out, const char **why)
{
  if (lua_istable(L, idx))
    return json_in(L, idx, arena, out, why);
  lmp_scratch room;
  return settle(plain_in(L, idx, out, &room, why), arena, out, &room, why);
}

bool lmp_to_kind(lua_State *L, int idx, mp_kind want, mp_arena *arena, mp_value *out,
                 const char **why)
{
  if (want == MP_NULL)
    return lmp_to_value(L, idx, arena, out, why);
  if (want == MP_JSON && !lmp_is_null(L, idx))
    return json_in(L, idx, arena, out, why);
  if (want == MP_ARRAY && !lmp_is_null(L, idx))
    return lmp_to_array(L, idx, arena, out, why);
  lmp_scratch room;
  return settle(lmp_read_kind(L, idx, want, out, &room, why), arena, out, &room, why);
}

/* ---- core.kind_of and core.convert ---- */

static int kind_of(lua_State *L)
{
  lmp_scratch room;
  mp_value value;
  const char *why;
  luaL_checkany(L, 1);
  if (lua_istable(L, 1)) {
    lua_pushstring(L, mp_kind_name(MP_JSON));
    return 1;
  }
  if (lua_type(L, 1) == LUA_TSTRING) {
    lua_pushstring(L, mp_kind_name(MP_TEXT)); /* also one that is not UTF-8: convert tells */
    return 1;
  }
  if (!plain_in(L, 1, &value, &room, &why)) {
    lua_pushnil(L);
    return 1;
  }
  if (value.kind == MP_FLOAT && value.d == floor(value.d))
    mp_value_convert(&value, MP_INT, &room.interval, room.text);
  lua_pushstring(L, mp_kind_name((mp_kind)value.kind));
  return 1;
}

static int refuse(lua_State *L, const char *why)
{
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

/* The table itself, if it is an array. */
static int convert_array(lua_State *L)
{
  char text[LMP_WHY_MAX];
  const char *why = "out of memory";
  mp_value value;
  mp_arena *arena = mp_arena_new(0);
  bool fine = arena != NULL && lmp_to_array(L, 2, arena, &value, &why);
  snprintf(text, sizeof text, "%s", fine ? "" : why); /* may be in the arena */
  mp_arena_free(arena);
  if (!fine)
    return refuse(L, text);
  lua_pushvalue(L, 2);
  return 1;
}

static int convert(lua_State *L)
{
  mp_kind kind = lmp_kind_of_number(luaL_checkinteger(L, 1));
  const char *why = NULL;
  lmp_scratch room;
  mp_value value;
  luaL_checkany(L, 2);
  luaL_argcheck(L, kind != MP_NULL, 1, "a kind of core.kind expected");
  if (lmp_is_null(L, 2)) {
    lua_pushnil(L);
    return 1;
  }
  int metas = lmp_push_metas(L);
  if (kind == MP_JSON) {
    lmp_buffer buffer;
    lmp_buffer_open(L, &buffer);
    if (!lmp_json_write(L, metas, 2, true, &buffer, room.why))
      return refuse(L, room.why);
    lua_pushvalue(L, 2);
    return 1;
  }
  if ((kind & LMP_KIND_MASK) == MP_ARRAY)
    return convert_array(L);
  if (!lmp_read_kind(L, 2, kind, &value, &room, &why))
    return refuse(L, why);
  const mp_value *given = lmp_test_value(L, 2);
  if (given != NULL && given->kind == value.kind && kind != MP_BLOB)
    lua_pushvalue(L, 2);
  else
    lmp_push(L, metas, &value);
  return 1;
}

/* What a reader wants: an array of items of that kind. */
static int array_of(lua_State *L)
{
  lua_Integer number = luaL_checkinteger(L, 1) << LMP_ITEM_SHIFT | MP_ARRAY;
  luaL_argcheck(L, lmp_kind_of_number(number) != MP_NULL, 1, "a kind of core.kind expected");
  lua_pushinteger(L, number);
  return 1;
}

void lmp_open_parameters(lua_State *L, int metas)
{
  static const luaL_Reg functions[] = {
      {"kind_of", kind_of}, {"convert", convert}, {"array_of", array_of}, {NULL, NULL}};
  (void)metas;
  luaL_setfuncs(L, functions, 0);
}
