/* value.c - values of the core as Lua values.
** Rows are made here: a cell that is of the wanted kind costs one comparison and one push. The way
** back is parameter.c; what can be done with the values is operator.c and the files of the
** kinds. */
#include "value.h"

#include "json.h"
#include "raise.h"
#include "sheet.h"

#include <math.h>
#include <string.h>

static const char metas_key = 0; /* metas in the registry */
static char value_mark;          /* its address is the first item of the metatables of our values */

#define EXACT (INT64_C(1) << 53)

/* ---- whole numbers ---- */

#if LMP_JIT
static const char int64_source[] =
    "local ffi = require 'ffi'\n"
    "local i64, u64 = ffi.typeof 'int64_t', ffi.typeof 'uint64_t'\n"
    "return function(high, low) return i64(high) * 4294967296LL + low end,\n"
    "  function(x) return ffi.istype(i64, x) or ffi.istype(u64, x) and x <= 0x7fffffffffffffffULL "
    "end\n";

static void open_int64(lua_State *L, int metas)
{
  if (luaL_loadstring(L, int64_source) != 0)
    lua_error(L);
  lua_call(L, 0, 2);
  lua_rawseti(L, metas, LMP_META_IS_INT64);
  lua_rawseti(L, metas, LMP_META_INT64);
}
#endif

void lmp_push_integer(lua_State *L, int64_t i)
{
#if LMP_JIT
  if (i >= -EXACT && i <= EXACT) {
    lua_pushnumber(L, (lua_Number)i);
    return;
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &metas_key);
  lua_rawgeti(L, -1, LMP_META_INT64);
  lua_remove(L, -2);
  lua_pushnumber(L, (lua_Number)(i >> 32));
  lua_pushnumber(L, (lua_Number)(i & 0xFFFFFFFF));
  lua_call(L, 2, 1);
#else
  lua_pushinteger(L, i);
#endif
}

bool lmp_to_integer(lua_State *L, int idx, int64_t *out)
{
#if LMP_JIT
  int type = lua_type(L, idx);
  if (type == LUA_TNUMBER) {
    lua_Number d = lua_tonumber(L, idx);
    if (!(d >= (lua_Number)-EXACT && d <= (lua_Number)EXACT) || d != floor(d))
      return false;
    *out = (int64_t)d;
    return true;
  }
  if (type != LMP_TCDATA)
    return false;
  idx = lua_absindex(L, idx);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &metas_key);
  lua_rawgeti(L, -1, LMP_META_IS_INT64);
  lua_pushvalue(L, idx);
  lua_call(L, 1, 1);
  bool fits = lua_toboolean(L, -1);
  lua_pop(L, 2);
  if (fits)
    memcpy(out, lua_topointer(L, idx), sizeof *out); /* a cdata's pointer is that of its bytes */
  return fits;
#else
  if (!lua_isinteger(L, idx))
    return false;
  *out = lua_tointeger(L, idx);
  return true;
#endif
}

/* ---- userdata ---- */

int lmp_push_metas(lua_State *L)
{
  lua_rawgetp(L, LUA_REGISTRYINDEX, &metas_key);
  return lua_gettop(L);
}

void lmp_push_null(lua_State *L)
{
  lua_rawgetp(L, LUA_REGISTRYINDEX, &metas_key);
  lua_rawgeti(L, -1, LMP_META_NULL);
  lua_remove(L, -2);
}

const mp_value *lmp_test_value(lua_State *L, int idx)
{
  if (lua_type(L, idx) != LUA_TUSERDATA || !lua_getmetatable(L, idx))
    return NULL;
  lua_rawgeti(L, -1, 1);
  bool ours = lua_touserdata(L, -1) == &value_mark;
  lua_pop(L, 2);
  return ours ? lua_touserdata(L, idx) : NULL;
}

bool lmp_is_null(lua_State *L, int idx)
{
  const mp_value *value;
  switch (lua_type(L, idx)) {
  case LUA_TNONE:
  case LUA_TNIL:
    return true;
  case LUA_TLIGHTUSERDATA:
    return lua_touserdata(L, idx) == NULL;
  case LUA_TUSERDATA:
    value = lmp_test_value(L, idx);
    return value != NULL && value->kind == MP_NULL;
  default:
    return false;
  }
}

void lmp_new_value(lua_State *L, int metas, const mp_value *value)
{
  bool bytes = value->kind == MP_BLOB || (value->kind == MP_DECIMAL && !value->small);
  size_t more = bytes ? value->len : value->kind == MP_INTERVAL ? sizeof *value->v : 0;
  mp_value *made = lua_newuserdatauv(L, sizeof *made + more, 0);
  *made = *value;
  if (bytes || more > 0) {
    const void *from = bytes ? (const void *)value->s : (const void *)value->v;
    memcpy(made + 1, from, more);
    made->s = (const char *)(made + 1);
  }
  lua_rawgeti(L, metas, value->kind);
  lua_setmetatable(L, -2);
}

bool lmp_is_array(lua_State *L, int metas, int idx)
{
  if (!lua_getmetatable(L, idx))
    return false;
  lua_rawgeti(L, metas, LMP_META_ARRAY);
  bool is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is;
}

void lmp_new_meta(lua_State *L, int metas, mp_kind kind)
{
  lua_createtable(L, 1, 16);
  luaL_setfuncs(L, lmp_operators, 0);
  lua_pushstring(L, mp_kind_name(kind));
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__name");
  lua_setfield(
      L, -2, "__metatable"); /* what getmetatable gives: the metatable itself is not for programs */
  lua_pushlightuserdata(L, &value_mark);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, -1);
  lua_rawseti(L, metas, kind);
}

/* ---- out ---- */

bool lmp_push(lua_State *L, int metas, const mp_value *value)
{
  switch ((mp_kind)value->kind) {
  case MP_INT:
    lmp_push_integer(L, value->i);
    return true;
  case MP_TEXT:
  case MP_BLOB:
  case MP_UUID:
    lua_pushlstring(L, value->s, value->len);
    return true;
  case MP_FLOAT:
    lua_pushnumber(L, value->d);
    return true;
  case MP_BOOL:
    lua_pushboolean(L, value->i != 0);
    return true;
  case MP_DECIMAL:
  case MP_DATE:
  case MP_TIME:
  case MP_DATETIME:
  case MP_WALLTIME:
  case MP_INTERVAL:
    lmp_new_value(L, metas, value);
    return true;
  case MP_JSON:
    return lmp_json_read(L, metas, value->s, value->len, NULL);
  case MP_ARRAY:
    return lmp_push_array(L, metas, value->a);
  case MP_NULL:
  case MP_KIND_N:
    break;
  }
  lua_pushnil(L);
  return true;
}

_Static_assert(MP_KIND_N <= LMP_KIND_MASK + 1, "a kind fits below the kind of its items");

mp_kind lmp_kind_of_number(lua_Integer number)
{
  bool plain = number > MP_NULL && number < MP_KIND_N;
  lua_Integer item = number >> LMP_ITEM_SHIFT;
  bool of = (number & LMP_KIND_MASK) == MP_ARRAY && item > MP_NULL && item < MP_ARRAY;
  return plain || of ? (mp_kind)number : MP_NULL;
}

bool lmp_push_cell(lua_State *L, int metas, const mp_value *cell, mp_kind want)
{
  mp_kind kind = (mp_kind)cell->kind;
  if (kind == want || want == MP_NULL || kind == MP_NULL)
    return lmp_push(L, metas, cell);
  if (lmp_item_of(want) != MP_NULL)
    return lmp_push_array_of(L, metas, cell, lmp_item_of(want));
  mp_interval scratch;
  char text[MP_VALUE_TEXT_MAX];
  mp_value value = *cell;
  return mp_value_convert(&value, want, &scratch, text) && lmp_push(L, metas, &value);
}

const char *lmp_no_cell(const mp_value *cell, mp_kind want)
{
  mp_kind kind = want == MP_NULL ? (mp_kind)cell->kind : (mp_kind)(want & LMP_KIND_MASK);
  return kind == MP_JSON
             ? "JSON that fits (integers have 64 bits, floats are finite, nesting has an "
               "end): read it as text with a cast"
             : mp_kind_name(kind);
}

void lmp_push_value(lua_State *L, const mp_value *value)
{
  int metas = lmp_push_metas(L);
  if (!lmp_push(L, metas, value)) {
    if (value->kind == MP_JSON)
      lua_pushlstring(L, value->s, value->len);
    else
      lua_pushnil(L); /* an array with JSON in it that is none */
  }
  lua_remove(L, metas);
}

void lmp_push_text(lua_State *L, const mp_value *value)
{
  char text[MP_VALUE_TEXT_MAX + 2];
  if (value->kind == MP_NULL) {
    lua_pushliteral(L, "null");
    return;
  }
  size_t n = mp_value_format(value, text);
  if (n == 0) {
    lua_pushlstring(L, value->s, value->len);
    return;
  }
  if (value->kind == MP_DATETIME || value->kind == MP_WALLTIME)
    text[10] = 'T';
  if (value->kind == MP_DATETIME)
    text[n++] = 'Z';
  lua_pushlstring(L, text, n);
}

/* A table that will have so many fields: growing it field by field costs more than the fields do. */
static int new_table(lua_State *L)
{
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 0 && n <= 10000, 1, "number of fields");
  lua_createtable(L, 0, (int)n);
  return 1;
}

/* ---- opening ---- */

/* Once for each Lua state: push metas, filled, with the functions of the module in it. */
static void make_metas(lua_State *L)
{
  static const luaL_Reg functions[] = {
      {"set_error_maker", lmp_set_error_maker}, {"table", new_table}, {NULL, NULL}};
  lua_createtable(L, LMP_META_N - 1, 1);
  int metas = lua_gettop(L);
#if LMP_JIT
  open_int64(L, metas);
#endif
  lua_newtable(L);
  luaL_setfuncs(L, functions, 0);
  lmp_open_parameters(L, metas);
  lmp_open_blob(L, metas);
  lmp_open_uuid(L, metas);
  lmp_open_decimal(L, metas);
  lmp_open_temporal(L, metas);
  lmp_open_json(L, metas);
  lmp_open_show(L, metas);
  lmp_open_original(L, metas);
  lmp_open_sheet(L);
  lmp_open_plain(L);
  lmp_open_group(L);

  lua_rawgeti(L, metas, LMP_META_NULL);
  lua_setfield(L, -2, "null");
  lua_createtable(L, 0, MP_KIND_N);
  for (int kind = 0; kind < MP_KIND_N; kind++) {
    lua_pushinteger(L, kind);
    lua_setfield(L, -2, mp_kind_name((mp_kind)kind));
  }
  lua_setfield(L, -2, "kind");
  lua_pushboolean(L, LMP_JIT);
  lua_setfield(L, -2, "jit");
  lua_rawseti(L, metas, LMP_META_FUNCTIONS);
  lua_pushvalue(L, metas);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &metas_key);
}

void lmp_open_values(lua_State *L)
{
  luaL_checkstack(L, 20, "no room for the values");
  int core = lua_gettop(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &metas_key);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    make_metas(L);
  }
  lua_rawgeti(L, -1, LMP_META_FUNCTIONS);
  int functions = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, functions)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, core);
  }
  lua_settop(L, core);
}
