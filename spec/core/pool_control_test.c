/* pool_control_test.c - the connection that stops what others run, on a fake database that needs one for that. */
#include "taker.h"

#include "pool_parts.h"

static const char usual[] = "set kill 1\nselect slow -> hang\nselect -> affected 1";

static void submit(ask *a, const char *sql)
{
  mp_pool_submit(pool, ask_for(a, MP_OP_QUERY, sql));
}

static void until_asked(const char *text, int n)
{
  for (int i = 0; asked_n("db", text) < n && i < 100000; i++)
    mp_loop_step(loop, 20);
  assert_int_equal(asked_n("db", text), n);
}

static void stopped(ask *a)
{
  run_until(&a->done_n, 1);
  assert_int_equal(a->req->error.kind, MP_E_CANCELLED);
  ask_free(a);
}

static void until_idle(int n)
{
  for (int i = 0; stats_of(pool).idle < n && i < 100000; i++)
    mp_loop_step(loop, mp_loop_alive(loop) ? 20 : 0);
  assert_int_equal(stats_of(pool).idle, n);
}

static void until_no_control(void)
{
  for (int i = 0; stats_of(pool).control > 0 && i < 1000; i++)
    mp_loop_step(loop, 1);
  assert_int_equal(stats_of(pool).control, 0);
}

static void start(ask *a, const char *sql)
{
  int n = asked_n("db", sql);
  submit(a, sql);
  until_asked(sql, n + 1);
}

static void it_is_opened_when_something_is_stopped_first(void **state)
{
  ask a;
  (void)state;
  open_pool(usual, 1);
  start(&a, "select slow");
  assert_int_equal(counts_of("db").sessions, 1);
  assert_int_equal(stats_of(pool).control, 0);
  mp_pool_cancel(pool, a.req, MP_E_CANCELLED);
  stopped(&a);
  until_idle(1);
  assert_int_equal(counts_of("db").sessions, 2);
  assert_int_equal(stats_of(pool).control, 1);
  assert_int_equal(stats_of(pool).size, 1); /* it is none of the pool's */
  assert_int_equal(asked_n("db", "kill 1"), 1);
  close_pool(pool);
  assert_int_equal(counts_of("db").sessions, 0);
}

static void one_stops_all_one_after_the_other(void **state)
{
  ask asks[5];
  (void)state;
  open_pool(usual, 5);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 5; i++)
      start(&asks[i], "select slow");
    for (int i = 0; i < 5; i++)
      mp_pool_cancel(pool, asks[i].req, MP_E_CANCELLED);
    for (int i = 0; i < 5; i++)
      stopped(&asks[i]);
    until_idle(5);
  }
  assert_int_equal(counts_of("db").connects, 6);
  close_pool(pool);
}

static void what_was_not_sent_needs_none(void **state)
{
  ask running, waiting;
  (void)state;
  open_pool(usual, 1);
  start(&running, "select slow");
  submit(&waiting, "select 1");
  turn(3);
  mp_pool_cancel(pool, waiting.req, MP_E_CANCELLED);
  stopped(&waiting);
  assert_int_equal(stats_of(pool).control, 0);
  mp_fake_let_go("db");
  run_until(&running.done_n, 1);
  ask_free(&running);
  close_pool(pool);
}

static void where_it_cannot_be_had_they_help_themselves(void **state)
{
  ask a;
  (void)state;
  open_pool("set kill 1\nconnect *1 -> columns x:int\nconnect -> error server_limit \"too many\"\n"
            "select slow -> hang\nselect -> affected 1",
            1);
  for (int round = 0; round < 2; round++) {
    start(&a, "select slow");
    mp_pool_cancel(pool, a.req, MP_E_CANCELLED);
    stopped(&a);
    until_idle(1);
    assert_int_equal(asked_n("db", "(alone)"), round + 1);
    until_no_control();
  }
  close_pool(pool);
}

static void a_refused_kill_is_told(void **state)
{
  ask a;
  (void)state;
  open_pool("set kill 1\nkill -> error permission_denied \"no\"\nselect slow -> hang\nselect -> "
            "affected 1",
            1);
  start(&a, "select slow");
  mp_pool_cancel(pool, a.req, MP_E_CANCELLED);
  stopped(&a);
  assert_int_equal(asked_n("db", "(alone)"), 1);
  until_idle(1);
  close_pool(pool);
}

static void one_that_is_lost_at_work_is_told_and_replaced(void **state)
{
  ask a;
  (void)state;
  open_pool("set kill 1\nkill *1 -> lost\nselect slow -> hang\nselect -> affected 1", 1);
  start(&a, "select slow");
  mp_pool_cancel(pool, a.req, MP_E_CANCELLED);
  stopped(&a);
  assert_int_equal(asked_n("db", "(alone)"), 1);
  until_idle(1);
  start(&a, "select slow");
  mp_pool_cancel(pool, a.req, MP_E_CANCELLED);
  stopped(&a);
  assert_int_equal(asked_n("db", "(alone)"), 1);
  assert_int_equal(asked_n("db", "kill 1"), 2);
  until_idle(1);
  close_pool(pool);
}

/* What it is for ends by itself, or is closed, while the kill is under way. */
static void it_does_not_mind_that_its_errand_is_over(void **state)
{
  ask a, b;
  (void)state;
  open_pool("set kill 1\nkill -> hang\nselect slow -> hang\nselect -> affected 1", 2);
  start(&a, "select slow");
  mp_pool_cancel(pool, a.req, MP_E_CANCELLED);
  until_asked("kill 1", 1);
  start(&b, "select slow");
  mp_fake_let_go("db");
  run_until(&a.done_n, 1);
  ask_free(&a);
  run_until(&b.done_n, 1);
  ask_free(&b);
  until_idle(2);
  start(&a, "select slow");
  mp_pool_cancel(pool, a.req, MP_E_CANCELLED);
  for (int i = 0; asked_n("db", "kill 1") + asked_n("db", "kill 3") < 2 && i < 100000; i++)
    mp_loop_step(loop, 20);
  close_pool(pool); /* with the kill still hanging */
  assert_int_equal(a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_E_CANCELLED);
  ask_free(&a);
  assert_int_equal(counts_of("db").sessions, 0);
}

static void closing_takes_one_along_that_is_just_connecting(void **state)
{
  ask a;
  (void)state;
  open_pool("set kill 1\nconnect *1 -> columns x:int\nconnect -> hang\nselect slow -> hang", 1);
  start(&a, "select slow");
  mp_pool_cancel(pool, a.req, MP_E_CANCELLED);
  until_asked("(connect)", 2);
  close_pool(pool);
  assert_int_equal(a.done_n, 1);
  ask_free(&a);
  assert_int_equal(counts_of("db").sessions, 0);
}

static void one_that_is_not_needed_is_closed(void **state)
{
  ask a;
  (void)state;
  open_pool(usual, 1);
  start(&a, "select slow");
  mp_pool_cancel(pool, a.req, MP_E_CANCELLED);
  stopped(&a);
  until_idle(1);
  assert_true(pool->control.idle.index >= 0);
  assert_true(pool->control.idle.at_ns > mp_clock_ns() + 50 * 1000 * MS);
  assert_true(pool->control.idle.at_ns <= mp_clock_ns() + 60 * 1000 * MS);
  mp_timer_start(loop, &pool->control.idle, mp_clock_ns()); /* a minute later */
  until_no_control();
  assert_int_equal(counts_of("db").sessions, 1);
  start(&a, "select slow"); /* and is opened again */
  mp_pool_cancel(pool, a.req, MP_E_CANCELLED);
  stopped(&a);
  until_idle(1);
  assert_int_equal(stats_of(pool).control, 1);
  close_pool(pool);
}

static void it_keeps_no_program_alive(void **state)
{
  ask a;
  (void)state;
  open_pool(usual, 1);
  start(&a, "select slow");
  mp_pool_cancel(pool, a.req, MP_E_CANCELLED);
  stopped(&a);
  until_idle(1);
  assert_false(mp_loop_alive(loop));
  close_pool(pool);
}

/* ---- a password that is asked for ---- */

static uint64_t tickets[8];
static int ticket_n;

static void wanted(void *owner, uint64_t ticket)
{
  (void)owner;
  tickets[ticket_n++] = ticket;
}

static void until_tickets(int n)
{
  for (int i = 0; ticket_n < n && i < 100000; i++)
    mp_loop_step(loop, 1);
  assert_int_equal(ticket_n, n);
}

static void it_asks_for_a_password_of_its_own(void **state)
{
  ask a;
  mp_error no = {.kind = MP_E_AUTH_FAILED, .message = "no password"};
  (void)state;
  ticket_n = 0;
  open_pool("set kill 1\nset password \"x\"\nselect slow -> hang", 1);
  mp_pool_on_password(pool, wanted, NULL);
  submit(&a, "select slow");
  until_tickets(1);
  mp_pool_password_is(pool, tickets[0], "x", NULL);
  until_asked("select slow", 1);
  mp_pool_cancel(pool, a.req, MP_E_CANCELLED);
  until_tickets(2);
  assert_int_equal(a.done_n, 0);
  mp_pool_password_is(pool, tickets[1], NULL, &no);
  stopped(&a);
  assert_int_equal(asked_n("db", "(alone)"), 1);
  until_idle(1);

  start(&a, "select slow");
  mp_pool_cancel(pool, a.req, MP_E_CANCELLED);
  until_tickets(3);
  mp_pool_password_is(pool, tickets[2], "x", NULL);
  stopped(&a);
  assert_int_equal(asked_n("db", "kill 1"), 1);
  until_idle(1);
  close_pool(pool);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      POOL_TEST(it_is_opened_when_something_is_stopped_first),
      POOL_TEST(one_stops_all_one_after_the_other),
      POOL_TEST(what_was_not_sent_needs_none),
      POOL_TEST(where_it_cannot_be_had_they_help_themselves),
      POOL_TEST(a_refused_kill_is_told),
      POOL_TEST(one_that_is_lost_at_work_is_told_and_replaced),
      POOL_TEST(it_does_not_mind_that_its_errand_is_over),
      POOL_TEST(closing_takes_one_along_that_is_just_connecting),
      POOL_TEST(one_that_is_not_needed_is_closed),
      POOL_TEST(it_keeps_no_program_alive),
      POOL_TEST(it_asks_for_a_password_of_its_own),
  };
  return cmocka_run_group_tests_name("the connection that stops what others run", tests, NULL,
                                     NULL);
}
