/* lease_ahead_test.c - statements of a transaction that are sent before those in front of them are answered, and answers
** that nobody waits for any more. */
#include "lease_rig.h"

static const char *const slow =
    "set depth 4\ninsert bad -> hang; error unique \"taken\"; tx aborted\n"
    "insert behind -> error in_failed_transaction \"aborted\"; tx aborted\ninsert -> hang; "
    "affected 1";

static void open_pipelined(const char *text)
{
  mp_config *config = config_for("fake", "db");
  mp_error err = MP_ERROR_NONE;
  config->pipeline = true;
  script("db", text);
  assert_int_equal(mp_pool_new(&pool, loop, config, &(mp_pool_limits){.max = 1}, &err), MP_OK);
}

static mp_request *ask_ahead(ask *a, const char *sql)
{
  mp_request *req = ask_for(a, MP_OP_QUERY, sql);
  req->access = MP_ACCESS_WRITE;
  req->ahead = true;
  return req;
}

/* A transaction has begun, and these are submitted; n of them reach the connection while nothing is answered. */
static void submit_ahead(owner *o, ask *asks, const char *const *texts, int count, int n)
{
  lease_one(o, MP_ACCESS_WRITE);
  assert_int_equal(run_tx(o, MP_TXO_BEGIN, NULL), MP_OK);
  for (int i = 0; i < count; i++)
    mp_lease_submit(&o->lease, ask_ahead(&asks[i], texts[i]));
  turn(4);
  for (int i = 0; i < count; i++) {
    assert_int_equal(asks[i].done_n, 0);
    assert_int_equal(asks[i].req->state, i < n ? MP_REQ_ACTIVE : MP_REQ_QUEUED);
  }
}

/* What hangs when this begins, and then what hangs behind it. */
static void let_all_go(const int *counter, int n)
{
  for (int i = 0; *counter < n && i < 1000; i++) {
    mp_fake_let_go("db");
    turn(2);
  }
  assert_int_equal(*counter, n);
}

static void statements_that_go_ahead_do_not_wait_for_each_other(void **state)
{
  static const char *const texts[] = {"insert 1", "insert 2", "insert 3"};
  owner o;
  ask asks[3], commit;
  (void)state;
  open_pipelined(slow);
  submit_ahead(&o, asks, texts, 3, 3);
  mp_lease_submit(&o.lease, ask_tx(&commit, MP_TXO_COMMIT, NULL));
  turn(4);
  assert_int_equal(commit.req->state, MP_REQ_QUEUED); /* how they end decides about that */
  answered_n = 0;
  let_all_go(&answered_n, 4);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(asks[i].order, i + 1);
    assert_int_equal(asks[i].req->error.kind, MP_OK);
    ask_free(&asks[i]);
  }
  assert_int_equal(commit.req->error.kind, MP_OK);
  assert_string_equal(asked_text("db"), "BEGIN; insert 1; insert 2; insert 3; COMMIT");
  ask_free(&commit);
  end(&o);
}

static void one_that_does_not_go_ahead_waits_and_so_do_those_behind_it(void **state)
{
  owner o;
  ask first, plain_one, last;
  (void)state;
  open_pipelined(slow);
  lease_one(&o, MP_ACCESS_WRITE);
  assert_int_equal(run_tx(&o, MP_TXO_BEGIN, NULL), MP_OK);
  mp_lease_submit(&o.lease, ask_ahead(&first, "insert 1"));
  mp_lease_submit(&o.lease, ask_for(&plain_one, MP_OP_QUERY, "insert 2"));
  mp_lease_submit(&o.lease, ask_ahead(&last, "insert 3"));
  turn(4);
  assert_int_equal(first.req->state, MP_REQ_ACTIVE);
  assert_int_equal(plain_one.req->state, MP_REQ_QUEUED);
  assert_int_equal(last.req->state, MP_REQ_QUEUED);
  let_all_go(&first.done_n, 1);
  turn(4);
  assert_int_equal(plain_one.req->state, MP_REQ_ACTIVE);
  assert_int_equal(last.req->state, MP_REQ_QUEUED);
  let_all_go(&last.done_n, 1);
  ask_free(&first);
  ask_free(&plain_one);
  ask_free(&last);
  end(&o);
}

static void outside_a_transaction_nothing_goes_ahead(void **state)
{
  owner o;
  ask first, last;
  (void)state;
  open_pipelined(slow);
  lease_one(&o, MP_ACCESS_WRITE);
  mp_lease_submit(&o.lease, ask_ahead(&first, "insert 1"));
  mp_lease_submit(&o.lease, ask_ahead(&last, "insert 2"));
  turn(4);
  assert_int_equal(first.req->state, MP_REQ_ACTIVE);
  assert_int_equal(last.req->state, MP_REQ_QUEUED);
  let_all_go(&last.done_n, 1);
  ask_free(&first);
  ask_free(&last);
  end(&o);
}

static void a_failure_is_the_first_and_what_was_not_sent_never_is(void **state)
{
  static const char *const texts[] = {"insert bad", "insert behind 1", "insert behind 2",
                                      "insert behind 3", "insert 5"};
  owner o;
  ask asks[5];
  ask late;
  (void)state;
  open_pipelined(slow);
  submit_ahead(&o, asks, texts, 5, 4);
  mp_lease_submit(&o.lease, ask_for(&late, MP_OP_QUERY, "insert late"));
  let_all_go(&late.done_n, 1);
  assert_int_equal(asks[0].req->error.kind, MP_E_UNIQUE);
  for (int i = 1; i < 5; i++)
    assert_int_equal(asks[i].done_n, 1);
  for (int i = 1; i < 4; i++)
    assert_int_equal(asks[i].req->error.kind, MP_E_IN_FAILED_TRANSACTION);
  assert_int_equal(late.req->error.kind, MP_E_IN_FAILED_TRANSACTION);
  assert_false(late.req->error.sent);
  assert_int_equal(asked_n("db", "insert late"), 0);
  assert_int_equal(o.lease.tx.cause, MP_E_UNIQUE);
  assert_int_equal(run_tx(&o, MP_TXO_ROLLBACK, NULL), MP_OK);
  for (int i = 0; i < 5; i++)
    ask_free(&asks[i]);
  ask_free(&late);
  end(&o);
}

static void without_the_pipeline_they_go_one_by_one_and_a_failure_stops_them(void **state)
{
  static const char *const texts[] = {"insert 1", "insert bad", "insert 3"};
  owner o;
  ask asks[3];
  (void)state;
  open_pool("fake", "set depth 4\ninsert bad -> error unique \"taken\"\ninsert -> hang; affected 1",
            1);
  submit_ahead(&o, asks, texts, 3, 1);
  let_all_go(&asks[2].done_n, 1);
  assert_int_equal(asks[1].req->error.kind, MP_E_UNIQUE);
  assert_int_equal(asks[2].req->error.kind, MP_E_IN_FAILED_TRANSACTION);
  assert_string_equal(asked_text("db"), "BEGIN; insert 1; insert bad");
  for (int i = 0; i < 3; i++)
    ask_free(&asks[i]);
  end(&o);
}

static void a_lease_given_back_stops_all_that_went_ahead(void **state)
{
  static const char *const texts[] = {"insert 1", "insert 2", "insert 3", "insert 4", "insert 5"};
  owner o;
  ask asks[5], late;
  int done_n = 0;
  (void)state;
  open_pipelined(slow);
  submit_ahead(&o, asks, texts, 5, 4);
  mp_lease_release(&o.lease);
  mp_lease_submit(&o.lease, ask_ahead(&late, "insert late"));
  run_until(&late.done_n, 1);
  assert_int_equal(late.req->error.kind, MP_E_STALE_HANDLE);
  for (int i = 0; i < 5; i++) {
    run_until(&asks[i].done_n, 1);
    done_n++;
    assert_int_equal(asks[i].req->error.kind, MP_E_CANCELLED);
    ask_free(&asks[i]);
  }
  assert_int_equal(done_n, 5);
  ask_free(&late);
  assert_true(mp_lease_gone(&o.lease));
  close_pool(pool);
}

/* The answer is there before the cancel: the program has heard that it was cancelled, and may not keep what it did. */
static void a_write_that_was_done_although_it_was_cancelled_fails_the_frame(void **state)
{
  owner o;
  ask a;
  (void)state;
  open_pool("fake", "set kill 1\ninsert -> hang; affected 1\nselect -> hang; affected 0", 1);
  lease_one(&o, MP_ACCESS_WRITE);
  assert_int_equal(run_tx(&o, MP_TXO_BEGIN, NULL), MP_OK);
  mp_lease_submit(&o.lease, ask_for(&a, MP_OP_QUERY, "select"));
  a.req->access = MP_ACCESS_READ;
  turn(4);
  mp_lease_cancel(&o.lease, a.req, MP_E_CANCELLED);
  mp_fake_let_go("db");
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_OK);
  assert_int_equal(o.lease.tx.state, MP_TXS_OPEN); /* it has done nothing */
  ask_free(&a);
  run_dry();
  mp_lease_submit(&o.lease, ask_for(&a, MP_OP_QUERY, "insert"));
  a.req->access = MP_ACCESS_WRITE;
  turn(4);
  mp_lease_cancel(&o.lease, a.req, MP_E_CANCELLED);
  mp_fake_let_go("db");
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_OK);
  assert_int_equal(o.lease.tx.state, MP_TXS_FAILED);
  assert_int_equal(o.lease.tx.cause, MP_E_CANCELLED);
  assert_int_equal(run_tx(&o, MP_TXO_COMMIT, NULL), MP_E_IN_FAILED_TRANSACTION);
  ask_free(&a);
  end(&o);
}

static void a_write_whose_answer_nobody_takes_fails_the_frame(void **state)
{
  owner o;
  ask a;
  (void)state;
  open_pool("fake", plain, 1);
  lease_one(&o, MP_ACCESS_WRITE);
  mp_lease_submit(&o.lease, ask_for(&a, MP_OP_QUERY, "insert"));
  run_until(&a.done_n, 1);
  mp_lease_unheard(&o.lease, a.req); /* in no transaction it is kept as it is */
  assert_int_equal(o.lease.tx.state, MP_TXS_NONE);
  ask_free(&a);
  assert_int_equal(run_tx(&o, MP_TXO_BEGIN, NULL), MP_OK);
  mp_lease_submit(&o.lease, ask_for(&a, MP_OP_QUERY, "select"));
  a.req->access = MP_ACCESS_READ;
  run_until(&a.done_n, 1);
  mp_lease_unheard(&o.lease, a.req);
  assert_int_equal(o.lease.tx.state, MP_TXS_OPEN);
  ask_free(&a);
  assert_int_equal(run_tx(&o, MP_TXO_SAVEPOINT, NULL), MP_OK);
  mp_lease_submit(&o.lease, ask_for(&a, MP_OP_QUERY, "insert"));
  run_until(&a.done_n, 1);
  mp_lease_unheard(&o.lease, a.req);
  assert_int_equal(o.lease.tx.state, MP_TXS_FAILED);
  assert_int_equal(o.lease.tx.cause, MP_E_CANCELLED);
  assert_int_equal(run_tx(&o, MP_TXO_ROLLBACK_TO, NULL), MP_OK);
  assert_int_equal(run(&o, "insert"), MP_OK);
  assert_int_equal(run_tx(&o, MP_TXO_COMMIT, NULL), MP_OK);
  ask_free(&a);
  end(&o);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      LEASE_TEST(statements_that_go_ahead_do_not_wait_for_each_other),
      LEASE_TEST(one_that_does_not_go_ahead_waits_and_so_do_those_behind_it),
      LEASE_TEST(outside_a_transaction_nothing_goes_ahead),
      LEASE_TEST(a_failure_is_the_first_and_what_was_not_sent_never_is),
      LEASE_TEST(without_the_pipeline_they_go_one_by_one_and_a_failure_stops_them),
      LEASE_TEST(a_lease_given_back_stops_all_that_went_ahead),
      LEASE_TEST(a_write_that_was_done_although_it_was_cancelled_fails_the_frame),
      LEASE_TEST(a_write_whose_answer_nobody_takes_fails_the_frame),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
