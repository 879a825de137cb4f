/* sqlite_pool_test.c - SQLite below real pools and leases: one writer for a file, any number of readers. */
#include "rig.h"

#include <unistd.h>

#define LIMITS (&(mp_pool_limits){.max = 4, .timeout_ns = 60000 * MS})
#define ENDLESS "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n) SELECT "

static char directory[64], path[96];

static int set_up(void **state)
{
  strcpy(directory, "/tmp/sqlite_test_XXXXXX");
  assert_non_null(mkdtemp(directory));
  snprintf(path, sizeof path, "%s/test.db", directory);
  return rig_setup(state);
}

static int tear_down(void **state)
{
  static const char *const ends[] = {"", "-wal", "-shm"};
  int code = rig_teardown(state);
  for (int i = 0; i < 3; i++) {
    char file[128];
    snprintf(file, sizeof file, "%s%s", path, ends[i]);
    unlink(file);
  }
  return rmdir(directory) | code;
}

static mp_pool *open_pool(const char *database, bool inline_reads)
{
  mp_pool *pool = NULL;
  mp_error err = MP_ERROR_NONE;
  mp_config *config = config_for("sqlite", database);
  config->connect_timeout_ms = 30000;
  config->statement_cache = 50;
  config->inline_reads = inline_reads;
  assert_int_equal(mp_pool_new(&pool, loop, config, LIMITS, &err), MP_OK);
  return pool;
}

static void expect_ok(const ask *a)
{
  if (a->req->error.kind != MP_OK)
    fail_msg("%s: %s: %s", a->req->sql, mp_status_name(a->req->error.kind), a->req->error.message);
}

static void exec(mp_pool *pool, const char *sql)
{
  ask a;
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, sql));
  run_until(&a.done_n, 1);
  expect_ok(&a);
  ask_free(&a);
}

static int64_t number(mp_pool *pool, const char *sql)
{
  ask a;
  mp_value value;
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, sql));
  run_until(&a.done_n, 1);
  expect_ok(&a);
  a.req->result->ops->cell(a.req->result, 0, 0, &value);
  ask_free(&a);
  return value.i;
}

static void writes_of_two_pools_on_one_file_never_meet(void **state)
{
  mp_pool *pools[2] = {open_pool(path, true), open_pool(path, false)};
  static ask asks[400];
  (void)state;
  exec(pools[0], "CREATE TABLE t (a)");
  answered_n = 0;
  for (int i = 0; i < 400; i++)
    mp_pool_submit(pools[i % 2],
                   ask_for(&asks[i], MP_OP_QUERY,
                           i % 3 ? "SELECT count(*) FROM t" : "INSERT INTO t VALUES (1)"));
  run_until(&answered_n, 400);
  for (int i = 0; i < 400; i++) {
    expect_ok(&asks[i]);
    ask_free(&asks[i]);
  }
  assert_int_equal(number(pools[1], "SELECT count(*) FROM t"), 134);
  close_pool(pools[0]);
  close_pool(pools[1]);
}

/* ---- blocks: begin, read, write what was read plus one, commit ---- */

typedef struct block {
  mp_lease lease;
  ask step;
  int stage;
} block;

static int blocks_done;

static void go_on(ask *a)
{
  block *b = a->owner;
  static const mp_txop ops[] = {MP_TXO_BEGIN, MP_TXO_BEGIN, MP_TXO_BEGIN, MP_TXO_COMMIT};
  if (b->stage > 0) {
    expect_ok(a);
    ask_free(a);
  }
  if (b->stage == 4) {
    mp_lease_release(&b->lease);
    blocks_done++;
    return;
  }
  mp_request *req;
  if (b->stage == 0 || b->stage == 3)
    req = ask_tx(a, ops[b->stage], NULL);
  else
    req = ask_for(a, MP_OP_QUERY,
                  b->stage == 1 ? "SELECT n FROM counter" : "UPDATE counter SET n = n + 1");
  a->then = go_on;
  a->owner = b;
  b->stage++;
  mp_lease_submit(&b->lease, req);
}

static void block_ready(mp_lease *lease)
{
  block *b = lease->owner;
  assert_int_equal(lease->hold.state, MP_HOLD_HELD);
  b->step.owner = b;
  go_on(&b->step);
}

static void transactions_wait_for_each_other_and_lose_no_update(void **state)
{
  mp_pool *pools[2] = {open_pool(path, true), open_pool(path, true)};
  static block blocks[60];
  (void)state;
  exec(pools[0], "CREATE TABLE counter (n)");
  exec(pools[0], "INSERT INTO counter VALUES (0)");
  blocks_done = 0;
  memset(blocks, 0, sizeof blocks);
  for (int i = 0; i < 60; i++) {
    mp_lease_init(&blocks[i].lease, MP_ACCESS_WRITE);
    blocks[i].lease.on_ready = block_ready;
    blocks[i].lease.owner = &blocks[i];
    mp_lease_acquire(&blocks[i].lease, pools[i % 2]);
  }
  run_until(&blocks_done, 60);
  assert_int_equal(number(pools[0], "SELECT n FROM counter"), 60);
  close_pool(pools[0]);
  close_pool(pools[1]);
}

static void memory_is_one_connection_for_readers_and_writers(void **state)
{
  mp_pool *pool = open_pool(":memory:", true);
  static ask asks[100];
  (void)state;
  exec(pool, "CREATE TABLE t (a)");
  answered_n = 0;
  for (int i = 0; i < 100; i++)
    mp_pool_submit(pool, ask_for(&asks[i], MP_OP_QUERY,
                                 i % 2 ? "SELECT count(*) FROM t" : "INSERT INTO t VALUES (1)"));
  run_until(&answered_n, 100);
  for (int i = 0; i < 100; i++) {
    expect_ok(&asks[i]);
    ask_free(&asks[i]);
  }
  assert_int_equal(number(pool, "SELECT count(*) FROM t"), 50);
  assert_int_equal(stats_of(pool).size, 1);
  close_pool(pool);
}

static void a_stopped_statement_leaves_its_connection_usable(void **state)
{
  mp_pool *pool = open_pool(path, true);
  ask slow;
  (void)state;
  exec(pool, "CREATE TABLE t (a)");
  mp_pool_submit(pool, ask_for(&slow, MP_OP_QUERY, ENDLESS "count(*) FROM n"));
  while (slow.req->state != MP_REQ_ACTIVE)
    mp_loop_step(loop, 20);
  mp_pool_cancel(pool, slow.req, MP_E_CANCELLED);
  run_until(&slow.done_n, 1);
  assert_int_equal(slow.req->error.kind, MP_E_CANCELLED);
  ask_free(&slow);
  for (int i = 0; i < 8; i++)
    exec(pool, "SELECT 1");
  close_pool(pool);
}

static void a_slow_statement_has_its_limit(void **state)
{
  mp_pool *pool = open_pool(path, true);
  ask slow;
  (void)state;
  mp_request *req = ask_for(&slow, MP_OP_QUERY, ENDLESS "count(*) FROM n");
  req->timeout_ns = 20 * MS;
  mp_pool_submit(pool, req);
  run_until(&slow.done_n, 1);
  assert_int_equal(slow.req->error.kind, MP_E_TIMEOUT);
  assert_string_equal(slow.req->error.message, "the statement ran longer than its limit of 0.02 s");
  ask_free(&slow);
  close_pool(pool);
}

static void a_pool_closes_with_everything_in_flight(void **state)
{
  mp_pool *pool = open_pool(path, true);
  static ask asks[20];
  (void)state;
  exec(pool, "CREATE TABLE t (a)");
  for (int i = 0; i < 20; i++)
    mp_pool_submit(pool, ask_for(&asks[i], MP_OP_QUERY,
                                 i % 2 ? ENDLESS "count(*) FROM n" : "INSERT INTO t VALUES (1)"));
  turn(3);
  close_pool(pool);
  for (int i = 0; i < 20; i++)
    ask_free(&asks[i]);
}

static void what_cannot_be_opened_is_said_to_whoever_waits(void **state)
{
  char missing[200];
  ask a;
  (void)state;
  snprintf(missing, sizeof missing, "%s/missing/x.db", directory);
  mp_pool *pool = open_pool(missing, true);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "SELECT 1"));
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->error.kind, MP_E_CANT_OPEN);
  assert_non_null(strstr(a.req->error.message, "there is no directory"));
  ask_free(&a);
  close_pool(pool);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
  const struct CMUnitTest tests[] = {
      test(writes_of_two_pools_on_one_file_never_meet),
      test(transactions_wait_for_each_other_and_lose_no_update),
      test(memory_is_one_connection_for_readers_and_writers),
      test(a_stopped_statement_leaves_its_connection_usable),
      test(a_slow_statement_has_its_limit),
      test(a_pool_closes_with_everything_in_flight),
      test(what_cannot_be_opened_is_said_to_whoever_waits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
