/* sqlite_lock_test.c - a file that another program has locked, and stopping what runs or waits. */
#include "sqlite_fixture.h"

static sqlite3 *other_program(const fixture *f)
{
  sqlite3 *db;
  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  return db;
}

static void tell(sqlite3 *db, const char *sql)
{
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* ---- locks of other programs ---- */

static void a_locked_file_is_waited_for(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (a)");
  sqlite3 *db = other_program(f);
  tell(db, "BEGIN IMMEDIATE; INSERT INTO t VALUES (0)");
  mp_request *req = request_new(f, MP_OP_QUERY, "INSERT INTO t VALUES (1)", NULL, 0, 1);
  mp_request *next = request_new(f, MP_OP_QUERY, "SELECT count(*) FROM t", NULL, 0, 1);
  submit(f, req);
  submit(f, next);
  uint64_t until = clock_ns() + 50000000;
  while (clock_ns() < until) {
    pump(f);
    assert_int_equal(req->state, MP_REQ_ACTIVE);
    assert_int_equal(next->state, MP_REQ_ACTIVE); /* nothing overtakes it */
  }
  tell(db, "COMMIT");
  expect(wait_for(f, req), MP_OK);
  wait_for(f, next);
  assert_whole(cell_of(next, 0, 0), 2);
  mp_request_free(req);
  mp_request_free(next);
  sqlite3_close(db);
}

static void a_file_that_stays_locked_is_busy_at_the_deadline(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (a)");
  sqlite3 *db = other_program(f);
  tell(db, "BEGIN IMMEDIATE");
  static const mp_op ops[] = {MP_OP_QUERY, MP_OP_TX, MP_OP_MANY};
  mp_value rows[2] = {int_value(1), int_value(2)};
  for (int i = 0; i < 3; i++) {
    mp_request *req =
        request_new(f, ops[i], i == 1 ? "BEGIN IMMEDIATE" : "INSERT INTO t VALUES (?)", rows,
                    i == 1 ? 0 : 1, i == 2 ? 2 : 1);
    req->deadline_ns = clock_ns() + 30000000;
    submit(f, req);
    expect(wait_for(f, req), MP_E_BUSY);
    assert_true(clock_ns() >= req->deadline_ns);
    assert_int_equal(req->error.retryable, MP_RETRY_TRANSACTION);
    assert_false(req->error.sent);
    assert_non_null(strstr(req->error.message, "locked"));
    assert_int_equal(f->session->tx, MP_TX_IDLE);
    mp_request_free(req);
  }
  sqlite3_close(db);
}

static void waiting_for_a_lock_can_be_stopped(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (a)");
  sqlite3 *db = other_program(f);
  tell(db, "BEGIN IMMEDIATE");
  mp_request *req = request_new(f, MP_OP_QUERY, "INSERT INTO t VALUES (1)", NULL, 0, 1);
  submit(f, req);
  uint64_t until = clock_ns() + 20000000;
  while (clock_ns() < until)
    pump(f);
  stop(f, req, MP_E_TIMEOUT);
  expect(wait_for(f, req), MP_E_TIMEOUT);
  mp_request_free(req);
  sqlite3_close(db);
}

static void a_snapshot_that_is_too_old_to_write_is_a_serialization_failure(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (a)");
  sqlite3 *db = other_program(f);
  mp_request_free(transact(f, MP_TXO_BEGIN, "BEGIN", NULL));
  count(f, "SELECT count(*) FROM t");
  tell(db, "INSERT INTO t VALUES (1)");
  mp_request *req = run(f, "INSERT INTO t VALUES (2)");
  expect(req, MP_E_SERIALIZATION);
  assert_int_equal(req->error.code, SQLITE_BUSY_SNAPSHOT);
  assert_int_equal(req->error.retryable, MP_RETRY_TRANSACTION);
  mp_request_free(req);
  sqlite3_close(db);
}

static void opening_waits_for_a_locked_file_and_says_so_at_last(void **state)
{
  fixture *f = fixture_new(false);
  (void)state;
  sqlite3 *db = other_program(f);
  tell(db, "CREATE TABLE t (a); BEGIN EXCLUSIVE");
  f->config.connect_timeout_ms = 50;
  fixture_open(f);
  assert_int_equal(f->session->state, MP_SES_LOST);
  assert_int_equal(f->session->error.kind, MP_E_BUSY);
  assert_non_null(strstr(f->session->error.message, f->path));
  fixture_close(f);
  tell(db, "COMMIT");
  f->config.connect_timeout_ms = 20000;
  fixture_open(f);
  assert_int_equal(f->session->state, MP_SES_READY);
  sqlite3_close(db);
  fixture_free(f);
}

/* ---- stopping ---- */

/* A statement that writes is certainly running once it has the lock. */
static void wait_until_locked(fixture *f, sqlite3 *db)
{
  do {
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    pump(f);
  } while (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_BUSY);
}

static void a_running_statement_can_be_stopped(void **state)
{
  fixture *f = *state;
  static const char *const sqls[] = {
      "INSERT INTO t " ENDLESS "count(*) FROM n", "INSERT INTO t " ENDLESS "i FROM n RETURNING a",
      "INSERT INTO t " ENDLESS "length(hex(randomblob(1000000))) FROM n", /* few steps, each slow */
  };
  exec(f, "CREATE TABLE t (a)");
  sqlite3 *db = other_program(f);
  for (int i = 0; i < 3; i++) {
    mp_status why = i == 1 ? MP_E_TIMEOUT : MP_E_CANCELLED;
    mp_request *req = request_new(f, MP_OP_QUERY, sqls[i], NULL, 0, 1);
    submit(f, req);
    wait_until_locked(f, db);
    assert_false(f->session->backend->settled(f->session));
    stop(f, req, why);
    stop(f, req, why);
    expect(wait_for(f, req), why);
    assert_true(req->error.sent);
    assert_true(f->session->backend->settled(f->session));
    mp_request_free(req);
    assert_int_equal(count(f, "SELECT count(*) FROM t"), 0); /* undone, and nothing else is hit */
  }
  sqlite3_close(db);
}

static void a_queued_request_ends_without_running(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (a)");
  mp_request *slow = request_new(f, MP_OP_QUERY, ENDLESS "count(*) FROM n", NULL, 0, 1);
  mp_request *queued = request_new(f, MP_OP_QUERY, "INSERT INTO t VALUES (1)", NULL, 0, 1);
  submit(f, slow);
  submit(f, queued);
  pump(f);
  stop(f, queued, MP_E_CANCELLED);
  expect(wait_for(f, queued), MP_E_CANCELLED);
  assert_false(queued->error.sent);
  assert_int_equal(slow->state, MP_REQ_ACTIVE);
  stop(f, slow, MP_E_CANCELLED);
  expect(wait_for(f, slow), MP_E_CANCELLED);
  mp_request_free(slow);
  mp_request_free(queued);
  assert_int_equal(count(f, "SELECT count(*) FROM t"), 0);
}

static void a_stop_at_any_moment_hits_only_its_own_request(void **state)
{
  fixture *f = *state;
  int stopped = 0;
  for (int i = 0; i < 400; i++) {
    mp_request *req =
        request_new(f, MP_OP_QUERY,
                    "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n "
                    "WHERE i < 400) SELECT sum(i) FROM n",
                    NULL, 0, 1);
    mp_request *next = request_new(f, MP_OP_QUERY, "SELECT 5", NULL, 0, 1);
    submit(f, req);
    submit(f, next);
    pump(f);
    for (volatile int spin = 0; spin < i * 100; spin++)
      ;
    stop(f, req, MP_E_CANCELLED);
    wait_for(f, next);
    assert_int_equal(req->state, MP_REQ_DONE);
    stopped += req->error.kind == MP_E_CANCELLED;
    if (req->error.kind == MP_OK)
      assert_whole(cell_of(req, 0, 0), 80200);
    expect(next, MP_OK);
    assert_whole(cell_of(next, 0, 0), 5);
    mp_request_free(req);
    mp_request_free(next);
  }
  print_message("%d of 400 stopped in time\n", stopped);
}

#define on_memory(test) cmocka_unit_test_setup_teardown(test, open_memory, close_all)
#define on_file(test) cmocka_unit_test_setup_teardown(test, open_file, close_all)

int main(void)
{
  const struct CMUnitTest tests[] = {
      on_file(a_locked_file_is_waited_for),
      on_file(a_file_that_stays_locked_is_busy_at_the_deadline),
      on_file(waiting_for_a_lock_can_be_stopped),
      on_file(a_snapshot_that_is_too_old_to_write_is_a_serialization_failure),
      cmocka_unit_test(opening_waits_for_a_locked_file_and_says_so_at_last),
      on_file(a_running_statement_can_be_stopped),
      on_memory(a_queued_request_ends_without_running),
      on_memory(a_stop_at_any_moment_hits_only_its_own_request),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
