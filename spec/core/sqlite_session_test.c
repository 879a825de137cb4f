/* sqlite_session_test.c - order, transactions, the state of a session, opening and closing. */
#include "sqlite_fixture.h"

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
  static const char *const writes[] = {"INSERT INTO t VALUES (1)",
                                       "CREATE TABLE u (a)",
                                       "INSERT INTO t VALUES (1) RETURNING a",
                                       "PRAGMA user_version = 7",
                                       "VACUUM",
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
  assert_int_equal(f->session->tx, MP_TX_OPEN);
  mp_request *req = request_new(f, MP_OP_QUERY, "INSERT INTO t VALUES (1)", NULL, 0, 1);
  req->access = MP_ACCESS_UNKNOWN;
  submit(f, req);
  expect(wait_for(f, req), MP_OK);
  mp_request_free(req);
  mp_request_free(transact(f, MP_TXO_ROLLBACK, "ROLLBACK", NULL));
  assert_int_equal(f->session->tx, MP_TX_IDLE);
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
  assert_int_equal(f->session->tx, MP_TX_OPEN);
  mp_request_free(req);
  mp_request_free(transact(f, MP_TXO_ROLLBACK, "ROLLBACK", NULL));
  assert_int_equal(f->session->tx, MP_TX_IDLE);
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
  assert_int_equal(f->session->tx, MP_TX_IDLE);
  mp_request_free(req);
  assert_int_equal(count(f, "SELECT count(*) FROM t"), 1);
}

/* ---- state of the session ---- */

static void a_changed_session_is_tainted_until_it_is_reset(void **state)
{
  fixture *f = *state;
  static const char *const changes[] = {"PRAGMA foreign_keys = OFF", "CREATE TEMP TABLE x (a)",
                                        "PRAGMA query_only = 1", "PRAGMA cache_size = 10"};
  for (int i = 0; i < 4; i++) {
    exec(f, "PRAGMA foreign_keys");
    assert_false(f->session->tainted);
    exec(f, changes[i]);
    assert_true(f->session->tainted);
    mp_request *req = request_new(f, MP_OP_RESET, "", NULL, 0, 0);
    submit(f, req);
    expect(wait_for(f, req), MP_OK);
    mp_request_free(req);
    assert_false(f->session->tainted);
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
