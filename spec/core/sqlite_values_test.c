/* sqlite_values_test.c - values there and back, the kinds of columns, and the statement cache. */
#include "sqlite_fixture.h"

#include <math.h>

static void every_kind_of_cell_comes_back_as_it_went_in(void **state)
{
  fixture *f = *state;
  static const char blob[] = {'a', 0, 'b', 0};
  mp_value params[] = {
      int_value(INT64_MAX),
      int_value(INT64_MIN),
      {.kind = MP_FLOAT, .d = 0.1},
      {.kind = MP_FLOAT, .d = -INFINITY},
      text_value(""),
      text_value("gr\xc3\xbc\xc3\x9f"),
      {.kind = MP_BLOB, .s = blob, .len = 4},
      {.kind = MP_BLOB, .s = "", .len = 0},
      MP_VALUE_NULL,
      {.kind = MP_BOOL, .i = 1},
  };
  mp_request *req = run_with(f, "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?", params, 10);
  assert_int_equal(req->error.kind, MP_OK);
  assert_int_equal(req->result->row_n, 1);
  assert_whole(cell_of(req, 0, 0), INT64_MAX);
  assert_whole(cell_of(req, 0, 1), INT64_MIN);
  assert_true(cell_of(req, 0, 2).kind == MP_FLOAT && cell_of(req, 0, 2).d == 0.1);
  assert_true(cell_of(req, 0, 3).kind == MP_FLOAT && cell_of(req, 0, 3).d == -INFINITY);
  assert_text(cell_of(req, 0, 4), "");
  assert_text(cell_of(req, 0, 5), "gr\xc3\xbc\xc3\x9f");
  mp_value back = cell_of(req, 0, 6);
  assert_int_equal(back.kind, MP_BLOB);
  assert_int_equal(back.len, 4);
  assert_memory_equal(back.s, blob, 4);
  assert_int_equal(cell_of(req, 0, 7).kind, MP_BLOB);
  assert_int_equal(cell_of(req, 0, 7).len, 0);
  assert_int_equal(cell_of(req, 0, 8).kind, MP_NULL);
  assert_whole(cell_of(req, 0, 9), 1);
  mp_request_free(req);
}

static void values_without_a_type_in_sqlite_are_kept_as_canonical_text(void **state)
{
  fixture *f = *state;
  static const mp_interval interval = {.months = 14, .days = 3, .us = 1500000};
  static const char digits[] = "123456789012345678901234567890.5";
  mp_value params[] = {
      {.kind = MP_DECIMAL, .small = 1, .scale = 2, .i = 120},
      {.kind = MP_DECIMAL, .s = digits, .len = sizeof digits - 1},
      {.kind = MP_DATE, .i = 0},
      {.kind = MP_TIME, .i = 1},
      {.kind = MP_DATETIME, .i = 1500000},
      {.kind = MP_WALLTIME, .i = 0},
      {.kind = MP_INTERVAL, .v = &interval},
      {.kind = MP_JSON, .s = "[1]", .len = 3},
  };
  static const char *const texts[] = {
      "1.20",
      digits,
      "1970-01-01",
      "00:00:00.000001",
      "1970-01-01 00:00:01.5",
      "1970-01-01 00:00:00",
      NULL,
      "[1]",
  };
  mp_request *req = run_with(f, "SELECT ?, ?, ?, ?, ?, ?, ?, ?", params, 8);
  assert_int_equal(req->error.kind, MP_OK);
  for (int i = 0; i < 8; i++)
    if (texts[i] != NULL)
      assert_text(cell_of(req, 0, i), texts[i]);
  mp_value text = cell_of(req, 0, 6);
  mp_interval read;
  assert_true(mp_value_convert(&text, MP_INTERVAL, &read, NULL));
  assert_int_equal(read.months, 14);
  assert_int_equal(read.days, 3);
  assert_int_equal(read.us, 1500000);
  mp_request_free(req);
}

static void ten_megabytes_of_text_come_back_unchanged(void **state)
{
  fixture *f = *state;
  size_t n = 10 * 1024 * 1024;
  char *text = malloc(n);
  for (size_t i = 0; i < n; i++)
    text[i] = (char)('a' + i % 23);
  mp_value param = {.kind = MP_TEXT, .s = text, .len = (uint32_t)n};
  mp_request *req = run_with(f, "SELECT ?", &param, 1);
  assert_int_equal(req->error.kind, MP_OK);
  mp_value back = cell_of(req, 0, 0);
  assert_int_equal(back.len, n);
  assert_memory_equal(back.s, text, n);
  assert_true(req->result->bytes >= n);
  mp_request_free(req);
  free(text);
}

static void nan_is_refused_because_sqlite_would_keep_null(void **state)
{
  fixture *f = *state;
  mp_value param = {.kind = MP_FLOAT, .d = NAN};
  mp_request *req = run_with(f, "SELECT ?", &param, 1);
  assert_int_equal(req->error.kind, MP_E_OUT_OF_RANGE);
  assert_string_equal(req->error.message, "parameter 1: SQLite cannot keep NaN");
  assert_false(req->error.sent);
  mp_request_free(req);
}

static void many_rows_stay_in_order_and_readable_in_any_order(void **state)
{
  fixture *f = *state;
  mp_request *req = run(f, "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE "
                           "i < 9999) SELECT i, 'text ' || i, i / 2.0 FROM n");
  assert_int_equal(req->result->row_n, 10000);
  for (size_t row = 10000; row-- > 0;) {
    char text[32];
    snprintf(text, sizeof text, "text %zu", row);
    assert_whole(cell_of(req, row, 0), (int64_t)row);
    assert_text(cell_of(req, row, 1), text);
    assert_true(cell_of(req, row, 2).d == (double)row / 2.0);
  }
  mp_request_free(req);
}

static void a_write_reports_rows_and_the_generated_key(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (id INTEGER PRIMARY KEY, a)");
  mp_request *req = run(f, "INSERT INTO t (a) VALUES (1), (2), (3)");
  assert_int_equal(req->affected, 3);
  assert_int_equal(req->last_id, 3);
  assert_int_equal(req->result->row_n, 0);
  mp_request_free(req);
  req = run(f, "UPDATE t SET a = 5 WHERE a > 1");
  assert_int_equal(req->affected, 2);
  assert_int_equal(req->last_id, 0);
  mp_request_free(req);
  req = run(f, "UPDATE t SET a = 5 WHERE a > 100");
  assert_int_equal(req->affected, 0);
  mp_request_free(req);
  req = run(f, "CREATE INDEX i ON t (a)"); /* the count of the UPDATE is not its own */
  assert_int_equal(req->affected, 0);
  mp_request_free(req);
  req = run(f, "INSERT INTO t (a) VALUES (7) RETURNING id, a");
  assert_int_equal(req->affected, 1);
  assert_whole(cell_of(req, 0, 0), 4);
  mp_request_free(req);
}

static void declared_types_give_the_kinds_of_columns(void **state)
{
  fixture *f = *state;
  static const struct {
    const char *type;
    mp_kind kind;
  } rows[] = {
      {"INTEGER", MP_INT},
      {"BIGINT", MP_INT},
      {"smallint", MP_INT},
      {"BOOLEAN", MP_BOOL},
      {"REAL", MP_FLOAT},
      {"DOUBLE PRECISION", MP_FLOAT},
      {"DECIMAL_TEXT(12, 2)", MP_DECIMAL},
      {"NUMERIC(12,2)", MP_DECIMAL},
      {"VARCHAR(100)", MP_TEXT},
      {"TEXT", MP_TEXT},
      {"BLOB", MP_BLOB},
      {"DATE", MP_DATE},
      {"TIME", MP_TIME},
      {"DATETIME", MP_DATETIME},
      {"TIMESTAMP WITH TIME ZONE", MP_DATETIME},
      {"WALLTIME_TEXT", MP_WALLTIME},
      {"INTERVAL_TEXT", MP_INTERVAL},
      {"UUID_TEXT", MP_UUID},
      {"JSON_TEXT", MP_JSON},
      {"json", MP_JSON},
      {"POINT", MP_NULL},
      {"", MP_NULL},
  };
  const int n = sizeof rows / sizeof *rows;
  char sql[1000] = "CREATE TABLE kinds (";
  for (int i = 0; i < n; i++)
    snprintf(sql + strlen(sql), sizeof sql - strlen(sql), "%sc%d %s", i > 0 ? ", " : "", i,
             rows[i].type);
  strcat(sql, ")");
  exec(f, sql);
  mp_request *req = run(f, "SELECT *, 1 + 1 AS sum FROM kinds");
  assert_int_equal(req->result->column_n, n + 1);
  for (int i = 0; i < n; i++) {
    assert_int_equal(req->result->columns[i].kind, rows[i].kind);
    if (rows[i].type[0] != '\0')
      assert_string_equal(req->result->columns[i].type, rows[i].type);
  }
  assert_string_equal(req->result->columns[n].name, "sum");
  assert_int_equal(req->result->columns[n].name_len, 3);
  assert_int_equal(req->result->columns[n].kind, MP_NULL);
  assert_null(req->result->columns[n].type);
  mp_request_free(req);
}

static void a_table_changed_by_another_connection_gives_its_new_columns(void **state)
{
  fixture *f = *state, *other = fixture_beside(f);
  fixture_open(other);
  exec(f, "CREATE TABLE t (a INTEGER)");
  exec(f, "INSERT INTO t VALUES (1)");
  mp_request *old = run(f, "SELECT * FROM t");
  mp_request_free(run(f, "SELECT * FROM t"));
  exec(other, "ALTER TABLE t RENAME COLUMN a TO b");
  exec(other, "ALTER TABLE t ADD COLUMN c BOOLEAN DEFAULT 1");
  mp_request *req = run(f, "SELECT * FROM t");
  assert_int_equal(req->result->column_n, 2);
  assert_string_equal(req->result->columns[0].name, "b");
  assert_string_equal(req->result->columns[1].name, "c");
  assert_int_equal(req->result->columns[1].kind, MP_BOOL);
  assert_whole(cell_of(req, 0, 1), 1);
  assert_int_equal(old->result->column_n, 1); /* the earlier result keeps its own */
  assert_string_equal(old->result->columns[0].name, "a");
  mp_request_free(old);
  mp_request_free(req);
  fixture_free(other);
}

static void a_result_outlives_its_session(void **state)
{
  fixture *f = *state;
  mp_request *req = run(f, "SELECT 'still here' AS x");
  fixture_close(f);
  assert_text(cell_of(req, 0, 0), "still here");
  assert_string_equal(req->result->columns[0].name, "x");
  mp_request_free(req);
  fixture_open(f);
}

static void more_statements_than_the_cache_holds_all_run(void **state)
{
  fixture *f = *state;
  for (int round = 0; round < 3; round++)
    for (int i = 0; i < 50; i++) {
      char sql[32];
      snprintf(sql, sizeof sql, "SELECT %d", i);
      mp_request *req = run(f, sql);
      assert_whole(cell_of(req, 0, 0), i);
      mp_request_free(req);
    }
}

static void without_a_cache_everything_runs_too(void **state)
{
  fixture *f = fixture_new(true);
  (void)state;
  f->config.statement_cache = 0;
  fixture_open(f);
  for (int i = 0; i < 3; i++) {
    mp_request *req = run(f, "SELECT 1");
    assert_whole(cell_of(req, 0, 0), 1);
    mp_request_free(req);
  }
  fixture_free(f);
}

static void one_text_may_be_streamed_and_queried_at_the_same_time(void **state)
{
  fixture *f = *state;
  static const char sql[] = "SELECT value FROM json_each('[1,2,3,4]')";
  mp_request *stream = request_new(f, MP_OP_STREAM, sql, NULL, 0, 1);
  stream->chunk_rows = 2;
  submit(f, stream);
  while (stream->result == NULL)
    turn(f);
  mp_request *req = run(f, sql);
  assert_int_equal(req->result->row_n, 4);
  mp_request_free(req);
  f->session->backend->more(f->session, stream);
  while (stream->result == NULL)
    turn(f);
  assert_whole(cell_of(stream, 1, 0), 4);
  f->session->backend->more(f->session, stream);
  wait_for(f, stream);
  mp_request_free(stream);
}

static void prepare_tells_columns_and_parameters_and_runs_nothing(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE p (a BOOLEAN)");
  mp_request *req =
      request_new(f, MP_OP_PREPARE, "INSERT INTO p VALUES (?), (?) RETURNING a", NULL, 0, 1);
  submit(f, req);
  wait_for(f, req);
  assert_int_equal(req->error.kind, MP_OK);
  assert_int_equal(req->param_n, 2);
  assert_int_equal(req->result->column_n, 1);
  assert_int_equal(req->result->row_n, 0);
  assert_int_equal(req->result->columns[0].kind, MP_BOOL);
  mp_request_free(req);
  req = run(f, "SELECT count(*) FROM p");
  assert_whole(cell_of(req, 0, 0), 0);
  mp_request_free(req);
}

static void results_over_their_limits_are_refused(void **state)
{
  fixture *f = *state;
  static const char endless[] = "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n) "
                                "SELECT i, printf('%100d', i) FROM n";
  mp_request *req = request_new(f, MP_OP_QUERY, endless, NULL, 0, 1);
  req->max_rows = 1000;
  submit(f, req);
  wait_for(f, req);
  assert_int_equal(req->error.kind, MP_E_RESULT_TOO_LARGE);
  assert_string_equal(req->error.message, "the result has more than 1000 rows");
  assert_null(req->result);
  mp_request_free(req);
  req = request_new(f, MP_OP_QUERY, endless, NULL, 0, 1);
  req->max_bytes = 100000;
  submit(f, req);
  wait_for(f, req);
  assert_int_equal(req->error.kind, MP_E_RESULT_TOO_LARGE);
  mp_request_free(req);
  req = request_new(f, MP_OP_QUERY, "SELECT 1 UNION SELECT 2", NULL, 0, 1);
  req->max_rows = 2;
  submit(f, req);
  wait_for(f, req);
  assert_int_equal(req->error.kind, MP_OK);
  mp_request_free(req);
}

static void a_write_whose_result_is_too_large_is_undone(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE big (a)");
  mp_request *req =
      request_new(f, MP_OP_QUERY, "INSERT INTO big VALUES (1), (2), (3) RETURNING a", NULL, 0, 1);
  req->max_rows = 2;
  submit(f, req);
  wait_for(f, req);
  assert_int_equal(req->error.kind, MP_E_RESULT_TOO_LARGE);
  mp_request_free(req);
  req = run(f, "SELECT count(*) FROM big");
  assert_whole(cell_of(req, 0, 0), 0);
  mp_request_free(req);
}

#define on_memory(test) cmocka_unit_test_setup_teardown(test, open_memory, close_all)
#define on_file(test) cmocka_unit_test_setup_teardown(test, open_file, close_all)

int main(void)
{
  const struct CMUnitTest tests[] = {
      on_memory(every_kind_of_cell_comes_back_as_it_went_in),
      on_memory(values_without_a_type_in_sqlite_are_kept_as_canonical_text),
      on_memory(ten_megabytes_of_text_come_back_unchanged),
      on_memory(nan_is_refused_because_sqlite_would_keep_null),
      on_memory(many_rows_stay_in_order_and_readable_in_any_order),
      on_memory(a_write_reports_rows_and_the_generated_key),
      on_memory(declared_types_give_the_kinds_of_columns),
      on_file(a_table_changed_by_another_connection_gives_its_new_columns),
      on_memory(a_result_outlives_its_session),
      on_memory(more_statements_than_the_cache_holds_all_run),
      cmocka_unit_test(without_a_cache_everything_runs_too),
      on_memory(one_text_may_be_streamed_and_queried_at_the_same_time),
      on_memory(prepare_tells_columns_and_parameters_and_runs_nothing),
      on_memory(results_over_their_limits_are_refused),
      on_memory(a_write_whose_result_is_too_large_is_undone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
