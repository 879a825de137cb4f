/* arena.c - many small allocations with one life.
** A chain of blocks, from the third one on each twice as large as the one before, up to a limit; the arena itself stands
** at the start of its first block, so that a small arena is one malloc and one free. Something
** large gets a block of its own and leaves the current one in use. */
#include "arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES                                                                                \
  ((size_t)1024) /* glibc keeps freed blocks of up to 1032 bytes at hand, without a lock */
#define BLOCK_MAX_BYTES ((size_t)64 * 1024)
#define ALIGN alignof(max_align_t)

typedef struct block {
  struct block *next;
  size_t n_bytes; /* with this head */
} block;

struct mp_arena {
  block *blocks;    /* newest first; the last one holds the arena */
  char *free, *end; /* what is left of the current block */
  size_t next_bytes;
  size_t total_bytes;
};

static size_t round_up(size_t n)
{
  return (n + (ALIGN - 1)) & ~(ALIGN - 1);
}

static block *add_block(mp_arena *arena, size_t n_bytes)
{
  block *added = malloc(n_bytes);
  if (added == NULL)
    return NULL;
  added->next = arena->blocks;
  added->n_bytes = n_bytes;
  arena->blocks = added;
  arena->total_bytes += n_bytes;
  return added;
}

mp_arena *mp_arena_new(size_t first_bytes)
{
  size_t head = round_up(sizeof(block)) + round_up(sizeof(mp_arena));
  size_t n_bytes = head + round_up(first_bytes > 0 ? first_bytes : FIRST_BYTES - head);
  block *first = malloc(n_bytes);
  mp_arena *arena;
  if (first == NULL)
    return NULL;
  first->next = NULL;
  first->n_bytes = n_bytes;
  arena = (void *)((char *)first + round_up(sizeof(block)));
  arena->blocks = first;
  arena->free = (char *)first + head;
  arena->end = (char *)first + n_bytes;
  arena->next_bytes = n_bytes < BLOCK_MAX_BYTES ? n_bytes : BLOCK_MAX_BYTES;
  arena->total_bytes = n_bytes;
  return arena;
}

static void *alloc_slow(mp_arena *arena, size_t n_bytes)
{
  size_t head = round_up(sizeof(block));
  block *added;
  if (n_bytes > arena->next_bytes / 4) {
    added = add_block(arena, head + n_bytes);
    return added == NULL ? NULL : (char *)added + head;
  }
  added = add_block(arena, arena->next_bytes);
  if (added == NULL)
    return NULL;
  arena->free = (char *)added + head + n_bytes;
  arena->end = (char *)added + added->n_bytes;
  if (arena->next_bytes < BLOCK_MAX_BYTES)
    arena->next_bytes *= 2;
  return (char *)added + head;
}

void *mp_arena_alloc(mp_arena *arena, size_t n_bytes)
{
  char *at = arena->free;
  if (n_bytes > PTRDIFF_MAX / 2)
    return NULL;
  n_bytes = round_up(n_bytes > 0 ? n_bytes : 1);
  if (n_bytes > (size_t)(arena->end - at))
    return alloc_slow(arena, n_bytes);
  arena->free = at + n_bytes;
  return at;
}

void *mp_arena_zalloc(mp_arena *arena, size_t n_bytes)
{
  void *at = mp_arena_alloc(arena, n_bytes);
  return at == NULL ? NULL : memset(at, 0, n_bytes);
}

char *mp_arena_memdup(mp_arena *arena, const void *bytes, size_t n_bytes)
{
  char *copy = n_bytes < SIZE_MAX ? mp_arena_alloc(arena, n_bytes + 1) : NULL;
  if (copy == NULL)
    return NULL;
  if (n_bytes > 0)
    memcpy(copy, bytes, n_bytes);
  copy[n_bytes] = '\0';
  return copy;
}

char *mp_arena_strdup(mp_arena *arena, const char *s)
{
  return mp_arena_memdup(arena, s, strlen(s));
}

char *mp_arena_vprintf(mp_arena *arena, const char *format, va_list args)
{
  va_list again;
  char *text;
  int n;
  va_copy(again, args);
  n = vsnprintf(NULL, 0, format, again);
  va_end(again);
  if (n < 0 || (text = mp_arena_alloc(arena, (size_t)n + 1)) == NULL)
    return NULL;
  vsnprintf(text, (size_t)n + 1, format, args);
  return text;
}

char *mp_arena_printf(mp_arena *arena, const char *format, ...)
{
  va_list args;
  char *text;
  va_start(args, format);
  text = mp_arena_vprintf(arena, format, args);
  va_end(args);
  return text;
}

size_t mp_arena_bytes(const mp_arena *arena)
{
  return arena->total_bytes;
}

void mp_arena_free(mp_arena *arena)
{
  block *at = arena == NULL ? NULL : arena->blocks;
  while (at != NULL) {
    block *next = at->next;
    free(at);
    at = next;
  }
}
