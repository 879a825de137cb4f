/* show.c - mp.show: any Lua value as a text to read.
** Keys are sorted, what fits stands on one line, tables inside themselves and very deep ones are
** cut short. Control bytes are escaped, so that data never moves a terminal's cursor. Tables are
** read raw. */
#include "value.h"

#include "buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 78
#define DEPTH_MAX 8

typedef struct frame {
  const struct frame *up;
  const void *table;
  int depth;
} frame;

typedef struct shower {
  lua_State *L;
  int metas;
  lmp_buffer *out;
  bool flat;   /* everything on one line; given up where the line gets too long */
  size_t line; /* where the current line starts in out */
} shower;

static bool show_value(shower *w, int idx, const frame *at);

static void add(shower *w, const char *text)
{
  lmp_buffer_add(w->out, text, strlen(text));
}

static bool fits(const shower *w)
{
  return !w->flat || w->out->n - w->line <= LINE_MAX_BYTES;
}

static void new_line(shower *w, int depth)
{
  lmp_buffer_char(w->out, '\n');
  w->line = w->out->n;
  for (int i = 0; i < depth; i++)
    add(w, "  ");
}

/* ---- what is no table ---- */

static void show_string(shower *w, const char *s, size_t n)
{
  lmp_buffer_char(w->out, '"');
  for (size_t i = 0; i < n;) {
    unsigned char c = (unsigned char)s[i];
    char escape[8];
    if (c >= 0x20 && c < 0x7F) {
      if (c == '"' || c == '\\')
        lmp_buffer_char(w->out, '\\');
      lmp_buffer_char(w->out, s[i++]);
      continue;
    }
    size_t len = 1, left = n - i < 4 ? n - i : 4;
    while (c >= 0xC2 && len < left && mp_text_check(s + i, len) != len)
      len++;
    bool control = c < 0x80 || (c == 0xC2 && len == 2 && (unsigned char)s[i + 1] < 0xA0);
    if (!control && mp_text_check(s + i, len) == len) {
      lmp_buffer_add(w->out, s + i, len);
      i += len;
      continue;
    }
    if (c == '\n' || c == '\t' || c == '\r')
      snprintf(escape, sizeof escape, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
    else
      snprintf(escape, sizeof escape, "\\x%02x", c);
    add(w, escape);
    i++;
  }
  lmp_buffer_char(w->out, '"');
}

static void show_number(shower *w, int idx)
{
  char text[MP_VALUE_TEXT_MAX + 2];
  mp_value value = {.kind = MP_INT};
  if (!lmp_to_integer(w->L, idx, &value.i))
    value = (mp_value){.kind = MP_FLOAT, .d = lua_tonumber(w->L, idx)};
  mp_value_format(&value, text);
  add(w, text);
  if (value.kind == MP_FLOAT && strpbrk(text, ".eIN") == NULL)
    add(w, ".0");
}

/* By its __tostring, or its type in angle brackets. */
static void show_by_name(shower *w, int idx)
{
  lua_State *L = w->L;
  size_t n;
  int top = lua_gettop(L);
  const char *s = luaL_callmeta(L, idx, "__tostring") ? lua_tolstring(L, -1, &n) : NULL;
  if (s != NULL) {
    lmp_buffer_add(w->out, s, n);
  } else {
    add(w, "<");
    add(w, lua_type(L, idx) == LUA_TTHREAD ? "coroutine" : luaL_typename(L, idx));
    add(w, ">");
  }
  lua_settop(L, top);
}

static void show_userdata(shower *w, int idx)
{
  const mp_value *value = lmp_test_value(w->L, idx);
  size_t n;
  if (lmp_is_null(w->L, idx)) {
    add(w, "null");
  } else if (value == NULL) {
    show_by_name(w, idx);
  } else if (value->kind == MP_BLOB) {
    add(w, "blob ");
    show_string(w, value->s, value->len);
  } else {
    lmp_push_text(w->L, value);
    const char *s = lua_tolstring(w->L, -1, &n);
    lmp_buffer_add(w->out, s, n);
    lua_pop(w->L, 1);
  }
}

/* ---- tables ---- */

typedef struct key {
  int rank;  /* numbers, strings, booleans, the rest */
  int place; /* in the array of keys on the stack */
  double number;
  const char *s;
  size_t n;
} key;

static int by_key(const void *left, const void *right)
{
  const key *a = left, *b = right;
  if (a->rank != b->rank)
    return a->rank - b->rank;
  if (a->rank != 1)
    return a->number < b->number ? -1 : a->number > b->number ? 1 : a->place - b->place;
  int order = memcmp(a->s, b->s, a->n < b->n ? a->n : b->n);
  return order != 0 ? order : a->n < b->n ? -1 : a->n > b->n;
}

/* Push the array of the keys that are no place in 1..items, and a userdata with them sorted. */
static key *push_keys(lua_State *L, int idx, int items, int *n)
{
  lua_newtable(L);
  int array = lua_gettop(L), count = 0;
  int64_t whole;
  lua_pushnil(L);
  while (lua_next(L, idx)) {
    lua_pop(L, 1);
    if (lmp_to_integer(L, -1, &whole) && whole >= 1 && whole <= items)
      continue;
    lua_pushvalue(L, -1);
    lua_rawseti(L, array, ++count);
  }
  key *keys = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *keys, 0);
  for (int i = 0; i < count; i++) {
    lua_rawgeti(L, array, i + 1);
    int type = lua_type(L, -1);
    keys[i] = (key){.place = i + 1, .rank = 3};
    if (type == LUA_TNUMBER) {
      keys[i].rank = 0;
      keys[i].number = lua_tonumber(L, -1);
    } else if (type == LUA_TSTRING) {
      keys[i].rank = 1;
      keys[i].s = lua_tolstring(L, -1, &keys[i].n);
    } else if (type == LUA_TBOOLEAN) {
      keys[i].rank = 2;
      keys[i].number = lua_toboolean(L, -1);
    }
    lua_pop(L, 1);
  }
  qsort(keys, (size_t)count, sizeof *keys, by_key);
  *n = count;
  return keys;
}

static bool is_word(const char *s, size_t n)
{
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  return n > 0 && (s[0] < '0' || s[0] > '9') && strspn(s, letters) == n;
}

static bool show_entry(shower *w, const key *k, int idx, int array, const frame *inside)
{
  lua_State *L = w->L;
  lua_rawgeti(L, array, k->place);
  if (k->rank == 1 && is_word(k->s, k->n)) {
    lmp_buffer_add(w->out, k->s, k->n);
  } else {
    add(w, "[");
    if (lua_istable(L, -1))
      add(w, "<table>");
    else if (!show_value(w, lua_gettop(L), inside))
      return false;
    add(w, "]");
  }
  add(w, " = ");
  lua_rawget(L, idx);
  bool fine = show_value(w, lua_gettop(L), inside);
  lua_pop(L, 1);
  return fine;
}

/* All entries, on one line or each on its own. */
static bool show_entries(shower *w, int idx, int items, const key *keys, int n, int array,
                         const frame *inside)
{
  lua_State *L = w->L;
  add(w, w->flat ? "{ " : "{");
  for (int i = 0; i < items + n; i++) {
    bool fine;
    if (w->flat && i > 0)
      add(w, ", ");
    if (!w->flat)
      new_line(w, inside->depth);
    if (i < items) {
      lua_rawgeti(L, idx, i + 1);
      fine = show_value(w, lua_gettop(L), inside);
      lua_pop(L, 1);
    } else {
      fine = show_entry(w, &keys[i - items], idx, array, inside);
    }
    if (!fine || !fits(w))
      return false;
    if (!w->flat)
      add(w, ",");
  }
  if (!w->flat)
    new_line(w, inside->depth - 1);
  add(w, w->flat ? " }" : "}");
  return fits(w);
}

/* The name of the table's metatable, and whether that calls it no data (json.c). */
static bool show_name(shower *w, int idx)
{
  lua_State *L = w->L;
  bool data = true;
  if (lmp_is_array(L, w->metas, idx) || !lua_getmetatable(L, idx))
    return true;
  lua_pushliteral(L, "__json");
  lua_rawget(L, -2);
  lua_pushliteral(L, "__name");
  lua_rawget(L, -3);
  if (lua_type(L, -2) == LUA_TSTRING) {
    show_by_name(w, idx);
    data = false;
  } else if (lua_type(L, -1) == LUA_TSTRING) {
    add(w, lua_tostring(L, -1));
    add(w, " ");
  }
  lua_pop(L, 3);
  return data;
}

static bool show_table(shower *w, int idx, const frame *at)
{
  lua_State *L = w->L;
  frame inside = {
      .up = at, .table = lua_topointer(L, idx), .depth = at != NULL ? at->depth + 1 : 1};
  int top = lua_gettop(L), items = 0, n;
  luaL_checkstack(L, 16, "no room to show a table");
  for (const frame *outer = at; outer != NULL; outer = outer->up)
    if (outer->table == inside.table) {
      add(w, "<cycle>");
      return fits(w);
    }
  if (!show_name(w, idx))
    return fits(w);
  lua_pushnil(L);
  if (!lua_next(L, idx)) {
    add(w, "{}");
    return fits(w);
  }
  lua_settop(L, top);
  if (inside.depth > DEPTH_MAX) {
    add(w, "{...}");
    return fits(w);
  }

  do {
    lua_settop(L, top);
    lua_rawgeti(L, idx, items + 1);
  } while (!lua_isnil(L, -1) && ++items);
  lua_settop(L, top);
  key *keys = push_keys(L, idx, items, &n);
  bool was_flat = w->flat;
  size_t start = w->out->n, line = w->line;
  w->flat = true;
  bool fine = show_entries(w, idx, items, keys, n, top + 1, &inside);
  w->flat = was_flat;
  if (!fine && !was_flat) {
    w->out->n = start;
    w->line = line;
    lua_settop(L, top + 2);
    fine = show_entries(w, idx, items, keys, n, top + 1, &inside);
  }
  lua_settop(L, top);
  return fine;
}

static bool show_value(shower *w, int idx, const frame *at)
{
  size_t n;
  const char *s;
  switch (lua_type(w->L, idx)) {
  case LUA_TNIL:
    add(w, "nil");
    break;
  case LUA_TBOOLEAN:
    add(w, lua_toboolean(w->L, idx) ? "true" : "false");
    break;
  case LUA_TNUMBER:
  case LMP_TCDATA:
    show_number(w, idx);
    break;
  case LUA_TSTRING:
    s = lua_tolstring(w->L, idx, &n);
    show_string(w, s, n);
    break;
  case LUA_TUSERDATA:
  case LUA_TLIGHTUSERDATA:
    show_userdata(w, idx);
    break;
  case LUA_TTABLE:
    return show_table(w, idx, at);
  default:
    show_by_name(w, idx);
    break;
  }
  return fits(w);
}

static int show(lua_State *L)
{
  lmp_buffer buffer;
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  shower w = {.L = L, .metas = lmp_push_metas(L), .out = &buffer};
  lmp_buffer_open(L, &buffer);
  show_value(&w, 1, NULL);
  lmp_buffer_push(&buffer);
  return 1;
}

void lmp_open_show(lua_State *L, int metas)
{
  (void)metas;
  lua_pushcfunction(L, show);
  lua_setfield(L, -2, "show");
}
