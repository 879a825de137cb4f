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

typedef struct plain_rules {
  int n;
  plain_rule rules[];
} plain_rules;

#define PLAIN_TYPE "moonpool.plain_rules"

static const char *const names[] = {"whole", "float", "text", "decimal", "kind", "boolean", NULL};

/* core.plain_rules(list): { name, what, null, low, high } each. The names go with them, as a list. */
static int read_rules(lua_State *L)
{
  plain_rules *made;
  int n;
  luaL_checktype(L, 1, LUA_TTABLE);
  n = (int)lua_rawlen(L, 1);
  made = lua_newuserdatauv(L, sizeof *made + (size_t)n * sizeof made->rules[0], 1);
  made->n = n;
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    plain_rule *to = &made->rules[i];
    lua_rawgeti(L, 1, i + 1);
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
  lua_setiuservalue(L, -2, 1);
  luaL_newmetatable(L, PLAIN_TYPE);
  lua_setmetatable(L, -2);
  return 1;
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

/* Has the object at idx this metatable, and no value under any of the names in the list? */
static bool is_object(lua_State *L, int idx, int meta, int left_out)
{
  bool is = lua_getmetatable(L, idx) && lua_rawequal(L, -1, meta);
  for (int i = 1, n = (int)lua_rawlen(L, left_out); is && i <= n; i++) {
    lua_rawgeti(L, left_out, i);
    lua_rawget(L, idx);
    is = lua_isnil(L, -1);
    lua_pop(L, 1);
  }
  lua_settop(L, idx);
  return is;
}

/* Push the values of the row at idx; fields: the place of the names; meta: that of a metatable, with the names of what it
** lacks behind it, or 0. False: it is not plain, and some of them were pushed. */
static bool push_row(lua_State *L, const plain_rules *by, int idx, int fields, int meta)
{
  int found = 0;
  if (!lua_istable(L, idx))
    return false;
  if (meta > 0 ? !is_object(L, idx, meta, meta + 1) : lua_getmetatable(L, idx))
    return false;
  for (int i = 0; i < by->n; i++) {
    bool is_nil;
    lua_rawgeti(L, fields, i + 1);
    lua_rawget(L, idx);
    is_nil = lua_isnil(L, -1);
    if (is_nil ? !by->rules[i].null : !takes(L, &by->rules[i]))
      return false;
    found += !is_nil;
  }
  if (meta > 0)
    return true;
  lua_pushvalue(L, idx);
  if (!has_no_more(L, found))
    return false;
  lua_pop(L, 1);
  return true;
}

/* The rules at 1, with their names pushed and room for a row behind them. */
static const plain_rules *rules_at_first(lua_State *L)
{
  const plain_rules *by = luaL_checkudata(L, 1, PLAIN_TYPE);
  luaL_checkstack(L, by->n + 12, "fields");
  lua_getiuservalue(L, 1, 1);
  return by;
}

/* core.plain_rows(rules, rows, from, values, at, meta, left_out): the rows from number `from` on are put behind the first `at` of the
** values; gives how many. With meta they are objects that have it, and no value of the fields in left_out; what else there is in
** an object is not written. */
static int plain_rows(lua_State *L)
{
  int fields = 8, meta = 0, taken = 0;
  lua_Integer from = luaL_checkinteger(L, 3), at = luaL_checkinteger(L, 5);
  const plain_rules *by;
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 4, LUA_TTABLE);
  lua_settop(L, 7);
  if (!lua_isnil(L, 6)) {
    meta = 6;
    luaL_checktype(L, 6, LUA_TTABLE);
    luaL_checktype(L, 7, LUA_TTABLE);
  }
  by = rules_at_first(L);
  for (;; taken++, at += by->n) {
    lua_rawgeti(L, 2, (int)from + taken);
    if (!push_row(L, by, fields + 1, fields, meta))
      break;
    for (int i = by->n; i > 0; i--)
      lua_rawseti(L, 4, (int)at + i);
    lua_settop(L, fields);
  }
  lua_pushinteger(L, taken);
  return 1;
}

/* core.plain_row(rules, row, values, object): the same for one row, which goes into the object too, under its names. False:
** nothing was done. */
static int plain_row(lua_State *L)
{
  int fields = 5;
  const plain_rules *by;
  bool plain;
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checktype(L, 4, LUA_TTABLE);
  lua_settop(L, 4);
  by = rules_at_first(L);
  plain = push_row(L, by, 2, fields, 0);
  for (int i = 1; plain && i <= by->n; i++) {
    lua_pushvalue(L, fields + i);
    lua_rawseti(L, 3, i);
    if (lua_isnil(L, fields + i))
      continue;
    lua_rawgeti(L, fields, i);
    lua_pushvalue(L, fields + i);
    lua_rawset(L, 4);
  }
  lua_pushboolean(L, plain);
  return 1;
}

void lmp_open_plain(lua_State *L)
{
  static const luaL_Reg functions[] = {{"plain_rules", read_rules},
                                       {"plain_rows", plain_rows},
                                       {"plain_row", plain_row},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
