/* taker.h - what the tests of the pool share beside rig.h: somebody who asks for a connection of his own. */
#ifndef MP_TAKER_H
#define MP_TAKER_H

#include "rig.h"

static int ready_n;
static mp_pool *pool;
extern bool mp_pool_test_unfair;

typedef struct taker {
  mp_hold hold;
  int ready_n, lost_n, order;
  char text[300];
} taker;

static void took(mp_hold *hold)
{
  taker *t = mp_container_of(hold, taker, hold);
  t->ready_n++;
  t->order = ++ready_n;
}

static void took_lost(mp_hold *hold)
{
  mp_container_of(hold, taker, hold)->lost_n++;
}

static inline void take(taker *t, mp_access access)
{
  memset(t, 0, sizeof *t);
  mp_hold_init(&t->hold, access);
  t->hold.on_ready = took;
  t->hold.on_lost = took_lost;
  t->hold.text = t->text;
  t->hold.text_bytes = sizeof t->text;
  mp_pool_acquire(pool, &t->hold);
}

static int setup(void **state)
{
  ready_n = 0;
  mp_pool_test_unfair = false;
  return rig_setup(state);
}

static int teardown(void **state)
{
  mp_fake_forget("db");
  return rig_teardown(state);
}

static inline void open_pool(const char *text, int max)
{
  script("db", text);
  pool = pool_of("fake", "db", max);
}

#define POOL_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
