/* plain.c - rows of values that need nothing but a look, taken out of their tables in one go.
** A row is plain when its fields are those of the rules, each with a value that its rule takes as it is. Whatever else there may
** be in a row, the caller reads it: this stops in front of it. */
#include "value.h"

#include <math.h>

typedef enum plain_what {
  WHOLE,   /* low and high are its range */
  FLOAT,   /* the same; finite */
  TEXT,    /* of low to high characters */
  DECIMAL, /* low digits behind the point; below high without it */
  OF_KIND, /* low is the kind */
  BOOLEAN
} plain_what;

typedef struct plain_rule {
  plain_what what;
  bool null; /* it may be left out */
  double low, high;
} plain_rule;

static const char *const names[] = {"whole", "float", "text", "decimal", "kind", "boolean", NULL};

/* The list at idx, { name, what, null, low, high } each; pushes the userdata that keeps them, and the list of the names. */
static plain_rule *read_rules(lua_State *L, int idx, int n)
{
  plain_rule *rules = lua_newuserdatauv(L, (size_t)n * sizeof *rules + 1, 0);
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    plain_rule *to = &rules[i];
    lua_rawgeti(L, idx, i + 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    lua_rawgeti(L, -1, 1);
    lua_rawseti(L, -3, i + 1);
    lua_rawgeti(L, -1, 2);
    to->what = (plain_what)luaL_checkoption(L, -1, NULL, names);
    lua_rawgeti(L, -2, 3);
    to->null = lua_toboolean(L, -1);
    lua_rawgeti(L, -3, 4);
    to->low = luaL_optnumber(L, -1, -HUGE_VAL);
    lua_rawgeti(L, -4, 5);
    to->high = luaL_optnumber(L, -1, HUGE_VAL);
    lua_pop(L, 5);
  }
  return rules;
}

static bool is_between(const plain_rule *rule, double d)
{
  return d >= rule->low && d <= rule->high;
}

static bool is_text(const plain_rule *rule, const char *s, size_t n)
{
  size_t characters = 0;
  if (mp_text_check(s, n) < n)
    return false;
  for (size_t i = 0; i < n; i++)
    characters += (s[i] & 0xC0) != 0x80;
  return is_between(rule, (double)characters);
}

/* Does the rule take the value on the top, which is not nil? */
static bool takes(lua_State *L, const plain_rule *rule)
{
  const mp_value *value;
  int type = lua_type(L, -1);
  int64_t whole;
  size_t n;
  switch (rule->what) {
  case WHOLE:
    return type == LUA_TNUMBER && lmp_to_integer(L, -1, &whole) && is_between(rule, (double)whole);
  case FLOAT:
    return type == LUA_TNUMBER && !lmp_to_integer(L, -1, &whole) && isfinite(lua_tonumber(L, -1)) &&
           is_between(rule, lua_tonumber(L, -1));
  case TEXT: {
    const char *s = type == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
    return s != NULL && is_text(rule, s, n);
  }
  case DECIMAL:
    value = lmp_test_value(L, -1);
    return value != NULL && value->kind == MP_DECIMAL && value->small &&
           value->scale == rule->low && fabs((double)value->i) < rule->high;
  case OF_KIND:
    value = lmp_test_value(L, -1);
    return value != NULL && value->kind == rule->low;
  case BOOLEAN:
    return type == LUA_TBOOLEAN;
  default:
    return false;
  }
}

/* Are these all the fields that the table on the top has? */
static bool has_no_more(lua_State *L, int n)
{
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    lua_pop(L, 1);
    if (n-- == 0) {
      lua_pop(L, 1);
      return false;
    }
  }
  return true;
}

/* Put the values of the row on the top behind the first `at` of those at values. False: it is not plain. */
static bool take_row(lua_State *L, const plain_rule *rules, int n, int fields, int values,
                     lua_Integer at)
{
  int found = 0;
  if (!lua_istable(L, -1))
    return false;
  if (lua_getmetatable(L, -1)) {
    lua_pop(L, 1);
    return false;
  }
  for (int i = 0; i < n; i++) {
    bool is_nil;
    lua_rawgeti(L, fields, i + 1);
    lua_rawget(L, -2);
    is_nil = lua_isnil(L, -1);
    if (is_nil ? !rules[i].null : !takes(L, &rules[i])) {
      lua_pop(L, 1);
      return false;
    }
    found += !is_nil;
    lua_rawseti(L, values, (int)at + i + 1);
  }
  return has_no_more(L, found);
}

/* core.plain_rows(rules, rows, from, values, at): the rows from number `from` on; gives how many were taken. What the first one
** that is not plain has left behind them is written over by whoever reads it. */
static int plain_rows(lua_State *L)
{
  int n, fields, taken = 0;
  lua_Integer from = luaL_checkinteger(L, 3), at = luaL_checkinteger(L, 5);
  const plain_rule *rules;
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 4, LUA_TTABLE);
  n = (int)lua_rawlen(L, 1);
  luaL_checkstack(L, 12, "rows");
  rules = read_rules(L, 1, n);
  fields = lua_gettop(L);
  for (;; taken++, at += n) {
    bool plain;
    lua_rawgeti(L, 2, (int)from + taken);
    plain = take_row(L, rules, n, fields, 4, at);
    lua_pop(L, 1);
    if (!plain)
      break;
  }
  lua_pushinteger(L, taken);
  return 1;
}

void lmp_open_plain(lua_State *L)
{
  static const luaL_Reg functions[] = {{"plain_rows", plain_rows}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
