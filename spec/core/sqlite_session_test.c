/* sqlite_session_test.c - the life of requests in a session: order, transactions, locks, stopping, streams, closing. */
#include "sqlite_fixture.h"

#define ENDLESS "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n) SELECT "

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

static void expect(mp_request *req, mp_status kind)
{
  if (req->error.kind != kind)
    print_error("%s: %s (%s)\n", req->sql, mp_status_name(req->error.kind),
                req->error.message != NULL ? req->error.message : "");
  assert_int_equal(req->error.kind, kind);
}

static int64_t count(fixture *f, const char *sql)
{
  mp_request *req = run(f, sql);
  expect(req, MP_OK);
  int64_t n = cell_of(req, 0, 0).i;
  mp_request_free(req);
  return n;
}

/* ---- order ---- */

static int order[64], order_n;

static void note_order(mp_request *req)
{
  order[order_n++] = (int)(intptr_t)req->holder;
  fixture_done(req);
}

static void requests_run_first_in_first_out(void **state)
{
  fixture *f = *state;
  mp_request *reqs[50];
  exec(f, "CREATE TABLE log (n INTEGER PRIMARY KEY, v)");
  order_n = 0;
  for (int i = 0; i < 50; i++) {
    mp_value v = int_value(i);
    reqs[i] = request_new(f, MP_OP_QUERY,
                          i % 2 ? "INSERT INTO log (v) VALUES (?)"
                                : "INSERT INTO log (v) SELECT ? FROM (SELECT max(v) FROM log)",
                          &v, 1, 1);
    reqs[i]->holder = (void *)(intptr_t)i;
    reqs[i]->on_done = note_order;
    submit(f, reqs[i]);
  }
  wait_for(f, reqs[49]);
  for (int i = 0; i < 50; i++) {
    assert_int_equal(reqs[i]->state, MP_REQ_DONE);
    assert_int_equal(order[i], i);
    mp_request_free(reqs[i]);
  }
  assert_int_equal(count(f, "SELECT count(*) FROM log WHERE v = n - 1"), 50);
}

/* ---- writers, transactions ---- */

static void a_write_without_the_writer_is_sent_back_unexecuted(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (a)");
  static const char *const writes[] = {
      "INSERT INTO t VALUES (1)", "CREATE TABLE u (a)", "INSERT INTO t VALUES (1) RETURNING a",
      "PRAGMA user_version = 7",  "VACUUM",
      "WITH x AS (SELECT 1) DELETE FROM t"};
  for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
    mp_request *req = request_new(f, MP_OP_QUERY, writes[i], NULL, 0, 1);
    req->access = i % 2 ? MP_ACCESS_READ : MP_ACCESS_UNKNOWN;
    submit(f, req);
    wait_for(f, req);
    assert_true(req->needs_writer);
    assert_false(req->error.sent);
    mp_request_free(req);
  }
  static const char *const reads[] = {"SELECT * FROM t", "PRAGMA table_info(t)",
                                      "EXPLAIN INSERT INTO t VALUES (1)"};
  for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
    mp_request *req = request_new(f, MP_OP_QUERY, reads[i], NULL, 0, 1);
    req->access = MP_ACCESS_UNKNOWN;
    submit(f, req);
    wait_for(f, req);
    expect(req, MP_OK);
    assert_false(req->needs_writer);
    mp_request_free(req);
  }
  assert_int_equal(count(f, "SELECT count(*) FROM t"), 0);
}

static void inside_a_transaction_writes_need_no_asking(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (a)");
  begin(f);
  assert_int_equal(f->session->backend->txstatus(f->session), MP_TX_OPEN);
  mp_request *req = request_new(f, MP_OP_QUERY, "INSERT INTO t VALUES (1)", NULL, 0, 1);
  req->access = MP_ACCESS_UNKNOWN;
  submit(f, req);
  expect(wait_for(f, req), MP_OK);
  mp_request_free(req);
  mp_request_free(transact(f, MP_TXO_ROLLBACK, "ROLLBACK", NULL));
  assert_int_equal(f->session->backend->txstatus(f->session), MP_TX_IDLE);
  assert_int_equal(count(f, "SELECT count(*) FROM t"), 0);
}

static void a_read_only_block_refuses_to_write(void **state)
{
  fixture *f = *state;
  const mp_txoptions options = {.read_only = true};
  char sql[MP_TX_SQL_MAX];
  mp_error err;
  exec(f, "CREATE TABLE t (a)");
  assert_true(mp_backend_sqlite.begin_sql(&f->config, &options, true, sql, &err));
  assert_string_equal(sql, "BEGIN");
  mp_request_free(transact(f, MP_TXO_BEGIN, sql, &options));
  mp_request *req = run(f, "INSERT INTO t VALUES (1)");
  expect(req, MP_E_READ_ONLY);
  assert_false(req->error.sent);
  mp_request_free(req);
  assert_int_equal(count(f, "SELECT count(*) FROM t"), 0);
  mp_request_free(transact(f, MP_TXO_COMMIT, "COMMIT", NULL));
  exec(f, "INSERT INTO t VALUES (1)"); /* the block is over */
}

static void every_isolation_is_met_but_deferrable_is_not(void **state)
{
  char sql[MP_TX_SQL_MAX];
  mp_error err;
  (void)state;
  for (mp_isolation i = MP_ISOLATION_DEFAULT; i <= MP_SERIALIZABLE; i++) {
    const mp_txoptions options = {.isolation = i};
    assert_true(mp_backend_sqlite.begin_sql(NULL, &options, true, sql, &err));
    assert_string_equal(sql, "BEGIN IMMEDIATE");
  }
  const mp_txoptions deferrable = {.deferrable = true};
  assert_false(mp_backend_sqlite.begin_sql(NULL, &deferrable, false, sql, &err));
  assert_int_equal(err.kind, MP_E_UNSUPPORTED);
}

static void a_foreign_key_that_fails_at_commit_leaves_the_transaction_open(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE a (id INTEGER PRIMARY KEY)");
  exec(f, "CREATE TABLE b (a_id REFERENCES a DEFERRABLE INITIALLY DEFERRED)");
  begin(f);
  exec(f, "INSERT INTO b VALUES (1)");
  mp_request *req = transact(f, MP_TXO_COMMIT, "COMMIT", NULL);
  expect(req, MP_E_FOREIGN_KEY);
  assert_int_equal(f->session->backend->txstatus(f->session), MP_TX_OPEN);
  mp_request_free(req);
  mp_request_free(transact(f, MP_TXO_ROLLBACK, "ROLLBACK", NULL));
  assert_int_equal(f->session->backend->txstatus(f->session), MP_TX_IDLE);
}

static void many_rows_are_written_all_or_none(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (a UNIQUE)");
  mp_value rows[1000];
  for (int i = 0; i < 1000; i++)
    rows[i] = int_value(i);
  mp_request *req = request_new(f, MP_OP_MANY, "INSERT INTO t VALUES (?)", rows, 1, 1000);
  submit(f, req);
  expect(wait_for(f, req), MP_OK);
  assert_int_equal(req->affected, 1000);
  mp_request_free(req);
  exec(f, "DELETE FROM t WHERE a <> 999");
  req = request_new(f, MP_OP_MANY, "INSERT INTO t VALUES (?)", rows, 1, 1000);
  submit(f, req);
  expect(wait_for(f, req), MP_E_UNIQUE);
  assert_int_equal(f->session->backend->txstatus(f->session), MP_TX_IDLE);
  mp_request_free(req);
  assert_int_equal(count(f, "SELECT count(*) FROM t"), 1);
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
    mp_request *req = request_new(f, ops[i], i == 1 ? "BEGIN IMMEDIATE" : "INSERT INTO t VALUES (?)",
                                  rows, i == 1 ? 0 : 1, i == 2 ? 2 : 1);
    req->deadline_ns = clock_ns() + 30000000;
    submit(f, req);
    expect(wait_for(f, req), MP_E_BUSY);
    assert_true(clock_ns() >= req->deadline_ns);
    assert_int_equal(req->error.retryable, MP_RETRY_TRANSACTION);
    assert_false(req->error.sent);
    assert_non_null(strstr(req->error.message, "locked"));
    assert_int_equal(f->session->backend->txstatus(f->session), MP_TX_IDLE);
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
  fixture_open(f);
  assert_int_equal(f->session->state, MP_SES_READY);
  sqlite3_close(db);
  fixture_free(f);
}

/* ---- stopping ---- */

static void a_running_statement_can_be_stopped(void **state)
{
  fixture *f = *state;
  static const char *const sqls[] = {
      ENDLESS "count(*) FROM n",
      ENDLESS "i FROM n",
      ENDLESS "length(hex(randomblob(1000000))) FROM n", /* few steps, each slow */
  };
  for (int i = 0; i < 3; i++) {
    mp_request *req = request_new(f, MP_OP_QUERY, sqls[i], NULL, 0, 1);
    submit(f, req);
    uint64_t until = clock_ns() + 5000000;
    while (clock_ns() < until)
      pump(f);
    assert_false(f->session->backend->settled(f->session));
    stop(f, req, i == 1 ? MP_E_TIMEOUT : MP_E_CANCELLED);
    stop(f, req, i == 1 ? MP_E_TIMEOUT : MP_E_CANCELLED);
    expect(wait_for(f, req), i == 1 ? MP_E_TIMEOUT : MP_E_CANCELLED);
    assert_true(req->error.sent);
    assert_true(f->session->backend->settled(f->session));
    mp_request_free(req);
    assert_int_equal(count(f, "SELECT 7"), 7); /* the stop hits nothing else */
  }
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
    mp_request *req = request_new(f, MP_OP_QUERY,
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

/* ---- streams ---- */

static mp_request *open_stream(fixture *f, const char *sql, size_t chunk_rows)
{
  mp_request *req = request_new(f, MP_OP_STREAM, sql, NULL, 0, 1);
  req->chunk_rows = chunk_rows;
  submit(f, req);
  return req;
}

static bool next_chunk(fixture *f, mp_request *req)
{
  int before = f->chunk_n;
  while (req->state != MP_REQ_DONE && f->chunk_n == before)
    turn(f);
  return req->state != MP_REQ_DONE;
}

static void a_stream_delivers_every_row_once_in_order(void **state)
{
  fixture *f = *state;
  static const size_t totals[] = {0, 1, 255, 256, 257, 10000};
  for (int i = 0; i < 6; i++) {
    char sql[200];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n) "
             "SELECT i FROM n LIMIT %zu",
             totals[i]);
    mp_request *req = open_stream(f, sql, 0);
    size_t seen = 0;
    while (next_chunk(f, req)) {
      assert_true(req->result->row_n > 0 && req->result->row_n <= 256);
      for (size_t row = 0; row < req->result->row_n; row++)
        assert_whole(cell_of(req, row, 0), (int64_t)seen++);
      f->session->backend->more(f->session, req);
    }
    expect(req, MP_OK);
    assert_int_equal(seen, totals[i]);
    assert_true(f->session->backend->settled(f->session));
    mp_request_free(req);
  }
}

static void other_requests_run_between_the_chunks(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (a)");
  mp_request *one = open_stream(f, ENDLESS "i FROM n LIMIT 100", 10);
  mp_request *two = open_stream(f, ENDLESS "i * 2 FROM n LIMIT 100", 10);
  next_chunk(f, one);
  while (two->result == NULL)
    turn(f);
  exec(f, "INSERT INTO t VALUES (1)");
  for (int i = 0; i < 9; i++) {
    assert_whole(cell_of(one, 0, 0), i * 10);
    assert_whole(cell_of(two, 0, 0), i * 20);
    mp_result_free(mp_request_take_result(two));
    f->session->backend->more(f->session, one);
    next_chunk(f, one);
    assert_int_equal(count(f, "SELECT count(*) FROM t"), 1);
    f->session->backend->more(f->session, two);
    next_chunk(f, two);
  }
  assert_false(f->session->backend->settled(f->session));
  /* one is stopped while it stands, the other goes on to its end */
  stop(f, one, MP_E_CANCELLED);
  expect(wait_for(f, one), MP_E_CANCELLED);
  f->session->backend->more(f->session, two);
  wait_for(f, two);
  expect(two, MP_OK);
  mp_request_free(one);
  mp_request_free(two);
  assert_true(f->session->backend->settled(f->session));
}

static void stopping_a_statement_spares_the_streams_that_stand(void **state)
{
  fixture *f = *state;
  mp_request *stream = open_stream(f, ENDLESS "i FROM n LIMIT 1000", 100);
  next_chunk(f, stream);
  mp_request *slow = request_new(f, MP_OP_QUERY, ENDLESS "count(*) FROM n", NULL, 0, 1);
  submit(f, slow);
  uint64_t until = clock_ns() + 5000000;
  while (clock_ns() < until)
    pump(f);
  stop(f, slow, MP_E_CANCELLED);
  expect(wait_for(f, slow), MP_E_CANCELLED);
  mp_request_free(slow);
  size_t seen = stream->result->row_n;
  f->session->backend->more(f->session, stream);
  while (next_chunk(f, stream)) {
    seen += stream->result->row_n;
    f->session->backend->more(f->session, stream);
  }
  expect(stream, MP_OK);
  assert_int_equal(seen, 1000);
  mp_request_free(stream);
}

static void a_stream_that_writes_may_be_committed_while_it_stands(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (a)");
  begin(f);
  mp_request *req = open_stream(f, ENDLESS "i FROM n LIMIT 0", 10);
  wait_for(f, req);
  mp_request_free(req);
  req = open_stream(f, "INSERT INTO t SELECT value FROM json_each('[1,2,3,4,5]') RETURNING a", 2);
  next_chunk(f, req);
  assert_int_equal(req->result->row_n, 2);
  mp_request *commit = transact(f, MP_TXO_COMMIT, "COMMIT", NULL);
  expect(commit, MP_OK);
  mp_request_free(commit);
  size_t seen = 2;
  f->session->backend->more(f->session, req);
  while (next_chunk(f, req)) {
    seen += req->result->row_n;
    f->session->backend->more(f->session, req);
  }
  assert_int_equal(seen, 5);
  assert_int_equal(req->affected, 5);
  mp_request_free(req);
  assert_int_equal(count(f, "SELECT count(*) FROM t"), 5);
}

static void a_large_row_makes_its_chunk_short(void **state)
{
  fixture *f = *state;
  mp_request *req = open_stream(f, ENDLESS "zeroblob(100000) FROM n LIMIT 3", 100);
  int chunks = 0;
  while (next_chunk(f, req)) {
    assert_int_equal(req->result->row_n, 1);
    chunks++;
    f->session->backend->more(f->session, req);
  }
  assert_int_equal(chunks, 3);
  mp_request_free(req);
}

/* ---- inline reads ---- */

static mp_request *run_in_one_step(fixture *f, const char *sql, mp_value param)
{
  mp_request *req = request_new(f, MP_OP_QUERY, sql, &param, 1, 1);
  submit(f, req);
  pump(f);
  return req;
}

static void a_read_known_to_be_small_is_answered_in_the_same_step(void **state)
{
  fixture *f = *state;
  static const char sql[] = "SELECT v FROM t WHERE id = ?";
  f->config.inline_reads = true;
  exec(f, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  exec(f, "INSERT INTO t SELECT value, value * 2 FROM json_each('[1,2,3,4,5,6,7,8,9,10]')");
  mp_request *req = run_in_one_step(f, sql, int_value(1));
  assert_int_equal(req->state, MP_REQ_ACTIVE); /* nothing is known of it yet */
  wait_for(f, req);
  mp_request_free(req);
  for (int i = 1; i <= 10; i++) {
    req = run_in_one_step(f, sql, int_value(i));
    assert_int_equal(req->state, MP_REQ_DONE);
    assert_whole(cell_of(req, 0, 0), i * 2);
    mp_request_free(req);
  }
  req = run_in_one_step(f, "UPDATE t SET v = ?", int_value(1)); /* a write never */
  wait_for(f, req);
  mp_request_free(req);
  req = run_in_one_step(f, "UPDATE t SET v = ?", int_value(2));
  assert_int_equal(req->state, MP_REQ_ACTIVE);
  wait_for(f, req);
  mp_request_free(req);
  f->config.inline_reads = false;
  req = run_in_one_step(f, sql, int_value(1));
  assert_int_equal(req->state, MP_REQ_ACTIVE);
  wait_for(f, req);
  mp_request_free(req);
}

static void a_read_that_exceeds_its_budget_is_run_again_on_the_thread(void **state)
{
  fixture *f = *state;
  static const char sql[] = ENDLESS "i FROM n LIMIT ?";
  f->config.inline_reads = true;
  wait_for(f, f->last = run_in_one_step(f, sql, int_value(1)));
  mp_request_free(f->last);
  mp_request *req = run_in_one_step(f, sql, int_value(2));
  assert_int_equal(req->state, MP_REQ_DONE);
  mp_request_free(req);
  req = run_in_one_step(f, sql, int_value(100000));
  assert_int_equal(req->state, MP_REQ_ACTIVE);
  expect(wait_for(f, req), MP_OK);
  assert_int_equal(req->result->row_n, 100000);
  mp_request_free(req);
  req = run_in_one_step(f, sql, int_value(2)); /* not trusted for a while */
  assert_int_equal(req->state, MP_REQ_ACTIVE);
  wait_for(f, req);
  mp_request_free(req);
  for (int i = 0; i < 40; i++) {
    req = run_in_one_step(f, sql, int_value(2));
    wait_for(f, req);
    mp_request_free(req);
  }
  req = run_in_one_step(f, sql, int_value(2));
  assert_int_equal(req->state, MP_REQ_DONE);
  mp_request_free(req);
}

static void inline_reads_stay_behind_what_was_submitted_before(void **state)
{
  fixture *f = *state;
  f->config.inline_reads = true;
  exec(f, "CREATE TABLE t (a)");
  static const char sql[] = "SELECT count(*) FROM t WHERE a > ?";
  wait_for(f, f->last = run_in_one_step(f, sql, int_value(0)));
  mp_request_free(f->last);
  for (int i = 1; i <= 50; i++) {
    mp_value v = int_value(i), zero = int_value(0);
    mp_request *write = request_new(f, MP_OP_QUERY, "INSERT INTO t VALUES (?)", &v, 1, 1);
    mp_request *read = request_new(f, MP_OP_QUERY, sql, &zero, 1, 1);
    submit(f, write);
    submit(f, read);
    wait_for(f, read);
    assert_whole(cell_of(read, 0, 0), i);
    mp_request_free(write);
    mp_request_free(read);
  }
}

static void a_step_runs_only_so_many_reads_itself(void **state)
{
  fixture *f = *state;
  f->config.inline_reads = true;
  static const char sql[] = ENDLESS "i FROM n LIMIT ?";
  mp_request *reqs[60];
  mp_value n = int_value(30);
  wait_for(f, f->last = run_in_one_step(f, sql, n));
  mp_request_free(f->last);
  for (int i = 0; i < 60; i++) {
    reqs[i] = request_new(f, MP_OP_QUERY, sql, &n, 1, 1);
    submit(f, reqs[i]);
  }
  pump(f);
  assert_int_equal(reqs[0]->state, MP_REQ_DONE);
  assert_int_equal(reqs[59]->state, MP_REQ_ACTIVE);
  wait_for(f, reqs[59]);
  for (int i = 0; i < 60; i++) {
    assert_int_equal(reqs[i]->result->row_n, 30);
    mp_request_free(reqs[i]);
  }
}

/* ---- state of the session ---- */

static void a_changed_session_is_tainted_until_it_is_reset(void **state)
{
  fixture *f = *state;
  static const char *const changes[] = {"PRAGMA foreign_keys = OFF", "CREATE TEMP TABLE x (a)",
                                        "PRAGMA query_only = 1", "PRAGMA cache_size = 10"};
  for (int i = 0; i < 4; i++) {
    exec(f, "PRAGMA foreign_keys");
    assert_false(f->session->backend->tainted(f->session));
    exec(f, changes[i]);
    assert_true(f->session->backend->tainted(f->session));
    mp_request *req = request_new(f, MP_OP_RESET, "", NULL, 0, 0);
    submit(f, req);
    expect(wait_for(f, req), MP_OK);
    mp_request_free(req);
    assert_false(f->session->backend->tainted(f->session));
    assert_int_equal(count(f, "PRAGMA foreign_keys"), 1);
    assert_int_equal(count(f, "PRAGMA query_only"), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM sqlite_temp_schema"), 0);
  }
}

static void resetting_memory_keeps_what_is_in_it(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (a)");
  exec(f, "INSERT INTO t VALUES (1)");
  a_changed_session_is_tainted_until_it_is_reset(state);
  assert_int_equal(count(f, "SELECT count(*) FROM t"), 1);
}

static void the_file_is_opened_safely(void **state)
{
  fixture *f = *state;
  mp_request *req = run(f, "PRAGMA journal_mode");
  assert_text(cell_of(req, 0, 0), "wal");
  mp_request_free(req);
  assert_int_equal(count(f, "PRAGMA foreign_keys"), 1);
  assert_int_equal(count(f, "PRAGMA synchronous"), 1);
  assert_int_equal(count(f, "PRAGMA busy_timeout"), 0);
  assert_int_equal(count(f, "PRAGMA trusted_schema"), 0);
  req = run(f, "SELECT load_extension('x')");
  assert_true(req->error.kind != MP_OK);
  mp_request_free(req);
  req = run(f, "SELECT \"no_such_column\"");
  expect(req, MP_E_UNDEFINED_COLUMN);
  mp_request_free(req);
  req = run(f, "ATTACH '' AS other");
  expect(req, MP_E_SERVER_LIMIT);
  mp_request_free(req);
  exec(f, "VACUUM");
}

static void a_ping_is_answered(void **state)
{
  fixture *f = *state;
  mp_request *req = request_new(f, MP_OP_PING, "", NULL, 0, 0);
  submit(f, req);
  expect(wait_for(f, req), MP_OK);
  mp_request_free(req);
}

/* ---- closing ---- */

static void closing_ends_everything_in_flight(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (a)");
  mp_request *stream = open_stream(f, ENDLESS "i FROM n", 10);
  next_chunk(f, stream);
  mp_request *slow = request_new(f, MP_OP_QUERY, ENDLESS "count(*) FROM n", NULL, 0, 1);
  mp_request *queued = request_new(f, MP_OP_QUERY, "INSERT INTO t VALUES (1)", NULL, 0, 1);
  mp_request *waiting = request_new(f, MP_OP_QUERY, "INSERT INTO t VALUES (1)", NULL, 0, 1);
  submit(f, slow);
  submit(f, queued);
  pump(f);
  submit(f, waiting);
  f->session->backend->close(f->session);
  f->session->backend->close(f->session);
  fixture_close(f);
  mp_request *all[] = {stream, slow, queued, waiting};
  for (int i = 0; i < 4; i++) {
    assert_int_equal(all[i]->state, MP_REQ_DONE);
    expect(all[i], MP_E_CONNECTION_LOST);
    mp_request_free(all[i]);
  }
  fixture_open(f);
  assert_int_equal(count(f, "SELECT count(*) FROM t"), 0);
}

static void closing_rolls_back_and_never_hangs_at_any_moment(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (a)");
  for (int i = 0; i < 60; i++) {
    mp_request *reqs[3];
    begin(f);
    for (int j = 0; j < 3; j++) {
      reqs[j] = request_new(f, MP_OP_QUERY, "INSERT INTO t VALUES (1)", NULL, 0, 1);
      submit(f, reqs[j]);
    }
    pump(f);
    for (volatile int spin = 0; spin < i * 200; spin++)
      ;
    fixture_close(f);
    for (int j = 0; j < 3; j++) {
      assert_true(reqs[j]->error.kind == MP_OK || reqs[j]->error.kind == MP_E_CONNECTION_LOST);
      mp_request_free(reqs[j]);
    }
    fixture_open(f);
    assert_int_equal(count(f, "SELECT count(*) FROM t"), 0);
  }
}

static void a_session_may_be_closed_before_it_is_open(void **state)
{
  (void)state;
  for (int steps = 0; steps < 3; steps++) {
    fixture *f = fixture_new(false);
    assert_int_equal(mp_backend_sqlite.open(&f->session, &f->config, NULL, &f->waker), MP_OK);
    for (int i = 0; i < steps; i++)
      pump(f);
    fixture_close(f);
    fixture_free(f);
  }
}

/* ---- names ---- */

static void files_are_known_by_their_real_path(void **state)
{
  fixture *f = fixture_new(false);
  mp_arena *arena = f->config.arena;
  char roundabout[200];
  (void)state;
  const char *before = mp_backend_sqlite.identity(&f->config, arena);
  fixture_open(f);
  const char *after = mp_backend_sqlite.identity(&f->config, arena);
  assert_string_equal(before, after);
  snprintf(roundabout, sizeof roundabout, "%s/../%s/./test.db", f->directory, f->directory + 5);
  f->config.database = roundabout;
  assert_string_equal(mp_backend_sqlite.identity(&f->config, arena), after);
  assert_int_equal(mp_backend_sqlite.max_sessions(&f->config), 0);
  f->config.database = ":memory:";
  assert_null(mp_backend_sqlite.identity(&f->config, arena));
  assert_int_equal(mp_backend_sqlite.max_sessions(&f->config), 1);
  fixture_free(f);
}

static void unknown_options_are_refused(void **state)
{
  fixture *f = fixture_new(false);
  mp_error err;
  (void)state;
  f->config.options = &f->option;
  f->config.option_n = 1;
  f->option = (mp_option){"mode", "rw"};
  assert_int_equal(mp_backend_sqlite.check(&f->config, &err), MP_OK);
  f->option = (mp_option){"mode", "r"};
  assert_int_equal(mp_backend_sqlite.check(&f->config, &err), MP_E_CONFIGURATION);
  f->option = (mp_option){"mod", "rw"};
  assert_int_equal(mp_backend_sqlite.check(&f->config, &err), MP_E_UNKNOWN_OPTION);
  assert_non_null(strstr(err.message, "\"mod\""));
  fixture_free(f);
}

#define on_memory(test) cmocka_unit_test_setup_teardown(test, open_memory, close_all)
#define on_file(test) cmocka_unit_test_setup_teardown(test, open_file, close_all)

int main(void)
{
  const struct CMUnitTest tests[] = {
      on_file(requests_run_first_in_first_out),
      on_memory(a_write_without_the_writer_is_sent_back_unexecuted),
      on_memory(inside_a_transaction_writes_need_no_asking),
      on_memory(a_read_only_block_refuses_to_write),
      cmocka_unit_test(every_isolation_is_met_but_deferrable_is_not),
      on_memory(a_foreign_key_that_fails_at_commit_leaves_the_transaction_open),
      on_memory(many_rows_are_written_all_or_none),
      on_file(a_locked_file_is_waited_for),
      on_file(a_file_that_stays_locked_is_busy_at_the_deadline),
      on_file(waiting_for_a_lock_can_be_stopped),
      on_file(a_snapshot_that_is_too_old_to_write_is_a_serialization_failure),
      cmocka_unit_test(opening_waits_for_a_locked_file_and_says_so_at_last),
      on_memory(a_running_statement_can_be_stopped),
      on_memory(a_queued_request_ends_without_running),
      on_memory(a_stop_at_any_moment_hits_only_its_own_request),
      on_memory(a_stream_delivers_every_row_once_in_order),
      on_memory(other_requests_run_between_the_chunks),
      on_memory(stopping_a_statement_spares_the_streams_that_stand),
      on_memory(a_stream_that_writes_may_be_committed_while_it_stands),
      on_memory(a_large_row_makes_its_chunk_short),
      on_file(a_read_known_to_be_small_is_answered_in_the_same_step),
      on_memory(a_read_that_exceeds_its_budget_is_run_again_on_the_thread),
      on_memory(inline_reads_stay_behind_what_was_submitted_before),
      on_memory(a_step_runs_only_so_many_reads_itself),
      on_file(a_changed_session_is_tainted_until_it_is_reset),
      on_memory(resetting_memory_keeps_what_is_in_it),
      on_file(the_file_is_opened_safely),
      on_file(a_ping_is_answered),
      on_file(closing_ends_everything_in_flight),
      on_file(closing_rolls_back_and_never_hangs_at_any_moment),
      cmocka_unit_test(a_session_may_be_closed_before_it_is_open),
      cmocka_unit_test(files_are_known_by_their_real_path),
      cmocka_unit_test(unknown_options_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
