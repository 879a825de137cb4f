/* uuid.c - UUIDs of version 4 and 7 (RFC 9562), from the kernel's random numbers.
** Those of version 7 that one Lua state makes are in order, also within a millisecond and when the
** clock goes back: 12 bits behind the time count on from a random start. */
#include "value.h"

#include "raise.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

typedef struct uuid_clock {
  uint64_t ms; /* of the last one */
  unsigned count;
} uuid_clock;

#define COUNT_MAX 0xFFFu

static void fill_random(lua_State *L, unsigned char bytes[16])
{
  ssize_t n;
  do
    n = getrandom(bytes, 16, 0);
  while (n < 0 && errno == EINTR);
  if (n != 16)
    lmp_raise(L, MP_E_IO_ERROR, "the kernel gives no random numbers: %s", strerror(errno));
}

static int push_uuid(lua_State *L, unsigned char bytes[16], unsigned version)
{
  bytes[6] = (unsigned char)((bytes[6] & 0x0F) | version << 4);
  bytes[8] = (unsigned char)((bytes[8] & 0x3F) | 0x80);
  mp_value value = {.kind = MP_BLOB, .len = 16, .s = (const char *)bytes};
  char text[MP_VALUE_TEXT_MAX];
  mp_value_convert(&value, MP_UUID, NULL, text);
  lua_pushlstring(L, value.s, value.len);
  return 1;
}

static int uuid4(lua_State *L)
{
  unsigned char bytes[16];
  fill_random(L, bytes);
  return push_uuid(L, bytes, 4);
}

static int uuid7(lua_State *L)
{
  uuid_clock *last = lua_touserdata(L, lua_upvalueindex(1));
  unsigned char bytes[16];
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
  fill_random(L, bytes);

  if (ms > last->ms) {
    last->ms = ms;
    last->count =
        ((unsigned)bytes[6] << 8 | bytes[7]) & (COUNT_MAX >> 1); /* half is left to count on */
  } else if (last->count == COUNT_MAX) {
    last->ms++; /* ahead of the clock until it has caught up */
    last->count = 0;
  } else {
    last->count++;
  }
  for (int i = 0; i < 6; i++)
    bytes[i] = (unsigned char)(last->ms >> (40 - 8 * i));
  bytes[6] = (unsigned char)(last->count >> 8);
  bytes[7] = (unsigned char)last->count;
  return push_uuid(L, bytes, 7);
}

void lmp_open_uuid(lua_State *L, int metas)
{
  (void)metas;
  lua_pushcfunction(L, uuid4);
  lua_setfield(L, -2, "uuid4");
  memset(lua_newuserdatauv(L, sizeof(uuid_clock), 0), 0, sizeof(uuid_clock));
  lua_pushcclosure(L, uuid7, 1);
  lua_setfield(L, -2, "uuid7");
}
