/* gate_test.c - the single writer of a file: one FIFO over all pools and leases, never two at once. */
#include "rig.h"

static mp_pool *pool, *other;

static const char *const plain = "insert -> delay 1; affected 1\nselect -> delay 1";

static void open_pools(const char *text, int max)
{
  script("file", text);
  pool = pool_of("fake_file", "file", max);
  other = pool_of("fake_file", "file", max);
}

static void close_pools(void)
{
  close_pool(pool);
  close_pool(other);
}

static int teardown(void **state)
{
  mp_fake_forget("file");
  return rig_teardown(state);
}

static mp_request *write_for(ask *a, const char *sql)
{
  mp_request *req = ask_for(a, MP_OP_QUERY, sql);
  req->access = MP_ACCESS_WRITE;
  return req;
}

static mp_request *read_for(ask *a, const char *sql)
{
  mp_request *req = ask_for(a, MP_OP_QUERY, sql);
  req->access = MP_ACCESS_READ;
  return req;
}

static void writers_of_all_pools_pass_one_after_the_other_in_order(void **state)
{
  static const int maxes[] = {1, 2, 4};
  (void)state;
  for (int m = 0; m < 3; m++) {
    ask asks[12];
    answered_n = 0;
    open_pools(plain, maxes[m]);
    for (int i = 0; i < 12; i++)
      mp_pool_submit(i % 3 == 0 ? other : pool, write_for(&asks[i], "insert"));
    run_until(&answered_n, 12);
    assert_int_equal(counts_of("file").writers_max, 1);
    for (int i = 0; i < 12; i++) {
      assert_int_equal(asks[i].req->error.kind, MP_OK);
      if (maxes[m] > 1) /* with one connection the order is that of each pool */
        assert_int_equal(asks[i].order, i + 1);
      ask_free(&asks[i]);
    }
    close_pools();
  }
}

static void readers_go_on_while_one_writes(void **state)
{
  ask w, r[4];
  (void)state;
  open_pools("insert -> hang\nselect -> delay 1", 3);
  mp_pool_submit(pool, write_for(&w, "insert"));
  for (int i = 0; i < 4; i++)
    mp_pool_submit(pool, read_for(&r[i], "select 1"));
  run_until(&answered_n, 4);
  assert_int_equal(w.done_n, 0);
  mp_pool_cancel(pool, w.req, MP_E_CANCELLED);
  run_until(&w.done_n, 1);
  ask_free(&w);
  for (int i = 0; i < 4; i++)
    ask_free(&r[i]);
  close_pools();
}

static void a_connection_is_kept_for_the_writer(void **state)
{
  ask w, r[6];
  (void)state;
  open_pools("select -> hang\ninsert -> affected 1", 3);
  for (int i = 0; i < 6; i++)
    mp_pool_submit(pool, read_for(&r[i], "select 1"));
  turn(10);
  assert_int_equal(stats_of(pool).busy, 2);
  assert_int_equal(stats_of(pool).waiting, 4);
  assert_true(mp_pool_would_wait(pool, MP_ACCESS_READ));
  assert_false(mp_pool_would_wait(pool, MP_ACCESS_WRITE));
  mp_pool_submit(pool, write_for(&w, "insert"));
  run_until(&w.done_n, 1);
  assert_int_equal(w.req->error.kind, MP_OK);
  ask_free(&w);
  for (int i = 0; i < 6; i++) {
    mp_pool_cancel(pool, r[i].req, MP_E_CANCELLED);
    run_until(&r[i].done_n, 1);
    ask_free(&r[i]);
  }
  close_pools();
}

static void a_read_that_writes_is_sent_round_through_the_gate(void **state)
{
  ask a, b;
  (void)state;
  open_pools("insert -> affected 1\nselect next -> needs_writer; affected 7", 2);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "insert"));
  mp_pool_submit(pool, read_for(&b, "select nextval"));
  run_until(&answered_n, 2);
  assert_int_equal(a.req->error.kind, MP_OK);
  assert_int_equal(a.req->affected, 1);
  assert_int_equal(b.req->error.kind, MP_OK);
  assert_int_equal(b.req->affected, 7);
  assert_false(b.req->needs_writer);
  assert_string_equal(asked_text("file"), "insert; select nextval"); /* each ran once */
  ask_free(&a);
  ask_free(&b);
  close_pools();
}

static void writers_prefer_the_connection_that_wrote_last(void **state)
{
  ask a, b;
  int writer = 0, session = 0;
  size_t n = 0;
  (void)state;
  open_pools(plain, 3);
  mp_pool_submit(pool, write_for(&a, "insert"));
  mp_pool_submit(pool, read_for(&b, "select 1"));
  run_until(&answered_n, 2);
  for (; mp_fake_asked("file", n, &session) != NULL; n++)
    if (strcmp(mp_fake_asked("file", n, NULL), "insert") == 0)
      writer = session;
  for (int i = 0; i < 4; i++) {
    ask_free(&b);
    mp_pool_submit(pool, read_for(&b, "select 1"));
    run_until(&b.done_n, 1);
    ask_free(&a);
    mp_pool_submit(pool, write_for(&a, "insert"));
    run_until(&a.done_n, 1);
    mp_fake_asked("file", n + 1, &session);
    assert_int_equal(session, writer);
    n += 2;
  }
  ask_free(&a);
  ask_free(&b);
  close_pools();
}

static void waiting_for_the_writer_ends_at_the_deadline(void **state)
{
  ask w, late;
  (void)state;
  open_pools("insert -> hang", 2);
  mp_pool_submit(pool, write_for(&w, "insert"));
  turn(6);
  write_for(&late, "insert")->deadline_ns = mp_clock_ns() + 10 * MS;
  assert_true(mp_pool_would_wait(other, MP_ACCESS_WRITE));
  mp_pool_submit(other, late.req);
  run_until(&late.done_n, 1);
  assert_int_equal(late.req->error.kind, MP_E_POOL_TIMEOUT);
  assert_non_null(strstr(late.req->error.message, "another writer was at work"));
  mp_pool_cancel(pool, w.req, MP_E_CANCELLED);
  run_until(&w.done_n, 1);
  ask_free(&w);
  ask_free(&late);
  close_pools();
}

static void a_writer_that_cannot_connect_lets_the_next_one_in(void **state)
{
  ask a, b;
  (void)state;
  script("file", "connect *1 -> delay 2; error connect_failed \"no\"\ninsert -> affected 1");
  pool = pool_of("fake_file", "file", 2);
  other = pool_of("fake_file", "file", 2);
  mp_pool_submit(pool, write_for(&a, "insert"));
  mp_pool_submit(other, write_for(&b, "insert"));
  run_until(&answered_n, 2);
  assert_int_equal(a.req->error.kind, MP_E_CONNECT_FAILED);
  assert_int_equal(b.req->error.kind, MP_OK);
  ask_free(&a);
  ask_free(&b);
  close_pools();
}

/* ---- holds that pass later ---- */

static int entered_n, entered_order[8];
static mp_status entered_status;

typedef struct guest {
  mp_hold hold;
  mp_gatepass pass;
  int ready_n, number;
} guest;

static void guest_ready(mp_hold *hold)
{
  mp_container_of(hold, guest, hold)->ready_n++;
}

static void guest_entered(mp_gatepass *pass, mp_status status)
{
  entered_status = status;
  entered_order[entered_n++ % 8] = mp_container_of(pass, guest, pass)->number;
}

static void invite(guest *g, mp_pool *to, mp_access access, int number)
{
  memset(g, 0, sizeof *g);
  mp_hold_init(&g->hold, access);
  mp_gatepass_init(&g->pass, guest_entered);
  g->hold.on_ready = guest_ready;
  g->number = number;
  mp_pool_acquire(to, &g->hold);
  run_until(&g->ready_n, 1);
  assert_int_equal(g->hold.state, MP_HOLD_HELD);
}

static void passes_and_requests_stand_in_one_queue(void **state)
{
  guest a, b;
  ask w;
  (void)state;
  entered_n = 0;
  open_pools(plain, 3);
  invite(&a, pool, MP_ACCESS_READ, 1);
  invite(&b, other, MP_ACCESS_READ, 2);
  mp_pool_enter_gate(&a.hold, &a.pass);
  assert_int_equal(entered_n, 0);
  mp_pool_submit(other, write_for(&w, "insert"));
  mp_pool_enter_gate(&b.hold, &b.pass);
  run_until(&entered_n, 1);
  turn(10);
  assert_int_equal(w.done_n, 0);
  mp_pool_leave_gate(&a.pass);
  mp_pool_leave_gate(&a.pass);
  run_until(&entered_n, 2);
  assert_int_equal(w.done_n, 1);
  assert_int_equal(entered_order[1], 2);
  mp_pool_leave_gate(&b.pass);
  mp_pool_give_back(&a.hold, false);
  mp_pool_give_back(&b.hold, false);
  ask_free(&w);
  close_pools();
}

static void a_pass_has_a_deadline_and_can_be_given_up(void **state)
{
  guest a, b, c;
  (void)state;
  entered_n = 0;
  open_pools(plain, 4);
  invite(&a, pool, MP_ACCESS_WRITE, 1);
  assert_true(a.hold.has_gate);
  invite(&b, pool, MP_ACCESS_READ, 2);
  invite(&c, pool, MP_ACCESS_READ, 3);
  b.pass.deadline_ns = mp_clock_ns() + 10 * MS;
  mp_pool_enter_gate(&b.hold, &b.pass);
  mp_pool_enter_gate(&c.hold, &c.pass);
  mp_pool_leave_gate(&c.pass);
  run_until(&entered_n, 1);
  assert_int_equal(entered_status, MP_E_BUSY);
  assert_int_equal(entered_order[0], 2);
  mp_pool_enter_gate(&a.hold, &a.pass); /* has it already */
  run_until(&entered_n, 2);
  assert_int_equal(entered_status, MP_OK);
  mp_pool_leave_gate(&a.pass);
  assert_true(mp_pool_would_wait(pool, MP_ACCESS_WRITE)); /* and still has it */
  mp_pool_give_back(&a.hold, false);
  mp_pool_give_back(&b.hold, false);
  mp_pool_give_back(&c.hold, false);
  run_dry();
  assert_false(mp_pool_would_wait(pool, MP_ACCESS_WRITE));
  close_pools();
}

/* Who is given back with a transaction open keeps the next writer out until that is rolled back. */
static void the_gate_opens_only_when_the_connection_is_clean(void **state)
{
  guest a;
  ask begin, w;
  (void)state;
  open_pools("begin -> affected 0\nrollback -> delay 5\ninsert -> affected 1", 2);
  invite(&a, pool, MP_ACCESS_WRITE, 1);
  mp_connection_submit(a.hold.conn, write_for(&begin, "begin immediate"));
  run_until(&begin.done_n, 1);
  mp_pool_submit(other, write_for(&w, "insert"));
  mp_pool_give_back(&a.hold, false);
  run_until(&w.done_n, 1);
  assert_string_equal(asked_text("file"), "begin immediate; ROLLBACK; insert");
  assert_int_equal(counts_of("file").writers_max, 1);
  ask_free(&begin);
  ask_free(&w);
  close_pools();
}

/* Each pool has one connection, each is held by a reader: neither a writer's place at the gate nor its connection
** may be what the other one waits for. */
static void two_pools_of_one_connection_do_not_lock_each_other_out(void **state)
{
  guest a, b;
  ask wa, wb;
  (void)state;
  entered_n = 0;
  open_pools(plain, 1);
  invite(&a, pool, MP_ACCESS_READ, 1);
  invite(&b, other, MP_ACCESS_READ, 2);
  mp_pool_submit(pool, write_for(&wa, "insert"));
  mp_pool_submit(other, write_for(&wb, "insert"));
  mp_pool_enter_gate(&a.hold, &a.pass);
  mp_pool_enter_gate(&b.hold, &b.pass);
  run_until(&entered_n, 1);
  mp_pool_give_back(&a.hold, false);
  run_until(&entered_n, 2);
  mp_pool_give_back(&b.hold, false);
  run_until(&answered_n, 2);
  assert_int_equal(wa.req->error.kind, MP_OK);
  assert_int_equal(wb.req->error.kind, MP_OK);
  ask_free(&wa);
  ask_free(&wb);
  close_pools();
}

static void a_waiter_that_already_has_a_connection_survives_its_loss(void **state)
{
  guest a;
  ask w;
  (void)state;
  open_pools(
      "connect *1 -> affected 0\nconnect *1 -> affected 0\nping -> dies 2\ninsert -> affected 1",
      1);
  invite(&a, pool, MP_ACCESS_WRITE, 1);
  mp_pool_submit(other, ask_for(&w, MP_OP_PING, ""));
  run_until(&w.done_n, 1);
  ask_free(&w);
  mp_pool_submit(
      other,
      write_for(&w,
                "insert")); /* has the connection that is about to die, and waits for the gate */
  for (int i = 0; counts_of("file").connects < 3 && i < 1000; i++)
    mp_loop_step(loop, 20);
  assert_int_equal(w.done_n, 0);
  mp_pool_give_back(&a.hold, false);
  run_until(&w.done_n, 1);
  assert_int_equal(w.req->error.kind, MP_OK);
  ask_free(&w);
  close_pools();
}

static void closing_refuses_who_stands_before_the_gate(void **state)
{
  static const int maxes[] = {1, 3};
  (void)state;
  for (int m = 0; m < 2; m++) {
    guest a;
    ask w, v;
    open_pools(plain, maxes[m]);
    invite(&a, pool, MP_ACCESS_WRITE, 1);
    mp_pool_submit(other, write_for(&w, "insert"));
    mp_pool_submit(other, write_for(&v, "insert"));
    turn(5);
    close_pool(other);
    assert_int_equal(w.req->error.kind, MP_E_POOL_CLOSED);
    assert_int_equal(v.req->error.kind, MP_E_POOL_CLOSED);
    mp_pool_give_back(&a.hold, false);
    ask_free(&w);
    ask_free(&v);
    close_pool(pool);
  }
}

static void a_lone_connection_needs_no_gate(void **state)
{
  ask a;
  (void)state;
  script("file", "set max_sessions 1\ninsert -> affected 1");
  pool = pool_of("fake_file", "file", 5);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "insert"));
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_OK);
  ask_free(&a);
  close_pool(pool);
}

#define GATE_TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      GATE_TEST(writers_of_all_pools_pass_one_after_the_other_in_order),
      GATE_TEST(readers_go_on_while_one_writes),
      GATE_TEST(a_connection_is_kept_for_the_writer),
      GATE_TEST(a_read_that_writes_is_sent_round_through_the_gate),
      GATE_TEST(writers_prefer_the_connection_that_wrote_last),
      GATE_TEST(waiting_for_the_writer_ends_at_the_deadline),
      GATE_TEST(a_writer_that_cannot_connect_lets_the_next_one_in),
      GATE_TEST(passes_and_requests_stand_in_one_queue),
      GATE_TEST(a_pass_has_a_deadline_and_can_be_given_up),
      GATE_TEST(the_gate_opens_only_when_the_connection_is_clean),
      GATE_TEST(two_pools_of_one_connection_do_not_lock_each_other_out),
      GATE_TEST(a_waiter_that_already_has_a_connection_survives_its_loss),
      GATE_TEST(closing_refuses_who_stands_before_the_gate),
      GATE_TEST(a_lone_connection_needs_no_gate),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
