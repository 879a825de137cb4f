/* pool_share_test.c - who shares a connection with whom, on a fake database where some statements hang as long as a test
** likes. `fast` and `held` were measured before, so they are known to be fast; `held` hangs from then on. */
#include "taker.h"

#include "pool_parts.h"

#include <unistd.h>

#define DEPTH 16

static const char usual[] = "set depth 16\n"
                            "select fast -> columns x:int; row 1\n"
                            "select held *12 -> columns x:int; row 2\n"
                            "select held -> hang; columns x:int; row 3\n"
                            "select new -> hang; columns x:int; row 4\n"
                            "select bad *12 -> columns x:int; row 5\n"
                            "select bad -> error division_by_zero \"no\"\n"
                            "select worse *12 -> columns x:int; row 6\n"
                            "select worse -> error connection_lost \"gone\" verdict=destroy\n"
                            "select fatal *12 -> columns x:int; row 7\n"
                            "select fatal -> lost\n"
                            "write -> hang; affected 1\n";

static mp_request *read_own(ask *a, const char *sql)
{
  mp_request *req = ask_for(a, MP_OP_QUERY, sql);
  req->own_sql = true;
  req->access = MP_ACCESS_READ;
  return req;
}

static void submit(ask *a, const char *sql)
{
  mp_pool_submit(pool, read_own(a, sql));
}

extern bool mp_pace_test_slow_machine;

/* Known to be fast, also where the machine was busy with something else meanwhile. */
static void learn(const char *sql)
{
  const uint64_t hash = mp_sql_hash(sql, strlen(sql));
  for (int i = 0; i < 12; i++) {
    ask a;
    submit(&a, sql);
    run_until(&a.done_n, 1);
    assert_int_equal(a.req->error.kind, MP_OK);
    ask_free(&a);
  }
  assert_true(!pool->shares || pool->pace.places[hash % MP_PACE_PLACES].hash == hash);
  pool->pace.places[hash % MP_PACE_PLACES].average_ns = pool->pace.way_ns;
}

static void open_pool_shared(const char *text, int max, bool pipeline)
{
  mp_pool_limits limits = {.max = max, .timeout_ns = 60000 * MS};
  mp_error err = MP_ERROR_NONE;
  mp_config *config;
  mp_pace_test_slow_machine = true;
  script("db", text);
  config = config_for("fake", "db");
  config->pipeline = pipeline;
  assert_int_equal(mp_pool_new(&pool, loop, config, &limits, &err), MP_OK);
}

static void open_shared(const char *text, int max, bool pipeline)
{
  open_pool_shared(text, max, pipeline);
  learn("select fast");
  learn("select held");
}

static const mp_slot *shared_slot(void)
{
  return mp_container_of(pool->slots[MP_SLOT_SHARED].next, mp_slot, node);
}

/* What has been submitted is as far as it gets. */
static void settle(void)
{
  turn(20);
}

static void check(int size, int busy, int waiting)
{
  mp_pool_stats stats;
  settle();
  stats = stats_of(pool);
  assert_int_equal(stats.size, size);
  assert_int_equal(stats.busy, busy);
  assert_int_equal(stats.waiting, waiting);
}

static void finish(ask *asks, int n)
{
  for (int i = 0; i < n; i++) {
    run_until(&asks[i].done_n, 1);
    assert_int_equal(asks[i].req->error.kind, MP_OK);
    ask_free(&asks[i]);
  }
}

/* What runs has run for longer than anything fast does. */
static void let_it_take_long(void)
{
  mp_pace_test_slow_machine = false;
  usleep(40000);
}

static void nobody_shares_while_there_is_room(void **state)
{
  ask asks[5];
  (void)state;
  open_shared(usual, 3, true);
  for (int i = 0; i < 3; i++) {
    submit(&asks[i], "select held");
    check(i + 1, i + 1, 0);
  }
  submit(&asks[3], "select fast");
  submit(&asks[4], "select fast");
  check(3, 3, 0);
  assert_int_equal(counts_of("db").sessions, 3);
  assert_int_equal(asks[3].done_n + asks[4].done_n, 0); /* behind one that hangs */
  mp_fake_let_go("db");
  finish(asks, 5);
  check(3, 0, 0);
  close_pool(pool);
}

static void sixteen_share_one_connection_and_no_more(void **state)
{
  ask asks[DEPTH + 3];
  (void)state;
  open_shared(usual, 1, true);
  for (int i = 0; i < DEPTH + 3; i++)
    submit(&asks[i], i == 0 ? "select held" : "select fast");
  check(1, 1, 3);
  mp_fake_let_go("db");
  finish(asks, DEPTH + 3);
  for (int i = 1; i < DEPTH + 3; i++)
    assert_true(asks[i].order > asks[i - 1].order);
  check(1, 0, 0);
  close_pool(pool);
}

static void many_one_behind_the_other(ask *asks, int n, const char *sql)
{
  for (int i = 0; i < n; i++)
    submit(&asks[i], sql);
  finish(asks, n);
}

static void more_share_one_whose_way_is_long(void **state)
{
  ask asks[150];
  (void)state;
  open_pool_shared("set depth 64\n"
                   "select held *12 -> delay 2; columns x:int; row 1\n"
                   "select held -> hang; columns x:int; row 1\n"
                   "select far -> delay 2; columns x:int; row 1",
                   1, true);
  learn("select held");
  learn("select far");
  many_one_behind_the_other(asks, 150, "select far");
  for (int i = 0; i < 70; i++)
    submit(&asks[i], i == 0 ? "select held" : "select far");
  check(1, 1, 6);
  let_it_take_long();
  submit(&asks[70], "select far");
  assert_int_equal(shared_slot()->extra_room, 0);
  mp_fake_let_go("db");
  finish(asks, 71);
  check(1, 0, 0);
  close_pool(pool);
}

static void no_more_share_one_whose_way_is_short(void **state)
{
  ask asks[150];
  (void)state;
  open_shared(usual, 1, true);
  many_one_behind_the_other(asks, 150, "select fast");
  submit(&asks[0], "select held");
  for (int i = 1; i < DEPTH + 3; i++)
    submit(&asks[i], "select fast");
  check(1, 1, 3);
  mp_fake_let_go("db");
  finish(asks, DEPTH + 3);
  close_pool(pool);
}

static void who_comes_next_joins_where_the_fewest_are(void **state)
{
  ask asks[2 * DEPTH + 1];
  (void)state;
  open_shared(usual, 2, true);
  submit(&asks[0], "select held");
  submit(&asks[1], "select held");
  check(2, 2, 0);
  for (int i = 2; i < 2 * DEPTH + 1; i++)
    submit(&asks[i], "select fast");
  check(2, 2, 1);
  mp_fake_let_go("db");
  finish(asks, 2 * DEPTH + 1);
  close_pool(pool);
}

/* One that stands at the head, and one that would join: each way round somebody waits. */
static void both_alone(const char *sql, const char *joiner, void (*change)(mp_request *req),
                       bool pipeline)
{
  ask head, other;
  open_shared(usual, 1, pipeline);
  read_own(&head, sql);
  if (change != NULL)
    change(head.req);
  mp_pool_submit(pool, head.req);
  submit(&other, "select fast");
  check(1, 1, 1);
  mp_fake_let_go("db");
  finish(&head, 1);
  finish(&other, 1);

  learn("select fast");
  submit(&head, "select held");
  read_own(&other, joiner);
  if (change != NULL)
    change(other.req);
  mp_pool_submit(pool, other.req);
  check(1, 1, 1);
  mp_fake_let_go("db");
  finish(&head, 1);
  for (int i = 0; other.done_n == 0 && i < 1000; i++) {
    mp_fake_let_go("db");
    mp_loop_step(loop, 1);
  }
  finish(&other, 1);
  close_pool(pool);
  mp_fake_forget("db");
}

static void alone(const char *sql, void (*change)(mp_request *req), bool pipeline)
{
  both_alone(sql, sql, change, pipeline);
}

static void unowned(mp_request *req)
{
  req->own_sql = false;
}

static void writing(mp_request *req)
{
  req->access = MP_ACCESS_WRITE;
}

static void unsure(mp_request *req)
{
  req->access = MP_ACCESS_UNKNOWN;
}

static void limited_rows(mp_request *req)
{
  req->max_rows = 100;
}

static void limited_bytes(mp_request *req)
{
  req->max_bytes = 100000;
}

static void uncached(mp_request *req)
{
  req->no_cache = true;
}

static void many(mp_request *req)
{
  req->op = MP_OP_MANY;
}

static void only_plain_reads_of_the_orm_share(void **state)
{
  static void (*const changes[])(mp_request *) = {unowned,       writing,  unsure, limited_rows,
                                                  limited_bytes, uncached, many};
  (void)state;
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
    alone("select held", changes[i], true);
  alone("write", writing, true);
}

static void a_statement_without_a_known_time_shares_with_nobody(void **state)
{
  (void)state;
  both_alone("select new", "select new too", NULL, true); /* the first one is known by then */
}

static void without_the_pipeline_nothing_is_shared(void **state)
{
  (void)state;
  alone("select held", NULL, false);
}

static void nothing_joins_behind_what_runs_too_long(void **state)
{
  ask head, next, later;
  (void)state;
  open_shared(usual, 1, true);
  submit(&head, "select held");
  submit(&next, "select fast");
  check(1, 1, 0);
  let_it_take_long();
  submit(&later, "select fast");
  check(1, 1, 1);
  mp_fake_let_go("db");
  finish(&head, 1);
  finish(&next, 1);
  finish(&later, 1);
  close_pool(pool);
}

static void one_that_fails_fails_alone(void **state)
{
  ask head, bad, next;
  (void)state;
  open_shared(usual, 1, true);
  learn("select bad");
  submit(&head, "select held");
  submit(&bad, "select bad");
  submit(&next, "select fast");
  check(1, 1, 0);
  mp_fake_let_go("db");
  finish(&head, 1);
  run_until(&bad.done_n, 1);
  assert_int_equal(bad.req->error.kind, MP_E_DIVISION_BY_ZERO);
  ask_free(&bad);
  finish(&next, 1);
  assert_int_equal(counts_of("db").connects, 1);
  close_pool(pool);
}

static void one_that_spoils_the_connection_ends_the_sharing(void **state)
{
  ask head, worse, next, late;
  (void)state;
  open_shared(usual, 1, true);
  learn("select worse");
  submit(&worse, "select worse");
  submit(&head, "select held");
  submit(&next, "select fast");
  run_until(&worse.done_n, 1);
  assert_int_equal(worse.req->error.kind, MP_E_CONNECTION_LOST);
  ask_free(&worse);
  submit(&late, "select fast");
  check(1, 1, 1); /* nobody joins those that are on it */
  mp_fake_let_go("db");
  finish(&head, 1);
  finish(&next, 1);
  finish(&late, 1);
  assert_int_equal(counts_of("db").connects, 2);
  close_pool(pool);
}

static void a_lost_connection_is_told_to_all_who_share_it(void **state)
{
  ask asks[5], waits;
  (void)state;
  open_shared(usual, 1, true);
  learn("select fatal");
  for (int i = 0; i < 5; i++)
    submit(&asks[i], i == 0 ? "select held" : i == 1 ? "select fatal" : "select fast");
  read_own(&waits, "select fast");
  waits.req->own_sql = false;
  mp_pool_submit(pool, waits.req);
  check(1, 1, 1);
  mp_fake_let_go("db");
  finish(asks, 1);
  for (int i = 1; i < 5; i++) {
    run_until(&asks[i].done_n, 1);
    assert_int_equal(asks[i].req->error.kind, MP_E_CONNECTION_LOST);
    assert_int_equal(asks[i].req->error.sent, i == 1);
    ask_free(&asks[i]);
  }
  finish(&waits, 1);
  check(1, 0, 0);
  close_pool(pool);
}

static void one_that_is_cancelled_leaves_and_the_others_stay(void **state)
{
  (void)state;
  open_shared(usual, 1, true);
  for (int which = 0; which < 4; which++) {
    ask asks[4];
    learn("select fast");
    for (int i = 0; i < 4; i++)
      submit(&asks[i], i == 0 ? "select held" : "select fast");
    check(1, 1, 0);
    mp_pool_cancel(pool, asks[which].req, MP_E_CANCELLED);
    assert_int_equal(asks[which].done_n, 0);
    run_until(&asks[which].done_n, 1);
    assert_int_equal(asks[which].req->error.kind, MP_E_CANCELLED);
    ask_free(&asks[which]);
    mp_fake_let_go("db");
    for (int i = 0; i < 4; i++)
      if (i != which)
        finish(&asks[i], 1);
    check(1, 0, 0);
  }
  assert_int_equal(counts_of("db").connects, 1);
  close_pool(pool);
}

/* Reads that could join must not keep somebody waiting for ever who cannot. */
static void nobody_overtakes_who_waits_for_a_connection_of_his_own(void **state)
{
  ask head, fast[3];
  taker t;
  (void)state;
  open_shared(usual, 1, true);
  submit(&head, "select held");
  settle();
  take(&t, MP_ACCESS_READ);
  for (int i = 0; i < 3; i++)
    submit(&fast[i], "select fast");
  check(1, 1, 4);
  mp_fake_let_go("db");
  finish(&head, 1);
  run_until(&t.ready_n, 1);
  check(1, 1, 3);
  mp_pool_give_back(&t.hold, false);
  finish(fast, 3);
  close_pool(pool);
}

static void closing_waits_for_those_who_share(void **state)
{
  ask asks[3];
  int closed_n = 0;
  (void)state;
  open_shared(usual, 1, true);
  for (int i = 0; i < 3; i++)
    submit(&asks[i], i == 0 ? "select held" : "select fast");
  settle();
  assert_int_equal(mp_pool_close(pool, UINT64_MAX, rig_closed, &closed_n), MP_OK);
  settle();
  assert_int_equal(closed_n, 0);
  mp_fake_let_go("db");
  finish(asks, 3);
  run_until(&closed_n, 1);
  mp_pool_free(pool);
}

static void closing_at_once_cancels_those_who_share(void **state)
{
  ask asks[3];
  (void)state;
  open_shared(usual, 1, true);
  for (int i = 0; i < 3; i++)
    submit(&asks[i], i == 0 ? "select held" : "select fast");
  settle();
  close_pool(pool);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(asks[i].req->error.kind, MP_E_CANCELLED);
    ask_free(&asks[i]);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      POOL_TEST(nobody_shares_while_there_is_room),
      POOL_TEST(sixteen_share_one_connection_and_no_more),
      POOL_TEST(more_share_one_whose_way_is_long),
      POOL_TEST(no_more_share_one_whose_way_is_short),
      POOL_TEST(who_comes_next_joins_where_the_fewest_are),
      POOL_TEST(only_plain_reads_of_the_orm_share),
      POOL_TEST(a_statement_without_a_known_time_shares_with_nobody),
      POOL_TEST(without_the_pipeline_nothing_is_shared),
      POOL_TEST(nothing_joins_behind_what_runs_too_long),
      POOL_TEST(one_that_fails_fails_alone),
      POOL_TEST(one_that_spoils_the_connection_ends_the_sharing),
      POOL_TEST(a_lost_connection_is_told_to_all_who_share_it),
      POOL_TEST(one_that_is_cancelled_leaves_and_the_others_stay),
      POOL_TEST(nobody_overtakes_who_waits_for_a_connection_of_his_own),
      POOL_TEST(closing_waits_for_those_who_share),
      POOL_TEST(closing_at_once_cancels_those_who_share),
  };
  return cmocka_run_group_tests_name("connections that are shared", tests, NULL, NULL);
}
