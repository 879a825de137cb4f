/* decimal.c - mp.decimal: exact numbers that calculate with each other and with whole numbers.
** All arithmetic, its scales and its rounding are core/decimal.h, which SQL on SQLite uses as well.
** A float is refused as an operand: whoever wants one says so with mp.decimal(x), which takes its
** shortest text. */
#include "value.h"

#include "raise.h"

#include <math.h>
#include <string.h>

typedef mp_status (*operation)(const mp_value *a, const mp_value *b, mp_value *out, char *text);

/* What mp.decimal takes, or false. text receives a long one. */
static bool read_decimal(lua_State *L, int idx, mp_value *out, char *text)
{
  const mp_value *value = lmp_test_value(L, idx);
  if (value != NULL) {
    *out = *value;
    return value->kind == MP_DECIMAL;
  }
  if (lua_type(L, idx) == LUA_TSTRING) {
    size_t n;
    const char *s = lua_tolstring(L, idx, &n);
    return mp_decimal_read(s, n, out, text);
  }
  char short_text[MP_VALUE_TEXT_MAX];
  mp_value number = {.kind = MP_INT};
  if (!lmp_to_integer(L, idx, &number.i)) {
    if (lua_type(L, idx) != LUA_TNUMBER)
      return false;
    number = (mp_value){.kind = MP_FLOAT, .d = lua_tonumber(L, idx)};
  }
  return mp_decimal_read(short_text, mp_value_format(&number, short_text), out, text);
}

static void check_decimal(lua_State *L, int idx, const char *what, mp_value *out, char *text)
{
  if (read_decimal(L, idx, out, text))
    return;
  int type = lua_type(L, idx);
  if (type == LUA_TSTRING || type == LUA_TNUMBER)
    lmp_raise(L, MP_E_BAD_ARGUMENT, "%s: \"%.40s\" is no decimal number", what,
              (lua_pushvalue(L, idx), lua_tostring(L, -1)));
  lmp_raise(L, MP_E_BAD_ARGUMENT, "%s takes a text or a number, not %s", what,
            lmp_describe(L, idx));
}

static int push_decimal(lua_State *L, const mp_value *value)
{
  lmp_new_value(L, lmp_push_metas(L), value);
  return 1;
}

static int new_decimal(lua_State *L)
{
  char text[MP_DECIMAL_TEXT_MAX];
  mp_value value;
  const mp_value *given = lmp_test_value(L, 1);
  if (given != NULL && given->kind == MP_DECIMAL) {
    lua_settop(L, 1);
    return 1;
  }
  check_decimal(L, 1, "mp.decimal", &value, text);
  return push_decimal(L, &value);
}

/* The decimal that a method was called on. */
static const mp_value *check_self(lua_State *L)
{
  const mp_value *self = lmp_test_value(L, 1);
  if (self == NULL || self->kind != MP_DECIMAL)
    lmp_raise(L, MP_E_BAD_ARGUMENT,
              "a method of a decimal was called on %s: write d:round(2), not "
              "d.round(2)",
              lmp_describe(L, 1));
  return self;
}

/* ---- arithmetic ---- */

static void operands(lua_State *L, const char *sign, mp_value *a, mp_value *b)
{
  mp_value *to[2] = {a, b};
  for (int i = 1; i <= 2; i++) {
    if (lmp_to_operand(L, i, to[i - 1]) &&
        (to[i - 1]->kind == MP_DECIMAL || to[i - 1]->kind == MP_INT))
      continue;
    if (lua_type(L, i) == LUA_TNUMBER)
      lmp_raise(L, MP_E_BAD_ARGUMENT,
                "decimal %s float: a float is not exact, convert it with mp.decimal(x) or the "
                "decimal with :tonumber()",
                sign);
    lmp_raise(L, MP_E_BAD_ARGUMENT, "cannot calculate %s %s %s", lmp_describe(L, 1), sign,
              lmp_describe(L, 2));
  }
}

static int calculate(lua_State *L, const char *sign, operation op)
{
  char text[MP_DECIMAL_TEXT_MAX];
  mp_value a, b, result;
  if (lmp_answered(L, sign))
    return 1;
  operands(L, sign, &a, &b);
  mp_status status = op(&a, &b, &result, text);
  if (status == MP_E_DIVISION_BY_ZERO)
    return lmp_raise(L, status, "decimal %s 0: division by zero", sign);
  if (status == MP_E_OUT_OF_RANGE)
    return lmp_raise(L, status, "decimal %s decimal: the result has more than %d digits", sign,
                     MP_DECIMAL_DIGITS_MAX);
  if (status != MP_OK)
    return lmp_raise(L, status, "decimal %s decimal: no memory", sign);
  return push_decimal(L, &result);
}

static int decimal_add(lua_State *L)
{
  return calculate(L, "+", mp_decimal_add);
}

static int decimal_sub(lua_State *L)
{
  return calculate(L, "-", mp_decimal_sub);
}

static int decimal_mul(lua_State *L)
{
  return calculate(L, "*", mp_decimal_mul);
}

static int decimal_div(lua_State *L)
{
  return calculate(L, "/", mp_decimal_div);
}

static int decimal_idiv(lua_State *L)
{
  return calculate(L, "//", mp_decimal_idiv);
}

static int decimal_mod(lua_State *L)
{
  return calculate(L, "%", mp_decimal_mod);
}

static int decimal_pow(lua_State *L)
{
  return lmp_raise(L, MP_E_UNSUPPORTED, "decimal ^ is not exact: multiply, or use :tonumber()");
}

static int decimal_unm(lua_State *L)
{
  char text[MP_DECIMAL_TEXT_MAX];
  mp_value result;
  if (mp_decimal_neg(check_self(L), &result, text) != MP_OK)
    return lmp_raise(L, MP_E_OUT_OF_MEMORY, "- decimal: no memory");
  return push_decimal(L, &result);
}

/* ---- methods ---- */

static int method_eq(lua_State *L)
{
  char text[MP_DECIMAL_TEXT_MAX];
  mp_value other;
  const mp_value *self = check_self(L);
  check_decimal(L, 2, "decimal:eq", &other, text);
  lua_pushboolean(L, mp_decimal_cmp(self, &other) == 0);
  return 1;
}

/* The scale at idx, checked. */
static int scale_at(lua_State *L, int idx, const char *what)
{
  int64_t scale;
  if (!lmp_to_integer(L, idx, &scale) || scale < 0 || scale > MP_DECIMAL_DIGITS_MAX)
    lmp_raise(L, MP_E_BAD_ARGUMENT, "%s takes a number of digits from 0 to %d", what,
              MP_DECIMAL_DIGITS_MAX);
  return (int)scale;
}

static int push_rounded(lua_State *L, const mp_value *value, int scale, bool exact)
{
  char text[MP_DECIMAL_TEXT_MAX];
  mp_value result;
  if (mp_decimal_scale(value) == scale) {
    lua_pushvalue(L, 1);
    return 1;
  }
  mp_status status = mp_decimal_quantize(value, scale, &result, text);
  if (status != MP_OK)
    return lmp_raise(L, status, "rounding to %d digits: the result has more than %d digits", scale,
                     MP_DECIMAL_DIGITS_MAX);
  if (exact && mp_decimal_cmp(value, &result) != 0) {
    lua_pushnil(L);
    return 1;
  }
  return push_decimal(L, &result);
}

static int method_round(lua_State *L)
{
  const mp_value *self = check_self(L);
  return push_rounded(L, self, lua_isnoneornil(L, 2) ? 0 : scale_at(L, 2, "decimal:round"), false);
}

static int method_tonumber(lua_State *L)
{
  lua_pushnumber(L, mp_decimal_double(check_self(L)));
  return 1;
}

static int method_tointeger(lua_State *L)
{
  int64_t i;
  if (mp_decimal_integer(check_self(L), &i))
    lmp_push_integer(L, i);
  else
    lua_pushnil(L);
  return 1;
}

/* core.quantize(decimal, scale, exact) */
static int quantize(lua_State *L)
{
  const mp_value *value = check_self(L);
  return push_rounded(L, value, scale_at(L, 2, "quantize"), lua_toboolean(L, 3));
}

/* core.decimal_fits(value, scale, limit) */
static int decimal_fits(lua_State *L)
{
  const mp_value *value = lmp_test_value(L, 1);
  lua_pushboolean(L, value != NULL && value->kind == MP_DECIMAL && value->small &&
                         value->scale == lua_tointeger(L, 2) &&
                         fabs((double)value->i) < lua_tonumber(L, 3));
  return 1;
}

void lmp_open_decimal(lua_State *L, int metas)
{
  static const luaL_Reg functions[] = {{"decimal", new_decimal},
                                       {"quantize", quantize},
                                       {"decimal_fits", decimal_fits},
                                       {NULL, NULL}};
  static const luaL_Reg operators[] = {
      {"__add", decimal_add}, {"__sub", decimal_sub}, {"__mul", decimal_mul},
      {"__div", decimal_div}, {"__mod", decimal_mod}, {"__idiv", decimal_idiv},
      {"__unm", decimal_unm}, {"__pow", decimal_pow}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"eq", method_eq},
                                     {"round", method_round},
                                     {"tonumber", method_tonumber},
                                     {"tointeger", method_tointeger},
                                     {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  lmp_new_meta(L, metas, MP_DECIMAL);
  luaL_setfuncs(L, operators, 0);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
