/* pace.h - how long statements take, by their text.
** Statements that share a connection wait for each other, so only those that are known to be fast may. Known is what was
** measured lately: a running average for each text, in a table of fixed size where a newcomer displaces
** whoever has its place. What the shortest one takes counts as the way to the server and back; of those only that went when nothing
** was under way, because the others are answered one behind the other. */
#ifndef MP_PACE_H
#define MP_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MP_PACE_PLACES 512

typedef struct mp_pace {
  uint64_t way_ns; /* there and back; 0: nothing was measured */
  struct {
    uint64_t hash, average_ns;
  } places[MP_PACE_PLACES];
} mp_pace;

/* hash: of a statement's text, not 0. went: took_ns has the whole way in it. */
void mp_pace_note(mp_pace *pace, uint64_t hash, uint64_t took_ns, bool went);
bool mp_pace_is_fast(const mp_pace *pace, uint64_t hash); /* false: slow, or not known */

/* Has what began then run for longer than anything fast does? */
bool mp_pace_is_long(const mp_pace *pace, uint64_t began_ns, uint64_t now_ns);

#endif
