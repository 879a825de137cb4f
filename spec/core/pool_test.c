/* pool_test.c - who gets a connection and when: the queue, cancelling, waiting too long, closing. */
#include "taker.h"

#include "pool_parts.h"

/* ---- requests ---- */

static void nothing_is_opened_before_the_first_use(void **state)
{
  ask a;
  (void)state;
  open_pool("select -> affected 1", 3);
  turn(5);
  assert_int_equal(counts_of("db").connects, 0);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select 1"));
  assert_int_equal(a.done_n, 0);
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->affected, 1);
  assert_int_equal(counts_of("db").connects, 1);
  assert_int_equal(stats_of(pool).idle, 1);
  ask_free(&a);
  close_pool(pool);
}

static int serve_in_turn(void)
{
  ask asks[20];
  int in_order = 0;
  answered_n = 0;
  open_pool("select -> delay 1", 1);
  for (int i = 0; i < 20; i++)
    mp_pool_submit(pool, ask_for(&asks[i], MP_OP_QUERY, "select 1"));
  assert_int_equal(stats_of(pool).waiting, 20);
  run_until(&answered_n, 20);
  for (int i = 0; i < 20; i++) {
    in_order += asks[i].order == i + 1;
    ask_free(&asks[i]);
  }
  close_pool(pool);
  return in_order;
}

static void requests_are_served_first_come_first_served(void **state)
{
  (void)state;
  assert_int_equal(serve_in_turn(), 20);
}

static void the_test_of_fairness_fails_where_there_is_none(void **state)
{
  (void)state;
  mp_pool_test_unfair = true;
  assert_int_not_equal(serve_in_turn(), 20);
  mp_pool_test_unfair = false;
}

static void submit_another(ask *a)
{
  mp_pool_submit(pool, ((ask *)a->owner)->req);
}

/* The connection becomes free when the first one ends; who submits at that moment stands at the end of the queue. */
static void a_newcomer_never_overtakes_a_waiter(void **state)
{
  ask first, second, newcomer;
  (void)state;
  open_pool("select -> delay 1", 1);
  mp_pool_submit(pool, ask_for(&first, MP_OP_QUERY, "select 1"));
  mp_pool_submit(pool, ask_for(&second, MP_OP_QUERY, "select 2"));
  ask_for(&newcomer, MP_OP_QUERY, "select 3");
  first.then = submit_another;
  first.owner = &newcomer;
  run_until(&answered_n, 3);
  assert_string_equal(asked_text("db"), "select 1; select 2; select 3");
  ask_free(&first);
  ask_free(&second);
  ask_free(&newcomer);
  close_pool(pool);
}

static void no_more_than_max_connections_are_open(void **state)
{
  ask asks[30];
  (void)state;
  open_pool("select -> delay 2", 3);
  for (int i = 0; i < 30; i++)
    mp_pool_submit(pool, ask_for(&asks[i], MP_OP_QUERY, "select 1"));
  run_until(&answered_n, 30);
  assert_int_equal(counts_of("db").sessions_max, 3);
  assert_int_equal(stats_of(pool).size, 3);
  for (int i = 0; i < 30; i++)
    ask_free(&asks[i]);
  close_pool(pool);
}

static void one_task_needs_one_connection(void **state)
{
  (void)state;
  open_pool("select -> affected 1", 10);
  for (int i = 0; i < 20; i++) {
    ask a;
    mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select 1"));
    run_until(&a.done_n, 1);
    ask_free(&a);
  }
  assert_int_equal(counts_of("db").connects, 1);
  close_pool(pool);
}

static void a_backend_may_limit_the_connections(void **state)
{
  ask asks[3];
  (void)state;
  open_pool("set max_sessions 1\nselect -> delay 1", 5);
  assert_int_equal(stats_of(pool).max, 1);
  for (int i = 0; i < 3; i++)
    mp_pool_submit(pool, ask_for(&asks[i], MP_OP_QUERY, "select 1"));
  run_until(&answered_n, 3);
  assert_int_equal(counts_of("db").sessions_max, 1);
  for (int i = 0; i < 3; i++)
    ask_free(&asks[i]);
  close_pool(pool);
}

static void a_transaction_is_refused_outside_a_lease(void **state)
{
  ask a;
  (void)state;
  open_pool("", 1);
  mp_pool_submit(pool, ask_tx(&a, MP_TXO_BEGIN, NULL));
  assert_int_equal(a.done_n, 0);
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_E_BAD_ARGUMENT);
  ask_free(&a);
  close_pool(pool);
}

/* ---- cancelling ---- */

static void a_request_is_stopped_wherever_it_is(void **state)
{
  ask connecting, running, waiting;
  (void)state;
  open_pool("connect *1 -> hang\nselect -> hang", 1);
  mp_pool_submit(pool, ask_for(&connecting, MP_OP_QUERY, "select 1"));
  turn(3);
  mp_pool_cancel(pool, connecting.req, MP_E_CANCELLED);
  assert_int_equal(connecting.done_n, 0);
  run_until(&connecting.done_n, 1);
  mp_fake_let_go("db"); /* the connection comes all the same, and serves the next one */
  mp_pool_submit(pool, ask_for(&running, MP_OP_QUERY, "select 2"));
  mp_pool_submit(pool, ask_for(&waiting, MP_OP_QUERY, "select 3"));
  for (int i = 0; asked_n("db", "select 2") == 0 && i < 1000; i++)
    mp_loop_step(loop, 20);
  mp_pool_cancel(pool, waiting.req, MP_E_TIMEOUT);
  run_until(&waiting.done_n, 1);
  mp_pool_cancel(pool, running.req, MP_E_CANCELLED);
  run_until(&running.done_n, 1);
  mp_pool_cancel(pool, running.req, MP_E_CANCELLED); /* too late: nothing happens */
  assert_int_equal(connecting.req->error.kind, MP_E_CANCELLED);
  assert_int_equal(waiting.req->error.kind, MP_E_TIMEOUT);
  assert_int_equal(running.req->error.kind, MP_E_CANCELLED);
  assert_string_equal(asked_text("db"), "select 2; (cancel)");
  assert_int_equal(counts_of("db").connects, 1);
  ask_free(&connecting);
  ask_free(&running);
  ask_free(&waiting);
  close_pool(pool);
}

/* The fake says for how long its cancel is in flight; what runs next must not have begun before that is over. */
static void the_next_request_waits_until_a_cancel_has_settled(void **state)
{
  ask a, b;
  uint64_t stopped_ns;
  (void)state;
  open_pool("set settle 20\nselect 1 -> hang\nselect -> affected 1", 1);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select 1"));
  mp_pool_submit(pool, ask_for(&b, MP_OP_QUERY, "select 2"));
  for (int i = 0; asked_n("db", "select 1") == 0 && i < 100; i++)
    turn(1);
  stopped_ns = mp_clock_ns();
  mp_pool_cancel(pool, a.req, MP_E_CANCELLED);
  run_until(&answered_n, 2);
  assert_int_equal(a.req->error.kind, MP_E_CANCELLED);
  assert_int_equal(b.req->error.kind, MP_OK);
  assert_true(b.req->started_ns - stopped_ns >= 20 * MS);
  assert_int_equal(counts_of("db").connects, 1);
  ask_free(&a);
  ask_free(&b);
  close_pool(pool);
}

static void a_hold_that_is_given_back_before_it_heard_of_it_hears_nothing(void **state)
{
  taker a, b;
  (void)state;
  open_pool("", 1);
  take(&a, MP_ACCESS_READ);
  for (int i = 0; a.hold.state != MP_HOLD_HELD && i < 100; i++)
    turn(1);
  mp_pool_give_back(&a.hold, false);
  run_dry();
  ready_n = 0;
  take(&a, MP_ACCESS_READ); /* granted at once, told later */
  assert_int_equal(a.hold.state, MP_HOLD_HELD);
  take(&b, MP_ACCESS_READ);
  mp_pool_give_back(&a.hold, false);
  mp_pool_give_back(&a.hold, false);
  assert_int_equal(b.hold.state, MP_HOLD_HELD);
  run_until(&ready_n, 1);
  turn(3);
  assert_int_equal(a.ready_n, 0);
  assert_int_equal(b.ready_n, 1);
  mp_pool_give_back(&b.hold, false);
  close_pool(pool);
}

/* ---- waiting too long ---- */

static void waiting_ends_with_all_that_is_known(void **state)
{
  taker a, b;
  (void)state;
  open_pool("", 1);
  take(&a, MP_ACCESS_READ);
  run_until(&a.ready_n, 1);
  pool->limits.timeout_ns = 30 * MS; /* only now: connecting takes what it takes */
  take(&b, MP_ACCESS_READ);
  assert_true(mp_pool_would_wait(pool, MP_ACCESS_READ));
  run_until(&b.ready_n, 1);
  assert_int_equal(b.hold.state, MP_HOLD_OVER);
  assert_int_equal(b.hold.error.kind, MP_E_POOL_TIMEOUT);
  assert_non_null(strstr(b.hold.error.message, "no connection was free for "));
  assert_non_null(strstr(b.hold.error.message, "(size 1 of 1, 1 busy, 1 waiting)"));
  mp_pool_give_back(&b.hold, false);
  mp_pool_give_back(&a.hold, false);
  close_pool(pool);
}

static void a_request_has_its_own_deadline(void **state)
{
  taker a;
  ask q;
  (void)state;
  open_pool("", 1);
  take(&a, MP_ACCESS_READ);
  run_until(&a.ready_n, 1);
  ask_for(&q, MP_OP_QUERY, "select 1")->deadline_ns = mp_clock_ns() + 10 * MS;
  mp_pool_submit(pool, q.req);
  run_until(&q.done_n, 1);
  assert_int_equal(q.req->error.kind, MP_E_POOL_TIMEOUT);
  assert_false(q.req->error.sent);
  assert_int_equal(q.req->error.retryable, MP_RETRY_CONNECT);
  ask_free(&q);
  mp_pool_give_back(&a.hold, false);
  close_pool(pool);
}

/* ---- closing ---- */

static void closing_lets_running_work_end(void **state)
{
  ask running, waiting, late;
  taker held;
  int closed_n = 0;
  (void)state;
  open_pool("select -> hang", 2);
  take(&held, MP_ACCESS_READ);
  run_until(&held.ready_n, 1);
  mp_pool_submit(pool, ask_for(&running, MP_OP_QUERY, "select 1"));
  turn(6);
  mp_pool_submit(pool, ask_for(&waiting, MP_OP_QUERY, "select 2"));
  mp_pool_close(pool, UINT64_MAX, rig_closed, &closed_n);
  mp_pool_close(pool, UINT64_MAX, rig_closed, &closed_n);
  assert_int_equal(waiting.done_n, 0);
  mp_pool_submit(pool, ask_for(&late, MP_OP_QUERY, "select 3"));
  run_until(&answered_n, 2);
  mp_fake_let_go("db");
  run_until(&running.done_n, 1);
  assert_int_equal(running.req->error.kind, MP_OK);
  assert_int_equal(waiting.req->error.kind, MP_E_POOL_CLOSED);
  assert_int_equal(late.req->error.kind, MP_E_POOL_CLOSED);
  turn(20);
  assert_int_equal(closed_n, 0); /* somebody still holds a connection */
  mp_pool_give_back(&held.hold, false);
  run_until(&closed_n, 2);
  assert_int_equal(counts_of("db").sessions, 0);
  ask_free(&running);
  ask_free(&waiting);
  ask_free(&late);
  mp_pool_free(pool);
}

static void after_the_drain_what_runs_is_cancelled_and_holds_are_revoked(void **state)
{
  ask running;
  taker held;
  int closed_n = 0;
  (void)state;
  open_pool("select -> hang", 2);
  take(&held, MP_ACCESS_READ);
  run_until(&held.ready_n, 1);
  mp_pool_submit(pool, ask_for(&running, MP_OP_QUERY, "select 1"));
  turn(6);
  mp_pool_close(pool, 3600000 * MS, rig_closed, &closed_n);
  mp_pool_close(pool, 10 * MS, rig_closed, &closed_n); /* shortens it */
  run_until(&closed_n, 2);
  assert_int_equal(running.req->error.kind, MP_E_CANCELLED);
  assert_int_equal(held.lost_n, 1);
  assert_int_equal(held.hold.error.kind, MP_E_POOL_CLOSED);
  ask_free(&running);
  mp_pool_free(pool);
  mp_pool_give_back(&held.hold, false); /* does nothing, also without a pool */
}

static void closing_while_connecting_closes_that_too(void **state)
{
  ask a;
  int closed_n = 0;
  (void)state;
  open_pool("connect -> hang", 2);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select 1"));
  turn(3);
  mp_pool_close(pool, 0, rig_closed, &closed_n);
  run_until(&closed_n, 1);
  assert_int_equal(a.req->error.kind, MP_E_POOL_CLOSED);
  assert_int_equal(counts_of("db").sessions, 0);
  ask_free(&a);
  mp_pool_free(pool);
}

static void free_the_pool(void *owner)
{
  mp_pool_free(pool);
  ++*(int *)owner;
}

static void a_pool_may_be_freed_when_it_says_that_it_is_closed(void **state)
{
  int closed_n = 0;
  (void)state;
  open_pool("", 2);
  mp_pool_close(pool, 0, rig_closed, &closed_n);
  mp_pool_close(pool, 0, free_the_pool, &closed_n);
  assert_int_equal(closed_n, 0);
  run_until(&closed_n, 2);
  open_pool("", 2);
  mp_pool_free(pool); /* never used */
  mp_pool_free(NULL);
}

static void impossible_limits_are_refused(void **state)
{
  static const mp_pool_limits bads[] = {{.max = 0}, {.min = -1, .max = 1}, {.min = 3, .max = 2}};
  (void)state;
  script("db", "");
  for (int i = 0; i < 3; i++) {
    mp_config *config = config_for("fake", "db");
    mp_error err;
    assert_int_equal(mp_pool_new(&pool, loop, config, &bads[i], &err), MP_E_CONFIGURATION);
    mp_arena_free(config->arena);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      POOL_TEST(nothing_is_opened_before_the_first_use),
      POOL_TEST(requests_are_served_first_come_first_served),
      POOL_TEST(the_test_of_fairness_fails_where_there_is_none),
      POOL_TEST(a_newcomer_never_overtakes_a_waiter),
      POOL_TEST(no_more_than_max_connections_are_open),
      POOL_TEST(one_task_needs_one_connection),
      POOL_TEST(a_backend_may_limit_the_connections),
      POOL_TEST(a_transaction_is_refused_outside_a_lease),
      POOL_TEST(a_request_is_stopped_wherever_it_is),
      POOL_TEST(the_next_request_waits_until_a_cancel_has_settled),
      POOL_TEST(a_hold_that_is_given_back_before_it_heard_of_it_hears_nothing),
      POOL_TEST(waiting_ends_with_all_that_is_known),
      POOL_TEST(a_request_has_its_own_deadline),
      POOL_TEST(closing_lets_running_work_end),
      POOL_TEST(after_the_drain_what_runs_is_cancelled_and_holds_are_revoked),
      POOL_TEST(closing_while_connecting_closes_that_too),
      POOL_TEST(a_pool_may_be_freed_when_it_says_that_it_is_closed),
      POOL_TEST(impossible_limits_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
