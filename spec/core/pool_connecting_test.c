/* pool_connecting_test.c - how a pool gets its connections, and what becomes of them. */
#include "taker.h"

#include "pool_parts.h"

/* ---- connecting ---- */

static void a_failed_connect_is_told_to_who_waited_for_it(void **state)
{
  ask a, b;
  (void)state;
  open_pool("connect *2 -> delay 1; error connect_failed \"refused\"\nselect -> affected 1", 2);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select 1"));
  mp_pool_submit(pool, ask_for(&b, MP_OP_QUERY, "select 2"));
  run_until(&answered_n, 2);
  assert_int_equal(a.req->error.kind, MP_E_CONNECT_FAILED);
  assert_string_equal(a.req->error.message, "refused");
  assert_int_equal(a.req->error.retryable, MP_RETRY_CONNECT);
  assert_false(a.req->error.sent);
  ask_free(&a);
  ask_free(&b);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select 3"));
  run_until(&a.done_n, 1); /* after the backoff */
  assert_int_equal(a.req->error.kind, MP_OK);
  assert_int_equal(counts_of("db").connects, 3);
  ask_free(&a);
  close_pool(pool);
}

static void after_a_failure_one_connection_at_a_time_tries(void **state)
{
  ask first, asks[5];
  (void)state;
  open_pool("connect *1 -> error connect_failed \"refused\"\nconnect *1 -> hang\nselect -> hang",
            5);
  mp_pool_submit(pool, ask_for(&first, MP_OP_QUERY, "select 1"));
  run_until(&first.done_n, 1);
  for (int i = 0; i < 5; i++)
    mp_pool_submit(pool, ask_for(&asks[i], MP_OP_QUERY, "select 1"));
  for (int i = 0; counts_of("db").connects < 2 && i < 1000; i++)
    mp_loop_step(loop, 20);
  turn(10);
  assert_int_equal(counts_of("db").sessions, 1);
  mp_fake_let_go("db");
  for (int i = 0; asked_n("db", "select 1") < 5 && i < 1000; i++)
    mp_loop_step(loop, 20);
  assert_int_equal(counts_of("db").sessions, 5); /* once one has come, all do */
  mp_fake_let_go("db");
  run_until(&answered_n, 6);
  ask_free(&first);
  for (int i = 0; i < 5; i++)
    ask_free(&asks[i]);
  close_pool(pool);
}

/* Not waited for: the clock's next moment is put back each time. */
static void the_pause_after_failures_doubles_up_to_a_second(void **state)
{
  const uint64_t first_ns = 50 * (uint64_t)1000000, last_ns = 1000 * (uint64_t)1000000;
  uint64_t longest_ns = 0;
  (void)state;
  open_pool("connect -> error connect_failed \"refused\"", 1);
  for (int i = 0; i < 100; i++) {
    uint64_t most_ns = i < 5 ? first_ns << i : last_ns, began_ns, pause_ns;
    ask a;
    pool->connect_after_ns = 0;
    mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select 1"));
    began_ns = mp_clock_ns();
    run_until(&a.done_n, 1);
    assert_int_equal(a.req->error.kind, MP_E_CONNECT_FAILED);
    assert_int_equal(counts_of("db").connects, i + 1);
    assert_true(pool->connect_after_ns <= mp_clock_ns() + most_ns);
    pause_ns = pool->connect_after_ns > began_ns ? pool->connect_after_ns - began_ns : 0;
    if (pause_ns > longest_ns)
      longest_ns = pause_ns;
    ask_free(&a);
  }
  assert_true(longest_ns >
              last_ns / 2); /* somewhere up to it, by chance: 95 times below half is none */
  close_pool(pool);
}

static void what_does_not_heal_fails_all_waiters_at_once(void **state)
{
  static const char *const kinds[] = {"auth_failed", "tls", "cant_open", "not_a_database"};
  (void)state;
  for (int k = 0; k < 4; k++) {
    ask asks[5];
    char text[80];
    answered_n = 0;
    snprintf(text, sizeof text, "connect -> delay 1; error %s \"no\"", kinds[k]);
    open_pool(text, 2);
    for (int i = 0; i < 5; i++)
      mp_pool_submit(pool, ask_for(&asks[i], MP_OP_QUERY, "select 1"));
    run_until(&answered_n, 5);
    assert_true(counts_of("db").connects <= 2);
    for (int i = 0; i < 5; i++) {
      assert_string_equal(mp_status_name(asks[i].req->error.kind), kinds[k]);
      assert_int_equal(asks[i].req->error.retryable, MP_RETRY_NO);
      ask_free(&asks[i]);
    }
    close_pool(pool);
  }
}

static void while_a_connection_lives_waiters_wait_for_it(void **state)
{
  taker a;
  ask q;
  (void)state;
  open_pool("connect *1 -> affected 0\nconnect -> error connect_failed \"too many\"\nselect -> "
            "affected 1",
            2);
  take(&a, MP_ACCESS_READ);
  run_until(&a.ready_n, 1);
  mp_pool_submit(pool, ask_for(&q, MP_OP_QUERY, "select 1"));
  for (int i = 0; counts_of("db").connects < 3 && i < 1000; i++)
    mp_loop_step(loop, 50);
  assert_int_equal(q.done_n, 0);
  mp_pool_give_back(&a.hold, false);
  run_until(&q.done_n, 1);
  assert_int_equal(q.req->error.kind, MP_OK);
  ask_free(&q);
  close_pool(pool);
}

static void a_timeout_names_the_last_connect_error(void **state)
{
  taker a, patient;
  ask q;
  (void)state;
  open_pool("connect *1 -> affected 0\nconnect -> error connect_failed \"too many clients\"", 2);
  take(&a, MP_ACCESS_READ);
  run_until(&a.ready_n, 1);
  take(&patient, MP_ACCESS_READ);
  while (asked_n("db", "(connect)") < 2)
    mp_loop_step(loop, 20);
  ask_for(&q, MP_OP_QUERY, "select 1")->deadline_ns = mp_clock_ns() + 30 * MS;
  mp_pool_submit(pool, q.req);
  run_until(&q.done_n, 1);
  assert_int_equal(q.req->error.kind, MP_E_POOL_TIMEOUT);
  assert_non_null(strstr(q.req->error.message, "the last connect failed: too many clients"));
  ask_free(&q);
  mp_pool_give_back(&patient.hold, false);
  mp_pool_give_back(&a.hold, false);
  close_pool(pool);
}

/* ---- passwords ---- */

static uint64_t tickets[4];
static int ticket_n;

static void password_wanted(void *owner, uint64_t ticket)
{
  (void)owner;
  tickets[ticket_n++ % 4] = ticket;
}

static void a_password_opens_the_door(void **state)
{
  ask a;
  (void)state;
  open_pool("set password \"s3cret\"\nselect -> affected 1", 1);
  assert_int_equal(mp_pool_set_password(pool, "wrong"), MP_OK);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select 1"));
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_E_AUTH_FAILED);
  ask_free(&a);
  mp_pool_set_password(pool, "s3cret");
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select 1"));
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_OK);
  ask_free(&a);
  close_pool(pool);
}

static void a_password_can_be_asked_for_each_time(void **state)
{
  ask a;
  mp_error none = {.kind = MP_E_CONFIGURATION, .message = "the vault is shut"};
  (void)state;
  ticket_n = 0;
  open_pool("set password \"s3cret\"\nselect -> affected 1", 1);
  mp_pool_on_password(pool, password_wanted, NULL);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select 1"));
  assert_int_equal(ticket_n, 0);
  run_until(&ticket_n, 1);
  assert_int_equal(counts_of("db").connects, 0);
  mp_pool_password_is(pool, tickets[0], NULL, &none);
  run_until(&a.done_n, 1);
  assert_string_equal(a.req->error.message, "the vault is shut");
  ask_free(&a);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select 1"));
  run_until(&ticket_n, 2);
  mp_pool_password_is(pool, tickets[0], "s3cret", NULL); /* an old ticket: nothing happens */
  mp_pool_password_is(pool, tickets[1], "s3cret", NULL);
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_OK);
  ask_free(&a);
  close_pool(pool);
}

/* ---- what becomes of connections ---- */

static void a_connection_that_is_lost_while_idle_is_forgotten(void **state)
{
  ask a;
  (void)state;
  open_pool("select *1 -> dies 2; affected 1\nselect -> affected 1", 1);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select 1"));
  run_until(&a.done_n, 1);
  ask_free(&a);
  for (int i = 0; counts_of("db").sessions > 0 && i < 1000; i++)
    mp_loop_step(loop, 20);
  assert_int_equal(stats_of(pool).size, 0);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select 1"));
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_OK);
  assert_int_equal(counts_of("db").connects, 2);
  ask_free(&a);
  close_pool(pool);
}

static void a_connection_that_is_lost_while_busy_is_replaced(void **state)
{
  ask a;
  (void)state;
  open_pool("select bye -> affected 1; lost\nselect -> affected 1", 1);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select bye"));
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_E_CONNECTION_LOST);
  assert_true(a.req->error.sent);
  ask_free(&a);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select 1"));
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_OK);
  assert_int_equal(counts_of("db").connects, 2);
  assert_int_equal(counts_of("db").sessions, 1);
  ask_free(&a);
  close_pool(pool);
}

static void a_held_connection_that_is_lost_is_told(void **state)
{
  taker a;
  ask q;
  (void)state;
  open_pool("select -> lost", 1);
  take(&a, MP_ACCESS_READ);
  run_until(&a.ready_n, 1);
  assert_true(a.hold.fresh);
  mp_connection_submit(a.hold.conn, ask_for(&q, MP_OP_QUERY, "select 1"));
  run_until(&a.lost_n, 1);
  assert_int_equal(a.hold.state, MP_HOLD_OVER);
  assert_int_equal(a.hold.error.kind, MP_E_CONNECTION_LOST);
  assert_null(a.hold.conn);
  assert_int_equal(q.done_n, 1);
  mp_pool_give_back(&a.hold, false);
  ask_free(&q);
  take(&a, MP_ACCESS_READ);
  run_until(&a.ready_n, 1);
  assert_true(a.hold.fresh);
  mp_pool_give_back(&a.hold, false);
  take(&a, MP_ACCESS_READ);
  run_until(&a.ready_n, 1);
  assert_false(a.hold.fresh);
  mp_pool_give_back(&a.hold, true);
  run_dry();
  assert_int_equal(counts_of("db").sessions, 0);
  close_pool(pool);
}

static void what_is_given_back_dirty_is_cleaned_before_anyone_else_gets_it(void **state)
{
  taker a;
  ask q, next;
  (void)state;
  open_pool("begin -> affected 0\nset -> tainted\nselect -> affected 1", 1);
  take(&a, MP_ACCESS_READ);
  run_until(&a.ready_n, 1);
  mp_connection_submit(a.hold.conn, ask_for(&q, MP_OP_QUERY, "begin"));
  run_until(&q.done_n, 1);
  ask_free(&q);
  mp_connection_submit(a.hold.conn, ask_for(&q, MP_OP_QUERY, "set x = 1"));
  run_until(&q.done_n, 1);
  ask_free(&q);
  mp_pool_submit(pool, ask_for(&next, MP_OP_QUERY, "select 1"));
  mp_pool_give_back(&a.hold, false);
  assert_int_equal(stats_of(pool).busy, 1);
  run_until(&next.done_n, 1);
  assert_string_equal(asked_text("db"), "begin; set x = 1; ROLLBACK; (reset); select 1");
  assert_int_equal(counts_of("db").connects, 1);
  ask_free(&next);
  close_pool(pool);
}

static void what_cannot_be_cleaned_is_closed(void **state)
{
  static const char *const scripts[] = {
      "begin -> affected 0\nrollback -> error io \"no\"; tx open\nselect -> affected 1",
      "begin -> affected 0\nrollback -> tx open\nselect -> affected 1",
      "begin -> tainted; tx idle\nreset -> error io \"no\"\nselect -> affected 1",
      "begin -> tx unknown\nselect -> affected 1",
      "begin -> error io \"no\" verdict=destroy\nselect -> affected 1",
  };
  (void)state;
  for (int i = 0; i < 5; i++) {
    ask a, b;
    answered_n = 0;
    open_pool(scripts[i], 1);
    mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "begin"));
    mp_pool_submit(pool, ask_for(&b, MP_OP_QUERY, "select 1"));
    run_until(&answered_n, 2);
    assert_int_equal(b.req->error.kind, MP_OK);
    assert_int_equal(counts_of("db").connects, 2);
    assert_int_equal(counts_of("db").sessions_max, 1);
    ask_free(&a);
    ask_free(&b);
    close_pool(pool);
  }
}

static void idle_connections_above_min_are_closed(void **state)
{
  ask asks[4];
  (void)state;
  script("db", "select -> delay 3");
  pool = pool_with("fake", "db", &(mp_pool_limits){.min = 1, .max = 4, .max_idle_ns = 15 * MS});
  for (int i = 0; i < 4; i++)
    mp_pool_submit(pool, ask_for(&asks[i], MP_OP_QUERY, "select 1"));
  run_until(&answered_n, 4);
  assert_int_equal(stats_of(pool).size, 4);
  for (int i = 0; counts_of("db").sessions > 1 && i < 1000; i++)
    mp_loop_step(loop, 20);
  assert_int_equal(counts_of("db").sessions, 1);
  assert_int_equal(stats_of(pool).idle, 1);
  for (int i = 0; i < 4; i++)
    ask_free(&asks[i]);
  close_pool(pool);
}

static void min_connections_are_opened_after_the_first_use(void **state)
{
  ask a;
  (void)state;
  script("db", "select -> affected 1");
  pool = pool_with("fake", "db", &(mp_pool_limits){.min = 3, .max = 5});
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select 1"));
  run_until(&a.done_n, 1);
  for (int i = 0; stats_of(pool).idle < 3 && i < 100; i++)
    turn(1);
  assert_int_equal(stats_of(pool).idle, 3);
  ask_free(&a);
  close_pool(pool);
}

static void old_and_worn_connections_are_replaced(void **state)
{
  static const mp_pool_limits limits[] = {{.max = 1, .max_uses = 2},
                                          {.max = 1, .max_lifetime_ns = 1}};
  (void)state;
  for (int k = 0; k < 2; k++) {
    script("db", "select -> affected 1");
    pool = pool_with("fake", "db", &limits[k]);
    for (int i = 0; i < 4; i++) {
      ask a;
      mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "select 1"));
      run_until(&a.done_n, 1);
      ask_free(&a);
    }
    assert_int_equal(counts_of("db").connects, k == 0 ? 2 : 4);
    assert_int_equal(counts_of("db").sessions_max, 1);
    close_pool(pool);
  }
}

static void the_connection_used_last_is_used_first(void **state)
{
  ask asks[3], last;
  int session = 0, before = 0;
  size_t n = 0;
  (void)state;
  open_pool("select -> hang\nupdate -> affected 1", 3);
  for (int i = 0; i < 3; i++)
    mp_pool_submit(pool, ask_for(&asks[i], MP_OP_QUERY, "select 1"));
  for (int i = 0; asked_n("db", "select 1") < 3 && i < 100; i++)
    turn(1);
  for (int i = 0; i < 3; i++) { /* the second one is the last to end */
    int k = i == 2 ? 1 : i == 1 ? 2 : 0;
    mp_pool_cancel(pool, asks[k].req, MP_E_CANCELLED);
    run_until(&answered_n, i + 1);
  }
  for (; mp_fake_asked("db", n, &session) != NULL; n++)
    before = session;
  mp_pool_submit(pool, ask_for(&last, MP_OP_QUERY, "update"));
  run_until(&last.done_n, 1);
  assert_non_null(mp_fake_asked("db", n, &session));
  assert_int_equal(session, before);
  for (int i = 0; i < 3; i++)
    ask_free(&asks[i]);
  ask_free(&last);
  close_pool(pool);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      POOL_TEST(a_failed_connect_is_told_to_who_waited_for_it),
      POOL_TEST(after_a_failure_one_connection_at_a_time_tries),
      POOL_TEST(the_pause_after_failures_doubles_up_to_a_second),
      POOL_TEST(what_does_not_heal_fails_all_waiters_at_once),
      POOL_TEST(while_a_connection_lives_waiters_wait_for_it),
      POOL_TEST(a_timeout_names_the_last_connect_error),
      POOL_TEST(a_password_opens_the_door),
      POOL_TEST(a_password_can_be_asked_for_each_time),
      POOL_TEST(a_connection_that_is_lost_while_idle_is_forgotten),
      POOL_TEST(a_connection_that_is_lost_while_busy_is_replaced),
      POOL_TEST(a_held_connection_that_is_lost_is_told),
      POOL_TEST(what_is_given_back_dirty_is_cleaned_before_anyone_else_gets_it),
      POOL_TEST(what_cannot_be_cleaned_is_closed),
      POOL_TEST(idle_connections_above_min_are_closed),
      POOL_TEST(min_connections_are_opened_after_the_first_use),
      POOL_TEST(old_and_worn_connections_are_replaced),
      POOL_TEST(the_connection_used_last_is_used_first),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
