/* blob.c - mp.blob, mp.null, mp.array and the length of a text: what marks a Lua value as something
** that its type does not tell. */
#include "value.h"

#include "raise.h"

static int new_blob(lua_State *L)
{
  const mp_value *given = lmp_test_value(L, 1);
  if (given != NULL && given->kind == MP_BLOB) {
    lua_settop(L, 1);
    return 1;
  }
  if (lua_type(L, 1) != LUA_TSTRING)
    return lmp_raise(L, MP_E_BAD_ARGUMENT, "mp.blob takes a string, not %s", lmp_describe(L, 1));
  size_t n;
  const char *s = lua_tolstring(L, 1, &n);
  if (n > UINT32_MAX)
    return lmp_raise(L, MP_E_BAD_ARGUMENT, "mp.blob takes at most 4 GiB");
  mp_value value = {.kind = MP_BLOB, .len = (uint32_t)n, .s = s};
  lmp_new_value(L, lmp_push_metas(L), &value);
  return 1;
}

static int blob_length(lua_State *L)
{
  const mp_value *value = lmp_test_value(L, 1);
  lua_pushinteger(L, value != NULL && value->kind == MP_BLOB ? (lua_Integer)value->len : 0);
  return 1;
}

static int mark_array(lua_State *L)
{
  if (!lua_istable(L, 1))
    return lmp_raise(L, MP_E_BAD_ARGUMENT, "mp.array takes a table, not %s", lmp_describe(L, 1));
  lua_settop(L, 1);
  int metas = lmp_push_metas(L);
  if (lua_getmetatable(L, 1) && !lmp_is_array(L, metas, 1))
    return lmp_raise(L, MP_E_BAD_ARGUMENT,
                     "mp.array: the table has a metatable of its own: copy it");
  lua_rawgeti(L, metas, LMP_META_ARRAY);
  lua_setmetatable(L, 1);
  lua_settop(L, 1);
  return 1;
}

static int text_length(lua_State *L)
{
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  size_t bad = mp_text_check(s, n);
  if (bad < n) {
    lua_pushnil(L);
    lua_pushinteger(L, (lua_Integer)bad + 1);
    return 2;
  }
  lua_Integer characters = 0;
  for (size_t i = 0; i < n; i++)
    characters += (s[i] & 0xC0) != 0x80;
  lua_pushinteger(L, characters);
  return 1;
}

void lmp_open_blob(lua_State *L, int metas)
{
  static const luaL_Reg functions[] = {
      {"blob", new_blob}, {"array", mark_array}, {"text_length", text_length}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);

  lmp_new_meta(L, metas, MP_BLOB);
  lua_pushcfunction(L, blob_length);
  lua_setfield(L, -2, "__len");
  lmp_new_meta(L, metas, MP_NULL);
  lmp_new_value(L, metas, &MP_VALUE_NULL);
  lua_rawseti(L, metas, LMP_META_NULL);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "array");
  lua_setfield(L, -2, "__name");
  lua_rawseti(L, metas, LMP_META_ARRAY);
  lua_pop(L, 2);
}
