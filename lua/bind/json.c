/* json.c - Lua values as JSON text (RFC 8259), and back.
** Reading is jansson, whole numbers exact to 64 bits. Writing is done here, because JSON has no
** decimals and no dates: they are written as strings, like all values that have a text. Tables are
** read raw: no metamethod runs, so nothing is loaded by looking, and a table that is no data says
** so in the field __json of its metatable. */
#include "json.h"

#include "raise.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 512

/* ---- writing ---- */

/* Where the writer is: a table inside a table inside ... */
typedef struct frame {
  const struct frame *up;
  const void *table; /* to find a table inside itself */
  const char *key;   /* NULL: index */
  size_t key_len;
  size_t index;
  int depth;
} frame;

typedef struct writer {
  lua_State *L;
  int metas;
  bool strict;
  lmp_buffer *out;
  char *why;
} writer;

static bool write_value(writer *w, int idx, const frame *at);

static size_t put_path(char *out, size_t room, const frame *at)
{
  size_t n = 1;
  if (at == NULL || room < 2)
    return (size_t)snprintf(out, room, "$");
  n = put_path(out, room, at->up);
  if (n >= room)
    return n;
  if (at->key != NULL)
    return n + (size_t)snprintf(out + n, room - n, ".%.*s", (int)at->key_len, at->key);
  return n + (size_t)snprintf(out + n, room - n, "[%zu]", at->index);
}

static bool refuse(writer *w, const frame *at, const char *what)
{
  int n = snprintf(w->why, LMP_WHY_MAX, "%s at ", what);
  if (n < LMP_WHY_MAX)
    put_path(w->why + n, LMP_WHY_MAX - (size_t)n, at);
  return false;
}

static bool write_string(writer *w, const char *s, size_t n, const frame *at)
{
  static const char hex[] = "0123456789abcdef";
  for (size_t done = 0; done < n;) { /* mp_text_check stops at a NUL, which JSON can have */
    size_t good = done + mp_text_check(s + done, n - done);
    if (good < n && s[good] != '\0')
      return refuse(w, at, "a string that is not UTF-8 has no JSON form");
    if (good < n && w->strict)
      return refuse(w, at, "a string with a NUL, which no database takes,");
    done = good + 1;
  }

  lmp_buffer_char(w->out, '"');
  size_t from = 0;
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)s[i];
    if (c >= 0x20 && c != '"' && c != '\\')
      continue;
    lmp_buffer_add(w->out, s + from, i - from);
    from = i + 1;
    const char *brief = c != 0 ? strchr("\"\\\bb\ff\nn\rr\tt", c) : NULL;
    char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    if (brief != NULL) {
      escape[1] = c == '"' || c == '\\' ? (char)c : brief[1];
      lmp_buffer_add(w->out, escape, 2);
    } else {
      lmp_buffer_add(w->out, escape, 6);
    }
  }
  lmp_buffer_add(w->out, s + from, n - from);
  lmp_buffer_char(w->out, '"');
  return true;
}

static bool write_number(writer *w, int idx, const frame *at)
{
  mp_value value = {.kind = MP_INT};
  if (!lmp_to_integer(w->L, idx, &value.i)) {
    value = (mp_value){.kind = MP_FLOAT, .d = lua_tonumber(w->L, idx)};
    if (!isfinite(value.d))
      return refuse(w, at, isnan(value.d) ? "NaN has no JSON form" : "infinity has no JSON form");
  }
  char *text = lmp_buffer_room(w->out, MP_VALUE_TEXT_MAX + 2);
  size_t n = mp_value_format(&value, text);
  w->out->n += n;
  if (value.kind == MP_FLOAT && strpbrk(text, ".e") == NULL)
    lmp_buffer_add(w->out, ".0", 2); /* so that it is read as a float again */
  return true;
}

static bool write_userdata(writer *w, int idx, const frame *at)
{
  size_t n;
  if (lmp_is_null(w->L, idx)) {
    lmp_buffer_add(w->out, "null", 4);
    return true;
  }
  const mp_value *value = lmp_test_value(w->L, idx);
  if (value == NULL)
    return refuse(w, at, "a userdata has no JSON form");
  if (value->kind == MP_BLOB)
    return refuse(w, at, "a blob has no JSON form: encode it as text");
  lmp_push_text(w->L, value);
  const char *s = lua_tolstring(w->L, -1, &n);
  bool fine = write_string(w, s, n, at);
  lua_pop(w->L, 1);
  return fine;
}

/* ---- tables ---- */

typedef struct key {
  const char *s; /* kept alive by the table, which nobody changes meanwhile */
  size_t n;
} key;

static int by_bytes(const void *left, const void *right)
{
  const key *a = left, *b = right;
  int order = memcmp(a->s, b->s, a->n < b->n ? a->n : b->n);
  return order != 0 ? order : a->n < b->n ? -1 : a->n > b->n;
}

/* What the keys of the table are. False: of both sorts, or something else. */
static bool count_keys(writer *w, int idx, const frame *at, size_t *strings, size_t *items)
{
  lua_State *L = w->L;
  size_t last = 0;
  int64_t index;
  *strings = *items = 0;
  lua_pushnil(L);
  while (lua_next(L, idx)) {
    lua_pop(L, 1);
    if (lua_type(L, -1) == LUA_TSTRING) {
      ++*strings;
    } else if (lmp_to_integer(L, -1, &index) && index > 0) {
      ++*items;
      if ((uint64_t)index > last)
        last = (size_t)index;
    } else {
      lua_pop(L, 1);
      return refuse(w, at,
                    "a key that is neither a string nor a place in an array has no JSON form");
    }
  }
  if (*strings > 0 && *items > 0)
    return refuse(w, at, "a table with both names and places has no JSON form");
  if (*items != last)
    return refuse(w, at, "an array with a hole (put mp.null there) has no JSON form");
  return true;
}

static bool write_array(writer *w, int idx, size_t n, frame *inside)
{
  lmp_buffer_char(w->out, '[');
  for (size_t i = 1; i <= n; i++) {
    if (i > 1)
      lmp_buffer_char(w->out, ',');
    lua_rawgeti(w->L, idx, (int)i);
    inside->index = i;
    if (!write_value(w, lua_gettop(w->L), inside))
      return false;
    lua_pop(w->L, 1);
  }
  lmp_buffer_char(w->out, ']');
  return true;
}

static bool write_object(writer *w, int idx, size_t n, frame *inside)
{
  lua_State *L = w->L;
  key *keys = lua_newuserdatauv(L, (n + 1) * sizeof *keys, 0);
  size_t i = 0;
  lua_pushnil(L);
  while (lua_next(L, idx)) {
    lua_pop(L, 1);
    keys[i].s = lua_tolstring(L, -1, &keys[i].n);
    i++;
  }
  qsort(keys, n, sizeof *keys, by_bytes);

  lmp_buffer_char(w->out, '{');
  for (i = 0; i < n; i++) {
    if (i > 0)
      lmp_buffer_char(w->out, ',');
    inside->key = keys[i].s;
    inside->key_len = keys[i].n;
    if (memchr(keys[i].s, '\0', keys[i].n) != NULL)
      return refuse(w, inside->up, "a key with a NUL has no JSON form");
    if (!write_string(w, keys[i].s, keys[i].n, inside->up))
      return false;
    lmp_buffer_char(w->out, ':');
    lua_pushlstring(L, keys[i].s, keys[i].n);
    lua_rawget(L, idx);
    if (!write_value(w, lua_gettop(L), inside))
      return false;
    lua_pop(L, 1);
  }
  lmp_buffer_char(w->out, '}');
  lua_pop(L, 1);
  return true;
}

/* Does the metatable say that the table is no data? */
static bool is_no_data(writer *w, int idx, const frame *at)
{
  lua_State *L = w->L;
  char what[LMP_WHY_MAX / 2];
  if (!lua_getmetatable(L, idx))
    return false;
  lua_pushliteral(L, "__json");
  lua_rawget(L, -2);
  bool no_data = lua_type(L, -1) == LUA_TSTRING;
  if (no_data) {
    snprintf(what, sizeof what, "%s", lua_tostring(L, -1));
    refuse(w, at, what);
  }
  lua_pop(L, 2);
  return no_data;
}

static bool write_table(writer *w, int idx, const frame *at)
{
  size_t strings, items;
  frame inside = {
      .up = at, .table = lua_topointer(w->L, idx), .depth = at != NULL ? at->depth + 1 : 1};
  if (inside.depth > DEPTH_MAX || !lua_checkstack(w->L, 12))
    return refuse(w, NULL, "nesting deeper than 512 has no JSON form");
  for (const frame *outer = at; outer != NULL; outer = outer->up)
    if (outer->table == inside.table)
      return refuse(w, at, "a table inside itself has no JSON form");
  if (is_no_data(w, idx, at) || !count_keys(w, idx, at, &strings, &items))
    return false;
  if (items == 0 && !lmp_is_array(w->L, w->metas, idx))
    return write_object(w, idx, strings, &inside);
  if (strings > 0)
    return refuse(w, at, "an mp.array with names has no JSON form");
  return write_array(w, idx, items, &inside);
}

static bool write_value(writer *w, int idx, const frame *at)
{
  size_t n;
  const char *s;
  switch (lua_type(w->L, idx)) {
  case LUA_TNIL:
    lmp_buffer_add(w->out, "null", 4);
    return true;
  case LUA_TBOOLEAN:
    if (lua_toboolean(w->L, idx))
      lmp_buffer_add(w->out, "true", 4);
    else
      lmp_buffer_add(w->out, "false", 5);
    return true;
  case LUA_TNUMBER:
  case LMP_TCDATA:
    return write_number(w, idx, at);
  case LUA_TSTRING:
    s = lua_tolstring(w->L, idx, &n);
    return write_string(w, s, n, at);
  case LUA_TTABLE:
    return write_table(w, idx, at);
  case LUA_TUSERDATA:
  case LUA_TLIGHTUSERDATA:
    return write_userdata(w, idx, at);
  case LUA_TFUNCTION:
    return refuse(w, at, "a function has no JSON form");
  default:
    return refuse(w, at, "a coroutine has no JSON form");
  }
}

bool lmp_json_write(lua_State *L, int metas, int idx, bool strict, lmp_buffer *out,
                    char why[LMP_WHY_MAX])
{
  int top = lua_gettop(L);
  writer w = {.L = L, .metas = metas, .strict = strict, .out = out, .why = why};
  bool fine = write_value(&w, lua_absindex(L, idx), NULL);
  lua_settop(L, top);
  return fine;
}

/* ---- reading ---- */

/* Push the Lua value of a JSON value. False: nested too deep; what is on the stack is then of no
** use. */
static bool push_json(lua_State *L, int metas, const json_t *json, int depth)
{
  size_t n;
  const char *name;
  json_t *item;
  switch (json_typeof(json)) {
  case JSON_OBJECT:
    if (depth == DEPTH_MAX || !lua_checkstack(L, 8))
      return false;
    lua_createtable(L, 0, (int)json_object_size(json));
    for (void *at = json_object_iter((json_t *)(size_t)json); at != NULL;
         at = json_object_iter_next((json_t *)(size_t)json, at)) {
      name = json_object_iter_key(at);
      item = json_object_iter_value(at);
      lua_pushstring(L, name);
      if (!push_json(L, metas, item, depth + 1))
        return false;
      lua_rawset(L, -3);
    }
    return true;
  case JSON_ARRAY:
    if (depth == DEPTH_MAX || !lua_checkstack(L, 8))
      return false;
    n = json_array_size(json);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
      if (!push_json(L, metas, json_array_get(json, i), depth + 1))
        return false;
      lua_rawseti(L, -2, (int)i + 1);
    }
    lua_rawgeti(L, metas, LMP_META_ARRAY);
    lua_setmetatable(L, -2);
    return true;
  case JSON_STRING:
    lua_pushlstring(L, json_string_value(json), json_string_length(json));
    return true;
  case JSON_INTEGER:
    lmp_push_integer(L, json_integer_value(json));
    return true;
  case JSON_REAL:
    lua_pushnumber(L, json_real_value(json));
    return true;
  case JSON_TRUE:
  case JSON_FALSE:
    lua_pushboolean(L, json_is_true(json));
    return true;
  case JSON_NULL:
    break;
  }
  lua_rawgeti(L, metas, LMP_META_NULL);
  return true;
}

/* (metas, json) -> value, or nothing. In a protected call, because jansson's memory is freed by
** hand. */
static int push_protected(lua_State *L)
{
  return push_json(L, 1, lua_touserdata(L, 2), 0) ? 1 : 0;
}

bool lmp_json_read(lua_State *L, int metas, const char *s, size_t n, char *why)
{
  json_error_t error;
  int top = lua_gettop(L);
  luaL_checkstack(L, 8, "no room for JSON");
  json_t *json = json_loadb(s, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
  if (json == NULL) {
    if (why != NULL)
      snprintf(why, LMP_WHY_MAX, "no JSON in line %d, column %d: %s", error.line, error.column,
               error.text);
    return false;
  }
  lua_pushcfunction(L, push_protected);
  lua_pushvalue(L, metas);
  lua_pushlightuserdata(L, json);
  int status = lua_pcall(L, 2, LUA_MULTRET, 0);
  json_decref(json);
  if (status != 0)
    lua_error(L);
  if (lua_gettop(L) > top)
    return true;
  if (why != NULL)
    snprintf(why, LMP_WHY_MAX, "the JSON is nested deeper than %d", DEPTH_MAX);
  return false;
}

/* ---- core.json_encode and core.json_decode ---- */

static int encode(lua_State *L)
{
  char why[LMP_WHY_MAX];
  lmp_buffer buffer;
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  int metas = lmp_push_metas(L);
  lmp_buffer_open(L, &buffer);
  if (!lmp_json_write(L, metas, 1, false, &buffer, why))
    return lmp_raise(L, MP_E_BAD_ARGUMENT, "mp.json.encode: %s", why);
  lmp_buffer_push(&buffer);
  return 1;
}

static int decode(lua_State *L)
{
  char why[LMP_WHY_MAX];
  size_t n;
  if (lua_type(L, 1) != LUA_TSTRING)
    return lmp_raise(L, MP_E_BAD_ARGUMENT, "mp.json.decode takes a text, not %s",
                     lmp_describe(L, 1));
  const char *s = lua_tolstring(L, 1, &n);
  if (!lmp_json_read(L, lmp_push_metas(L), s, n, why))
    return lmp_raise(L, MP_E_JSON, "mp.json.decode: %s", why);
  return 1;
}

void lmp_open_json(lua_State *L, int metas)
{
  static const luaL_Reg functions[] = {
      {"json_encode", encode}, {"json_decode", decode}, {NULL, NULL}};
  (void)metas;
  luaL_setfuncs(L, functions, 0);
}
