/* arena.h - many small allocations with one life.
** Memory of an arena is freed all at once, never piece by piece. Not thread
** safe: an arena belongs to whoever holds it, and is handed over whole. */
#ifndef MP_ARENA_H
#define MP_ARENA_H

#include <stdarg.h>
#include <stddef.h>

typedef struct mp_arena mp_arena;

/* A new arena whose first block holds first_bytes (0: a default). NULL when out of memory. */
mp_arena *mp_arena_new(size_t first_bytes);

/* n bytes, aligned for any type, not zeroed. NULL when out of memory; the arena stays usable. */
void *mp_arena_alloc(mp_arena *arena, size_t n_bytes);
void *mp_arena_zalloc(mp_arena *arena, size_t n_bytes);

/* Copies; the copy has a NUL behind its last byte. NULL when out of memory. */
char *mp_arena_strdup(mp_arena *arena, const char *s);
char *mp_arena_memdup(mp_arena *arena, const void *bytes, size_t n_bytes);
char *mp_arena_printf(mp_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *mp_arena_vprintf(mp_arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Bytes taken from malloc so far. */
size_t mp_arena_bytes(const mp_arena *arena);

/* Free everything. NULL is fine. */
void mp_arena_free(mp_arena *arena);

#endif
