/* lease_rig.h - what the tests of leases share: a pool on a fake database, leases of it, requests on them. */
#ifndef MP_LEASE_RIG_H
#define MP_LEASE_RIG_H

#include "rig.h"

typedef struct owner {
  mp_lease lease;
  int ready_n;
} owner;

static mp_pool *pool;

static const char *const plain =
    "insert bad -> error unique \"taken\"\ninsert -> affected 1\nselect -> affected 0";

static void lease_ready(mp_lease *lease)
{
  mp_container_of(lease, owner, lease)->ready_n++;
}

static inline void open_pool(const char *backend, const char *text, int max)
{
  script("db", text);
  pool = pool_of(backend, "db", max);
}

static inline int teardown(void **state)
{
  mp_fake_forget("db");
  return rig_teardown(state);
}

static inline void ask_lease(owner *o, mp_access access)
{
  memset(o, 0, sizeof *o);
  mp_lease_init(&o->lease, access);
  o->lease.on_ready = lease_ready;
  mp_lease_acquire(&o->lease, pool);
}

static inline void lease_one(owner *o, mp_access access)
{
  ask_lease(o, access);
  run_until(&o->ready_n, 1);
  assert_int_equal(o->lease.hold.state, MP_HOLD_HELD);
}

static inline mp_status run(owner *o, const char *sql)
{
  ask a;
  mp_status kind;
  mp_lease_submit(&o->lease, ask_for(&a, MP_OP_QUERY, sql));
  assert_int_equal(a.done_n, 0);
  run_until(&a.done_n, 1);
  kind = a.req->error.kind;
  ask_free(&a);
  return kind;
}

static inline mp_status run_tx(owner *o, mp_txop op, const mp_txoptions *options)
{
  ask a;
  mp_status kind;
  mp_lease_submit(&o->lease, ask_tx(&a, op, options));
  assert_int_equal(a.done_n, 0);
  run_until(&a.done_n, 1);
  kind = a.req->error.kind;
  ask_free(&a);
  return kind;
}

static inline void end(owner *o)
{
  mp_lease_release(&o->lease);
  mp_lease_release(&o->lease);
  assert_true(mp_lease_gone(&o->lease));
  memset(o, 0x5a, sizeof *o); /* nobody may look at it any more */
  run_dry();
  close_pool(pool);
}

#define LEASE_TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, teardown)

#endif
