/* operator.c - what values of every kind can do: be printed, joined with .., compared.
** Values of different kinds are never equal and have no order; decimals and whole numbers are of
** one kind here. */
#include "value.h"

#include "raise.h"

#include <string.h>

const char *lmp_describe(lua_State *L, int idx)
{
  static const char *const names[] = {"nil",        "a boolean",  "a pointer",
                                      "a number",   "a string",   "a table",
                                      "a function", "a userdata", "a coroutine"};
  const mp_value *value = lmp_test_value(L, idx);
  int type = lua_type(L, idx);
  if (value != NULL) {
    static const char *const kinds[MP_KIND_N] = {
        "null",   "a boolean",  "a number",          "a number",
        "a text", "a blob",     "a decimal",         "a date",
        "a time", "a datetime", "a wall-clock time", "an interval",
        "a uuid", "JSON",       "an array"};
    return kinds[value->kind];
  }
  if (type == LUA_TNONE)
    return "nil";
  return type >= 0 && type < (int)(sizeof names / sizeof *names) ? names[type] : "this value";
}

typedef __int128 int128;

static int128 span(const mp_interval *v)
{
  return ((int128)v->months * 30 + v->days) * MP_DAY_US + v->us;
}

int lmp_compare(const mp_value *a, const mp_value *b)
{
  if (a->kind == MP_DECIMAL || b->kind == MP_DECIMAL)
    return mp_decimal_cmp(a, b);
  if (a->kind == MP_INTERVAL) {
    int128 left = span(a->v), right = span(b->v);
    return left < right ? -1 : left > right;
  }
  if (a->kind == MP_BLOB) {
    int order = memcmp(a->s, b->s, a->len < b->len ? a->len : b->len);
    return order != 0 ? order : a->len < b->len ? -1 : a->len > b->len;
  }
  return a->i < b->i ? -1 : a->i > b->i;
}

bool lmp_to_operand(lua_State *L, int idx, mp_value *out)
{
  const mp_value *value = lmp_test_value(L, idx);
  if (value != NULL) {
    *out = *value;
    return true;
  }
  *out = (mp_value){.kind = MP_INT};
  return lmp_to_integer(L, idx, &out->i);
}

static bool comparable(const mp_value *a, const mp_value *b)
{
  return a->kind == b->kind || (a->kind == MP_DECIMAL && b->kind == MP_INT) ||
         (a->kind == MP_INT && b->kind == MP_DECIMAL);
}

static int order(lua_State *L)
{
  mp_value a, b;
  if (!lmp_to_operand(L, 1, &a) || !lmp_to_operand(L, 2, &b) || !comparable(&a, &b))
    lmp_raise(L, MP_E_BAD_ARGUMENT, "cannot compare %s with %s", lmp_describe(L, 1),
              lmp_describe(L, 2));
  return lmp_compare(&a, &b);
}

static int value_less(lua_State *L)
{
  lua_pushboolean(L, order(L) < 0);
  return 1;
}

static int value_at_most(lua_State *L)
{
  lua_pushboolean(L, order(L) <= 0);
  return 1;
}

static int value_equal(lua_State *L)
{
  const mp_value *a = lmp_test_value(L, 1), *b = lmp_test_value(L, 2);
  lua_pushboolean(L, a != NULL && b != NULL && a->kind == b->kind && lmp_compare(a, b) == 0);
  return 1;
}

static int value_tostring(lua_State *L)
{
  const mp_value *value = lmp_test_value(L, 1);
  if (value == NULL)
    return luaL_argerror(L, 1, "a value expected");
  lmp_push_text(L, value);
  return 1;
}

bool lmp_answered(lua_State *L, const char *sign)
{
  static const char *const events[][2] = {{"+", "__add"},    {"-", "__sub"},   {"*", "__mul"},
                                          {"/", "__div"},    {"//", "__idiv"}, {"%", "__mod"},
                                          {"..", "__concat"}};
  if (!lua_istable(L, 2))
    return false;
  for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
    if (strcmp(events[i][0], sign) != 0 || !luaL_getmetafield(L, 2, events[i][1]))
      continue;
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_call(L, 2, 1);
    return true;
  }
  return false;
}

static int value_concat(lua_State *L)
{
  if (lmp_answered(L, ".."))
    return 1;
  for (int i = 1; i <= 2; i++) {
    const mp_value *value = lmp_test_value(L, i);
    if (value != NULL)
      lmp_push_text(L, value);
    else if (lua_isstring(L, i))
      lua_pushvalue(L, i);
    else
      return lmp_raise(L, MP_E_BAD_ARGUMENT, "cannot concatenate %s with %s", lmp_describe(L, 1),
                       lmp_describe(L, 2));
  }
  lua_concat(L, 2);
  return 1;
}

const luaL_Reg lmp_operators[] = {{"__tostring", value_tostring}, {"__concat", value_concat},
                                  {"__eq", value_equal},          {"__lt", value_less},
                                  {"__le", value_at_most},        {NULL, NULL}};
