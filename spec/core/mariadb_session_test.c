/* mariadb_session_test.c - transactions on MariaDB, and sessions that are brought back. */
#include "mariadb_pool.h"

static mp_lease lease;
static int leased_n;

static void lease_ready(mp_lease *l)
{
  (void)l;
  leased_n++;
}

static void take_lease(void)
{
  mp_lease_init(&lease, MP_ACCESS_WRITE);
  lease.on_ready = lease_ready;
  leased_n = 0;
  mp_lease_acquire(&lease, pool);
  run_until(&leased_n, 1);
  assert_int_equal(lease.hold.state, MP_HOLD_HELD);
}

static mp_request *on_lease(ask *a, const char *sql)
{
  mp_lease_submit(&lease, ask_for(a, MP_OP_QUERY, sql));
  wait_for(a);
  return a->req;
}

static void tx(mp_txop op, const mp_txoptions *options, mp_status kind)
{
  ask a;
  mp_lease_submit(&lease, ask_tx(&a, op, options));
  wait_for(&a);
  fails(a.req, kind);
  ask_free(&a);
}

static void leave_lease(void)
{
  mp_lease_release(&lease);
  for (int i = 0; i < 1000 && (!mp_lease_gone(&lease) || stats_of(pool).idle == 0); i++)
    mp_loop_step(loop, 10);
  assert_true(mp_lease_gone(&lease));
}

static void a_transaction_begins_as_it_should(void **state)
{
  mp_txoptions options = {.isolation = MP_SERIALIZABLE, .read_only = true};
  mp_txoptions deferrable = {.deferrable = true};
  ask a;
  (void)state;
  open_pool(2);
  does("CREATE OR REPLACE TABLE core_t (id INT PRIMARY KEY)");
  does("INSERT INTO core_t VALUES (0)");
  take_lease();
  tx(MP_TXO_BEGIN, &options, MP_OK);
  assert_int_equal(mp_connection_txstatus(lease.hold.conn), MP_TX_OPEN);
  fine(on_lease(&a, "SELECT count(*) FROM core_t"));
  ask_free(&a);
  fails(run(&a, "SELECT * FROM core_t FOR UPDATE NOWAIT"),
        MP_E_LOCK_TIMEOUT); /* it locks what it reads */
  ask_free(&a);
  fails(on_lease(&a, "INSERT INTO core_t VALUES (1)"), MP_E_READ_ONLY);
  ask_free(&a);
  tx(MP_TXO_ROLLBACK, NULL, MP_OK);
  assert_int_equal(mp_connection_txstatus(lease.hold.conn), MP_TX_IDLE);
  tx(MP_TXO_BEGIN, &deferrable, MP_E_UNSUPPORTED);
  tx(MP_TXO_BEGIN, NULL, MP_OK);
  fine(on_lease(&a, "INSERT INTO core_t VALUES (1)"));
  ask_free(&a);
  tx(MP_TXO_SAVEPOINT, NULL, MP_OK);
  fine(on_lease(&a, "INSERT INTO core_t VALUES (2)"));
  ask_free(&a);
  tx(MP_TXO_ROLLBACK_TO, NULL, MP_OK);
  tx(MP_TXO_COMMIT, NULL, MP_OK);
  assert_int_equal(mp_connection_txstatus(lease.hold.conn), MP_TX_IDLE);
  leave_lease();
  assert_int_equal(number("SELECT count(*) FROM core_t"), 2);
  does("DROP TABLE core_t");
  close_pool(pool);
}

static void a_transaction_that_is_left_open_is_rolled_back(void **state)
{
  ask a;
  (void)state;
  open_pool(1);
  does("CREATE OR REPLACE TABLE core_t (id INT PRIMARY KEY)");
  take_lease();
  tx(MP_TXO_BEGIN, NULL, MP_OK);
  fine(on_lease(&a, "INSERT INTO core_t VALUES (1)"));
  ask_free(&a);
  leave_lease();
  assert_int_equal(number("SELECT count(*) FROM core_t"), 0);
  does("DROP TABLE core_t");
  assert_int_equal(stats_of(pool).size, 1);
  close_pool(pool);
}

static void an_implicit_commit_is_seen(void **state)
{
  ask a;
  (void)state;
  open_pool(1);
  take_lease();
  tx(MP_TXO_BEGIN, NULL, MP_OK);
  fails(on_lease(&a, "EXECUTE IMMEDIATE 'CREATE OR REPLACE TABLE core_t (id INT)'"),
        MP_E_IMPLICIT_COMMIT);
  ask_free(&a);
  tx(MP_TXO_ROLLBACK, NULL, MP_OK);
  leave_lease();
  does("DROP TABLE core_t");
  close_pool(pool);
}

static void the_victim_of_a_deadlock_has_no_transaction(void **state)
{
  mp_lease first;
  ask a, b;
  (void)state;
  open_pool(2);
  does("CREATE OR REPLACE TABLE core_t (id INT PRIMARY KEY, n INT)");
  does("INSERT INTO core_t VALUES (1, 0), (2, 0)");
  take_lease();
  tx(MP_TXO_BEGIN, NULL, MP_OK);
  fine(on_lease(&a, "UPDATE core_t SET n = 1 WHERE id = 1"));
  ask_free(&a);
  mp_lease_init(&first, MP_ACCESS_WRITE);
  first.on_ready = lease_ready;
  leased_n = 0;
  mp_lease_acquire(&first, pool);
  run_until(&leased_n, 1);
  mp_lease_submit(&first, ask_tx(&b, MP_TXO_BEGIN, NULL));
  wait_for(&b);
  ask_free(&b);
  mp_lease_submit(&first, ask_for(&b, MP_OP_QUERY, "UPDATE core_t SET n = 2 WHERE id = 2"));
  wait_for(&b);
  ask_free(&b);
  mp_lease_submit(&first, ask_for(&b, MP_OP_QUERY, "UPDATE core_t SET n = 2 WHERE id = 1"));
  mp_lease_submit(&lease, ask_for(&a, MP_OP_QUERY, "UPDATE core_t SET n = 1 WHERE id = 2"));
  wait_for(&a);
  wait_for(&b);
  if (a.req->error.kind == MP_OK) {
    fails(b.req, MP_E_DEADLOCK);
    assert_int_equal(mp_connection_txstatus(first.hold.conn), MP_TX_IDLE);
    assert_int_equal(mp_connection_txstatus(lease.hold.conn), MP_TX_OPEN);
  } else {
    fails(a.req, MP_E_DEADLOCK);
    assert_int_equal(mp_connection_txstatus(lease.hold.conn), MP_TX_IDLE);
    assert_int_equal(mp_connection_txstatus(first.hold.conn), MP_TX_OPEN);
  }
  ask_free(&a);
  ask_free(&b);
  mp_lease_release(&first);
  while (!mp_lease_gone(&first))
    mp_loop_step(loop, 10);
  leave_lease();
  does("DROP TABLE core_t");
  close_pool(pool);
}

static void a_session_is_brought_back(void **state)
{
  ask a;
  (void)state;
  open_pool(1);
  take_lease();
  fine(on_lease(&a, "SET @core = 7"));
  ask_free(&a);
  fine(on_lease(&a, "SELECT @core"));
  assert_int_equal(cell(a.req, 0, 0).i, 7);
  ask_free(&a);
  leave_lease();
  fine(run(&a, "SELECT @core"));
  assert_int_equal(cell(a.req, 0, 0).kind, MP_NULL);
  ask_free(&a);
  assert_int_equal(stats_of(pool).size, 1);
  close_pool(pool);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      RIG_TEST(a_transaction_begins_as_it_should),
      RIG_TEST(a_transaction_that_is_left_open_is_rolled_back),
      RIG_TEST(an_implicit_commit_is_seen),
      RIG_TEST(the_victim_of_a_deadlock_has_no_transaction),
      RIG_TEST(a_session_is_brought_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
