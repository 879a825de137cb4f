/* pace.c - see pace.h; a table without chains, because a wrong place only costs a shared ride. */
#include "pace.h"

#define FAST_NS ((uint64_t)2 * 1000 * 1000)  /* of the server's own time, on average */
#define LONG_NS ((uint64_t)20 * 1000 * 1000) /* nothing more is sent behind what runs longer */

/* Only for tests on a machine where everything takes longer: what is fast may take as many times as long. */
extern bool mp_pace_test_slow_machine;
bool mp_pace_test_slow_machine;

static uint64_t here(uint64_t ns)
{
  return mp_pace_test_slow_machine ? 50 * ns : ns;
}

static void note_way(mp_pace *pace, uint64_t took_ns)
{
  if (pace->way_ns == 0 || took_ns < pace->way_ns)
    pace->way_ns = took_ns;
  else
    pace->way_ns += (took_ns - pace->way_ns) / 1024; /* the way may become longer, too */
}

void mp_pace_note(mp_pace *pace, uint64_t hash, uint64_t took_ns, bool went)
{
  size_t place = hash % MP_PACE_PLACES;
  uint64_t *average_ns = &pace->places[place].average_ns;
  if (went)
    note_way(pace, took_ns);
  if (pace->places[place].hash != hash) {
    pace->places[place].hash = hash;
    *average_ns = took_ns;
  } else if (took_ns > *average_ns) {
    *average_ns += (took_ns - *average_ns) / 4;
  } else {
    *average_ns -= (*average_ns - took_ns) / 4;
  }
}

bool mp_pace_is_fast(const mp_pace *pace, uint64_t hash)
{
  size_t place = hash % MP_PACE_PLACES;
  return pace->places[place].hash == hash &&
         pace->places[place].average_ns < pace->way_ns + here(FAST_NS);
}

bool mp_pace_is_long(const mp_pace *pace, uint64_t began_ns, uint64_t now_ns)
{
  return began_ns != 0 && now_ns > began_ns + pace->way_ns + here(LONG_NS);
}
