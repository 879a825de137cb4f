/* mariadb_stop_test.c - streams on MariaDB, and what is stopped, closed or killed while it runs. */
#include "mariadb_pool.h"

static void a_stream_comes_in_chunks(void **state)
{
  ask a;
  (void)state;
  open_pool(1);
  ask_for(&a, MP_OP_STREAM, "SELECT seq, repeat('x', 300) FROM seq_1_to_50000");
  a.req->chunk_rows = 1000;
  a.req->on_chunk = chunk_more;
  mp_pool_submit(pool, a.req);
  wait_for(&a);
  fine(a.req);
  assert_int_equal(a.row_n, 50000);
  assert_int_equal(a.chunk_n, 50);
  ask_free(&a);
  close_pool(pool);
}

static void a_stream_that_is_left_early_frees_its_connection(void **state)
{
  ask a;
  (void)state;
  open_pool(1);
  for (int i = 0; i < 3; i++) {
    ask_for(&a, MP_OP_STREAM, "SELECT seq FROM seq_1_to_1000000000");
    mp_pool_submit(pool, a.req);
    run_until(&a.chunk_n, 1);
    turn(20);
    assert_int_equal(a.chunk_n, 1); /* it stands */
    mp_pool_cancel(pool, a.req, MP_E_CANCELLED);
    wait_for(&a);
    fails(a.req, MP_E_CANCELLED);
    ask_free(&a);
    assert_int_equal(number("SELECT 5"), 5);
  }
  assert_int_equal(stats_of(pool).size, 1);
  close_pool(pool);
}

static int64_t running(mp_pool *other, const char *mark)
{
  char sql[200];
  mp_pool *mine = pool;
  int64_t n;
  snprintf(sql, sizeof sql,
           "SELECT count(*) FROM information_schema.processlist WHERE info LIKE '%%%s%%' AND id <> "
           "connection_id()",
           mark);
  pool = other;
  n = number(sql);
  pool = mine;
  return n;
}

/* A minute is for ever. */
static void run_until_running(mp_pool *other, const char *mark, int64_t n)
{
  uint64_t end = uv_hrtime() + 60000 * MS;
  while (running(other, mark) != n)
    assert_true(uv_hrtime() < end);
}

static void stop(mp_pool *other, const char *sql, mp_status why)
{
  ask a;
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, sql));
  run_until_running(other, sql, 1);
  mp_pool_cancel(pool, a.req, why);
  wait_for(&a);
  fails(a.req, why);
  ask_free(&a);
  assert_int_equal(number("SELECT 5"), 5);
}

static void a_statement_is_stopped_on_the_server(void **state)
{
  mp_pool *other;
  (void)state;
  open_pool(1);
  other = pool;
  open_pool(1);
  stop(other, LONG_READ " /* stopped */", MP_E_CANCELLED);
  stop(other, "SELECT sleep(100)", MP_E_TIMEOUT); /* which does not fail when it is killed */
  stop(other, "DO sleep(100)", MP_E_CANCELLED);
  assert_int_equal(stats_of(pool).size, 1);
  assert_int_equal(stats_of(pool).control, 1);
  close_pool(pool);
  close_pool(other);
}

static void who_is_closed_while_busy_leaves_nothing_running(void **state)
{
  mp_pool *other;
  ask a;
  (void)state;
  open_pool(1);
  other = pool;
  open_pool(1);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, LONG_READ " /* abandoned */"));
  run_until_running(other, "/* abandoned */", 1);
  close_pool(pool);
  assert_int_equal(a.done_n, 1);
  assert_int_not_equal(a.req->error.kind, MP_OK);
  ask_free(&a);
  run_until_running(other, "/* abandoned */", 0);
  close_pool(other);
}

static void a_connection_that_is_killed_is_noticed_at_once(void **state)
{
  mp_pool *other;
  char sql[64];
  uint64_t end = uv_hrtime() + 60000 * MS;
  (void)state;
  open_pool(1);
  other = pool;
  open_pool(1);
  snprintf(sql, sizeof sql, "KILL %lld", (long long)number("SELECT connection_id()"));
  {
    mp_pool *mine = pool;
    pool = other;
    does(sql);
    pool = mine;
  }
  while (stats_of(pool).size > 0) {
    mp_loop_step(loop, 10);
    assert_true(uv_hrtime() < end);
  }
  assert_int_equal(number("SELECT 5"), 5);
  close_pool(pool);
  close_pool(other);
}

static void what_runs_on_a_killed_connection_is_lost(void **state)
{
  mp_pool *other;
  char sql[64];
  ask a;
  (void)state;
  open_pool(1);
  other = pool;
  open_pool(1);
  snprintf(sql, sizeof sql, "KILL %lld", (long long)number("SELECT connection_id()"));
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, LONG_READ " /* lost */"));
  run_until_running(other, "/* lost */", 1);
  {
    mp_pool *mine = pool;
    pool = other;
    does(sql);
    pool = mine;
  }
  wait_for(&a);
  fails(a.req, MP_E_CONNECTION_LOST);
  assert_true(a.req->error.sent);
  ask_free(&a);
  assert_int_equal(number("SELECT 5"), 5);
  close_pool(pool);
  close_pool(other);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      RIG_TEST(a_stream_comes_in_chunks),
      RIG_TEST(a_stream_that_is_left_early_frees_its_connection),
      RIG_TEST(a_statement_is_stopped_on_the_server),
      RIG_TEST(who_is_closed_while_busy_leaves_nothing_running),
      RIG_TEST(a_connection_that_is_killed_is_noticed_at_once),
      RIG_TEST(what_runs_on_a_killed_connection_is_lost),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
