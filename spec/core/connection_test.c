/* connection_test.c - one connection on the loop: its queue, its clocks, its end. */
#include "rig.h"

static struct heard {
  int ready, lost, closed, quiet;
  mp_error error;
  char message[100];
  bool settled; /* at the last quiet */
} heard;

static mp_connection *conn;

static void on_ready(void *owner)
{
  (void)owner;
  heard.ready++;
}

static void on_lost(void *owner, const mp_error *error)
{
  (void)owner;
  heard.lost++;
  heard.error = *error;
  snprintf(heard.message, sizeof heard.message, "%s", error->message);
}

static void on_closed(void *owner)
{
  (void)owner;
  heard.closed++;
  mp_connection_free(conn);
  conn = NULL;
}

static void on_quiet(void *owner)
{
  (void)owner;
  heard.quiet++;
  heard.settled = mp_connection_settled(conn);
}

static void on_kill(void *owner)
{
  (void)owner;
  mp_connection_killed(conn, false); /* there is no pool that could */
}

static const mp_connection_events conn_events = {on_ready, on_lost, on_closed, on_quiet, on_kill};

static mp_config *config;

static void open_conn(const char *text, uint32_t connect_timeout_ms)
{
  memset(&heard, 0, sizeof heard);
  script("one", text);
  config = config_for("fake", "one");
  config->connect_timeout_ms = connect_timeout_ms;
  assert_int_equal(mp_connection_open(&conn, loop, config, NULL, &conn_events, NULL), MP_OK);
}

static void ready_conn(const char *text)
{
  open_conn(text, 0);
  run_until(&heard.ready, 1);
}

static void close_conn(void)
{
  if (conn != NULL) {
    mp_connection_close(conn);
    mp_connection_close(conn);
  }
  run_until(&heard.closed, 1);
  mp_arena_free(config->arena);
  mp_fake_forget("one");
}

static void nothing_is_told_inside_a_call(void **state)
{
  ask a;
  (void)state;
  open_conn("select -> affected 3", 0);
  assert_int_equal(heard.ready, 0);
  run_until(&heard.ready, 1);
  mp_connection_submit(conn, ask_for(&a, MP_OP_QUERY, "select 1"));
  assert_int_equal(a.done_n, 0);
  assert_true(mp_connection_busy(conn));
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->affected, 3);
  assert_int_equal(heard.quiet, 1);
  assert_true(heard.settled);
  ask_free(&a);
  close_conn();
}

static void requests_are_answered_first_in_first_out(void **state)
{
  static const int depths[] = {1, 4};
  (void)state;
  for (int d = 0; d < 2; d++) {
    ask asks[10];
    char text[60];
    snprintf(text, sizeof text, "set depth %d\nselect *3 -> delay 2\nselect -> affected 1",
             depths[d]);
    ready_conn(text);
    answered_n = 0;
    for (int i = 0; i < 10; i++)
      mp_connection_submit(conn, ask_for(&asks[i], MP_OP_QUERY, "select 1"));
    run_until(&answered_n, 10);
    for (int i = 0; i < 10; i++) {
      assert_int_equal(asks[i].order, i + 1);
      ask_free(&asks[i]);
    }
    close_conn();
  }
}

static void a_queued_request_is_cancelled_without_being_sent(void **state)
{
  ask a, b;
  (void)state;
  ready_conn("select -> hang");
  mp_connection_submit(conn, ask_for(&a, MP_OP_QUERY, "select 1"));
  turn(2);
  mp_connection_submit(conn, ask_for(&b, MP_OP_QUERY, "select 2"));
  mp_connection_cancel(conn, b.req, MP_E_CANCELLED);
  assert_int_equal(b.done_n, 0);
  run_until(&b.done_n, 1);
  assert_int_equal(a.done_n, 0);
  assert_int_equal(b.req->error.kind, MP_E_CANCELLED);
  assert_false(b.req->error.sent);
  mp_fake_let_go("one");
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_OK);
  assert_int_equal(asked_n("one", "select 2"), 0);
  ask_free(&a);
  ask_free(&b);
  close_conn();
}

static void a_cancel_is_quiet_only_when_it_has_settled(void **state)
{
  ask a;
  (void)state;
  ready_conn("set settle 300\nselect -> hang");
  mp_connection_submit(conn, ask_for(&a, MP_OP_QUERY, "select 1"));
  turn(3);
  mp_connection_cancel(conn, a.req, MP_E_TIMEOUT);
  mp_connection_cancel(conn, a.req, MP_E_CANCELLED); /* the first reason counts */
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_E_TIMEOUT);
  assert_int_equal(counts_of("one").cancels, 1);
  assert_false(mp_connection_settled(conn));
  for (int i = 0; !heard.settled && i < 1000; i++)
    mp_loop_step(loop, 20);
  assert_true(heard.settled);
  ask_free(&a);
  close_conn();
}

static void a_statement_that_runs_too_long_is_stopped(void **state)
{
  ask a, b;
  (void)state;
  ready_conn("select fast -> affected 1\nselect -> hang");
  ask_for(&a, MP_OP_QUERY, "select 1")->timeout_ns = 10 * MS;
  mp_connection_submit(conn, a.req);
  ask_for(&b, MP_OP_QUERY, "select fast")->timeout_ns = 3600000 * MS;
  mp_connection_submit(conn, b.req);
  run_until(&b.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_E_TIMEOUT);
  assert_int_equal(b.req->error.kind, MP_OK);
  ask_free(&a);
  ask_free(&b);
  close_conn();
}

static void the_clock_of_a_stream_stands_still_with_it(void **state)
{
  ask s, q;
  (void)state;
  script("one", "select wait -> delay 1300\nselect -> columns n:int; row # *3");
  memset(&heard, 0, sizeof heard);
  config = config_for("fake", "one");
  config->command_timeout_ms = 60000;
  assert_int_equal(mp_connection_open(&conn, loop, config, NULL, &conn_events, NULL), MP_OK);
  run_until(&heard.ready, 1);
  ask_for(&s, MP_OP_STREAM, "select n")->chunk_rows = 2;
  s.req->timeout_ns = 1000 * MS;
  mp_connection_submit(conn, s.req);
  run_until(&s.chunk_n, 1);
  mp_connection_submit(
      conn, ask_for(&q, MP_OP_QUERY, "select wait")); /* longer than the stream may run */
  run_until(&q.done_n, 1);
  assert_int_equal(q.req->timeout_ns, 60000 * MS); /* the database's command_timeout */
  assert_int_equal(s.done_n, 0);
  s.req->timeout_ns = 60000 * MS;
  for (int i = 2; s.done_n == 0; i++) {
    mp_connection_more(conn, s.req);
    for (int k = 0; s.done_n == 0 && s.chunk_n < i && k < 100; k++)
      turn(1);
  }
  assert_int_equal(s.row_n, 3);
  assert_int_equal(s.req->error.kind, MP_OK);
  ask_free(&s);
  ask_free(&q);
  close_conn();
}

static void a_statement_beyond_the_command_timeout_is_stopped(void **state)
{
  ask a;
  (void)state;
  script("one", "select -> hang");
  memset(&heard, 0, sizeof heard);
  config = config_for("fake", "one");
  config->command_timeout_ms = 10;
  assert_int_equal(mp_connection_open(&conn, loop, config, NULL, &conn_events, NULL), MP_OK);
  run_until(&heard.ready, 1);
  mp_connection_submit(conn, ask_for(&a, MP_OP_QUERY, "select 1"));
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_E_TIMEOUT);
  ask_free(&a);
  close_conn();
}

static void connecting_has_a_clock(void **state)
{
  (void)state;
  open_conn("connect -> hang", 15);
  run_until(&heard.lost, 1);
  assert_int_equal(heard.error.kind, MP_E_CONNECT_FAILED);
  assert_string_equal(heard.message, "no connection within 0.015 s (connect_timeout)");
  assert_int_equal(heard.ready, 0);
  close_conn();
  script("one", "connect -> hang");
  config = config_for("fake", "one");
  config->connect_timeout_ms = 15;
  config->host = "far.example";
  memset(&heard, 0, sizeof heard);
  assert_int_equal(mp_connection_open(&conn, loop, config, NULL, &conn_events, NULL), MP_OK);
  run_until(&heard.lost, 1);
  assert_string_equal(heard.message,
                      "no connection to far.example within 0.015 s (connect_timeout)");
  close_conn();
}

static void a_refused_connect_is_lost_with_its_error(void **state)
{
  (void)state;
  open_conn("connect -> delay 1; error auth_failed \"no entry\"", 1000);
  run_until(&heard.closed, 1);
  assert_int_equal(heard.lost, 1);
  assert_int_equal(heard.error.kind, MP_E_AUTH_FAILED);
  close_conn();
}

static void a_lost_link_tells_which_statement_was_sent(void **state)
{
  ask a, b;
  (void)state;
  ready_conn("select 1 -> lost");
  mp_connection_submit(conn, ask_for(&a, MP_OP_QUERY, "select 1"));
  mp_connection_submit(conn, ask_for(&b, MP_OP_QUERY, "select 2"));
  run_until(&answered_n, 2);
  assert_int_equal(a.req->error.kind, MP_E_CONNECTION_LOST);
  assert_true(a.req->error.sent);
  assert_int_equal(b.req->error.kind, MP_E_CONNECTION_LOST);
  assert_false(b.req->error.sent);
  assert_int_equal(b.req->error.retryable, MP_RETRY_CONNECT);
  assert_int_equal(heard.lost, 1);
  ask_free(&a);
  ask_free(&b);
  close_conn();
}

static void submit_to_lost(ask *a)
{
  mp_connection_submit(conn, ((ask *)a->owner)->req);
}

static void who_submits_to_a_lost_connection_is_answered_later(void **state)
{
  ask a, b;
  (void)state;
  ready_conn("select 1 -> lost unsent");
  mp_connection_submit(conn, ask_for(&a, MP_OP_QUERY, "select 1"));
  ask_for(&b, MP_OP_QUERY, "select 2");
  a.then = submit_to_lost;
  a.owner = &b;
  run_until(&b.done_n, 1);
  assert_false(a.req->error.sent);
  assert_int_equal(b.req->error.kind, MP_E_CONNECTION_LOST);
  assert_int_equal(asked_n("one", "select 2"), 0);
  ask_free(&a);
  ask_free(&b);
  close_conn();
}

static void closing_ends_what_runs(void **state)
{
  ask a, b, c;
  (void)state;
  ready_conn("set depth 2\nselect -> hang");
  mp_connection_submit(conn, ask_for(&a, MP_OP_QUERY, "select 1"));
  mp_connection_submit(conn, ask_for(&b, MP_OP_QUERY, "select 2"));
  mp_connection_submit(conn, ask_for(&c, MP_OP_QUERY, "select 3"));
  turn(3);
  b.req->stop =
      MP_E_CANCELLED; /* as a pool does that revokes a lease: it hears of the cancel, not of the loss */
  mp_connection_close(conn);
  assert_int_equal(answered_n, 0);
  run_until(&heard.closed, 1);
  assert_int_equal(answered_n, 3);
  assert_int_equal(a.req->error.kind, MP_E_CONNECTION_LOST);
  assert_int_equal(b.req->error.kind, MP_E_CANCELLED);
  assert_int_equal(c.req->error.kind, MP_E_CONNECTION_LOST);
  assert_int_equal(heard.lost, 0);
  ask_free(&a);
  ask_free(&b);
  ask_free(&c);
  close_conn();
}

static void a_stream_comes_in_chunks_while_others_run(void **state)
{
  ask s, q;
  mp_value cell;
  (void)state;
  ready_conn("select n -> columns n:int; row # *25\nselect -> columns x:text; row \"q\"");
  ask_for(&s, MP_OP_STREAM, "select n")->chunk_rows = 10;
  mp_connection_submit(conn, s.req);
  run_until(&s.chunk_n, 1);
  mp_connection_submit(conn, ask_for(&q, MP_OP_QUERY, "select q"));
  run_until(&q.done_n, 1);
  assert_int_equal(s.chunk_n, 1); /* stands still until it is asked */
  s.req->result->ops->cell(s.req->result, 9, 0, &cell);
  assert_int_equal(cell.i, 10);
  mp_connection_more(conn, s.req);
  run_until(&s.chunk_n, 2);
  s.req->result->ops->cell(s.req->result, 0, 0, &cell);
  assert_int_equal(cell.i, 11);
  mp_connection_more(conn, s.req);
  run_until(&s.chunk_n, 3);
  assert_int_equal(s.row_n, 25);
  mp_connection_more(conn, s.req);
  run_until(&s.done_n, 1);
  assert_int_equal(s.req->error.kind, MP_OK);
  assert_null(s.req->result);
  ask_free(&s);
  ask_free(&q);
  close_conn();
}

static void a_stream_that_stands_still_can_be_stopped(void **state)
{
  ask s;
  (void)state;
  ready_conn("select -> columns n:int; row # *1000");
  mp_connection_submit(conn, ask_for(&s, MP_OP_STREAM, "select n"));
  run_until(&s.chunk_n, 1);
  mp_connection_cancel(conn, s.req, MP_E_CANCELLED);
  run_until(&s.done_n, 1);
  assert_int_equal(s.req->error.kind, MP_E_CANCELLED);
  ask_free(&s);
  close_conn();
}

static void an_idle_connection_does_not_keep_the_loop_alive(void **state)
{
  ask a;
  (void)state;
  ready_conn("select -> hang");
  turn(3);
  assert_false(mp_loop_alive(loop));
  mp_connection_submit(conn, ask_for(&a, MP_OP_QUERY, "select 1"));
  assert_true(mp_loop_alive(loop));
  turn(3);
  assert_true(mp_loop_alive(loop));
  mp_fake_let_go("one");
  run_until(&a.done_n, 1);
  turn(2);
  assert_false(mp_loop_alive(loop));
  ask_free(&a);
  close_conn();
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      RIG_TEST(nothing_is_told_inside_a_call),
      RIG_TEST(requests_are_answered_first_in_first_out),
      RIG_TEST(a_queued_request_is_cancelled_without_being_sent),
      RIG_TEST(a_cancel_is_quiet_only_when_it_has_settled),
      RIG_TEST(a_statement_that_runs_too_long_is_stopped),
      RIG_TEST(the_clock_of_a_stream_stands_still_with_it),
      RIG_TEST(a_statement_beyond_the_command_timeout_is_stopped),
      RIG_TEST(connecting_has_a_clock),
      RIG_TEST(a_refused_connect_is_lost_with_its_error),
      RIG_TEST(a_lost_link_tells_which_statement_was_sent),
      RIG_TEST(who_submits_to_a_lost_connection_is_answered_later),
      RIG_TEST(closing_ends_what_runs),
      RIG_TEST(a_stream_comes_in_chunks_while_others_run),
      RIG_TEST(a_stream_that_stands_still_can_be_stopped),
      RIG_TEST(an_idle_connection_does_not_keep_the_loop_alive),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
