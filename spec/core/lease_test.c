/* lease_test.c - a connection of one's own and its transaction, and that nothing is left of it. */
#include "lease_rig.h"

static void a_transaction_is_sent_statement_by_statement(void **state)
{
  owner o;
  mp_txoptions serializable = {.isolation = MP_SERIALIZABLE};
  (void)state;
  open_pool("fake", plain, 2);
  lease_one(&o, MP_ACCESS_WRITE);
  assert_int_equal(run_tx(&o, MP_TXO_BEGIN, &serializable), MP_OK);
  assert_int_equal(run(&o, "insert 1"), MP_OK);
  assert_int_equal(run_tx(&o, MP_TXO_SAVEPOINT, NULL), MP_OK);
  assert_int_equal(run(&o, "insert 2"), MP_OK);
  assert_int_equal(run_tx(&o, MP_TXO_RELEASE, NULL), MP_OK);
  assert_int_equal(run_tx(&o, MP_TXO_COMMIT, NULL), MP_OK);
  assert_string_equal(asked_text("db"), "BEGIN SERIALIZABLE; insert 1; SAVEPOINT mp_1; insert 2; "
                                        "RELEASE SAVEPOINT mp_1; COMMIT");
  end(&o);
}

static void requests_given_at_once_run_one_after_the_other(void **state)
{
  owner o;
  ask asks[5];
  (void)state;
  open_pool("fake", "set depth 4\ninsert -> delay 2; affected 1", 2);
  ask_lease(&o, MP_ACCESS_WRITE); /* not even connected yet */
  mp_lease_submit(&o.lease, ask_tx(&asks[0], MP_TXO_BEGIN, NULL));
  for (int i = 1; i < 4; i++)
    mp_lease_submit(&o.lease, ask_for(&asks[i], MP_OP_QUERY, "insert"));
  mp_lease_submit(&o.lease, ask_tx(&asks[4], MP_TXO_COMMIT, NULL));
  run_until(&answered_n, 5);
  assert_string_equal(asked_text("db"), "BEGIN; insert; insert; insert; COMMIT");
  for (int i = 0; i < 5; i++) {
    assert_int_equal(asks[i].req->error.kind, MP_OK);
    assert_int_equal(asks[i].order, i + 1);
    ask_free(&asks[i]);
  }
  end(&o);
}

static void a_failed_statement_stops_what_follows_it(void **state)
{
  owner o;
  ask asks[4];
  (void)state;
  open_pool("fake", plain, 2);
  lease_one(&o, MP_ACCESS_WRITE);
  mp_lease_submit(&o.lease, ask_tx(&asks[0], MP_TXO_BEGIN, NULL));
  mp_lease_submit(&o.lease, ask_for(&asks[1], MP_OP_QUERY, "insert bad"));
  mp_lease_submit(&o.lease, ask_for(&asks[2], MP_OP_QUERY, "insert 2"));
  mp_lease_submit(&o.lease, ask_tx(&asks[3], MP_TXO_COMMIT, NULL));
  run_until(&answered_n, 4);
  assert_int_equal(asks[1].req->error.kind, MP_E_UNIQUE);
  assert_int_equal(asks[2].req->error.kind, MP_E_IN_FAILED_TRANSACTION);
  assert_false(asks[2].req->error.sent);
  assert_non_null(strstr(asks[2].req->error.message, "unique"));
  assert_int_equal(asks[3].req->error.kind, MP_E_IN_FAILED_TRANSACTION);
  assert_int_equal(run_tx(&o, MP_TXO_ROLLBACK, NULL), MP_OK);
  assert_int_equal(run(&o, "insert 3"), MP_OK);
  assert_string_equal(asked_text("db"), "BEGIN; insert bad; ROLLBACK; insert 3");
  for (int i = 0; i < 4; i++)
    ask_free(&asks[i]);
  end(&o);
}

static void a_savepoint_catches_a_failure(void **state)
{
  owner o;
  (void)state;
  open_pool("fake", plain, 2);
  lease_one(&o, MP_ACCESS_WRITE);
  run_tx(&o, MP_TXO_BEGIN, NULL);
  run_tx(&o, MP_TXO_SAVEPOINT, NULL);
  assert_int_equal(run(&o, "insert bad"), MP_E_UNIQUE);
  assert_int_equal(run_tx(&o, MP_TXO_RELEASE, NULL), MP_E_IN_FAILED_TRANSACTION);
  assert_int_equal(run_tx(&o, MP_TXO_ROLLBACK_TO, NULL), MP_OK);
  assert_int_equal(run(&o, "insert 2"), MP_OK);
  assert_int_equal(run_tx(&o, MP_TXO_COMMIT, NULL), MP_OK);
  assert_string_equal(asked_text("db"),
                      "BEGIN; SAVEPOINT mp_1; insert bad; ROLLBACK TO SAVEPOINT mp_1; "
                      "RELEASE SAVEPOINT mp_1; insert 2; COMMIT");
  end(&o);
}

static void nothing_is_sent_after_the_server_has_ended_the_transaction(void **state)
{
  owner o;
  (void)state;
  open_pool("fake", "insert -> error deadlock \"victim\" retryable=transaction; tx idle", 2);
  lease_one(&o, MP_ACCESS_WRITE);
  run_tx(&o, MP_TXO_BEGIN, NULL);
  run_tx(&o, MP_TXO_SAVEPOINT, NULL);
  assert_int_equal(run(&o, "insert"), MP_E_DEADLOCK);
  assert_int_equal(run(&o, "insert"), MP_E_IN_FAILED_TRANSACTION);
  assert_int_equal(run_tx(&o, MP_TXO_ROLLBACK_TO, NULL), MP_OK);
  assert_int_equal(run(&o, "insert"), MP_E_IN_FAILED_TRANSACTION);
  assert_int_equal(run_tx(&o, MP_TXO_COMMIT, NULL), MP_E_DEADLOCK);
  assert_int_equal(run_tx(&o, MP_TXO_ROLLBACK, NULL), MP_OK);
  assert_string_equal(asked_text("db"), "BEGIN; SAVEPOINT mp_1; insert");
  assert_int_equal(run_tx(&o, MP_TXO_BEGIN, NULL), MP_OK);
  end(&o);
}

static void a_statement_that_commits_behind_our_back_is_told(void **state)
{
  owner o;
  ask a;
  (void)state;
  open_pool("fake", "create -> tx idle", 2);
  lease_one(&o, MP_ACCESS_WRITE);
  run_tx(&o, MP_TXO_BEGIN, NULL);
  mp_lease_submit(&o.lease, ask_for(&a, MP_OP_QUERY, "create table"));
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_E_IMPLICIT_COMMIT);
  assert_true(a.req->error.sent);
  ask_free(&a);
  end(&o);
}

static void what_a_failed_commit_left_open_is_rolled_back(void **state)
{
  (void)state;
  for (int asks_for_it = 0; asks_for_it < 2; asks_for_it++) {
    owner o;
    open_pool("fake_file", "commit *1 -> error foreign_key \"no parent\"\ninsert -> affected 1", 2);
    lease_one(&o, MP_ACCESS_READ);
    run_tx(&o, MP_TXO_BEGIN, NULL);
    assert_true(mp_pool_would_wait(pool, MP_ACCESS_WRITE));
    assert_int_equal(run_tx(&o, MP_TXO_COMMIT, NULL), MP_E_FOREIGN_KEY);
    if (asks_for_it) /* the program's: there is nothing left to do */
      assert_int_equal(run_tx(&o, MP_TXO_ROLLBACK, NULL), MP_OK);
    assert_int_equal(run(&o, "insert"), MP_OK);
    assert_false(mp_pool_would_wait(pool, MP_ACCESS_WRITE));
    assert_string_equal(asked_text("db"), "BEGIN IMMEDIATE; COMMIT; ROLLBACK; insert");
    end(&o);
  }
}

static void a_lost_commit_is_unknown(void **state)
{
  static const struct {
    const char *text;
    mp_status kind;
  } cases[] = {{"commit -> lost", MP_E_COMMIT_UNKNOWN},
               {"commit -> lost unsent", MP_E_CONNECTION_LOST}};
  (void)state;
  for (int i = 0; i < 2; i++) {
    owner o;
    open_pool("fake", cases[i].text, 1);
    lease_one(&o, MP_ACCESS_WRITE);
    run_tx(&o, MP_TXO_BEGIN, NULL);
    assert_int_equal(run_tx(&o, MP_TXO_COMMIT, NULL), cases[i].kind);
    assert_int_equal(run_tx(&o, MP_TXO_ROLLBACK, NULL), MP_OK);
    assert_int_equal(run(&o, "select"), MP_E_STALE_HANDLE);
    end(&o);
  }
}

static void a_connection_lost_inside_breaks_the_transaction(void **state)
{
  owner o;
  (void)state;
  open_pool("fake", "insert -> lost\nselect -> dies 1", 1);
  for (int i = 0; i < 2; i++) { /* while a statement runs, and between two */
    lease_one(&o, MP_ACCESS_WRITE);
    run_tx(&o, MP_TXO_BEGIN, NULL);
    if (i == 0)
      assert_int_equal(run(&o, "insert"), MP_E_CONNECTION_LOST);
    else
      assert_int_equal(run(&o, "select"), MP_OK);
    for (int k = 0; o.lease.hold.state == MP_HOLD_HELD && k < 1000; k++)
      mp_loop_step(loop, 20);
    if (i == 1)
      assert_int_equal(run(&o, "select"), MP_E_CONNECTION_LOST); /* nobody has heard of it yet */
    assert_int_equal(run(&o, "select"), MP_E_IN_FAILED_TRANSACTION);
    assert_int_equal(run_tx(&o, MP_TXO_COMMIT, NULL), MP_E_CONNECTION_LOST);
    assert_int_equal(run_tx(&o, MP_TXO_ROLLBACK, NULL), MP_OK);
    assert_int_equal(run_tx(&o, MP_TXO_BEGIN, NULL), MP_E_STALE_HANDLE);
    mp_lease_release(&o.lease);
    assert_true(mp_lease_gone(&o.lease));
  }
  close_pool(pool);
}

static void the_wrong_operation_is_explained(void **state)
{
  owner o;
  mp_txoptions deferrable = {.deferrable = true};
  (void)state;
  open_pool("fake", plain, 1);
  lease_one(&o, MP_ACCESS_WRITE);
  assert_int_equal(run_tx(&o, MP_TXO_COMMIT, NULL), MP_E_TRANSACTION);
  assert_int_equal(run_tx(&o, MP_TXO_BEGIN, &deferrable), MP_E_UNSUPPORTED);
  assert_int_equal(run_tx(&o, MP_TXO_BEGIN, NULL), MP_OK);
  assert_int_equal(run_tx(&o, MP_TXO_BEGIN, NULL), MP_E_DURABLE);
  assert_int_equal(run_tx(&o, MP_TXO_RELEASE, NULL), MP_E_SAVEPOINT);
  assert_string_equal(asked_text("db"), "BEGIN");
  end(&o);
}

/* ---- the gate ---- */

/* ---- cancelling and releasing ---- */

static void a_cancelled_statement_fails_the_frame(void **state)
{
  owner o;
  ask a, queued;
  (void)state;
  open_pool("fake", "select -> hang\ninsert -> affected 1", 1);
  lease_one(&o, MP_ACCESS_WRITE);
  run_tx(&o, MP_TXO_BEGIN, NULL);
  mp_lease_submit(&o.lease, ask_for(&a, MP_OP_QUERY, "select"));
  mp_lease_submit(&o.lease, ask_for(&queued, MP_OP_QUERY, "insert"));
  turn(4);
  mp_lease_cancel(&o.lease, queued.req, MP_E_CANCELLED); /* never sent: fails nothing */
  run_until(&queued.done_n, 1);
  assert_int_equal(o.lease.tx.state, MP_TXS_OPEN);
  mp_lease_cancel(&o.lease, a.req, MP_E_CANCELLED);
  mp_lease_cancel(&o.lease, a.req, MP_E_TIMEOUT);
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_E_CANCELLED);
  assert_int_equal(o.lease.tx.state, MP_TXS_FAILED);
  assert_int_equal(run(&o, "insert"), MP_E_IN_FAILED_TRANSACTION);
  ask_free(&a);
  ask_free(&queued);
  end(&o);
}

static void a_commit_on_its_way_is_not_cancelled(void **state)
{
  owner o;
  ask commit;
  (void)state;
  open_pool("fake", "commit -> delay 5", 1);
  lease_one(&o, MP_ACCESS_WRITE);
  run_tx(&o, MP_TXO_BEGIN, NULL);
  mp_lease_submit(&o.lease, ask_tx(&commit, MP_TXO_COMMIT, NULL));
  turn(3);
  mp_lease_cancel(&o.lease, commit.req, MP_E_CANCELLED);
  mp_lease_release(&o.lease);
  run_until(&commit.done_n, 1);
  assert_int_equal(commit.req->error.kind, MP_OK);
  assert_true(mp_lease_gone(&o.lease));
  ask_free(&commit);
  close_pool(pool);
  assert_int_equal(counts_of("db").cancels, 0);
}

static void releasing_answers_everything_and_cleans_up_behind(void **state)
{
  owner o;
  ask running, queued, next;
  (void)state;
  open_pool("fake", "set settle 5\nselect -> hang\ninsert -> affected 1", 1);
  lease_one(&o, MP_ACCESS_WRITE);
  run_tx(&o, MP_TXO_BEGIN, NULL);
  mp_lease_submit(&o.lease, ask_for(&running, MP_OP_QUERY, "select"));
  mp_lease_submit(&o.lease, ask_for(&queued, MP_OP_QUERY, "insert"));
  turn(4);
  mp_pool_submit(pool, ask_for(&next, MP_OP_QUERY, "insert"));
  mp_lease_release(&o.lease);
  assert_int_equal(running.done_n + queued.done_n, 0);
  assert_false(mp_lease_gone(&o.lease));
  run_until(&answered_n, 4); /* BEGIN was the first */
  assert_int_equal(running.req->error.kind, MP_E_CANCELLED);
  assert_int_equal(queued.req->error.kind, MP_E_CANCELLED);
  assert_true(mp_lease_gone(&o.lease));
  assert_int_equal(next.req->error.kind, MP_OK);
  assert_string_equal(asked_text("db"), "BEGIN; select; (cancel); ROLLBACK; insert");
  ask_free(&running);
  ask_free(&queued);
  ask_free(&next);
  close_pool(pool);
}

static void every_use_after_release_is_stale(void **state)
{
  owner o;
  (void)state;
  open_pool("fake", plain, 1);
  lease_one(&o, MP_ACCESS_READ);
  mp_lease_release(&o.lease);
  assert_int_equal(run(&o, "select"), MP_E_STALE_HANDLE);
  assert_int_equal(run_tx(&o, MP_TXO_BEGIN, NULL), MP_E_STALE_HANDLE);
  assert_string_equal(asked_text("db"), "");
  mp_lease_destroy(&o.lease);
  run_dry();
  assert_int_equal(stats_of(pool).idle, 1);
  close_pool(pool);
}

static void destroying_closes_the_connection(void **state)
{
  owner o;
  ask a;
  (void)state;
  open_pool("fake", "select -> hang", 1);
  lease_one(&o, MP_ACCESS_READ);
  mp_lease_submit(&o.lease, ask_for(&a, MP_OP_QUERY, "select"));
  turn(3);
  mp_lease_destroy(&o.lease);
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_E_CANCELLED);
  run_dry();
  assert_int_equal(counts_of("db").sessions, 0);
  ask_free(&a);
  close_pool(pool);
}

static void releasing_a_lease_that_waits_ends_the_wait(void **state)
{
  owner a, b;
  ask q;
  (void)state;
  open_pool("fake", plain, 1);
  lease_one(&a, MP_ACCESS_READ);
  ask_lease(&b, MP_ACCESS_READ);
  mp_lease_submit(&b.lease, ask_for(&q, MP_OP_QUERY, "select"));
  mp_lease_release(&b.lease);
  run_until(&q.done_n, 1);
  assert_int_equal(q.req->error.kind, MP_E_CANCELLED);
  assert_int_equal(b.ready_n, 0);
  assert_true(mp_lease_gone(&b.lease));
  assert_int_equal(stats_of(pool).waiting, 0);
  ask_free(&q);
  end(&a);
}

static void a_refused_lease_says_why(void **state)
{
  owner o;
  ask q;
  (void)state;
  open_pool("fake", "connect -> error auth_failed \"no entry\"", 1);
  ask_lease(&o, MP_ACCESS_READ);
  mp_lease_submit(&o.lease, ask_for(&q, MP_OP_QUERY, "select"));
  run_until(&o.ready_n, 1);
  assert_int_equal(o.lease.hold.state, MP_HOLD_OVER);
  assert_int_equal(o.lease.hold.error.kind, MP_E_AUTH_FAILED);
  assert_string_equal(o.lease.hold.error.message, "no entry");
  run_until(&q.done_n, 1);
  assert_int_equal(q.req->error.kind, MP_E_STALE_HANDLE);
  assert_non_null(strstr(q.req->error.message, "no entry"));
  ask_free(&q);
  end(&o);
}

static void a_revoked_lease_is_stale_and_its_work_cancelled(void **state)
{
  owner o;
  ask a;
  (void)state;
  open_pool("fake", "select -> hang", 1);
  lease_one(&o, MP_ACCESS_READ);
  run_tx(&o, MP_TXO_BEGIN, NULL);
  mp_lease_submit(&o.lease, ask_for(&a, MP_OP_QUERY, "select"));
  turn(3);
  close_pool(pool);
  assert_int_equal(a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_E_CANCELLED);
  assert_int_equal(run(&o, "select"), MP_E_IN_FAILED_TRANSACTION);
  assert_int_equal(run_tx(&o, MP_TXO_ROLLBACK, NULL), MP_OK);
  assert_int_equal(run(&o, "select"), MP_E_STALE_HANDLE);
  mp_lease_release(&o.lease);
  assert_true(mp_lease_gone(&o.lease));
  ask_free(&a);
}

static void a_connection_that_an_error_spoiled_is_not_used_again(void **state)
{
  owner o;
  (void)state;
  open_pool("fake", "select -> error corrupt \"bad page\" verdict=destroy\ninsert -> affected 1",
            1);
  lease_one(&o, MP_ACCESS_READ);
  assert_int_equal(run(&o, "select"), MP_E_CORRUPT);
  assert_int_equal(run(&o, "insert"), MP_OK); /* its holder may go on */
  mp_lease_release(&o.lease);
  run_dry();
  assert_int_equal(counts_of("db").sessions, 0);
  close_pool(pool);
}

static void an_idle_connection_is_held_at_once(void **state)
{
  owner o, second;
  mp_txoptions none = {0};
  (void)state;
  open_pool("fake", plain, 1);
  lease_one(&o, MP_ACCESS_READ);
  assert_false(mp_lease_keep(&o.lease, MP_TXO_BEGIN, &none)); /* this backend sends each */
  mp_lease_release(&o.lease);
  ask_lease(&o, MP_ACCESS_READ);
  assert_true(mp_lease_is_held(&o.lease));
  ask_lease(&second, MP_ACCESS_READ);
  assert_false(mp_lease_is_held(&second.lease)); /* the only one is taken */
  assert_int_equal(run(&o, "select"), MP_OK);
  assert_int_equal(o.ready_n, 0); /* it was told already */
  mp_lease_release(&o.lease);
  run_until(&second.ready_n, 1);
  assert_string_equal(asked_text("db"), "select");
  end(&second);
  assert_true(mp_lease_gone(&o.lease));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      LEASE_TEST(a_transaction_is_sent_statement_by_statement),
      LEASE_TEST(requests_given_at_once_run_one_after_the_other),
      LEASE_TEST(a_failed_statement_stops_what_follows_it),
      LEASE_TEST(a_savepoint_catches_a_failure),
      LEASE_TEST(nothing_is_sent_after_the_server_has_ended_the_transaction),
      LEASE_TEST(a_statement_that_commits_behind_our_back_is_told),
      LEASE_TEST(what_a_failed_commit_left_open_is_rolled_back),
      LEASE_TEST(a_lost_commit_is_unknown),
      LEASE_TEST(a_connection_lost_inside_breaks_the_transaction),
      LEASE_TEST(the_wrong_operation_is_explained),
      LEASE_TEST(a_cancelled_statement_fails_the_frame),
      LEASE_TEST(a_commit_on_its_way_is_not_cancelled),
      LEASE_TEST(releasing_answers_everything_and_cleans_up_behind),
      LEASE_TEST(every_use_after_release_is_stale),
      LEASE_TEST(destroying_closes_the_connection),
      LEASE_TEST(releasing_a_lease_that_waits_ends_the_wait),
      LEASE_TEST(a_refused_lease_says_why),
      LEASE_TEST(a_revoked_lease_is_stale_and_its_work_cancelled),
      LEASE_TEST(a_connection_that_an_error_spoiled_is_not_used_again),
      LEASE_TEST(an_idle_connection_is_held_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
