/* buffer.h - bytes that grow, in memory that Lua collects.
** Unlike luaL_Buffer it may grow while other values come and go on the stack, and it has no limit
** of nesting. It takes one slot of the stack, the top one when it is opened; a Lua error loses
** nothing. */
#ifndef LMP_BUFFER_H
#define LMP_BUFFER_H

#include "compat.h"

#include <string.h>

typedef struct lmp_buffer {
  lua_State *L;
  int slot;
  char *bytes;
  size_t n, room;
  char first[512];
} lmp_buffer;

static inline void lmp_buffer_open(lua_State *L, lmp_buffer *b)
{
  lua_pushnil(L);
  b->L = L;
  b->slot = lua_gettop(L);
  b->bytes = b->first;
  b->n = 0;
  b->room = sizeof b->first;
}

/* Room for n more bytes, to be filled by the caller, who then adds to b->n. */
static inline char *lmp_buffer_room(lmp_buffer *b, size_t n)
{
  if (n > b->room - b->n) {
    size_t room = b->room * 2 > b->n + n ? b->room * 2 : b->n + n;
    char *bytes = lua_newuserdatauv(b->L, room, 0);
    memcpy(bytes, b->bytes, b->n);
    lua_replace(b->L, b->slot);
    b->bytes = bytes;
    b->room = room;
  }
  return b->bytes + b->n;
}

static inline void lmp_buffer_add(lmp_buffer *b, const char *bytes, size_t n)
{
  memcpy(lmp_buffer_room(b, n), bytes, n);
  b->n += n;
}

static inline void lmp_buffer_char(lmp_buffer *b, char c)
{
  *lmp_buffer_room(b, 1) = c;
  b->n++;
}

/* Push what was gathered as a string. */
static inline void lmp_buffer_push(lmp_buffer *b)
{
  lua_pushlstring(b->L, b->bytes, b->n);
}

#endif
